//! Passwords of peers, and the files that some are in. These are read by threads of their own: a file system that hangs keeps nobody
//! else waiting.
//!
//! What was known last counts until there is an answer. One that says "later" is none: an API server that is overloaded or away, a file
//! system that does not answer, a read that failed by no fault of the file. An object whose password has another source then goes on
//! with the password that it had. One that had none stays closed, and so does one whose password is known to be missing.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bgp::os_error::OsError;
use bgp::session::Password;
use tokio::sync::oneshot;
use tracing::warn;

use routelet_core::cluster::ObjectRef;
use routelet_core::cluster::SecretText;
use routelet_core::intent::{Intent, MissingSecret, PasswordSource, PeerIntent};

/// How long files are waited for that begin to be read.
const PATIENCE: Duration = Duration::from_millis(500);

/// What is known of a file.
#[derive(Default)]
struct File {
    /// A thread is at it.
    is_being_read: bool,
    /// What was found last, if there was an answer.
    found: Option<Result<SecretText, String>>,
    /// Why it could not be read since: an error of the moment, not of the file.
    later: Option<String>,
}

type Files = HashMap<PathBuf, File>;

/// The password that an object's peers have.
struct InForce {
    password: Password,
    /// Its source has changed, and what the new one has is not known.
    is_held: bool,
}

/// See the module.
#[derive(Clone, Default)]
pub(super) struct Passwords {
    files: Arc<Mutex<Files>>,
    in_force: Arc<Mutex<HashMap<ObjectRef, InForce>>>,
}

/// Why a source has no password.
enum NoPassword {
    /// There is none that could be used.
    Missing(String),
    /// It is not known so far.
    Later(String),
}

impl Passwords {
    fn files(&self) -> MutexGuard<'_, Files> {
        // Each entry is whole at any time.
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn in_force(&self) -> MutexGuard<'_, HashMap<ObjectRef, InForce>> {
        // So is each of these.
        self.in_force.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets the passwords of objects that no peer of the intent is of.
    pub(super) fn keep(&self, intent: &Intent) {
        let mut in_force = self.in_force();
        if !in_force.is_empty() {
            let objects: HashSet<&ObjectRef> = intent.peers.iter().map(|p| &p.object).collect();
            in_force.retain(|object, _| objects.contains(object));
        }
    }

    /// Reads the files among these sources again, and forgets all others. One that a thread is at already is not waited for.
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
        match found {
            Ok(text) => (file.found, file.later) = (Some(Ok(SecretText::new(text))), None),
            // It may be there, and could not be read now: too many open files, a file system on its way.
            Err(error) if !is_final(&error) => file.later = Some(OsError::words(&error)),
            Err(error) => (file.found, file.later) = (Some(Err(OsError::words(&error))), None),
        }
    }

    /// The password of a peer, or why it cannot be had.
    pub(super) fn find(&self, peer: &PeerIntent) -> Result<Option<Password>, String> {
        match &peer.password {
            None => {
                self.in_force().remove(&peer.object);
                Ok(None)
            }
            Some(source) => self.find_of(&peer.object, source).map(Some),
        }
    }

    fn find_of(&self, object: &ObjectRef, source: &PasswordSource) -> Result<Password, String> {
        let found = self.found(source);
        let mut in_force = self.in_force();
        match found {
            Ok(password) => {
                let known = InForce {
                    password: password.clone(),
                    is_held: false,
                };
                in_force.insert(object.clone(), known);
                Ok(password)
            }
            Err(NoPassword::Missing(why)) => {
                in_force.remove(object);
                Err(why)
            }
            Err(NoPassword::Later(why)) => {
                let Some(known) = in_force.get_mut(object) else {
                    return Err(why);
                };
                if !std::mem::replace(&mut known.is_held, true) {
                    warn!(%object, reason = %why, "the password that was in force stays");
                }
                Ok(known.password.clone())
            }
        }
    }

    fn found(&self, source: &PasswordSource) -> Result<Password, NoPassword> {
        let text = match source {
            PasswordSource::File(path) => {
                let (found, later) = match self.files().get(path) {
                    Some(file) => (file.found.clone(), file.later.clone()),
                    None => (None, None),
                };
                let of_file = |why| format!("password file {}: {why}", path.display());
                match found {
                    Some(Ok(text)) => text,
                    Some(Err(why)) => return Err(NoPassword::Missing(of_file(why))),
                    None => {
                        let why = later.as_deref();
                        let why = why.unwrap_or("its file system does not answer");
                        let why = format!("it could not be read so far: {why}");
                        return Err(NoPassword::Later(of_file(why)));
                    }
                }
            }
            PasswordSource::Secret { name, key, found } => match found {
                Ok(text) => text.clone(),
                Err(missing) => return Err(no_secret(name, key, missing)),
            },
        };
        let password = text.expose().trim_end().parse();
        password.map_err(|error| NoPassword::Missing(format!("password: {error}")))
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

fn no_secret(name: &str, key: &str, missing: &MissingSecret) -> NoPassword {
    let text = match missing {
        MissingSecret::NoSecret => match name.split_once('/') {
            Some((namespace, of)) => format!(
                "Secret {name}, which the password is in, does not exist: kubectl create secret generic {of} \
                 --namespace {namespace} --from-literal={key}=PASSWORD"
            ),
            None => format!(
                "the password is in Secret {name}, and an agent that reads manifests has no Secrets: use password.file"
            ),
        },
        MissingSecret::Refused(why) | MissingSecret::Later(why) => {
            format!("Secret {name}, which the password is in, cannot be read: {why}")
        }
        MissingSecret::NoKey => {
            format!(
                "Secret {name} has no key \"{key}\": add it, or name another with secretRef.key"
            )
        }
        MissingSecret::NotText => {
            format!("key \"{key}\" of Secret {name} is not text: a password is ASCII text")
        }
    };
    match missing {
        MissingSecret::Later(_) => NoPassword::Later(text),
        _ => NoPassword::Missing(text),
    }
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
    async fn read(passwords: &Passwords, sources: &[PasswordSource]) {
        let reading = passwords.read(sources.iter());
        tokio::time::timeout(DEADLINE, reading).await.unwrap();
    }

    /// Whether the Peer `name` has the right password by this source.
    fn found_of(
        passwords: &Passwords,
        name: &str,
        source: &PasswordSource,
    ) -> Result<bool, String> {
        let object = ObjectRef::cluster("Peer", name);
        let found = passwords.find_of(&object, source);
        found.map(|password| password == "right".parse().unwrap())
    }

    /// The same of one that never had one before.
    fn found(passwords: &Passwords, source: &PasswordSource) -> Result<bool, String> {
        passwords.in_force().clear();
        found_of(passwords, "p", source)
    }

    fn secret(found: Result<&str, MissingSecret>) -> PasswordSource {
        PasswordSource::Secret {
            name: "ns/other".to_owned(),
            key: "key".to_owned(),
            found: found.map(SecretText::new),
        }
    }

    /// A Secret under another name, of which an overloaded API server says "later".
    #[test]
    fn the_password_in_force_stays_until_there_is_an_answer_and_not_a_moment_longer() {
        let overloaded = || secret(Err(MissingSecret::Later("429 Too Many Requests".into())));
        let hanging = PasswordSource::File("/never/read".into());
        let passwords = Passwords::default();
        let closed = found_of(&passwords, "a", &overloaded());
        assert!(closed.unwrap_err().contains("429"), "it never had one");
        for source in [overloaded(), hanging] {
            assert_eq!(found_of(&passwords, "a", &secret(Ok("right"))), Ok(true));
            for _ in 0..2 {
                assert_eq!(found_of(&passwords, "a", &source), Ok(true));
            }
            assert!(found_of(&passwords, "b", &source).is_err(), "another one's");
            assert_eq!(found_of(&passwords, "a", &secret(Ok("wrong"))), Ok(false));
            assert_eq!(found_of(&passwords, "a", &source), Ok(false), "the last");
        }
        // What is known to be missing is in force no more, nor is it after that.
        for missing in [
            MissingSecret::NoSecret,
            MissingSecret::Refused("403 Forbidden".into()),
            MissingSecret::NoKey,
            MissingSecret::NotText,
        ] {
            assert_eq!(found_of(&passwords, "a", &secret(Ok("right"))), Ok(true));
            assert!(found_of(&passwords, "a", &secret(Err(missing))).is_err());
            assert!(found_of(&passwords, "a", &overloaded()).is_err());
        }
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
    async fn a_file_that_hangs_keeps_nobody_waiting_and_its_last_password_counts() {
        let directory = tempfile::tempdir().unwrap();
        let paths = ["known", "other", "new"].map(|name| directory.path().join(name));
        let sources = paths.clone().map(PasswordSource::File);
        let passwords = Passwords::default();
        fs::write(&paths[0], "right\n").unwrap();
        fs::write(&paths[1], "wrong").unwrap();
        read(&passwords, &sources[..2]).await;
        let right = Ok(true);
        assert_eq!(found(&passwords, &sources[0]), right);
        for path in [&paths[0], &paths[2]] {
            let pipe = directory.path().join("pipe");
            mkfifo(&pipe, Mode::S_IRWXU).unwrap();
            fs::rename(&pipe, path).unwrap();
        }
        fs::write(&paths[1], "right").unwrap();
        // The first thread hangs at one, the second at the other; the third finds what is behind them.
        for _ in 0..3 {
            read(&passwords, &sources).await;
        }
        assert_eq!(found(&passwords, &sources[0]), right);
        assert_eq!(found(&passwords, &sources[1]), right);
        let unread = found(&passwords, &sources[2]).unwrap_err();
        assert!(
            unread.contains("its file system does not answer"),
            "{unread}"
        );
        // They answer: one with another password, one that there is none.
        for (path, text) in [(&paths[0], "wrong"), (&paths[2], "")] {
            fs::write(path, text).unwrap();
        }
        let deadline = Instant::now() + DEADLINE;
        while found(&passwords, &sources[0]) == right {
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
        let passwords = Passwords::default();
        let bind = || std::os::unix::net::UnixListener::bind(&path).unwrap();
        let _socket = bind();
        assert_eq!(found_of(&passwords, "a", &secret(Ok("right"))), Ok(true));
        // It was never read, was read, and is known to be gone.
        read(&passwords, &file).await;
        assert_eq!(found_of(&passwords, "a", &file[0]), Ok(true));
        let closed = found_of(&passwords, "b", &file[0]).unwrap_err();
        assert!(
            closed.contains("so far: No such device or address"),
            "{closed}"
        );
        fs::remove_file(&path).unwrap();
        fs::write(&path, "wrong").unwrap();
        read(&passwords, &file).await;
        assert_eq!(found_of(&passwords, "a", &file[0]), Ok(false));
        fs::remove_file(&path).unwrap();
        let _socket = bind();
        read(&passwords, &file).await;
        assert_eq!(found_of(&passwords, "a", &file[0]), Ok(false), "the last");
        fs::remove_file(&path).unwrap();
        read(&passwords, &file).await;
        assert!(found_of(&passwords, "a", &file[0]).is_err());
        let _socket = bind();
        read(&passwords, &file).await;
        let gone = found_of(&passwords, "a", &file[0]).unwrap_err();
        assert!(gone.contains("No such file"), "{gone}");
    }

    #[tokio::test]
    async fn a_file_that_is_gone_has_no_password() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("password");
        let source = [PasswordSource::File(path.clone())];
        let passwords = Passwords::default();
        fs::write(&path, "right").unwrap();
        read(&passwords, &source).await;
        assert_eq!(found(&passwords, &source[0]), Ok(true));
        fs::remove_file(&path).unwrap();
        read(&passwords, &source).await;
        let gone = found(&passwords, &source[0]).unwrap_err();
        assert!(gone.starts_with("password file /"), "{gone}");
        assert!(gone.contains("No such file"), "{gone}");
        assert!(passwords.files().contains_key(&path));
        read(&passwords, &[]).await;
        assert!(passwords.files().is_empty());
    }
}
