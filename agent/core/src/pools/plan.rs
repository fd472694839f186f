//! What one Service may have, whatever the others have: decided once, before anything is given out.

use std::net::IpAddr;
use std::sync::Arc;

use routelet_api::IpFamily;
use routelet_api::selector::{self, Labels};

use super::PoolIs;
use super::annotations::AskedAddresses;
use super::refusal::{Refusal, Unfit};
use super::request::{Families, Needed, Request};
use super::space::Space;
use crate::cluster::Atom;

/// A Service of ours, and what it may have.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) request: Arc<Request>,
    pub(super) families: Families,
    /// The addresses that it asks for; or why it can have nothing, whatever the others have.
    pub(super) asked: Result<Box<[IpAddr]>, Refusal>,
    /// The pool that it names.
    named: Option<usize>,
    /// The pool that it names was deleted or is not known: it keeps what it has of it, and gets nothing else.
    unknown: Option<Refusal>,
    /// For each pool, why it is closed to the Service altogether.
    closed: Box<[Option<Unfit>]>,
}

impl Plan {
    pub(super) fn new(request: Arc<Request>, namespace: &Labels, space: &Space) -> Self {
        let closed = space.pools.iter().map(|territory| {
            let spec = &territory.pool.spec;
            if !selector::selects(spec.namespace_selector.as_ref(), namespace) {
                Some(Unfit::Namespace)
            } else if !selector::selects(spec.service_selector.as_ref(), &request.labels) {
                Some(Unfit::Labels)
            } else {
                None
            }
        });
        let mut plan = Self {
            closed: closed.collect(),
            families: request.families(),
            request,
            asked: Ok(Box::default()),
            named: None,
            unknown: None,
        };
        plan.asked = plan.read(space);
        plan
    }

    fn read(&mut self, space: &Space) -> Result<Box<[IpAddr]>, Refusal> {
        if let Some(asked) = &self.request.asked.pool {
            self.named = space.named(&asked.pool);
            let unknown = || {
                let (source, pool) = (asked.source, asked.pool.clone());
                match space.unknown.contains(&*asked.pool) {
                    true => Refusal::InvalidPool { source, pool },
                    false => Refusal::UnknownPool { source, pool },
                }
            };
            if self.named.is_none() {
                let held = self.request.held();
                let mut kept = held.iter().filter_map(|a| self.lost_pool_of(*a, space));
                if !kept.any(|(pool, _)| *pool == *asked.pool) {
                    return Err(unknown());
                }
                self.unknown = Some(unknown());
            }
        }
        let Some(asked) = &self.request.asked.addresses else {
            return Ok(Box::default());
        };
        let addresses = asked.addresses.as_ref();
        let addresses = addresses.map_err(|text| Refusal::NotAnAddress {
            source: asked.source,
            text: text.clone(),
        })?;
        for address in addresses {
            self.check(asked, *address, space)?;
        }
        Ok(addresses.clone())
    }

    /// What speaks against an address that it asks for.
    fn check(&self, asked: &AskedAddresses, address: IpAddr, space: &Space) -> Result<(), Refusal> {
        let source = asked.source;
        if !self.families.wanted.contains(&IpFamily::of(address)) {
            return Err(Refusal::OtherFamily { source, address });
        }
        let lost = self.lost_pool_of(address, space);
        if lost.is_some_and(|(pool, _)| self.may_keep_lost(pool)) {
            return Ok(());
        }
        // Of no other pool than the one that it names.
        if let Some(unknown) = &self.unknown {
            return Err(unknown.clone());
        }
        let Some(pool) = space.pool_of(address) else {
            return Err(match space.left_out_by(address) {
                Some(pool) => Refusal::LeftOut {
                    address,
                    pool: space.name(pool).into(),
                },
                None => Refusal::OutsidePools { source, address },
            });
        };
        // Who has it keeps it.
        let is_held = self.request.held().contains(&address);
        if let Some(holder) = space
            .reserved_from(address, &self.request)
            .filter(|_| !is_held)
        {
            let holder = holder.clone();
            return Err(Refusal::Reserved { address, holder });
        }
        if let Some(named) = self.named.filter(|named| *named != pool) {
            return Err(Refusal::OtherPool {
                address,
                pool: space.name(pool).into(),
                named: space.name(named).into(),
            });
        }
        let to_new = self.closed_to_new(pool, space).filter(|_| !is_held);
        match self.closed[pool].or(to_new) {
            Some(why) => Err(Refusal::NotForIt {
                address,
                pool: space.name(pool).into(),
                why,
            }),
            None => Ok(()),
        }
    }

    /// The AddressPool that an address of its status is of, if it was deleted or is not known. Deleting a pool, by mistake or
    /// to make it anew, is no decision about the Services that use it: their clients go on using these addresses. A pool that
    /// has the address now takes it over from a deleted one, unless the Service names that: such a Service keeps it if the pool
    /// that has it now is not closed to it.
    pub(super) fn lost_pool_of(&self, address: IpAddr, space: &Space) -> Option<(&str, PoolIs)> {
        if !self.request.held().contains(&address) {
            return None;
        }
        let pool = self.request.condition.as_ref()?.pool_of(address)?;
        let asked = self.request.asked.pool.as_ref();
        let is_named = asked.is_some_and(|asked| *asked.pool == *pool);
        let pool_is = space.knows(pool);
        let is_lost = match (pool_is, space.pool_of(address)) {
            (PoolIs::Known, _) => false,
            (PoolIs::Unknown, _) | (PoolIs::Deleted, None) => true,
            (PoolIs::Deleted, Some(now)) => is_named && self.closed[now].is_none(),
        };
        is_lost.then_some((pool, pool_is))
    }

    /// Whether it may go on having an address of a pool that was deleted or is not known: unless it names another.
    pub(super) fn may_keep_lost(&self, pool: &str) -> bool {
        let named = self.request.asked.pool.as_ref();
        named.is_none_or(|named| *named.pool == *pool)
    }

    /// Whether it needs more than one address, and has none if it cannot have all of them.
    pub(super) fn needs_several(&self) -> bool {
        let families = self.families.needed == Needed::All && self.families.wanted.len() > 1;
        let asked = self.request.asked.addresses.as_ref();
        let asked = asked.and_then(|asked| asked.addresses.as_ref().ok());
        families || asked.is_some_and(|asked| asked.len() > 1)
    }

    /// Whether it may go on having an address of a pool. That pools are not to give out any more without being asked, or are
    /// asked in another order, is no reason to take away what they gave.
    pub(super) fn may_keep(&self, pool: usize) -> bool {
        self.closed[pool].is_none()
            && self.unknown.is_none()
            && self.named.is_none_or(|named| named == pool)
    }

    /// Why it gets no address of a pool that it has none of yet, unless it is that it names another.
    fn unfit(&self, pool: usize, space: &Space) -> Option<Unfit> {
        let spec = &space.pools[pool].pool.spec;
        let named = self.named.is_some();
        let requested = (named && !spec.allow_requests).then_some(Unfit::NoRequests);
        let on_request = (!named && !spec.auto_assign).then_some(Unfit::OnRequest);
        let is_classless = self.request.load_balancer_class.is_none();
        let class = (is_classless && spec.require_class).then_some(Unfit::NoClass);
        self.closed[pool].or(class).or(requested).or(on_request)
    }

    /// Why it gets no address of a pool that it asks for.
    fn closed_to_new(&self, pool: usize, space: &Space) -> Option<Unfit> {
        let spec = &space.pools[pool].pool.spec;
        if spec.require_class && self.request.load_balancer_class.is_none() {
            return Some(Unfit::NoClass);
        }
        (!spec.allow_requests).then_some(Unfit::NoRequests)
    }

    /// Whether it may get an address of a pool that it has none of yet.
    pub(super) fn is_open(&self, pool: usize, space: &Space) -> bool {
        self.may_keep(pool) && self.unfit(pool, space).is_none()
    }

    /// The pools that it may get an address of, in the order in which they are asked.
    pub(super) fn open<'s>(&'s self, space: &'s Space) -> impl Iterator<Item = usize> + 's {
        (0..space.pools.len()).filter(|pool| self.is_open(*pool, space))
    }

    /// Why there is no address of a family for it, once none was found.
    pub(super) fn none_found(
        &self,
        family: IpFamily,
        space: &Space,
        room: impl Fn(usize) -> Result<(), Unfit>,
    ) -> Refusal {
        if let Some(unknown) = &self.unknown {
            return unknown.clone();
        }
        let has = |pool: usize| !space.pools[pool].runs.of(family).is_empty();
        let name = |pool: usize| Atom::from(space.name(pool));
        let exhausted = self.open(space).filter(|p| has(*p) && room(*p).is_ok());
        let exhausted: Box<[Atom]> = exhausted.map(name).collect();
        if !exhausted.is_empty() {
            return Refusal::Exhausted {
                family,
                pools: exhausted,
            };
        }
        let all = 0..space.pools.len();
        let considered = all.filter(|pool| self.named.is_none_or(|named| named == *pool));
        let why = |pool| {
            let family = (!has(pool)).then_some(Unfit::Family);
            let unfit = self.unfit(pool, space).or(family);
            unfit.or(room(pool).err()).unwrap_or(Unfit::Family)
        };
        let considered = considered.map(|pool| (name(pool), why(pool)));
        let unknown = space.unknown.iter().filter(|_| self.named.is_none());
        let unknown = unknown.map(|name| (Atom::from(name.as_str()), Unfit::Invalid));
        Refusal::NoPool {
            family,
            pools: considered.chain(unknown).collect(),
        }
    }

    /// Whether it asks for an address of a family.
    pub(super) fn asks_for(&self, family: IpFamily) -> bool {
        let mut asked = self.asked.iter().flatten();
        asked.any(|address| IpFamily::of(*address) == family)
    }

    /// The pool that it names, or else that has the first address that it asks for.
    pub(super) fn pool_asked_for<'s>(&self, space: &'s Space) -> Option<&'s str> {
        let asked = self.request.asked.addresses.as_ref();
        let first = asked.and_then(|asked| asked.addresses.as_ref().ok()?.first());
        let of_address = first.and_then(|address| space.pool_of(*address));
        Some(space.name(self.named.or(of_address)?))
    }

    /// Its turn among those that have not all they want: who asks for certain addresses comes before those whose addresses
    /// may be any, lest these get what those ask for.
    pub(super) fn turn(&self) -> u8 {
        let asks = self.asked.as_ref().is_ok_and(|asked| !asked.is_empty());
        let wanted = &self.families.wanted;
        let whole = self.families.needed == Needed::One || wanted.iter().all(|f| self.asks_for(*f));
        match (asks, whole) {
            (true, true) => 0,
            (true, false) => 1,
            (false, _) => 2,
        }
    }
}
