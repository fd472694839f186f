//! The state of the cluster as the controller caches it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Instant;

use kube::runtime::watcher::Event;
use routelet_api::{AddressPool, Advertisement, Peer, RoutePolicy, Router};
use routelet_core::cluster::DEPARTED_STAYS as STAYS;
use routelet_core::cluster::watched::{WatchedNamespace, WatchedNode, WatchedPoolService};
use routelet_core::pools::{ExternalIps, Pool, Reserved, State};

use super::custom_object::CustomObject;
use super::kubernetes::{Namespace, NodeAddresses, Served};
use super::objects::{Objects, Stored};
use super::sessions::Sessions;
use super::store::{Key, Store, key};
use crate::reasons;
use crate::sources::{Failure, Received, Scope, WatchTarget};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct ControllerCache {
    pub(super) objects: Objects,
    pub(super) nodes: Store<NodeAddresses>,
    /// Nodes that were deleted, what they had, and until when nobody else gets it: the machine may go on for a while.
    departed: BTreeMap<String, (NodeAddresses, Instant)>,
    pub(super) namespaces: Store<Namespace>,
    pub(super) services: Store<Served>,
    pub(super) states: Store<Sessions>,
    /// What addresses depend on and has changed since this was taken.
    pub(super) changes: Changes,
    /// Services that have changed while they were written: what is to be written follows with the newer version.
    pub(super) outdated: HashSet<Key>,
    /// Why a kind's watch does not get on at the moment.
    errors: BTreeMap<&'static str, String>,
}

/// What addresses depend on and has changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// Something that decides about all Services, or nobody knows what.
    pub(super) of_all: bool,
    /// These Services.
    pub(super) services: BTreeSet<Key>,
}

impl Changes {
    /// Whether there are any.
    pub(super) fn is_any(&self) -> bool {
        self.of_all || !self.services.is_empty()
    }
}

impl ControllerCache {
    /// Whether everything was listed once.
    pub(super) fn synced(&self) -> bool {
        self.kinds().all(|(_, synced)| synced)
    }

    fn kinds(&self) -> impl Iterator<Item = (&'static str, bool)> {
        let objects = self.objects.kinds().into_iter();
        objects.chain([
            ("Node", self.nodes.synced()),
            ("Namespace", self.namespaces.synced()),
            ("Service", self.services.synced()),
            ("RouterState", self.states.synced()),
        ])
    }

    /// What is not known, or not kept up to date at the moment, in words.
    pub(super) fn waiting_for(&self) -> Vec<String> {
        let error = |kind| self.errors.get(kind).map(String::as_str);
        reasons::of_watches(
            self.kinds()
                .map(|(kind, synced)| (kind, error(kind), synced)),
        )
    }

    /// What addresses are handed out by.
    pub(super) fn address_state(&self) -> State {
        State {
            pools: self
                .objects
                .pools
                .iter()
                .filter_map(|((_, name), pool)| {
                    let object = pool.good.as_ref()?;
                    let pool = Pool {
                        name: name.clone(),
                        created: pool.created,
                        spec: object.spec.clone(),
                    };
                    Some((name.clone(), Arc::new(pool)))
                })
                .collect(),
            unknown_pools: self.unknown_pools(),
            services: self
                .services
                .values()
                .map(|served| (served.request.key.clone(), Arc::clone(&served.request)))
                .collect(),
            namespaces: self
                .namespaces
                .iter()
                .map(|((_, name), labels)| (name.clone(), Arc::clone(&labels.0)))
                .collect(),
            reserved: self.reserved(),
            external_ips: self.external_ips(),
        }
    }

    /// What Advertisements allow of external IPs.
    fn external_ips(&self) -> Vec<ExternalIps> {
        let all = self.objects.advertisements.values();
        all.filter_map(|object| ExternalIps::of_advertisement(&object.good.as_ref()?.spec))
            .collect()
    }

    /// What is no Service's.
    pub(super) fn reserved(&self) -> Vec<Reserved> {
        let departed = self.departed.values().map(|(node, _)| node);
        let nodes = self.nodes.values().chain(departed);
        let nodes = nodes.flat_map(|node| node.0.iter().cloned());
        let peers = self.objects.peers.iter().filter_map(|((_, name), peer)| {
            let object = peer.good.as_ref()?;
            Some(Reserved::of_peer(name, &object.spec))
        });
        nodes.chain(peers.flatten()).collect()
    }

    /// Takes in what happened to a Node. Nodes change all the time; what they have, hardly ever.
    pub(super) fn node_event(&mut self, event: Event<Received<WatchedNode>>, now: Instant) {
        let may_go = matches!(event, Event::Delete(_) | Event::InitDone);
        let before: Vec<(String, NodeAddresses)> = match may_go {
            true => self
                .nodes
                .iter()
                .map(|((_, name), a)| (name.clone(), a.clone()))
                .collect(),
            false => Vec::new(),
        };
        let addresses = |node: &NodeAddresses| Arc::clone(&node.0);
        self.changes.of_all |= self.nodes.event_changing(event, addresses);
        for (name, mut addresses) in before {
            if self.nodes.named(&name).is_none() {
                // It may have been made again, and have gone before it had all of it.
                if let Some((earlier, until)) = self.departed.get(&name)
                    && now < *until
                {
                    addresses.bridge(earlier);
                }
                self.departed.insert(name, (addresses, now + STAYS));
            }
        }
    }

    /// Forgets what deleted Nodes had, once it is time.
    pub(super) fn forget_departed(&mut self, now: Instant) {
        let before = self.departed.len();
        self.departed.retain(|_, (_, until)| now < *until);
        self.changes.of_all |= self.departed.len() != before;
    }

    /// Takes in what happened to an object that people write.
    pub(super) fn object_event<K: AllocationInput>(&mut self, event: Event<Received<K>>) {
        self.changes.of_all |= K::event(K::store(&mut self.objects), event);
    }

    /// Takes in what happened to a namespace.
    pub(super) fn namespace_event(&mut self, event: Event<Received<WatchedNamespace>>) {
        let labels = |namespace: &Namespace| Arc::clone(&namespace.0);
        self.changes.of_all |= self.namespaces.event_changing(event, labels);
    }

    /// Takes in what happened to a Service. What was written here is known already when it comes back.
    pub(super) fn service_event(&mut self, event: Event<Received<WatchedPoolService>>) {
        let object = match &event {
            Event::Apply(object) | Event::InitApply(object) | Event::Delete(object) => Some(object),
            Event::Init | Event::InitDone => None,
        };
        let object = object.map(|object| key(object.metadata()));
        // It is the version that a write was refused for.
        let is_awaited = object
            .as_ref()
            .is_some_and(|object| self.outdated.remove(object));
        let request = |served: &Served| (Arc::clone(&served.request), served.generation);
        let is_other = self.services.event_changing(event, request);
        match object {
            _ if !(is_awaited || is_other) => {}
            Some(object) => {
                self.changes.services.insert(object);
            }
            // A list in which some are not.
            None => self.changes.of_all = true,
        }
    }

    /// The pools that are not known as they are or were: what is in no pool may be in one of those.
    pub(super) fn unknown_pools(&self) -> BTreeSet<String> {
        let unknown = self
            .objects
            .pools
            .iter()
            .filter(|(_, pool)| pool.good.is_none());
        unknown.map(|((_, name), _)| name.clone()).collect()
    }
}

/// What addresses depend on of a kind that people write.
pub(super) trait AllocationInput: Stored {
    /// Takes an event in. Returns whether it changes what addresses depend on: by default, they do not depend on the
    /// kind.
    fn event(store: &mut Store<CustomObject<Self>>, event: Event<Received<Self>>) -> bool {
        store.event(event);
        false
    }
}

impl AllocationInput for Router {}

impl AllocationInput for RoutePolicy {}

impl AllocationInput for Peer {
    fn event(store: &mut Store<CustomObject<Self>>, event: Event<Received<Self>>) -> bool {
        store.event_changing(event, |peer| {
            let spec = &peer.good.as_ref()?.spec;
            Some([spec.address, spec.local_address])
        })
    }
}

impl AllocationInput for Advertisement {
    fn event(store: &mut Store<CustomObject<Self>>, event: Event<Received<Self>>) -> bool {
        store.event_changing(event, |object| {
            ExternalIps::of_advertisement(&object.good.as_ref()?.spec)
        })
    }
}

impl AllocationInput for AddressPool {
    /// That its status was written, by us, changes nothing.
    fn event(store: &mut Store<CustomObject<Self>>, event: Event<Received<Self>>) -> bool {
        store.event_changing(event, |pool| (pool.created, pool.good.clone()))
    }
}

impl WatchTarget for ControllerCache {
    fn failed(&mut self, scope: &Scope, failure: Failure) -> bool {
        let error = failure.why;
        let before = self.errors.insert(scope.kind, error.clone());
        before.as_ref() != Some(&error)
    }

    fn recovered(&mut self, scope: &Scope) {
        self.errors.remove(scope.kind);
    }
}
