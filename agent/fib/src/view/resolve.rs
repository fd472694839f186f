//! Where next hops lead, by the rules at the head of [`view`](super).

use std::net::IpAddr;

use ipnet::{Ipv4Net, Ipv6Net};

use super::routes::OfPrefix;
use super::{KernelView, Resolved};
use crate::kernel::event::{Hop, RouteKind};

impl KernelView {
    /// Where `next_hop` leads, by the rules at the head of [`view`](super). `scope` restricts it to one interface: the
    /// session's, for link-local next hops and for peers bound to an interface.
    pub fn resolve(&self, next_hop: IpAddr, scope: Option<u32>) -> Option<Resolved> {
        if next_hop.is_unspecified() || next_hop.is_multicast() || self.is_local(next_hop, scope) {
            return None;
        }
        if matches!(next_hop, IpAddr::V6(a) if a.is_unicast_link_local()) {
            let ifindex = scope?;
            return self.is_up(ifindex).then_some(Resolved {
                gateway: next_hop,
                ifindex,
                metric: 0,
                connected: true,
                onlink: false,
                by_default: false,
            });
        }
        match next_hop {
            IpAddr::V4(a) => {
                let host = Ipv4Net::new(a, 32).ok()?;
                self.pick(self.v4.cover(host), next_hop, scope)
            }
            IpAddr::V6(a) => {
                let host = Ipv6Net::new(a, 128).ok()?;
                self.pick(self.v6.cover(host), next_hop, scope)
            }
        }
    }

    /// Covering routes come shortest first; the last that has something usable decides.
    fn pick<'a>(
        &'a self,
        covering: impl Iterator<Item = (u8, &'a OfPrefix)>,
        next_hop: IpAddr,
        scope: Option<u32>,
    ) -> Option<Resolved> {
        let mut found = None;
        for (prefix_len, routes) in covering {
            // Sorted by metric: the first usable one wins within a prefix.
            for route in routes {
                if route.kind != RouteKind::Unicast {
                    found = Some(None);
                    break;
                }
                let usable =
                    |h: &&Hop| self.is_up(h.ifindex) && scope.is_none_or(|s| s == h.ifindex);
                if let Some(hop) = self.hops(route).find(usable) {
                    let gateway = hop.gateway.unwrap_or(next_hop);
                    let connected = hop.gateway.is_none() || hop.onlink && gateway == next_hop;
                    found = Some(Some(Resolved {
                        gateway,
                        ifindex: hop.ifindex,
                        metric: if connected { 0 } else { route.metric },
                        connected,
                        onlink: hop.onlink,
                        // Also where a default route leads straight onto a tunnel, but not to its own gateway.
                        by_default: prefix_len == 0
                            && !(hop.onlink && hop.gateway == Some(next_hop)),
                    }));
                    break;
                }
            }
        }
        found.flatten()
    }
}
