//! Why a path is the best, and why one is not usable.

use std::time::Duration;

use bgp::fsm::Down;
use bgp::types::{BgpIdentifier, Community, Family, LargeCommunity};
use bgp::wire::PathAttributes;
use bgp::wire::attribute::Origin;
use bgp::wire::capability::{AddPathMode, Capability, GracefulRestart, LongLivedFamily};
use routelet_control::model::{Reason, ReasonCode as Code};
use routelet_core::intent::Phase;
use routelet_fib::kernel::event::Event;

use super::events::{address, link, route};
use super::reasons::Found;
use super::session::path;
use super::world::World;

/// A node with external peers of two ASes and internal ones.
const MANIFESTS: &str = r#"
apiVersion: v1
kind: Node
metadata: {name: node-1}
status: {addresses: [{type: InternalIP, address: 10.0.0.11}]}
---
apiVersion: routelet.dev/v1alpha1
kind: Router
metadata: {name: default}
spec:
  asn: 64512
  routerID: 10.0.0.11
  clusterID: 10.0.0.99
  mesh: {enabled: false}
  gracefulRestart: {restartTime: 60s, longLivedStaleTime: 1h}
  fib: {resolveViaDefaultRoute: false}
---
apiVersion: routelet.dev/v1alpha1
kind: Peer
metadata: {name: a1}
spec: {address: 192.0.2.1, asn: 64500, import: [filter], maxNextHops: 2, attributeFilter: {treatAsWithdraw: [32]}}
---
apiVersion: routelet.dev/v1alpha1
kind: Peer
metadata: {name: a2}
spec: {address: 192.0.2.2, asn: 64500, addPath: {receive: true}}
---
apiVersion: routelet.dev/v1alpha1
kind: Peer
metadata: {name: b1}
spec: {address: 192.0.2.3, asn: 64503}
---
apiVersion: routelet.dev/v1alpha1
kind: Peer
metadata: {name: customer}
spec: {address: 192.0.2.4, asn: 64504, role: Provider}
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
spec:
  rules:
  - {name: private, match: {prefixes: [{cidr: 192.168.0.0/16, orLonger: true}]}, action: Reject}
  - name: mark
    match: {prefixes: [{cidr: 198.51.100.128/25, orLonger: true}]}
    action: Accept
    set: {addCommunities: ["1:1", "1:2", "1:3", "1:4", "1:5", "1:6", "1:7", "1:8", "1:9", "1:10", "1:11", "1:12", "1:13",
                           "1:14", "1:15", "1:16", "1:17", "1:18", "1:19", "1:20", "1:21", "1:22", "1:23", "1:24", "1:25"]}
---
apiVersion: routelet.dev/v1alpha1
kind: Advertisement
metadata: {name: static}
spec: {prefixes: [203.0.113.0/24]}
"#;

fn kernel() -> Vec<Event> {
    let mut all = vec![
        link(2, "eth0"),
        link(3, "eth1"),
        route("0.0.0.0/0", Some("10.0.0.1"), 2, 4, 100),
        route("172.16.1.0/24", Some("10.0.0.2"), 2, 4, 10),
        route("172.16.2.0/24", Some("10.0.0.2"), 2, 4, 20),
    ];
    all.extend(address(2, "10.0.0.11/24"));
    all.extend(address(3, "192.0.2.11/26"));
    all
}

/// Graceful restart and its long-lived form.
fn long_lived() -> [Capability; 2] {
    let (family, forwarding) = (Family::IPV4_UNICAST, true);
    [
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
    ]
}

fn world() -> World {
    let mut world = World::new(MANIFESTS, kernel(), Phase::default());
    let mut capabilities = long_lived().to_vec();
    capabilities.push(Capability::ExtendedMessage);
    world.up("a1", 64500, &capabilities);
    let several = AddPathMode::Send;
    let families = Family::ALL.map(|family| (family, several));
    world.up("a2", 64500, &[Capability::AddPath(families.to_vec())]);
    world.up("b1", 64503, &[]);
    world.up("customer", 64504, &[]);
    world.up("i1", 64512, &[]);
    world.up("i2", 64512, &[]);
    world
}

/// A route of a route server, which is none any more: the check comes into force before the session is reset.
fn first_as() -> Reason {
    let server = MANIFESTS.replace(
        "asn: 64504, role: Provider",
        "asn: 64504, role: RouteServerClient",
    );
    let mut world = World::new(&server, kernel(), Phase::default());
    world.up("customer", 64504, &[]);
    world.announce("customer", "198.51.100.0/32", "192.0.2.4", &path(&[64510]));
    assert_eq!(reason(&world, "198.51.100.0/32", 0).code, Code::OnlyPath);
    world.replan(MANIFESTS);
    reason(&world, "198.51.100.0/32", 0)
}

/// Attributes of a route of an internal peer.
fn internal(asns: &[u32], local_pref: u32) -> PathAttributes {
    PathAttributes {
        local_pref: Some(local_pref),
        ..path(asns)
    }
}

/// Why the path at a place of the answer stands there.
fn reason(world: &World, prefix: &str, at: usize) -> Reason {
    let answer = world.explain(prefix);
    let path = answer.paths.get(at);
    path.unwrap_or_else(|| panic!("{answer:#?}"))
        .reason
        .clone()
        .unwrap()
}

pub(super) fn found() -> Found {
    let mut found = decided();
    found.extend(rejected());
    found
}

/// One prefix for each step of the decision process, in which two paths differ there first.
fn decided() -> Found {
    let mut world = world();
    let w = &mut world;
    let net = |at: usize| format!("198.51.100.{at}/32");
    let steps = [
        Code::OnlyPath,
        Code::HigherLocalPreference,
        Code::ShorterAsPath,
        Code::LowerOrigin,
        Code::LowerMed,
        Code::ExternalOverInternal,
        Code::LowerIgpCost,
        Code::LowerBgpIdentifier,
        Code::ShorterClusterList,
        Code::LowerPeerAddress,
        Code::LowerPathId,
    ];
    w.announce("b1", &net(0), "192.0.2.3", &path(&[64503]));
    w.announce("i1", &net(1), "10.0.0.21", &internal(&[], 200));
    w.announce("i2", &net(1), "10.0.0.22", &internal(&[], 100));
    w.announce("b1", &net(2), "192.0.2.3", &path(&[64503]));
    w.announce("a2", &net(2), "192.0.2.2", &path(&[64500, 64510]));
    w.announce("b1", &net(3), "192.0.2.3", &path(&[64503]));
    let incomplete = PathAttributes {
        origin: Some(Origin::Incomplete),
        ..path(&[64500])
    };
    w.announce("a2", &net(3), "192.0.2.2", &incomplete);
    for (peer, next_hop, med) in [("a1", "192.0.2.1", 10), ("a2", "192.0.2.2", 20)] {
        let med = PathAttributes {
            med: Some(med),
            ..path(&[64500])
        };
        w.announce(peer, &net(4), next_hop, &med);
    }
    w.announce("b1", &net(5), "192.0.2.3", &path(&[64503]));
    w.announce("i1", &net(5), "10.0.0.21", &internal(&[64503], 100));
    w.announce("i1", &net(6), "172.16.1.1", &internal(&[], 100));
    w.announce("i2", &net(6), "172.16.2.1", &internal(&[], 100));
    w.announce("b1", &net(7), "192.0.2.3", &path(&[64503]));
    w.announce("a2", &net(7), "192.0.2.2", &path(&[64500]));
    for (place, first) in [(8, vec![1]), (9, vec![1, 2])] {
        for (peer, next_hop, clusters) in [
            ("i1", "10.0.0.21", first.clone()),
            ("i2", "10.0.0.22", vec![3, 4]),
        ] {
            let reflected = PathAttributes {
                originator_id: Some(BgpIdentifier(77)),
                cluster_list: clusters.into_iter().map(BgpIdentifier).collect(),
                ..internal(&[], 100)
            };
            w.announce(peer, &net(place), next_hop, &reflected);
        }
    }
    for path_id in [1, 2] {
        w.announce_path("a2", &net(10), path_id, "192.0.2.2", &path(&[64500]));
    }
    let mut found: Found = steps
        .into_iter()
        .enumerate()
        .map(|(at, code)| (code, reason(w, &net(at), 0)))
        .collect();
    // The loser says the same of itself.
    assert_eq!(reason(w, &net(2), 1).code, Code::ShorterAsPath);

    w.announce("b1", "203.0.113.0/24", "192.0.2.3", &path(&[64503]));
    found.push((Code::LocalRoute, reason(w, "203.0.113.0/24", 0)));

    w.announce("a1", &net(20), "192.0.2.1", &path(&[64500]));
    w.announce("b1", &net(20), "192.0.2.3", &path(&[64503, 64504, 64505]));
    w.down("a1", &Down::TransportFailed);
    w.wait(Duration::from_secs(31));
    found.push((Code::NotLongLivedStale, reason(w, &net(20), 0)));
    found
}

/// Paths that are not usable, one prefix each.
fn rejected() -> Found {
    let mut world = world();
    let w = &mut world;
    let mut found = Found::new();
    let mut look = |w: &World, code, prefix: &str| found.push((code, reason(w, prefix, 0)));
    w.announce("b1", "198.51.100.0/32", "192.0.2.3", &path(&[64503, 64512]));
    look(w, Code::OwnAs, "198.51.100.0/32");
    let originator = PathAttributes {
        originator_id: Some("10.0.0.11".parse().unwrap()),
        ..internal(&[], 100)
    };
    w.announce("i1", "198.51.100.1/32", "10.0.0.21", &originator);
    look(w, Code::OwnOriginator, "198.51.100.1/32");
    let cluster = PathAttributes {
        originator_id: Some(BgpIdentifier(77)),
        cluster_list: vec!["10.0.0.99".parse().unwrap()],
        ..internal(&[], 100)
    };
    w.announce("i1", "198.51.100.2/32", "10.0.0.21", &cluster);
    look(w, Code::OwnCluster, "198.51.100.2/32");
    let leak = PathAttributes {
        only_to_customer: Some(bgp::types::Asn(64510)),
        ..path(&[64504])
    };
    w.announce("customer", "198.51.100.3/32", "192.0.2.4", &leak);
    look(w, Code::RouteLeak, "198.51.100.3/32");
    w.announce("a1", "192.168.1.0/24", "192.0.2.1", &path(&[64500]));
    look(w, Code::ImportPolicy, "192.168.1.0/24");
    let long = PathAttributes {
        communities: (0..16_360).map(|n| Community(0x7000_0000 + n)).collect(),
        ..path(&[64500])
    };
    w.announce("a1", "198.51.100.130/32", "192.0.2.1", &long);
    look(w, Code::AttributeTooLong, "198.51.100.130/32");
    let filtered = PathAttributes {
        large_communities: vec![LargeCommunity {
            global: 64500,
            local1: 1,
            local2: 2,
        }],
        ..path(&[64500])
    };
    w.announce("a1", "198.51.100.4/32", "192.0.2.1", &filtered);
    look(w, Code::AttributeFilter, "198.51.100.4/32");
    for (at, next_hop) in [(5, "192.0.2.5"), (6, "192.0.2.6")] {
        let prefix = format!("198.51.100.{at}/32");
        w.announce("a1", &prefix, next_hop, &path(&[64500]));
    }
    look(w, Code::NextHopLimit, "198.51.100.6/32");
    w.announce("i1", "198.51.100.7/32", "172.31.0.1", &internal(&[], 100));
    look(w, Code::NextHopByDefaultRoute, "198.51.100.7/32");
    w.announce(
        "i1",
        "2001:db8:7::/48",
        "2001:db8:99::7",
        &internal(&[], 100),
    );
    look(w, Code::NextHopUnreachable, "2001:db8:7::/48");
    found.push((Code::FirstAs, first_as()));
    found
}
