//! The index as watches fill it: pure, fed with their events, one after the other.
//!
//! What always holds, whatever a server sends and however often: an object goes only when it was seen to be gone
//! ([`Listing`]); of an object that cannot be used, what the rule of its kind says is in force ([`Instead`]); and an
//! event that says what is known changes nothing.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::runtime::watcher::Event;
use routelet_core::cluster::Indexed;
use routelet_core::cluster::atom::Atoms;
use routelet_core::cluster::kubernetes::Metadata;
use routelet_core::cluster::snapshot::{Problem, Severity, Snapshot, SourceState};
use routelet_core::cluster::state::{ClusterState, ObjectKey, ObjectRef, ObjectSource};
use routelet_core::cluster::unreadable::{Instead, Meanwhile};
use routelet_core::cluster::validate::{self, Finding};

use super::listing::{Listing, WatchChange};
use super::received::Received;
use super::secrets::SecretRequests;
use super::watches::{Failure, Scope, WatchTarget};
use crate::reasons;

/// After so many objects have gone, texts that nobody has any more are looked for.
const SWEEP: usize = 4096;

/// One kind's watch.
#[derive(Debug, Default)]
struct Kind {
    listing: Listing<ObjectKey>,
    /// Why the watch does not get on at the moment.
    error: Option<String>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Cache {
    pub(super) state: Arc<ClusterState>,
    pub(super) atoms: Atoms,
    kinds: BTreeMap<&'static str, Kind>,
    pub(super) secrets: SecretRequests,
    /// Objects without any are not in it.
    problems: HashMap<ObjectRef, Vec<Problem>>,
    gone: usize,
    pub(super) changed: bool,
    /// What is said of selectors, and of which state: they look at many objects, and most events change none of those.
    selections: (ClusterState, Vec<Problem>),
}

impl Cache {
    /// An empty index of these kinds.
    pub(crate) fn new(kinds: impl IntoIterator<Item = &'static str>) -> Self {
        Self {
            state: Arc::new(ClusterState {
                source: ObjectSource::ApiServer,
                ..ClusterState::default()
            }),
            atoms: Atoms::default(),
            kinds: kinds
                .into_iter()
                .map(|kind| (kind, Kind::default()))
                .collect(),
            secrets: SecretRequests::default(),
            problems: HashMap::new(),
            gone: 0,
            changed: true,
            selections: Default::default(),
        }
    }

    /// The namespace that its Secrets are of.
    pub(crate) fn of_namespace(mut self, namespace: &str) -> Self {
        Arc::make_mut(&mut self.state).secrets_namespace = Some(namespace.into());
        self
    }

    /// What is known now.
    pub(super) fn state(&self) -> &ClusterState {
        &self.state
    }

    /// Whether each kind of which all objects are watched was listed to its end.
    pub(super) fn is_listed(&self) -> bool {
        self.kinds.values().all(|kind| kind.listing.is_synced())
    }

    /// The same of those of these kinds that are watched.
    pub(super) fn has_listed(&self, kinds: &[&str]) -> bool {
        let mut watched = self.kinds.iter().filter(|(kind, _)| kinds.contains(kind));
        watched.all(|(_, kind)| kind.listing.is_synced())
    }

    /// Takes an event of a kind's watch in.
    pub(crate) fn event<K: Indexed>(&mut self, event: Event<Received<K>>) {
        let kind = self.kinds.entry(K::KIND).or_default();
        let was_synced = kind.listing.is_synced();
        let atoms = &mut self.atoms;
        let change = kind
            .listing
            .event(event, |object| key::<K>(object.metadata(), atoms));
        match change {
            Some(WatchChange::Put(object)) => self.store(object),
            Some(WatchChange::Remove(object)) => {
                let key = key::<K>(object.metadata(), &mut self.atoms);
                self.remove::<K>(&key);
            }
            Some(WatchChange::Keep(listed)) => {
                self.changed |= !was_synced;
                self.keep::<K>(&listed);
            }
            None => {}
        }
    }

    /// The snapshot, if it is another than the one that was taken last.
    pub(crate) fn take(&mut self) -> Option<Snapshot> {
        std::mem::take(&mut self.changed).then(|| self.snapshot())
    }

    pub(crate) fn snapshot(&mut self) -> Snapshot {
        self.look_at_selections();
        let mut problems: Vec<Problem> = self.problems.values().flatten().cloned().collect();
        problems.extend(
            validate::references(&self.state)
                .into_iter()
                .map(|(object, finding)| problem(object, finding, None)),
        );
        problems.extend(self.selections.1.iter().cloned());
        problems.sort_by(|a, b| (&a.object, &a.path).cmp(&(&b.object, &b.path)));
        let kinds = self.kinds.iter();
        let kinds =
            kinds.map(|(name, kind)| (*name, kind.error.as_deref(), kind.listing.is_synced()));
        let secrets = (!self.secrets.is_empty()).then(|| {
            let is_answered = self.secrets.are_answered();
            ("Secret", self.secrets.error(), is_answered)
        });
        let watches: Vec<(&'static str, Option<&str>, bool)> = kinds.chain(secrets).collect();
        Snapshot {
            state: Arc::clone(&self.state),
            problems: Arc::new(problems),
            source: Arc::new(SourceState {
                synced: self.is_listed() && self.secrets.are_answered(),
                waiting_for: reasons::of_watches(watches.iter().copied()),
                watches: watches
                    .into_iter()
                    .map(|(kind, error, _)| (kind, error.is_some()))
                    .collect(),
            }),
        }
    }

    fn look_at_selections(&mut self) {
        let (of, now) = (&self.selections.0, &self.state);
        let is_same = of.routers.ptr_eq(&now.routers)
            && of.peers.ptr_eq(&now.peers)
            && of.advertisements.ptr_eq(&now.advertisements)
            && of.nodes.ptr_eq(&now.nodes)
            && of.services.ptr_eq(&now.services)
            && of.namespaces.ptr_eq(&now.namespaces);
        if is_same {
            return;
        }
        let found = validate::selections(now).into_iter();
        let found = found.map(|(object, finding)| Problem {
            severity: Severity::Warning,
            ..problem(object, finding, None)
        });
        self.selections = (ClusterState::clone(now), found.collect());
    }

    fn reference<K: Indexed>(key: &ObjectKey) -> ObjectRef {
        ObjectRef {
            kind: K::KIND.into(),
            namespace: key.namespace.clone(),
            name: key.name.clone(),
        }
    }

    /// Puts an object in the place of its last version, if it is any good.
    pub(super) fn store<K: Indexed>(&mut self, object: Received<K>) {
        let key = key::<K>(object.metadata(), &mut self.atoms);
        let reference = Self::reference::<K>(&key);
        let mut left_out = Vec::new();
        let value = match object.0 {
            Ok(object) => object.value(&mut self.atoms, &mut left_out),
            Err(unreadable) if K::HIDDEN => {
                let findings = unreadable.findings.into_iter();
                let hidden = findings.map(|finding| Finding {
                    reason: "cannot be read: expected text in base64; what was found is not shown"
                        .to_owned(),
                    ..finding
                });
                Err(hidden.collect())
            }
            Err(unreadable) => Err(unreadable.findings(|rest| {
                let mut left_out = Vec::new();
                rest.value(&mut self.atoms, &mut left_out)
                    .err()
                    .unwrap_or_default()
            })),
        };
        let problem = |(finding, meanwhile)| problem(reference.clone(), finding, meanwhile);
        let found = match value {
            Ok(mut value) => {
                let known = K::look(&self.state).get(&K::key(&key));
                if let (Some(known), Some(new)) = (known, &mut value) {
                    K::bridge(known, new);
                }
                self.hold::<K>(&key, value);
                let left_out = left_out.into_iter();
                left_out
                    .map(|f| problem((f, Some(Meanwhile::LeftOut))))
                    .collect()
            }
            Err(findings) => {
                let meanwhile = match Instead::of(K::KIND) {
                    Instead::LastGood => K::look(&self.state)
                        .contains_key(&K::key(&key))
                        .then_some(Meanwhile::LastGood),
                    Instead::Nothing(meanwhile) => {
                        self.hold::<K>(&key, K::unknown());
                        Some(meanwhile)
                    }
                };
                let findings = findings.into_iter();
                findings.map(|f| problem((f, meanwhile))).collect()
            }
        };
        self.say(reference, found);
    }

    /// What the index holds of an object from now on.
    fn hold<K: Indexed>(&mut self, key: &ObjectKey, value: Option<K::Value>) {
        let place = K::key(key);
        // Looked at before it is touched: touching may copy the index.
        let known = K::look(&self.state).get(&place);
        match value {
            Some(value) if known.is_none_or(|known| **known != value) => {
                let state = Arc::make_mut(&mut self.state);
                K::map(state).insert(place, Arc::new(value));
                self.changed = true;
            }
            None if known.is_some() => {
                K::map(Arc::make_mut(&mut self.state)).remove(&place);
                self.changed = true;
                self.gone += 1;
            }
            Some(_) | None => {}
        }
    }

    /// What is wrong with an object from now on.
    fn say(&mut self, object: ObjectRef, found: Vec<Problem>) {
        let known = self.problems.get(&object).map_or(&[][..], |known| known);
        if known == found {
            return;
        }
        self.changed = true;
        if found.is_empty() {
            self.problems.remove(&object);
        } else {
            self.problems.insert(object, found);
        }
    }

    pub(super) fn remove<K: Indexed>(&mut self, key: &ObjectKey) {
        self.say(Self::reference::<K>(key), Vec::new());
        self.hold::<K>(key, None);
        if self.gone >= SWEEP {
            self.gone = 0;
            self.atoms.sweep();
        }
    }

    /// A list is complete: what it does not hold is gone.
    fn keep<K: Indexed>(&mut self, listed: &HashSet<ObjectKey>) {
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

impl WatchTarget for Cache {
    fn failed(&mut self, scope: &Scope, failure: Failure) -> bool {
        if let Some(name) = &scope.name {
            return self.secret_fails(name, Some(failure));
        }
        let error = failure.why;
        let kind = self.kinds.entry(scope.kind).or_default();
        let news = kind.error.as_ref() != Some(&error);
        kind.error = Some(error);
        self.changed |= news;
        news
    }

    fn recovered(&mut self, scope: &Scope) {
        if let Some(name) = &scope.name {
            self.secret_fails(name, None);
            return;
        }
        let kind = self.kinds.entry(scope.kind).or_default();
        self.changed |= kind.error.take().is_some();
    }
}

/// The identity of an object.
fn key<K: Indexed>(meta: &ObjectMeta, atoms: &mut Atoms) -> ObjectKey {
    if K::NAMESPACED {
        return meta.key(atoms);
    }
    ObjectKey {
        namespace: atoms.atom(""),
        name: atoms.atom(meta.name()),
    }
}

fn problem(object: ObjectRef, finding: Finding, meanwhile: Option<Meanwhile>) -> Problem {
    Problem {
        severity: Severity::Error,
        file: None,
        line: None,
        object: Some(object),
        path: finding.path,
        reason: finding.reason,
        meanwhile,
    }
}
