//! Why the kernel does not have a wanted route.

use routelet_control::model::{Reason, ReasonCode as Code};
use routelet_core::intent::Phase;
use routelet_fib::kernel::event::Event;
use routelet_fib::plan::Object;

use super::events::{address, link, route};
use super::kernel::Kernel;
use super::reasons::Found;
use super::session::path;
use super::world::World;

const MANIFESTS: &str = r#"
apiVersion: v1
kind: Node
metadata: {name: node-1}
spec: {podCIDRs: [10.244.1.0/24]}
status: {addresses: [{type: InternalIP, address: 10.0.0.11}]}
---
apiVersion: routelet.dev/v1alpha1
kind: Router
metadata: {name: default}
spec: {asn: 64512, fib: {FIB}}
---
apiVersion: routelet.dev/v1alpha1
kind: Peer
metadata: {name: a}
spec: {address: 192.0.2.1, asn: 64500}
---
apiVersion: routelet.dev/v1alpha1
kind: Peer
metadata: {name: b}
spec: {address: 192.0.2.2, asn: 64501}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {type: LoadBalancer}
status: {loadBalancer: {ingress: [{ip: 203.0.113.10}, {ip: 203.0.113.11}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
endpoints: [{addresses: [10.244.1.5], nodeName: node-1, conditions: {ready: true}}]
"#;

fn events() -> Vec<Event> {
    let mut all = vec![
        link(2, "eth0"),
        link(3, "eth1"),
        link(4, "wg0"),
        route("198.51.102.0/24", Some("192.0.2.9"), 3, 4, 1790),
        route("198.51.103.0/24", None, 4, 3, 9000),
        route("203.0.113.11/32", Some("192.0.2.7"), 3, 80, 0),
    ];
    all.extend(address(2, "10.0.0.11/24"));
    all.extend(address(3, "192.0.2.11/26"));
    all
}

fn world(fib: &str, kernel: Kernel) -> World {
    let manifests = MANIFESTS.replace("FIB", fib);
    let mut world = World::after(kernel, &manifests, events(), Phase::default());
    world.rib.open_gate(world.now);
    world.up("a", 64500, &[]);
    world.up("b", 64501, &[]);
    world
}

fn learn(world: &mut World, prefix: &str) {
    world.announce("a", prefix, "192.0.2.1", &path(&[64500]));
}

/// Why the kernel has no route of ours to a prefix, or not as it is wanted.
fn reason(world: &World, prefix: &str) -> Reason {
    let answer = world.explain(prefix);
    let entry = answer.kernel.entry.as_ref();
    let reason = entry.map_or(answer.kernel.reason.as_ref(), |entry| entry.reason.as_ref());
    reason.unwrap_or_else(|| panic!("{answer:#?}")).clone()
}

pub(super) fn found() -> Found {
    let mut kernel = Kernel::default();
    kernel
        .errors
        .insert("198.51.101.0/24".parse().unwrap(), libc::EINVAL);
    kernel
        .errors
        .insert("198.51.102.0/24".parse().unwrap(), libc::EEXIST);
    let mut w = world("", kernel);
    let learned = [
        (Code::KernelRejected, "198.51.101.0/24"),
        (Code::ForeignRouteInPlace, "198.51.102.0/24"),
        (Code::ForeignOnLinkRoute, "198.51.103.0/24"),
        (Code::Martian, "127.1.0.0/16"),
        (Code::DefaultRouteNotAccepted, "0.0.0.0/0"),
        (Code::OwnPodCidr, "10.244.1.128/25"),
        (Code::ConnectedNetwork, "192.0.2.16/28"),
    ];
    for (_, prefix) in learned {
        learn(&mut w, prefix);
    }
    let mut found: Found = learned
        .map(|(code, prefix)| (code, reason(&w, prefix)))
        .to_vec();
    found.push((Code::ServiceAddress, service_of_another_node()));
    found.push((Code::ForeignRouteAnswers, reason(&w, "203.0.113.11/32")));
    found.push((Code::OriginatedHere, reason(&w, "10.244.1.0/24")));
    w.announce("a", "198.51.104.0/24", "192.0.2.1", &path(&[64500, 64512]));
    found.push((Code::NoUsablePath, reason(&w, "198.51.104.0/24")));

    let mut limited = world("maxRoutes: 1", Kernel::default());
    learn(&mut limited, "198.51.100.0/24");
    learn(&mut limited, "198.51.101.0/24");
    found.push((Code::RouteLimit, reason(&limited, "198.51.101.0/24")));

    let mut disabled = world("enabled: false", Kernel::default());
    learn(&mut disabled, "198.51.100.0/24");
    found.push((Code::FibDisabled, reason(&disabled, "198.51.100.0/24")));
    found.push((Code::NexthopsUnusable, degraded()));
    found.push((Code::Leftover, left()));
    found
}

/// The kernel rejects the nexthop object of one of two routers.
fn degraded() -> Reason {
    let mut kernel = Kernel::default();
    kernel.denied.insert("192.0.2.2".parse().unwrap());
    let mut world = world("", kernel);
    learn(&mut world, "198.51.100.0/24");
    world.announce("b", "198.51.100.0/24", "192.0.2.2", &path(&[64501]));
    reason(&world, "198.51.100.0/24")
}

/// A route of the previous agent, for which there is no path yet.
fn left() -> Reason {
    let mut kernel = Kernel::default();
    let object = Object {
        ipv6: false,
        gateway: Some("192.0.2.1".parse().unwrap()),
        ifindex: 3,
        onlink: false,
    };
    let metric = routelet_fib::RouteSpace::default().metric;
    kernel.leave(&["198.51.100.0/24".parse().unwrap()], object, metric);
    let world = world("", kernel);
    reason(&world, "198.51.100.0/24")
}

/// The address of a Service that has no endpoint, so that this node does not originate it. Another node's route to it
/// is not installed.
fn service_of_another_node() -> Reason {
    let manifests = MANIFESTS
        .replace("FIB", "")
        .replace("ready: true", "ready: false");
    let mut world = World::new(&manifests, events(), Phase::default());
    world.up("a", 64500, &[]);
    learn(&mut world, "203.0.113.10/32");
    reason(&world, "203.0.113.10/32")
}
