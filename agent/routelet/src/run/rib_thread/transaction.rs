//! Changes that take effect together.
//!
//! Which Advertisements select a peer is a part of that peer's configuration, and what they offer a part of the routes.
//! A node that goes over from one Advertisement to another changes both: were the RIB to work between the two, it would
//! withdraw everything from the peers and advertise it again.

use std::collections::BTreeMap;

use rib::{Originated, PeerConfig, PeerId, Rib};
use routelet_core::intent::RouteChange;

/// Routes that are originated from now on.
pub(super) enum Routes {
    /// These, and no others.
    All(Vec<Originated>),
    /// Those that there are, but for these.
    Changed(Vec<RouteChange>),
}

/// See the module. Outside of one, every change takes effect at once.
#[derive(Default)]
pub(super) struct Transaction {
    is_open: bool,
    peers: BTreeMap<PeerId, PeerConfig>,
    /// In their order.
    routes: Vec<Routes>,
}

impl Transaction {
    /// What comes takes effect at [`Self::commit`].
    pub(super) const fn begin(&mut self) {
        self.is_open = true;
    }

    /// A peer that the RIB has gets another configuration.
    pub(super) fn change_peer(&mut self, rib: &mut Rib, peer: PeerId, config: PeerConfig) {
        if self.is_open {
            self.peers.insert(peer, config);
        } else {
            rib.set_peer(peer, config);
        }
    }

    /// A session of this peer is up: it has its configuration before that. Nothing was advertised on it, so that
    /// nothing is withdrawn.
    pub(super) fn session_up(&mut self, rib: &mut Rib, peer: PeerId) {
        if let Some(config) = self.peers.remove(&peer) {
            rib.set_peer(peer, config);
        }
    }

    /// A peer is removed.
    pub(super) fn forget(&mut self, peer: PeerId) {
        self.peers.remove(&peer);
    }

    /// Other routes are originated.
    pub(super) fn originate(&mut self, rib: &mut Rib, routes: Routes) {
        if self.is_open {
            self.routes.push(routes);
        } else {
            apply(rib, routes);
        }
    }

    /// Everything that came takes effect.
    pub(super) fn commit(&mut self, rib: &mut Rib) {
        let Self { peers, routes, .. } = std::mem::take(self);
        for routes in routes {
            apply(rib, routes);
        }
        for (peer, config) in peers {
            rib.set_peer(peer, config);
        }
    }
}

fn apply(rib: &mut Rib, routes: Routes) {
    match routes {
        Routes::All(routes) => rib.set_originated(routes),
        Routes::Changed(changes) => {
            let changes = changes.into_iter();
            let changes = changes.map(|change| (change.prefix, change.route));
            rib.change_originated(changes.collect());
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::net::IpAddr;
    use std::sync::Arc;
    use std::time::Instant;

    use bgp::fsm::{Config, Down, RemoteAsn, negotiate};
    use bgp::types::{Asn, BgpIdentifier, Family};
    use bgp::wire::{Capability, Open};
    use bytes::Bytes;
    use rib::export::{Full, Transport};
    use rib::{AdvertisementId, Offer, PeerKind, RibConfig, SessionInfo};

    use super::*;

    const PEER: PeerId = PeerId(1);

    /// Counts messages.
    #[derive(Default)]
    struct Sent(usize);

    impl Transport for Sent {
        fn send(&mut self, _: PeerId, _: &Bytes) -> Result<(), Full> {
            self.0 += 1;
            Ok(())
        }
    }

    /// Works until there is nothing to do. Returns how many times something was sent.
    fn sent(rib: &mut Rib) -> usize {
        let mut sent = Sent::default();
        while rib.poll(Instant::now(), 1000, &mut sent) {}
        sent.0
    }

    fn session() -> SessionInfo {
        let ours = Config::new(Asn(65_000), BgpIdentifier(1), RemoteAsn::Any, 1);
        let theirs = Open {
            asn: Asn(65_001),
            hold_time: 90,
            identifier: BgpIdentifier(2),
            capabilities: vec![
                Capability::Multiprotocol(Family::IPV4_UNICAST),
                Capability::FourOctetAs(Asn(65_001)),
            ],
        };
        SessionInfo {
            negotiated: Arc::new(negotiate(&ours, &theirs).unwrap()),
            remote_address: IpAddr::from([192, 0, 2, 2]),
            local_ipv4: Some([192, 0, 2, 1].into()),
            local_ipv6: None,
            local_link_local: None,
            interface: Some(1),
            subnets: Vec::new(),
            single_hop: true,
        }
    }

    fn selected_by(advertisement: u32) -> PeerConfig {
        let mut config = PeerConfig::new(PeerKind::External);
        config.advertisements.insert(AdvertisementId(advertisement));
        config
    }

    fn offered_by(advertisement: u32) -> Routes {
        Routes::All(vec![Originated {
            prefix: "203.0.113.0/24".parse().unwrap(),
            offers: vec![Offer {
                advertisement: AdvertisementId(advertisement),
                of_services: false,
                communities: Vec::new(),
                large_communities: Vec::new(),
                extended_communities: Vec::new(),
                local_preference: None,
                med: None,
                prepend: 0,
            }],
        }])
    }

    /// A RIB that has advertised a route by an Advertisement, with a session that is up.
    fn advertised() -> (Rib, Transaction) {
        let mut rib = Rib::new(RibConfig::new(Asn(65_000), BgpIdentifier(1)));
        let mut transaction = Transaction::default();
        rib.set_peer(PEER, selected_by(1));
        transaction.originate(&mut rib, offered_by(1));
        rib.open_gate(Instant::now());
        rib.session_up(PEER, session(), Instant::now());
        assert!(sent(&mut rib) > 0);
        (rib, transaction)
    }

    #[test]
    fn going_over_to_another_advertisement_sends_nothing() {
        let (mut rib, mut transaction) = advertised();
        transaction.begin();
        transaction.change_peer(&mut rib, PEER, selected_by(2));
        assert_eq!(sent(&mut rib), 0, "withdrawn");
        transaction.originate(&mut rib, offered_by(2));
        assert_eq!(sent(&mut rib), 0);
        transaction.commit(&mut rib);
        assert_eq!(sent(&mut rib), 0, "advertised again");
        // It is in force.
        transaction.originate(&mut rib, offered_by(1));
        assert!(sent(&mut rib) > 0, "withdrawn, at once");
    }

    #[test]
    fn a_session_that_comes_up_meanwhile_has_the_configuration_that_it_was_made_for() {
        let (mut rib, mut transaction) = advertised();
        rib.session_down(PEER, &Down::TransportFailed, Instant::now());
        transaction.begin();
        // It may not advertise anything to this peer any more.
        transaction.change_peer(&mut rib, PEER, PeerConfig::new(PeerKind::External));
        transaction.session_up(&mut rib, PEER);
        rib.session_up(PEER, session(), Instant::now());
        while rib.poll(Instant::now(), 1000, &mut Sent::default()) {}
        assert_eq!(rib.counts(PEER, Family::IPV4_UNICAST).advertised, 0);
        transaction.commit(&mut rib);
        assert_eq!(sent(&mut rib), 0);
    }

    #[test]
    fn a_peer_that_was_removed_meanwhile_does_not_come_back() {
        let (mut rib, mut transaction) = advertised();
        transaction.begin();
        transaction.change_peer(&mut rib, PEER, selected_by(2));
        transaction.forget(PEER);
        rib.remove_peer(PEER);
        transaction.commit(&mut rib);
        assert_eq!(rib.update_group(PEER), None);
        rib.session_up(PEER, session(), Instant::now());
        assert_eq!(sent(&mut rib), 0, "nobody is there");
    }
}
