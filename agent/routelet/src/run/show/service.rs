//! A Service and the decision on each of its addresses.

use std::net::IpAddr;

use ipnet::IpNet;
use routelet_api::advertisement::AddressKind;
use routelet_control::model::{
    Assignment, Endpoints, ExplainService, Reason, ReasonCode, ServiceAddress, ServiceAddressKind,
    TrafficPolicy as Policy,
};
use routelet_core::cluster::{self, ObjectKey, TrafficPolicy};
use routelet_core::intent::{AddressDecision, Decision, Intent, ServiceDecision, Source};

use super::reason;

/// The model of a Service. What is advertised to peers is for the caller to fill in.
pub(crate) fn service(
    key: &ObjectKey,
    decision: &ServiceDecision,
    assignment: Option<&cluster::Assignment>,
    intent: &Intent,
) -> ExplainService {
    ExplainService {
        namespace: key.namespace.to_string(),
        name: key.name.to_string(),
        service_type: decision.service_type.to_string(),
        excluded: decision.excluded.as_ref().map(reason::of_rule),
        assignment: assignment.map(|found| Assignment {
            assigned: found.holds,
            text: found.text.to_string(),
        }),
        addresses: decision
            .addresses
            .iter()
            .map(|address| explained(key, address, intent))
            .collect(),
    }
}

fn explained(key: &ObjectKey, address: &AddressDecision, intent: &Intent) -> ServiceAddress {
    let endpoints = &address.endpoints;
    let (reason, advertisements) = match &address.decision {
        Decision::Advertise(ids) => (
            match address.traffic_policy {
                TrafficPolicy::Cluster => {
                    Reason::new(ReasonCode::ReadyEndpoint, "a ready endpoint exists")
                }
                TrafficPolicy::Local => Reason::new(
                    ReasonCode::ReadyEndpointHere,
                    "an endpoint on this node serves",
                ),
            },
            ids.iter()
                .filter_map(|id| intent.advertisements.get(id).cloned())
                .collect(),
        ),
        Decision::Suppress(rule) => (reason::of_rule(rule), Vec::new()),
    };
    let prefixes = prefixes(key, address.address, intent);
    ServiceAddress {
        address: address.address,
        kind: match address.kind {
            AddressKind::LoadBalancer => ServiceAddressKind::LoadBalancer,
            AddressKind::External => ServiceAddressKind::External,
            AddressKind::Cluster => ServiceAddressKind::Cluster,
        },
        advertised: matches!(address.decision, Decision::Advertise(_)),
        reason,
        traffic_policy: match address.traffic_policy {
            TrafficPolicy::Cluster => Policy::Cluster,
            TrafficPolicy::Local => Policy::Local,
        },
        endpoints: Endpoints {
            slices: endpoints.slices,
            ready: endpoints.ready,
            ready_here: endpoints.ready_here,
            terminating: endpoints.terminating,
            terminating_here: endpoints.terminating_here,
            not_ready: endpoints.not_ready,
        },
        peers: Vec::new(),
        prefixes,
        advertisements,
    }
}

/// The prefixes that are originated because of an address of a Service.
fn prefixes(key: &ObjectKey, address: IpAddr, intent: &Intent) -> Vec<IpNet> {
    intent
        .originated
        .values()
        .filter(|originated| {
            originated.route.prefix.contains(&address)
                && originated
                    .justifications
                    .iter()
                    .any(|why| match &why.source {
                        Source::Service { service, .. } | Source::AggregateOf { service, .. } => {
                            service == key
                        }
                        Source::PodCidr { .. } | Source::Prefix | Source::Interface { .. } => false,
                    })
        })
        .map(|originated| originated.route.prefix)
        .collect()
}
