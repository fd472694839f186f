//! What the node's own routing table answers about next hops.

use std::net::IpAddr;

use bgp::types::NextHop;

/// Where packets to a next hop go: the answer of the node's own routing table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Resolution {
    /// The router on the link: the next hop itself if it is connected.
    pub gateway: IpAddr,
    /// The interface.
    pub ifindex: u32,
    /// The cost of reaching it (RFC 4271 9.1.2.2 e).
    pub metric: u32,
    /// Whether the next hop is on a connected network.
    pub connected: bool,
    /// The gateway is used on this interface although no connected network has it.
    pub onlink: bool,
}

/// Answers where a next hop leads. Given to the RIB by its owner, who knows the kernel's routes.
pub trait NextHopResolver: Send + Sync {
    /// Where packets to `next_hop` go, or `None` if it cannot be reached. `interface` is the session's interface for
    /// next hops that have a link-local address, and `None` for all others.
    fn resolve(&self, next_hop: &NextHop, interface: Option<u32>) -> Option<Resolution>;
}

/// Nothing can be reached: the state before the owner gave a resolver.
pub(super) struct Unreachable;

impl NextHopResolver for Unreachable {
    fn resolve(&self, _: &NextHop, _: Option<u32>) -> Option<Resolution> {
        None
    }
}
