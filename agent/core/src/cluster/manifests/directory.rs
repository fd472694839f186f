//! The files of a directory of manifests.
//!
//! `*.yaml`, `*.yml` and `*.json` in the directory and all below, without hidden ones, which leaves out editors'
//! temporary files as well as `..data` of mounted ConfigMaps; the links beside that are followed.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What tells a changed file without reading it: device, inode, length, and time of the last change of the inode.
pub type Fingerprint = (u64, u64, u64, i64, i64);

/// The files by path relative to the directory, and the subdirectories that could not be listed.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) files: BTreeMap<PathBuf, Fingerprint>,
    pub(super) failed: Vec<(PathBuf, io::Error)>,
}

/// Looks at a directory that is as it was until it is listed all the same: some file systems of networks and in user space say
/// late or never that it has changed.
const MOST_LOOKS: u8 = 11;

/// The names in directories, as they were listed last.
///
/// Agents on one directory would wake each other by listing it: opening a directory is a notification to all that watch it. While a
/// directory is as it was, the names in it are known, and it is not opened.
#[derive(Debug, Default)]
pub struct Names(BTreeMap<PathBuf, Listed>);

#[derive(Debug)]
struct Listed {
    names: Vec<OsString>,
    /// Of the directory, before it was listed.
    fingerprint: Fingerprint,
    /// Looks since it was listed. `None`: it was not the same at the look before that, which was long ago compared with what clocks
    /// of file systems can tell apart. Otherwise, whatever changes after the listing makes another fingerprint of it.
    settled: Option<u8>,
}

/// How a directory is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Something has changed.
    Notified,
    /// Nothing is known to have changed since the last look, a while ago.
    Routine,
}

/// Lists a directory.
///
/// # Errors
/// If the directory itself cannot be listed. Failures below it are in the listing.
pub(super) fn list(root: &Path, look: Look, names: &mut Names) -> io::Result<Listing> {
    let mut walk = Walk {
        root,
        look,
        before: std::mem::take(&mut names.0),
        names,
        visited: BTreeSet::new(),
        listing: Listing::default(),
    };
    walk.directory(Path::new(""))?;
    Ok(walk.listing)
}

struct Walk<'a> {
    root: &'a Path,
    look: Look,
    before: BTreeMap<PathBuf, Listed>,
    names: &'a mut Names,
    visited: BTreeSet<(u64, u64)>,
    listing: Listing,
}

impl Walk<'_> {
    fn directory(&mut self, below: &Path) -> io::Result<()> {
        let metadata = fs::metadata(self.root.join(below))?;
        // Links can make loops.
        if !self.visited.insert((metadata.dev(), metadata.ino())) {
            return Ok(());
        }
        let listed = self.names(below, fingerprint(&metadata))?;
        for name in &listed.names {
            let relative = below.join(name);
            // Follows links. What vanished meanwhile is not there.
            let Ok(metadata) = fs::metadata(self.root.join(&relative)) else {
                continue;
            };
            if metadata.is_dir() {
                if let Err(error) = self.directory(&relative) {
                    self.listing.failed.push((relative, error));
                }
            } else if metadata.is_file() && is_manifest(&relative) {
                let fingerprint = fingerprint(&metadata);
                self.listing.files.insert(relative, fingerprint);
            }
        }
        self.names.0.insert(below.to_owned(), listed);
        Ok(())
    }

    fn names(&mut self, below: &Path, fingerprint: Fingerprint) -> io::Result<Listed> {
        let before = self.before.remove(below);
        let before = before.filter(|before| before.fingerprint == fingerprint);
        if let Some(before) = &before
            && self.look == Look::Routine
            && let Some(looks) = before.settled.filter(|looks| *looks < MOST_LOOKS)
        {
            return Ok(Listed {
                names: before.names.clone(),
                settled: Some(looks + 1),
                ..*before
            });
        }
        let entries = fs::read_dir(self.root.join(below))?;
        let names = entries.map(|entry| Ok(entry?.file_name()));
        let is_hidden = |name: &OsString| name.as_encoded_bytes().starts_with(b".");
        let names = names.filter(|name: &io::Result<_>| !name.as_ref().is_ok_and(is_hidden));
        Ok(Listed {
            names: names.collect::<io::Result<_>>()?,
            fingerprint,
            settled: (before.is_some() && self.look == Look::Routine).then_some(0),
        })
    }
}

fn is_manifest(path: &Path) -> bool {
    path.extension()
        .and_then(|extension| extension.to_str())
        .is_some_and(|extension| matches!(extension, "yaml" | "yml" | "json"))
}

fn fingerprint(metadata: &Metadata) -> Fingerprint {
    (
        metadata.dev(),
        metadata.ino(),
        metadata.size(),
        metadata.ctime(),
        metadata.ctime_nsec(),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::mpsc;
    use std::time::Duration;

    use notify::event::{AccessKind, EventKind};
    use notify::{RecursiveMode, Watcher};

    use super::*;

    /// Every agent on a directory would be woken by each look of every other.
    #[test]
    fn a_look_at_a_directory_that_is_as_it_was_notifies_nobody_and_sees_every_change() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        fs::create_dir(root.join("below")).unwrap();
        let write = |name: &str| fs::write(root.join(name), "a: b").unwrap();
        write("below/a.yaml");
        let mut names = Names::default();
        let mut files = |look| -> Vec<String> {
            let listing = list(root, look, &mut names).unwrap();
            let files = listing.files.into_keys();
            files.map(|path| path.display().to_string()).collect()
        };
        for look in [Look::Notified, Look::Routine, Look::Routine] {
            assert_eq!(files(look), ["below/a.yaml"]);
        }

        let (events, seen) = mpsc::channel();
        let mut watcher = notify::recommended_watcher(events).unwrap();
        watcher.watch(root, RecursiveMode::Recursive).unwrap();
        // Its events come after those of what was done before.
        let marker = tempfile::tempdir().unwrap();
        let alone = RecursiveMode::NonRecursive;
        watcher.watch(marker.path(), alone).unwrap();
        let opened = |name: &str| {
            let marker = marker.path().join(name);
            fs::write(&marker, "").unwrap();
            let mut opened = 0;
            loop {
                let event = seen.recv_timeout(Duration::from_secs(20)).unwrap().unwrap();
                let path = &event.paths[0];
                match event.kind {
                    EventKind::Create(_) if *path == marker => return opened,
                    EventKind::Access(AccessKind::Open(_)) if path.starts_with(root) => opened += 1,
                    _ => {}
                }
            }
        };
        // The watcher itself opens them.
        opened("watched");
        for _ in 0..3 {
            assert_eq!(files(Look::Routine), ["below/a.yaml"]);
        }
        assert_eq!(opened("routine"), 0);
        // Some file systems do not say that a directory has changed.
        for _ in 0..=MOST_LOOKS {
            assert_eq!(files(Look::Routine), ["below/a.yaml"]);
        }
        assert!(opened("once in a while") > 0);
        files(Look::Notified);
        assert!(opened("notified") > 0);
        write("below/c.yaml");
        assert_eq!(files(Look::Routine), ["below/a.yaml", "below/c.yaml"]);
        fs::remove_file(root.join("below/a.yaml")).unwrap();
        assert_eq!(files(Look::Routine), ["below/c.yaml"]);
        fs::remove_dir_all(root.join("below")).unwrap();
        assert!(files(Look::Routine).is_empty());
    }
}
