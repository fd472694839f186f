//! Why this node originates a prefix, or not, and why traffic is led away from it.

use std::sync::Arc;

use routelet_control::model::{Reason, ReasonCode as Code};
use routelet_core::intent::{Leaving, Phase};
use routelet_fib::kernel::event::{Event, Link};

use super::events::{address, link, route};
use super::kernel::Kernel;
use super::reasons::Found;
use super::world::{World, read};
use crate::run::show::status::drain;

/// The node and its surroundings. `NODE` and `ROUTER` are replaced by more of the objects' fields.
const CLUSTER: &str = r#"
apiVersion: v1
kind: Node
metadata: {name: node-1, NODE}
spec: {podCIDRs: [10.244.1.0/24], taints: [{key: example.com/maintenance, effect: NoSchedule}]}
status:
  addresses: [{type: InternalIP, address: 10.0.0.11}]
  conditions: [CONDITIONS]
---
apiVersion: v1
kind: Node
metadata: {name: node-2}
spec: {podCIDRs: [10.244.2.0/24]}
status: {addresses: [{type: InternalIP, address: 10.0.0.12}]}
---
apiVersion: routelet.dev/v1alpha1
kind: Router
metadata: {name: default}
spec: {asn: 64512, defaultAdvertisement: {enabled: false}, ROUTER}
---
apiVersion: routelet.dev/v1alpha1
kind: Peer
metadata: {name: tor}
spec: {address: 192.0.2.1, asn: 64500}
---
apiVersion: routelet.dev/v1alpha1
kind: Advertisement
metadata: {name: static}
spec:
  prefixes: [203.0.113.0/24, 0.0.0.0/0, 192.0.2.0/28, 10.244.2.0/25, 224.0.1.0/24]
  interfaces: [anycast]
---
apiVersion: routelet.dev/v1alpha1
kind: Advertisement
metadata: {name: services}
spec:
  services:
    selector: {matchExpressions: [{key: skip, operator: DoesNotExist}, {key: external, operator: DoesNotExist}]}
    addresses: [LoadBalancer]
  aggregate: {ipv4: 16}
  mode: Both
---
apiVersion: routelet.dev/v1alpha1
kind: Advertisement
metadata: {name: external}
spec: {services: {selector: {matchLabels: {external: allowed}}, addresses: [External], externalIPs: [198.51.100.0/24]}}
---
apiVersion: routelet.dev/v1alpha1
kind: Advertisement
metadata: {name: external-without-list}
spec: {services: {selector: {matchLabels: {external: unlisted}}, addresses: [External]}}
"#;

/// A Service with an endpoint in each of these states: `here`, `there`, `leaving` (on this node).
fn service(name: &str, metadata: &str, spec: &str, ingress: &str, endpoints: &[&str]) -> String {
    let endpoints: Vec<&str> = endpoints
        .iter()
        .map(|state| match *state {
            "here" => "{addresses: [10.244.1.5], nodeName: node-1, conditions: {ready: true}}",
            "there" => "{addresses: [10.244.2.5], nodeName: node-2, conditions: {ready: true}}",
            _ => {
                "{addresses: [10.244.1.6], nodeName: node-1, conditions: {ready: false, serving: true, terminating: true}}"
            }
        })
        .collect();
    format!(
        "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: shop, {metadata}}}\n\
         spec: {{type: LoadBalancer, {spec}}}\nstatus: {{loadBalancer: {{ingress: [{ingress}]}}}}\n\
         ---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: {name}, namespace: shop, \
         labels: {{kubernetes.io/service-name: {name}}}}}\naddressType: IPv4\nendpoints: [{}]\n",
        endpoints.join(", ")
    )
    .replace("type: LoadBalancer, type:", "type:")
}

fn kernel() -> Vec<Event> {
    let down = match link(4, "anycast") {
        Event::Link(presence, link) => Event::Link(presence, Link { up: false, ..link }),
        other => other,
    };
    let mut all = vec![
        link(2, "eth0"),
        link(3, "eth1"),
        down,
        route("0.0.0.0/0", Some("10.0.0.1"), 2, 4, 100),
    ];
    all.extend(address(2, "10.0.0.11/24"));
    all.extend(address(3, "192.0.2.11/26"));
    all.extend(address(4, "203.0.115.1/32"));
    all
}

fn cluster(node: &str, conditions: &str, router: &str) -> String {
    CLUSTER
        .replace("NODE", node)
        .replace("CONDITIONS", conditions)
        .replace("ROUTER", router)
}

/// Why the first address of a Service, or the Service, is treated as it is.
fn of_service(world: &World, name: &str) -> Reason {
    let answer = world.service("shop", name);
    let address = answer.addresses.into_iter().next();
    answer
        .excluded
        .or(address.map(|address| address.reason))
        .unwrap_or_else(|| panic!("{name} has no addresses"))
}

/// Why a prefix is not originated.
fn of_prefix(world: &World, prefix: &str) -> Reason {
    let answer = world.explain(prefix);
    let facts = answer.originated.iter();
    let mut reasons = facts.filter_map(|fact| fact.reason.clone());
    reasons.next().unwrap_or_else(|| panic!("{answer:#?}"))
}

pub(super) fn found() -> Found {
    let mut found = of_services();
    found.extend(of_prefixes());
    found.extend(of_nodes());
    found.extend(drained());
    found
}

/// A Service with the reason that it is for: its metadata, its spec, its address, its endpoints.
type Case = (
    Code,
    &'static str,
    &'static str,
    &'static str,
    &'static [&'static str],
);

/// An endpoint on the node itself.
const HERE: &[&str] = &["here"];

/// What of a Service itself decides.
fn by_service() -> Vec<Case> {
    let labels = "labels: {external: allowed}";
    let unlisted = "labels: {external: unlisted}";
    let other = "labels: {service.kubernetes.io/service-proxy-name: other}";
    vec![
        (
            Code::NotSelected,
            "labels: {skip: x}",
            "",
            "203.0.114.3",
            HERE,
        ),
        (
            Code::ForeignLoadBalancerClass,
            "",
            "loadBalancerClass: example.com/lb",
            "203.0.114.4",
            HERE,
        ),
        (
            Code::NoAllowList,
            unlisted,
            "externalIPs: [203.0.114.5]",
            "",
            HERE,
        ),
        (
            Code::OutsideAllowList,
            labels,
            "externalIPs: [203.0.114.6]",
            "",
            HERE,
        ),
        (Code::ProxyMode, "", "", "203.0.114.7, ipMode: Proxy", HERE),
        (
            Code::NotLoadBalancer,
            "",
            "type: ClusterIP",
            "203.0.114.8",
            HERE,
        ),
        (
            Code::ExternalName,
            "",
            "type: ExternalName, externalName: example.com",
            "",
            &[],
        ),
        (
            Code::Headless,
            "",
            "clusterIP: None, clusterIPs: [None]",
            "203.0.114.9",
            HERE,
        ),
        (Code::OtherServiceProxy, other, "", "203.0.114.10", HERE),
    ]
}

/// What of its address or its endpoints decides.
fn by_address_and_endpoints() -> Vec<Case> {
    let local = "externalTrafficPolicy: Local";
    vec![
        (Code::ReadyEndpoint, "", "", "203.0.114.1", HERE),
        (Code::ReadyEndpointHere, "", local, "203.0.114.2", HERE),
        (Code::NotRoutable, "", "", "169.254.7.7", HERE),
        (Code::NodeAddress, "", "", "10.0.0.12", HERE),
        (Code::PeerAddress, "", "", "192.0.2.1", HERE),
        (Code::GatewayAddress, "", "", "10.0.0.1", HERE),
        (Code::InterfaceAddress, "", "", "192.0.2.11", HERE),
        (Code::NoReadyEndpoint, "", "", "203.0.114.11", &[]),
        (
            Code::NoReadyEndpointHere,
            "",
            local,
            "203.0.114.12",
            &["there"],
        ),
        (
            Code::OnlyTerminatingHere,
            "",
            local,
            "203.0.114.13",
            &["there", "leaving"],
        ),
        (Code::OtherNodesPodCidr, "", "", "10.244.2.9", HERE),
    ]
}

fn of_services() -> Found {
    let mut cases = by_service();
    cases.extend(by_address_and_endpoints());
    let mut manifests = cluster("", "", "");
    for (at, (_, metadata, spec, ip, endpoints)) in cases.iter().enumerate() {
        let ingress = match *ip {
            "" => String::new(),
            ip => format!("{{ip: {ip}}}"),
        };
        let name = format!("s{at}");
        manifests.push_str(&service(&name, metadata, spec, &ingress, endpoints));
    }
    // A Service has the address of an older one of another namespace as an external IP.
    let external = "externalIPs: [198.51.100.7]";
    let older = "creationTimestamp: \"2026-01-01T00:00:00Z\"";
    let newer = "labels: {external: allowed}, creationTimestamp: \"2026-01-02T00:00:00Z\"";
    let owner = service("older", older, "", "{ip: 198.51.100.7}", HERE);
    manifests.push_str(&owner.replace("namespace: shop", "namespace: bank"));
    manifests.push_str(&service("newer", newer, external, "", HERE));
    let world = World::new(&manifests, kernel(), Phase::default());
    let mut found: Found = cases
        .iter()
        .enumerate()
        .map(|(at, case)| (case.0, of_service(&world, &format!("s{at}"))))
        .collect();
    found.push((Code::OtherServicesAddress, of_service(&world, "newer")));
    found
}

fn of_prefixes() -> Found {
    let mut manifests = cluster("", "", "");
    for (name, ip) in [("pods", "10.244.200.1"), ("nodes", "10.0.99.1")] {
        manifests.push_str(&service(name, "", "", &format!("{{ip: {ip}}}"), &["here"]));
    }
    let world = World::new(&manifests, kernel(), Phase::default());
    [
        (Code::DefaultRoute, "0.0.0.0/0"),
        (Code::NotRoutable, "224.0.1.0/24"),
        (Code::CoversAddress, "192.0.2.0/28"),
        (Code::OtherNodesPodCidr, "10.244.2.0/25"),
        (Code::InterfaceDown, "203.0.115.1/32"),
        (Code::AggregateCoversPodCidr, "10.244.0.0/16"),
        (Code::AggregateCoversAddress, "10.0.0.0/16"),
    ]
    .map(|(code, prefix)| (code, of_prefix(&world, prefix)))
    .to_vec()
}

/// What the node itself says.
fn of_nodes() -> Found {
    let web = service("web", "", "", "{ip: 203.0.114.1}", &["here"]);
    let excluded = "labels: {node.kubernetes.io/exclude-from-external-load-balancers: \"\"}";
    let unavailable = "{type: NetworkUnavailable, status: \"True\"}";
    let waits = Phase {
        services_wait: true,
        ..Phase::default()
    };
    let leaves = Phase {
        leaving: Leaving::WithoutServices,
        ..Phase::default()
    };
    [
        (Code::NodeExcluded, excluded, "", Phase::default()),
        (
            Code::NodeNetworkUnavailable,
            "",
            unavailable,
            Phase::default(),
        ),
        (Code::KubeProxyNotHealthy, "", "", waits),
        (Code::NodeLeaves, "", "", leaves),
    ]
    .map(|(code, node, conditions, phase)| {
        let world = World::new(&(cluster(node, conditions, "") + &web), kernel(), phase);
        (code, of_service(&world, "web"))
    })
    .to_vec()
}

/// Why traffic is led away.
fn drained() -> Found {
    let shutdown =
        "{type: Ready, status: \"False\", reason: KubeletNotReady, message: node is shutting down}";
    let ordered = Phase {
        leaving: Leaving::Drained,
        ..Phase::default()
    };
    let mut found = Found::new();
    for (code, conditions, router, phase) in [
        (Code::RouterDrain, "", "drain: true", Phase::default()),
        (Code::DrainCommand, "", "", ordered),
        (
            Code::NodeTaint,
            "",
            "leave: {taints: [example.com/maintenance]}",
            Phase::default(),
        ),
        (Code::NodeShutdown, shutdown, "", Phase::default()),
    ] {
        let world = World::new(&cluster("", conditions, router), kernel(), phase);
        found.push((code, drain(&world.intent).unwrap().reason));
    }
    // Only an API server has objects with a deletionTimestamp.
    let mut snapshot = read(&cluster("", "", ""));
    let state = Arc::make_mut(&mut snapshot.state);
    let node = state.nodes.get_mut("node-1").unwrap();
    Arc::make_mut(node).being_deleted = true;
    let world = World::of(Kernel::default(), snapshot, kernel(), Phase::default());
    found.push((Code::NodeDeletion, drain(&world.intent).unwrap().reason));
    found
}
