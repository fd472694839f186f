//! A RIB and the oracle beside it, to whom the same happens.

use super::{
    AttributeSet, Attributes, BTreeMap, BTreeSet, Family, FibRoute, Heard, Instant, IpAddr, IpNet,
    Ipv4Net, Ipv6Net, Nlri, OWN, Op, Oracle, PEERS, PathId, PeerConfig, PeerId, ROUTER_ID, Reach,
    Rib, RibConfig, RoutePrefix, Update, peer_config, prefixes,
};

/// Both sides, and what the FIB was told.
pub(crate) struct World {
    pub(crate) rib: Rib,
    pub(crate) oracle: Oracle,
    /// `None`: closed.
    pub(crate) fib: Option<BTreeMap<IpNet, FibRoute>>,
    /// Ways out that were told to be lost and not told to be regained.
    pub(crate) lost: BTreeSet<(IpAddr, u32)>,
    pub(crate) now: Instant,
    /// The most next hops that each peer may bring since that was limited last.
    pub(crate) most_next_hops: BTreeMap<usize, u32>,
    /// By peer.
    pub(crate) said: BTreeMap<usize, (Vec<(usize, u32)>, Attributes)>,
    /// The other way.
    pub(crate) heard: Heard,
}

impl World {
    pub(crate) fn new() -> Self {
        let config = RibConfig::new(OWN, ROUTER_ID);
        let now = Instant::now();
        let mut world = Self {
            rib: Rib::new(config.clone()),
            oracle: Oracle::new(config, now),
            fib: Some(BTreeMap::new()),
            lost: BTreeSet::new(),
            now,
            most_next_hops: BTreeMap::new(),
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

    pub(crate) fn set_peer(&mut self, number: usize, config: PeerConfig) {
        self.rib.set_peer(PeerId(number as u32), config.clone());
        self.oracle.peers.insert(PeerId(number as u32), config);
    }

    pub(crate) fn update(&mut self, number: usize, update: &Update) {
        self.oracle.start.update(PeerId(number as u32));
        self.rib.updates(PeerId(number as u32), &update.into());
    }

    pub(crate) fn announce(
        &mut self,
        number: usize,
        nlri: &[(usize, u32)],
        attributes: &Attributes,
    ) {
        let structured = attributes.build(number);
        for (prefix, path_id) in nlri {
            let path_id = PathId(if PEERS[number].3 { *path_id } else { 0 });
            let (peer, prefix) = (PeerId(number as u32), prefixes()[*prefix]);
            let next_hop = attributes.next_hop();
            self.oracle
                .announce(peer, prefix, path_id, &structured, next_hop);
        }
        self.announce_to_rib(number, nlri, attributes);
    }

    /// Of which the oracle does not hear.
    pub(crate) fn announce_to_rib(
        &mut self,
        number: usize,
        nlri: &[(usize, u32)],
        attributes: &Attributes,
    ) {
        let structured = attributes.build(number);
        let all = prefixes();
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for (prefix, path_id) in nlri {
            let path_id = PathId(if PEERS[number].3 { *path_id } else { 0 });
            match all[*prefix] {
                IpNet::V4(prefix) => v4.push(Nlri { prefix, path_id }),
                IpNet::V6(prefix) => v6.push(Nlri { prefix, path_id }),
            }
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

    pub(crate) fn poll(&mut self, steps: usize) -> bool {
        self.oracle.polled(self.now, true);
        self.oracle.expire(self.now);
        let more = self.rib.poll(self.now, steps, &mut self.heard);
        self.oracle.polled(self.now, false);
        more
    }

    pub(crate) fn drain(&mut self) {
        let mut polls = 0;
        while self.poll(3) {
            polls += 1;
            assert!(polls < 1000, "polling never comes to an end");
        }
        if self.fib.is_none() {
            // What was queued when it ended is forgotten here.
            let none = |prefix, _| panic!("there is no FIB to be told of {prefix}");
            while self.rib.take_fib_changes(2, none) == 2 {}
            self.hear();
            assert_eq!(self.lost, BTreeSet::new(), "nobody has a use for them");
            return;
        }
        while self.take_fib_changes() {}
        self.hear();
        assert_eq!(self.lost, BTreeSet::new(), "nothing is left to be done");
    }

    /// Takes some routes for the FIB. Whether more are left.
    pub(super) fn take_fib_changes(&mut self) -> bool {
        self.hear();
        let Some(fib) = &mut self.fib else {
            return false;
        };
        self.rib.take_fib_changes(2, |prefix, route| match route {
            Some(mut route) => {
                route.next_hops.sort();
                fib.insert(prefix, route);
            }
            None => {
                fib.remove(&prefix);
            }
        }) == 2
    }
}

/// Applies all operations, then takes every peer and route away: the RIB equals the oracle throughout, and nothing is left.
pub(crate) fn run(ops: &[Op]) {
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
    assert!(world.fib.is_none_or(|fib| fib.is_empty()));
    let left = world.rib.attrs.len();
    assert!(world.rib.attrs.is_empty(), "{left} sets are left");
    assert!(world.rib.attrs.next_hops.is_empty(), "next hops are left");
    assert!(world.rib.attrs.accounts.is_empty(), "memory is left");
    assert_eq!(world.rib.sizes(Family::IPV4_UNICAST).0, 0);
}
