//! The addresses that learned routes must not take away: those of all Services, external IPs only where some Advertisement
//! allows them, since anyone who may edit a Service could otherwise keep a route out. For the same reason not those that are
//! [somebody's](super::Owner): the way to a node whose address stands in a Service, as k3s writes it, may be learned.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use routelet_fib::guard::ServiceAddresses;

use super::announceable::Claims;
use crate::cluster::{ClusterState, LoadBalancerIngress, ObjectKey, Service};

/// What decides which addresses those are.
pub(super) struct Guarded<'a> {
    external: Vec<IpNet>,
    claims: &'a Claims,
}

impl<'a> Guarded<'a> {
    pub(super) fn new(state: &ClusterState, claims: &'a Claims) -> Self {
        let asking = state.advertisements.values();
        let asking = asking.filter_map(|a| a.spec.services.as_ref());
        Self {
            external: asking
                .flat_map(|s| s.external_ips.iter().map(|c| c.net()))
                .collect(),
            claims,
        }
    }

    /// The addresses of all Services.
    pub(super) fn all(&self, state: &ClusterState) -> ServiceAddresses {
        let mut all = ServiceAddresses::new();
        for service in state.services.values() {
            self.add(service, &mut all);
        }
        all
    }

    /// Counts a Service's addresses in.
    pub(super) fn add(&self, service: &Service, to: &mut ServiceAddresses) {
        for net in self.of(service) {
            *to.entry(net).or_default() += 1;
        }
    }

    /// Counts a Service's addresses out.
    pub(super) fn remove(&self, service: &Service, from: &mut ServiceAddresses) {
        for net in self.of(service) {
            match from.get_mut(&net) {
                Some(count) if *count > 1 => *count -= 1,
                _ => {
                    from.remove(&net);
                }
            }
        }
    }

    fn of(&self, service: &Service) -> BTreeSet<IpNet> {
        let cluster = service.cluster_ips.iter().copied();
        let own = service.ingress.iter().filter(|i| !i.proxy).map(|i| i.ip);
        let external = service.external_ips.iter().copied();
        let allowed = |ip: &IpAddr| self.external.iter().any(|net| net.contains(ip));
        cluster
            .chain(own)
            .chain(external.filter(allowed))
            .filter(|ip| !self.claims.is_owned(*ip))
            .map(IpNet::from)
            .collect()
    }
}

/// Brings the addresses up to date where these Services have others now; nothing else differs between the states but slices.
/// Returns whether any does.
pub(super) fn follow(
    addresses: &mut ServiceAddresses,
    affected: &BTreeSet<ObjectKey>,
    [before, now]: [&ClusterState; 2],
    claims: &Claims,
) -> bool {
    let services = affected.iter().map(|key| {
        let [old, new] = [before, now].map(|state| state.services.get(key));
        (old.map(AsRef::as_ref), new.map(AsRef::as_ref))
    });
    let mut moved = services
        .filter(|(old, new)| old.map(of) != new.map(of))
        .peekable();
    if moved.peek().is_none() {
        return false;
    }
    let guarded = Guarded::new(now, claims);
    for (old, new) in moved {
        if let Some(old) = old {
            guarded.remove(old, addresses);
        }
        if let Some(new) = new {
            guarded.add(new, addresses);
        }
    }
    true
}

/// Whether a Service has an address.
pub(super) fn has(service: &Service, address: IpAddr) -> bool {
    let (cluster, external, ingress) = of(service);
    cluster.contains(&address)
        || external.contains(&address)
        || ingress.iter().any(|entry| entry.ip == address)
}

/// The addresses of a Service.
fn of(service: &Service) -> (&[IpAddr], &[IpAddr], &[LoadBalancerIngress]) {
    let Service {
        cluster_ips,
        external_ips,
        ingress,
        ..
    } = service;
    (cluster_ips, external_ips, ingress)
}
