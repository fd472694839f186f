//! Addresses that a Service of one namespace owns and a Service of another claims.
//!
//! An address in the status of a LoadBalancer Service is that Service's. An external IP is whatever somebody wrote there. Where
//! two namespaces have one address that way, the older Service keeps it, and the other is not announced.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use smallvec::SmallVec;

use crate::cluster::{ClusterState, ObjectKey, Service, ServiceType};

/// Who has an address that is an external IP of some Service.
#[derive(Debug, Default, PartialEq)]
struct Claimants {
    external: BTreeSet<ObjectKey>,
    /// LoadBalancer Services that have it in their status.
    owners: BTreeSet<ObjectKey>,
}

/// External IPs with their claimants. A cluster without external IPs has none.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Contested(HashMap<IpAddr, Claimants>);

impl Contested {
    pub(super) fn of(state: &ClusterState) -> Self {
        let mut all = Self::default();
        for service in state.services.values() {
            for ip in &service.external_ips {
                let claimants = all.0.entry(*ip).or_default();
                claimants.external.insert(service.key.clone());
            }
        }
        if !all.0.is_empty() {
            for service in state.services.values() {
                all.add_owner(service);
            }
        }
        all
    }

    fn add_owner(&mut self, service: &Service) {
        for ip in owned(service) {
            if let Some(claimants) = self.0.get_mut(&ip) {
                claimants.owners.insert(service.key.clone());
            }
        }
    }

    /// Follows a Service from one version to another; `state` is the one that has the latter. Returns the Services on whose
    /// addresses this may decide.
    pub(super) fn follow(
        &mut self,
        state: &ClusterState,
        [old, new]: [Option<&Service>; 2],
    ) -> BTreeSet<ObjectKey> {
        let mut affected = self.partners(old);
        if let Some(old) = old {
            for ip in owned(old) {
                if let Some(claimants) = self.0.get_mut(&ip) {
                    claimants.owners.remove(&old.key);
                }
            }
            for ip in &old.external_ips {
                if let Some(claimants) = self.0.get_mut(ip) {
                    claimants.external.remove(&old.key);
                    if claimants.external.is_empty() {
                        self.0.remove(ip);
                    }
                }
            }
        }
        if let Some(new) = new {
            for ip in &new.external_ips {
                let claimants = self.0.entry(*ip).or_insert_with(|| {
                    let all = state.services.values();
                    let owners = all.filter(|service| owned(service).any(|own| own == *ip));
                    Claimants {
                        external: BTreeSet::new(),
                        owners: owners.map(|service| service.key.clone()).collect(),
                    }
                });
                claimants.external.insert(new.key.clone());
            }
            self.add_owner(new);
        }
        affected.extend(self.partners(new));
        affected
    }

    /// The Services with which one contests an address, and it itself.
    pub(super) fn partners(&self, service: Option<&Service>) -> BTreeSet<ObjectKey> {
        let mut partners = BTreeSet::new();
        if let Some(service) = service.filter(|_| !self.0.is_empty()) {
            let ips = owned(service).chain(service.external_ips.iter().copied());
            for claimants in ips.filter_map(|ip| self.0.get(&ip)) {
                if !claimants.owners.is_empty() {
                    partners.extend(claimants.owners.iter().cloned());
                    partners.extend(claimants.external.iter().cloned());
                }
            }
        }
        partners
    }

    /// The older Services of other namespaces that have an address in their status, the oldest first.
    pub(super) fn older_owners<'s>(
        &self,
        state: &'s ClusterState,
        service: &Service,
        ip: IpAddr,
    ) -> SmallVec<[&'s Service; 1]> {
        let claimants = self.0.get(&ip);
        older(state, service, claimants.map(|c| &c.owners))
    }

    /// The older Services of other namespaces that have an address as an external IP, the oldest first.
    pub(super) fn older_externals<'s>(
        &self,
        state: &'s ClusterState,
        service: &Service,
        ip: IpAddr,
    ) -> SmallVec<[&'s Service; 1]> {
        let claimants = self.0.get(&ip);
        older(state, service, claimants.map(|c| &c.external))
    }
}

fn older<'s>(
    state: &'s ClusterState,
    service: &Service,
    others: Option<&BTreeSet<ObjectKey>>,
) -> SmallVec<[&'s Service; 1]> {
    let age = |service: &Service| (service.created, service.key.clone());
    let others = others.into_iter().flatten();
    let mut older: SmallVec<[&Service; 1]> = others
        .filter(|key| key.namespace != service.key.namespace)
        .filter_map(|key| state.services.get(key).map(AsRef::as_ref))
        .filter(|other| age(other) < age(service))
        .collect();
    older.sort_by_key(|other| age(other));
    older
}

/// The addresses that are a Service's by its status.
fn owned(service: &Service) -> impl Iterator<Item = IpAddr> + '_ {
    let is_owner = service.service_type == ServiceType::LoadBalancer;
    let ingress = service.ingress.iter().filter(move |_| is_owner);
    ingress.filter(|entry| !entry.proxy).map(|entry| entry.ip)
}
