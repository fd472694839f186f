//! Who has which address, while the allocation goes on.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use routelet_api::IpFamily;
use routelet_api::address_block;
use smallvec::SmallVec;

use super::refusal::Unfit;
use super::request::{Port, Request};
use super::sharing::{self, Unshared};
use super::space::{PerFamily, Space, Territory};
use crate::cluster::{Atom, ObjectKey};

/// Which addresses of a pool a Service may find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// Those that can be assigned at once.
    AtOnce,
    /// Also those that are assigned once other Services have lost them. Until then, which may be for ever where a status cannot be
    /// written, the Service waits.
    Later,
}

impl Choice {
    /// The better one first.
    pub(super) const ALL: [Self; 2] = [Self::AtOnce, Self::Later];
}

/// The addresses of one pool and family that nobody may get alone.
#[derive(Debug, Default)]
struct Used {
    /// Those that somebody is to have.
    owned: Numbers,
    /// Those too that stand in the status of a Service, whether or not it is to keep them.
    held: Numbers,
}

impl Used {
    fn of_mut(&mut self, choice: Choice) -> &mut Numbers {
        match choice {
            Choice::AtOnce => &mut self.held,
            Choice::Later => &mut self.owned,
        }
    }
}

#[derive(Debug, Default)]
struct Numbers {
    numbers: BTreeSet<u128>,
    /// No number below is free.
    free_from: u128,
}

impl Numbers {
    fn insert(&mut self, number: u128) {
        self.numbers.insert(number);
    }

    fn remove(&mut self, number: u128) {
        self.numbers.remove(&number);
        self.free_from = self.free_from.min(number);
    }
}

/// Owners of addresses. Owners of one address may all share it with each other.
#[derive(Debug)]
pub(super) struct Books {
    space: Arc<Space>,
    /// The oldest first: who is named as being in the way must not depend on who came to have the address first.
    owners: HashMap<IpAddr, SmallVec<[Arc<Request>; 1]>>,
    /// What other load balancers gave out, and to whom.
    foreign: HashMap<IpAddr, ObjectKey>,
    /// Services that have an address of a pool in their status, whether or not they are to keep it.
    holders: HashMap<IpAddr, SmallVec<[ObjectKey; 1]>>,
    used: Vec<PerFamily<Used>>,
    /// By pool, family and namespace: how many addresses its Services have, of pools with `maxPerNamespace`.
    by_namespace: HashMap<(usize, IpFamily, Atom), u32>,
    /// By sharing key.
    shared: HashMap<Atom, PerFamily<Shared>>,
}

/// The addresses of one sharing key and family.
#[derive(Debug, Default)]
struct Shared {
    addresses: BTreeSet<IpAddr>,
    /// How many of them have an owner with a port.
    ports: HashMap<Port, usize>,
}

impl Shared {
    /// Whether a port that a Service has is taken on every address. Where thousands have one key and one port, which a chart
    /// brings about without anybody's asking, each is not to look at the addresses of all the others.
    fn is_full_for(&self, request: &Request) -> bool {
        let mut taken = request.ports.iter().filter_map(|p| self.ports.get(p));
        taken.any(|taken| *taken == self.addresses.len())
    }
}

impl Books {
    pub(super) fn new(space: Arc<Space>, foreign: HashMap<IpAddr, ObjectKey>) -> Self {
        let mut books = Self {
            used: space.pools.iter().map(|_| PerFamily::default()).collect(),
            space,
            owners: HashMap::new(),
            foreign: HashMap::new(),
            holders: HashMap::new(),
            by_namespace: HashMap::new(),
            shared: HashMap::new(),
        };
        for address in foreign.keys() {
            books.used(*address, |used, number| {
                used.owned.insert(number);
                used.held.insert(number);
            });
        }
        books.foreign = foreign;
        books
    }

    fn used<T>(&mut self, address: IpAddr, change: impl FnOnce(&mut Used, u128) -> T) {
        if let Some(pool) = self.space.pool_of(address) {
            let used = self.used[pool].of_mut(IpFamily::of(address));
            change(used, address_block::number(address));
        }
    }

    /// A Service has addresses in its status.
    pub(super) fn hold(&mut self, key: &ObjectKey, addresses: &[IpAddr]) {
        for address in addresses {
            if self.space.pool_of(*address).is_none() {
                continue;
            }
            let holders = self.holders.entry(*address).or_default();
            holders.push(key.clone());
            self.used(*address, |used, number| used.held.insert(number));
        }
    }

    /// It has them no more.
    pub(super) fn lose(&mut self, key: &ObjectKey, addresses: &[IpAddr]) {
        for address in addresses {
            let Some(holders) = self.holders.get_mut(address) else {
                continue;
            };
            holders.retain(|holder| holder != key);
            if !holders.is_empty() {
                continue;
            }
            self.holders.remove(address);
            if !self.owners.contains_key(address) && !self.foreign.contains_key(address) {
                self.used(*address, |used, number| used.held.remove(number));
            }
        }
    }

    /// Whether another Service has to lose an address before this one can get it.
    fn is_to_be_lost(&self, address: IpAddr, key: &ObjectKey) -> bool {
        let owners = self.owners.get(&address).into_iter().flatten();
        let mut holders = self.holders.get(&address).into_iter().flatten();
        holders.any(|holder| holder != key && !owners.clone().any(|owner| owner.key == *holder))
    }

    /// What keeps a Service from having an address that others of ours have, if anything.
    pub(super) fn conflict(
        &self,
        address: IpAddr,
        request: &Request,
    ) -> Option<(&ObjectKey, Unshared)> {
        let owners = self.owners.get(&address)?;
        owners.iter().find_map(|owner| {
            let why = sharing::check(request, owner).err()?;
            Some((&owner.key, why))
        })
    }

    /// The owners of an address that a Service cannot have it beside, and that are younger.
    pub(super) fn younger_in_the_way(
        &self,
        address: IpAddr,
        request: &Request,
    ) -> impl Iterator<Item = ObjectKey> {
        let owners = self.owners.get(&address).into_iter().flatten();
        let younger = owners.filter(|owner| owner.age() > request.age());
        let in_the_way = younger.filter(|owner| sharing::check(request, owner).is_err());
        in_the_way.map(|owner| owner.key.clone())
    }

    /// What keeps a Service that does not have an address from getting it, if anything.
    pub(super) fn obstacle(
        &self,
        address: IpAddr,
        request: &Request,
    ) -> Option<(&ObjectKey, Unshared)> {
        let foreign = self.foreign.get(&address);
        foreign
            .map(|owner| (owner, Unshared::Foreign))
            .or_else(|| self.conflict(address, request))
    }

    /// The owned address that a Service could share, in the first pool that has one and is open to it.
    pub(super) fn to_share(
        &self,
        (family, choice): (IpFamily, Choice),
        request: &Request,
        open: impl Fn(usize, IpAddr) -> bool,
    ) -> Option<IpAddr> {
        let key = &request.asked.sharing.as_ref()?.key;
        let shared = self.shared.get(key)?.of(family);
        if shared.is_full_for(request) {
            return None;
        }
        let candidates = shared.addresses.iter().filter_map(|address| {
            let pool = self
                .space
                .pool_of(*address)
                .filter(|pool| open(*pool, *address))?;
            let is_free = self.obstacle(*address, request).is_none()
                && self.space.reserved_from(*address, request).is_none();
            let is_chosen = choice == Choice::Later || !self.is_to_be_lost(*address, &request.key);
            (is_free && is_chosen).then_some((pool, *address))
        });
        candidates.min().map(|(_, address)| address)
    }

    /// The lowest address of a pool that nobody has.
    pub(super) fn free(
        &mut self,
        pool: usize,
        (family, choice): (IpFamily, Choice),
    ) -> Option<IpAddr> {
        let used = self.used[pool].of_mut(family).of_mut(choice);
        let found = free(&self.space.pools[pool], family, used);
        // Everything below what was found is used, and if nothing was found, everything is.
        used.free_from = found.unwrap_or(u128::MAX);
        found.map(|number| address_block::address(family, number))
    }

    /// Whether a Service may get one more address of a pool: one that others have, or any.
    pub(super) fn room(
        &self,
        pool: usize,
        (family, address): (IpFamily, Option<IpAddr>),
        request: &Request,
    ) -> Result<(), Unfit> {
        let Some(most) = self.space.pools[pool].pool.spec.max_per_namespace else {
            return Ok(());
        };
        let namespace = &request.key.namespace;
        if address.is_some_and(|address| self.is_of_namespace(address, namespace)) {
            return Ok(());
        }
        let count = self.by_namespace.get(&(pool, family, namespace.clone()));
        match count.is_some_and(|count| *count >= most) {
            true => Err(Unfit::PerNamespace(most)),
            false => Ok(()),
        }
    }

    fn is_of_namespace(&self, address: IpAddr, namespace: &Atom) -> bool {
        let mut owners = self.owners.get(&address).into_iter().flatten();
        owners.any(|owner| owner.key.namespace == *namespace)
    }

    /// The count of a namespace, if an address counts and no Service of the namespace has it.
    fn counted(&mut self, address: IpAddr, namespace: &Atom) -> Option<&mut u32> {
        let pool = self.space.pool_of(address)?;
        let is_limited = self.space.pools[pool].pool.spec.max_per_namespace.is_some();
        if !is_limited || self.is_of_namespace(address, namespace) {
            return None;
        }
        let key = (pool, IpFamily::of(address), namespace.clone());
        Some(self.by_namespace.entry(key).or_default())
    }

    pub(super) fn take(&mut self, address: IpAddr, request: &Arc<Request>) {
        if let Some(count) = self.counted(address, &request.key.namespace) {
            *count += 1;
        }
        let owners = self.owners.entry(address).or_default();
        let at = owners.partition_point(|owner| owner.age() < request.age());
        owners.insert(at, Arc::clone(request));
        self.used(address, |used, number| {
            used.owned.insert(number);
            used.held.insert(number);
        });
        if let Some(sharing) = &request.asked.sharing {
            let shared = self.shared.entry(sharing.key.clone()).or_default();
            let shared = shared.of_mut(IpFamily::of(address));
            shared.addresses.insert(address);
            for port in &request.ports {
                *shared.ports.entry(port.clone()).or_default() += 1;
            }
        }
    }

    pub(super) fn give_back(&mut self, address: IpAddr, key: &ObjectKey) {
        let Some(owners) = self.owners.get_mut(&address) else {
            return;
        };
        let Some(at) = owners.iter().position(|owner| owner.key == *key) else {
            return;
        };
        let request = owners.remove(at);
        let last = owners.is_empty();
        if let Some(count) = self.counted(address, &key.namespace) {
            *count = count.saturating_sub(1);
        }
        if let Some(sharing) = &request.asked.sharing
            && let Some(shared) = self.shared.get_mut(&sharing.key)
        {
            let shared = shared.of_mut(IpFamily::of(address));
            for port in &request.ports {
                if let Some(taken) = shared.ports.get_mut(port) {
                    *taken -= 1;
                }
            }
            shared.ports.retain(|_, taken| *taken > 0);
            if last {
                shared.addresses.remove(&address);
            }
        }
        if !last {
            return;
        }
        self.owners.remove(&address);
        if self.foreign.contains_key(&address) {
            return;
        }
        let is_held = self.holders.contains_key(&address);
        self.used(address, |used, number| {
            used.owned.remove(number);
            if !is_held {
                used.held.remove(number);
            }
        });
    }

    /// How many addresses of a pool somebody has.
    pub(super) fn assigned(&self, pool: usize, family: IpFamily) -> usize {
        self.used[pool].of(family).owned.numbers.len()
    }

    /// How many of them are reserved.
    pub(super) fn assigned_of_reserved(&self, pool: usize, family: IpFamily) -> usize {
        let numbers = &self.used[pool].of(family).owned.numbers;
        let closed = self.space.pools[pool].closed.of(family).iter();
        closed
            .map(|run| numbers.range(run.first..=run.last).count())
            .sum()
    }
}

/// Walks the runs and the used numbers side by side, from where the last walk ended.
fn free(territory: &Territory, family: IpFamily, used: &Numbers) -> Option<u128> {
    let runs = territory.open.of(family);
    let from = runs.partition_point(|run| run.last < used.free_from);
    runs[from..].iter().find_map(|run| {
        let mut next = run.first.max(used.free_from);
        for number in used.numbers.range(next..=run.last) {
            if *number != next {
                break;
            }
            if next == run.last {
                return None;
            }
            next += 1;
        }
        Some(next)
    })
}
