//! Which Service addresses this node advertises: the truth table.
//!
//! Decided per Service and address family, over all of the Service's EndpointSlices together, from the state alone: an
//! address is advertised because of what is there, never because of what happened.
//!
//! | policy | advertised when |
//! |---|---|
//! | `Cluster` | an endpoint is ready anywhere; or none is, and one serves while it terminates anywhere (KEP-1669) |
//! | `Local` | an endpoint on this node is ready; or none is ready anywhere, and one here serves while it terminates |
//!
//! `externalTrafficPolicy` decides for LoadBalancer and external IPs, `internalTrafficPolicy` for cluster IPs.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::IpAddr;

use routelet_api::advertisement::AddressKind;
use routelet_api::selector::{self, Labels};
use routelet_api::{IpFamily, advertisement};
use smallvec::SmallVec;

use super::advertise::Active;
use super::announceable::is_routable;
use super::contested::Contested;
use super::{
    AddressDecision, AdvertisementIds, Decision, EndpointCounts, Leaving, Phase, Rule,
    ServiceDecision,
};
use crate::cluster::{
    ClusterState, EXCLUDE_LABEL, EndpointSlice, Node, ObjectKey, Service, ServiceType,
    TrafficPolicy,
};

/// Services with this label, whatever its value, are served by another proxy than kube-proxy (KEP-2447).
const SERVICE_PROXY_LABEL: &str = "service.kubernetes.io/service-proxy-name";

/// Services with this label are skipped by kube-proxy, as headless ones.
const HEADLESS_LABEL: &str = "service.kubernetes.io/headless";

const fn index(family: IpFamily) -> usize {
    match family {
        IpFamily::Ipv4 => 0,
        IpFamily::Ipv6 => 1,
    }
}

/// The slices of each Service.
#[derive(Debug, Default)]
pub(super) struct Slices(HashMap<ObjectKey, SmallVec<[ObjectKey; 2]>>);

impl Slices {
    pub(super) fn of(state: &ClusterState) -> Self {
        let mut slices = Self(HashMap::with_capacity(state.services.len()));
        for slice in state.endpoint_slices.values() {
            slices.add(slice);
        }
        slices
    }

    /// Returns the Service.
    pub(super) fn add(&mut self, slice: &EndpointSlice) -> ObjectKey {
        let service = service_of(slice);
        let all = self.0.entry(service.clone()).or_default();
        all.push(slice.key.clone());
        service
    }

    /// Returns the Service.
    pub(super) fn remove(&mut self, slice: &EndpointSlice) -> ObjectKey {
        let service = service_of(slice);
        if let Some(all) = self.0.get_mut(&service) {
            all.retain(|key| *key != slice.key);
            if all.is_empty() {
                self.0.remove(&service);
            }
        }
        service
    }

    fn get(&self, service: &ObjectKey) -> &[ObjectKey] {
        self.0.get(service).map_or(&[], |all| all)
    }
}

fn service_of(slice: &EndpointSlice) -> ObjectKey {
    ObjectKey {
        namespace: slice.key.namespace.clone(),
        name: slice.service.clone(),
    }
}

/// What all decisions of a node hang on.
pub(super) struct Deciding<'a> {
    state: &'a ClusterState,
    slices: &'a Slices,
    contested: &'a Contested,
    node: &'a Node,
    by_node: Option<Rule>,
    active: &'a [Active<'a>],
    /// Their labels; `None`: they are not known.
    namespaces: HashMap<&'a str, Option<Cow<'a, Labels>>>,
}

impl<'a> Deciding<'a> {
    pub(super) fn new(
        state: &'a ClusterState,
        (slices, contested): (&'a Slices, &'a Contested),
        node: &'a Node,
        phase: Phase,
        active: &'a [Active<'a>],
    ) -> Self {
        Self {
            state,
            slices,
            contested,
            node,
            by_node: node_rule(node, phase),
            active,
            namespaces: HashMap::new(),
        }
    }

    /// The decision on every address of a Service.
    pub(super) fn decide(&mut self, service: &'a Service) -> ServiceDecision {
        let owned_by_others = self.owned_by_others(service);
        let slices = self.slices.get(&service.key).iter();
        let slices = slices.filter_map(|key| self.state.endpoint_slices.get(key));
        let counts = count(slices.map(AsRef::as_ref), &self.node.name);
        let by_node = self.by_node.clone();
        let considered = Considered {
            counts,
            by_node: by_node.as_ref(),
            owned_by_others,
            ..self.considered(service)
        };
        considered.decide()
    }

    /// A Service without its endpoints.
    fn considered(&mut self, service: &'a Service) -> Considered<'_> {
        let name: &str = &service.key.namespace;
        let namespace = self
            .namespaces
            .entry(name)
            .or_insert_with(|| self.state.labels_of(name));
        Considered {
            service,
            namespace: namespace.as_deref(),
            counts: Default::default(),
            by_node: None,
            owned_by_others: Vec::new(),
            active: self.active,
        }
    }

    /// The addresses that older Services of other namespaces keep, with those. An external IP that no Advertisement allows is
    /// no claim: whoever writes it could otherwise take an address away.
    fn owned_by_others(&mut self, service: &'a Service) -> Vec<(IpAddr, AddressKind, ObjectKey)> {
        let (state, contested) = (self.state, self.contested);
        let mut all = Vec::new();
        for ip in &service.external_ips {
            if let Some(owner) = contested.older_owners(state, service, *ip).first() {
                all.push((*ip, AddressKind::External, owner.key.clone()));
            }
        }
        if service.service_type == ServiceType::LoadBalancer {
            for ingress in &service.ingress {
                let claimants = contested.older_externals(state, service, ingress.ip);
                let claims = |other: &&&'a Service| {
                    let other = self.considered(other);
                    let is_selected = other.selected(ingress.ip, AddressKind::External).is_ok();
                    is_selected
                        && other
                            .of_the_address(ingress.ip, AddressKind::External)
                            .is_none()
                };
                if let Some(other) = claimants.iter().find(claims) {
                    all.push((ingress.ip, AddressKind::LoadBalancer, other.key.clone()));
                }
            }
        }
        all
    }
}

/// The rule by which a node has no service routes at all.
pub(super) fn node_rule(node: &Node, phase: Phase) -> Option<Rule> {
    if phase.leaving >= Leaving::WithoutServices {
        return Some(Rule::NodeLeaves);
    }
    // KEP-1143: the label counts whatever its value.
    if node.labels.get(EXCLUDE_LABEL).is_some() {
        Some(Rule::NodeExcluded)
    } else if node.network_unavailable {
        Some(Rule::NodeNetworkUnavailable)
    } else if phase.services_wait {
        Some(Rule::KubeProxyNotHealthy)
    } else {
        None
    }
}

/// Endpoints per family.
fn count<'a>(slices: impl Iterator<Item = &'a EndpointSlice>, node: &str) -> [EndpointCounts; 2] {
    let mut all = [EndpointCounts::default(); 2];
    for slice in slices {
        let counts = &mut all[index(slice.family)];
        counts.slices += 1;
        for endpoint in &slice.endpoints {
            let here = u32::from(endpoint.node.as_deref() == Some(node));
            if endpoint.ready {
                counts.ready += 1;
                counts.ready_here += here;
            } else if endpoint.serving && endpoint.terminating {
                counts.terminating += 1;
                counts.terminating_here += here;
            } else {
                counts.not_ready += 1;
            }
        }
    }
    all
}

/// One Service, and what its decision hangs on.
struct Considered<'a> {
    service: &'a Service,
    namespace: Option<&'a Labels>,
    counts: [EndpointCounts; 2],
    by_node: Option<&'a Rule>,
    /// Addresses that Services of other namespaces keep.
    owned_by_others: Vec<(IpAddr, AddressKind, ObjectKey)>,
    active: &'a [Active<'a>],
}

impl<'a> Considered<'a> {
    fn decide(&self) -> ServiceDecision {
        let service = self.service;
        let ingress = service.ingress.iter().map(|ingress| {
            let rule = ingress.proxy.then_some(Rule::ProxyMode);
            self.address(ingress.ip, AddressKind::LoadBalancer, rule)
        });
        let of_kind =
            |ips: &'a [IpAddr], kind| ips.iter().map(move |ip| self.address(*ip, kind, None));
        let external = of_kind(&service.external_ips, AddressKind::External);
        let cluster = of_kind(&service.cluster_ips, AddressKind::Cluster);
        let addresses: Box<[_]> = ingress.chain(external).chain(cluster).collect();
        ServiceDecision {
            service_type: service.service_type,
            excluded: self.excluded(),
            addresses,
        }
    }

    /// What keeps all addresses of the Service from being announced: kube-proxy does not serve it.
    fn excluded(&self) -> Option<Rule> {
        let labels = &self.service.labels;
        if self.service.service_type == ServiceType::ExternalName {
            Some(Rule::ExternalName)
        } else if let Some(proxy) = labels.get(SERVICE_PROXY_LABEL) {
            Some(Rule::OtherServiceProxy(proxy.into()))
        } else if self.service.headless || labels.get(HEADLESS_LABEL).is_some() {
            Some(Rule::Headless)
        } else {
            None
        }
    }

    fn address(&self, address: IpAddr, kind: AddressKind, rule: Option<Rule>) -> AddressDecision {
        let traffic_policy = match kind {
            AddressKind::LoadBalancer | AddressKind::External => {
                self.service.external_traffic_policy
            }
            AddressKind::Cluster => self.service.internal_traffic_policy,
        };
        let endpoints = self.counts[index(IpFamily::of(address))];
        let decision = self
            .selected(address, kind)
            .and_then(|advertisements| {
                let refused = rule
                    .or_else(|| self.of_the_address(address, kind))
                    .or_else(|| self.of_others(address, kind))
                    .or_else(|| self.by_node.cloned())
                    .or_else(|| of_endpoints(traffic_policy, &endpoints, kind));
                refused.map_or(Ok(advertisements), Err)
            })
            .map_or_else(Decision::Suppress, Decision::Advertise);
        AddressDecision {
            address,
            kind,
            traffic_policy,
            endpoints,
            decision,
        }
    }

    /// The Advertisements that ask for the address, or why none does.
    fn selected(&self, address: IpAddr, kind: AddressKind) -> Result<AdvertisementIds, Rule> {
        let mut refused = Rule::NotSelected;
        let mut ids = AdvertisementIds::new();
        for advertisement in self.active {
            let Some(services) = advertisement.services() else {
                continue;
            };
            if !services.addresses.contains(&kind)
                || !selector::selects(services.selector.as_ref(), &self.service.labels)
                || !selector::selects_known(services.namespace_selector.as_ref(), self.namespace)
            {
                continue;
            }
            match self.allowed(services, address, kind) {
                Ok(()) => ids.push(advertisement.id),
                // Of several refusals the last is told; each is true.
                Err(rule) => refused = rule,
            }
        }
        if ids.is_empty() {
            return Err(refused);
        }
        ids.sort_unstable();
        Ok(ids)
    }

    /// What an Advertisement itself says against an address.
    fn allowed(
        &self,
        services: &advertisement::Services,
        address: IpAddr,
        kind: AddressKind,
    ) -> Result<(), Rule> {
        match kind {
            AddressKind::LoadBalancer => match &self.service.load_balancer_class {
                Some(class) if !services.load_balancer_classes.iter().any(|c| c == &**class) => {
                    Err(Rule::ForeignLoadBalancerClass(class.clone()))
                }
                _ => Ok(()),
            },
            AddressKind::External if services.external_ips.is_empty() => Err(Rule::NoAllowList),
            AddressKind::External => services
                .external_ips
                .iter()
                .any(|cidr| cidr.net().contains(&address))
                .then_some(())
                .ok_or(Rule::OutsideAllowList),
            AddressKind::Cluster => Ok(()),
        }
    }

    /// What type and address say, whatever the endpoints.
    fn of_the_address(&self, address: IpAddr, kind: AddressKind) -> Option<Rule> {
        if let Some(rule) = self.excluded() {
            return Some(rule);
        }
        match self.service.service_type {
            kind_now @ (ServiceType::ClusterIp | ServiceType::NodePort)
                if kind == AddressKind::LoadBalancer =>
            {
                return Some(Rule::NotLoadBalancer(kind_now));
            }
            ServiceType::ClusterIp
            | ServiceType::NodePort
            | ServiceType::LoadBalancer
            | ServiceType::ExternalName => {}
        }
        (!is_routable(address.into())).then_some(Rule::NotRoutable)
    }
}

impl Considered<'_> {
    /// What older Services of other namespaces keep.
    fn of_others(&self, address: IpAddr, kind: AddressKind) -> Option<Rule> {
        let kept = self.owned_by_others.iter();
        let mut kept = kept.filter(|(ip, of, _)| *ip == address && *of == kind);
        let (.., other) = kept.next()?;
        Some(Rule::OtherServicesAddress(other.clone()))
    }
}

/// The truth table: `None` is "advertise".
fn of_endpoints(
    policy: TrafficPolicy,
    endpoints: &EndpointCounts,
    kind: AddressKind,
) -> Option<Rule> {
    match policy {
        // kube-proxy serves by those that terminate where it has no others.
        TrafficPolicy::Cluster if endpoints.ready > 0 || endpoints.terminating > 0 => None,
        TrafficPolicy::Cluster => Some(Rule::NoReadyEndpoint),
        TrafficPolicy::Local if endpoints.ready_here > 0 => None,
        TrafficPolicy::Local if endpoints.ready == 0 && endpoints.terminating_here > 0 => None,
        TrafficPolicy::Local if endpoints.ready == 0 => Some(Rule::NoReadyEndpoint),
        TrafficPolicy::Local if endpoints.terminating_here > 0 => {
            Some(Rule::OnlyTerminatingHere(kind))
        }
        TrafficPolicy::Local => Some(Rule::NoReadyEndpointHere(kind)),
    }
}
