//! What two OPENs agreed on.

use std::sync::Arc;
use std::time::Duration;

use crate::types::{Afi, Asn, BgpIdentifier, Family, PeerText};
use crate::wire::attribute::AttributeFilter;
use crate::wire::capability::{GracefulRestart, LongLivedFamily, Role};
use crate::wire::{FamilyCodec, Open, PeerKind, UpdateCodec};

/// What two OPENs agreed on. Immutable for the life of the session.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Negotiated {
    /// The peer's AS.
    pub peer_asn: Asn,
    /// The peer's identifier.
    pub peer_id: BgpIdentifier,
    /// Our AS as sent to this peer.
    pub local_asn: Asn,
    /// Our identifier as sent to this peer.
    pub local_id: BgpIdentifier,
    /// The smaller of the two hold times; `None` is 0: no keepalives, no hold timer.
    pub hold_time: Option<Duration>,
    /// How often KEEPALIVE is sent; `None` with a hold time of 0.
    pub keepalive: Option<Duration>,
    /// Families that both sides announced.
    pub families: Vec<Family>,
    /// Both sides use four-octet AS numbers.
    pub four_octet_as: bool,
    /// Families in which the peer sends us path identifiers.
    pub add_path_receive: Vec<Family>,
    /// Families in which we send the peer path identifiers.
    pub add_path_send: Vec<Family>,
    /// Families and the AFIs of foreign next hops that both sides can use (RFC 8950).
    pub extended_next_hop: Vec<(Family, Afi)>,
    /// Both sides announced that they take messages of up to 65,535 octets (RFC 8654): such messages may be sent to the peer,
    /// and are taken from it.
    pub extended_message: bool,
    /// The peer answers ROUTE-REFRESH.
    pub route_refresh: bool,
    /// Both sides demarcate refreshes (RFC 7313).
    pub enhanced_route_refresh: bool,
    /// The peer's graceful restart capability, if both sides have it.
    pub graceful_restart: Option<GracefulRestart>,
    /// Both sides set the N bit (RFC 8538): NOTIFICATIONs but Hard Reset, and hold timer expiry, retain routes too.
    pub notification_retains: bool,
    /// The peer's long-lived graceful restart families, if both sides have it.
    pub long_lived: Vec<LongLivedFamily>,
    /// What the peer is to us according to the role configured here, whether or not the peer sends one (RFC 9234 section
    /// 4.2): the counterpart of ours. `None` without a configured role, and for internal peers.
    pub peer_role: Option<Role>,
    /// The role that an external peer sent. It is checked against ours, and decides nothing else.
    pub announced_role: Option<Role>,
    /// Both sides want no session before BFD is up.
    pub bfd_strict: bool,
    /// The peer's host name, if it sent one.
    pub peer_host: Option<PeerText>,
    /// The peer's OPEN as received; the other fields have what is used of it.
    pub peer_open: Arc<Open>,
    /// The AS that paths from the peer must begin with (RFC 4271 section 6.3); `None` does not check.
    pub first_as: Option<Asn>,
}

impl Negotiated {
    /// Whether the peer is in another AS.
    pub fn is_external(&self) -> bool {
        self.peer_asn != self.local_asn
    }

    /// Whether the peer is in another AS, as the codec of UPDATEs knows it.
    pub fn peer_kind(&self) -> PeerKind {
        if self.is_external() {
            PeerKind::External
        } else {
            PeerKind::Internal
        }
    }

    /// How the UPDATEs of this session are encoded and decoded. `filter`: what the operator says of the peer's attributes.
    pub fn update_codec(&self, filter: &AttributeFilter) -> UpdateCodec {
        let family = |family: Family| FamilyCodec {
            negotiated: self.families.contains(&family),
            add_path_receive: self.add_path_receive.contains(&family),
            add_path_send: self.add_path_send.contains(&family),
            extended_next_hop: self
                .extended_next_hop
                .iter()
                .any(|(of, over)| *of == family && *over != family.afi),
        };
        UpdateCodec {
            peer: self.peer_kind(),
            four_octet_as: self.four_octet_as,
            extended_message: self.extended_message,
            first_as: self.first_as,
            filtered: filter.received_from(self.peer_kind()),
            ipv4: family(Family::IPV4_UNICAST),
            ipv6: family(Family::IPV6_UNICAST),
        }
    }
}
