//! All files, the last good version of each of their documents, and the state that they make.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::document::{Fault, Item, Parsed, parse};
use super::tree::Tree;
use super::{Problem, Severity, Snapshot};
use crate::cluster::state::{ClusterState, ObjectKey, ObjectRef};
use crate::cluster::validate;

/// A version of a document that is in force.
#[derive(Clone, Debug)]
struct Entry {
    item: Item,
    line: u32,
    tree: Option<Arc<Tree>>,
    /// Not from the file as it is now: the document is broken, and this is its last good version.
    kept: bool,
}

/// One file.
#[derive(Debug, Default)]
struct File {
    /// Length and hash of what was read; `None` if it could not be.
    content: Option<(usize, u64)>,
    entries: Vec<(ObjectRef, Entry)>,
    problems: Vec<Problem>,
}

/// All files. Fed with what was found in the directory; hands out snapshots.
#[derive(Debug, Default)]
pub(super) struct Store {
    files: BTreeMap<PathBuf, File>,
    /// What is wrong with the directory itself.
    directory: Vec<Problem>,
}

impl Store {
    /// Takes in one file's text. Returns whether anything is different.
    pub(super) fn read(&mut self, path: &Path, text: &str) -> bool {
        let mut hasher = DefaultHasher::new();
        hasher.write(text.as_bytes());
        let content = Some((text.len(), hasher.finish()));
        let file = self.files.entry(path.to_owned()).or_default();
        if file.content == content {
            return false;
        }
        file.content = content;
        file.replace(path, parse(text));
        true
    }

    /// A file that is there but cannot be read: everything of it stays in force.
    pub(super) fn unreadable(&mut self, path: &Path, error: &std::io::Error) -> bool {
        let file = self.files.entry(path.to_owned()).or_default();
        let problem = Problem {
            severity: Severity::Error,
            file: path.to_owned(),
            line: None,
            object: None,
            path: String::new(),
            reason: format!("cannot be read: {error}"),
            kept: !file.entries.is_empty(),
        };
        file.content = None;
        let problems = vec![problem];
        let changed = file.problems != problems;
        file.problems = problems;
        changed
    }

    /// Forgets the files that `keep` does not name.
    pub(super) fn retain(&mut self, keep: impl Fn(&Path) -> bool) -> bool {
        let before = self.files.len();
        self.files.retain(|path, _| keep(path));
        self.files.len() != before
    }

    /// What is wrong with the directory; the files stay as they are.
    pub(super) fn directory(&mut self, problems: Vec<Problem>) -> bool {
        let changed = self.directory != problems;
        self.directory = problems;
        changed
    }

    /// The state that all files make together, and all problems.
    pub(super) fn snapshot(&self) -> Snapshot {
        let mut state = ClusterState::default();
        let mut problems = self.directory.clone();
        let mut seen: BTreeMap<&ObjectRef, (&Path, &Entry)> = BTreeMap::new();
        for (path, file) in &self.files {
            problems.extend(file.problems.iter().cloned());
            for (object, entry) in &file.entries {
                if let Some((first, at)) = seen.get(object) {
                    problems.push(Problem {
                        severity: Severity::Error,
                        file: path.clone(),
                        line: Some(entry.line),
                        object: Some(object.clone()),
                        path: String::new(),
                        reason: format!(
                            "is defined a second time; the first, at {}:{}, is used: remove one of them",
                            first.display(),
                            at.line
                        ),
                        kept: false,
                    });
                    continue;
                }
                seen.insert(object, (path, entry));
                insert(&mut state, object, &entry.item);
            }
        }
        for (object, finding) in validate::references(&state) {
            if let Some((path, entry)) = seen.get(&object) {
                let line = entry.tree.as_ref().map(|t| t.line_of(&finding.path));
                problems.push(Problem {
                    severity: Severity::Error,
                    file: path.to_path_buf(),
                    line: line.or(Some(entry.line)),
                    object: Some(object),
                    path: finding.path,
                    reason: finding.reason,
                    kept: false,
                });
            }
        }
        problems.sort_by(|a, b| (&a.file, a.line, &a.path).cmp(&(&b.file, b.line, &b.path)));
        Snapshot {
            state: Arc::new(state),
            problems: Arc::new(problems),
            places: Arc::new(
                seen.into_iter()
                    .map(|(object, (path, entry))| (object.clone(), (path.to_owned(), entry.line)))
                    .collect(),
            ),
        }
    }
}

impl File {
    fn replace(&mut self, path: &Path, parsed: Vec<Parsed>) {
        let mut old: BTreeMap<ObjectRef, Entry> = std::mem::take(&mut self.entries)
            .into_iter()
            .rev()
            .collect();
        self.problems.clear();
        let mut broken = Vec::new();
        for document in parsed {
            match document {
                Parsed::Good(object, item, line, tree) => {
                    old.remove(&object);
                    let entry = Entry {
                        item,
                        line,
                        tree,
                        kept: false,
                    };
                    self.entries.push((object, entry));
                }
                Parsed::Bad(object, fault) => broken.push((object, fault)),
                Parsed::Odd(object, fault) => {
                    let problem = problem(path, Severity::Warning, object, fault, false);
                    self.problems.push(problem);
                }
                Parsed::Other => {}
            }
        }
        // A broken document without a name may be any of those that are missing now.
        let nameless = broken.iter().any(|(object, _)| object.is_none());
        for (object, fault) in broken {
            let last_good = object.as_ref().and_then(|o| old.remove_entry(o));
            let kept = last_good.is_some() || (object.is_none() && !old.is_empty());
            self.entries.extend(last_good.map(keep));
            let problem = problem(path, Severity::Error, object, fault, kept);
            self.problems.push(problem);
        }
        if nameless {
            self.entries.extend(old.into_iter().map(keep));
        }
        if self.entries.iter().any(|(_, entry)| entry.kept) {
            tracing::debug!(file = %path.display(), "keeps the last good version of broken documents");
        }
    }
}

fn keep((object, entry): (ObjectRef, Entry)) -> (ObjectRef, Entry) {
    let kept = Entry {
        kept: true,
        ..entry
    };
    (object, kept)
}

fn problem(
    path: &Path,
    severity: Severity,
    object: Option<ObjectRef>,
    fault: Fault,
    kept: bool,
) -> Problem {
    Problem {
        severity,
        file: path.to_owned(),
        line: Some(fault.line),
        object,
        path: fault.path,
        reason: fault.reason,
        kept,
    }
}

fn insert(state: &mut ClusterState, object: &ObjectRef, item: &Item) {
    let name = || object.name.clone();
    let key = || ObjectKey::new(object.namespace.as_str(), object.name.as_str());
    match item {
        Item::Router(o) => drop(state.routers.insert(name(), Arc::clone(o))),
        Item::Peer(o) => drop(state.peers.insert(name(), Arc::clone(o))),
        Item::Advertisement(o) => drop(state.advertisements.insert(name(), Arc::clone(o))),
        Item::Policy(o) => drop(state.policies.insert(name(), Arc::clone(o))),
        Item::Node(o) => drop(state.nodes.insert(name(), Arc::clone(o))),
        Item::Namespace(o) => drop(state.namespaces.insert(name(), Arc::clone(o))),
        Item::Service(o) => drop(state.services.insert(key(), Arc::clone(o))),
        Item::EndpointSlice(o) => drop(state.endpoint_slices.insert(key(), Arc::clone(o))),
    }
}
