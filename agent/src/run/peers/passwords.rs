//! Passwords of peers, and the files that some are in. These are read by threads of their own: a file system that hangs keeps nobody
//! else waiting, and what was read last counts until there is an answer.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bgp::session::{OsError, Password};
use tokio::sync::oneshot;

use crate::cluster::SecretText;
use crate::intent::{MissingSecret, PasswordSource};

/// How long files are waited for that begin to be read.
const PATIENCE: Duration = Duration::from_millis(500);

/// What is known of a file.
#[derive(Default)]
struct File {
    /// A thread is at it.
    is_being_read: bool,
    /// What was found last, if there was an answer.
    found: Option<Result<SecretText, String>>,
}

type Files = HashMap<PathBuf, File>;

/// See the module.
#[derive(Clone, Default)]
pub(super) struct Passwords(Arc<Mutex<Files>>);

impl Passwords {
    fn files(&self) -> MutexGuard<'_, Files> {
        // Each entry is whole at any time.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
            tracing::warn!(%error, "password files cannot be read again: no thread can be started");
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
        let found = std::fs::read_to_string(&path)
            .map(SecretText::new)
            .map_err(|error| OsError::words(&error));
        let file = File {
            is_being_read: false,
            found: Some(found),
        };
        self.files().insert(path, file);
    }

    /// The password of a source, or why it cannot be had.
    pub(super) fn find(&self, source: Option<&PasswordSource>) -> Result<Option<Password>, String> {
        let text = match source {
            None => return Ok(None),
            Some(PasswordSource::File(path)) => {
                let found = self.files().get(path).and_then(|file| file.found.clone());
                let found = found.unwrap_or_else(|| {
                    Err(
                        "it could not be read so far, since its file system does not answer"
                            .to_owned(),
                    )
                });
                found.map_err(|why| format!("password file {}: {why}", path.display()))?
            }
            Some(PasswordSource::Secret { name, key, found }) => match found {
                Ok(text) => text.clone(),
                Err(missing) => return Err(no_secret(name, key, missing)),
            },
        };
        let password = text.expose().trim_end().parse();
        password
            .map(Some)
            .map_err(|error| format!("password: {error}"))
    }
}

fn no_secret(name: &str, key: &str, missing: &MissingSecret) -> String {
    match missing {
        MissingSecret::NoSecret => match name.split_once('/') {
            Some((namespace, of)) => format!(
                "Secret {name}, which the password is in, does not exist: kubectl create secret generic {of} \
                 --namespace {namespace} --from-literal={key}=PASSWORD"
            ),
            None => format!(
                "the password is in Secret {name}, and an agent that reads manifests has no Secrets: use password.file"
            ),
        },
        MissingSecret::Unread(why) => {
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

    fn found(passwords: &Passwords, source: &PasswordSource) -> Result<String, String> {
        let found = passwords.find(Some(source));
        found.map(|password| format!("{:?}", password.map(|p| p == "right".parse().unwrap())))
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
        let right = Ok("Some(true)".to_owned());
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

    #[tokio::test]
    async fn a_file_that_is_gone_has_no_password() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("password");
        let source = [PasswordSource::File(path.clone())];
        let passwords = Passwords::default();
        fs::write(&path, "right").unwrap();
        read(&passwords, &source).await;
        assert_eq!(found(&passwords, &source[0]), Ok("Some(true)".to_owned()));
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
