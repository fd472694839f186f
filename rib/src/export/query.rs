//! What is advertised to a peer, and why a route is not: for `routes advertised` and `explain`.
//!
//! Answers are computed from the current Loc-RIB by the rules that the stream uses. If a change is staged but not sent
//! yet, or the peer is behind, the answer is what the peer will have been sent.

use bgp::types::{Family, NextHop};
use bgp::wire::AttributeSet;
use ipnet::IpNet;

use super::exclusion::Excluded;
use super::group::Group;
use super::rules::Exported;
use super::view::family_index;
use super::{Best, LocRib, Slot, Suppressed, UpdateGroups};
use crate::peer::PeerId;

/// What is advertised to a peer for a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advertised {
    /// The attributes, next hop not included.
    pub attributes: AttributeSet,
    /// The next hop.
    pub next_hop: NextHop,
}

impl UpdateGroups {
    /// What is advertised to a peer for a prefix, or why nothing. `None` if the peer's session is not up.
    pub fn explain<L: LocRib>(
        &self,
        loc_rib: &L,
        peer: PeerId,
        prefix: IpNet,
    ) -> Option<Result<Advertised, Suppressed>> {
        let group = self.group_of(peer)?;
        if !self.is_gate_open() {
            return Some(Err(Suppressed::GateClosed));
        }
        let Some(slot) = loc_rib.find(prefix) else {
            return Some(Err(Suppressed::NoRoute));
        };
        let family = super::rules::family_of(prefix);
        Some(self.evaluate(loc_rib, group, peer, family, slot))
    }

    /// The next hop of originated routes as advertised to a peer; `None` if the peer's session is not up.
    ///
    /// # Errors
    /// We have no address for it: [`Suppressed::NoNextHop`].
    pub fn own_next_hop(
        &self,
        peer: PeerId,
        family: Family,
    ) -> Option<Result<NextHop, Suppressed>> {
        let ours = self.group_of(peer)?.key.next_hop_self(family);
        Some(ours.map(|outgoing| outgoing.next_hop))
    }

    /// The prefixes advertised to a peer, from a slot on and in slot order: at most `limit`, of at most `steps` slots.
    /// Returns the slot to continue with; `None`: there are no more.
    pub fn advertised<L: LocRib>(
        &self,
        loc_rib: &L,
        peer: PeerId,
        family: Family,
        from: Slot,
        (steps, limit): (u32, usize),
        mut each: impl FnMut(IpNet, Advertised),
    ) -> Option<Slot> {
        let group = self.group_of(peer).filter(|_| self.is_gate_open())?;
        let end = loc_rib.slots(family);
        let mut found = 0;
        for slot in from.0..end {
            if slot - from.0 == steps || found == limit {
                return Some(Slot(slot));
            }
            let Some(prefix) = loc_rib.prefix(family, Slot(slot)) else {
                continue;
            };
            if let Ok(advertised) = self.evaluate(loc_rib, group, peer, family, Slot(slot)) {
                each(prefix, advertised);
                found += 1;
            }
        }
        None
    }

    /// The number of prefixes of a family advertised to a peer, without a walk. 0 if its session is not up.
    pub fn advertised_count(&self, peer: PeerId, family: Family) -> usize {
        match (self.group_of(peer), family_index(family)) {
            (Some(group), Some(index)) => group.count(peer, index),
            _ => 0,
        }
    }

    /// How many prefixes of a family are not advertised to a peer because no message to it can hold their routes
    /// ([`Suppressed::TooLarge`]): known without a walk. 0 if its session is not up.
    pub fn too_large_count(&self, peer: PeerId, family: Family) -> usize {
        match (self.group_of(peer), family_index(family)) {
            (Some(group), Some(index)) => group.too_large(index),
            _ => 0,
        }
    }

    /// Whether the End-of-RIB of a family has been sent to a peer: its initial dump is complete. False if its session
    /// is not up or did not negotiate the family.
    pub fn end_of_rib_sent(&self, peer: PeerId, family: Family) -> bool {
        match (self.group_of(peer), family_index(family)) {
            (Some(group), Some(index)) => group.end_of_rib_sent(peer, index),
            _ => false,
        }
    }

    /// Whether a peer is behind the stream of its group: it joins, refreshes, or does not read fast enough.
    pub fn is_behind(&self, peer: PeerId) -> bool {
        self.group_of(peer)
            .is_some_and(|group| group.is_behind(peer))
    }

    /// The names of policy and rule behind [`Suppressed::Policy`] for a peer whose session is up.
    pub fn rule_names(
        &self,
        peer: PeerId,
        rule: crate::policy::RuleRef,
    ) -> Option<(String, String)> {
        let (policy, rule) = self.group_of(peer)?.key.export.names(rule)?;
        Some((policy.to_owned(), rule.to_owned()))
    }

    /// The number of the group that a peer is in: peers with one number share their messages.
    pub fn group_number(&self, peer: PeerId) -> Option<u32> {
        self.number_of(peer)
    }

    fn evaluate<L: LocRib>(
        &self,
        loc_rib: &L,
        group: &Group,
        peer: PeerId,
        family: Family,
        slot: Slot,
    ) -> Result<Advertised, Suppressed> {
        let (exported, excluded): (Exported, Excluded) =
            match loc_rib.best(family, slot).ok_or(Suppressed::NoRoute)? {
                Best::Originated(originated) => {
                    let exported = group.key.originated(originated, self.seed())?;
                    (exported, Excluded::default())
                }
                Best::Learned {
                    peer: from,
                    attributes,
                } => {
                    // The simplest reason comes first.
                    if from == peer {
                        return Err(Suppressed::SourcePeer);
                    }
                    let prefix = loc_rib.prefix(family, slot).ok_or(Suppressed::NoRoute)?;
                    let route = loc_rib.route_attributes(attributes);
                    let source = loc_rib.source(from);
                    let exported = group.key.learned(prefix, route, source, self.seed())?;
                    let excluded = group.excluded(&exported, Some(from));
                    (exported, excluded)
                }
            };
        if excluded.contains(peer) {
            return Err(Suppressed::PeerIsNextHop);
        }
        Ok(Advertised {
            attributes: exported.set,
            next_hop: exported.next_hop,
        })
    }
}
