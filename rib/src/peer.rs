//! How a peer is treated: what the intent says of it, and what its session negotiated.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use bgp::fsm::Negotiated;
use bgp::wire::attribute::AttributeFilter;
use ipnet::IpNet;

use crate::originate::AdvertisementId;
use crate::policy::Policy;

/// A configured peer. Assigned by the owner of the RIB, which never gives one number to two peers at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub u32);

/// What a peer is to us (RFC 4271, RFC 4456).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PeerKind {
    /// In another AS.
    External,
    /// In our AS, not a client of ours.
    Internal,
    /// In our AS, and we reflect routes to and from it.
    ReflectorClient,
}

impl From<PeerKind> for bgp::wire::PeerKind {
    fn from(kind: PeerKind) -> Self {
        match kind {
            PeerKind::External => Self::External,
            PeerKind::Internal | PeerKind::ReflectorClient => Self::Internal,
        }
    }
}

/// The most paths of one prefix that a peer may have unless it is configured: as many as multipath can use (255), and one.
/// Each of them is compared with all others whenever one changes.
pub const DEFAULT_MAX_PATHS: u32 = 256;

/// The default limit of a peer's distinct next hops: a reflector of the largest clusters has two for each node. The
/// kernel has two objects for each.
pub const DEFAULT_MAX_NEXT_HOPS: u32 = 32_768;

/// What the intent says about a peer. A change never needs a session reset: policies are run again.
#[derive(Clone, Debug, PartialEq)]
pub struct PeerConfig {
    /// What the peer is to us.
    pub kind: PeerKind,
    /// Import policies in order. Empty: accept.
    pub import: Vec<Arc<Policy>>,
    /// Export policies in order. They run on routes that would be advertised; empty: accept.
    pub export: Vec<Arc<Policy>>,
    /// Advertisements whose originated routes are advertised to the peer.
    pub advertisements: BTreeSet<AdvertisementId>,
    /// Whether the peer knows Services from elsewhere, as nodes of the same cluster do, so that they are not advertised
    /// to it.
    pub knows_services: bool,
    /// Whether learned routes are advertised to the peer. Reflection (RFC 4456) works without it.
    pub transit: bool,
    /// How often our own AS may stand in a received AS_PATH.
    pub allow_own_as: u8,
    /// Routes of this external peer must have its AS first in their AS_PATH (RFC 4271 6.3). On by default; off for route
    /// servers.
    pub enforce_first_as: bool,
    /// This external peer may be several hops away, and so may the next hops of its routes, wherever it is: they are resolved
    /// by the node's routes (RFC 4271 5.1.3). Otherwise those of a directly connected one must be on a link.
    pub multihop: bool,
    /// Replaces the next hop of routes passed on to an internal peer by our own address.
    pub next_hop_self: bool,
    /// Removes private AS numbers from the AS_PATH sent to this external peer.
    pub remove_private_as: bool,
    /// Attributes to discard from the peer's routes, or whose routes are treated as withdrawn; and which it is not sent.
    pub attribute_filter: AttributeFilter,
    /// Accepted paths per family beyond which `PrefixLimit` is reported; `None`: no limit.
    pub max_prefixes: Option<u32>,
    /// Received paths per family, rejected ones included, beyond which `PrefixLimit` is reported; `None`: no limit.
    pub max_received: Option<u32>,
    /// The maximum number of the peer's paths of one prefix (RFC 7911); further ones are ignored. At least 1.
    pub max_paths: u32,
    /// The maximum number of the peer's distinct next hops; paths with further ones are rejected. At least 1.
    pub max_next_hops: u32,
    /// Accepted prefixes per family beyond which `PrefixWarning` is reported; `None`: never.
    pub prefix_warning: Option<u32>,
    /// How long long-lived stale paths are kept at most, whatever the peer asks for (RFC 9494: up to 194 days).
    pub long_lived_max: Duration,
}

/// See [`PeerConfig::long_lived_max`]: long enough for an operator to act, short enough for a router that never
/// returns.
pub const LONG_LIVED_MAX: Duration = Duration::from_hours(24);

/// What an Established session adds to the configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionInfo {
    /// What the two OPENs agreed on.
    pub negotiated: Arc<Negotiated>,
    /// The peer's address, the last tie-break of the decision process.
    pub remote_address: IpAddr,
    /// Our IPv4 next hop on this session: the session's own address, or the node's address of that family.
    pub local_ipv4: Option<Ipv4Addr>,
    /// Our global IPv6 next hop on this session.
    pub local_ipv6: Option<Ipv6Addr>,
    /// Our link-local address on the session's interface, where the peer is on the link.
    pub local_link_local: Option<Ipv6Addr>,
    /// The interface of the session if the peer is directly connected: the scope of link-local next hops.
    pub interface: Option<u32>,
    /// The networks of the session's interface: next hops within one of them are the peer's neighbours too, if it is
    /// directly connected. Empty is always safe.
    pub subnets: Vec<IpNet>,
    /// Whether the peer is directly connected, so that third-party next hops can be passed on (RFC 4271 5.1.3).
    pub single_hop: bool,
}

impl PeerConfig {
    /// A peer of this kind with every other setting at its default: no policies, nothing advertised, no limit.
    pub fn new(kind: PeerKind) -> Self {
        Self {
            kind,
            import: Vec::new(),
            export: Vec::new(),
            advertisements: BTreeSet::new(),
            knows_services: false,
            transit: false,
            allow_own_as: 0,
            enforce_first_as: true,
            multihop: false,
            next_hop_self: false,
            remove_private_as: false,
            attribute_filter: AttributeFilter::DEFAULT,
            max_prefixes: None,
            max_received: None,
            max_paths: DEFAULT_MAX_PATHS,
            max_next_hops: DEFAULT_MAX_NEXT_HOPS,
            prefix_warning: None,
            long_lived_max: LONG_LIVED_MAX,
        }
    }
}
