//! Objects as they are written, for questions that the cluster state does not answer.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use serde::de::DeserializeOwned;

use super::split::Documents;
use super::tree::Tree;
use super::{ManifestsError, directory, document};

/// Reads all objects of a kind, in the order of files and documents. What cannot be read is left out: [`load`](super::load)
/// says what is wrong with it.
///
/// # Errors
/// If the directory cannot be listed.
pub(crate) fn objects<T: DeserializeOwned>(
    root: &Path,
    (api_version, kind): (&str, &str),
) -> Result<Vec<T>, ManifestsError> {
    let listing = directory::list(root).map_err(|source| ManifestsError::Directory {
        path: root.to_owned(),
        source,
    })?;
    let mut found = Vec::new();
    for path in listing.files.keys() {
        let Ok(file) = File::open(root.join(path)) else {
            continue;
        };
        let mut documents = Documents::new(BufReader::new(file));
        while let Ok(Some(text)) = documents.next() {
            let Ok(tree) = Tree::parse(&text.text) else {
                continue;
            };
            document::each(tree, &mut |object| {
                let says = |field, value| object.field(field).and_then(Tree::text) == Some(value);
                if says("apiVersion", api_version) && says("kind", kind) {
                    found.extend(object.read(false).ok());
                }
            });
        }
    }
    Ok(found)
}
