//! Next-hop tracking: the RIB's questions, answered by the kernel's view.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bgp::types::NextHop;
use rib::attrs::{NextHopResolver, Resolution};

use routelet_fib::KernelView;

/// Next hops that are not used because only the default route leads to them: since the resolver was made that is asked now.
/// A bounded number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Denied(Arc<Mutex<BTreeSet<IpAddr>>>);

impl Denied {
    /// How many are kept. They are shown to people.
    const MOST: usize = 1000;

    /// All of them, ascending.
    pub(crate) fn all(&self) -> Vec<IpAddr> {
        self.with(|all| all.iter().copied().collect())
    }

    /// Every next hop is asked about again.
    pub(crate) fn forget(&self) {
        self.with(BTreeSet::clear);
    }

    fn note(&self, next_hop: IpAddr) {
        self.with(|all| {
            if all.len() < Self::MOST {
                all.insert(next_hop);
            }
        });
    }

    fn with<T>(&self, f: impl FnOnce(&mut BTreeSet<IpAddr>) -> T) -> T {
        // Whole between calls, whoever panicked elsewhere.
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Answers out of one snapshot of the kernel's routes.
pub(crate) struct Resolver {
    pub(crate) view: Arc<KernelView>,
    /// Whether the default route counts (`fib.resolveViaDefaultRoute`).
    pub(crate) via_default: bool,
    /// Where next hops are noted that the default route alone leads to.
    pub(crate) denied: Denied,
}

/// Why a next hop is not used though a route leads to it.
pub(crate) const BY_DEFAULT_ONLY: &str =
    "only the default route matches the next hop, and fib.resolveViaDefaultRoute is false";

impl Resolver {
    /// Whether it is the default route alone that keeps a next hop from being used.
    pub(crate) fn is_denied(&self, next_hop: IpAddr) -> bool {
        let resolved = self.view.resolve(next_hop, None);
        !self.via_default && resolved.is_some_and(|resolved| resolved.by_default)
    }
}

impl NextHopResolver for Resolver {
    /// The link-local address where the session's interface is known, as packets go there (RFC 2545 section 2); else the
    /// global one. An IPv4 one (169.254.0.0/16) is on the session's link where that has its network, else wherever the
    /// node's routes say: the kernel knows no scope of it.
    fn resolve(&self, next_hop: &NextHop, interface: Option<u32>) -> Option<Resolution> {
        let scoped = interface.and_then(|ifindex| match *next_hop {
            NextHop::Ipv4(address) if address.is_link_local() => {
                let on_link = self.view.resolve(address.into(), Some(ifindex));
                on_link.filter(|resolved| resolved.connected)
            }
            _ => self
                .view
                .resolve(next_hop.link_local()?.into(), Some(ifindex)),
        });
        let resolved = match scoped {
            Some(resolved) => resolved,
            None => self.view.resolve(next_hop.address(), None)?,
        };
        if resolved.by_default && !self.via_default {
            self.denied.note(next_hop.address());
            return None;
        }
        Some(Resolution {
            gateway: resolved.gateway,
            ifindex: resolved.ifindex,
            metric: resolved.metric,
            connected: resolved.connected,
            onlink: resolved.onlink,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use ipnet::IpNet;
    use routelet_fib::kernel::event::{Event, Hop, Link, Presence, Route, RouteKind};
    use routelet_fib::types::MAIN_TABLE;

    use super::*;

    fn link(ifindex: u32) -> Event {
        Event::Link(
            Presence::Present,
            Link {
                ifindex,
                name: format!("eth{ifindex}"),
                admin_up: true,
                up: true,
                loopback: false,
            },
        )
    }

    fn route(prefix: &str, gateway: Option<&str>, ifindex: u32, metric: u32) -> Event {
        let prefix: IpNet = prefix.parse().unwrap();
        Event::Route(
            Presence::Present,
            Route {
                prefix,
                table: MAIN_TABLE,
                protocol: 2,
                metric,
                kind: RouteKind::Unicast,
                replaces: false,
                special: false,
                nexthop_id: None,
                hops: smallvec::smallvec![Hop {
                    gateway: gateway.map(|text| text.parse().unwrap()),
                    ifindex,
                    onlink: false,
                }],
            },
        )
    }

    /// The same network of 169.254.0.0/16 on eth2 and eth3, and another one behind eth4's gateway.
    fn resolver() -> Resolver {
        let mut view = KernelView::new(MAIN_TABLE, 1);
        for event in [
            link(2),
            link(3),
            link(4),
            route("169.254.10.0/30", None, 2, 0),
            route("169.254.10.0/30", None, 3, 10),
            route("0.0.0.0/0", Some("192.0.2.1"), 4, 100),
        ] {
            view.apply(event);
        }
        Resolver {
            view: Arc::new(view),
            via_default: true,
            denied: Denied::default(),
        }
    }

    #[test]
    fn without_the_default_route_what_it_alone_leads_to_is_unreachable() {
        let mut resolver = resolver();
        let asked = ["198.51.100.1", "169.254.99.1", "169.254.10.1"];
        for (via_default, want) in [(true, [true, true, true]), (false, [false, false, true])] {
            resolver.via_default = via_default;
            let found = asked.map(|next_hop| {
                let address: IpAddr = next_hop.parse().unwrap();
                resolver.resolve(&address.into(), None).is_some()
            });
            assert_eq!(found, want, "{via_default}");
        }
    }

    #[test]
    fn an_ipv4_link_local_next_hop_is_on_the_sessions_link_or_where_the_routes_say() {
        let resolver = resolver();
        for (next_hop, interface, expected) in [
            ("169.254.10.1", None, ("169.254.10.1", 2, true)),
            ("169.254.10.1", Some(2), ("169.254.10.1", 2, true)),
            ("169.254.10.1", Some(3), ("169.254.10.1", 3, true)),
            // Its network is on another link than the session's.
            ("169.254.10.1", Some(4), ("169.254.10.1", 2, true)),
            ("169.254.99.1", Some(4), ("192.0.2.1", 4, false)),
            ("169.254.99.1", None, ("192.0.2.1", 4, false)),
            // All others are resolved without the interface.
            ("198.51.100.1", Some(2), ("192.0.2.1", 4, false)),
        ] {
            let address: IpAddr = next_hop.parse().unwrap();
            let found = resolver.resolve(&address.into(), interface).unwrap();
            let (gateway, ifindex, connected) = expected;
            assert_eq!(
                (found.gateway.to_string(), found.ifindex, found.connected),
                (gateway.to_owned(), ifindex, connected),
                "{next_hop} on {interface:?}"
            );
        }
    }
}
