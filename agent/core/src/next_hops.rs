//! Where the next hops of received routes lead, and whether they are used: the RIB's question, answered by one snapshot of the
//! kernel's routes. Pure.

#[cfg(test)]
mod tests;

use bgp::types::NextHop;
use rib::attrs::Resolution;
use routelet_fib::KernelView;
use routelet_fib::view::Resolved;

/// Why a next hop is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// No route leads to it.
    NoRoute,
    /// The default route alone does, and does not count.
    OnlyByDefault,
}

/// Resolves a next hop. `interface`: that of its session, if the peer is directly connected. `via_default`: whether the default
/// route counts (`fib.resolveViaDefaultRoute`).
///
/// The link-local address where the session's interface is known, as packets go there (RFC 2545 section 2); else the global one.
/// An IPv4 one (169.254.0.0/16) is on the session's link where that has its network, else wherever the node's routes say: the
/// kernel knows no scope of it.
///
/// # Errors
/// The next hop is not used.
pub fn resolve(
    view: &KernelView,
    via_default: bool,
    next_hop: &NextHop,
    interface: Option<u32>,
) -> Result<Resolution, Unusable> {
    let scoped = interface.and_then(|ifindex| on_session_link(view, next_hop, ifindex));
    let resolved = scoped.or_else(|| view.resolve(next_hop.address(), None));
    match resolved {
        None => Err(Unusable::NoRoute),
        Some(resolved) if resolved.by_default && !via_default => Err(Unusable::OnlyByDefault),
        Some(resolved) => Ok(Resolution {
            gateway: resolved.gateway,
            ifindex: resolved.ifindex,
            metric: resolved.metric,
            connected: resolved.connected,
            onlink: resolved.onlink,
        }),
    }
}

/// A link-local next hop on the link of its session; `None`: it is none, or not there.
fn on_session_link(view: &KernelView, next_hop: &NextHop, ifindex: u32) -> Option<Resolved> {
    match *next_hop {
        NextHop::Ipv4(address) if address.is_link_local() => {
            let on_link = view.resolve(address.into(), Some(ifindex));
            on_link.filter(|resolved| resolved.connected)
        }
        _ => view.resolve(next_hop.link_local()?.into(), Some(ifindex)),
    }
}
