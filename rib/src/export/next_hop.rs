//! The advertised next hop (RFC 4271 5.1.3, RFC 2545, RFC 8950).
//!
//! | route | external peer | internal peer |
//! |---|---|---|
//! | originated | ours | ours |
//! | from an external peer | ours, or as received if it is the peer's neighbour too | as received, or ours with `next_hop_self` |
//! | from an internal peer | likewise | as received (reflection) |
//!
//! "The peer's neighbour too" is the simple rule for third-party next hops: the peer is directly connected, and the
//! next hop lies in a network of the session's interface. A link-local next hop means nothing beyond its link and is never
//! passed on: ours takes its place, and of a pair the global address alone is passed on.
//!
//! Next hop self is our address of the route's family; an IPv4 route uses our IPv6 address if we have no IPv4 address
//! and the session allows it (RFC 8950). With neither, the route is suppressed with that reason.

use std::net::IpAddr;

use bgp::types::{Family, NextHop};

use super::Suppressed;
use super::key::GroupKey;
use crate::peer::PeerKind;

/// A next hop to be advertised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outgoing {
    pub(super) next_hop: NextHop,
    /// Passed on as received.
    pub(super) third_party: bool,
}

impl GroupKey {
    /// The next hop of a learned route.
    pub(super) fn next_hop_of_learned(
        &self,
        family: Family,
        received: &NextHop,
        source: PeerKind,
    ) -> Result<Outgoing, Suppressed> {
        let address = received.address();
        if matches!(address, IpAddr::V6(address) if received.link_local() == Some(address)) {
            return self.next_hop_self(family);
        }
        let passed_on = Outgoing {
            next_hop: address.into(),
            third_party: true,
        };
        if self.is_external() {
            let shared = self.subnets.iter().any(|net| net.contains(&address));
            return if shared && self.can_use(family, &passed_on.next_hop) {
                Ok(passed_on)
            } else {
                self.next_hop_self(family)
            };
        }
        if self.next_hop_self && source == PeerKind::External {
            return self.next_hop_self(family);
        }
        if self.can_use(family, &passed_on.next_hop) {
            Ok(passed_on)
        } else {
            Err(Suppressed::NextHopOfOtherFamily)
        }
    }

    /// Ourselves as next hop.
    pub(super) fn next_hop_self(&self, family: Family) -> Result<Outgoing, Suppressed> {
        let ipv6 = match (self.local_ipv6, self.local_link_local) {
            // RFC 2545 section 3: the link-local address too where the peer is on the link.
            (Some(global), Some(link_local)) => {
                Some(NextHop::Ipv6WithLinkLocal { global, link_local })
            }
            (Some(address), None) | (None, Some(address)) => Some(NextHop::Ipv6(address)),
            (None, None) => None,
        };
        let ours = match family {
            Family::IPV4_UNICAST => self
                .local_ipv4
                .map(NextHop::Ipv4)
                .or(ipv6.filter(|next_hop| self.can_use(family, next_hop))),
            _ => ipv6,
        };
        let next_hop = ours.ok_or(Suppressed::NoNextHop)?;
        Ok(Outgoing {
            next_hop,
            third_party: false,
        })
    }

    /// Whether routes of the family can be advertised with such a next hop.
    fn can_use(&self, family: Family, next_hop: &NextHop) -> bool {
        let is_ipv4 = matches!(next_hop, NextHop::Ipv4(_));
        match family {
            Family::IPV4_UNICAST => {
                is_ipv4
                    || self
                        .codec
                        .family(family)
                        .is_some_and(|codec| codec.extended_next_hop)
            }
            _ => !is_ipv4,
        }
    }
}
