//! What the RIB does when it is polled, and what it hands out.

use std::time::{Duration, Instant};

use bgp::types::{Family, RoutePrefix};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{FibRoute, Recount, Rib, RibEvent, Tables};
use crate::attrs::{AttrId, AttrInterner, RouteAttributesRef};
use crate::export::{Best, LocRib, Progress, Slot, SourcePeer, Transport, UpdateGroups};
use crate::peer::{PeerId, PeerKind};
use crate::table::{LimitReport, Table};

/// The interval of counting next hops again while some peer is over its limit: all its paths are visited for that.
const RECOUNT: Duration = Duration::from_secs(60);

/// The Loc-RIB as export sees it.
pub(super) struct View<'a> {
    tables: &'a Tables,
    attrs: &'a AttrInterner,
    known: &'a hashbrown::HashMap<PeerId, SourcePeer, foldhash::fast::RandomState>,
}

impl LocRib for View<'_> {
    fn slots(&self, family: Family) -> u32 {
        match family {
            Family::IPV4_UNICAST => self.tables.v4.slots(),
            Family::IPV6_UNICAST => self.tables.v6.slots(),
            _ => 0,
        }
    }

    fn prefix(&self, family: Family, slot: Slot) -> Option<IpNet> {
        match family {
            Family::IPV4_UNICAST => self.tables.v4.prefix(slot.0).map(Into::into),
            Family::IPV6_UNICAST => self.tables.v6.prefix(slot.0).map(Into::into),
            _ => None,
        }
    }

    fn find(&self, prefix: IpNet) -> Option<Slot> {
        match prefix {
            IpNet::V4(prefix) => self.tables.v4.find(prefix),
            IpNet::V6(prefix) => self.tables.v6.find(prefix),
        }
        .map(Slot)
    }

    fn best(&self, family: Family, slot: Slot) -> Option<Best<'_>> {
        match family {
            Family::IPV4_UNICAST => self.tables.v4.best(slot.0),
            Family::IPV6_UNICAST => self.tables.v6.best(slot.0),
            _ => None,
        }
    }

    fn route_attributes(&self, id: AttrId) -> RouteAttributesRef<'_> {
        self.attrs.get(id)
    }

    fn source(&self, peer: PeerId) -> SourcePeer {
        // Every session that sent a path left its entry; the fallback is the most restrictive kind.
        self.known.get(&peer).copied().unwrap_or(SourcePeer {
            kind: PeerKind::Internal,
            identifier: self.attrs.identity().router_id,
        })
    }
}

impl Rib {
    pub(super) fn view(&self) -> View<'_> {
        View {
            tables: &self.tables,
            attrs: &self.attrs,
            known: &self.known,
        }
    }

    /// Passes changes of the tables to export and to the owner.
    pub(super) fn note_changes(&mut self) {
        let (groups, events) = (&mut self.groups, &mut self.events);
        note_changes_of(&mut self.tables.v4, UpdateGroups::changed, groups, events);
        note_changes_of(&mut self.tables.v6, UpdateGroups::changed, groups, events);
    }

    /// The same for few prefixes, which go ahead of bulk changes.
    pub(super) fn note_news(&mut self) {
        let (groups, events) = (&mut self.groups, &mut self.events);
        note_changes_of(
            &mut self.tables.v4,
            UpdateGroups::changed_by_news,
            groups,
            events,
        );
        note_changes_of(
            &mut self.tables.v6,
            UpdateGroups::changed_by_news,
            groups,
            events,
        );
    }

    /// When [`Rib::poll`] must be called at the latest, even if nothing happens.
    pub fn deadline(&self) -> Option<Instant> {
        let tables = [self.tables.v4.deadline(), self.tables.v6.deadline()];
        let recount = match self.recount {
            Recount::At(at) => Some(at),
            Recount::Never | Recount::UnderWay => None,
        };
        let others = [self.start_deadline(), recount];
        tables.into_iter().chain(others).flatten().min()
    }

    /// Does pending work: timers, long walks, bytes for peers. Processes about `steps` table entries and staged routes
    /// at most, so it returns soon (10,000 steps take some milliseconds). Returns whether there is more to do now.
    pub fn poll(&mut self, now: Instant, steps: usize, transport: &mut impl Transport) -> bool {
        self.expire(now);
        self.count_next_hops(now);
        for peer in self.attrs.next_hops.take_roomy() {
            self.tables.v4.import_all(peer);
            self.tables.v6.import_all(peer);
        }
        // Before the tables, unless there are too many: lost gateways are reported to the FIB first.
        let steps = match self.attrs.next_hops.has_walk() {
            true => steps - self.walk_next_hops(steps.div_ceil(2)),
            false => steps,
        };
        // Half for each where both have work: that of one may never end.
        let share = match self.tables.v6.has_work() {
            true => steps.div_ceil(2),
            false => steps,
        };
        let walked = self.tables.v4.walk(share, &mut self.attrs);
        let walked = walked + self.tables.v6.walk(steps - walked, &mut self.attrs);
        // Those of next hops that were released before they were processed.
        self.note_ways();
        let walking = self.tables.v4.has_work() || self.tables.v6.has_work();
        if walked > 0 && !walking {
            self.forget_gone_peers();
        }
        self.note_changes();
        self.begin_start(now);
        // A quarter at least, so that a long walk cannot keep news from the peers.
        let left = (steps - walked).max(steps / 4).max(1);
        let view = View {
            tables: &self.tables,
            attrs: &self.attrs,
            known: &self.known,
        };
        let progress = self.groups.flush(&view, transport, left);
        for (family, slot) in self.groups.take_retired() {
            match family {
                Family::IPV4_UNICAST => self.tables.v4.retire(slot.0),
                Family::IPV6_UNICAST => self.tables.v6.retire(slot.0),
                _ => {}
            }
        }
        self.check_convergence(now);
        let is_counting = matches!(self.recount, Recount::UnderWay);
        let next_hops = &self.attrs.next_hops;
        let more = is_counting || next_hops.has_roomy() || next_hops.has_walk();
        walking || progress == Progress::More || more
    }

    /// Counts the next hops of peers over their limit again: some may count only because other peers have them.
    fn count_next_hops(&mut self, now: Instant) {
        let next_hops = &mut self.attrs.next_hops;
        self.recount = match self.recount {
            Recount::UnderWay if self.tables.v4.has_work() || self.tables.v6.has_work() => return,
            Recount::UnderWay => {
                next_hops.has_counted();
                Recount::Never
            }
            other => other,
        };
        self.recount = match (next_hops.has_refused(), self.recount) {
            (false, _) => Recount::Never,
            (true, Recount::Never) => Recount::At(now + RECOUNT),
            (true, Recount::At(at)) if at <= now => {
                for peer in next_hops.count_again() {
                    self.tables.v4.import_all(peer);
                    self.tables.v6.import_all(peer);
                }
                Recount::UnderWay
            }
            (true, other) => other,
        };
    }

    /// The number of changed prefixes that are not advertised yet. Bulk changes wait for that many others: an owner
    /// that accepts no input while this is large bounds the delay, and TCP slows down peers that send more than can be
    /// advertised. Slow receivers do not count; [`Rib::poll`] always reduces it.
    pub fn backlog(&self) -> usize {
        self.groups.backlog()
    }

    /// Whether the next poll starts with a small change: it should be called soon.
    pub fn has_news(&self) -> bool {
        self.groups.has_news()
    }

    fn expire(&mut self, now: Instant) {
        let told = self.events.len();
        expire_of(&mut self.tables.v4, now, &mut self.events);
        expire_of(&mut self.tables.v6, now, &mut self.events);
        let expired = |event: &RibEvent| match event {
            RibEvent::RestartTimeExpired { peer, .. } => Some(*peer),
            _ => None,
        };
        let expired: Vec<PeerId> = self.events[told..].iter().filter_map(expired).collect();
        for peer in expired {
            self.lose_next_hops(peer);
        }
    }

    /// Paths of peers that are no longer configured are all removed: who they were is not needed any more.
    fn forget_gone_peers(&mut self) {
        let peers = &self.peers;
        self.known.retain(|peer, _| peers.contains_key(peer));
    }

    /// Hands out at most `max` changes for the FIB; the latest state of each prefix only. `None`: not wanted any more.
    /// Returns how many there were; less than `max` means that there are no more now.
    pub fn take_fib_changes(
        &mut self,
        max: usize,
        mut each: impl FnMut(IpNet, Option<FibRoute>),
    ) -> usize {
        let taken = self.tables.v4.take_fib_changes(max, &self.attrs, &mut each);
        let rest = max - taken;
        let taken = taken
            + self
                .tables
                .v6
                .take_fib_changes(rest, &self.attrs, &mut each);
        let walking = self.tables.v4.has_work() || self.tables.v6.has_work();
        if taken < max && !walking && !self.attrs.next_hops.is_losing() {
            // Routes via a lost gateway have been moved to others.
            self.attrs.next_hops.forget_lost();
            self.note_ways();
        }
        self.tell_convergence();
        taken
    }

    /// Whether changes for [`Rib::take_fib_changes`] are recorded, as they are initially: without a FIB that is wasted
    /// work. When recording starts again, every prefix that the FIB should have counts as changed; walks the tables.
    pub fn set_fib(&mut self, wanted: bool) {
        self.tables.v4.set_fib(wanted);
        self.tables.v6.set_fib(wanted);
    }

    /// What happened since the last call.
    pub fn take_events(&mut self) -> Vec<RibEvent> {
        std::mem::take(&mut self.events)
    }
}

fn note_changes_of<P: RoutePrefix>(
    table: &mut Table<P>,
    changed: impl Fn(&mut UpdateGroups, Family, Slot),
    groups: &mut UpdateGroups,
    events: &mut Vec<RibEvent>,
) {
    table.take_changed(|slot| changed(groups, P::FAMILY, Slot(slot)));
    for (peer, report) in table.take_limit_reports() {
        let family = P::FAMILY;
        events.push(match report {
            LimitReport::Near { accepted, limit } => RibEvent::PrefixWarning {
                peer,
                family,
                accepted,
                limit,
            },
            LimitReport::Exceeded { limit, of } => RibEvent::PrefixLimit {
                peer,
                family,
                limit,
                of,
            },
            LimitReport::Refused { limit, of } => RibEvent::PathRefused {
                peer,
                family,
                limit,
                of,
            },
        });
    }
}

fn expire_of<P: RoutePrefix>(table: &mut Table<P>, now: Instant, events: &mut Vec<RibEvent>) {
    if table.deadline().is_some_and(|at| at <= now) {
        table.expire(now, |peer, long_lived| {
            events.push(RibEvent::RestartTimeExpired {
                peer,
                family: P::FAMILY,
                long_lived,
            });
        });
    }
}

/// The two tables by their prefix type, for code that is generic over it.
pub(super) trait TableOf<P: RoutePrefix> {
    fn table(&self) -> &Table<P>;
}

impl TableOf<Ipv4Net> for Tables {
    fn table(&self) -> &Table<Ipv4Net> {
        &self.v4
    }
}

impl TableOf<Ipv6Net> for Tables {
    fn table(&self) -> &Table<Ipv6Net> {
        &self.v6
    }
}
