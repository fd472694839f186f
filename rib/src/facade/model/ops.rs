//! What may happen to a RIB: sessions that come and go, what peers say, and what we are told to do.

use super::{
    Action, Arc, AsPath, Asn, AttributeCode, AttributeFilter, BgpIdentifier, Capability, Community,
    Config, Expected, Family, GracefulRestart, IpAddr, IpNet, Ipv4Addr, Ipv6Addr, LongLivedFamily,
    Matches, Negotiated, NextHop, NextHopResolver, Open, Origin, PathAttributes, PeerConfig,
    PeerKind, Policy, PolicyRule, PrefixRange, Reachable, RemoteAsn, Resolution, SessionInfo, Set,
    UnknownAttribute, negotiate,
};

pub(crate) const OWN: Asn = Asn(64512);
pub(crate) const ROUTER_ID: BgpIdentifier = BgpIdentifier(0x0a00_00fe);

pub(crate) struct Resolver(pub(crate) Arc<Reachable>);

impl NextHopResolver for Resolver {
    fn resolve(&self, next_hop: &NextHop, _: Option<u32>) -> Option<Resolution> {
        self.0.get(&next_hop.address()).copied()
    }
}

/// The peers of all tests: number, AS, kind, on the link, ADD-PATH.
pub(crate) const PEERS: [(u32, PeerKind, bool, bool); 6] = [
    (65001, PeerKind::External, true, false),
    (65001, PeerKind::External, false, false),
    (65002, PeerKind::External, false, true),
    (OWN.0, PeerKind::Internal, false, false),
    (OWN.0, PeerKind::ReflectorClient, false, true),
    (65002, PeerKind::External, true, false),
];

/// Every other peer is told what external peers say. Of those on the link, the last may have next hops that are not.
pub(crate) fn peer_config(number: usize) -> PeerConfig {
    PeerConfig {
        transit: number.is_multiple_of(2),
        multihop: number == PEERS.len() - 1,
        ..PeerConfig::new(PEERS[number].1)
    }
}

/// How a session comes up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SessionKind {
    pub(crate) graceful: bool,
    /// The peer restarts itself.
    pub(crate) restarting: bool,
    pub(crate) forwarding: bool,
    pub(crate) long_lived: bool,
    pub(crate) ipv6: bool,
}

pub(crate) fn negotiated(number: usize, kind: SessionKind) -> Negotiated {
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
            restarting: kind.restarting,
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

pub(crate) fn session(number: usize, kind: SessionKind) -> SessionInfo {
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

/// The surroundings of a session by number; 0: those that it comes up with.
pub(crate) fn moved(number: usize, negotiated: Arc<Negotiated>, way: u8) -> SessionInfo {
    let before = session(number, PLAIN);
    let ipv6 = |last: u16| Some(Ipv6Addr::new(0x2001, 0xdb8, 0, 9, 0, 0, 0, last));
    let (local_ipv4, local_ipv6) = match way {
        0 => (before.local_ipv4, before.local_ipv6),
        1 => (Some(Ipv4Addr::new(10, 9, 0, 253)), ipv6(1)),
        2 => (before.local_ipv4, ipv6(2)),
        _ => (None, None),
    };
    SessionInfo {
        negotiated,
        local_ipv4,
        local_ipv6,
        ..before
    }
}

/// Parts of an attribute set, small enough that ties and repeats are common.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attributes {
    pub(crate) local_pref: Option<u32>,
    pub(crate) med: Option<u32>,
    pub(crate) path: Vec<u32>,
    pub(crate) wrong_first: bool,
    pub(crate) igp: bool,
    pub(crate) community: Option<Community>,
    pub(crate) originator: Option<u32>,
    pub(crate) clusters: Vec<u32>,
    /// Codes of attributes that nobody here interprets.
    pub(crate) unknown: Vec<u8>,
    pub(crate) next_hop: u8,
}

impl Attributes {
    pub(crate) fn build(&self, number: usize) -> PathAttributes {
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
            unknown: self.unknown.iter().map(|code| unknown(*code)).collect(),
            ..PathAttributes::default()
        }
    }

    pub(crate) fn next_hop(&self) -> NextHop {
        IpAddr::from([10, 9, 0, self.next_hop]).into()
    }
}

/// An attribute as it is after another speaker has passed it on.
pub(crate) fn unknown(code: u8) -> UnknownAttribute {
    UnknownAttribute {
        flags: 0xe0,
        code,
        value: vec![200, 0, 0].into(),
    }
}

/// Filters of attributes by number.
pub(crate) fn filter(number: u8) -> AttributeFilter {
    let codes = |list: &[u8]| list.iter().copied().map(AttributeCode).collect();
    let mut filter = AttributeFilter::DEFAULT;
    match number {
        0 => {}
        1 => filter.discard = codes(&[99]),
        2 => filter.treat_as_withdraw = codes(&[99]),
        3 => filter.discard = codes(&[4, 8]),
        4 => filter.accept = codes(&[40]),
        _ => (filter.treat_as_withdraw, filter.accept) = (codes(&[8]), codes(&[40])),
    }
    filter
}

/// Prefixes of both families, covering each other.
pub(crate) fn prefixes() -> Vec<IpNet> {
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
pub(crate) enum Op {
    Up(usize, SessionKind),
    Down(usize, bool),
    /// What is retained of a peer is so no more.
    EndRetention(usize),
    /// Our own addresses on a session are other ones.
    Moved(usize, u8),
    Announce(usize, Vec<(usize, u32)>, Attributes),
    /// What the peer said last, again.
    Repeat(usize),
    Withdraw(usize, usize, u32),
    EndOfRib(usize, bool),
    RefreshBegins(usize),
    RefreshEnds(usize),
    Import(usize, u8),
    AllowOwnAs(usize, u8),
    Filter(usize, u8),
    LongLivedMax(usize, u64),
    /// How many paths of one prefix, and next hops, a peer may have.
    Limits(usize, u32, u32),
    RemovePeer(usize),
    NextHops(Vec<(u8, u32, bool)>),
    Originate(Vec<(usize, u8)>),
    Configure {
        always_med: bool,
        max_paths: u8,
        relax: bool,
        other_id: bool,
    },
    Pass(u64),
    Poll(usize),
    /// Peers that may come though they are not configured, and whether some are clients.
    Expect(Expected, bool),
    /// The FIB opens, or closes and forgets.
    Fib(bool),
}

/// Import policies by number.
pub(crate) fn policies(number: u8) -> Vec<Arc<Policy>> {
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
        }]
        .into(),
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
                communities: vec![Community(7)].into(),
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

/// A session without graceful restart.
pub(crate) const PLAIN: SessionKind = SessionKind {
    graceful: false,
    restarting: false,
    forwarding: false,
    long_lived: false,
    ipv6: true,
};

pub(crate) fn plain_attributes(next_hop: u8) -> Attributes {
    Attributes {
        local_pref: None,
        med: None,
        path: Vec::new(),
        wrong_first: false,
        igp: true,
        community: None,
        originator: None,
        clusters: Vec::new(),
        unknown: Vec::new(),
        next_hop,
    }
}
