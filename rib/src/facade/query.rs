//! What people ask: routes by peer, prefix and status, and counts.

use std::net::IpAddr;

use bgp::types::{Family, NextHop, RoutePrefix};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::poll::TableOf;
use super::{PeerCounts, Rib, Tables, Totals};
use crate::attrs::{AttrInterner, Identity};
use crate::export::{Advertised, Slot, Suppressed};
use crate::peer::PeerId;
use crate::policy::RuleRef;
use crate::table::{RouteView, Rule, Table};

/// Which routes are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteFilter {
    /// The family.
    pub family: Family,
    /// Only paths received from this peer, rejected ones included.
    pub peer: Option<PeerId>,
    /// Only selected paths: the best one and those used beside it.
    pub selected: bool,
    /// Only this prefix and more specific ones.
    pub within: Option<IpNet>,
}

impl RouteFilter {
    /// All paths of a family.
    pub const fn all(family: Family) -> Self {
        Self {
            family,
            peer: None,
            selected: false,
            within: None,
        }
    }
}

/// The place of a listing. It stays valid while the tables change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoutesCursor(u32);

impl Rib {
    /// Lists routes in no particular order, from `cursor` on, of at most `steps` table entries. Returns the cursor to
    /// continue with, `None` at the end: the RIB does other work between the parts of a large table.
    pub fn routes(
        &self,
        filter: &RouteFilter,
        cursor: RoutesCursor,
        steps: usize,
        each: &mut dyn FnMut(RouteView<'_>),
    ) -> Option<RoutesCursor> {
        match filter.family {
            Family::IPV4_UNICAST => {
                list::<Ipv4Net>(&self.tables, &self.attrs, filter, cursor, steps, each)
            }
            Family::IPV6_UNICAST => {
                list::<Ipv6Net>(&self.tables, &self.attrs, filter, cursor, steps, each)
            }
            _ => None,
        }
    }

    /// One prefix with all its paths, as they stand in the decision process.
    pub fn route(&self, prefix: IpNet) -> Option<RouteView<'_>> {
        let all = |_, _| true;
        match prefix {
            IpNet::V4(prefix) => {
                let table = &self.tables.v4;
                table.view(table.find(prefix.trunc())?, &self.attrs, all)
            }
            IpNet::V6(prefix) => {
                let table = &self.tables.v6;
                table.view(table.find(prefix.trunc())?, &self.attrs, all)
            }
        }
    }

    /// The most specific prefix with a best path that covers an address.
    pub fn longest_match(&self, address: IpAddr) -> Option<RouteView<'_>> {
        let all = |_, _| true;
        match address {
            IpAddr::V4(_) => {
                let table = &self.tables.v4;
                table.view(table.longest_match(address)?, &self.attrs, all)
            }
            IpAddr::V6(_) => {
                let table = &self.tables.v6;
                table.view(table.longest_match(address)?, &self.attrs, all)
            }
        }
    }

    /// The rule that decided about a prefix; `None` without a best path.
    pub fn deciding_rule(&self, prefix: IpNet) -> Option<Rule> {
        match prefix {
            IpNet::V4(prefix) => self.tables.v4.rule(self.tables.v4.find(prefix.trunc())?),
            IpNet::V6(prefix) => self.tables.v6.rule(self.tables.v6.find(prefix.trunc())?),
        }
    }

    /// Counts of a peer's routes, kept without a walk. Zero for unknown peers and families.
    pub fn counts(&self, peer: PeerId, family: Family) -> PeerCounts {
        let received = match family {
            Family::IPV4_UNICAST => counts(&self.tables.v4, peer),
            Family::IPV6_UNICAST => counts(&self.tables.v6, peer),
            _ => PeerCounts::default(),
        };
        PeerCounts {
            advertised: self.groups.advertised_count(peer, family) as u32,
            next_hops: self.attrs.next_hops.count_of(peer),
            memory: self.memory(peer),
            too_large: u32::try_from(self.groups.too_large_count(peer, family)).unwrap_or(u32::MAX),
            ..received
        }
    }

    /// What is advertised to a peer for a prefix, or why nothing. `None` if its session is not up.
    pub fn explain_export(
        &self,
        peer: PeerId,
        prefix: IpNet,
    ) -> Option<Result<Advertised, Suppressed>> {
        self.groups.explain(&self.view(), peer, prefix.trunc())
    }

    /// The next hop of originated routes as advertised to a peer; `None` if its session is not up.
    ///
    /// # Errors
    /// We have no address for it: [`Suppressed::NoNextHop`].
    pub fn own_next_hop(
        &self,
        peer: PeerId,
        family: Family,
    ) -> Option<Result<NextHop, Suppressed>> {
        self.groups.own_next_hop(peer, family)
    }

    /// Lists routes advertised to a peer, from `cursor` on, of at most `steps` table entries and up to `limit` routes.
    /// Returns the cursor to continue with, `None` at the end.
    pub fn advertised(
        &self,
        peer: PeerId,
        family: Family,
        cursor: RoutesCursor,
        (steps, limit): (u32, usize),
        each: impl FnMut(IpNet, Advertised),
    ) -> Option<RoutesCursor> {
        let view = self.view();
        let from = Slot(cursor.0);
        let next = self
            .groups
            .advertised(&view, peer, family, from, (steps, limit), each);
        next.map(|slot| RoutesCursor(slot.0))
    }

    /// The names of policy and rule of a peer's import policies.
    pub fn import_rule_names(&self, peer: PeerId, rule: RuleRef) -> Option<(String, String)> {
        let (policy, rule) = self.peers.get(&peer)?.chain.names(rule)?;
        Some((policy.to_owned(), rule.to_owned()))
    }

    /// The names of policy and rule of a peer's export policies. `None` if its session is not up.
    pub fn export_rule_names(&self, peer: PeerId, rule: RuleRef) -> Option<(String, String)> {
        self.groups.rule_names(peer, rule)
    }

    /// The number of the update group that a peer is in: peers with one number share their messages.
    pub fn update_group(&self, peer: PeerId) -> Option<u32> {
        self.groups.group_number(peer)
    }

    /// Counts of a family's table, kept without a walk.
    pub fn totals(&self, family: Family) -> Totals {
        match family {
            Family::IPV4_UNICAST => self.tables.v4.totals(),
            Family::IPV6_UNICAST => self.tables.v6.totals(),
            _ => Totals::default(),
        }
    }

    /// How many attribute sets are interned, over all families.
    pub fn attribute_sets(&self) -> u64 {
        self.attrs.len() as u64
    }

    /// Whether a peer's End-of-RIB of a family arrived, and whether ours was sent. Both are false without a session or
    /// without the family.
    pub fn end_of_rib(&self, peer: PeerId, family: Family) -> (bool, bool) {
        let session = self.peers.get(&peer).and_then(|peer| peer.session.as_ref());
        let session = session.filter(|up| up.negotiated.families.contains(&family));
        let received = session.is_some_and(|up| !up.awaited.families.contains(&family));
        (received, self.groups.end_of_rib_sent(peer, family))
    }

    /// How many prefixes of a family are known, and how many attribute sets of all families are interned.
    pub fn sizes(&self, family: Family) -> (usize, usize) {
        let prefixes = match family {
            Family::IPV4_UNICAST => self.tables.v4.len(),
            Family::IPV6_UNICAST => self.tables.v6.len(),
            _ => 0,
        };
        (prefixes, self.attrs.len())
    }

    /// Who loops are recognised by.
    pub fn identity(&self) -> &Identity {
        self.attrs.identity()
    }
}

fn counts<P: RoutePrefix>(table: &Table<P>, peer: PeerId) -> PeerCounts {
    let mut counts = PeerCounts::default();
    for (_, source) in table.sources_of(peer) {
        counts.received += source.received;
        counts.accepted += source.accepted;
        counts.selected += source.selected;
        counts.stale += source.stale_paths();
        // Of the newest.
        counts.paths_refused = source.paths_refused;
        counts.next_hops_refused = source.next_hops_refused;
    }
    counts
}

fn list<P: RoutePrefix>(
    tables: &Tables,
    attrs: &AttrInterner,
    filter: &RouteFilter,
    cursor: RoutesCursor,
    steps: usize,
    each: &mut dyn FnMut(RouteView<'_>),
) -> Option<RoutesCursor>
where
    Tables: TableOf<P>,
{
    let table = tables.table();
    let mut at = cursor.0;
    for _ in 0..steps {
        let slot = table.next_slot(at)?;
        at = slot + 1;
        let inside = filter.within.is_none_or(|net| {
            let prefix = table.prefix(slot).map(Into::into);
            prefix.is_some_and(|prefix: IpNet| net.contains(&prefix))
        });
        if !inside {
            continue;
        }
        let wanted = |peer: Option<PeerId>, selected: bool| {
            (filter.peer.is_none() || filter.peer == peer) && (!filter.selected || selected)
        };
        if let Some(view) = table.view(slot, attrs, wanted) {
            each(view);
        }
    }
    Some(RoutesCursor(at))
}
