//! Selectors that select nothing, and Advertisements that advertise nothing, or restrict nothing because of the default: all of
//! them valid, and without a word not what was meant.
//!
//! Only what is known is looked at: without any Node, or any Service, selectors of them are not judged.

use routelet_api::advertisement::{AddressKind, Services};
use routelet_api::peer::MESH_LABEL;
use routelet_api::selector::{self, Labels};
use routelet_api::{AdvertisementSpec, LabelSelector};

use super::Finding;
use crate::cluster::state::{ClusterState, ObjectRef};

/// Selectors that select nothing in this state, and Advertisements that advertise nothing, by the object that has them. Most
/// end at the first that they select: it costs as much as there are objects only where there is something to say.
pub fn selections(state: &ClusterState) -> Vec<(ObjectRef, Finding)> {
    let mut findings = Vec::new();
    let routers = state.routers.values();
    let routers = routers.map(|r| ("Router", &r.name, r.spec.node_selector.as_ref()));
    let peers = state.peers.values();
    let peers = peers.map(|p| ("Peer", &p.name, p.spec.node_selector.as_ref()));
    let advertisements = state.advertisements.values();
    let advertisements =
        advertisements.map(|a| ("Advertisement", &a.name, a.spec.node_selector.as_ref()));
    for (kind, name, selector) in routers.chain(peers).chain(advertisements) {
        if selects_no_node(state, selector) {
            findings.push((
                ObjectRef::cluster(kind, name),
                finding("nodeSelector", "Node"),
            ));
        }
    }
    for peer in state.peers.values() {
        let nodes = peer.spec.nodes.as_ref();
        if nodes.is_some_and(|nodes| selects_no_node(state, nodes.selector.as_ref())) {
            findings.push((
                ObjectRef::cluster("Peer", &peer.name),
                finding("nodes.selector", "Node"),
            ));
        }
    }
    for advertisement in state.advertisements.values() {
        let object = ObjectRef::cluster("Advertisement", &advertisement.name);
        let found = of_advertisement(state, &advertisement.spec).into_iter();
        findings.extend(found.map(|finding| (object.clone(), finding)));
    }
    findings
}

fn of_advertisement(state: &ClusterState, spec: &AdvertisementSpec) -> Vec<Finding> {
    let mut findings = Vec::new();
    if selects_no_peer(state, spec.peer_selector.as_ref()) {
        findings.push(finding("peerSelector", "Peer"));
    }
    if spec.services.is_none()
        && spec.pod_cidrs.is_none()
        && spec.prefixes.is_empty()
        && spec.interfaces.is_empty()
    {
        findings.push(Finding {
            path: "spec".to_owned(),
            reason: "advertises nothing: set podCIDRs, services, prefixes or interfaces".to_owned(),
        });
    }
    let Some(services) = &spec.services else {
        return findings;
    };
    let mut routers = state.routers.values();
    let default =
        state.routers.is_empty() || routers.any(|router| router.spec.default_advertisement.enabled);
    let restricts = services.selector.is_some()
        || services.namespace_selector.is_some()
        || spec.aggregate.is_some();
    if default && restricts && services.addresses.contains(&AddressKind::LoadBalancer) {
        findings.push(Finding {
            path: "spec.services".to_owned(),
            reason: "restricts nothing: by default LoadBalancer addresses of all Services are advertised to every peer, \
                     as host routes. To disable that, set defaultAdvertisement: {enabled: false} in the Router"
                .to_owned(),
        });
    }
    if selects_no_service(state, services) {
        findings.push(finding("services", "Service"));
    }
    findings
}

fn finding(field: &str, kind: &str) -> Finding {
    Finding {
        path: format!("spec.{field}"),
        reason: format!("selects no {kind}: compare it with the labels of the {kind} objects"),
    }
}

fn selects_no_node(state: &ClusterState, selector: Option<&LabelSelector>) -> bool {
    let mut nodes = state.nodes.values();
    selector.is_some()
        && !state.nodes.is_empty()
        && !nodes.any(|node| selector::selects(selector, &node.labels))
}

fn selects_no_peer(state: &ClusterState, selector: Option<&LabelSelector>) -> bool {
    let mesh = Labels::from([(MESH_LABEL.to_owned(), "true".to_owned())]);
    let mut peers = state.peers.values();
    selector.is_some()
        && !selector::selects(selector, &mesh)
        && !peers.any(|peer| selector::selects(selector, &peer.labels))
}

fn selects_no_service(state: &ClusterState, services: &Services) -> bool {
    let selectors = [&services.selector, &services.namespace_selector];
    selectors.iter().any(|selector| selector.is_some())
        && !state.services.is_empty()
        && !state.services.values().any(|service| {
            let namespaces = services.namespace_selector.as_ref();
            selector::selects(services.selector.as_ref(), &service.labels)
                && is_selected(namespaces, state, &service.key.namespace)
        })
}

fn is_selected(selector: Option<&LabelSelector>, state: &ClusterState, namespace: &str) -> bool {
    selector.is_none() || selector::selects_known(selector, state.labels_of(namespace).as_deref())
}
