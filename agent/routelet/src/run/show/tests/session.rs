//! Sessions of a world: what is agreed on with a peer, and what the peer sends as octets.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bgp::fsm::{Down, Negotiated, negotiate};
use bgp::types::{Asn, Family, NextHop, Nlri, NlriList, PathId};
use bgp::wire::attribute::{AsPath, AttributeFilter, Origin};
use bgp::wire::capability::Capability;
use bgp::wire::{
    AttributeSet, HEADER, Open, PathAttributes, UpdateBatch, UpdateEncoder, decode_update,
};
use ipnet::IpNet;
use routelet_core::intent::PeerTarget;
use routelet_fib::kernel::event::Address;

use super::world::World;

/// Path attributes of an AS_PATH of these.
pub(crate) fn path(asns: &[u32]) -> PathAttributes {
    PathAttributes {
        origin: Some(Origin::Igp),
        as_path: AsPath::sequence(asns.iter().map(|asn| Asn(*asn))),
        ..PathAttributes::default()
    }
}

impl World {
    /// What a session with the peer would agree on. `capabilities`: of the peer's OPEN, beside both families and
    /// four-octet AS numbers unless it has some of these itself.
    pub(crate) fn negotiate(
        &self,
        peer: &str,
        asn: u32,
        capabilities: &[Capability],
    ) -> Negotiated {
        let protocol = &self.peer(peer).session.protocol;
        let mut all = capabilities.to_vec();
        let has_families = all
            .iter()
            .any(|capability| matches!(capability, Capability::Multiprotocol(_)));
        if !has_families {
            all.extend(Family::ALL.map(Capability::Multiprotocol));
        }
        all.push(Capability::FourOctetAs(Asn(asn)));
        let IpAddr::V4(address) = self.address(peer) else {
            panic!("an IPv4 address makes the identifier");
        };
        let open = Open {
            asn: Asn(asn),
            hold_time: 90,
            identifier: address.into(),
            capabilities: all,
        };
        negotiate(protocol, &open).unwrap()
    }

    fn address(&self, peer: &str) -> IpAddr {
        match self.peer(peer).target {
            PeerTarget::Address { address, .. } => address,
            _ => panic!("{peer} has no address"),
        }
    }

    /// The session of a peer becomes Established.
    pub(super) fn up(
        &mut self,
        peer: &str,
        asn: u32,
        capabilities: &[Capability],
    ) -> Arc<Negotiated> {
        let negotiated = Arc::new(self.negotiate(peer, asn, capabilities));
        let (id, remote) = (self.id(peer), self.address(peer));
        let local = self.local_address(remote);
        let (local, remote) = (SocketAddr::new(local, 40_112), SocketAddr::new(remote, 179));
        let info = self
            .kernel_context
            .begin(id, negotiated.clone(), local, remote);
        self.rib.session_up(id, info, self.now);
        self.sessions.insert(id, negotiated.clone());
        self.settle();
        negotiated
    }

    /// Our address on the network of a peer, or any of its family.
    fn local_address(&self, remote: IpAddr) -> IpAddr {
        let links = self.view.links();
        let all: Vec<&Address> = links
            .flat_map(|link| self.view.addresses(link.ifindex))
            .collect();
        let on_link = all
            .iter()
            .find(|one| one.network().is_some_and(|net| net.contains(&remote)));
        let any = all
            .iter()
            .find(|one| one.address.is_ipv4() == remote.is_ipv4());
        on_link.or(any).unwrap().address
    }

    /// The session of a peer ends.
    pub(crate) fn down(&mut self, peer: &str, why: &Down) {
        let id = self.id(peer);
        self.kernel_context.end(id);
        self.sessions.remove(&id);
        self.rib.session_down(id, why, self.now);
        self.settle();
    }

    /// The peer announces a prefix: an UPDATE is encoded as it would encode it, and decoded as the session decodes it.
    pub(crate) fn announce(
        &mut self,
        peer: &str,
        prefix: &str,
        next_hop: &str,
        attributes: &PathAttributes,
    ) {
        self.announce_path(peer, prefix, 0, next_hop, attributes);
    }

    /// The same with a path identifier (RFC 7911).
    pub(crate) fn announce_path(
        &mut self,
        peer: &str,
        prefix: &str,
        path_id: u32,
        next_hop: &str,
        attributes: &PathAttributes,
    ) {
        let id = self.id(peer);
        let negotiated = &self.sessions[&id];
        let ours = negotiated.update_codec(&self.peer(peer).config.attribute_filter);
        let mut theirs = negotiated.update_codec(&AttributeFilter::DEFAULT);
        for family in [&mut theirs.ipv4, &mut theirs.ipv6] {
            std::mem::swap(&mut family.add_path_send, &mut family.add_path_receive);
        }
        let path_id = PathId(path_id);
        let nlri = match prefix.parse().unwrap() {
            IpNet::V4(prefix) => NlriList::Ipv4(vec![Nlri { prefix, path_id }]),
            IpNet::V6(prefix) => NlriList::Ipv6(vec![Nlri { prefix, path_id }]),
        };
        let next_hop = match next_hop.split_once(' ') {
            Some((global, link_local)) => NextHop::Ipv6WithLinkLocal {
                global: global.parse().unwrap(),
                link_local: link_local.parse().unwrap(),
            },
            None => next_hop.parse::<IpAddr>().unwrap().into(),
        };
        let set = AttributeSet::from_attributes(attributes).unwrap();
        let mut messages = Vec::new();
        UpdateEncoder::new(theirs)
            .reach_list(&set, next_hop, &nlri, |message| messages.push(message))
            .unwrap();
        let mut batch = UpdateBatch::default();
        for message in messages {
            let update = decode_update(&message.slice(HEADER..), &ours);
            assert!(update.reset().is_none(), "{:?}", update.faults);
            batch.push(&update);
        }
        self.rib.updates(id, &batch);
        self.settle();
    }

    /// The peer has sent all of a family.
    pub(crate) fn end_of_rib(&mut self, peer: &str, family: Family) {
        let id = self.id(peer);
        let codec = self.sessions[&id].update_codec(&AttributeFilter::DEFAULT);
        let message = UpdateEncoder::new(codec).end_of_rib(family);
        let mut batch = UpdateBatch::default();
        batch.push(&decode_update(&message.slice(HEADER..), &codec));
        self.rib.updates(id, &batch);
        self.settle();
    }
}
