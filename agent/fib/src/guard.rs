//! Guard rails: what may never enter the kernel, whoever announces it.
//!
//! A learned route that covers the node's own pods, a connected network or a service address takes the node off the
//! network, and no import policy should have to say so. The rules are pure and know nothing of peers:
//!
//! | rule | refused |
//! |---|---|
//! | martian | `0.0.0.0/8` `127.0.0.0/8` `169.254.0.0/16` `224.0.0.0/3`; `::/16`, `fe80::/10`, `ff00::/8`, IPv4-mapped; equal or more specific |
//! | default route | `0.0.0.0/0` and `::/0`, unless accepted |
//! | own pod CIDR | equal to or more specific than one of this node's pod CIDRs |
//! | connected network | equal to or more specific than the network of an address on one of the node's interfaces |
//! | foreign route | equal to the destination of an on-link route of other software (a VPN, pods of another network) |
//! | service | equal to or more specific than a service address or the cluster's service CIDR |
//! | limit | everything beyond the limit on the number of routes; what is in stays in |
//!
//! A *less* specific route is let through: the kernel prefers the more specific one, so it can do no harm. A host route
//! inside a connected network is refused like any other: it would divert traffic from a neighbour, and possibly from
//! the very router that announces it. Within an on-link route of other software more specific routes are the point of
//! learning them: a VPN that takes `10.0.0.0/8` or `0.0.0.0/1` is what the kernel uses for the rest.
//!
//! Routes of other software over a gateway, and those that drop packets, refuse nothing: they stand beside ours, and the
//! kernel takes the one with the lower metric.
//!
//! [`GuardRails::check`] is all but the limit, which needs a count and is the plan's.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use imbl::ordmap::DiffItem;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::hash::HashSet;
pub use crate::types::Rejection;

/// Addresses of Services, each with how many Services have it. What a change leaves alone is shared with the map before.
pub type ServiceAddresses = imbl::OrdMap<IpNet, u32>;

/// What a node's configuration and surroundings keep out of its kernel. Empty: only martians and default routes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuardRails {
    /// This node's pod CIDRs.
    pub pod_cidrs: Vec<IpNet>,
    /// What learned routes must not take away from Services.
    pub service_addresses: ServiceAddresses,
    /// The networks of the addresses on this node's interfaces. The FIB thread fills these in from the kernel.
    pub connected: Vec<IpNet>,
    /// The destinations of other software's on-link routes, without host bits. The FIB thread fills these in, too.
    pub foreign: BTreeSet<IpNet>,
    /// Let `0.0.0.0/0` and `::/0` in.
    pub accept_default_route: bool,
    /// The most learned routes of both families together; `None` for no limit.
    pub max_routes: Option<u64>,
}

/// [`GuardRails`] made ready for looking up.
#[derive(Debug, Default)]
pub struct CompiledGuardRails {
    source: GuardRails,
    /// [`GuardRails::foreign`], looked up for every route.
    foreign: HashSet<IpNet>,
    v4: prefix_trie::PrefixMap<Ipv4Net, Rejection>,
    v6: prefix_trie::PrefixMap<Ipv6Net, Rejection>,
}

impl GuardRails {
    /// The rule that keeps `prefix` out, if one does. The limit is not looked at.
    ///
    /// Convenient for a single question; for many, [`compile`](Self::compile) once.
    pub fn check(&self, prefix: IpNet) -> Option<Rejection> {
        self.clone().compile().check(prefix)
    }

    /// The same rules as a trie.
    pub fn compile(self) -> CompiledGuardRails {
        let mut out = CompiledGuardRails::default();
        // A later entry replaces an earlier one for the same network, so the rule that says most comes last.
        for net in martians() {
            out.insert(net, Rejection::Martian(net));
        }
        for &net in &self.connected {
            out.insert(net.trunc(), Rejection::Connected(net.trunc()));
        }
        for net in self.service_addresses.keys() {
            out.insert(*net, Rejection::Service(*net));
        }
        for &net in &self.pod_cidrs {
            out.insert(net.trunc(), Rejection::OwnPodCidr(net.trunc()));
        }
        out.foreign = self.foreign.iter().copied().collect();
        out.source = self;
        out
    }
}

/// What putting other guard rails in place changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replaced {
    /// Nothing.
    Nothing,
    /// Some networks were added or removed.
    Networks {
        /// Those of Services, which concern what is equal or inside.
        services: Vec<IpNet>,
        /// Those of foreign routes, which concern what is equal.
        foreign: Vec<IpNet>,
    },
    /// Anything.
    Everything,
}

impl CompiledGuardRails {
    /// What these were made of.
    pub fn source(&self) -> &GuardRails {
        &self.source
    }

    /// Puts others in place. Service addresses and foreign routes (those of pods, with some networks), which come and go all
    /// the time, cost as much as differs between them.
    pub fn replace(&mut self, guard: GuardRails) -> Replaced {
        let GuardRails {
            pod_cidrs,
            service_addresses,
            connected,
            foreign,
            accept_default_route,
            max_routes,
        } = &guard;
        if self.source.pod_cidrs != *pod_cidrs
            || self.source.connected != *connected
            || self.source.accept_default_route != *accept_default_route
            || self.source.max_routes != *max_routes
        {
            *self = guard.compile();
            return Replaced::Everything;
        }
        let differences = self.source.service_addresses.diff(service_addresses);
        let differ: Vec<IpNet> = differences
            .filter_map(|item| match item {
                DiffItem::Add(net, _) | DiffItem::Remove(net, _) => Some(*net),
                DiffItem::Update { .. } => None,
            })
            .collect();
        let other_routes: Vec<IpNet> = self
            .source
            .foreign
            .symmetric_difference(foreign)
            .copied()
            .collect();
        self.source = guard;
        for net in &differ {
            match self.exact(*net) {
                Some(why) => self.insert(*net, why),
                None => self.remove(*net),
            }
        }
        for net in &other_routes {
            match self.source.foreign.contains(net) {
                true => self.foreign.insert(*net),
                false => self.foreign.remove(net),
            };
        }
        if differ.is_empty() && other_routes.is_empty() {
            return Replaced::Nothing;
        }
        Replaced::Networks {
            services: differ,
            foreign: other_routes,
        }
    }

    /// The rule of exactly this network, as [`GuardRails::compile`] finds it.
    fn exact(&self, net: IpNet) -> Option<Rejection> {
        let has = |nets: &[IpNet]| nets.iter().any(|one| one.trunc() == net);
        if has(&self.source.pod_cidrs) {
            return Some(Rejection::OwnPodCidr(net));
        }
        if self.source.service_addresses.contains_key(&net) {
            return Some(Rejection::Service(net));
        }
        if has(&self.source.connected) {
            return Some(Rejection::Connected(net));
        }
        martians()
            .any(|one| one == net)
            .then_some(Rejection::Martian(net))
    }

    fn remove(&mut self, net: IpNet) {
        match net {
            IpNet::V4(net) => {
                self.v4.remove(&net);
            }
            IpNet::V6(net) => {
                self.v6.remove(&net);
            }
        }
    }

    /// The rule that keeps `prefix` out, if one does. The limit is not looked at.
    pub fn check(&self, prefix: IpNet) -> Option<Rejection> {
        if prefix.prefix_len() == 0 {
            return (!self.source.accept_default_route).then_some(Rejection::DefaultRoute);
        }
        let inside = match prefix {
            IpNet::V4(net) => self.v4.get_lpm(&net).map(|(_, &why)| why),
            IpNet::V6(net) => self.v6.get_lpm(&net).map(|(_, &why)| why),
        };
        let is_foreign = || !self.foreign.is_empty() && self.foreign.contains(&prefix.trunc());
        inside.or_else(|| is_foreign().then(|| Rejection::ForeignRoute(prefix.trunc())))
    }

    fn insert(&mut self, net: IpNet, why: Rejection) {
        // A zero-length entry would refuse everything.
        match net {
            _ if net.prefix_len() == 0 => {}
            IpNet::V4(net) => {
                self.v4.insert(net, why);
            }
            IpNet::V6(net) => {
                self.v6.insert(net, why);
            }
        }
    }
}

/// Blocks that no router forwards (RFC 6890; `224.0.0.0/3` is multicast and class E).
fn martians() -> impl Iterator<Item = IpNet> {
    let v4 = [
        (Ipv4Addr::new(0, 0, 0, 0), 8),
        (Ipv4Addr::new(127, 0, 0, 0), 8),
        (Ipv4Addr::new(169, 254, 0, 0), 16),
        (Ipv4Addr::new(224, 0, 0, 0), 3),
    ];
    // ::/16 holds the unspecified, the loopback, IPv4-compatible and IPv4-mapped addresses. Not ::/8, because 64:ff9b::/96
    // (RFC 6052), the prefix of NAT64, is routed.
    let v6 = [
        (Ipv6Addr::UNSPECIFIED, 16),
        (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10),
        (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8),
    ];
    v4.into_iter()
        .filter_map(|(a, len)| Ipv4Net::new(a, len).ok().map(IpNet::V4))
        .chain(
            v6.into_iter()
                .filter_map(|(a, len)| Ipv6Net::new(a, len).ok().map(IpNet::V6)),
        )
}

#[cfg(test)]
mod tests;
