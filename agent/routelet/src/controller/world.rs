//! What the controller knows of the cluster, and the watches that tell it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, Resource};
use routelet_api::selector::Labels;
use routelet_api::{AddressPool, Advertisement, Peer, RoutePolicy, Router};
use routelet_core::cluster::DEPARTED_STAYS as STAYS;
use routelet_core::cluster::watched::{WatchedNamespace, WatchedNode};
use routelet_core::cluster::{Atoms, Indexed};
use routelet_core::pools::{ExternalIps, Pool, Request, Reserved, State};

use super::objects::{Objects, Stored};
use super::ours::Ours;
use super::sessions::Sessions;
use super::store::{Kept, Key, Store, key};
use crate::reasons;
use crate::sources::{Failure, Fed, Received, Scope, Unreadable, Watches};
pub(super) use routelet_core::cluster::watched::WatchedPoolService;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct World {
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

impl World {
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
    pub(super) fn object_event<K: Decides>(&mut self, event: Event<Received<K>>) {
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
pub(super) trait Decides: Stored {
    /// Takes an event in. Returns whether it changes what addresses depend on: by default, they do not depend on the kind.
    fn event(store: &mut Store<Ours<Self>>, event: Event<Received<Self>>) -> bool {
        store.event(event);
        false
    }
}

impl Decides for Router {}

impl Decides for RoutePolicy {}

impl Decides for Peer {
    fn event(store: &mut Store<Ours<Self>>, event: Event<Received<Self>>) -> bool {
        store.event_changing(event, |peer| {
            let spec = &peer.good.as_ref()?.spec;
            Some([spec.address, spec.local_address])
        })
    }
}

impl Decides for Advertisement {
    fn event(store: &mut Store<Ours<Self>>, event: Event<Received<Self>>) -> bool {
        store.event_changing(event, |object| {
            ExternalIps::of_advertisement(&object.good.as_ref()?.spec)
        })
    }
}

impl Decides for AddressPool {
    /// That its status was written, by us, changes nothing.
    fn event(store: &mut Store<Ours<Self>>, event: Event<Received<Self>>) -> bool {
        store.event_changing(event, |pool| (pool.created, pool.good.clone()))
    }
}

impl Fed for World {
    fn failed(&mut self, scope: &Scope, failure: Failure) -> bool {
        let error = failure.why;
        let before = self.errors.insert(scope.kind, error.clone());
        before.as_ref() != Some(&error)
    }

    fn recovered(&mut self, scope: &Scope) {
        self.errors.remove(scope.kind);
    }
}

/// The watches of the controller.
pub(super) fn watches(client: &Client) -> Watches<World> {
    fn all<K: Resource<DynamicType = ()>>(client: &Client) -> Api<Received<K>> {
        Api::all_with(client.clone(), &())
    }
    let mut watches = Watches::<World>::new();
    // The newest there is, once for each time that this replica becomes the one that works: what an older list does not have,
    // an address that another replica just gave, would be given again.
    let everything = watcher::Config::default;
    let of = Scope::all;
    macro_rules! written_by_people {
        ($($kind:ident $row:tt)*) => {
            $(watches.add(
                of(routelet_api::$kind::KIND),
                all(client),
                everything(),
                World::object_event::<routelet_api::$kind>,
            );)*
        };
    }
    routelet_api::kinds!(written_by_people);
    watches.add(of("Node"), all(client), everything(), |world, event| {
        world.node_event(event, Instant::now());
    });
    watches.add(
        of("Namespace"),
        all(client),
        everything(),
        World::namespace_event,
    );
    watches.add(
        of("Service"),
        all(client),
        everything(),
        World::service_event,
    );
    // Many, and nothing is decided by them.
    let states = everything().any_semantic();
    watches.add(of("RouterState"), all(client), states, |world, event| {
        world.states.event(event);
    });
    watches
}

/// What a Node has that no Service may get: its addresses and pod CIDRs.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct NodeAddresses(Arc<Vec<Reserved>>);

impl NodeAddresses {
    /// Takes over what is missing. A gap is no decision: what is freed for a moment is assigned for good. Addresses and pod CIDRs
    /// each for itself, as in `Node::bridge`.
    fn bridge(&mut self, before: &Self) {
        for is_kind in [Reserved::is_node_address, Reserved::is_pod_cidr] {
            if !self.0.iter().any(is_kind) {
                let known = before.0.iter().filter(|one| is_kind(one));
                Arc::make_mut(&mut self.0).extend(known.cloned());
            }
        }
    }
}

impl Kept for NodeAddresses {
    type Object = WatchedNode;

    fn keep(object: WatchedNode, before: Option<Self>) -> Option<Self> {
        let node = object.into_node(&mut Atoms::default(), &mut Vec::new());
        let mut now = Self(Arc::new(Reserved::of_node(&node)));
        if let Some(before) = &before {
            now.bridge(before);
        }
        Some(now)
    }

    /// It is there, and what is known of it stays known.
    fn unreadable(_: Unreadable<WatchedNode>, before: Option<Self>) -> Option<Self> {
        Some(before.unwrap_or_default())
    }
}

/// The labels of a namespace.
#[derive(Debug)]
pub(super) struct Namespace(Arc<Labels>);

impl Kept for Namespace {
    type Object = WatchedNamespace;

    fn keep(object: WatchedNamespace, _: Option<Self>) -> Option<Self> {
        Some(Self(Arc::new(object.into_namespace())))
    }
}

/// How long a watch may take to bring what was written.
const ON_ITS_WAY: Duration = Duration::from_secs(60);

/// A Service, as far as its addresses are concerned.
#[derive(Debug)]
pub(super) struct Served {
    /// What decides about its addresses.
    pub(super) request: Arc<Request>,
    /// `metadata.uid`.
    pub(super) uid: Option<String>,
    /// `metadata.resourceVersion`.
    pub(super) version: Option<String>,
    /// `metadata.generation`.
    pub(super) generation: Option<i64>,
    /// When a write of ours has answered this version.
    written: Option<Instant>,
}

impl Kept for Served {
    type Object = WatchedPoolService;

    /// What a write has answered is newer than what the watch tells until it gets there. The older version is not taken back:
    /// by it, an address that was just given away would be free.
    fn keep(object: WatchedPoolService, before: Option<Self>) -> Option<Self> {
        if object.is_unreadable() && before.is_some() {
            return before;
        }
        let found = Self {
            uid: object.metadata.uid.clone(),
            version: object.metadata.resource_version.clone(),
            generation: object.metadata.generation,
            written: None,
            request: Arc::new(object.into_request(&mut Atoms::default())),
        };
        match before {
            Some(before) if before.is_newer_than(&found) => Some(before),
            _ => Some(found),
        }
    }

    fn was_written(&mut self) {
        self.written = Some(Instant::now());
    }
}

impl Served {
    /// Whether it is what a write of ours has answered a moment ago, and newer. Versions of one object can be compared as numbers
    /// (KEP-5504); those that are none are taken as they come, and so are all after a while: a server that was restored from a
    /// backup goes on with lower ones.
    fn is_newer_than(&self, other: &Self) -> bool {
        let number = |served: &Self| served.version.as_ref()?.parse::<u128>().ok();
        self.written.is_some_and(|at| at.elapsed() < ON_ITS_WAY)
            && self.uid == other.uid
            && number(self)
                .zip(number(other))
                .is_some_and(|(own, others)| own > others)
    }
}
