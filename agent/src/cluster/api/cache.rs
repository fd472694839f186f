//! The index as watches fill it: pure, fed with their events, one after the other.
//!
//! What always holds, whatever a server sends and however often: an object goes only when it was seen to be gone, by a
//! deletion or by a complete list without it; a list that breaks off removes nothing; an object that cannot be used keeps
//! its last good version; and an event that says what is known changes nothing.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::DeserializeGuard;
use kube::runtime::watcher::Event;

use super::kinds::Watched;
use super::watches::Fed;
use crate::cluster::atom::Atoms;
use crate::cluster::kubernetes::Metadata;
use crate::cluster::snapshot::{Problem, Severity, Snapshot, SourceState};
use crate::cluster::state::{ClusterState, ObjectKey, ObjectRef};
use crate::cluster::validate::{self, Finding};

/// After so many objects have gone, texts that nobody has any more are looked for.
const SWEEP: usize = 4096;

/// One kind's watch.
#[derive(Debug, Default)]
struct Kind {
    /// A complete list was seen at some time.
    synced: bool,
    /// The objects of the list that comes in now.
    listed: Option<HashSet<ObjectKey>>,
    /// Why the watch does not get on at the moment.
    error: Option<String>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Cache {
    state: Arc<ClusterState>,
    atoms: Atoms,
    kinds: BTreeMap<&'static str, Kind>,
    problems: HashMap<ObjectRef, Problem>,
    gone: usize,
    changed: bool,
}

impl Cache {
    /// An empty index of these kinds.
    pub(super) fn new(kinds: &[&'static str]) -> Self {
        Self {
            state: Arc::default(),
            atoms: Atoms::default(),
            kinds: kinds.iter().map(|kind| (*kind, Kind::default())).collect(),
            problems: HashMap::new(),
            gone: 0,
            changed: true,
        }
    }

    /// Takes an event of a kind's watch in.
    pub(super) fn event<K: Watched>(&mut self, event: Event<DeserializeGuard<K>>) {
        match event {
            Event::Init => {
                let kind = self.kinds.entry(K::KIND).or_default();
                kind.listed = Some(HashSet::new());
            }
            Event::InitApply(object) => {
                let key = self.store(object);
                let kind = self.kinds.entry(K::KIND).or_default();
                kind.listed.get_or_insert_default().insert(key);
            }
            Event::InitDone => self.listed::<K>(),
            Event::Apply(object) => {
                self.store(object);
            }
            Event::Delete(object) => {
                let key = self.key::<K>(object.meta());
                self.remove::<K>(&key);
            }
        }
    }

    /// The snapshot, if it is another than the one that was taken last.
    pub(super) fn take(&mut self) -> Option<Snapshot> {
        std::mem::take(&mut self.changed).then(|| self.snapshot())
    }

    fn snapshot(&self) -> Snapshot {
        let mut problems: Vec<Problem> = self.problems.values().cloned().collect();
        problems.extend(
            validate::references(&self.state)
                .into_iter()
                .map(|(object, finding)| problem(object, finding, false)),
        );
        problems.extend(
            validate::selections(&self.state)
                .into_iter()
                .map(|(object, finding)| Problem {
                    severity: Severity::Warning,
                    ..problem(object, finding, false)
                }),
        );
        problems.sort_by(|a, b| (&a.object, &a.path).cmp(&(&b.object, &b.path)));
        let waiting_for =
            self.kinds
                .iter()
                .filter_map(|(name, kind)| match (&kind.error, kind.synced) {
                    (Some(error), false) => {
                        Some(format!("{name} objects cannot be listed: {error}"))
                    }
                    (Some(error), true) => {
                        Some(format!("{name} objects cannot be watched: {error}"))
                    }
                    (None, false) => Some(format!("{name} objects are not listed yet")),
                    (None, true) => None,
                });
        Snapshot {
            state: Arc::clone(&self.state),
            problems: Arc::new(problems),
            source: Arc::new(SourceState {
                synced: self.kinds.values().all(|kind| kind.synced),
                waiting_for: waiting_for.collect(),
            }),
        }
    }

    fn key<K: Watched>(&mut self, meta: &ObjectMeta) -> ObjectKey {
        if K::NAMESPACED {
            return meta.key(&mut self.atoms);
        }
        ObjectKey {
            namespace: self.atoms.atom(""),
            name: self.atoms.atom(meta.name()),
        }
    }

    fn reference<K: Watched>(key: &ObjectKey) -> ObjectRef {
        ObjectRef {
            kind: K::KIND.into(),
            namespace: key.namespace.clone(),
            name: key.name.clone(),
        }
    }

    /// Puts an object in the place of its last version, if it is any good.
    fn store<K: Watched>(&mut self, DeserializeGuard(object): DeserializeGuard<K>) -> ObjectKey {
        let (key, value) = match object {
            Ok(object) => (self.key::<K>(object.meta()), object.value(&mut self.atoms)),
            Err(invalid) => (
                self.key::<K>(&invalid.metadata),
                Err(Finding {
                    path: String::new(),
                    reason: format!("cannot be read: {}", invalid.error),
                }),
            ),
        };
        let reference = Self::reference::<K>(&key);
        match value {
            Ok(Some(value)) => {
                self.changed |= self.problems.remove(&reference).is_some();
                let place = K::key(&key);
                // Looked at before it is touched: touching may copy the index.
                let known = K::look(&self.state).get(&place);
                if known.is_none_or(|known| **known != value) {
                    let state = Arc::make_mut(&mut self.state);
                    K::map(state).insert(place, Arc::new(value));
                    self.changed = true;
                }
            }
            Ok(None) => self.remove::<K>(&key),
            Err(finding) => {
                let kept = K::look(&self.state).contains_key(&K::key(&key));
                let found = problem(reference.clone(), finding, kept);
                self.changed |= self.problems.get(&reference) != Some(&found);
                self.problems.insert(reference, found);
            }
        }
        key
    }

    fn remove<K: Watched>(&mut self, key: &ObjectKey) {
        self.changed |= self.problems.remove(&Self::reference::<K>(key)).is_some();
        let place = K::key(key);
        if K::look(&self.state).contains_key(&place) {
            K::map(Arc::make_mut(&mut self.state)).remove(&place);
            self.changed = true;
            self.gone += 1;
        }
        if self.gone >= SWEEP {
            self.gone = 0;
            self.atoms.sweep();
        }
    }

    /// A list is complete: what it does not hold is gone.
    fn listed<K: Watched>(&mut self) {
        let kind = self.kinds.entry(K::KIND).or_default();
        self.changed |= !kind.synced;
        kind.synced = true;
        let listed = kind.listed.take().unwrap_or_default();
        let atoms = &mut self.atoms;
        let known = K::look(&self.state).keys();
        let gone: Vec<K::Key> = known
            .filter(|key| !listed.contains(&K::object(key, atoms)))
            .cloned()
            .collect();
        if !gone.is_empty() {
            let map = K::map(Arc::make_mut(&mut self.state));
            for key in &gone {
                map.remove(key);
            }
            self.changed = true;
        }
        let problems = self.problems.len();
        self.problems.retain(|object, _| {
            object.kind != K::KIND
                || listed.contains(&ObjectKey {
                    namespace: object.namespace.clone(),
                    name: object.name.clone(),
                })
        });
        self.changed |= self.problems.len() != problems;
        self.atoms.sweep();
    }
}

impl Fed for Cache {
    fn failed(&mut self, kind: &'static str, error: String) -> bool {
        let kind = self.kinds.entry(kind).or_default();
        let news = kind.error.as_ref() != Some(&error);
        kind.error = Some(error);
        self.changed |= news;
        news
    }

    fn recovered(&mut self, kind: &'static str) {
        let kind = self.kinds.entry(kind).or_default();
        self.changed |= kind.error.take().is_some();
    }
}

fn problem(object: ObjectRef, finding: Finding, kept: bool) -> Problem {
    Problem {
        severity: Severity::Error,
        file: None,
        line: None,
        object: Some(object),
        path: finding.path,
        reason: finding.reason,
        kept,
    }
}
