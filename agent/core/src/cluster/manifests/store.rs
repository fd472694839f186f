//! All files, the last good version of each of their documents, and the state that they make.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hasher;
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::document::{Fault, Parsed, parse};
use super::item::{Item, key};
use super::split::{Document, Documents};
use super::tree::Tree;
use crate::cluster::atom::Atoms;
use crate::cluster::snapshot::{Problem, Severity, Snapshot, SourceState};
use crate::cluster::state::{ClusterState, ObjectRef};
use crate::cluster::unreadable::{Instead, Meanwhile};
use crate::cluster::validate;
use bgp::os_error::OsError;

/// A version of a document that is in force.
#[derive(Clone, Debug)]
struct Entry {
    item: Item,
    line: u32,
    tree: Option<Arc<Tree>>,
    /// Hash of the document and lines before it, if it holds this object alone and no line of it is looked up later.
    source: Option<(u64, u32)>,
    /// Not from the file as it is now: the document is broken, and this is its last good version.
    kept: bool,
}

/// One file.
#[derive(Debug, Default)]
struct File {
    /// Hash of what was read; `None` if it could not be.
    content: Option<u64>,
    entries: Vec<(ObjectRef, Entry)>,
    problems: Vec<Problem>,
}

/// All files. Fed with what was found in the directory; hands out snapshots.
#[derive(Debug, Default)]
pub struct Store {
    files: BTreeMap<PathBuf, File>,
    /// The texts that objects share.
    atoms: Atoms,
    /// What is wrong with the directory itself.
    directory: Vec<Problem>,
    /// Why nobody says that it has changed.
    notifications: Option<Box<Problem>>,
}

impl Store {
    /// Takes in one file. Returns whether anything is different.
    ///
    /// A document that has not changed is not parsed again: what is read of a file of ten thousand objects of which one is
    /// another is that one.
    ///
    /// # Errors
    /// The reader's, and text that is not UTF-8; nothing has changed then.
    pub fn read(&mut self, path: &Path, text: impl BufRead) -> io::Result<bool> {
        let before = self.files.get(path);
        let mut reading = Reading::new(path, before.map_or(&[], |file| &file.entries));
        let mut documents = Documents::new(text);
        let mut content = DefaultHasher::new();
        while let Some(document) = documents.next()? {
            let fingerprint = hash(&document.text);
            content.write_u64(fingerprint);
            reading.document(&document, fingerprint, &mut self.atoms);
        }
        let content = content.finish();
        if before.is_some_and(|file| file.content == Some(content)) {
            return Ok(false);
        }
        let file = reading.finish(content);
        self.files.insert(path.to_owned(), file);
        Ok(true)
    }

    /// Forgets the texts that no object has any more.
    pub(super) fn sweep(&mut self) {
        self.atoms.sweep();
    }

    /// A file that is there but cannot be opened or read: everything of it stays in force, as of an API server that is
    /// unreachable. Of one that is read and is not text, what may stay of unreadable objects ([`Instead`]) stays: it may be any
    /// of them.
    pub(super) fn unreadable(&mut self, path: &Path, error: &io::Error) -> bool {
        let file = self.files.entry(path.to_owned()).or_default();
        let mut is_of_some = false;
        // The reader of documents says so of what is not UTF-8.
        if error.kind() == io::ErrorKind::InvalidData {
            let before = std::mem::take(&mut file.entries);
            // Those that went when it was looked at before have gone for the same reason.
            is_of_some = file
                .problems
                .iter()
                .any(|known| known.meanwhile == Some(Meanwhile::LastGoodOfSome))
                || !before.iter().all(|(object, _)| is_last_good(object));
            let left = before.iter().filter_map(|(o, e)| without_content(o, e));
            file.entries = left.collect();
        }
        let meanwhile = match is_of_some {
            true => Some(Meanwhile::LastGoodOfSome),
            false => (!file.entries.is_empty()).then_some(Meanwhile::LastGood),
        };
        let problem = Problem {
            severity: Severity::Error,
            file: Some(path.to_owned()),
            line: None,
            object: None,
            path: String::new(),
            reason: format!("cannot be read: {}", OsError::words(error)),
            meanwhile,
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
    pub fn directory(&mut self, problems: Vec<Problem>) -> bool {
        let changed = self.directory != problems;
        self.directory = problems;
        changed
    }

    /// Why nobody says that the directory has changed, if so.
    pub fn notifications(&mut self, problem: Option<Problem>) -> bool {
        let problem = problem.map(Box::new);
        let changed = self.notifications != problem;
        self.notifications = problem;
        changed
    }

    /// The state that all files make together, and all problems.
    pub fn snapshot(&self) -> Snapshot {
        let mut state = ClusterState::default();
        let mut problems = self.directory.clone();
        problems.extend(self.notifications.as_deref().cloned());
        let count = self.files.values().map(|file| file.entries.len()).sum();
        let mut seen: HashMap<&ObjectRef, (&Path, &Entry)> = HashMap::with_capacity(count);
        // Maps built from lists are dense; those that grow are half empty.
        let (mut services, mut slices) = (Vec::new(), Vec::new());
        for (path, file) in &self.files {
            problems.extend(file.problems.iter().cloned());
            for (object, entry) in &file.entries {
                if let Some((first, at)) = seen.get(object) {
                    problems.push(Problem {
                        severity: Severity::Error,
                        file: Some(path.clone()),
                        line: Some(entry.line),
                        object: Some(object.clone()),
                        path: String::new(),
                        reason: format!(
                            "is defined a second time; the first, at {}:{}, is used: remove one of them",
                            first.display(),
                            at.line
                        ),
                        meanwhile: None,
                    });
                    continue;
                }
                seen.insert(object, (path, entry));
                match &entry.item {
                    Item::Service(o) => services.push((key(object), Arc::clone(o))),
                    Item::EndpointSlice(o) => slices.push((key(object), Arc::clone(o))),
                    item => item.insert(&mut state, object),
                }
            }
        }
        state.services = services.into_iter().collect();
        state.endpoint_slices = slices.into_iter().collect();
        let references = validate::references(&state).into_iter();
        let references = references.map(|one| (Severity::Error, one));
        let selections = validate::selections(&state).into_iter();
        let selections = selections.map(|one| (Severity::Warning, one));
        for (severity, (object, finding)) in references.chain(selections) {
            if let Some((path, entry)) = seen.get(&object) {
                let line = entry.tree.as_ref().map(|t| t.line_of(&finding.path));
                problems.push(Problem {
                    severity,
                    file: Some(path.to_path_buf()),
                    line: line.or(Some(entry.line)),
                    object: Some(object),
                    path: finding.path,
                    reason: finding.reason,
                    meanwhile: None,
                });
            }
        }
        problems.sort_by(|a, b| (&a.file, a.line, &a.path).cmp(&(&b.file, b.line, &b.path)));
        Snapshot {
            state: Arc::new(state),
            problems: Arc::new(problems),
            source: Arc::new(SourceState {
                synced: true,
                waiting_for: Vec::new(),
                watches: Vec::new(),
            }),
        }
    }
}

/// A file while it is read: new entries beside the old ones, which may be needed again.
struct Reading<'a> {
    path: &'a Path,
    /// The old entries that nothing new has replaced, the first of each object.
    old: HashMap<&'a ObjectRef, &'a Entry>,
    /// Those whose document needs not be read again if it is still the same.
    by_source: HashMap<u64, &'a (ObjectRef, Entry)>,
    entries: Vec<(ObjectRef, Entry)>,
    problems: Vec<Problem>,
    broken: Vec<(Option<ObjectRef>, Vec<Fault>)>,
}

impl<'a> Reading<'a> {
    fn new(path: &'a Path, before: &'a [(ObjectRef, Entry)]) -> Self {
        let sources = before
            .iter()
            .filter_map(|entry| Some((entry.1.source?.0, entry)));
        Self {
            path,
            old: before.iter().rev().map(|(o, e)| (o, e)).collect(),
            by_source: sources.collect(),
            entries: Vec::with_capacity(before.len()),
            problems: Vec::new(),
            broken: Vec::new(),
        }
    }

    /// Takes in a document, by its text or as it was read before.
    fn document(&mut self, document: &Document, fingerprint: u64, atoms: &mut Atoms) {
        if let Some((object, entry)) = self.by_source.get(&fingerprint)
            && let Some((_, first)) = entry.source
        {
            let entry = Entry {
                line: entry.line - first + document.line,
                source: Some((fingerprint, document.line)),
                ..entry.clone()
            };
            return self.good(object.clone(), entry);
        }
        let parsed = parse(document, atoms);
        let alone = parsed.len() == 1;
        for found in parsed {
            match found {
                Parsed::Good(object, item, line, tree) => {
                    // The lines of a tree are those of the file, which may move.
                    let again = alone && tree.is_none();
                    let entry = Entry {
                        item,
                        line,
                        tree,
                        source: again.then_some((fingerprint, document.line)),
                        kept: false,
                    };
                    self.good(object, entry);
                }
                Parsed::Bad(object, faults) => self.broken.push((object, faults)),
                Parsed::LeftOut(object, fault) => {
                    let meanwhile = Some(Meanwhile::LeftOut);
                    let found = (Severity::Error, Some(object), fault, meanwhile);
                    self.problems.push(problem(self.path, found));
                }
                Parsed::Odd(object, fault) => {
                    let found = (Severity::Warning, object, fault, None);
                    self.problems.push(problem(self.path, found));
                }
                Parsed::Other => {}
            }
        }
    }

    fn good(&mut self, object: ObjectRef, entry: Entry) {
        self.old.remove(&object);
        self.entries.push((object, entry));
    }

    /// The file as it is now, with what counts of that which is broken.
    fn finish(mut self, content: u64) -> File {
        // A broken document without a name may be any of those that are missing now.
        let nameless = self.broken.iter().any(|(object, _)| object.is_none());
        for (object, faults) in std::mem::take(&mut self.broken) {
            let meanwhile = match &object {
                Some(object) => {
                    let line = faults.first().map_or(1, |fault| fault.line);
                    self.instead(object, line)
                }
                None => {
                    let is_kept = self.old.keys().any(|object| is_last_good(object));
                    is_kept.then_some(Meanwhile::LastGood)
                }
            };
            let path = self.path;
            self.problems.extend(faults.into_iter().map(|fault| {
                let found = (Severity::Error, object.clone(), fault, meanwhile);
                problem(path, found)
            }));
        }
        if nameless {
            let old = self.old.drain();
            let mut rest: Vec<_> = old.filter_map(|(o, e)| without_content(o, e)).collect();
            rest.sort_unstable_by(|a, b| a.0.cmp(&b.0));
            self.entries.append(&mut rest);
        }
        if self.entries.iter().any(|(_, entry)| entry.kept) {
            tracing::debug!(file = %self.path.display(), "keeps the last good version of broken documents");
        }
        self.entries.shrink_to_fit();
        File {
            content: Some(content),
            entries: self.entries,
            problems: self.problems,
        }
    }

    /// What counts of an object whose document, at this line, is broken.
    fn instead(&mut self, object: &ObjectRef, line: u32) -> Option<Meanwhile> {
        match Instead::of(&object.kind) {
            Instead::LastGood => {
                let last_good = self.old.remove_entry(object).map(keep);
                let is_known = last_good.is_some();
                self.entries.extend(last_good);
                is_known.then_some(Meanwhile::LastGood)
            }
            Instead::Nothing(meanwhile) => {
                self.old.remove(object);
                let is_good = self.entries.iter().any(|(known, _)| known == object);
                if object.kind == "Namespace" && !is_good {
                    self.entries.push(unknown_labels(object, line));
                }
                Some(meanwhile)
            }
        }
    }
}

/// Whether the last good version of an object counts while it cannot be read.
fn is_last_good(object: &ObjectRef) -> bool {
    Instead::of(&object.kind) == Instead::LastGood
}

/// What counts of an object that may be one that cannot be read.
fn without_content(object: &ObjectRef, entry: &Entry) -> Option<(ObjectRef, Entry)> {
    match Instead::of(&object.kind) {
        Instead::LastGood => Some(keep((object, entry))),
        Instead::Nothing(Meanwhile::NotSelected) => Some(unknown_labels(object, entry.line)),
        Instead::Nothing(_) => None,
    }
}

/// A Namespace whose labels cannot be read: without an entry, it would count as one that has none.
fn unknown_labels(object: &ObjectRef, line: u32) -> (ObjectRef, Entry) {
    let entry = Entry {
        item: Item::Namespace(Arc::new(None)),
        line,
        tree: None,
        source: None,
        kept: false,
    };
    (object.clone(), entry)
}

fn keep((object, entry): (&ObjectRef, &Entry)) -> (ObjectRef, Entry) {
    let kept = Entry {
        source: None,
        kept: true,
        ..entry.clone()
    };
    (object.clone(), kept)
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(text.as_bytes());
    hasher.finish()
}

fn problem(
    path: &Path,
    (severity, object, fault, meanwhile): (Severity, Option<ObjectRef>, Fault, Option<Meanwhile>),
) -> Problem {
    Problem {
        severity,
        file: Some(path.to_owned()),
        line: Some(fault.line),
        object,
        path: fault.path,
        reason: fault.reason,
        meanwhile,
    }
}
