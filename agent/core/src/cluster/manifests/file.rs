//! One file: its documents, and the last good version of each that is broken now.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::document::{Fault, Parsed, parse};
use super::item::Item;
use super::split::Document;
use super::tree::Tree;
use crate::cluster::atom::Atoms;
use crate::cluster::snapshot::{Problem, Severity};
use crate::cluster::state::ObjectRef;
use crate::cluster::unreadable::{Instead, Meanwhile};
use bgp::os_error::OsError;

/// A version of a document that is in force.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) item: Item,
    pub(super) line: u32,
    pub(super) tree: Option<Arc<Tree>>,
    /// Hash of the document and lines before it, if it holds this object alone and no line of it is looked up later.
    source: Option<(u64, u32)>,
    /// Not from the file as it is now: the document is broken, and this is its last good version.
    kept: bool,
}

/// One file.
#[derive(Debug, Default)]
pub(super) struct File {
    /// Hash of what was read; `None` if it could not be.
    pub(super) content: Option<u64>,
    pub(super) entries: Vec<(ObjectRef, Entry)>,
    pub(super) problems: Vec<Problem>,
}

impl File {
    /// It is there but cannot be opened or read: everything of it stays in force, as of an API server that is unreachable. Of
    /// one that is read and is not text, what may stay of unreadable objects ([`Instead`]) stays: it may be any of them. Returns
    /// whether anything is different.
    pub(super) fn unreadable(&mut self, path: &Path, error: &io::Error) -> bool {
        let mut is_of_some = false;
        // The reader of documents says so of what is not UTF-8.
        if error.kind() == io::ErrorKind::InvalidData {
            let before = std::mem::take(&mut self.entries);
            // Those that went when it was looked at before have gone for the same reason.
            is_of_some = self
                .problems
                .iter()
                .any(|known| known.meanwhile == Some(Meanwhile::LastGoodOfSome))
                || !before.iter().all(|(object, _)| is_last_good(object));
            let left = before.iter().filter_map(|(o, e)| without_content(o, e));
            self.entries = left.collect();
        }
        let meanwhile = match is_of_some {
            true => Some(Meanwhile::LastGoodOfSome),
            false => (!self.entries.is_empty()).then_some(Meanwhile::LastGood),
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
        self.content = None;
        let problems = vec![problem];
        let changed = self.problems != problems;
        self.problems = problems;
        changed
    }
}

/// A file while it is read: new entries beside the old ones, which may be needed again.
pub(super) struct Reading<'a> {
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
    pub(super) fn new(path: &'a Path, before: &'a [(ObjectRef, Entry)]) -> Self {
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
    pub(super) fn document(&mut self, document: &Document, fingerprint: u64, atoms: &mut Atoms) {
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
    pub(super) fn finish(mut self, content: u64) -> File {
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

/// Tells texts apart.
pub(super) fn hash(text: &str) -> u64 {
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
