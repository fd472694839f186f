//! Which addresses Services of type LoadBalancer get, and from which pools.
//!
//! [`allocate`] is a function of the [`State`] alone: all AddressPools, all Services with the addresses that their status has
//! now, the labels of namespaces. It gives every Service's addresses or the reason why it has none, and what is left in every
//! pool. The controller writes what differs into statuses; it remembers nothing, and after a restart takes over what is there.
//! So that a Service costs the controller the decision on that Service, an [`Allocator`] keeps the allocation up to date: what
//! it says is what the function says of the same state.
//!
//! What always holds:
//!
//! - An address has two owners only if [their sharing](sharing) allows it.
//! - What is in a status stays there as long as the Service may have it. Of two that may not both have it, the older keeps it.
//! - No Service moves because another comes or goes.
//! - No Service gets an address that is [somebody's](reserved): a Node's, a peer's, a pod's, a cluster IP. One that has such an
//!   address keeps it.
//! - A Service that asks for certain addresses gets those or none.
//! - A Service whose AddressPool was deleted, or is not known, keeps its addresses, as long as its [`condition`] names the pool.
//! - Equal states lead to equal allocations, and an allocation that is written to the statuses leads to itself.
//!
//! Pools are never listed address by address: see [`space`].

mod allocator;
pub mod annotations;
mod books;
pub mod condition;
mod kubernetes;
mod plan;
mod refusal;
mod report;
mod request;
pub mod reserved;
mod round;
mod sharing;
mod space;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use routelet_api::address_pool::{AddressPoolSpec, PoolUsage};
use routelet_api::selector::Labels;

use self::request::Classless;
use crate::cluster::{Atom, LoadBalancerIngress, ObjectKey};

pub use allocator::Allocator;
pub use annotations::{Asked, AskedAddresses, AskedPool, Namespaces, Sharing};
pub use condition::{ADDRESS_ASSIGNED, Condition, Statement};
pub use kubernetes::RawPoolService;
pub use refusal::{Refusal, Unfit};
pub use request::{Created, IpFamilyPolicy, NotOurs, Port, Request};
pub use reserved::{ExternalIps, Holder, Reserved};
pub use sharing::Unshared;
pub use space::Overlap;

/// An AddressPool that passed the validation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pool {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.creationTimestamp`: of two pools that overlap, the older keeps what both claim; of two of one age, the first
    /// by name.
    pub created: Created,
    /// `spec`.
    pub spec: AddressPoolSpec,
}

/// Everything that decides about addresses. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// By name.
    pub pools: BTreeMap<String, Arc<Pool>>,
    /// The names of AddressPools that exist and of which no valid version is known, so that nobody knows their addresses.
    pub unknown_pools: BTreeSet<String>,
    /// All Services, of whatever type and class.
    pub services: BTreeMap<ObjectKey, Arc<Request>>,
    /// Labels of namespaces, by name. One that is missing is not known, or not yet.
    pub namespaces: BTreeMap<String, Arc<Labels>>,
    /// What Nodes and Peers have, in any order. Cluster IPs and external IPs are those of `services`.
    pub reserved: Vec<Reserved>,
    /// Which external IPs Advertisements allow, in any order.
    pub external_ips: Vec<ExternalIps>,
}

impl State {
    /// What becomes of Services without a class.
    fn classless(&self) -> Classless {
        let is_any = !self.pools.is_empty() || !self.unknown_pools.is_empty();
        match self.pools.values().all(|pool| pool.spec.require_class) {
            _ if !is_any => Classless::Unserved,
            true => Classless::Others,
            false => Classless::Ours,
        }
    }

    /// The labels of the namespace of a Service that gets addresses from us; or why it is none.
    fn ownership(&self, request: &Request, classless: Classless) -> Result<&Arc<Labels>, NotOurs> {
        request.ownership(classless)?;
        let labels = self.namespaces.get(&*request.key.namespace);
        labels.ok_or(NotOurs::UnknownNamespace)
    }
}

/// What comes out: for every Service of the state, and every pool.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Allocation {
    /// By namespace and name.
    pub services: BTreeMap<ObjectKey, Decision>,
    /// By name.
    pub pools: BTreeMap<String, PoolReport>,
}

/// The decision on one Service. Its status is right if it has all addresses that are assigned, and none that are to be
/// released; other entries are not ours to judge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What it has, or why not.
    pub outcome: Outcome,
    /// Addresses that its status has and must lose.
    pub release: Box<[IpAddr]>,
}

/// What a Service has, or why it has nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It has addresses.
    Assigned {
        /// At least one: in the order of the Service's families.
        addresses: Box<[Assignment]>,
        /// Why it has none of the other family, if it would like one.
        missing: Option<Refusal>,
    },
    /// It has none.
    Refused(Refusal),
    /// It is not for us to give it any.
    NotOurs(NotOurs),
}

/// An address, and where it is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The address.
    pub address: IpAddr,
    /// The AddressPool.
    pub pool: Atom,
    /// What is known of the AddressPool.
    pub pool_is: PoolIs,
}

/// What is known of the AddressPool of an address that a Service has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolIs {
    /// Its valid version.
    Known,
    /// That it exists, but no valid version: the Service keeps the address, as nothing says that it may not.
    Unknown,
    /// That it was deleted: the Service keeps the address.
    Deleted,
}

/// What there is to say of a pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolReport {
    /// IPv4 addresses, counted, without what older pools keep and what is reserved, unless a Service has it.
    pub ipv4: PoolUsage,
    /// The same of IPv6.
    pub ipv6: PoolUsage,
    /// Its blocks that older pools claim too.
    pub overlaps: Vec<Overlap>,
    /// What of its addresses is somebody's, ascending.
    pub reserved: Vec<Reserved>,
    /// The Services that have such an address all the same.
    pub holding_reserved: Vec<(ObjectKey, IpAddr)>,
    /// The Services that ask for the pool, or an address of it, and get nothing, with the reason.
    pub refused: Vec<(ObjectKey, Refusal)>,
    /// The Services that miss an address because none is free, here or in another pool that they may have one of. The pool
    /// is exhausted if there are any.
    pub waiting: Vec<ObjectKey>,
}

impl Decision {
    /// The addresses that the Service has.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let addresses = match &self.outcome {
            Outcome::Assigned { addresses, .. } => &**addresses,
            Outcome::Refused(_) | Outcome::NotOurs(_) => &[],
        };
        addresses.iter().map(|assignment| assignment.address)
    }

    /// The same, as long as some of its addresses cannot be assigned yet.
    pub fn without(&self, is_early: impl Fn(&IpAddr) -> bool) -> Self {
        let mut decision = self.clone();
        if let Outcome::Assigned { addresses, .. } = &mut decision.outcome {
            let now = addresses.iter().filter(|one| !is_early(&one.address));
            *addresses = now.cloned().collect();
        }
        decision
    }

    /// What stands in the status of the Service that was decided upon once this is written: our addresses first, then what
    /// else stands there, entries of other load balancers and addresses that nothing replaces.
    pub fn ingress(&self, request: &Request) -> Vec<LoadBalancerIngress> {
        let ours: Vec<IpAddr> = self.addresses().collect();
        let others = request.ingress.iter().filter(|entry| {
            entry.proxy || !(ours.contains(&entry.ip) || self.release.contains(&entry.ip))
        });
        let ours = ours.iter().map(|ip| LoadBalancerIngress {
            ip: *ip,
            proxy: false,
        });
        ours.chain(others.copied()).collect()
    }

    /// Why the Service has no address, if it is ours. One that has an address of a single family and prefers two has what it
    /// needs.
    pub fn refusal(&self) -> Option<&Refusal> {
        match &self.outcome {
            Outcome::Refused(refusal) => Some(refusal),
            Outcome::Assigned { .. } | Outcome::NotOurs(_) => None,
        }
    }

    /// Whether the status of the Service says the same already: as it was decided upon, or since then.
    pub fn is_written(&self, request: &Request) -> bool {
        let held = request.held();
        self.has_released(request) && self.addresses().all(|address| held.contains(&address))
    }

    /// Whether the status of the Service has lost all that it is to lose.
    pub fn has_released(&self, request: &Request) -> bool {
        let held = request.held();
        !held.iter().any(|address| self.release.contains(address))
    }
}

/// Decides about all addresses of all Services.
pub fn allocate(state: &State) -> Allocation {
    Allocator::new(state.clone()).into_allocation()
}
