//! Which password is in force.
//!
//! What was known last counts until there is an answer. One that says "later" is none: an API server that is overloaded
//! or away, a file system that does not answer, a read that failed by no fault of the file. An object whose password
//! has another source then goes on with the password that it had. One that had none stays closed, and so does one whose
//! password is known to be missing.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use bgp::settings::Password;
use tracing::warn;

use crate::cluster::{ObjectRef, SecretText};
use crate::intent::{MissingSecret, PasswordSource, PeerIntent};

/// What is known of a password file.
#[derive(Clone, Debug, Default)]
pub struct PasswordFile {
    /// What was found last, if there was an answer; or why it has no password.
    pub found: Option<Result<SecretText, String>>,
    /// Why it could not be read since: an error of the moment, not of the file.
    pub later: Option<String>,
}

/// Password files by path.
pub type PasswordFiles = HashMap<PathBuf, PasswordFile>;

/// The password that an object's peers have.
#[derive(Debug)]
struct InForce {
    password: Password,
    /// Its source has changed, and what the new one has is not known.
    is_held: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Passwords {
    files: PasswordFiles,
    in_force: HashMap<ObjectRef, InForce>,
}

/// Why a source has no password.
enum NoPassword {
    /// There is none that could be used.
    Missing(String),
    /// It is not known so far.
    Later(String),
}

impl Passwords {
    /// What is known of all files now.
    pub(super) fn set_files(&mut self, files: PasswordFiles) {
        self.files = files;
    }

    /// Forgets the passwords of objects that none of these peers is of.
    pub(super) fn keep(&mut self, peers: &[PeerIntent]) {
        if !self.in_force.is_empty() {
            let objects: HashSet<&ObjectRef> = peers.iter().map(|peer| &peer.object).collect();
            self.in_force.retain(|object, _| objects.contains(object));
        }
    }

    /// The password of a peer, or why it cannot be had.
    pub(super) fn find(&mut self, peer: &PeerIntent) -> Result<Option<Password>, String> {
        match &peer.password {
            None => {
                self.in_force.remove(&peer.object);
                Ok(None)
            }
            Some(source) => self.find_of(&peer.object, source).map(Some),
        }
    }

    pub(super) fn find_of(
        &mut self,
        object: &ObjectRef,
        source: &PasswordSource,
    ) -> Result<Password, String> {
        match self.found(source) {
            Ok(password) => {
                let known = InForce {
                    password: password.clone(),
                    is_held: false,
                };
                self.in_force.insert(object.clone(), known);
                Ok(password)
            }
            Err(NoPassword::Missing(why)) => {
                self.in_force.remove(object);
                Err(why)
            }
            Err(NoPassword::Later(why)) => {
                let Some(known) = self.in_force.get_mut(object) else {
                    return Err(why);
                };
                if !std::mem::replace(&mut known.is_held, true) {
                    warn!(%object, reason = %why, "the previous password stays in force");
                }
                Ok(known.password.clone())
            }
        }
    }

    fn found(&self, source: &PasswordSource) -> Result<Password, NoPassword> {
        let text = match source {
            PasswordSource::File(path) => {
                let file = self.files.get(path);
                let of_file = |why: &str| format!("password file {}: {why}", path.display());
                match file.and_then(|file| file.found.as_ref()) {
                    Some(Ok(text)) => text,
                    Some(Err(why)) => return Err(NoPassword::Missing(of_file(why))),
                    None => {
                        let why = file.and_then(|file| file.later.as_deref());
                        let why = why.unwrap_or("its file system does not answer");
                        let why = format!("it has not been read yet: {why}");
                        return Err(NoPassword::Later(of_file(&why)));
                    }
                }
            }
            PasswordSource::Secret { name, key, found } => match found {
                Ok(text) => text,
                Err(missing) => return Err(no_secret(name, key, missing)),
            },
        };
        let password = text.expose().trim_end().parse();
        password.map_err(|error| NoPassword::Missing(format!("password: {error}")))
    }
}

fn no_secret(name: &str, key: &str, missing: &MissingSecret) -> NoPassword {
    let text = match missing {
        MissingSecret::NoSecret => match name.split_once('/') {
            Some((namespace, of)) => format!(
                "Secret {name} with the password does not exist: kubectl create secret generic {of} \
                 --namespace {namespace} --from-literal={key}=PASSWORD"
            ),
            None => format!(
                "the password is in Secret {name}, and an agent on manifests cannot read Secrets: use password.file"
            ),
        },
        MissingSecret::Refused(why) | MissingSecret::Later(why) => {
            format!("Secret {name} with the password cannot be read: {why}")
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
