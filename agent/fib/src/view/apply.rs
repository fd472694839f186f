//! What the kernel says, taken in.

use ipnet::IpNet;

use super::routes::{OfPrefix, ViewRoute};
use super::{KernelView, own};
use crate::kernel::event::{
    Address, Event, Link, Nexthop, NexthopKind, Presence, Route, RouteKind,
};
use crate::types::ROUTE_PROTOCOL;

impl KernelView {
    /// Takes in one event. Whether anything that a reader can see changed.
    pub fn apply(&mut self, event: Event) -> bool {
        match event {
            Event::Link(Presence::Present, link) => {
                // Of one that was down there are none.
                let was_up = |before: &Link| before.admin_up;
                if !link.admin_up && self.links.get(&link.ifindex).is_none_or(was_up) {
                    self.forget_routes_over(link.ifindex);
                }
                self.links.insert(link.ifindex, link.clone()).as_ref() != Some(&link)
            }
            Event::Link(Presence::Gone, link) => {
                self.forget_routes_over(link.ifindex);
                self.links.remove(&link.ifindex).is_some()
            }
            Event::Address(presence, address) => self.apply_address(presence, address),
            Event::Route(presence, route) => self.apply_route(presence, route),
            Event::Nexthop(presence, nexthop) => self.apply_nexthop(presence, nexthop),
            Event::Rule(..) => false,
        }
    }

    fn apply_address(&mut self, presence: Presence, address: Address) -> bool {
        let same = |a: &Address| {
            (a.ifindex, a.address, a.prefix_len, a.peer)
                == (
                    address.ifindex,
                    address.address,
                    address.prefix_len,
                    address.peer,
                )
        };
        let before = self.addresses.iter().position(same);
        match (presence, before) {
            (Presence::Present, Some(i)) => {
                std::mem::replace(&mut self.addresses[i], address) != address
            }
            (Presence::Present, None) => {
                self.addresses.push(address);
                self.local
                    .insert(own(address.address, Some(address.ifindex)));
                true
            }
            (Presence::Gone, Some(i)) => {
                self.addresses.remove(i);
                let gone = own(address.address, Some(address.ifindex));
                let is_same = |a: &Address| own(a.address, Some(a.ifindex)) == gone;
                if !self.addresses.iter().any(is_same) {
                    self.local.remove(&gone);
                }
                true
            }
            (Presence::Gone, None) => false,
        }
    }

    fn apply_route(&mut self, presence: Presence, route: Route) -> bool {
        let ours = route.protocol == ROUTE_PROTOCOL;
        if route.special || route.kind == RouteKind::Other || !self.tables.contains(&route.table) {
            return false;
        }
        // A route of ours that replaced a foreign one of the same metric (or the other way round) is told as one message.
        let (metric, table) = (route.metric, route.table);
        let same = move |r: &ViewRoute| (r.table, r.metric) == (table, metric);
        let entry = ViewRoute {
            table,
            metric,
            protocol: route.protocol,
            kind: route.kind,
            nexthop_id: route.nexthop_id,
            hops: route.hops,
        };
        match (presence, ours) {
            (Presence::Present, false) => self.with_routes(route.prefix, |routes| {
                let at = routes.partition_point(|r| r.metric < metric);
                // An IPv6 multipath route without nexthop objects is told hop by hop when it is appended to, and two
                // IPv4 routes of equal metric may stand beside each other: keep both unless told that it replaces.
                if routes.contains(&entry) {
                    return false;
                }
                if route.replaces {
                    routes.retain(|r| !same(r));
                }
                routes.insert(at.min(routes.len()), entry);
                true
            }),
            (Presence::Gone, false) => self.with_routes(route.prefix, |routes| {
                let before = routes.len();
                match routes.iter().position(|r| *r == entry) {
                    Some(i) => {
                        routes.remove(i);
                    }
                    None => routes.retain(|r| !(same(r) && r.protocol == entry.protocol)),
                }
                routes.len() != before
            }),
            (Presence::Present, true) if route.replaces => {
                self.with_routes(route.prefix, |routes| {
                    let before = routes.len();
                    routes.retain(|r| !same(r));
                    routes.len() != before
                })
            }
            (_, true) => false,
        }
    }

    fn with_routes(&mut self, prefix: IpNet, f: impl FnOnce(&mut OfPrefix) -> bool) -> bool {
        match prefix {
            IpNet::V4(net) => self.v4.change(net, f),
            IpNet::V6(net) => self.v6.change(net, f),
        }
    }

    fn apply_nexthop(&mut self, presence: Presence, nexthop: Nexthop) -> bool {
        if nexthop.protocol == ROUTE_PROTOCOL {
            return false;
        }
        match presence {
            Presence::Present => {
                let before = self.nexthops.insert(nexthop.id, nexthop.kind.clone());
                before.as_ref() != Some(&nexthop.kind)
            }
            Presence::Gone => self.nexthops.remove(&nexthop.id).is_some(),
        }
    }

    /// What the kernel drops without a word when an interface goes: nexthop objects over it, and the IPv4 routes that have
    /// no other way out. For IPv6 routes it only anticipates the notification.
    fn forget_routes_over(&mut self, ifindex: u32) {
        let lost =
            |r: &ViewRoute| !r.hops.is_empty() && r.hops.iter().all(|h| h.ifindex == ifindex);
        self.v4.forget_over(ifindex, lost);
        self.v6.forget_over(ifindex, lost);
        self.nexthops
            .retain(|_, n| !matches!(n, NexthopKind::Single { hop, .. } if hop.ifindex == ifindex));
    }
}
