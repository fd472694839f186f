//! What is asked of a table: the best path for export, what the FIB should hold, and everything for people.

use std::net::IpAddr;

use bgp::types::{PathId, RoutePrefix};
use bgp::wire::attribute::AttributeCode;
use ipnet::IpNet;
use smallvec::SmallVec;

use super::filter::Filtering;
use super::path::{Entry, FIB_QUEUED, Path};
use super::path_status::{PathStatus, Rule};
use super::{AdjRibInId, Table};
use crate::attrs::{AttrInterner, Resolution, RouteAttributesRef};
use crate::export::Best;
use crate::facade::{FibNextHop, FibRoute, Totals};
use crate::originate::Originated;
use crate::peer::PeerId;
use crate::policy::{RuleRef, Verdict};

/// A path, as people ask for it.
#[derive(Clone, Debug)]
pub struct PathView<'a> {
    /// Who it was received from; `None`: this node originates it.
    pub peer: Option<PeerId>,
    /// The identifier that the peer gave it.
    pub path_id: PathId,
    /// Attributes and next hop after import policy.
    pub attributes: RouteAttributesRef<'a>,
    /// Attributes as they were received, if import changed them.
    pub received: Option<RouteAttributesRef<'a>>,
    /// What became of it.
    pub status: PathStatus,
    /// The attribute because of which the peer's filter treats it as withdrawn, if it does.
    pub filtered: Option<AttributeCode>,
    /// The rule of the peer's import policies that accepted or rejected it, if one did.
    pub policy_rule: Option<RuleRef>,
    /// Kept from before a restart or refresh, and not repeated so far.
    pub stale: bool,
    /// Stale for long (RFC 9494).
    pub long_lived_stale: bool,
    /// Its share among selected paths, 1 to 256.
    pub weight: u16,
    /// Where its next hop leads; `None`: nowhere, or the path is ours.
    pub resolution: Option<Resolution>,
}

/// A prefix with its paths.
#[derive(Clone, Debug)]
pub struct RouteView<'a> {
    /// The destination.
    pub prefix: IpNet,
    /// The asked-for paths: selected ones first, the best one foremost.
    pub paths: Vec<PathView<'a>>,
    /// What this node originates for it.
    pub originated: Option<&'a Originated>,
}

impl<P: RoutePrefix> Table<P> {
    /// One past the highest slot.
    pub(crate) fn slots(&self) -> u32 {
        self.entries.end()
    }

    pub(crate) fn prefix(&self, slot: u32) -> Option<P> {
        Some(self.entries.get(slot)?.prefix)
    }

    pub(crate) fn find(&self, prefix: P) -> Option<u32> {
        self.index.find(prefix, &self.entries)
    }

    /// Counts of the whole table.
    pub(crate) fn totals(&self) -> Totals {
        let mut totals = Totals {
            prefixes: self.usable as u64,
            originated: self.originated.len() as u64,
            ..Totals::default()
        };
        totals.paths = totals.originated;
        for source in self.sources.iter().flatten() {
            totals.paths += u64::from(source.received);
            totals.rejected += u64::from(source.received - source.accepted);
            totals.stale += u64::from(source.stale_paths());
        }
        totals
    }

    /// How many prefixes have an entry.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    fn best_path(&self, entry: &Entry<P>) -> Option<Path> {
        if entry.selected == 0 {
            return None;
        }
        entry.paths(&self.lists).first().copied()
    }

    /// The best path of a slot, for export.
    pub(crate) fn best(&self, slot: u32) -> Option<Best<'_>> {
        let entry = self.entries.get(slot)?;
        let path = self.best_path(entry)?;
        if path.source == AdjRibInId::LOCAL {
            return Some(Best::Originated(self.originated.get(&entry.prefix)?));
        }
        Some(Best::Learned {
            peer: self.source(path.source)?.context.peer,
            attributes: path.attr,
        })
    }

    /// Takes at most `max` changes for the FIB. Without a FIB they are taken for nobody.
    pub(crate) fn take_fib_changes(
        &mut self,
        max: usize,
        attrs: &AttrInterner,
        each: &mut impl FnMut(IpNet, Option<FibRoute>),
    ) -> usize {
        for taken in 0..max {
            let Some(slot) = self.fib_queue.pop_front() else {
                return taken;
            };
            if let Some(entry) = self.entries.get_mut(slot) {
                entry.marks &= !FIB_QUEUED;
                let prefix = entry.prefix.into();
                if self.fib {
                    each(prefix, self.fib_route(slot, attrs));
                }
                self.free_if_empty(slot);
            }
        }
        max
    }

    /// What the FIB should hold for a slot.
    fn fib_route(&self, slot: u32, attrs: &AttrInterner) -> Option<FibRoute> {
        let entry = self.entries.get(slot)?;
        let selected = &entry.paths(&self.lists)[..usize::from(entry.selected)];
        if selected.first()?.source == AdjRibInId::LOCAL {
            return None;
        }
        let mut ways: SmallVec<[FibNextHop; 2]> = SmallVec::new();
        for path in selected {
            let Some(resolution) = self.resolution(path, attrs) else {
                continue;
            };
            let way = FibNextHop {
                gateway: resolution.gateway,
                ifindex: resolution.ifindex,
                weight: path.weight(),
                onlink: resolution.onlink,
            };
            match ways
                .iter_mut()
                .find(|w| (w.gateway, w.ifindex) == (way.gateway, way.ifindex))
            {
                Some(same) => {
                    same.weight = same.weight.max(way.weight);
                    same.onlink |= way.onlink;
                }
                None => ways.push(way),
            }
        }
        (!ways.is_empty()).then_some(FibRoute { next_hops: ways })
    }

    fn resolution(&self, path: &Path, attrs: &AttrInterner) -> Option<Resolution> {
        let context = &self.source(path.source)?.context;
        let next_hop = attrs.summary(path.attr).next_hop;
        attrs.next_hops.resolution(next_hop, context.interface)
    }

    /// Whether no change waits for the FIB, nor a prefix to be queued for it.
    pub(crate) fn fib_has_all(&self) -> bool {
        self.fib_queue.is_empty() && self.refill.is_none()
    }

    /// Whether changes for the FIB are noted. When it begins, all that the FIB should hold counts as changed.
    pub(crate) fn set_fib(&mut self, wanted: bool) {
        if self.fib == wanted {
            return;
        }
        self.fib = wanted;
        // What is queued of what is not wanted is forgotten as it is taken.
        self.refill = wanted.then_some(0);
    }

    /// The most specific prefix with a best path that covers an address.
    pub(crate) fn longest_match(&self, address: IpAddr) -> Option<u32> {
        let bits = match address {
            IpAddr::V4(a) => u128::from(a.to_bits()) << 96,
            IpAddr::V6(a) => a.to_bits(),
        };
        (0..=P::ADDRESS_BITS).rev().find_map(|length| {
            let slot = self.find(P::from_key(bits, length)?)?;
            (self.entries.get(slot)?.selected > 0).then_some(slot)
        })
    }

    /// The first slot at or after this one.
    pub(crate) fn next_slot(&self, slot: u32) -> Option<u32> {
        Some(self.entries.next_from(slot)?.0)
    }

    /// A slot with those of its paths that `wanted` names by peer and whether they are selected. `None` if there is none.
    pub(crate) fn view<'a>(
        &'a self,
        slot: u32,
        attrs: &'a AttrInterner,
        wanted: impl Fn(Option<PeerId>, bool) -> bool,
    ) -> Option<RouteView<'a>> {
        let entry = self.entries.get(slot)?;
        let mut paths = Vec::new();
        let mut statuses = None;
        for (place, path) in entry.paths(&self.lists).iter().enumerate() {
            let peer = self.peer_of(path);
            if !wanted(peer, place < usize::from(entry.selected)) {
                continue;
            }
            let statuses = statuses.get_or_insert_with(|| self.statuses(entry, attrs));
            paths.push(self.path_view(slot, entry, path, statuses[place], attrs));
        }
        (!paths.is_empty()).then_some(RouteView {
            prefix: entry.prefix.into(),
            paths,
            originated: self.originated.get(&entry.prefix),
        })
    }

    fn peer_of(&self, path: &Path) -> Option<PeerId> {
        Some(self.source(path.source)?.context.peer)
    }

    fn path_view<'a>(
        &'a self,
        slot: u32,
        entry: &Entry<P>,
        path: &Path,
        status: PathStatus,
        attrs: &'a AttrInterner,
    ) -> PathView<'a> {
        let original = (path.is_altered())
            .then(|| self.originals.get(&(slot, path.source, path.path_id)))
            .flatten();
        let received = original.map(|id| attrs.get(*id));
        let attributes = attrs.get(path.attr);
        let source = self.source(path.source);
        let announced = received.unwrap_or(attributes);
        let flags = attrs.summary(*original.unwrap_or(&path.attr)).flags;
        let filtering = source.map_or(Filtering::Untouched, |source| {
            source.context.filter.apply(announced.set, flags)
        });
        let stale = source.is_some_and(super::AdjRibIn::is_stale);
        let policy_rule = source.and_then(|source| {
            let context = &source.context;
            if context.chain.is_empty() {
                return None;
            }
            match context.chain.evaluate(
                entry.prefix.into(),
                &context.filter.seen(announced.set, filtering),
                &announced.next_hop,
                context.local_asn,
            ) {
                Verdict::Rejected(rule) => Some(rule),
                Verdict::Accepted(accepted) => accepted.rule,
            }
        });
        PathView {
            peer: self.peer_of(path),
            path_id: path.path_id,
            attributes,
            received,
            status,
            filtered: match filtering {
                Filtering::Withdraws(code) => Some(code),
                Filtering::Untouched | Filtering::Discards => None,
            },
            policy_rule,
            stale,
            long_lived_stale: stale && source.is_some_and(|source| source.long_lived),
            weight: path.weight(),
            resolution: self.resolution(path, attrs),
        }
    }

    /// What became of each path of an entry: the decision process run again.
    fn statuses(&self, entry: &Entry<P>, attrs: &AttrInterner) -> Vec<PathStatus> {
        let mut candidates = self.candidates(entry, attrs);
        self.decide(&mut candidates, attrs);
        let selected = usize::from(entry.selected);
        let paths = entry.paths(&self.lists).iter();
        let not_usable = |path: &Path| match path.rejection() {
            Some(rejection) => PathStatus::Rejected(rejection),
            None => PathStatus::NextHopUnreachable,
        };
        let mut statuses: Vec<PathStatus> = paths.map(not_usable).collect();
        for candidate in &candidates {
            statuses[candidate.place] = match candidate.lost {
                None => PathStatus::Best(entry.rule),
                Some(rule) if candidate.place < selected => PathStatus::Multipath(rule),
                Some(rule) => PathStatus::Lost(rule),
            };
        }
        statuses
    }

    /// The rule that decided about a prefix; `None` without a best path.
    pub(crate) fn rule(&self, slot: u32) -> Option<Rule> {
        let entry = self.entries.get(slot)?;
        (entry.selected > 0).then_some(entry.rule)
    }
}
