//! What two OPENs agreed on.

use std::time::Duration;

use crate::types::{Afi, Asn, BgpIdentifier, Family};
use crate::wire::capability::{GracefulRestart, LongLivedFamily, Role};

/// What two OPENs agreed on. Immutable for the life of the session.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Negotiated {
    /// The peer's AS.
    pub peer_asn: Asn,
    /// The peer's identifier.
    pub peer_id: BgpIdentifier,
    /// Our AS as told to this peer.
    pub local_asn: Asn,
    /// Our identifier as told to this peer.
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
    /// Messages up to 65,535 octets may be sent to the peer.
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
    /// The peer's role, if it told one.
    pub peer_role: Option<Role>,
    /// The peer's host name, if it told one.
    pub peer_host: Option<String>,
}

impl Negotiated {
    /// Whether the peer is in another AS.
    pub fn is_external(&self) -> bool {
        self.peer_asn != self.local_asn
    }
}
