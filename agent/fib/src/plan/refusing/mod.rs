//! The part of the plan that refuses: the routes of the [refusing table](crate::refusal) and the rules that lead to it.
//!
//! What always holds, after every operation:
//! - A network is refused only while the rule that leaves it to the main table is there and is consulted before: rules that yield are
//!   made first and removed last, and the rule that refuses is moved behind a new one before a route of it counts.
//! - If the kernel neither removes a network's route nor has its rule, the table is not consulted.
//! - An address that somebody else has a route to is not refused.
//! - The table is not consulted while somebody else has routes in it, nor before it is known whether somebody has.
//! - Before the first wish nothing is changed: what a predecessor left is right until the intent is known.
//!
//! - this file: what is wanted, as routes and rules.
//! - `steps`: the operations that lead there, in an order in which each may be the last.
//! - `known`: what the kernel holds, from listings and notifications.
//! - `status`: what is shown.

mod known;
mod status;
mod steps;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};

use ipnet::IpNet;

use super::failure::Failure;
use super::work::{LOOKS, Work};
use crate::refusal::{MAX_SCOPED, METRIC, Refusal, RefusalChange, Rule};
use crate::types::MAIN_TABLE;
use crate::types::RouteSpace;
pub(super) use known::News;
use known::{Installed, Known};
pub use status::RefusalStatus;

/// What is wanted.
#[derive(Clone, Debug, Default)]
pub struct RefusedSet {
    services: BTreeSet<IpNet>,
    /// Everything else that is wanted: few.
    networks: BTreeMap<IpNet, Refusal>,
    /// How many of these have each family and length, static prefixes left out.
    lengths: BTreeMap<(bool, u8), usize>,
}

impl FromIterator<(IpNet, Refusal)> for RefusedSet {
    fn from_iter<I: IntoIterator<Item = (IpNet, Refusal)>>(wanted: I) -> Self {
        let mut set = Self::default();
        for (prefix, refusal) in wanted {
            set.put(prefix.trunc(), Some(refusal));
        }
        set
    }
}

impl RefusedSet {
    fn put(&mut self, prefix: IpNet, refusal: Option<Refusal>) {
        self.services.remove(&prefix);
        let before = self.networks.remove(&prefix);
        match refusal {
            Some(Refusal::Service) => {
                self.services.insert(prefix);
            }
            Some(refusal) => {
                self.networks.insert(prefix, refusal);
            }
            None => {}
        }
        let length = (prefix.addr().is_ipv6(), prefix.prefix_len());
        let counts = |refusal: Option<Refusal>| refusal.is_some_and(|r| r != Refusal::Service);
        let count = self.lengths.entry(length).or_default();
        *count = *count + usize::from(counts(refusal)) - usize::from(counts(before));
    }

    fn get(&self, prefix: IpNet) -> Option<Refusal> {
        match self.networks.get(&prefix) {
            Some(refusal) => Some(*refusal),
            None => self.services.contains(&prefix).then_some(Refusal::Service),
        }
    }
}

/// What has been looked at, in this order, up to and with a prefix.
#[derive(Clone, Copy, Debug)]
enum Look {
    Services(Option<IpNet>),
    Networks(Option<IpNet>),
    Installed(Option<IpNet>),
}

impl Look {
    const START: Self = Self::Services(None);
}

/// What an operation is about, for the record of failures.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Thing {
    Rule(Rule),
    Route(IpNet),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Refusing {
    table: u32,
    /// The main table, and that of learned routes: what they answer is not refused.
    yields_to: Vec<u32>,
    wanted: RefusedSet,
    /// Whether anything was asked for yet, be it nothing.
    decided: bool,
    /// Whether the table is another one since the last listing: it may be in use by somebody.
    unlisted: bool,
    known: Known,
    /// A listing that is under way.
    listing: Known,
    /// The table that was ours when it began.
    listing_table: u32,
    /// Our rules, those of a family in the kernel's order.
    rules: Vec<Rule>,
    /// Prefixes to look at.
    pending: BTreeSet<IpNet>,
    /// A look at everything, as far as it has come.
    look: Option<Look>,
    rules_pending: bool,
    failures: BTreeMap<Thing, Failure>,
}

impl Refusing {
    pub(super) fn new(space: RouteSpace, table: u32) -> Self {
        Self {
            table,
            yields_to: winners(space.table),
            wanted: RefusedSet::default(),
            decided: false,
            unlisted: false,
            known: Known::default(),
            listing: Known::default(),
            listing_table: table,
            rules: Vec::new(),
            pending: BTreeSet::new(),
            look: None,
            rules_pending: false,
            failures: BTreeMap::new(),
        }
    }

    /// Learned routes are in this table from now on. What others have in it is known after the next listing.
    pub(super) fn set_learned_table(&mut self, learned: u32) {
        self.yields_to = winners(learned);
        self.pending.extend(self.wanted.networks.keys());
        self.rules_pending = true;
    }

    /// Refuses exactly this from now on. Whether everything has to be listed: another table may hold anything.
    pub(super) fn replace(&mut self, table: Option<u32>, wanted: RefusedSet) -> bool {
        let table = table.unwrap_or(self.table);
        self.wanted = wanted;
        self.look = Some(Look::START);
        self.decided = true;
        self.rules_pending = true;
        let moved = std::mem::replace(&mut self.table, table) != table;
        if moved {
            self.known.forget_strangers();
            self.unlisted = true;
            // A listing that is under way has looked at another one: no table has this number.
            self.listing_table = 0;
        }
        moved
    }

    /// Refuses a destination, or no more. `is_looked_at`: whether that is to be done by itself, and not by a look at everything later.
    pub(super) fn change(&mut self, change: RefusalChange, is_looked_at: bool) {
        let prefix = change.prefix.trunc();
        self.wanted.put(prefix, change.refusal);
        if is_looked_at {
            self.pending.insert(prefix);
        }
        self.rules_pending = true;
    }

    /// Looks at everything that is wanted or installed, some at a time: what is not right is to be looked at.
    fn look_at_some(&mut self, work: &mut Work) {
        const SOME: usize = if LOOKS < 256 { LOOKS } else { 256 };
        while let Some(look) = self.look
            && !work.is_over()
        {
            let (Look::Services(after) | Look::Networks(after) | Look::Installed(after)) = look;
            let behind = (after.map_or(Unbounded, Excluded), Unbounded);
            let some: Vec<IpNet> = match look {
                Look::Services(_) => self
                    .wanted
                    .services
                    .range(behind)
                    .take(SOME)
                    .copied()
                    .collect(),
                Look::Networks(_) => {
                    let networks = self.wanted.networks.range(behind).take(SOME);
                    networks.map(|(prefix, _)| *prefix).collect()
                }
                Look::Installed(after) => {
                    let installed = self.known.routes_behind(after).take(SOME);
                    installed.map(|(prefix, ..)| prefix).collect()
                }
            };
            work.done(1 + some.len());
            self.look = match (look, some.last().copied()) {
                (Look::Services(_), None) => Some(Look::Networks(None)),
                (Look::Networks(_), None) => Some(Look::Installed(None)),
                (Look::Installed(_), None) => None,
                (Look::Services(_), last) => Some(Look::Services(last)),
                (Look::Networks(_), last) => Some(Look::Networks(last)),
                (Look::Installed(_), last) => Some(Look::Installed(last)),
            };
            for prefix in some {
                if !self.is_right(prefix) {
                    self.pending.insert(prefix);
                }
            }
        }
    }

    /// The route that is to be in the kernel now.
    fn wanted_route(&self, prefix: IpNet) -> Option<Installed> {
        let wants = self.wants_route(prefix);
        wants.then_some((prefix, self.table, METRIC))
    }

    /// Whether the kernel holds what is wanted.
    fn is_right(&self, prefix: IpNet) -> bool {
        self.known.routes_of(prefix).eq(self.wanted_route(prefix))
    }

    /// Whether it is to be in the kernel now.
    fn wants_route(&self, prefix: IpNet) -> bool {
        match self.wanted.get(prefix) {
            None => false,
            Some(Refusal::Service) => !self.known.is_answered(prefix),
            Some(_) => {
                let rules = self.yielding(prefix);
                rules.iter().all(|rule| self.rules.contains(rule))
            }
        }
    }

    /// Whether networks of this length share a rule.
    fn is_crowded(&self, prefix: IpNet) -> bool {
        let length = (prefix.addr().is_ipv6(), prefix.prefix_len());
        self.wanted
            .lengths
            .get(&length)
            .is_some_and(|n| *n > MAX_SCOPED)
    }

    /// The rules that have to be there before a network may be refused.
    fn yielding(&self, prefix: IpNet) -> Vec<Rule> {
        let suppress = prefix.prefix_len().saturating_sub(1);
        let rule = |table: &u32| {
            if self.is_crowded(prefix) {
                Rule::yields_all(prefix.addr().is_ipv6(), *table, suppress)
            } else {
                Rule::yields(prefix, *table, suppress)
            }
        };
        self.yields_to.iter().map(rule).collect()
    }

    /// All rules that yield.
    fn all_yielding(&self) -> BTreeSet<Rule> {
        let networks = self.wanted.networks.keys();
        networks.flat_map(|net| self.yielding(*net)).collect()
    }

    /// All rules that should be there.
    fn all_rules(&self) -> BTreeSet<Rule> {
        let mut all = self.all_yielding();
        all.extend(
            [false, true]
                .into_iter()
                .filter_map(|ipv6| self.refusing_rule(ipv6)),
        );
        all
    }

    /// Whether a network's route is in the kernel, which does not remove it, without the rule that leaves it to the main table.
    fn is_exposed(&self, prefix: IpNet) -> bool {
        let is_there = self.known.routes_of(prefix).any(|one| one.1 == self.table);
        let yields = |rule: &Rule| {
            rule.ipv6 == prefix.addr().is_ipv6()
                && rule.destination.is_none_or(|to| to == prefix)
                && rule
                    .suppress
                    .is_some_and(|length| length < prefix.prefix_len())
        };
        is_there && !self.wanted.services.contains(&prefix) && !self.rules.iter().any(yields)
    }

    /// The rule that refuses, if there is anything to refuse in a family.
    fn refusing_rule(&self, ipv6: bool) -> Option<Rule> {
        let is = |net: &IpNet| net.addr().is_ipv6() == ipv6;
        let edge = |set: &BTreeSet<IpNet>| match ipv6 {
            // IPv4 sorts first.
            false => set.first().copied(),
            true => set.last().copied(),
        };
        let any = edge(&self.wanted.services).as_ref().is_some_and(is)
            || self.wanted.networks.keys().any(is);
        let stranger = self.known.strangers().any(|net| is(&net));
        let exposed = self.failures.keys().any(|thing| match thing {
            Thing::Route(net) => is(net) && self.is_exposed(*net),
            Thing::Rule(_) => false,
        });
        (any && !stranger && !exposed && !self.unlisted).then(|| Rule::refuses(ipv6, self.table))
    }
}

/// The tables whose routes win: the main one, and that of learned routes.
fn winners(learned: u32) -> Vec<u32> {
    let mut tables = vec![MAIN_TABLE];
    if learned != MAIN_TABLE {
        tables.push(learned);
    }
    tables
}
