//! Everything that decides how routes are advertised to a peer, as one value: peers with equal keys form an update
//! group.
//!
//! The rules in `rules`, and the encoder, read nothing but the key and the route. So a knob that is not in the key can
//! have no effect, and one that is cannot be forgotten. What cannot change the output of a peer of this kind is left at
//! a fixed value, so that it splits no groups.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use bgp::fsm::Negotiated;
use bgp::types::{Afi, Asn, BgpIdentifier, Family};
use bgp::wire::attribute::AttributeCodes;
use bgp::wire::capability::Role;
use bgp::wire::{PeerKind as WirePeerKind, UpdateCodec};
use ipnet::IpNet;

use crate::originate::AdvertisementId;
use crate::peer::{PeerConfig, PeerKind, SessionInfo};
use crate::policy::Chain;

/// The export behaviour of a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupKey {
    pub(super) kind: PeerKind,
    pub(super) local_asn: Asn,
    /// For internal peers: what is put in front of CLUSTER_LIST.
    pub(super) cluster_id: Option<BgpIdentifier>,
    /// Families, sizes and forms of messages. What concerns receiving only is left at a fixed value.
    pub(super) codec: UpdateCodec,
    /// Families of which the peer understands LLGR_STALE.
    pub(super) long_lived: Vec<Family>,
    /// For external peers: the peer's role.
    pub(super) peer_role: Option<Role>,
    /// For external peers: attributes that do not leave our administration.
    pub(super) withheld: AttributeCodes,
    pub(super) advertisements: BTreeSet<AdvertisementId>,
    pub(super) knows_services: bool,
    pub(super) transit: bool,
    pub(super) export: Chain,
    /// For internal peers.
    pub(super) next_hop_self: bool,
    /// For external peers.
    pub(super) remove_private_as: bool,
    pub(super) local_ipv4: Option<Ipv4Addr>,
    pub(super) local_ipv6: Option<Ipv6Addr>,
    /// Where the peer is on the link.
    pub(super) local_link_local: Option<Ipv6Addr>,
    /// For external peers on the link: where third-party next hops may lie.
    pub(super) subnets: Vec<IpNet>,
}

impl GroupKey {
    /// The only place where a key is made. `cluster_id` is ours as a route reflector; `None`: our BGP identifier.
    pub fn new(
        config: &PeerConfig,
        session: &SessionInfo,
        cluster_id: Option<BgpIdentifier>,
    ) -> Self {
        let negotiated = &session.negotiated;
        let external = config.kind == PeerKind::External;
        let mut subnets = if external && session.single_hop {
            session.subnets.clone()
        } else {
            Vec::new()
        };
        subnets.sort_unstable();
        Self {
            kind: config.kind,
            local_asn: negotiated.local_asn,
            cluster_id: (!external).then(|| cluster_id.unwrap_or(negotiated.local_id)),
            codec: sending_codec(negotiated, config.kind.into()),
            long_lived: Family::ALL
                .into_iter()
                .filter(|family| negotiated.long_lived.iter().any(|l| l.family == *family))
                .collect(),
            peer_role: negotiated.peer_role.filter(|_| external),
            withheld: config.attribute_filter.withheld_from(config.kind.into()),
            advertisements: config.advertisements.clone(),
            knows_services: config.knows_services,
            transit: config.transit,
            export: Chain::new(&config.export),
            next_hop_self: config.next_hop_self && !external,
            remove_private_as: config.remove_private_as && external,
            local_ipv4: session.local_ipv4,
            local_ipv6: session.local_ipv6,
            local_link_local: session.local_link_local.filter(|_| session.single_hop),
            subnets,
        }
    }

    /// Whether the peers are in another AS.
    pub(super) fn is_external(&self) -> bool {
        self.kind == PeerKind::External
    }
}

/// The part of the negotiation that shapes what is sent.
fn sending_codec(negotiated: &Negotiated, kind: WirePeerKind) -> UpdateCodec {
    let mut codec = UpdateCodec::plain(kind);
    codec.four_octet_as = negotiated.four_octet_as;
    codec.extended_message = negotiated.extended_message;
    for family in Family::ALL {
        let Some(of_family) = codec.family_mut(family) else {
            continue;
        };
        of_family.negotiated = negotiated.families.contains(&family);
        of_family.add_path_send = negotiated.add_path_send.contains(&family);
        of_family.extended_next_hop = family == Family::IPV4_UNICAST
            && negotiated.extended_next_hop.contains(&(family, Afi::IPV6));
    }
    codec
}
