//! Capabilities (RFC 5492), each in its own file. Unknown ones are kept.

use bytes::Bytes;

use crate::types::{Afi, Asn, Family};

/// One capability of an OPEN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Capability {
    /// Multiprotocol extensions for a family (RFC 4760).
    Multiprotocol(Family),
    /// Route refresh (RFC 2918).
    RouteRefresh,
    /// Enhanced route refresh (RFC 7313).
    EnhancedRouteRefresh,
    /// Four-octet AS numbers, with the sender's own (RFC 6793).
    FourOctetAs(Asn),
    /// Graceful restart (RFC 4724, RFC 8538).
    GracefulRestart(GracefulRestart),
    /// Long-lived graceful restart (RFC 9494).
    LongLivedGracefulRestart(Vec<LongLivedFamily>),
    /// Additional paths (RFC 7911).
    AddPath(Vec<(Family, AddPathMode)>),
    /// IPv4 (or other) NLRI over a next hop of another AFI (RFC 8950).
    ExtendedNextHop(Vec<(Family, Afi)>),
    /// Messages up to 65,535 octets (RFC 8654).
    ExtendedMessage,
    /// The sender's role (RFC 9234).
    Role(Role),
    /// Host and domain name (draft-walton-bgp-hostname-capability).
    Fqdn {
        /// Host name.
        host: String,
        /// Domain name, possibly empty.
        domain: String,
    },
    /// Any other: its code and value.
    Unknown {
        /// Capability code.
        code: u8,
        /// Its value, uninterpreted.
        value: Bytes,
    },
}

/// The value of the graceful restart capability.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GracefulRestart {
    /// R bit: the sender has restarted and its peer should not wait for it.
    pub restarting: bool,
    /// N bit (RFC 8538): hold timer expiry and NOTIFICATIONs do not end the routes' retention.
    pub notification: bool,
    /// Seconds that the sender's routes should be kept after the session fell, at most 4095.
    pub restart_time: u16,
    /// Families, and for each the F bit: whether forwarding state was kept over the restart.
    pub families: Vec<(Family, bool)>,
}

/// One family of the long-lived graceful restart capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongLivedFamily {
    /// The family.
    pub family: Family,
    /// F bit: forwarding state was kept.
    pub forwarding: bool,
    /// Seconds that stale routes are kept, at most 16,777,215.
    pub stale_time: u32,
}

/// What a speaker can do with additional paths of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddPathMode {
    /// It can receive them.
    Receive,
    /// It can send them.
    Send,
    /// Both.
    Both,
}

/// The role of the sender towards its peer (RFC 9234 section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The sender is a transit provider.
    Provider,
    /// The sender is a route server.
    RouteServer,
    /// The sender is a route server's client.
    RouteServerClient,
    /// The sender is a customer.
    Customer,
    /// The sender is a lateral peer.
    Peer,
}
