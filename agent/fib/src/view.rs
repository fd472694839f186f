//! The kernel's surroundings as the RIB needs them: interfaces, addresses, connected networks and the routes of others.
//!
//! A [`KernelView`] is an immutable snapshot behind an `Arc`; the FIB thread makes a new one when something changed and
//! hands it out. Next-hop tracking asks it [`KernelView::resolve`]:
//!
//! 1. An IPv6 link-local next hop is on the link that `scope` names, if that is up; without a scope it resolves to nothing.
//!    An IPv4 one (169.254.0.0/16) is like any other: the kernel knows no scope of it, and clouds and VPNs peer there.
//! 2. Otherwise the longest match among the *usable* routes of the main table and of the FIB's table decides: those
//!    whose interface is up and, with a scope, is that one. Equal prefixes: the lowest metric.
//! 3. **Routes of our own protocol are not there.** A BGP next hop never resolves through a BGP route that we installed, so
//!    no loop of routes that hold each other up can arise, and losing one session cannot take away another's next hops
//!    in an order that depends on timing. An operator who wants recursion over BGP runs an IGP for it.
//! 4. A connected network gives the next hop itself as the gateway, at metric 0 ([`Resolved::connected`]); a route with a
//!    gateway gives that gateway. Only one step is needed, because the kernel accepts only gateways that are on a link.
//!    Of a multipath route the first usable way out is taken.
//! 5. A gateway of an `onlink` route is on the link although no connected network has it: it stays `onlink`, and as a next
//!    hop it counts as connected.
//! 6. A blackhole or unreachable route that matches longest, or an own address, resolves to nothing. A link-local address is
//!    an own one on the interface that has it, and somebody else's on all others.
//!
//! A default route counts like any other here. A caller for whom the next hop has to be on the link (single-hop eBGP, RFC
//! 4271 5.1.3) looks at [`Resolved::connected`], and one who wants no default route at [`Resolved::by_default`].

mod apply;
mod resolve;
mod routes;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use smallvec::SmallVec;

use crate::hash::{HashMap, HashSet};
use crate::kernel::event::{Address, Hop, Link, NexthopKind, RouteKind};
use crate::types::MAIN_TABLE;
use routes::{Routes, ViewRoute};

/// Where a next hop leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The router on the link: the next hop itself if it is connected, else the gateway of the route towards it.
    pub gateway: IpAddr,
    /// The interface.
    pub ifindex: u32,
    /// The cost of the way there, for the decision process: 0 for a connected next hop, else the route's metric.
    pub metric: u32,
    /// The next hop is on the link.
    pub connected: bool,
    /// The gateway is to be used on the interface although no connected network has it.
    pub onlink: bool,
    /// By the default route alone.
    pub by_default: bool,
}

/// No link has a network of more addresses: one with a shorter prefix length is on its own, and its network not guarded.
const SHORTEST_NETWORK: u8 = 8;

/// A route of somebody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignRoute {
    /// Its table.
    pub table: u32,
    /// Its metric.
    pub metric: u32,
    /// Who made it (`rtm_protocol`).
    pub protocol: u8,
    /// What it does.
    pub kind: RouteKind,
    /// Its ways out.
    pub hops: SmallVec<[Hop; 1]>,
}

/// An own address: of an IPv6 link-local one, on which interface. An IPv4 one is the node's on every interface.
type Own = (IpAddr, Option<u32>);

fn own(address: IpAddr, ifindex: Option<u32>) -> Own {
    let is_scoped = matches!(address, IpAddr::V6(a) if a.is_unicast_link_local());
    (address, ifindex.filter(|_| is_scoped))
}

/// Everything of the kernel that next hops and guard rails depend on, at one moment.
#[derive(Clone, Debug, Default)]
pub struct KernelView {
    generation: u64,
    tables: [u32; 2],
    links: HashMap<u32, Link>,
    addresses: Vec<Address>,
    local: HashSet<Own>,
    v4: Routes<Ipv4Net>,
    v6: Routes<Ipv6Net>,
    nexthops: HashMap<u32, NexthopKind>,
}

impl KernelView {
    /// Grows with every snapshot that differs from the one before.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Every interface.
    pub fn links(&self) -> impl Iterator<Item = &Link> {
        self.links.values()
    }

    /// The interface with this index.
    pub fn link(&self, ifindex: u32) -> Option<&Link> {
        self.links.get(&ifindex)
    }

    /// The index of the interface with this name.
    pub fn ifindex(&self, name: &str) -> Option<u32> {
        self.links
            .values()
            .find(|l| l.name == name)
            .map(|l| l.ifindex)
    }

    /// The addresses on an interface, link-local ones included, usable ones first.
    pub fn addresses(&self, ifindex: u32) -> impl Iterator<Item = &Address> {
        let on = move |a: &&Address| a.ifindex == ifindex;
        self.addresses
            .iter()
            .filter(on)
            .filter(|a| !a.tentative)
            .chain(self.addresses.iter().filter(on).filter(|a| a.tentative))
    }

    /// An address of this node's, on whichever interface.
    pub fn address(&self, address: IpAddr) -> Option<&Address> {
        let mut of_this = self.addresses.iter().filter(|a| a.address == address);
        let first = of_this.next()?;
        // On several interfaces: one that is usable.
        Some(if first.tentative {
            of_this.find(|a| !a.tentative).unwrap_or(first)
        } else {
            first
        })
    }

    /// Whether the address is one of this node's; an IPv6 link-local one: on this interface.
    pub fn is_local(&self, address: IpAddr, interface: Option<u32>) -> bool {
        self.local.contains(&own(address, interface))
    }

    /// The interface that has this address. `scope` decides where a link-local one is meant.
    pub fn interface_of(&self, address: IpAddr, scope: Option<u32>) -> Option<u32> {
        self.addresses
            .iter()
            .find(|a| a.address == address && scope.is_none_or(|ifindex| ifindex == a.ifindex))
            .map(|a| a.ifindex)
    }

    /// The routes of others for exactly this prefix, in the main table and the FIB's; the lowest metric first. Not those that the
    /// kernel makes for addresses (local, broadcast).
    pub fn foreign(&self, prefix: IpNet) -> Vec<ForeignRoute> {
        let routes = match prefix.trunc() {
            IpNet::V4(net) => self.v4.get(net),
            IpNet::V6(net) => self.v6.get(net),
        };
        let route = |r: &ViewRoute| ForeignRoute {
            table: r.table,
            metric: r.metric,
            protocol: r.protocol,
            kind: r.kind,
            hops: self.hops(r).copied().collect(),
        };
        routes.into_iter().flatten().map(route).collect()
    }

    /// The usable default route of a family with the lowest metric: its gateway and interface.
    pub fn default_gateway(&self, ipv6: bool) -> Option<(IpAddr, u32)> {
        let routes = if ipv6 {
            self.v6.get(Ipv6Net::default())
        } else {
            self.v4.get(Ipv4Net::default())
        };
        // Sorted by metric.
        routes?
            .iter()
            .filter(|r| r.kind == RouteKind::Unicast)
            .flat_map(|r| self.hops(r))
            .find(|h| self.is_up(h.ifindex) && h.gateway.is_some())
            .and_then(|h| Some((h.gateway?, h.ifindex)))
    }

    /// The networks of the addresses on the node's interfaces, whether up or not. Not those of the loopback interface, nor
    /// link-local ones. Of an address whose network is too large to be that of a link: the address alone.
    pub fn connected(&self) -> BTreeSet<IpNet> {
        let addresses = self.addresses.iter();
        let networks = addresses
            .filter(|a| !self.is_loopback(a.ifindex))
            .flat_map(|a| {
                let network = a.network().filter(|n| n.prefix_len() >= SHORTEST_NETWORK);
                let alone = [Some(a.address), a.peer].into_iter().flatten();
                let alone = alone.filter(move |end| network.is_none_or(|net| !net.contains(end)));
                alone.map(IpNet::from).chain(network)
            });
        networks.filter(|net| !is_link_local(net.addr())).collect()
    }

    /// The destinations that routes of others lead onto a link, but for `connected`, those of the addresses there: what a VPN
    /// sends into its tunnel, pods that another network has on this node, prefixes of router advertisements. Not default
    /// routes, not the loopback's, not link-local ones, not the routes that are ours.
    pub fn on_link(&self, connected: &BTreeSet<IpNet>) -> BTreeSet<IpNet> {
        let mut out = BTreeSet::new();
        let v4 = self.v4.direct();
        let v4 = v4.map(|(net, routes)| (IpNet::V4(net), routes));
        let v6 = self.v6.direct();
        let v6 = v6.map(|(net, routes)| (IpNet::V6(net), routes));
        for (net, routes) in v4.chain(v6) {
            let on_link = |r: &ViewRoute| {
                r.kind == RouteKind::Unicast
                    && self
                        .hops(r)
                        .any(|h| h.gateway.is_none() && !self.is_loopback(h.ifindex))
            };
            let is_fit = net.prefix_len() > 0 && !is_link_local(net.addr());
            if is_fit && !connected.contains(&net) && routes.iter().any(on_link) {
                out.insert(net);
            }
        }
        out
    }

    fn is_loopback(&self, ifindex: u32) -> bool {
        self.links.get(&ifindex).is_some_and(|l| l.loopback)
    }

    fn is_up(&self, ifindex: u32) -> bool {
        self.links.get(&ifindex).is_some_and(|l| l.up)
    }

    /// A route's ways out: its own, or those of the nexthop object that it uses (`nexthop_compat_mode` 0 shows only that).
    fn hops<'a>(&'a self, route: &'a ViewRoute) -> impl Iterator<Item = &'a Hop> {
        let members: &[(u32, u16)] = match route.nexthop_id.and_then(|id| self.nexthops.get(&id)) {
            Some(NexthopKind::Group(members)) if route.hops.is_empty() => members,
            _ => &[],
        };
        let single = route
            .nexthop_id
            .filter(|_| route.hops.is_empty())
            .into_iter()
            .chain(members.iter().map(|m| m.0))
            .filter_map(|id| match self.nexthops.get(&id) {
                Some(NexthopKind::Single { hop, .. }) => Some(hop),
                _ => None,
            });
        route.hops.iter().chain(single)
    }

    /// Forgets every route; a listing of them follows.
    #[cfg(feature = "netlink")]
    pub(super) fn forget_routes(&mut self) {
        self.v4 = Routes::default();
        self.v6 = Routes::default();
    }

    /// An empty view over the main table and `table`.
    pub fn new(table: u32, generation: u64) -> Self {
        Self {
            generation,
            tables: [MAIN_TABLE, table],
            ..Self::default()
        }
    }

    /// Sets what [`generation`](Self::generation) says.
    pub fn set_generation(&mut self, generation: u64) {
        self.generation = generation;
    }
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(a) => Ipv4Addr::is_link_local(&a),
        IpAddr::V6(a) => Ipv6Addr::is_unicast_link_local(&a),
    }
}

#[cfg(test)]
mod tests;
