//! Manifests that are read once: of directories, of single files, of standard input.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::split::Documents;
use super::store::Store;
use super::tree::Tree;
use super::{ManifestsError, Snapshot, directory, directory_problem, document};

/// What stands for standard input where a path is asked for, and what that is called.
const STDIN: [&str; 2] = ["-", "standard input"];

/// The files that there are. Each is read when its objects are asked for.
pub struct Files {
    /// By the name that problems give them, ascending.
    files: BTreeMap<PathBuf, Text>,
    /// Directories below those asked for that cannot be listed.
    failed: Vec<(PathBuf, io::Error)>,
}

enum Text {
    At(PathBuf),
    Of(Vec<u8>),
}

impl Files {
    /// Finds all files of directories; takes other files whatever they are called; reads standard input for `-`. Names are
    /// relative to the directory if it is the only path.
    ///
    /// # Errors
    /// A path that cannot be read.
    pub fn find(paths: &[PathBuf]) -> Result<Self, ManifestsError> {
        let mut found = Self {
            files: BTreeMap::new(),
            failed: Vec::new(),
        };
        for path in paths {
            let add = found.add(path, paths.len() == 1);
            add.map_err(|source| ManifestsError::Path {
                path: path.clone(),
                source: source.into(),
            })?;
        }
        Ok(found)
    }

    fn add(&mut self, path: &Path, is_only: bool) -> io::Result<()> {
        let [stdin, name] = STDIN;
        if path == Path::new(stdin) {
            let mut text = Vec::new();
            io::stdin().lock().read_to_end(&mut text)?;
            self.files.insert(name.into(), Text::Of(text));
        } else if fs::metadata(path)?.is_dir() {
            let listing = directory::list(
                path,
                directory::Look::Notified,
                &mut directory::Names::default(),
            )?;
            let name = |below: PathBuf| match is_only {
                true => below,
                false => path.join(below),
            };
            let files = listing.files.into_keys();
            self.files.extend(files.map(|below| {
                let file = path.join(&below);
                (name(below), Text::At(file))
            }));
            let failed = listing.failed.into_iter();
            self.failed
                .extend(failed.map(|(below, error)| (name(below), error)));
        } else {
            self.files.insert(path.into(), Text::At(path.into()));
        }
        Ok(())
    }

    /// The state that all of them make together. Everything that is wrong is in the snapshot.
    pub fn load(&self) -> Snapshot {
        let mut store = Store::default();
        let failed = self.failed.iter();
        store.directory(
            failed
                .map(|(path, error)| directory_problem(path, error))
                .collect(),
        );
        for (name, text) in &self.files {
            let read = text.open().and_then(|reader| store.read(name, reader));
            if let Err(error) = read {
                store.unreadable(name, &error);
            }
        }
        store.snapshot()
    }

    /// All objects of a kind as they are written, for questions that the state does not answer. What cannot be read is left
    /// out.
    pub fn objects<T: DeserializeOwned>(&self, (api_version, kind): (&str, &str)) -> Vec<T> {
        let mut found = Vec::new();
        for text in self.files.values() {
            let Ok(reader) = text.open() else { continue };
            let mut documents = Documents::new(reader);
            while let Ok(Some(document)) = documents.next() {
                let Ok(tree) = Tree::parse(&document.text, document.line) else {
                    continue;
                };
                document::each(tree, &mut |object| {
                    let says =
                        |field, value| object.field(field).and_then(Tree::text) == Some(value);
                    if says("apiVersion", api_version) && says("kind", kind) {
                        found.extend(object.read(false).ok());
                    }
                });
            }
        }
        found
    }
}

impl Text {
    fn open(&self) -> io::Result<Box<dyn BufRead + '_>> {
        Ok(match self {
            Self::At(path) => Box::new(BufReader::new(File::open(path)?)),
            Self::Of(text) => Box::new(&**text),
        })
    }
}
