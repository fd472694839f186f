//! What is kept of a Node, a Namespace and a Service: what addresses depend on, and what survives a version that lacks
//! it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use routelet_api::selector::Labels;
use routelet_core::cluster::Atoms;
use routelet_core::cluster::watched::{WatchedNamespace, WatchedNode};
use routelet_core::pools::{Request, Reserved};

use super::store::Reduced;
use crate::sources::Unreadable;
pub(super) use routelet_core::cluster::watched::WatchedPoolService;

/// What a Node has that no Service may get: its addresses and pod CIDRs.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct NodeAddresses(pub(super) Arc<Vec<Reserved>>);

impl NodeAddresses {
    /// Takes over what is missing. A gap is no decision: what is freed for a moment is assigned for good. Addresses and
    /// pod CIDRs each for itself, as in `Node::bridge`.
    pub(super) fn bridge(&mut self, before: &Self) {
        for is_kind in [Reserved::is_node_address, Reserved::is_pod_cidr] {
            if !self.0.iter().any(is_kind) {
                let known = before.0.iter().filter(|one| is_kind(one));
                Arc::make_mut(&mut self.0).extend(known.cloned());
            }
        }
    }
}

impl Reduced for NodeAddresses {
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
pub(super) struct Namespace(pub(super) Arc<Labels>);

impl Reduced for Namespace {
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

impl Reduced for Served {
    type Object = WatchedPoolService;

    /// The answer to a write is newer than the watch, until the watch has caught up. The older version is not taken
    /// back: by it, an address that was just given away would be free.
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
    /// Whether it is what a write of ours has answered a moment ago, and newer. Versions of one object can be compared
    /// as numbers (KEP-5504); those that are none are taken as they come, and so are all after a while: a server that
    /// was restored from a backup goes on with lower ones.
    fn is_newer_than(&self, other: &Self) -> bool {
        let number = |served: &Self| served.version.as_ref()?.parse::<u128>().ok();
        self.written.is_some_and(|at| at.elapsed() < ON_ITS_WAY)
            && self.uid == other.uid
            && number(self)
                .zip(number(other))
                .is_some_and(|(own, others)| own > others)
    }
}
