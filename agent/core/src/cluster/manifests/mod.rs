//! A directory of manifests as the source of cluster state.
//!
//! [`load`] reads it once; a [`Store`] keeps what was read and follows its changes, as the agent's source of manifests does. Every document stands for itself: a
//! broken one is reported with file, line, path and reason, what the rule of its kind says counts meanwhile (see
//! [`super::unreadable`]), and all others stay in force. A file or directory that cannot be opened or read changes nothing.
//! Changes are seen by inotify and, because a notification can be lost and some file systems send none, by looking at the
//! files again from time to time. What is handed out is always a whole [`Snapshot`].
//!
//! | room | |
//! |---|---|
//! | `tree`, `read` | a document with the line of every node, and types out of it |
//! | `yaml` | a text as a tree, as `kubectl` reads it |
//! | `split` | a file as a stream of documents |
//! | `document` | a document: kind, identity, types, validation |
//! | `item` | an object of each kind, and its way into the state |
//! | `directory` | which files there are |
//! | `file` | a file: its documents, and the last good version of each |
//! | `store` | all files, duplicates, the state |
//! | `once` | files that are read once, in a directory or not |

mod directory;
mod document;
mod file;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
mod item;
mod once;
mod read;
mod split;
mod store;
#[cfg(test)]
mod tests;
mod tree;
mod yaml;

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

pub use directory::{Fingerprint, Look, Names};
pub use once::Files;

use super::snapshot::{Problem, Severity, Snapshot};
use super::unreadable::Meanwhile;
use bgp::os_error::OsError;
pub use store::Store;

/// A directory that cannot be a source of manifests.
#[derive(Debug, thiserror::Error)]
pub enum ManifestsError {
    /// It cannot be listed.
    #[error("cannot read the manifests in {}: {source}; give a directory of *.yaml, *.yml or *.json files", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: OsError,
    },
    /// Something that is to be read once cannot be.
    #[error("cannot read {}: {source}; give files, directories of *.yaml, *.yml or *.json files, or - for standard input", path.display())]
    Path {
        /// What was given.
        path: PathBuf,
        /// Why.
        source: OsError,
    },
    /// The thread that follows changes could not be started.
    #[error("cannot start a thread to follow the manifests: {0}")]
    Thread(OsError),
}

/// Reads a directory once.
///
/// # Errors
/// If the directory cannot be listed. Everything that is wrong below it is in the snapshot.
pub fn load(directory: &Path) -> Result<Snapshot, ManifestsError> {
    Ok(Files::find(&[directory.to_owned()])?.load())
}

/// Brings the store up to date with the directory; `is_read` says whether a file is to be read. Returns whether anything
/// changed.
pub fn refresh(
    store: &mut Store,
    root: &Path,
    (look, names): (Look, &mut Names),
    mut is_read: impl FnMut(&Path, Fingerprint) -> bool,
) -> std::io::Result<bool> {
    let listing = directory::list(root, look, names)?;
    let mut changed = store.directory(
        listing
            .failed
            .iter()
            .map(|(path, error)| directory_problem(path, error))
            .collect(),
    );
    for (path, fingerprint) in &listing.files {
        if !is_read(path, *fingerprint) {
            continue;
        }
        let read =
            File::open(root.join(path)).and_then(|file| store.read(path, BufReader::new(file)));
        changed |= match read {
            Ok(changed) => changed,
            // Gone since it was listed: the next look will not find it.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
            Err(error) => store.unreadable(path, &error),
        };
    }
    let failed = |path: &Path| {
        listing
            .failed
            .iter()
            .any(|(below, _)| path.starts_with(below))
    };
    changed |= store.retain(|path| listing.files.contains_key(path) || failed(path));
    store.sweep();
    Ok(changed)
}

/// The problem that a directory cannot be read.
pub fn directory_problem(path: &Path, error: &std::io::Error) -> Problem {
    Problem {
        severity: Severity::Error,
        file: Some(path.to_owned()),
        line: None,
        object: None,
        path: String::new(),
        reason: format!("the directory cannot be read: {}", OsError::words(error)),
        meanwhile: Some(Meanwhile::LastGood),
    }
}
