//! Claims about intent. Cases are written as manifests, since that is what people write.
#![allow(clippy::unwrap_used)]

mod advertise;
mod aggregates;
mod changes;
mod duplicates;
mod fib;
mod identity;
mod last_as;
mod mesh;
mod not_announced;
mod peers;
mod phase;
mod planner;
mod policies;
mod properties;
mod protocol;
mod router;
mod services;

use std::fs;

use ipnet::IpNet;

use super::*;
use crate::cluster::{Node, Severity, manifests};

/// The state of some manifests, which must be without errors.
fn state(manifests: &str) -> ClusterState {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("all.yaml"), manifests).unwrap();
    let snapshot = manifests::load(directory.path()).unwrap();
    let errors = snapshot.problems.iter();
    let errors = errors.filter(|problem| problem.severity == Severity::Error);
    let problems: Vec<String> = errors.map(ToString::to_string).collect();
    assert_eq!(problems, Vec::<String>::new());
    (*snapshot.state).clone()
}

fn intent(manifests: &str, node: &str) -> Arc<Intent> {
    intend(&state(manifests), node, &LocalFacts::default())
}

/// A Node; `more` is further YAML of its status.
fn node(name: &str, labels: &str, cidrs: &str, addresses: &[&str], more: &str) -> String {
    let addresses: Vec<String> = addresses
        .iter()
        .map(|a| format!("{{type: InternalIP, address: \"{a}\"}}"))
        .collect();
    format!(
        "---\napiVersion: v1\nkind: Node\nmetadata: {{name: {name}, labels: {{{labels}}}}}\n\
         spec: {{podCIDRs: [{cidrs}]}}\nstatus:\n  addresses: [{}]\n{more}\n",
        addresses.join(", ")
    )
}

/// Three nodes of two racks; `n3` has the role `rr`.
fn three() -> String {
    node(
        "n1",
        "rack: a",
        "10.1.0.0/24",
        &["192.0.2.11", "2001:db8::11"],
        "",
    ) + &node(
        "n2",
        "rack: a",
        "10.2.0.0/24",
        &["192.0.2.12", "2001:db8::12"],
        "",
    ) + &node(
        "n3",
        "rack: b, role: rr",
        "10.3.0.0/24",
        &["192.0.2.13", "2001:db8::13"],
        "",
    )
}

/// An object of ours.
fn ours(kind: &str, name: &str, labels: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: routelet.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}, labels: {{{labels}}}}}\n\
         spec: {spec}\n"
    )
}

fn service(name: &str, spec: &str, ingress: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: d}}\nspec: {{{spec}}}\n\
         status: {{loadBalancer: {{ingress: [{ingress}]}}}}\n"
    )
}

/// A slice; each endpoint is node and conditions.
fn slice(name: &str, service: &str, family: &str, endpoints: &[(&str, &str)]) -> String {
    let endpoints: Vec<String> = endpoints
        .iter()
        .map(|(node, conditions)| format!("{{nodeName: {node}, conditions: {{{conditions}}}}}"))
        .collect();
    format!(
        "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
         metadata: {{name: {name}, namespace: d, labels: {{kubernetes.io/service-name: {service}}}}}\n\
         addressType: {family}\nendpoints: [{}]\n",
        endpoints.join(", ")
    )
}

/// Nothing is advertised but what Advertisements say, and pod CIDRs to the mesh.
fn without_default() -> String {
    ours(
        "Router",
        "plain",
        "",
        "{defaultAdvertisement: {enabled: false}}",
    )
}

/// A rule as answers show it.
fn code(rule: &Rule) -> &'static str {
    rule.code().as_str()
}

fn prefixes(intent: &Intent) -> Vec<String> {
    let routes = intent.originated.values();
    routes.map(|r| r.route.prefix.to_string()).collect()
}

fn suppressed(intent: &Intent) -> Vec<String> {
    let prefix = |p: Option<IpNet>| p.map_or_else(|| "-".to_owned(), |p| p.to_string());
    let list = intent.suppressed.keys();
    list.map(|s| format!("{} {}: {}", prefix(s.prefix), s.object, s.rule))
        .collect()
}

fn warnings(intent: &Intent) -> Vec<String> {
    intent.warnings.iter().map(ToString::to_string).collect()
}

fn peer_names(intent: &Intent) -> Vec<String> {
    intent.peers.iter().map(|p| p.name.clone()).collect()
}
