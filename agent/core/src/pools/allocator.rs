//! The allocation, kept up to date at the cost of what changed.
//!
//! A Service whose outcome depends on nobody else ([`Given::depends_on_others`]) is settled: its addresses stand in the books,
//! and it is looked at again only if it changes, or if an older Service turns up that has one of its addresses. Everybody else
//! is decided upon at every change, as a round does it, beside the settled ones: those that have just been given something and
//! whose status does not say so yet, and those that wait.
//!
//! Changes of what decides about all, pools, labels of namespaces, what is reserved, begin from nothing; so do changes of
//! a Service that others depend on: its cluster and external IPs in pools, and addresses that another load balancer gave it.
//!
//! Always holds: the allocation is the one that an allocator made of the state as it is now says.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use smallvec::SmallVec;

use super::books::Books;
use super::plan::Plan;
use super::report::{self, Remark};
use super::request::Classless;
use super::reserved::{self, Reserved};
use super::round::{Displaced, Given, give_out};
use super::space::Space;
use super::{Allocation, NotOurs, Request, State};
use crate::cluster::ObjectKey;

/// See the module.
#[derive(Debug)]
pub struct Allocator {
    state: State,
    classless: Classless,
    space: Arc<Space>,
    books: Books,
    /// Services of ours that are settled, and what they have.
    settled: HashMap<ObjectKey, Addresses>,
    /// The others of ours, and what they have.
    others: BTreeMap<ObjectKey, (Plan, Addresses)>,
    remarks: BTreeMap<ObjectKey, Remark>,
    allocation: Allocation,
}

type Addresses = SmallVec<[IpAddr; 2]>;

/// What others cannot get because of a Service, although we gave it nothing.
#[derive(Debug, Default, PartialEq)]
struct Claims {
    cluster_ips: Vec<IpAddr>,
    external: Vec<Reserved>,
    foreign: Vec<IpAddr>,
}

impl Allocator {
    /// Decides about all addresses of all Services.
    pub fn new(state: State) -> Self {
        let cluster_ips = state.services.iter();
        let cluster_ips =
            cluster_ips.flat_map(|(key, r)| r.cluster_ips.iter().map(move |ip| (key, *ip)));
        let services = state.services.values();
        let mut reserved: Vec<Reserved> = services
            .flat_map(|request| reserved::external_ips(&state, request))
            .collect();
        reserved.extend_from_slice(&state.reserved);
        let space = Arc::new(Space::new(
            state.pools.values().cloned(),
            state.unknown_pools.clone(),
            &reserved,
            cluster_ips,
        ));
        let classless = state.classless();
        let mut foreign = HashMap::new();
        // Backwards, so that of two Services the first by name stays.
        for (key, request) in state.services.iter().rev() {
            let addresses = foreign_of(&state, request, classless);
            foreign.extend(addresses.map(|ip| (ip, key.clone())));
        }
        let all: BTreeSet<ObjectKey> = state.services.keys().cloned().collect();
        let mut allocator = Self {
            classless,
            books: Books::new(Arc::clone(&space), foreign),
            space,
            settled: HashMap::new(),
            others: BTreeMap::new(),
            remarks: BTreeMap::new(),
            allocation: Allocation::default(),
            state,
        };
        for request in allocator.state.services.values() {
            let held = held_of(&allocator.state, request, classless);
            allocator.books.hold(&request.key, &held);
        }
        allocator.decide(all);
        allocator
    }

    /// The decisions on all Services of the state.
    pub fn allocation(&self) -> &Allocation {
        &self.allocation
    }

    /// The same, at the end.
    pub fn into_allocation(self) -> Allocation {
        self.allocation
    }

    /// What was decided upon.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Takes in Services as they are now, `None` for those that are gone, and decides anew. Returns the Services that are to be
    /// looked at: they changed themselves, or what was decided on them.
    pub fn update(
        &mut self,
        services: impl IntoIterator<Item = (ObjectKey, Option<Arc<Request>>)>,
    ) -> BTreeSet<ObjectKey> {
        let mut changed = BTreeSet::new();
        let mut is_of_account_to_all = false;
        for (key, request) in services {
            let before = self.state.services.get(&key);
            is_of_account_to_all |= self.claims(before) != self.claims(request.as_ref());
            let held = |request: &Arc<Request>| held_of(&self.state, request, self.classless);
            let (held, holds) = (before.map(held), request.as_ref().map(held));
            self.books.lose(&key, &held.unwrap_or_default());
            self.books.hold(&key, &holds.unwrap_or_default());
            match request {
                Some(request) => self.state.services.insert(key.clone(), request),
                None => self.state.services.remove(&key),
            };
            changed.insert(key);
        }
        if is_of_account_to_all {
            let before = std::mem::take(&mut self.allocation);
            *self = Self::new(std::mem::take(&mut self.state));
            let now = self.allocation.services.iter();
            let differs = now.filter(|(key, decision)| before.services.get(key) != Some(decision));
            changed.extend(differs.map(|(key, _)| key.clone()));
            return changed;
        }
        changed.extend(self.decide(changed.clone()));
        changed
    }

    /// The Services of ours that are decided upon at every change.
    #[cfg(test)]
    pub(super) fn unsettled(&self) -> Vec<ObjectKey> {
        self.others.keys().cloned().collect()
    }

    /// Decides on Services that changed, and on all that are not settled. Returns those of which something else was decided.
    fn decide(&mut self, changed: BTreeSet<ObjectKey>) -> Vec<ObjectKey> {
        let mut differing = Vec::new();
        for key in changed {
            self.forget(&key);
            let Some(request) = self.state.services.get(&key).cloned() else {
                self.allocation.services.remove(&key);
                continue;
            };
            match self.state.ownership(&request, self.classless) {
                Ok(namespace) => {
                    let plan = Plan::new(request, namespace, &self.space);
                    self.others.insert(key, (plan, Addresses::new()));
                }
                Err(why) => {
                    let decision = report::not_ours(&self.space, &request, why);
                    self.allocation.services.insert(key, decision);
                }
            }
        }
        let (plans, given) = self.give_out();
        for (plan, given) in plans.into_iter().zip(given) {
            let key = plan.request.key.clone();
            let decision = report::decision(&self.space, &plan, &given);
            if let Some(remark) = Remark::of(&self.space, &plan, &given, &decision) {
                self.remarks.insert(key.clone(), remark);
            }
            if self.allocation.services.get(&key) != Some(&decision) {
                differing.push(key.clone());
                self.allocation.services.insert(key.clone(), decision);
            }
            match given.depends_on_others {
                true => {
                    self.others.insert(key, (plan, given.addresses));
                }
                false => {
                    self.settled.insert(key, given.addresses);
                }
            }
        }
        self.allocation.pools = report::of_pools(&self.space, &self.books, &self.remarks);
        differing
    }

    /// Gives out addresses to all that are not settled, who have none in the books afterwards but these.
    fn give_out(&mut self) -> (Vec<Plan>, Vec<Given>) {
        let mut plans = Vec::with_capacity(self.others.len());
        for (key, (plan, addresses)) in std::mem::take(&mut self.others) {
            for address in addresses {
                self.books.give_back(address, &key);
            }
            self.remarks.remove(&key);
            plans.push(plan);
        }
        loop {
            match give_out(&plans, &self.space, &mut self.books) {
                Ok(given) => return (plans, given),
                Err(Displaced(keys)) => {
                    for key in keys.into_iter().collect::<BTreeSet<_>>() {
                        self.forget(&key);
                        plans.extend(self.plan(&key));
                    }
                }
            }
        }
    }

    /// The plan of a Service that is ours.
    fn plan(&self, key: &ObjectKey) -> Option<Plan> {
        let request = self.state.services.get(key)?;
        let namespace = self.state.ownership(request, self.classless).ok()?;
        Some(Plan::new(Arc::clone(request), namespace, &self.space))
    }

    /// Takes a Service out of the books.
    fn forget(&mut self, key: &ObjectKey) {
        let other = self.others.remove(key);
        let addresses = other.map(|(_, addresses)| addresses);
        for address in addresses
            .or_else(|| self.settled.remove(key))
            .unwrap_or_default()
        {
            self.books.give_back(address, key);
        }
        self.remarks.remove(key);
    }

    fn claims(&self, request: Option<&Arc<Request>>) -> Claims {
        let Some(request) = request else {
            return Claims::default();
        };
        let cluster_ips = request.cluster_ips.iter().copied();
        Claims {
            cluster_ips: cluster_ips
                .filter(|ip| self.space.pool_of(*ip).is_some())
                .collect(),
            external: reserved::external_ips(&self.state, request),
            foreign: foreign_of(&self.state, request, self.classless).collect(),
        }
    }
}

/// The addresses in the status of a Service that nobody else can get while they stand there, but may get afterwards.
fn held_of(state: &State, request: &Request, classless: Classless) -> Addresses {
    match is_foreign(state, request, classless) {
        true => Addresses::new(),
        false => request.held(),
    }
}

/// Whether whatever stands in the status of a Service is not ours to give.
fn is_foreign(state: &State, request: &Request, classless: Classless) -> bool {
    match state.ownership(request, classless) {
        Err(
            NotOurs::Class(_) | NotOurs::NoClass | NotOurs::NoPools | NotOurs::UnknownNamespace,
        ) => true,
        Err(NotOurs::Type(_)) | Ok(_) => false,
    }
}

/// The addresses in the status of a Service that are not ours to give: of Services of another class, those in `Proxy` mode, and
/// what Services of unknown namespaces have.
fn foreign_of(
    state: &State,
    request: &Request,
    classless: Classless,
) -> impl Iterator<Item = IpAddr> {
    let all = is_foreign(state, request, classless);
    let ingress = request.ingress.iter().filter(move |i| all || i.proxy);
    ingress.map(|i| i.ip)
}
