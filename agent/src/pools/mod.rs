//! Which addresses Services of type LoadBalancer get, and from which pools.
//!
//! [`allocate`] is a function of the [`State`] alone: all AddressPools, all Services with the addresses that their status has
//! now, the labels of namespaces. It gives every Service's addresses or the reason why it has none, and what is left in every
//! pool. The controller calls it whenever the state changed and writes what differs into statuses; it remembers nothing, and
//! after a restart takes over what is there.
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

pub mod annotations;
mod books;
pub mod condition;
mod kubernetes;
mod plan;
mod refusal;
mod request;
pub mod reserved;
mod round;
mod sharing;
mod space;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use self::books::Books;
use self::plan::Plan;
use self::request::Classless;
use self::round::{Given, Round};
use self::space::Space;
use crate::cluster::{Atom, LoadBalancerIngress, ObjectKey};
use crate::crd::IpFamily;
use crate::crd::address_pool::{AddressPoolSpec, PoolUsage};
use crate::crd::selector::Labels;

pub use annotations::{Asked, AskedAddresses, AskedPool, Namespaces, Sharing};
pub use condition::{ADDRESS_ASSIGNED, Condition, Statement};
pub(crate) use kubernetes::RawPoolService;
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

    /// Whether the status of the Service that was decided upon says the same already.
    pub fn is_written(&self, request: &Request) -> bool {
        let held = request.held();
        self.release.is_empty() && self.addresses().all(|address| held.contains(&address))
    }
}

/// Decides about all addresses of all Services.
pub fn allocate(state: &State) -> Allocation {
    let cluster_ips = state.services.iter();
    let cluster_ips =
        cluster_ips.flat_map(|(key, r)| r.cluster_ips.iter().map(move |ip| (key, *ip)));
    let mut reserved = reserved::external_ips(state);
    reserved.extend_from_slice(&state.reserved);
    let space = Space::new(
        state.pools.values().map(Arc::as_ref),
        &state.unknown_pools,
        &reserved,
        cluster_ips,
    );
    let foreign = foreign(state);
    let plans = plans(state, &space);
    let mut by_age: Vec<usize> = (0..plans.len()).collect();
    by_age.sort_by(|a, b| {
        let age = |at: usize| (plans[at].request.created, &plans[at].request.key);
        age(*a).cmp(&age(*b))
    });
    let mut by_turn = by_age.clone();
    by_turn.sort_by_key(|at| plans[*at].turn());
    // Services that a round took something from, because they cannot have all they need.
    let mut keeps = vec![true; plans.len()];
    let round = loop {
        let mut round = Round::new(&plans, &space, Books::new(&space, &foreign));
        round.keep(by_age.iter().copied().filter(|at| keeps[*at]));
        let mut last = true;
        for at in &by_turn {
            if round.serve(*at) {
                keeps[*at] = false;
                last = false;
            }
        }
        if last {
            break round;
        }
    };
    report(state, &space, &plans, &round)
}

/// The addresses that are not ours to give: in the status of Services of another class, those in `Proxy` mode, and what Services
/// of unknown namespaces have.
fn foreign(state: &State) -> HashMap<IpAddr, &ObjectKey> {
    let classless = state.classless();
    let mut foreign = HashMap::new();
    // Backwards, so that of two Services the first by name stays.
    for (key, request) in state.services.iter().rev() {
        let all = match state.ownership(request, classless) {
            Err(
                NotOurs::Class(_) | NotOurs::NoClass | NotOurs::NoPools | NotOurs::UnknownNamespace,
            ) => true,
            Err(NotOurs::Type(_)) | Ok(_) => false,
        };
        let ingress = request.ingress.iter().filter(|i| all || i.proxy);
        foreign.extend(ingress.map(|i| (i.ip, key)));
    }
    foreign
}

/// The plans of all Services that are ours, in the order of the state.
fn plans<'a>(state: &'a State, space: &Space<'a>) -> Vec<Plan<'a>> {
    let classless = state.classless();
    let services = state.services.values();
    let ours = services.filter_map(|request| {
        let namespace = state.ownership(request, classless).ok()?;
        Some(Plan::new(request, namespace, space))
    });
    ours.collect()
}

fn report(state: &State, space: &Space<'_>, plans: &[Plan<'_>], round: &Round<'_>) -> Allocation {
    let mut allocation = Allocation::default();
    for (at, territory) in space.pools.iter().enumerate() {
        let usage = |family| {
            let assigned = round.books.assigned(at, family) as u128;
            let open = assigned - round.books.assigned_of_reserved(at, family) as u128;
            let available = territory.open(family).saturating_sub(open);
            PoolUsage {
                total: saturating(assigned.saturating_add(available)),
                assigned: saturating(assigned),
                available: saturating(available),
            }
        };
        let report = PoolReport {
            ipv4: usage(IpFamily::Ipv4),
            ipv6: usage(IpFamily::Ipv6),
            overlaps: territory.overlaps.clone(),
            reserved: territory.reserved.clone(),
            holding_reserved: Vec::new(),
            refused: Vec::new(),
            waiting: Vec::new(),
        };
        allocation.pools.insert(territory.pool.name.clone(), report);
    }
    for (plan, given) in plans.iter().zip(&round.given) {
        if let Some(Refusal::Exhausted { pools, .. }) = &given.refusal {
            for pool in pools {
                if let Some(report) = allocation.pools.get_mut(&**pool) {
                    report.waiting.push(plan.request.key.clone());
                }
            }
        }
        let decision = decision(space, plan, given);
        if let Some(refusal) = decision.refusal()
            && let Some(pool) = plan.pool_asked_for(space)
            && let Some(report) = allocation.pools.get_mut(pool)
        {
            let refused = (plan.request.key.clone(), refusal.clone());
            report.refused.push(refused);
        }
        for address in decision.addresses().filter(|a| space.is_reserved(*a)) {
            let pool = space.pool_of(address).map(|pool| space.name(pool));
            if let Some(report) = pool.and_then(|pool| allocation.pools.get_mut(pool)) {
                report
                    .holding_reserved
                    .push((plan.request.key.clone(), address));
            }
        }
        allocation
            .services
            .insert(plan.request.key.clone(), decision);
    }
    let classless = state.classless();
    for (key, request) in &state.services {
        if let Err(why) = state.ownership(request, classless) {
            let release = match why {
                NotOurs::Type(_) => inside(space, request).collect(),
                // What another load balancer gave out is not ours, even if it is of a pool.
                NotOurs::Class(_)
                | NotOurs::NoClass
                | NotOurs::NoPools
                | NotOurs::UnknownNamespace => Box::default(),
            };
            let outcome = Outcome::NotOurs(why);
            allocation
                .services
                .insert(key.clone(), Decision { outcome, release });
        }
    }
    allocation
}

/// The addresses in the status of a Service that are of a pool.
fn inside(space: &Space<'_>, request: &Request) -> impl Iterator<Item = IpAddr> {
    let held = request.held().into_iter();
    held.filter(|address| space.pool_of(*address).is_some())
}

/// What a round came to for a Service of ours.
fn decision(space: &Space<'_>, plan: &Plan<'_>, given: &Given) -> Decision {
    let families = &plan.families.wanted;
    let place = |address: &IpAddr| families.iter().position(|f| *f == IpFamily::of(*address));
    let mut addresses = given.addresses.clone();
    let asked = plan.asked.as_deref().unwrap_or_default();
    addresses.sort_by_key(|a| (place(a), asked.iter().position(|x| x == a), *a));
    let has = |family| addresses.iter().any(|a| IpFamily::of(*a) == family);
    // An address of no pool may be one that a pool had once, or that another load balancer gave out: it is replaced, and not
    // taken away before there is a replacement.
    let replaced = |address: IpAddr| {
        let family = IpFamily::of(address);
        !addresses.is_empty() && (has(family) || !families.contains(&family))
    };
    let held = plan.request.held();
    // Who needs several and cannot have all of them has none.
    let is_loser = addresses.is_empty() && plan.needs_several();
    let loses_all = is_loser && held.iter().any(|a| space.pool_of(*a).is_some());
    let release = held.into_iter().filter(|address| {
        let is_ours = space.pool_of(*address).is_some() || replaced(*address) || loses_all;
        !addresses.contains(address) && is_ours
    });
    let release = release.collect();
    let assignments = addresses.iter().filter_map(|address| {
        let (pool, pool_is) = match plan.lost_pool_of(*address, space) {
            Some(lost) => lost,
            None => (space.name(space.pool_of(*address)?), PoolIs::Known),
        };
        Some(Assignment {
            address: *address,
            pool: pool.into(),
            pool_is,
        })
    });
    let outcome = match &given.refusal {
        Some(refusal) if addresses.is_empty() => Outcome::Refused(refusal.clone()),
        missing => Outcome::Assigned {
            addresses: assignments.collect(),
            missing: missing.clone(),
        },
    };
    Decision { outcome, release }
}

/// A count for a status, whose numbers are of 64 bits.
fn saturating(count: u128) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
