//! Which Secrets a node needs, each asked for by its name, and what is known of each: pure.
//!
//! An agent may read Secrets by name alone (`resourceNames` of its Role), and asks for no other: those that Peers and
//! Routers that select its node name as passwords. One that was begun is followed for as long as anything names it, so
//! that a label that is missing for a moment ends no session.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::runtime::watcher::Event;
use routelet_api::{PasswordSpec, Peer, PeerSpec, Router, RouterSpec, selector};
use routelet_core::cluster::Indexed;
use routelet_core::cluster::atom::AtomMap;
use routelet_core::cluster::state::{Map, Node, Object, ObjectKey, UnreadSecret};
use routelet_core::cluster::watched::WatchedNode;

use super::cache::Cache;
use super::received::Received;
use super::watches::Failure;

#[cfg(test)]
mod tests;
mod watched;

pub(crate) use watched::WatchedSecret;

/// Why a Secret is not known between the question and the answer.
const UNANSWERED: &str = "the API server has not answered yet";

/// How long the API server refuses before that is its answer. One that has just started knows no roles for some seconds
/// and refuses everything (403), and one behind a load balancer may do so before it is synchronised with the others.
const REFUSES: Duration = Duration::from_secs(60);

/// What decides which Secrets a node needs.
const DECIDE: [&str; 3] = [WatchedNode::KIND, Router::KIND, Peer::KIND];

/// Which Secrets a node needs.
#[derive(Debug)]
pub(super) struct NeededSecrets {
    node: String,
    followed: BTreeSet<Arc<str>>,
    /// The node's labels, those from before included: what is missing may come back, and counts meanwhile.
    labels: AtomMap,
    /// What decided last.
    seen: Option<Seen>,
}

/// What decides which Secrets are needed.
#[derive(Debug)]
struct Seen {
    routers: Map<String, Arc<Object<RouterSpec>>>,
    peers: Map<String, Arc<Object<PeerSpec>>>,
    node: Option<Arc<Node>>,
}

/// Secrets to watch, and no longer to watch.
#[derive(Debug, Default, PartialEq)]
pub(super) struct SecretChanges {
    /// To be asked for.
    pub(super) begin: Vec<Arc<str>>,
    /// Not any more.
    pub(super) end: Vec<Arc<str>>,
}

impl NeededSecrets {
    /// Those of a node with these labels from before; none yet.
    pub(super) fn of(node: &str, labels: AtomMap) -> Self {
        Self {
            node: node.to_owned(),
            followed: BTreeSet::new(),
            labels,
            seen: None,
        }
    }

    /// Follows to what is known now; `None`: the same are needed. Before the [kinds that decide](DECIDE) were listed,
    /// none are: without its labels a node would be selected by what asks for nodes without a label, and ask for
    /// Secrets that it does not need.
    pub(super) fn follow(&mut self, cache: &Cache) -> Option<SecretChanges> {
        if !cache.has_listed(&DECIDE) {
            return None;
        }
        let state = cache.state();
        let node = state.nodes.get(&self.node);
        let is_same = self.seen.as_ref().is_some_and(|seen| {
            seen.routers.ptr_eq(&state.routers)
                && seen.peers.ptr_eq(&state.peers)
                && seen.node.as_ref() == node
        });
        if is_same {
            return None;
        }
        let none = AtomMap::default();
        let labels = node.map_or(&none, |node| &node.labels);
        self.labels = labels.with(&self.labels.without(labels));
        let routers = state.routers.values().map(|router| {
            let spec = &router.spec;
            let nodes = [Some(spec.node_selector.as_ref()), None];
            (spec.mesh.password.as_ref(), nodes)
        });
        let peers = state.peers.values().map(|peer| {
            let spec = &peer.spec;
            // The sessions with nodes exist at both ends.
            let others = spec.nodes.as_ref().map(|target| target.selector.as_ref());
            let nodes = [Some(spec.node_selector.as_ref()), others];
            (spec.password.as_ref(), nodes)
        });
        let mut named = BTreeSet::new();
        let mut begin = BTreeSet::new();
        for (password, nodes) in routers.chain(peers) {
            let Some(name) = password.and_then(name_of) else {
                continue;
            };
            named.insert(name);
            let mut nodes = nodes.into_iter().flatten();
            let selects = nodes.any(|nodes| {
                selector::selects(nodes, labels) || selector::selects(nodes, &self.labels)
            });
            if selects && !self.followed.contains(name) {
                begin.insert(name);
            }
        }
        let followed = self.followed.iter();
        let differing = SecretChanges {
            end: followed
                .filter(|name| !named.contains(name.as_ref()))
                .cloned()
                .collect(),
            begin: begin.into_iter().map(Arc::from).collect(),
        };
        self.followed.extend(differing.begin.iter().cloned());
        self.followed.retain(|name| !differing.end.contains(name));
        self.seen = Some(Seen {
            routers: state.routers.clone(),
            peers: state.peers.clone(),
            node: node.cloned(),
        });
        (differing != SecretChanges::default()).then_some(differing)
    }
}

fn name_of(password: &PasswordSpec) -> Option<&str> {
    password.secret_ref.as_ref().map(|of| of.name.as_str())
}

/// The state of requested Secrets, by name.
#[derive(Debug, Default)]
pub(super) struct SecretRequests(BTreeMap<Arc<str>, SecretRequest>);

#[derive(Debug, Default)]
struct SecretRequest {
    /// There was an answer, if only a refusal.
    is_answered: bool,
    /// It was seen to be there, or not to be.
    is_known: bool,
    /// The list that comes in now has it.
    is_listed: bool,
    /// Why its watch does not get on.
    error: Option<String>,
    /// Since when the API server has refused it, and said nothing else.
    refused_since: Option<Instant>,
}

impl SecretRequests {
    /// Whether there was an answer about each.
    pub(super) fn are_answered(&self) -> bool {
        self.0.values().all(|secret| secret.is_answered)
    }

    /// Why watches do not get on: the first reason.
    pub(super) fn error(&self) -> Option<&str> {
        self.0.values().find_map(|secret| secret.error.as_deref())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Cache {
    /// A Secret is asked for from now on.
    pub(super) fn begin_secret(&mut self, name: &Arc<str>) {
        self.secrets
            .0
            .insert(Arc::clone(name), SecretRequest::default());
        self.unread(name, Some((UNANSWERED, false)));
    }

    /// A Secret is not followed any more: what was known of it is forgotten.
    pub(super) fn end_secret(&mut self, name: &Arc<str>) {
        self.secrets.0.remove(name);
        self.unread(name, None);
        let key = self.secret_key(name);
        self.remove::<WatchedSecret>(&key);
    }

    /// Takes an event of the watch of one Secret in.
    pub(super) fn secret_event(&mut self, name: &Arc<str>, event: Event<Received<WatchedSecret>>) {
        let key = self.secret_key(name);
        let is_named = |object: &Received<WatchedSecret>| {
            object.metadata().name.as_deref() == Some(name.as_ref())
        };
        let Some(asked) = self.secrets.0.get_mut(name) else {
            return;
        };
        match event {
            Event::Init => asked.is_listed = false,
            Event::InitApply(object) if is_named(&object) => {
                asked.is_listed = true;
                self.store(object);
            }
            Event::InitDone => {
                let is_listed = std::mem::take(&mut asked.is_listed);
                self.changed |= !asked.is_answered;
                asked.is_answered = true;
                asked.is_known = true;
                self.unread(name, None);
                if !is_listed {
                    self.remove::<WatchedSecret>(&key);
                }
            }
            Event::Apply(object) if is_named(&object) => {
                self.store(object);
            }
            Event::Delete(object) if is_named(&object) => self.remove::<WatchedSecret>(&key),
            // Of another name than was asked for.
            Event::InitApply(_) | Event::Apply(_) | Event::Delete(_) => {}
        }
    }

    /// Whether a state that is whole otherwise waits for the answer about a Secret.
    pub(super) fn awaits_secrets(&self) -> bool {
        self.is_listed() && !self.secrets.are_answered()
    }

    /// The watch of a Secret does not get on, or does again. Returns whether that is news.
    pub(super) fn secret_fails(&mut self, name: &Arc<str>, failure: Option<Failure>) -> bool {
        let Some(asked) = self.secrets.0.get_mut(name) else {
            return false;
        };
        let error = failure.as_ref().map(|failure| failure.why.clone());
        let is_news = asked.error != error;
        self.changed |= is_news || !asked.is_answered;
        asked.error = error;
        let Some(Failure {
            why,
            is_refusal,
            at,
        }) = failure
        else {
            asked.refused_since = None;
            return is_news;
        };
        asked.is_answered = true;
        asked.refused_since = match is_refusal {
            true => asked.refused_since.or(Some(at)),
            false => None,
        };
        let since = asked.refused_since;
        let is_refused = since.is_some_and(|since| at.duration_since(since) >= REFUSES);
        // What is known stays in force.
        if !asked.is_known {
            self.unread(name, Some((&why, is_refused)));
        }
        is_news
    }

    fn secret_key(&mut self, name: &str) -> ObjectKey {
        ObjectKey {
            namespace: self.atoms.atom(""),
            name: self.atoms.atom(name),
        }
    }

    /// Why it is not known, and whether it is refused for good.
    fn unread(&mut self, name: &str, why: Option<(&str, bool)>) {
        let known = self.state.unread_secrets.get(name);
        if known.map(|known| (&*known.why, known.is_refused)) == why {
            return;
        }
        let unread = &mut Arc::make_mut(&mut self.state).unread_secrets;
        match why {
            Some((why, is_refused)) => {
                let why = why.into();
                unread.insert(name.to_owned(), UnreadSecret { why, is_refused })
            }
            None => unread.remove(name),
        };
        self.changed = true;
    }
}
