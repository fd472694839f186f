#![allow(clippy::unwrap_used)]

mod heard;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bgp::fsm::{Config, Down, Negotiated, RemoteAsn, negotiate};
use bgp::types::{Asn, BgpIdentifier, Community, Family, NextHop, Nlri, PathId, RoutePrefix};
use bgp::wire::attribute::{AsPath, Origin};
use bgp::wire::capability::{GracefulRestart, LongLivedFamily};
use bgp::wire::{
    AttributeSet, Capability, Open, PathAttributes, Reach, RouteRefresh, RouteRefreshSubtype,
    Update,
};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use proptest::prelude::*;

use heard::Heard;

use super::{FibRoute, Multipath, PeerConfig, PeerId, Rib, RibConfig, RibEvent, SessionInfo};
use crate::attrs::{NextHopResolver, Resolution};
use crate::oracle::{Oracle, Reachable, family_of};
use crate::originate::{AdvertisementId, Offer, Originated};
use crate::peer::PeerKind;
use crate::policy::{Action, Matches, Policy, PrefixRange, Rule as PolicyRule, Set};
use crate::table::Standing;

const OWN: Asn = Asn(64512);
const ROUTER_ID: BgpIdentifier = BgpIdentifier(0x0a00_00fe);

struct Resolver(Arc<Reachable>);

impl NextHopResolver for Resolver {
    fn resolve(&self, next_hop: &NextHop, _: Option<u32>) -> Option<Resolution> {
        self.0.get(&next_hop.address()).copied()
    }
}

/// The peers of all tests: number, AS, kind, on the link, ADD-PATH.
const PEERS: [(u32, PeerKind, bool, bool); 6] = [
    (65001, PeerKind::External, true, false),
    (65001, PeerKind::External, false, false),
    (65002, PeerKind::External, false, true),
    (OWN.0, PeerKind::Internal, false, false),
    (OWN.0, PeerKind::ReflectorClient, false, true),
    (65002, PeerKind::External, true, false),
];

/// Every other peer is told what external peers say.
fn peer_config(number: usize) -> PeerConfig {
    PeerConfig {
        transit: number.is_multiple_of(2),
        ..PeerConfig::new(PEERS[number].1)
    }
}

/// How a session comes up.
#[derive(Clone, Copy, Debug)]
struct SessionKind {
    graceful: bool,
    forwarding: bool,
    long_lived: bool,
    ipv6: bool,
}

fn negotiated(number: usize, kind: SessionKind) -> Negotiated {
    let (asn, ..) = PEERS[number];
    let config = Config::new(OWN, ROUTER_ID, RemoteAsn::Any, 1);
    let open = Open {
        asn: Asn(asn),
        hold_time: 90,
        // Two peers share an identifier, so that the later tie-breaks are reached.
        identifier: BgpIdentifier(0x0a00_0001 + (number as u32 & !1)),
        capabilities: Family::ALL.map(Capability::Multiprotocol).to_vec(),
    };
    let mut negotiated = negotiate(&config, &open).unwrap();
    if !kind.ipv6 {
        negotiated.families = vec![Family::IPV4_UNICAST];
    }
    if kind.graceful {
        negotiated.graceful_restart = Some(GracefulRestart {
            restarting: false,
            notification: false,
            restart_time: 30,
            families: Family::ALL.map(|family| (family, kind.forwarding)).to_vec(),
        });
        if kind.long_lived {
            negotiated.long_lived = Family::ALL
                .map(|family| LongLivedFamily {
                    family,
                    forwarding: kind.forwarding,
                    stale_time: 100,
                })
                .to_vec();
        }
    }
    negotiated
}

fn session(number: usize, kind: SessionKind) -> SessionInfo {
    SessionInfo {
        negotiated: Arc::new(negotiated(number, kind)),
        remote_address: IpAddr::from([10, 9, 0, 20 - number as u8]),
        local_ipv4: Some(Ipv4Addr::new(10, 9, 0, 254)),
        local_ipv6: None,
        local_link_local: None,
        interface: Some(3),
        subnets: Vec::new(),
        single_hop: PEERS[number].2,
    }
}

/// Parts of an attribute set, small enough that ties and repeats are common.
#[derive(Clone, Debug, Default)]
struct Attributes {
    local_pref: Option<u32>,
    med: Option<u32>,
    path: Vec<u32>,
    wrong_first: bool,
    igp: bool,
    community: Option<Community>,
    originator: Option<u32>,
    clusters: Vec<u32>,
    next_hop: u8,
}

impl Attributes {
    fn build(&self, number: usize) -> PathAttributes {
        let (asn, kind, ..) = PEERS[number];
        let internal = kind != PeerKind::External;
        let first = (!internal && !self.wrong_first).then_some(asn);
        PathAttributes {
            origin: Some(if self.igp {
                Origin::Igp
            } else {
                Origin::Incomplete
            }),
            as_path: AsPath::sequence(first.into_iter().chain(self.path.iter().copied()).map(Asn)),
            med: self.med,
            local_pref: self.local_pref.filter(|_| internal),
            communities: self.community.into_iter().collect(),
            originator_id: self.originator.filter(|_| internal).map(BgpIdentifier),
            cluster_list: if internal {
                self.clusters.iter().copied().map(BgpIdentifier).collect()
            } else {
                Vec::new()
            },
            ..PathAttributes::default()
        }
    }

    fn next_hop(&self) -> NextHop {
        IpAddr::from([10, 9, 0, self.next_hop]).into()
    }
}

fn attributes() -> impl Strategy<Value = Attributes> {
    (
        (
            prop::option::weighted(0.3, prop::sample::select(vec![90, 100, 200])),
            prop::option::of(prop::sample::select(vec![0, 5])),
            prop::collection::vec(prop_oneof![8 => 100u32..103, 1 => Just(OWN.0)], 0..3),
            prop::bool::weighted(0.05),
        ),
        (
            prop::bool::weighted(0.9),
            prop::option::weighted(
                0.3,
                prop::sample::select(vec![
                    Community(7),
                    Community::GRACEFUL_SHUTDOWN,
                    Community::LLGR_STALE,
                    Community::NO_LLGR,
                ]),
            ),
            prop::option::weighted(0.2, prop::sample::select(vec![1, 2, ROUTER_ID.0])),
            prop::collection::vec(prop_oneof![6 => 1u32..4, 1 => Just(ROUTER_ID.0)], 0..2),
            1u8..5,
        ),
    )
        .prop_map(
            |(
                (local_pref, med, path, wrong_first),
                (igp, community, originator, clusters, next_hop),
            )| Attributes {
                local_pref,
                med,
                path,
                wrong_first,
                igp,
                community,
                originator,
                clusters,
                next_hop,
            },
        )
}

/// Prefixes of both families, covering each other.
fn prefixes() -> Vec<IpNet> {
    [
        "10.0.0.0/8",
        "10.1.0.0/16",
        "10.1.2.0/24",
        "0.0.0.0/0",
        "2001:db8::/32",
        "2001:db8:1::/48",
    ]
    .map(|text| text.parse().unwrap())
    .to_vec()
}

#[derive(Clone, Debug)]
enum Op {
    Up(usize, SessionKind),
    Down(usize, bool),
    Announce(usize, Vec<(usize, u32)>, Attributes),
    /// What the peer said last, again.
    Repeat(usize),
    Withdraw(usize, usize, u32),
    EndOfRib(usize, bool),
    RefreshBegins(usize),
    RefreshEnds(usize),
    Import(usize, u8),
    AllowOwnAs(usize, u8),
    RemovePeer(usize),
    NextHops(Vec<(u8, u32, bool)>),
    Originate(Vec<(usize, bool, u8)>),
    Configure {
        always_med: bool,
        max_paths: u8,
        relax: bool,
        other_id: bool,
    },
    Pass(u64),
    Poll(usize),
    /// The FIB opens, or closes and forgets.
    Fib(bool),
}

/// Sessions that come and go, with graceful restart or without.
fn session_op(peers: usize, graceful: f64) -> impl Strategy<Value = Op> {
    let peer = 0..peers;
    let kind = (
        prop::bool::weighted(graceful),
        prop::bool::weighted(0.8),
        any::<bool>(),
        prop::bool::weighted(0.8),
    )
        .prop_map(|(graceful, forwarding, long_lived, ipv6)| SessionKind {
            graceful,
            forwarding,
            long_lived,
            ipv6,
        });
    prop_oneof![
        6 => (peer.clone(), kind).prop_map(|(p, k)| Op::Up(p, k)),
        3 => (peer.clone(), prop::bool::weighted(0.5 + graceful / 2.0))
            .prop_map(|(p, r)| Op::Down(p, r)),
        3 => (peer.clone(), any::<bool>()).prop_map(|(p, six)| Op::EndOfRib(p, six)),
        1 => peer.clone().prop_map(Op::RefreshBegins),
        1 => peer.prop_map(Op::RefreshEnds),
        3 => prop::sample::select(vec![1u64, 29, 31, 40, 101, 130]).prop_map(Op::Pass),
    ]
}

/// What a peer says.
fn update_op(peers: usize) -> impl Strategy<Value = Op> {
    let peer = 0..peers;
    let nlri = prop::collection::vec((0..6usize, 0u32..3), 1..4);
    prop_oneof![
        4 => (peer.clone(), nlri, attributes()).prop_map(|(p, n, a)| Op::Announce(p, n, a)),
        1 => peer.clone().prop_map(Op::Repeat),
        1 => (peer, 0..6usize, 0u32..3).prop_map(|(p, n, i)| Op::Withdraw(p, n, i)),
    ]
}

/// What the operator and the node change.
fn intent_op() -> impl Strategy<Value = Op> {
    let peer = 0..PEERS.len();
    let configure = (
        any::<bool>(),
        1u8..4,
        any::<bool>(),
        prop::bool::weighted(0.3),
    )
        .prop_map(|(always_med, max_paths, relax, other_id)| Op::Configure {
            always_med,
            max_paths,
            relax,
            other_id,
        });
    prop_oneof![
        3 => (peer.clone(), 0u8..5).prop_map(|(p, n)| Op::Import(p, n)),
        1 => (peer.clone(), 0u8..3).prop_map(|(p, n)| Op::AllowOwnAs(p, n)),
        1 => peer.prop_map(Op::RemovePeer),
        3 => prop::collection::vec((1u8..5, 0u32..3, any::<bool>()), 0..5).prop_map(Op::NextHops),
        2 => prop::collection::vec((0..6usize, any::<bool>(), 0u8..2), 0..3)
            .prop_map(Op::Originate),
        1 => configure,
    ]
}

fn any_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => session_op(PEERS.len(), 0.5),
        8 => update_op(PEERS.len()),
        2 => intent_op(),
        2 => (0..6usize).prop_map(Op::Poll),
        1 => prop::bool::weighted(0.7).prop_map(Op::Fib),
    ]
}

/// Two peers that restart over and over.
fn restart_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => session_op(2, 0.95),
        6 => update_op(2),
        1 => (0..2usize, 0u8..5).prop_map(|(p, n)| Op::Import(p, n)),
        2 => (0..4usize).prop_map(Op::Poll),
    ]
}

/// Import policies by number.
fn policies(number: u8) -> Vec<Arc<Policy>> {
    let rule = |matches, set, action| PolicyRule {
        name: "rule".into(),
        matches,
        set,
        action,
    };
    let inside = Matches {
        prefixes: vec![PrefixRange {
            net: "10.1.0.0/16".parse().unwrap(),
            min_length: 16,
            max_length: 32,
        }],
        ..Matches::default()
    };
    let prefer = Set {
        local_preference: Some(150),
        ..Set::default()
    };
    let rules = match number {
        0 => return Vec::new(),
        1 => vec![rule(inside, Set::default(), Action::Reject)],
        2 => vec![rule(inside, prefer, Action::Accept)],
        3 => vec![rule(
            Matches {
                communities: vec![Community(7)],
                ..Matches::default()
            },
            Set {
                clear_communities: true,
                prepend: 1,
                ..Set::default()
            },
            Action::Continue,
        )],
        _ => vec![rule(Matches::default(), prefer, Action::Continue)],
    };
    vec![Arc::new(Policy {
        name: "test".into(),
        rules,
    })]
}

/// Both sides, and what the FIB was told.
struct World {
    rib: Rib,
    oracle: Oracle,
    /// `None`: closed.
    fib: Option<BTreeMap<IpNet, FibRoute>>,
    /// Ways out that were told to be lost and not told to be regained.
    lost: BTreeSet<(IpAddr, u32)>,
    now: Instant,
    /// By peer.
    said: BTreeMap<usize, (Vec<(usize, u32)>, Attributes)>,
    /// The other way.
    heard: Heard,
}

impl World {
    fn new() -> Self {
        let config = RibConfig::new(OWN, ROUTER_ID);
        let mut world = Self {
            rib: Rib::new(config.clone()),
            oracle: Oracle::new(config),
            fib: Some(BTreeMap::new()),
            lost: BTreeSet::new(),
            now: Instant::now(),
            said: BTreeMap::new(),
            heard: Heard::default(),
        };
        for number in 0..PEERS.len() {
            world.set_peer(number, peer_config(number));
        }
        world.apply(&Op::NextHops(vec![
            (1, 0, true),
            (2, 0, true),
            (3, 1, false),
        ]));
        world.rib.open_gate(world.now);
        world
    }

    fn set_peer(&mut self, number: usize, config: PeerConfig) {
        self.rib.set_peer(PeerId(number as u32), config.clone());
        self.oracle.peers.insert(PeerId(number as u32), config);
    }

    fn update(&mut self, number: usize, update: &Update) {
        self.rib.updates(PeerId(number as u32), &update.into());
    }

    fn announce(&mut self, number: usize, nlri: &[(usize, u32)], attributes: &Attributes) {
        let structured = attributes.build(number);
        let add_path = PEERS[number].3;
        let all = prefixes();
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for (prefix, path_id) in nlri {
            let path_id = PathId(if add_path { *path_id } else { 0 });
            let prefix = all[*prefix];
            match prefix {
                IpNet::V4(prefix) => v4.push(Nlri { prefix, path_id }),
                IpNet::V6(prefix) => v6.push(Nlri { prefix, path_id }),
            }
            let next_hop = attributes.next_hop();
            self.oracle.announce(
                PeerId(number as u32),
                prefix,
                path_id,
                &structured,
                next_hop,
            );
        }
        let reach = |nlri| Reach {
            next_hop: attributes.next_hop(),
            nlri,
        };
        let update = Update {
            attributes: AttributeSet::from_attributes(&structured).unwrap(),
            reach: [reach(Ipv4Net::list(v4)), reach(Ipv6Net::list(v6))]
                .into_iter()
                .collect(),
            ..Update::default()
        };
        self.update(number, &update);
    }

    fn apply(&mut self, op: &Op) {
        let (rib, oracle, now) = (&mut self.rib, &mut self.oracle, self.now);
        match op {
            Op::Up(number, kind) => {
                let peer = PeerId(*number as u32);
                if oracle.peers.contains_key(&peer) && rib.peers[&peer].session.is_none() {
                    let session = session(*number, *kind);
                    self.heard.forget(peer);
                    rib.session_up(peer, session.clone(), now);
                    oracle.session_up(peer, &session, now);
                }
            }
            Op::Down(number, retained) => {
                let peer = PeerId(*number as u32);
                let up = rib
                    .peers
                    .get(&peer)
                    .is_some_and(|peer| peer.session.is_some());
                if up {
                    let down = if *retained {
                        Down::TransportFailed
                    } else {
                        Down::HoldTimerExpired(Duration::from_secs(90))
                    };
                    rib.session_down(peer, &down, now);
                    oracle.session_down(peer, *retained, now);
                }
            }
            Op::Announce(number, nlri, attributes) => {
                let peer = PeerId(*number as u32);
                if rib
                    .peers
                    .get(&peer)
                    .is_some_and(|peer| peer.session.is_some())
                {
                    self.said
                        .insert(*number, (nlri.clone(), attributes.clone()));
                    self.announce(*number, nlri, attributes);
                }
            }
            Op::Repeat(number) => {
                if let Some((nlri, attributes)) = self.said.get(number).cloned() {
                    self.apply(&Op::Announce(*number, nlri, attributes));
                }
            }
            Op::Withdraw(number, prefix, path_id) => {
                let peer = PeerId(*number as u32);
                if rib
                    .peers
                    .get(&peer)
                    .is_none_or(|peer| peer.session.is_none())
                {
                    return;
                }
                let path_id = PathId(if PEERS[*number].3 { *path_id } else { 0 });
                let prefix = prefixes()[*prefix];
                oracle.withdraw(peer, prefix, path_id);
                let list = match prefix {
                    IpNet::V4(prefix) => Ipv4Net::list(vec![Nlri { prefix, path_id }]),
                    IpNet::V6(prefix) => Ipv6Net::list(vec![Nlri { prefix, path_id }]),
                };
                let update = Update {
                    unreach: [list].into_iter().collect(),
                    ..Update::default()
                };
                self.update(*number, &update);
            }
            Op::EndOfRib(number, six) => {
                let peer = PeerId(*number as u32);
                let family = Family::ALL[usize::from(*six)];
                if rib
                    .peers
                    .get(&peer)
                    .is_some_and(|peer| peer.session.is_some())
                {
                    oracle.end_of_rib(peer, family);
                    let update = Update {
                        end_of_rib: Some(family),
                        ..Update::default()
                    };
                    self.update(*number, &update);
                }
            }
            Op::RefreshBegins(number) | Op::RefreshEnds(number) => {
                let peer = PeerId(*number as u32);
                if rib
                    .peers
                    .get(&peer)
                    .is_none_or(|peer| peer.session.is_none())
                {
                    return;
                }
                let family = Family::IPV4_UNICAST;
                let subtype = if matches!(op, Op::RefreshBegins(_)) {
                    oracle.refresh_begins(peer, family, now);
                    RouteRefreshSubtype::Begin
                } else {
                    oracle.end_of_rib(peer, family);
                    RouteRefreshSubtype::End
                };
                rib.route_refresh(peer, RouteRefresh { family, subtype }, now);
            }
            Op::Import(number, policy) => {
                let mut config = oracle.peers.get(&PeerId(*number as u32)).cloned();
                let config = config.get_or_insert_with(|| peer_config(*number));
                config.import = policies(*policy);
                self.set_peer(*number, config.clone());
            }
            Op::AllowOwnAs(number, times) => {
                let mut config = oracle.peers.get(&PeerId(*number as u32)).cloned();
                let config = config.get_or_insert_with(|| peer_config(*number));
                config.allow_own_as = *times;
                self.set_peer(*number, config.clone());
            }
            Op::RemovePeer(number) => {
                rib.remove_peer(PeerId(*number as u32));
                oracle.remove_peer(PeerId(*number as u32));
            }
            Op::NextHops(ways) => {
                let reachable = ways.iter().map(|(last, metric, connected)| {
                    let address = IpAddr::from([10, 9, 0, *last]);
                    let resolution = Resolution {
                        gateway: if *connected {
                            address
                        } else {
                            IpAddr::from([10, 9, 0, 200])
                        },
                        ifindex: 3,
                        metric: *metric,
                        connected: *connected,
                    };
                    (address, resolution)
                });
                oracle.reachable = Arc::new(reachable.collect());
                rib.next_hops_changed(Arc::new(Resolver(Arc::clone(&oracle.reachable))));
            }
            Op::Originate(wanted) => {
                let originated =
                    wanted
                        .iter()
                        .map(|(prefix, blackhole, advertisement)| Originated {
                            prefix: prefixes()[*prefix],
                            offers: vec![Offer {
                                advertisement: AdvertisementId(u32::from(*advertisement)),
                                communities: Vec::new(),
                                large_communities: Vec::new(),
                                extended_communities: Vec::new(),
                                local_preference: None,
                                med: None,
                                prepend: 0,
                            }],
                            blackhole: *blackhole,
                        });
                oracle.originated = originated.map(|o| (o.prefix, o)).collect();
                rib.set_originated(oracle.originated.values().cloned().collect());
            }
            Op::Configure {
                always_med,
                max_paths,
                relax,
                other_id,
            } => {
                let mut config = RibConfig::new(OWN, ROUTER_ID);
                config.always_compare_med = *always_med;
                config.multipath = Multipath {
                    max_paths: *max_paths,
                    relax_as_path: *relax,
                };
                if *other_id {
                    config.cluster_id = BgpIdentifier(2);
                }
                oracle.config = config.clone();
                rib.set_config(config);
            }
            Op::Pass(seconds) => {
                self.now += Duration::from_secs(*seconds);
                oracle.expire(self.now);
                self.poll(0);
            }
            Op::Poll(steps) => {
                self.poll(*steps);
            }
            Op::Fib(open) => {
                rib.set_fib(*open);
                self.fib = self
                    .fib
                    .take()
                    .filter(|_| *open)
                    .or(open.then(BTreeMap::new));
            }
        }
    }

    fn poll(&mut self, steps: usize) -> bool {
        self.rib.poll(self.now, steps, &mut self.heard)
    }

    fn drain(&mut self) {
        let mut polls = 0;
        while self.poll(3) {
            polls += 1;
            assert!(polls < 1000, "polling never comes to an end");
        }
        let Some(fib) = &mut self.fib else {
            assert_eq!(self.rib.take_fib_changes(1, |_, _| {}), 0);
            self.hear();
            assert_eq!(self.lost, BTreeSet::new(), "nobody has a use for them");
            return;
        };
        let mut apply = |prefix, route: Option<FibRoute>| match route {
            Some(FibRoute::Forward(mut ways)) => {
                ways.sort();
                fib.insert(prefix, FibRoute::Forward(ways));
            }
            Some(FibRoute::Blackhole) => {
                fib.insert(prefix, FibRoute::Blackhole);
            }
            None => {
                fib.remove(&prefix);
            }
        };
        while self.rib.take_fib_changes(2, &mut apply) == 2 {}
        self.hear();
        assert_eq!(self.lost, BTreeSet::new(), "nothing is left to be done");
    }

    /// Hears of lost ways out. No route that the RIB decides for leads over one.
    fn hear(&mut self) {
        for event in self.rib.take_events() {
            match event {
                RibEvent::NextHopsLost(ways) => self.lost.extend(ways),
                RibEvent::NextHopsRegained(ways) => {
                    for way in ways {
                        assert!(self.lost.remove(&way), "{way:?} was not lost");
                    }
                }
                _ => {}
            }
        }
        if self.lost.is_empty() {
            return;
        }
        for prefix in self.oracle.prefixes() {
            if let (_, Some(FibRoute::Forward(ways))) = self.oracle.route(prefix) {
                let over = ways.iter().map(|way| (way.gateway, way.ifindex));
                for way in over {
                    assert!(!self.lost.contains(&way), "{prefix} leads over {way:?}");
                }
            }
        }
    }

    /// Both sides hold the same.
    fn check(&mut self) {
        self.drain();
        assert_eq!(self.rib.backlog(), 0);
        self.heard.check(&self.rib);
        let mut fib = BTreeMap::new();
        let mut selected = BTreeMap::new();
        let mut usable = 0;
        for prefix in self.oracle.prefixes() {
            let (expected, route) = self.oracle.route(prefix);
            fib.extend(route.map(|route| (prefix, route)));
            for path in &expected {
                if let Standing::Best(_) | Standing::Multipath(_) = path.standing {
                    *selected
                        .entry((path.peer, family_of(prefix)))
                        .or_insert(0u32) += 1;
                }
                usable += u64::from(matches!(path.standing, Standing::Best(_)));
            }
            let view = self.rib.route(prefix);
            let view =
                view.unwrap_or_else(|| panic!("{prefix} is missing, expected {expected:#?}"));
            let mut found: Vec<_> = view
                .paths
                .iter()
                .map(|path| crate::oracle::OracleView {
                    peer: path.peer,
                    path_id: path.path_id,
                    attributes: path.attributes.set.parse(),
                    standing: path.standing,
                    stale: path.stale,
                })
                .collect();
            found.sort_by_key(|path| (path.peer, path.path_id));
            assert_eq!(found, expected, "{prefix}");
        }
        let known: usize = Family::ALL
            .map(|family| self.rib.sizes(family).0)
            .iter()
            .sum();
        assert_eq!(
            known,
            self.oracle.prefixes().len(),
            "prefixes with an entry"
        );
        if let Some(told) = &self.fib {
            assert_eq!(*told, fib);
        }
        let totals = Family::ALL.map(|family| self.rib.totals(family).prefixes);
        assert_eq!(totals.iter().sum::<u64>(), usable);
        for number in 0..PEERS.len() {
            let peer = PeerId(number as u32);
            for family in Family::ALL {
                let counts = self.rib.counts(peer, family);
                let expected = self.oracle.counts(peer, family);
                let chosen = selected.get(&(Some(peer), family)).copied().unwrap_or(0);
                assert_eq!(counts.selected, chosen, "selected of {peer:?} {family}");
                assert_eq!(
                    counts.stale,
                    self.oracle.stale(peer, family),
                    "stale of {peer:?}"
                );
                assert_eq!(
                    (counts.received, counts.accepted),
                    expected,
                    "{peer:?} {family}"
                );
            }
        }
    }
}

fn run(ops: &[Op]) -> Result<(), TestCaseError> {
    let mut world = World::new();
    for (number, op) in ops.iter().enumerate() {
        world.apply(op);
        world.hear();
        if number % 15 == 14 {
            world.check();
        }
    }
    world.check();
    world.apply(&Op::Originate(Vec::new()));
    for number in 0..PEERS.len() {
        world.apply(&Op::RemovePeer(number));
        world.hear();
    }
    world.check();
    prop_assert!(world.fib.is_none_or(|fib| fib.is_empty()));
    prop_assert!(
        world.rib.attrs.is_empty(),
        "{} sets are left",
        world.rib.attrs.len()
    );
    prop_assert_eq!(world.rib.sizes(Family::IPV4_UNICAST).0, 0);
    Ok(())
}

#[test]
fn prefixes_that_changed_are_a_backlog_until_their_peers_are_told() {
    let mut world = World::new();
    let kind = SessionKind {
        graceful: false,
        forwarding: false,
        long_lived: false,
        ipv6: false,
    };
    world.apply(&Op::Up(0, kind));
    world.drain();
    world.announce(0, &[(0, 0), (1, 0)], &plain_attributes(1));
    world.announce(0, &[(1, 0), (2, 0)], &plain_attributes(2));
    assert_eq!(world.rib.backlog(), 3, "each prefix once");
    world.check();
}

#[test]
fn a_message_may_bring_two_paths_of_one_prefix() {
    let kind = SessionKind {
        graceful: false,
        forwarding: false,
        long_lived: false,
        ipv6: false,
    };
    let attributes = Attributes {
        next_hop: 1,
        ..Attributes::default()
    };
    let both = Op::Announce(4, vec![(0, 0), (0, 1)], attributes);
    run(&[Op::Up(4, kind), both, Op::Withdraw(4, 0, 1)]).unwrap();
}

/// A session without graceful restart.
const PLAIN: SessionKind = SessionKind {
    graceful: false,
    forwarding: false,
    long_lived: false,
    ipv6: true,
};

fn plain_attributes(next_hop: u8) -> Attributes {
    Attributes {
        local_pref: None,
        med: None,
        path: Vec::new(),
        wrong_first: false,
        igp: true,
        community: None,
        originator: None,
        clusters: Vec::new(),
        next_hop,
    }
}

type Ways = Vec<(IpAddr, u32)>;

/// What was told of ways out since the last time, lost and regained.
fn told(world: &mut World) -> (Ways, Ways) {
    let (mut lost, mut regained) = (Vec::new(), Vec::new());
    for event in world.rib.take_events() {
        match event {
            RibEvent::NextHopsLost(ways) => lost.extend(ways),
            RibEvent::NextHopsRegained(ways) => regained.extend(ways),
            _ => {}
        }
    }
    (lost, regained)
}

/// Two external peers on other links announce the same prefixes, each over a next hop of its own or the same one.
fn two_peers(next_hops: [u8; 2], kind: SessionKind) -> World {
    let mut world = World::new();
    for (number, next_hop) in [1, 2].into_iter().zip(next_hops) {
        world.apply(&Op::Up(number, kind));
        let nlri: Vec<(usize, u32)> = (0..4).map(|prefix| (prefix, 0)).collect();
        world.announce(number, &nlri, &plain_attributes(next_hop));
    }
    world.drain();
    world
}

fn over(world: &World, next_hop: u8) -> (IpAddr, u32) {
    let next_hop = plain_attributes(next_hop).next_hop();
    let resolved = Resolver(Arc::clone(&world.oracle.reachable)).resolve(&next_hop, None);
    let resolved = resolved.unwrap();
    (resolved.gateway, resolved.ifindex)
}

#[test]
fn a_lost_peers_way_out_is_told_before_any_prefix_is_looked_at_and_regained_when_none_is_left() {
    let mut world = two_peers([1, 2], PLAIN);
    let way = over(&world, 1);
    world.apply(&Op::Down(1, false));
    assert_eq!(told(&mut world), (vec![way], vec![]));
    while world.poll(3) {
        assert_eq!(told(&mut world), (vec![], vec![]));
    }
    while world.rib.take_fib_changes(2, |_, _| {}) == 2 {
        assert_eq!(told(&mut world), (vec![], vec![]));
    }
    assert_eq!(told(&mut world), (vec![], vec![way]));
}

#[test]
fn a_way_out_that_is_announced_again_while_the_old_paths_are_removed_is_regained_at_once() {
    let mut world = two_peers([1, 2], PLAIN);
    let way = over(&world, 1);
    world.apply(&Op::Down(1, false));
    world.apply(&Op::Up(1, PLAIN));
    assert_eq!(told(&mut world), (vec![way], vec![]));
    world.announce(1, &[(0, 0)], &plain_attributes(1));
    assert_eq!(told(&mut world), (vec![], vec![way]));
}

#[test]
fn a_way_out_that_another_peer_brings_too_or_that_is_kept_for_a_restart_is_not_lost() {
    let mut world = two_peers([1, 1], PLAIN);
    world.apply(&Op::Down(1, false));
    assert_eq!(told(&mut world), (vec![], vec![]));

    let graceful = SessionKind {
        graceful: true,
        forwarding: true,
        ..PLAIN
    };
    let mut world = two_peers([1, 2], graceful);
    let way = over(&world, 1);
    world.apply(&Op::Down(1, true));
    assert_eq!(told(&mut world), (vec![], vec![]));
    world.now += Duration::from_secs(31);
    world.poll(1);
    assert_eq!(told(&mut world).0, vec![way], "the restart time is over");
}

#[test]
fn convergence_is_told_after_the_last_route_that_belongs_to_it() {
    let mut world = World::new();
    world.apply(&Op::Up(1, PLAIN));
    world.drain();
    let nlri: Vec<(usize, u32)> = (0..4).map(|prefix| (prefix, 0)).collect();
    world.announce(1, &nlri, &plain_attributes(1));
    // Long enough for the peers that are not there.
    world.now += Duration::from_secs(3600);
    while world.poll(3) {}
    let told = |world: &mut World| world.rib.take_events().contains(&RibEvent::Converged);
    assert!(!told(&mut world));
    let mut handed_out = 0;
    loop {
        let taken = world.rib.take_fib_changes(3, |_, _| {});
        handed_out += taken;
        if taken < 3 {
            break;
        }
        assert!(!told(&mut world) && !world.rib.converged());
    }
    assert_eq!(handed_out, 4);
    assert!(told(&mut world) && world.rib.converged());
    world.poll(3);
    assert!(!told(&mut world), "once");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_rib_equals_the_oracle_after_any_sequence_and_forgets_everything_with_its_peers(
        ops in prop::collection::vec(any_op(), 0..120),
    ) {
        run(&ops)?;
    }

    #[test]
    fn the_rib_equals_the_oracle_when_peers_restart_over_and_over(
        ops in prop::collection::vec(restart_op(), 0..120),
    ) {
        run(&ops)?;
    }
}
