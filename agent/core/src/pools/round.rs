//! One round of giving out addresses.
//!
//! First all Services keep what they have, then those get something that have not all they want: the ones that ask for
//! certain addresses, then the others; each time the oldest first. A Service that needs more than can be had gets nothing.
//! If it had something until then, others may have been refused it, so there has to be another round, in which it has
//! nothing to keep. A round without such a Service is final.
//!
//! A Service that kept everything it wants, and that nobody was in the way of, keeps it whatever others get later: it is looked at
//! again only if it changes, or if an older one turns up that has one of its addresses. So a round can begin with such Services
//! in the books, and give out addresses to the others alone.
//!
//! Doing it all again with what a final round gave changes nothing: all of it is kept, since those that share an address may
//! share it whoever comes first, and who was refused is refused again, since in its turn there was no less to be had than is
//! now.

use std::net::IpAddr;

use routelet_api::IpFamily;
use smallvec::SmallVec;

use super::books::{Books, Choice};
use super::plan::Plan;
use super::refusal::{Refusal, Unfit};
use super::request::Needed;
use super::space::Space;
use crate::cluster::ObjectKey;

/// What one Service got.
#[derive(Clone, Debug, Default)]
pub(super) struct Given {
    /// What it has.
    pub(super) addresses: SmallVec<[IpAddr; 2]>,
    /// Why it has not more.
    pub(super) refusal: Option<Refusal>,
    /// Whether it would perhaps have something else if others had.
    pub(super) depends_on_others: bool,
}

/// Services that are not among those served, and cannot keep what they have: an older one has it too.
#[derive(Debug)]
pub(super) struct Displaced(pub(super) Vec<ObjectKey>);

/// Gives addresses to the Services of these plans, beside those that have theirs in the books. What they get is in the books
/// afterwards, unless some of the others are displaced: then nothing is.
pub(super) fn give_out(
    plans: &[Plan],
    space: &Space,
    books: &mut Books,
) -> Result<Vec<Given>, Displaced> {
    let mut by_age: Vec<usize> = (0..plans.len()).collect();
    by_age.sort_by(|a, b| plans[*a].request.age().cmp(&plans[*b].request.age()));
    let mut by_turn = by_age.clone();
    by_turn.sort_by_key(|at| plans[*at].turn());
    // Services that a round took something from, because they cannot have all they need.
    let mut keeps = vec![true; plans.len()];
    loop {
        let mut round = Round::new(plans, space, books);
        round.keep(by_age.iter().copied().filter(|at| keeps[*at]));
        if !round.displaced.is_empty() {
            let displaced = Displaced(std::mem::take(&mut round.displaced));
            round.undo();
            return Err(displaced);
        }
        let mut last = true;
        for at in &by_turn {
            if round.serve(*at) {
                keeps[*at] = false;
                last = false;
            }
        }
        if last {
            return Ok(round.given);
        }
        round.undo();
    }
}

/// A round, and what each plan's Service got until now.
struct Round<'a> {
    plans: &'a [Plan],
    space: &'a Space,
    books: &'a mut Books,
    given: Vec<Given>,
    displaced: Vec<ObjectKey>,
}

impl<'a> Round<'a> {
    fn new(plans: &'a [Plan], space: &'a Space, books: &'a mut Books) -> Self {
        Self {
            plans,
            space,
            books,
            given: vec![Given::default(); plans.len()],
            displaced: Vec::new(),
        }
    }

    /// Takes everything back.
    fn undo(self) {
        for (plan, given) in self.plans.iter().zip(&self.given) {
            for address in &given.addresses {
                self.books.give_back(*address, &plan.request.key);
            }
        }
    }

    /// Lets every Service of `by_age` keep what it has and may have.
    fn keep(&mut self, by_age: impl IntoIterator<Item = usize>) {
        for at in by_age {
            let plan = &self.plans[at];
            let Ok(asked) = &plan.asked else { continue };
            let held = plan.request.held();
            for address in held.iter().filter(|address| asked.contains(address)) {
                self.keep_one(at, *address);
            }
            for &family in &plan.families.wanted {
                let enough =
                    plan.families.needed == Needed::One && !(asked.is_empty() && self.empty(at));
                if enough || plan.asks_for(family) {
                    continue;
                }
                let of_family = || held.iter().filter(|a| IpFamily::of(**a) == family);
                let is_kept = of_family().any(|address| {
                    let pool = self.space.pool_of(*address);
                    pool.is_some_and(|pool| plan.may_keep(pool)) && self.keep_one(at, *address)
                });
                if !is_kept {
                    of_family().any(|address| {
                        let lost = plan.lost_pool_of(*address, self.space);
                        lost.is_some_and(|(pool, _)| plan.may_keep_lost(pool))
                            && self.keep_one(at, *address)
                    });
                }
            }
        }
    }

    fn keep_one(&mut self, at: usize, address: IpAddr) -> bool {
        let request = &self.plans[at].request;
        if self.books.conflict(address, request).is_none() {
            self.take(at, address);
            return true;
        }
        self.given[at].depends_on_others = true;
        let younger = self.books.younger_in_the_way(address, request);
        self.displaced.extend(younger);
        false
    }

    fn empty(&self, at: usize) -> bool {
        self.given[at].addresses.is_empty()
    }

    fn take(&mut self, at: usize, address: IpAddr) {
        self.books.take(address, &self.plans[at].request);
        self.given[at].addresses.push(address);
    }

    /// Gives a Service what it has not yet. Returns whether it lost something that it kept until then.
    fn serve(&mut self, at: usize) -> bool {
        let plan = &self.plans[at];
        if plan.request.deleting {
            let complete = self.missing(at).is_empty();
            self.given[at].refusal = (!complete).then_some(Refusal::Deleting);
            return false;
        }
        let kept = !self.empty(at);
        let Err(refusal) = self.try_serve(at) else {
            return false;
        };
        for address in std::mem::take(&mut self.given[at].addresses) {
            self.books.give_back(address, &plan.request.key);
        }
        self.given[at].refusal = Some(refusal);
        kept
    }

    fn try_serve(&mut self, at: usize) -> Result<(), Refusal> {
        let plan = &self.plans[at];
        for &address in &*plan.asked.clone()? {
            if self.given[at].addresses.contains(&address) {
                continue;
            }
            self.given[at].depends_on_others = true;
            if let Some((owner, why)) = self.books.obstacle(address, &plan.request) {
                return Err(Refusal::Owned {
                    address,
                    owner: owner.clone(),
                    why,
                });
            }
            let pool = self.space.pool_of(address);
            let room = |pool| self.room(at, pool, (IpFamily::of(address), Some(address)));
            if let Some((pool, Err(why))) = pool.map(|pool| (pool, room(pool))) {
                let pool = self.space.name(pool).into();
                return Err(Refusal::NotForIt { address, pool, why });
            }
            self.take(at, address);
        }
        let missing = self.missing(at);
        let is_enough = plan.families.needed == Needed::One && !self.empty(at);
        if is_enough || missing.is_empty() {
            return Ok(());
        }
        self.given[at].depends_on_others = true;
        match plan.families.needed {
            Needed::One => {
                let found = Choice::ALL.into_iter().find_map(|choice| {
                    missing.iter().find_map(|family| {
                        let wanted = (*family, choice);
                        self.share(at, wanted).or_else(|| self.find(at, wanted))
                    })
                });
                if let Some(address) = found {
                    self.take(at, address);
                    return Ok(());
                }
            }
            Needed::All | Needed::Any => {
                for choice in Choice::ALL {
                    self.fill(at, choice);
                }
            }
        }
        let Some(family) = self.missing(at).first().copied() else {
            return Ok(());
        };
        let room = |pool| self.room(at, pool, (family, None));
        let refusal = plan.none_found(family, self.space, room);
        if plan.families.needed == Needed::Any && !self.empty(at) {
            self.given[at].refusal = Some(refusal);
            return Ok(());
        }
        Err(refusal)
    }

    /// The families of which a Service has no address.
    fn missing(&self, at: usize) -> SmallVec<[IpFamily; 2]> {
        let has = |family| {
            let mut addresses = self.given[at].addresses.iter();
            addresses.any(|address| IpFamily::of(*address) == family)
        };
        let wanted = self.plans[at].families.wanted.iter().copied();
        wanted.filter(|family| !has(*family)).collect()
    }

    /// Finds addresses of the families that are missing: shared ones, then of one pool, then of any.
    fn fill(&mut self, at: usize, choice: Choice) {
        for family in self.missing(at) {
            if let Some(address) = self.share(at, (family, choice)) {
                self.take(at, address);
            }
        }
        let left = self.missing(at);
        if left.len() > 1 {
            let plan = &self.plans[at];
            let both = plan.open(self.space).find_map(|pool| {
                let addresses = left.iter();
                let addresses = addresses.map(|family| self.free(at, pool, (*family, choice)));
                addresses.collect::<Option<SmallVec<[IpAddr; 2]>>>()
            });
            for address in both.unwrap_or_default() {
                self.take(at, address);
            }
        }
        for family in self.missing(at) {
            if let Some(address) = self.find(at, (family, choice)) {
                self.take(at, address);
            }
        }
    }

    /// An address that others have and share.
    fn share(&self, at: usize, wanted: (IpFamily, Choice)) -> Option<IpAddr> {
        let plan = &self.plans[at];
        let open = |pool, address| {
            plan.is_open(pool, self.space) && self.room(at, pool, (wanted.0, Some(address))).is_ok()
        };
        self.books.to_share(wanted, &plan.request, open)
    }

    /// Whether a Service may get one more address of a pool: a certain one, or any.
    fn room(
        &self,
        at: usize,
        pool: usize,
        (family, address): (IpFamily, Option<IpAddr>),
    ) -> Result<(), Unfit> {
        if let Some(most) = self.space.pools[pool].pool.spec.max_per_service {
            let has = self.given[at].addresses.iter();
            let has = has
                .filter(|a| IpFamily::of(**a) == family && self.space.pool_of(**a) == Some(pool));
            if has.count() as u64 >= u64::from(most) {
                return Err(Unfit::PerService(most));
            }
        }
        let request = &self.plans[at].request;
        self.books.room(pool, (family, address), request)
    }

    /// The lowest address of a pool that nobody has, if the Service may get one more.
    fn free(&mut self, at: usize, pool: usize, wanted: (IpFamily, Choice)) -> Option<IpAddr> {
        self.room(at, pool, (wanted.0, None)).ok()?;
        self.books.free(pool, wanted)
    }

    /// An address that nobody has, if possible of a pool that the Service has one of.
    fn find(&mut self, at: usize, wanted: (IpFamily, Choice)) -> Option<IpAddr> {
        let (plan, space) = (&self.plans[at], self.space);
        let addresses = self.given[at].addresses.iter();
        let near: SmallVec<[usize; 2]> = addresses.filter_map(|a| space.pool_of(*a)).collect();
        let near = near.into_iter().filter(|pool| plan.is_open(*pool, space));
        near.chain(plan.open(space))
            .find_map(|pool| self.free(at, pool, wanted))
    }
}
