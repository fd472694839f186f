//! What the RIB is told of an Established session because of what the kernel says: our own next hops on it, its interface,
//! whether the peer is on the link and which networks that link has.
//!
//! What was known of the session's interface stays known while its address is missing there for a moment: no next hop changes
//! for it, and nothing is advertised again.

#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bgp::fsm::Negotiated;
use bgp::types::{Afi, Family};
use ipnet::IpNet;
use rib::SessionInfo;
use routelet_api::IpFamily;
use routelet_fib::KernelView;
use routelet_fib::kernel::event::Address;

use super::{NoNextHop, OwnNextHops, Place, choose};

/// An Established session.
#[derive(Clone, Debug)]
pub struct Session {
    /// What the two OPENs agreed on.
    pub negotiated: Arc<Negotiated>,
    /// Our end; of a link-local address with its interface as the scope.
    pub local: SocketAddr,
    /// The peer's address.
    pub remote: IpAddr,
}

/// A session in its surroundings.
#[derive(Clone, Debug, PartialEq)]
pub struct Placed {
    /// Our own next hops.
    pub next_hops: OwnNextHops,
    /// What the RIB knows of the session.
    pub info: SessionInfo,
}

impl Session {
    /// Our end, as an IPv4 address where that is what it is.
    pub fn local_address(&self) -> IpAddr {
        self.local.ip().to_canonical()
    }

    /// The session as the kernel's view has it. `internal_ips`: those of the Node, in their order. `before`: what was found
    /// last for this session.
    pub fn place(
        &self,
        view: &KernelView,
        internal_ips: &[IpAddr],
        before: Option<&Placed>,
    ) -> Placed {
        let known = before.map(|before| &before.info);
        let local = self.local_address();
        let has_address = view.interface_of(local, scope(self.local));
        let interface = has_address.or_else(|| known.and_then(|known| known.interface));
        let resolved = interface.and_then(|on| view.resolve(self.remote, Some(on)));
        let single_hop = match resolved {
            Some(resolved) => resolved.connected,
            None => known.is_some_and(|known| known.single_hop && known.interface == interface),
        };
        let place = Place {
            local,
            interface,
            on_link: single_hop,
        };
        let next_hops = choose(
            view,
            internal_ips,
            place,
            before.map(|before| &before.next_hops),
        );
        let link = interface.filter(|_| single_hop);
        let info = SessionInfo {
            negotiated: Arc::clone(&self.negotiated),
            remote_address: self.remote,
            local_ipv4: next_hops.ipv4.as_ref().ok().copied(),
            local_ipv6: next_hops.ipv6.as_ref().ok().copied(),
            local_link_local: next_hops.link_local,
            interface: link,
            subnets: link.map_or_else(Vec::new, |on| networks(view, on)),
            single_hop,
        };
        Placed { next_hops, info }
    }
}

impl Placed {
    /// The negotiated families of which nothing is advertised for want of an address, each with the reason; not those of which
    /// that was so before.
    pub fn newly_missing<'a>(
        &'a self,
        before: Option<&'a Self>,
    ) -> impl Iterator<Item = (Family, &'a NoNextHop)> {
        let negotiated = &self.info.negotiated;
        let over_ipv6 = (Family::IPV4_UNICAST, Afi::IPV6);
        let of_ipv4 = negotiated.extended_next_hop.contains(&over_ipv6);
        let of_ipv6 = self.next_hops.link_local.is_some();
        let all = [
            (Family::IPV4_UNICAST, IpFamily::Ipv4, of_ipv4),
            (Family::IPV6_UNICAST, IpFamily::Ipv6, of_ipv6),
        ];
        let was_missing = move |of| before.is_some_and(|one| one.next_hops.missing(of).is_some());
        all.into_iter()
            .filter_map(move |(family, of, has_another)| {
                let why = self.next_hops.missing(of)?;
                let is_new =
                    !has_another && !was_missing(of) && negotiated.families.contains(&family);
                is_new.then_some((family, why))
            })
    }
}

/// The networks of a link, ascending: a third party's next hop in one of them may be passed on.
fn networks(view: &KernelView, link: u32) -> Vec<IpNet> {
    let all = view.addresses(link).filter_map(Address::network);
    let mut all: Vec<IpNet> = all.collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn scope(address: SocketAddr) -> Option<u32> {
    match address {
        SocketAddr::V6(address) if address.scope_id() != 0 => Some(address.scope_id()),
        _ => None,
    }
}
