//! The files that passwords are in. They are read by threads of their own: a file system that hangs keeps nobody else
//! waiting.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bgp::os_error::OsError;
use tokio::sync::oneshot;
use tracing::warn;

use routelet_core::cluster::SecretText;
use routelet_core::intent::PasswordSource;
use routelet_core::peering::{PasswordFile, PasswordFiles};

/// How long files are waited for that begin to be read.
const PATIENCE: Duration = Duration::from_millis(500);

/// A file that a password is in.
#[derive(Default)]
struct File {
    /// A thread is at it.
    is_being_read: bool,
    known: PasswordFile,
}

/// See the module.
#[derive(Clone, Default)]
pub(super) struct PasswordReader(Arc<Mutex<HashMap<PathBuf, File>>>);

impl PasswordReader {
    fn files(&self) -> MutexGuard<'_, HashMap<PathBuf, File>> {
        // Each entry is whole at any time.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of each file.
    pub(super) fn found(&self) -> PasswordFiles {
        let files = self.files();
        let known = |(path, file): (&PathBuf, &File)| (path.clone(), file.known.clone());
        files.iter().map(known).collect()
    }

    /// Reads the files among these sources again, and forgets all others. One that a thread is at already is not waited
    /// for.
    pub(super) async fn read(&self, sources: impl Iterator<Item = &PasswordSource>) {
        let paths: BTreeSet<&Path> = sources
            .filter_map(|source| match source {
                PasswordSource::File(path) => Some(path.as_path()),
                PasswordSource::Secret { .. } => None,
            })
            .collect();
        let due: Vec<PathBuf> = {
            let mut files = self.files();
            files.retain(|path, file| file.is_being_read || paths.contains(path.as_path()));
            let is_free = |path: &&&Path| files.get(**path).is_none_or(|file| !file.is_being_read);
            let due = paths.iter().filter(is_free);
            due.map(|path| path.to_path_buf()).collect()
        };
        if due.is_empty() {
            return;
        }
        let (done, is_done) = oneshot::channel();
        let own = self.clone();
        let thread = std::thread::Builder::new().name("passwords".to_owned());
        let reader = thread.spawn(move || {
            due.into_iter().for_each(|path| own.read_one(path));
            // Nobody may wait any more.
            let _ = done.send(());
        });
        if let Err(error) = reader {
            warn!(%error, "password files cannot be read again: no thread can be started");
            return;
        }
        // Who hangs is found out about by what it does not leave.
        let _ = tokio::time::timeout(PATIENCE, is_done).await;
    }

    fn read_one(&self, path: PathBuf) {
        {
            let mut files = self.files();
            let file = files.entry(path.clone()).or_default();
            if std::mem::replace(&mut file.is_being_read, true) {
                return;
            }
        }
        let found = std::fs::read_to_string(&path);
        let mut files = self.files();
        let file = files.entry(path).or_default();
        file.is_being_read = false;
        let known = &mut file.known;
        match found {
            Ok(text) => (known.found, known.later) = (Some(Ok(SecretText::new(text))), None),
            // It may be there, and could not be read now: too many open files, a file system on its way.
            Err(error) if !is_final(&error) => known.later = Some(OsError::words(&error)),
            Err(error) => (known.found, known.later) = (Some(Err(OsError::words(&error))), None),
        }
    }
}

/// Whether an error says something of the file, and not of the moment.
fn is_final(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::IsADirectory
            | io::ErrorKind::InvalidData
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;
    use std::time::Instant;

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(20);

    /// Reads, as far as that comes back at all.
    async fn read(reader: &PasswordReader, sources: &[PasswordSource]) {
        let reading = reader.read(sources.iter());
        tokio::time::timeout(DEADLINE, reading).await.unwrap();
    }

    /// What was found last, and why not since.
    type Known = (Option<Result<String, String>>, Option<String>);

    fn known(reader: &PasswordReader, path: &Path) -> Known {
        let PasswordFile { found, later } = reader.found().remove(path).unwrap_or_default();
        let found = found.map(|found| found.map(|text| text.expose().to_owned()));
        (found, later)
    }

    fn text(text: &str) -> Known {
        (Some(Ok(text.to_owned())), None)
    }

    #[test]
    fn what_fails_a_read_by_no_fault_of_the_file_is_not_final() {
        use nix::libc;
        for (code, expected) in [
            (libc::ENOENT, true),
            (libc::EACCES, true),
            (libc::EISDIR, true),
            (libc::EMFILE, false),
            (libc::ENFILE, false),
            (libc::EIO, false),
            (libc::ESTALE, false),
            (libc::ETIMEDOUT, false),
        ] {
            let error = io::Error::from_raw_os_error(code);
            assert_eq!(is_final(&error), expected, "{error}");
        }
    }

    /// A named pipe that nobody writes to hangs whoever opens it.
    #[tokio::test]
    async fn a_file_that_hangs_keeps_nobody_waiting_and_what_it_had_last_counts() {
        let directory = tempfile::tempdir().unwrap();
        let paths = ["known", "other", "new"].map(|name| directory.path().join(name));
        let sources = paths.clone().map(PasswordSource::File);
        let reader = PasswordReader::default();
        fs::write(&paths[0], "right").unwrap();
        fs::write(&paths[1], "wrong").unwrap();
        read(&reader, &sources[..2]).await;
        assert_eq!(known(&reader, &paths[0]), text("right"));
        for path in [&paths[0], &paths[2]] {
            let pipe = directory.path().join("pipe");
            mkfifo(&pipe, Mode::S_IRWXU).unwrap();
            fs::rename(&pipe, path).unwrap();
        }
        fs::write(&paths[1], "right").unwrap();
        // The first thread hangs at one, the second at the other; the third finds what is behind them.
        for _ in 0..3 {
            read(&reader, &sources).await;
        }
        assert_eq!(known(&reader, &paths[0]), text("right"));
        assert_eq!(known(&reader, &paths[1]), text("right"));
        assert_eq!(known(&reader, &paths[2]), (None, None));
        // They answer: one with another password, one that there is none.
        for (path, text) in [(&paths[0], "wrong"), (&paths[2], "")] {
            fs::write(path, text).unwrap();
        }
        let deadline = Instant::now() + DEADLINE;
        while known(&reader, &paths[0]) == text("right") {
            assert!(Instant::now() < deadline);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// A socket is no file that can be opened, and says nothing of the one that is to be there.
    #[tokio::test]
    async fn an_error_of_the_moment_is_no_answer_also_of_a_file_that_was_never_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("password");
        let file = [PasswordSource::File(path.clone())];
        let reader = PasswordReader::default();
        let bind = || std::os::unix::net::UnixListener::bind(&path).unwrap();
        let _socket = bind();
        let later = Some("No such device or address".to_owned());
        // It was never read, was read, and is known to be gone.
        read(&reader, &file).await;
        assert_eq!(known(&reader, &path), (None, later.clone()));
        fs::remove_file(&path).unwrap();
        fs::write(&path, "wrong").unwrap();
        read(&reader, &file).await;
        assert_eq!(known(&reader, &path), text("wrong"));
        fs::remove_file(&path).unwrap();
        let _socket = bind();
        read(&reader, &file).await;
        let last = Some(Ok("wrong".to_owned()));
        assert_eq!(known(&reader, &path), (last, later.clone()));
        fs::remove_file(&path).unwrap();
        read(&reader, &file).await;
        let gone = Some(Err("No such file or directory".to_owned()));
        assert_eq!(known(&reader, &path), (gone.clone(), None));
        let _socket = bind();
        read(&reader, &file).await;
        assert_eq!(known(&reader, &path), (gone, later));
    }

    #[tokio::test]
    async fn what_was_known_of_a_file_that_nobody_names_any_more_is_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("password");
        let source = [PasswordSource::File(path.clone())];
        let reader = PasswordReader::default();
        fs::write(&path, "right").unwrap();
        read(&reader, &source).await;
        assert_eq!(known(&reader, &path), text("right"));
        read(&reader, &[]).await;
        assert!(reader.files().is_empty());
    }
}
