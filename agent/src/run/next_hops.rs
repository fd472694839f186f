//! Next-hop tracking: the RIB's questions, answered by the kernel's view.

use std::sync::Arc;

use bgp::types::NextHop;
use rib::attrs::{NextHopResolver, Resolution};

use crate::fib::KernelView;

/// Answers out of one snapshot of the kernel's routes.
pub(crate) struct Resolver(pub(crate) Arc<KernelView>);

impl NextHopResolver for Resolver {
    /// The link-local address where the session's interface is known, as packets go there (RFC 2545 section 2); else the
    /// global one.
    fn resolve(&self, next_hop: &NextHop, interface: Option<u32>) -> Option<Resolution> {
        let scoped = interface
            .zip(next_hop.link_local())
            .and_then(|(ifindex, address)| self.0.resolve(address.into(), Some(ifindex)));
        let resolved = match scoped {
            Some(resolved) => resolved,
            None => self.0.resolve(next_hop.address(), None)?,
        };
        Some(Resolution {
            gateway: resolved.gateway,
            ifindex: resolved.ifindex,
            metric: resolved.metric,
            connected: resolved.connected,
        })
    }
}
