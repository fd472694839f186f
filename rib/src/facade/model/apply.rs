//! The operations, done to both sides.

use super::{
    AdvertisementId, Arc, Attributes, BTreeMap, BgpIdentifier, Down, Duration, Family, IpAddr,
    IpNet, Ipv4Net, Ipv6Net, Multipath, Nlri, OWN, Offer, Op, Originated, PEERS, PathId,
    PeerConfig, PeerId, ROUTER_ID, Resolution, Resolver, RibConfig, RoutePrefix, RouteRefresh,
    RouteRefreshSubtype, SessionKind, Update, World, filter, moved, peer_config, policies,
    prefixes, session,
};

impl World {
    pub(crate) fn apply(&mut self, op: &Op) {
        match op {
            Op::Up(number, kind) => self.session_up(*number, *kind),
            Op::Down(number, retained) => self.session_down(*number, *retained),
            Op::EndRetention(number) => {
                self.rib.end_retention(PeerId(*number as u32));
                self.oracle.end_retention(PeerId(*number as u32));
            }
            Op::Moved(number, way) => self.session_moved(*number, *way),
            Op::Announce(number, nlri, attributes) => self.said_by(*number, nlri, attributes),
            Op::Repeat(number) => {
                if let Some((nlri, attributes)) = self.said.get(number).cloned() {
                    self.said_by(*number, &nlri, &attributes);
                }
            }
            Op::Withdraw(number, prefix, path_id) => self.withdraw(*number, *prefix, *path_id),
            Op::EndOfRib(number, six) => self.end_of_rib(*number, Family::ALL[usize::from(*six)]),
            Op::RefreshBegins(number) => self.refresh_begins(*number),
            Op::RefreshEnds(number) => self.refresh_ends(*number),
            Op::Import(number, policy) => self.change_peer(*number, |config| {
                config.import = policies(*policy);
            }),
            Op::AllowOwnAs(number, times) => self.change_peer(*number, |config| {
                config.allow_own_as = *times;
            }),
            Op::Limits(number, paths, next_hops) => self.limit(*number, *paths, *next_hops),
            Op::Filter(number, filter_number) => self.change_peer(*number, |config| {
                config.attribute_filter = filter(*filter_number);
            }),
            Op::LongLivedMax(number, seconds) => self.change_peer(*number, |config| {
                config.long_lived_max = Duration::from_secs(*seconds);
            }),
            Op::RemovePeer(number) => {
                self.rib.remove_peer(PeerId(*number as u32));
                self.oracle.remove_peer(PeerId(*number as u32));
            }
            Op::NextHops(ways) => self.next_hops_changed(ways),
            Op::Originate(wanted) => self.originate(wanted),
            Op::Configure {
                always_med,
                max_paths,
                relax,
                other_id,
            } => self.configure(*always_med, (*max_paths, *relax), *other_id),
            Op::Pass(seconds) => {
                self.now += Duration::from_secs(*seconds);
                self.oracle.expire(self.now);
                self.poll(0);
            }
            Op::Expect(expected, clients) => {
                self.oracle.start.expected = *expected;
                self.oracle.start.clients = *clients;
                self.rib.expect(*expected, *clients);
            }
            Op::Poll(steps) => {
                self.poll(*steps);
                // Some are taken while others are still to be found.
                self.take_fib_changes();
            }
            Op::Fib(open) => {
                self.rib.set_fib(*open);
                let before = self.fib.take().filter(|_| *open);
                self.fib = before.or(open.then(BTreeMap::new));
            }
        }
    }

    fn configure(&mut self, always_med: bool, (max_paths, relax): (u8, bool), other_id: bool) {
        let mut config = RibConfig::new(OWN, ROUTER_ID);
        config.always_compare_med = always_med;
        config.multipath = Multipath {
            max_paths,
            relax_as_path: relax,
        };
        if other_id {
            config.cluster_id = BgpIdentifier(2);
        }
        self.oracle.config = config.clone();
        self.rib.set_config(config);
    }

    fn is_up(&self, peer: PeerId) -> bool {
        let known = self.rib.peers.get(&peer);
        known.is_some_and(|known| known.session.is_some())
    }

    fn session_up(&mut self, number: usize, kind: SessionKind) {
        let peer = PeerId(number as u32);
        if self.oracle.peers.contains_key(&peer) && !self.is_up(peer) {
            let session = session(number, kind);
            self.heard.forget(peer);
            self.rib.session_up(peer, session.clone(), self.now);
            self.oracle.session_up(peer, &session, self.now);
        }
    }

    fn session_down(&mut self, number: usize, retained: bool) {
        let peer = PeerId(number as u32);
        if self.is_up(peer) {
            let down = if retained {
                Down::TransportFailed
            } else {
                Down::HoldTimerExpired(Duration::from_secs(90))
            };
            self.rib.session_down(peer, &down, self.now);
            self.oracle.session_down(peer, retained, self.now);
        }
    }

    fn session_moved(&mut self, number: usize, way: u8) {
        let peer = PeerId(number as u32);
        let known = self.rib.peers.get(&peer);
        if let Some(up) = known.and_then(|known| known.session.as_ref()) {
            let session = moved(number, Arc::clone(&up.negotiated), way);
            self.rib.session_changed(peer, &session);
        }
    }

    fn said_by(&mut self, number: usize, nlri: &[(usize, u32)], attributes: &Attributes) {
        if self.is_up(PeerId(number as u32)) {
            self.said
                .insert(number, (nlri.to_vec(), attributes.clone()));
            self.announce(number, nlri, attributes);
        }
    }

    fn withdraw(&mut self, number: usize, prefix: usize, path_id: u32) {
        let peer = PeerId(number as u32);
        if !self.is_up(peer) {
            return;
        }
        let path_id = PathId(if PEERS[number].3 { path_id } else { 0 });
        let prefix = prefixes()[prefix];
        self.oracle.withdraw(peer, prefix, path_id);
        let list = match prefix {
            IpNet::V4(prefix) => Ipv4Net::list(vec![Nlri { prefix, path_id }]),
            IpNet::V6(prefix) => Ipv6Net::list(vec![Nlri { prefix, path_id }]),
        };
        let update = Update {
            unreach: [list].into_iter().collect(),
            ..Update::default()
        };
        self.update(number, &update);
    }

    fn end_of_rib(&mut self, number: usize, family: Family) {
        let peer = PeerId(number as u32);
        if self.is_up(peer) {
            self.oracle.end_of_rib(peer, family);
            self.oracle.start.end(peer, family);
            let update = Update {
                end_of_rib: Some(family),
                ..Update::default()
            };
            self.update(number, &update);
        }
    }

    fn refresh_begins(&mut self, number: usize) {
        let (peer, family) = (PeerId(number as u32), Family::IPV4_UNICAST);
        if !self.is_up(peer) {
            return;
        }
        // How far walks are, the oracle does not know.
        if !self.rib.tables.v4.has_too_many_gone(peer) {
            self.oracle.refresh_begins(peer, family, self.now);
        }
        let subtype = RouteRefreshSubtype::Begin;
        self.rib
            .route_refresh(peer, RouteRefresh { family, subtype }, self.now);
    }

    fn refresh_ends(&mut self, number: usize) {
        let (peer, family) = (PeerId(number as u32), Family::IPV4_UNICAST);
        if !self.is_up(peer) {
            return;
        }
        self.oracle.refresh_ends(peer, family);
        let subtype = RouteRefreshSubtype::End;
        self.rib
            .route_refresh(peer, RouteRefresh { family, subtype }, self.now);
    }

    /// Changes a peer's configuration; one that was removed is there again.
    fn change_peer(&mut self, number: usize, change: impl FnOnce(&mut PeerConfig)) {
        let known = self.oracle.peers.get(&PeerId(number as u32)).cloned();
        let mut config = known.unwrap_or_else(|| peer_config(number));
        change(&mut config);
        self.set_peer(number, config);
    }

    fn limit(&mut self, number: usize, paths: u32, next_hops: u32) {
        // What it brings already, it may bring.
        let peer = PeerId(number as u32);
        let brought = self.rib.counts(peer, Family::IPV4_UNICAST).next_hops;
        self.most_next_hops.insert(number, brought.max(next_hops));
        self.change_peer(number, |config| {
            config.max_paths = paths;
            config.max_next_hops = next_hops;
        });
    }

    fn next_hops_changed(&mut self, ways: &[(u8, u32, bool)]) {
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
        self.oracle.reachable = Arc::new(reachable.collect());
        let resolver = Resolver(Arc::clone(&self.oracle.reachable));
        self.rib.next_hops_changed(Arc::new(resolver));
    }

    fn originate(&mut self, wanted: &[(usize, u8)]) {
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
        self.oracle.originated = originated.map(|o| (o.prefix, o)).collect();
        self.rib
            .set_originated(self.oracle.originated.values().cloned().collect());
    }
}
