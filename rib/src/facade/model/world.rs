//! A RIB and the oracle beside it, to whom the same happens.

use super::{
    AdvertisementId, Arc, AttributeSet, Attributes, BTreeMap, BTreeSet, BgpIdentifier, Down,
    Duration, Family, FibRoute, Heard, Instant, IpAddr, IpNet, Ipv4Net, Ipv6Net, Multipath, Nlri,
    OWN, Offer, Op, Oracle, Originated, PEERS, PathId, PeerConfig, PeerId, ROUTER_ID, Reach,
    Rejection, Resolution, Resolver, Rib, RibConfig, RibEvent, RoutePrefix, RouteRefresh,
    RouteRefreshSubtype, Standing, Update, family_of, filter, moved, peer_config, policies,
    prefixes, session,
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

    pub(crate) fn apply(&mut self, op: &Op) {
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
            Op::Moved(number, way) => {
                let peer = PeerId(*number as u32);
                let up = rib.peers.get(&peer).and_then(|peer| peer.session.as_ref());
                if let Some(up) = up {
                    let session = moved(*number, Arc::clone(&up.negotiated), *way);
                    rib.session_changed(peer, &session);
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
                    oracle.start.end(peer, family);
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
                    // How far walks are, the oracle does not know.
                    if !rib.tables.v4.has_too_many_gone(peer) {
                        oracle.refresh_begins(peer, family, now);
                    }
                    RouteRefreshSubtype::Begin
                } else {
                    oracle.refresh_ends(peer, family);
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
            Op::Limits(number, paths, next_hops) => {
                let mut config = oracle.peers.get(&PeerId(*number as u32)).cloned();
                let config = config.get_or_insert_with(|| peer_config(*number));
                config.max_paths = *paths;
                config.max_next_hops = *next_hops;
                // What it brings already, it may bring.
                let peer = PeerId(*number as u32);
                let brought = rib.counts(peer, Family::IPV4_UNICAST).next_hops;
                let most = brought.max(*next_hops);
                self.most_next_hops.insert(*number, most);
                self.set_peer(*number, config.clone());
            }
            Op::Filter(number, filter_number) => {
                let mut config = oracle.peers.get(&PeerId(*number as u32)).cloned();
                let config = config.get_or_insert_with(|| peer_config(*number));
                config.attribute_filter = filter(*filter_number);
                self.set_peer(*number, config.clone());
            }
            Op::LongLivedMax(number, seconds) => {
                let mut config = oracle.peers.get(&PeerId(*number as u32)).cloned();
                let config = config.get_or_insert_with(|| peer_config(*number));
                config.long_lived_max = Duration::from_secs(*seconds);
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
                        // Some of the distant ones.
                        onlink: !*connected && *metric == 0,
                    };
                    (address, resolution)
                });
                oracle.reachable = Arc::new(reachable.collect());
                rib.next_hops_changed(Arc::new(Resolver(Arc::clone(&oracle.reachable))));
            }
            Op::Originate(wanted) => {
                let originated = wanted.iter().map(|(prefix, advertisement)| Originated {
                    prefix: prefixes()[*prefix],
                    offers: vec![Offer {
                        advertisement: AdvertisementId(u32::from(*advertisement)),
                        of_services: false,
                        communities: Vec::new(),
                        large_communities: Vec::new(),
                        extended_communities: Vec::new(),
                        local_preference: None,
                        med: None,
                        prepend: 0,
                    }],
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
            Op::Expect(expected, clients) => {
                oracle.start.expected = *expected;
                oracle.start.clients = *clients;
                rib.expect(*expected, *clients);
            }
            Op::Poll(steps) => {
                self.poll(*steps);
                // Some are taken while others are still to be found.
                self.take_fib_changes();
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
    fn take_fib_changes(&mut self) -> bool {
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

    /// Takes over from the RIB which paths have too many next hops beside them.
    fn see_limited(&mut self) {
        self.oracle.limited.clear();
        if self.most_next_hops.is_empty() {
            return;
        }
        for prefix in self.oracle.prefixes() {
            let view = self.rib.route(prefix);
            let paths = view.into_iter().flat_map(|view| view.paths);
            let limited = Standing::Rejected(Rejection::NextHopLimit);
            let limited = paths.filter(|path| path.standing == limited);
            let limited = limited.filter_map(|path| Some((path.peer?, prefix, path.path_id)));
            self.oracle.limited.extend(limited);
        }
    }

    /// Peers bring no more next hops than they may, and as many if paths with further ones are rejected.
    fn check_limited(&self) {
        for (number, most) in &self.most_next_hops {
            let peer = PeerId(*number as u32);
            let config = self.oracle.peers.get(&peer);
            let Some(config) = config.filter(|c| c.max_next_hops <= *most) else {
                continue;
            };
            let brought = self.oracle.next_hops(peer);
            assert!(brought <= *most as usize, "{peer:?} brings {brought}");
            let counted = self.rib.counts(peer, Family::IPV4_UNICAST).next_hops;
            assert!(counted as usize >= brought, "{peer:?}: {counted} {brought}");
            let mut limited = self.oracle.limited.iter();
            assert!(
                counted >= config.max_next_hops || !limited.any(|(of, ..)| *of == peer),
                "{peer:?} might bring more than {counted}"
            );
        }
    }

    /// Hears of lost ways out. No path that is chosen and stays so leads over one. (The RIB may still choose one that is
    /// going, and not know of another way that another resolver or configuration opened: the oracle knows at once.)
    pub(crate) fn hear(&mut self) {
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
        self.see_limited();
        let is_chosen =
            |standing: Standing| matches!(standing, Standing::Best(_) | Standing::Multipath(_));
        for prefix in self.oracle.prefixes() {
            let Some(view) = self.rib.route(prefix) else {
                continue;
            };
            let (mut expected, _) = self.oracle.route(prefix);
            expected.retain(|path| is_chosen(path.standing));
            for path in view.paths.iter().filter(|path| is_chosen(path.standing)) {
                let which = (path.peer, path.path_id);
                let stays = expected.iter().any(|it| (it.peer, it.path_id) == which);
                let way = path.resolution.map(|it| (it.gateway, it.ifindex));
                if let Some(way) = way.filter(|_| stays) {
                    assert!(!self.lost.contains(&way), "{prefix} leads over {way:?}");
                }
            }
        }
    }

    /// Convergence and End-of-RIB have come where nobody is waited for, and not where somebody was all the time.
    fn check_start(&self) {
        let (converged, oracle) = (self.rib.converged(), &self.oracle);
        assert!(converged || oracle.awaits_routes(self.now), "converged");
        assert!(!converged || oracle.start.may_have_converged, "too early");
        for (peer, known) in &self.rib.peers {
            let Some(up) = &known.session else { continue };
            let (must, may) = oracle.end_of_rib_sent(*peer, self.now);
            for family in &up.negotiated.families {
                let sent = self.rib.end_of_rib(*peer, *family).1;
                assert!(sent || !must, "{peer:?} {family}: End-of-RIB is missing");
                assert!(!sent || may, "{peer:?} {family}: End-of-RIB is too early");
            }
        }
    }

    /// Both sides hold the same.
    pub(crate) fn check(&mut self) {
        self.drain();
        assert_eq!(self.rib.backlog(), 0);
        self.see_limited();
        self.check_limited();
        self.heard.check(&self.rib);
        self.check_start();
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
