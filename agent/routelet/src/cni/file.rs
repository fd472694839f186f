//! The file of the configuration list, in the directory that the container runtime reads.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use bgp::os_error::OsError;

/// The name of the file. Runtimes take the first of a directory's files by name, and usually no other.
pub(super) const NAME: &str = "10-routelet.conflist";

/// What is written before it gets its name. Runtimes read no file with this ending.
const DRAFT: &str = ".10-routelet.conflist.new";

/// Everybody may read: nothing in it is secret, and not every tool that asks runs as root.
const MODE: u32 = 0o644;

/// The endings of what runtimes read.
const ENDINGS: [&str; 3] = ["conf", "conflist", "json"];

/// Why the file is not as it should be: the directory is not what it should be, or the disk is full. It is tried again.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", .path.display())]
pub(super) struct FileError {
    path: PathBuf,
    source: OsError,
}

/// Names the path of an error of the kernel.
fn at(path: &Path) -> impl FnOnce(io::Error) -> FileError {
    move |source| FileError {
        path: path.to_owned(),
        source: source.into(),
    }
}

/// Makes the file what `text` says, if it is not that already, and returns whether it was written. The directory is
/// made if it is not there. Who reads meanwhile sees the old file or the new one, also after a power failure.
pub(super) fn write(directory: &Path, text: &str) -> Result<bool, FileError> {
    let path = directory.join(NAME);
    match fs::read(&path) {
        Ok(found) if found == text.as_bytes() => return Ok(false),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(directory).map_err(at(directory))?;
        }
        Err(error) => return Err(at(&path)(error)),
    }
    let draft = directory.join(DRAFT);
    // One that was left by a crash is in the way of `create_new`, which follows no link that somebody may have laid.
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(&draft)(error)),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(MODE)
        .open(&draft)
        .map_err(at(&draft))?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(at(&draft))?;
    fs::rename(&draft, &path).map_err(at(&path))?;
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(at(directory))?;
    Ok(true)
}

/// The names of files that runtimes read before ours, in their order. Nothing is there while the directory is not.
pub(super) fn before_ours(directory: &Path) -> Result<Vec<String>, FileError> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(at(directory))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry.map_err(at(directory))?.file_name();
        let ending = Path::new(&name).extension().and_then(OsStr::to_str);
        if ending.is_some_and(|ending| ENDINGS.contains(&ending))
            && name.as_os_str() < OsStr::new(NAME)
        {
            found.push(name.to_string_lossy().into_owned());
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn a_file_is_written_whole_and_an_equal_one_is_not_touched() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("cni/net.d");
        assert!(write(&directory, "one\n").unwrap());
        let path = directory.join(NAME);
        let first = fs::metadata(&path).unwrap();
        assert_eq!(first.permissions().mode() & 0o777, MODE);
        assert!(!write(&directory, "one\n").unwrap());
        let second = fs::metadata(&path).unwrap();
        assert_eq!(first.ino(), second.ino());
        assert_eq!(first.modified().unwrap(), second.modified().unwrap());

        assert!(write(&directory, "two\n").unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "two\n");
        assert_ne!(fs::metadata(&path).unwrap().ino(), second.ino(), "renamed");
        assert_eq!(names(&directory), [NAME], "and nothing is left beside it");
    }

    #[test]
    fn a_draft_that_is_left_over_is_replaced_and_never_followed() {
        let root = tempfile::tempdir().unwrap();
        let elsewhere = root.path().join("elsewhere");
        fs::write(&elsewhere, "precious").unwrap();
        symlink(&elsewhere, root.path().join(DRAFT)).unwrap();
        assert!(write(root.path(), "one\n").unwrap());
        assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "precious");
        let path = root.path().join(NAME);
        assert!(fs::symlink_metadata(&path).unwrap().is_file());
    }

    #[test]
    fn what_cannot_be_written_is_named() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file");
        fs::write(&file, "").unwrap();
        let error = write(&file, "one\n").unwrap_err().to_string();
        assert!(
            error.contains("file/10-routelet.conflist: Not a directory"),
            "{error}"
        );
    }

    #[test]
    fn files_that_win_over_ours_are_found() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(before_ours(&root.path().join("none")).unwrap(), [""; 0]);
        for name in [
            "10-flannel.conflist",
            "05-cilium.conf",
            "00-notes.txt",
            "10-routelet.conflist",
            "99-loopback.conf",
            DRAFT,
        ] {
            fs::write(root.path().join(name), "").unwrap();
        }
        assert_eq!(
            before_ours(root.path()).unwrap(),
            ["05-cilium.conf", "10-flannel.conflist"]
        );
    }
}
