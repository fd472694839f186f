#![allow(clippy::unwrap_used)]
//! Adj-RIB-Out against a small Loc-RIB, queues with a mark, and receivers that decode what they get.

mod groups;
mod key;
mod property;
mod receiver;
mod rules;
mod sizes;
mod steps;

pub(super) use receiver::{Receiver, TestTransport};

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use bgp::fsm::{Config, Negotiated, RemoteAsn, negotiate};
use bgp::types::{Asn, BgpIdentifier, Family, NextHop, NlriList};
use bgp::wire::attribute::{AsPath, Origin};
use bgp::wire::{
    AttributeSet, Capability, Framer, Message, Open, PathAttributes, RouteRefreshSubtype,
    UpdateCodec,
};
use bytes::{Bytes, BytesMut};
use ipnet::IpNet;

use super::key::GroupKey;
use super::*;
use crate::attrs::{AttrId, RouteAttributes, RouteAttributesRef};
use crate::originate::Originated;
use crate::peer::{PeerConfig, PeerId, PeerKind, SessionInfo};

pub(super) const OWN: Asn = Asn(64512);
pub(super) const OWN_ID: BgpIdentifier = BgpIdentifier(0x0a00_0001);

pub(super) fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

pub(super) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// What two plain OPENs agree on.
pub(super) fn negotiated(peer_asn: Asn) -> Negotiated {
    let local = Config::new(OWN, OWN_ID, RemoteAsn::Any, 1);
    let remote = Open {
        asn: peer_asn,
        hold_time: 90,
        identifier: BgpIdentifier(99),
        capabilities: vec![
            Capability::Multiprotocol(Family::IPV4_UNICAST),
            Capability::Multiprotocol(Family::IPV6_UNICAST),
            Capability::FourOctetAs(peer_asn),
            Capability::RouteRefresh,
        ],
    };
    negotiate(&local, &remote).unwrap()
}

/// A session to 192.0.2.`host` with both of our addresses.
pub(super) fn session(kind: PeerKind, host: u8) -> SessionInfo {
    let peer_asn = match kind {
        PeerKind::External => Asn(65000 + u32::from(host)),
        PeerKind::Internal | PeerKind::ReflectorClient => OWN,
    };
    SessionInfo {
        negotiated: Arc::new(negotiated(peer_asn)),
        remote_address: IpAddr::from([192, 0, 2, host]),
        local_ipv4: Some("192.0.2.254".parse().unwrap()),
        local_ipv6: Some("2001:db8::254".parse().unwrap()),
        local_link_local: None,
        interface: None,
        subnets: vec![net("192.0.2.0/24"), net("2001:db8::/64")],
        single_hop: true,
    }
}

/// A peer with transit and nothing special.
pub(super) fn config(kind: PeerKind) -> PeerConfig {
    PeerConfig {
        transit: true,
        ..PeerConfig::new(kind)
    }
}

pub(super) fn key(config: &PeerConfig, session: &SessionInfo) -> GroupKey {
    GroupKey::new(config, session, None)
}

/// A route as learned: AS path 65100, next hop outside of all networks.
pub(super) fn learned() -> (PathAttributes, NextHop) {
    let attributes = PathAttributes {
        origin: Some(Origin::Igp),
        as_path: AsPath::sequence([Asn(65100)]),
        ..PathAttributes::default()
    };
    (attributes, NextHop::Ipv4("203.0.113.1".parse().unwrap()))
}

pub(super) fn route(attributes: &PathAttributes, next_hop: NextHop) -> RouteAttributes {
    RouteAttributes {
        set: AttributeSet::from_attributes(attributes).unwrap(),
        next_hop,
    }
}

pub(super) fn from(kind: PeerKind) -> SourcePeer {
    SourcePeer {
        kind,
        identifier: BgpIdentifier(77),
    }
}

/// The best route of a slot, as a test sets it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum TestBest {
    Learned(PeerId, RouteAttributes),
    Originated(Originated),
}

#[derive(Debug)]
struct Entry {
    prefix: IpNet,
    best: Option<(TestBest, Option<AttrId>)>,
}

/// A Loc-RIB whose slots and attribute numbers are used again as soon as they may be.
#[derive(Debug, Default)]
pub(super) struct TestRib {
    slots: [Vec<Option<Entry>>; 2],
    by_prefix: BTreeMap<IpNet, usize>,
    free: [BTreeSet<usize>; 2],
    /// With the number of users.
    sets: Vec<(Option<RouteAttributes>, usize)>,
    pub(super) sources: BTreeMap<PeerId, SourcePeer>,
}

fn index(family: Family) -> usize {
    usize::from(family != Family::IPV4_UNICAST)
}

impl TestRib {
    /// Sets or removes the best route of a prefix and says which slot changed.
    pub(super) fn set(&mut self, prefix: IpNet, best: Option<TestBest>) -> Option<(Family, Slot)> {
        let family = super::rules::family_of(prefix);
        let slots = &mut self.slots[index(family)];
        let at = match self.by_prefix.get(&prefix) {
            Some(at) => *at,
            None if best.is_none() => return None,
            None => {
                let at = self.free[index(family)].pop_first();
                let at = at.unwrap_or(slots.len());
                if at == slots.len() {
                    slots.push(None);
                }
                slots[at] = Some(Entry { prefix, best: None });
                self.by_prefix.insert(prefix, at);
                at
            }
        };
        if let Some((_, Some(old))) = slots[at].as_mut().unwrap().best.take() {
            let (set, users) = &mut self.sets[old.0 as usize];
            *users -= 1;
            if *users == 0 {
                *set = None;
            }
        }
        let best = best.map(|best| {
            let id = match &best {
                TestBest::Learned(_, route) => Some(self.intern(route)),
                TestBest::Originated(_) => None,
            };
            (best, id)
        });
        self.slots[index(family)][at].as_mut().unwrap().best = best;
        Some((family, Slot(at as u32)))
    }

    fn intern(&mut self, route: &RouteAttributes) -> AttrId {
        let find = |wanted| self.sets.iter().position(|(set, _)| set.as_ref() == wanted);
        let at = find(Some(route)).or_else(|| find(None));
        let at = at.unwrap_or(self.sets.len());
        if at == self.sets.len() {
            self.sets.push((None, 0));
        }
        let (set, users) = &mut self.sets[at];
        *set = Some(route.clone());
        *users += 1;
        AttrId(at as u32)
    }

    /// Frees a slot that Adj-RIB-Out let go of.
    pub(super) fn retire(&mut self, family: Family, slot: Slot) {
        let entry = &mut self.slots[index(family)][slot.0 as usize];
        if let Some(empty) = entry.take_if(|entry| entry.best.is_none()) {
            self.by_prefix.remove(&empty.prefix);
            self.free[index(family)].insert(slot.0 as usize);
        }
    }

    /// How many entries have no route: what Adj-RIB-Out makes the table keep.
    pub(super) fn empty_entries(&self) -> usize {
        let entries = self.slots.iter().flatten().flatten();
        entries.filter(|entry| entry.best.is_none()).count()
    }

    pub(super) fn routes(&self) -> impl Iterator<Item = (IpNet, &TestBest)> {
        let entries = self.slots.iter().flatten().flatten();
        entries.filter_map(|entry| Some((entry.prefix, &entry.best.as_ref()?.0)))
    }
}

impl LocRib for TestRib {
    fn slots(&self, family: Family) -> u32 {
        self.slots[index(family)].len() as u32
    }

    fn prefix(&self, family: Family, slot: Slot) -> Option<IpNet> {
        let entry = self.slots[index(family)].get(slot.0 as usize)?.as_ref()?;
        Some(entry.prefix)
    }

    fn find(&self, prefix: IpNet) -> Option<Slot> {
        self.by_prefix.get(&prefix).map(|at| Slot(*at as u32))
    }

    fn best(&self, family: Family, slot: Slot) -> Option<Best<'_>> {
        let entry = self.slots[index(family)].get(slot.0 as usize)?.as_ref()?;
        Some(match entry.best.as_ref()? {
            (TestBest::Learned(peer, _), Some(id)) => Best::Learned {
                peer: *peer,
                attributes: *id,
            },
            (TestBest::Originated(originated), _) => Best::Originated(originated),
            _ => unreachable!("a learned route is interned"),
        })
    }

    fn route_attributes(&self, id: AttrId) -> RouteAttributesRef<'_> {
        self.sets[id.0 as usize].0.as_ref().unwrap().borrowed()
    }

    fn source(&self, peer: PeerId) -> SourcePeer {
        self.sources[&peer]
    }
}

/// Rib, groups and far ends together.
#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) rib: TestRib,
    pub(super) groups: UpdateGroups,
    pub(super) transport: TestTransport,
}

impl World {
    pub(super) fn open() -> Self {
        let mut world = Self::default();
        world.groups.open_gate();
        world
    }

    pub(super) fn set(&mut self, prefix: IpNet, best: Option<TestBest>) {
        if let Some((family, slot)) = self.rib.set(prefix, best) {
            self.groups.changed(family, slot);
        }
    }

    pub(super) fn up(&mut self, peer: u32, config: &PeerConfig, session: &SessionInfo) {
        let receiver = Receiver::new(&key(config, session));
        self.transport.receivers.insert(PeerId(peer), receiver);
        self.groups.peer_up(PeerId(peer), config, session);
    }

    pub(super) fn down(&mut self, peer: u32) {
        self.transport.receivers.remove(&PeerId(peer));
        self.groups.peer_down(PeerId(peer));
    }

    pub(super) fn flush(&mut self, budget: usize) -> Progress {
        let progress = self.groups.flush(&self.rib, &mut self.transport, budget);
        for (family, slot) in self.groups.take_retired() {
            self.rib.retire(family, slot);
        }
        progress
    }

    pub(super) fn flush_all(&mut self) {
        for _ in 0..10_000 {
            if self.flush(100_000) == Progress::Done {
                return;
            }
        }
        panic!("flushing does not end");
    }

    pub(super) fn receiver(&mut self, peer: u32) -> &mut Receiver {
        self.transport.receivers.get_mut(&PeerId(peer)).unwrap()
    }

    pub(super) fn table(&self, peer: u32) -> BTreeSet<IpNet> {
        let receiver = &self.transport.receivers[&PeerId(peer)];
        receiver.table.keys().copied().collect()
    }
}
