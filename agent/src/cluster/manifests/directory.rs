//! The files of a directory of manifests.
//!
//! `*.yaml`, `*.yml` and `*.json` in the directory and all below, without hidden ones, which leaves out editors'
//! temporary files as well as `..data` of mounted ConfigMaps; the links beside that are followed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What tells a changed file without reading it: device, inode, length, and time of the last change of the inode.
pub(super) type Fingerprint = (u64, u64, u64, i64, i64);

/// The files by path relative to the directory, and the subdirectories that could not be listed.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) files: BTreeMap<PathBuf, Fingerprint>,
    pub(super) failed: Vec<(PathBuf, io::Error)>,
}

/// Lists a directory.
///
/// # Errors
/// If the directory itself cannot be listed. Failures below it are in the listing.
pub(super) fn list(root: &Path) -> io::Result<Listing> {
    let mut listing = Listing::default();
    let mut visited = BTreeSet::new();
    walk(root, Path::new(""), &mut visited, &mut listing)?;
    Ok(listing)
}

fn walk(
    root: &Path,
    below: &Path,
    visited: &mut BTreeSet<(u64, u64)>,
    listing: &mut Listing,
) -> io::Result<()> {
    let directory = root.join(below);
    let identity = fs::metadata(&directory)?;
    // Links can make loops.
    if !visited.insert((identity.dev(), identity.ino())) {
        return Ok(());
    }
    for entry in fs::read_dir(&directory)? {
        let name = entry?.file_name();
        if name.as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let relative = below.join(&name);
        // Follows links. What vanished meanwhile is not there.
        let Ok(metadata) = fs::metadata(root.join(&relative)) else {
            continue;
        };
        if metadata.is_dir() {
            if let Err(error) = walk(root, &relative, visited, listing) {
                listing.failed.push((relative, error));
            }
        } else if metadata.is_file() && is_manifest(&relative) {
            listing.files.insert(relative, fingerprint(&metadata));
        }
    }
    Ok(())
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
