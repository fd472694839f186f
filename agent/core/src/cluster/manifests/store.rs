//! All files, the last good version of each of their documents, and the state that they make.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hasher;
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::file::{Entry, File, Reading, hash};
use super::item::{Item, key};
use super::split::Documents;
use crate::cluster::atom::Atoms;
use crate::cluster::snapshot::{Problem, Severity, Snapshot, SourceState};
use crate::cluster::state::{ClusterState, ObjectRef};
use crate::cluster::validate;

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

    /// A file that is there but cannot be opened or read, or is not text ([`File::unreadable`]).
    pub(super) fn unreadable(&mut self, path: &Path, error: &io::Error) -> bool {
        let file = self.files.entry(path.to_owned()).or_default();
        file.unreadable(path, error)
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
