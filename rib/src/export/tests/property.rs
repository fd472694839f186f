//! Update-group output equals single-peer output, for every sequence of events.
//!
//! The naive exporter asks, for each prefix and peer, the rules alone; groups, memory of what was told, marks, audiences
//! and packing are what is tested. The rules themselves have tests of their own.

mod ops;

use bgp::types::{Afi, Community, Nlri};
use bgp::wire::UpdateEncoder;
use ipnet::{Ipv4Net, Ipv6Net};
use proptest::prelude::*;

use self::ops::*;
use super::super::rules::DigestSeed;
use super::*;
use crate::originate::{AdvertisementId, Offer};
use crate::policy::{Action, Matches, Policy, PrefixRange, Rule, Set};

const PEERS: u32 = 6;
const PREFIXES: usize = 14;

/// Sessions that are up, and the world that they are in.
#[derive(Default)]
struct Model {
    world: World,
    sessions: BTreeMap<u32, (PeerConfig, SessionInfo)>,
    cluster: Option<BgpIdentifier>,
    gate: bool,
    held: bool,
}

impl Model {
    fn new() -> Self {
        let mut model = Self::default();
        model.world.groups = UpdateGroups::with_min_round(2);
        for peer in 0..PEERS {
            let source = SourcePeer {
                kind: kind(peer),
                identifier: BgpIdentifier(1000 + peer),
            };
            model.world.rib.sources.insert(PeerId(peer), source);
        }
        model
    }

    fn apply(&mut self, op: &Op) {
        match *op {
            Op::Learn {
                prefix: number,
                peer,
                variant,
            } => {
                let prefix = prefix(number);
                let v6 = matches!(prefix, IpNet::V6(_));
                let best = TestBest::Learned(PeerId(peer), learned_variant(variant, v6));
                self.world.set(prefix, Some(best));
            }
            Op::Originate {
                prefix: number,
                variant,
            } => {
                let originated = originated_variant(prefix(number), variant);
                self.world
                    .set(prefix(number), Some(TestBest::Originated(originated)));
            }
            Op::Remove { prefix: number } => self.world.set(prefix(number), None),
            Op::Up { peer, session } => {
                let (config, session) = (of_kind(0, peer), session_of(peer, session));
                self.world.up(peer, &config, &session);
                self.sessions.insert(peer, (config, session));
            }
            Op::Down { peer } => {
                self.world.down(peer);
                self.sessions.remove(&peer);
            }
            Op::Configure { peer, variant } => self.configure(peer, variant),
            Op::ConfigureAll { variant } => {
                (0..PEERS).for_each(|peer| self.configure(peer, variant));
            }
            Op::Refresh { peer, family } => {
                self.world.groups.refresh(PeerId(peer), Family::ALL[family]);
            }
            Op::Slow { peer, mark } => {
                if self.sessions.contains_key(&peer) {
                    self.world.receiver(peer).mark = mark;
                }
            }
            Op::Drain { peer } => self.drain(peer),
            Op::Flush { budget } => {
                let before = self.end_of_ribs();
                let _ = self.world.flush(budget);
                let after = self.end_of_ribs();
                self.check_ends(&before, &after);
                assert!(!self.held || before == after, "End-of-RIB is held");
            }
            Op::HoldEndOfRib(hold) => {
                self.held = hold;
                self.world.groups.hold_end_of_rib(hold);
            }
            Op::OpenGate => {
                self.gate = true;
                self.world.groups.open_gate();
            }
            Op::Cluster { id } => {
                self.cluster = Some(BgpIdentifier(id));
                self.world.groups.set_cluster_id(BgpIdentifier(id));
            }
        }
        if !self.gate {
            let receivers = self.world.transport.receivers.values();
            assert!(
                receivers.map(|r| r.messages).all(|count| count == 0),
                "before the gate"
            );
        }
    }

    fn configure(&mut self, peer: u32, variant: usize) {
        if let Some((config, _)) = self.sessions.get_mut(&peer) {
            *config = of_kind(variant, peer);
            self.world.groups.configure(PeerId(peer), config);
        }
    }

    fn drain(&mut self, peer: u32) {
        if let Some(receiver) = self.world.transport.receivers.get_mut(&PeerId(peer))
            && receiver.drain()
        {
            self.world.groups.writable(PeerId(peer));
        }
    }

    fn end_of_ribs(&self) -> BTreeMap<u32, Vec<Family>> {
        let receivers = self.world.transport.receivers.iter();
        receivers
            .map(|(peer, r)| (peer.0, r.end_of_rib.clone()))
            .collect()
    }

    /// An End-of-RIB is sent when everything is told that there is at that time.
    fn check_ends(&self, before: &BTreeMap<u32, Vec<Family>>, after: &BTreeMap<u32, Vec<Family>>) {
        for (peer, ended) in after {
            for family in &ended[before[peer].len()..] {
                let of = |table: BTreeMap<IpNet, (AttributeSet, NextHop)>| {
                    let of_family = table.into_iter();
                    of_family
                        .filter(|(prefix, _)| super::super::rules::family_of(*prefix) == *family)
                        .collect::<BTreeMap<_, _>>()
                };
                let advertised = self.world.transport.receivers[&PeerId(*peer)].table.clone();
                assert_eq!(
                    of(advertised),
                    of(self.naive(*peer)),
                    "End-of-RIB to {peer}"
                );
            }
        }
    }

    /// Everything settles: queues are emptied, and there is nothing more to do.
    fn settle(&mut self) {
        self.apply(&Op::OpenGate);
        self.apply(&Op::HoldEndOfRib(false));
        for _ in 0..2000 {
            for peer in 0..PEERS {
                self.drain(peer);
            }
            let before = self.end_of_ribs();
            let progress = self.world.flush(7);
            self.check_ends(&before, &self.end_of_ribs());
            let refused = self.world.transport.receivers.values().any(|r| r.refused);
            if progress == Progress::Done && !refused {
                return;
            }
            // A queue that is full from the start takes nothing ever.
            for receiver in self.world.transport.receivers.values_mut() {
                receiver.mark = receiver.mark.max(1);
            }
        }
        panic!("flushing does not end");
    }

    /// What a peer should have been told, by the rules alone.
    fn naive(&self, peer: u32) -> BTreeMap<IpNet, (AttributeSet, NextHop)> {
        let (config, session) = &self.sessions[&peer];
        let key = GroupKey::new(config, session, self.cluster);
        let seed = DigestSeed::default();
        let mut encoder = UpdateEncoder::new(key.codec);
        let mut receiver = Receiver::new(&key);
        for (prefix, best) in self.world.rib.routes() {
            let advertised = match best {
                TestBest::Originated(originated) => key.originated(originated, &seed),
                TestBest::Learned(from, _) if from.0 == peer => continue,
                TestBest::Learned(from, route) => key.learned(
                    prefix,
                    route.borrowed(),
                    self.world.rib.sources[from],
                    &seed,
                ),
            };
            let Ok(advertised) = advertised else { continue };
            // Members of a group share networks, so this is the case of RFC 4271 5.1.3.
            if advertised.third_party && advertised.next_hop.address() == session.remote_address {
                continue;
            }
            let path_id = key.codec.family(super::super::rules::family_of(prefix));
            let path_id = bgp::types::PathId(u32::from(path_id.unwrap().add_path_send));
            let out = |bytes| receiver.read(&bytes);
            match prefix {
                IpNet::V4(prefix) => encoder.reach(
                    &advertised.set,
                    advertised.next_hop,
                    [Nlri::<Ipv4Net> { prefix, path_id }],
                    out,
                ),
                IpNet::V6(prefix) => encoder.reach(
                    &advertised.set,
                    advertised.next_hop,
                    [Nlri::<Ipv6Net> { prefix, path_id }],
                    out,
                ),
            }
            .unwrap();
        }
        receiver.table
    }

    fn check(&mut self) {
        for (peer, (_, session)) in &self.sessions {
            let expected = self.naive(*peer);
            let groups = &self.world.groups;
            let receiver = &self.world.transport.receivers[&PeerId(*peer)];
            assert_eq!(receiver.table, expected, "what {peer} was told");
            let mut ended = receiver.end_of_rib.clone();
            ended.sort_unstable();
            assert_eq!(
                ended, session.negotiated.families,
                "End-of-RIB once to {peer}"
            );
            for family in Family::ALL {
                let of_family =
                    |prefix: &&IpNet| super::super::rules::family_of(**prefix) == family;
                let count = expected.keys().filter(of_family).count();
                assert_eq!(groups.advertised_count(PeerId(*peer), family), count);
                let mut listed = BTreeSet::new();
                let mut at = Some(Slot(0));
                while let Some(from) = at {
                    let rib = &self.world.rib;
                    at = groups.advertised(
                        rib,
                        PeerId(*peer),
                        family,
                        from,
                        (3, 2),
                        |prefix, advertised| {
                            assert_eq!(
                                advertised.next_hop.address(),
                                expected[&prefix].1.address()
                            );
                            listed.insert(prefix);
                        },
                    );
                }
                assert!(
                    expected.keys().filter(of_family).eq(&listed),
                    "listed for {peer}"
                );
            }
            for number in 0..PREFIXES {
                let advertised = groups.explain(&self.world.rib, PeerId(*peer), prefix(number));
                assert_eq!(
                    advertised.unwrap().is_ok(),
                    expected.contains_key(&prefix(number))
                );
            }
        }
        assert_eq!(
            self.world.rib.empty_entries(),
            0,
            "no entry is held for nobody"
        );
        let sent = self.world.transport.sent.len();
        self.world.flush_all();
        assert_eq!(
            self.world.transport.sent.len(),
            sent,
            "nothing is left to say"
        );
        let numbers = self.sessions.keys();
        let keys = numbers.map(|peer| groups_number(&self.world.groups, *peer));
        assert_eq!(
            keys.collect::<BTreeSet<_>>().len(),
            self.world.groups.group_count()
        );
    }
}

fn groups_number(groups: &UpdateGroups, peer: u32) -> u32 {
    groups.group_number(PeerId(peer)).unwrap()
}

proptest! {
    #![proptest_config(crate::soak::cases(600))]

    #[test]
    fn group_output_equals_single_peer_output(
        early in any::<bool>(),
        ops in prop::collection::vec(op(), 1..80),
    ) {
        let mut model = Model::new();
        if early {
            model.apply(&Op::OpenGate);
        }
        for op in &ops {
            model.apply(op);
        }
        model.settle();
        model.check();
    }
}
