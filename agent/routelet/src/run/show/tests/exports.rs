//! Why a route is advertised to a peer, or not.

use std::time::Duration;

use bgp::fsm::Down;
use bgp::types::{Afi, Asn, Community, Family};
use bgp::wire::PathAttributes;
use bgp::wire::capability::{Capability, GracefulRestart, LongLivedFamily};
use routelet_control::model::{Reason, ReasonCode as Code};
use routelet_core::intent::Phase;
use routelet_fib::kernel::event::Event;

use super::events::{address, link};
use super::reasons::Found;
use super::session::path;
use super::world::World;

/// A node that gives transit, with peers of several kinds.
const MANIFESTS: &str = r#"
apiVersion: v1
kind: Node
metadata: {name: node-1}
spec: {podCIDRs: [10.244.1.0/24, "2001:db8:f::/64"]}
status: {addresses: [{type: InternalIP, address: 10.0.0.11}]}
---
apiVersion: v1
kind: Node
metadata: {name: node-2}
status: {addresses: [{type: InternalIP, address: 10.0.0.12}]}
---
apiVersion: routelet.dev/v1alpha1
kind: Router
metadata: {name: default}
spec:
  asn: 64512
  transit: true
  gracefulRestart: {restartTime: 60s, longLivedStaleTime: 1h}
---
apiVersion: routelet.dev/v1alpha1
kind: Peer
metadata: {name: a, labels: {role: tor}}
spec: {address: 192.0.2.1, asn: 64500, extendedNextHop: true}
---
apiVersion: routelet.dev/v1alpha1
kind: Peer
metadata: {name: b, labels: {role: tor}}
spec: {address: 192.0.2.2, asn: 64501, export: [filter]}
---
apiVersion: routelet.dev/v1alpha1
kind: Peer
metadata: {name: provider}
spec: {address: 192.0.2.3, asn: 64502, role: Customer}
---
apiVersion: routelet.dev/v1alpha1
kind: Peer
metadata: {name: ipv4}
spec: {address: 192.0.2.4, asn: 64504}
---
apiVersion: routelet.dev/v1alpha1
kind: Peer
metadata: {name: away}
spec: {address: 192.0.2.5, asn: 64505}
---
apiVersion: routelet.dev/v1alpha1
kind: Peer
metadata: {name: i1}
spec: {address: 10.0.0.21, asn: internal}
---
apiVersion: routelet.dev/v1alpha1
kind: Peer
metadata: {name: i2}
spec: {address: 10.0.0.22, asn: internal}
---
apiVersion: routelet.dev/v1alpha1
kind: RoutePolicy
metadata: {name: filter}
spec: {rules: [{name: private, match: {prefixes: [{cidr: 192.168.0.0/16, orLonger: true}]}, action: Reject}]}
---
apiVersion: routelet.dev/v1alpha1
kind: Advertisement
metadata: {name: static}
spec: {prefixes: [203.0.113.0/24], peerSelector: {matchLabels: {role: tor}}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {type: LoadBalancer}
status: {loadBalancer: {ingress: [{ip: 203.0.114.10}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
endpoints: [{addresses: [10.244.1.5], nodeName: node-1, conditions: {ready: true}}]
"#;

const PODS: &str = "10.244.1.0/24";

fn kernel() -> Vec<Event> {
    let mut all = vec![link(2, "eth0"), link(3, "eth1")];
    all.extend(address(2, "10.0.0.11/24"));
    all.extend(address(3, "192.0.2.11/26"));
    all
}

/// Why a prefix is, or is not, advertised to a peer.
fn reason(world: &World, peer: &str, prefix: &str) -> Reason {
    let answer = world.explain(prefix);
    let found = answer.peers.iter().find(|one| one.peer == peer);
    let found = found.unwrap_or_else(|| panic!("{answer:#?}"));
    assert_eq!(found.advertised, found.reason.code == Code::BestPath);
    found.reason.clone()
}

fn world() -> World {
    let mut world = World::new(MANIFESTS, kernel(), Phase::default());
    let next_hops = [(Family::IPV4_UNICAST, Afi::IPV6)];
    let over_ipv6 = Capability::ExtendedNextHop(next_hops.to_vec());
    world.up("a", 64500, &[over_ipv6, Capability::ExtendedMessage]);
    world.up("b", 64501, &[]);
    world.up("provider", 64502, &[]);
    let ipv4 = Capability::Multiprotocol(Family::IPV4_UNICAST);
    world.up("ipv4", 64504, &[ipv4]);
    world.up("i1", 64512, &[]);
    world.up("i2", 64512, &[]);
    world
}

pub(super) fn found() -> Found {
    let mut found = vec![(Code::GateClosed, with_closed_gate())];
    let mut world = world();
    found.extend(of_sessions(&world));
    found.extend(of_attributes(&mut world));
    found.extend(of_next_hops_and_policies(&mut world));
    found.extend(without_transit());
    found.push((Code::NextHopOfOtherFamily, of_other_family()));
    found.push((Code::LongLivedStale, stale()));
    found
}

fn with_closed_gate() -> Reason {
    let mut world = World::closed(MANIFESTS, kernel(), Phase::default());
    world.up("b", 64501, &[]);
    reason(&world, "b", PODS)
}

/// Of what the session with a peer allows.
fn of_sessions(world: &World) -> Found {
    [
        (Code::BestPath, "b", PODS),
        (Code::NotEstablished, "away", PODS),
        (Code::FamilyNotNegotiated, "ipv4", "2001:db8:f::/64"),
        (Code::NoNextHop, "b", "2001:db8:f::/64"),
        (Code::NotOffered, "ipv4", "203.0.113.0/24"),
    ]
    .into_iter()
    .map(|(code, peer, prefix)| (code, reason(world, peer, prefix)))
    .collect()
}

/// Of a route's attributes, which peer a sends.
fn of_attributes(world: &mut World) -> Found {
    let with = |communities: Vec<Community>| PathAttributes {
        communities,
        ..path(&[64500])
    };
    let marked = PathAttributes {
        only_to_customer: Some(Asn(64500)),
        ..path(&[64500])
    };
    let many = (0..1_100).map(|n| Community(0x7000_0000 + n)).collect();
    let no_export_subconfed = with(vec![Community::NO_EXPORT_SUBCONFED]);
    [
        (Code::SourcePeer, "a", path(&[64500])),
        (Code::NoRoute, "b", path(&[64500, 64512])),
        (Code::NoAdvertise, "b", with(vec![Community::NO_ADVERTISE])),
        (Code::NoExport, "b", with(vec![Community::NO_EXPORT])),
        (Code::NoExportSubconfed, "b", no_export_subconfed),
        (Code::OnlyToCustomer, "provider", marked),
        (Code::TooLarge, "b", with(many)),
    ]
    .into_iter()
    .zip(0..)
    .map(|((code, peer, attributes), at)| {
        let prefix = format!("198.51.100.{at}/32");
        world.announce("a", &prefix, "192.0.2.1", &attributes);
        (code, reason(world, peer, &prefix))
    })
    .collect()
}

fn of_next_hops_and_policies(world: &mut World) -> Found {
    let internal = PathAttributes {
        local_pref: Some(100),
        ..path(&[])
    };
    let (external, own) = (path(&[64500]), "198.51.100.7/32");
    let (refused, of_client) = ("192.168.1.0/24", "198.51.100.8/32");
    world.announce("a", own, "192.0.2.2", &external);
    world.announce("a", refused, "192.0.2.1", &external);
    world.announce("i1", of_client, "10.0.0.21", &internal);
    vec![
        (Code::PeerIsNextHop, reason(world, "b", own)),
        (Code::ExportPolicy, reason(world, "b", refused)),
        (Code::NotReflected, reason(world, "i2", of_client)),
    ]
}

/// Of a node that passes nothing on, as other nodes know.
fn without_transit() -> Found {
    let manifests = MANIFESTS.replace("  transit: true\n", "");
    let mut world = World::new(&manifests, kernel(), Phase::default());
    world.up("a", 64500, &[]);
    world.up("b", 64501, &[]);
    world.up("mesh/node-2", 64512, &[]);
    world.announce("a", "198.51.100.0/24", "192.0.2.1", &path(&[64500]));
    let known = reason(&world, "mesh/node-2", "203.0.114.10/32");
    vec![
        (Code::NoTransit, reason(&world, "b", "198.51.100.0/24")),
        (Code::KnownToNode, known),
    ]
}

/// An IPv4 route over IPv6, for an internal peer that did not negotiate that. The next hop is passed on.
fn of_other_family() -> Reason {
    let mut events = kernel();
    events.extend(address(3, "2001:db8:0:1::11/64"));
    let mut world = World::new(MANIFESTS, events, Phase::default());
    let next_hops = [(Family::IPV4_UNICAST, Afi::IPV6)];
    let over_ipv6 = Capability::ExtendedNextHop(next_hops.to_vec());
    world.up("a", 64500, &[over_ipv6]);
    world.up("i1", 64512, &[]);
    world.announce("a", "198.51.100.0/24", "2001:db8:0:1::1", &path(&[64500]));
    reason(&world, "i1", "198.51.100.0/24")
}

/// A route of a peer that has been away for longer than its restart time, for one that does not know what that is.
fn stale() -> Reason {
    let (family, forwarding) = (Family::IPV4_UNICAST, true);
    let capabilities = [
        Capability::GracefulRestart(GracefulRestart {
            restarting: false,
            notification: false,
            restart_time: 30,
            families: vec![(family, forwarding)],
        }),
        Capability::LongLivedGracefulRestart(vec![LongLivedFamily {
            family,
            forwarding,
            stale_time: 3600,
        }]),
    ];
    let mut world = World::new(MANIFESTS, kernel(), Phase::default());
    world.up("a", 64500, &capabilities);
    world.up("b", 64501, &[]);
    world.announce("a", "198.51.100.0/24", "192.0.2.1", &path(&[64500]));
    world.down("a", &Down::TransportFailed);
    world.wait(Duration::from_secs(31));
    reason(&world, "b", "198.51.100.0/24")
}
