//! Which prefixes may be announced, whatever asks for them, and by which rule not.
#![allow(clippy::unwrap_used)]

use routelet_api::text::Address;
use routelet_api::{PeerSpec, ValueFrom};

use super::*;
use crate::cluster::{ClusterState, Object};
use crate::intent::{Gateway, Interface, LocalFacts};

const STATIC: Origin = Origin::Static {
    default_route: false,
};

/// The ways in which a prefix comes about, with the words of the table below.
const ORIGINS: [(Origin, &str); 5] = [
    (Origin::PodCidr, "pods"),
    (STATIC, "static"),
    (Origin::Interface, "interface"),
    (Origin::Service, "service"),
    (Origin::Aggregate, "aggregate"),
];

fn node(name: &str, internal: &[&str], other: &[&str], pods: &[&str]) -> Node {
    let addresses = |all: &[&str]| all.iter().map(|a| a.parse().unwrap()).collect();
    Node {
        name: name.to_owned(),
        internal_ips: addresses(internal),
        other_ips: addresses(other),
        pod_cidrs: pods.iter().map(|cidr| cidr.parse().unwrap()).collect(),
        ..Node::default()
    }
}

fn peer(name: &str, change: impl FnOnce(&mut PeerSpec)) -> Object<PeerSpec> {
    let mut spec = PeerSpec::default();
    change(&mut spec);
    Object {
        name: name.to_owned(),
        spec,
        ..Object::default()
    }
}

/// Node `here` on 10.0.0.0/24 and fd00::/64 with its router, another node beside it, and one far away.
fn cluster() -> (ClusterState, LocalFacts) {
    let mut state = ClusterState::default();
    let mut far = node(
        "far",
        &["10.9.0.12"],
        &["192.0.2.12"],
        &["10.244.3.0/24", "fd00:244:3::/64"],
    );
    far.annotations = [("tor".into(), "10.9.0.1".into())].into_iter().collect();
    let nodes = [
        node(
            "here",
            &["10.0.0.11", "fd00::11"],
            &["192.0.2.11"],
            &["10.244.1.0/24", "fd00:244:1::/64"],
        ),
        node(
            "beside",
            &["10.0.0.12", "fd00::12"],
            &[],
            &["10.244.2.0/24"],
        ),
        far,
    ];
    for node in nodes {
        state.nodes.insert(node.name.clone(), node.into());
    }
    let peers = [
        peer("tor", |spec| {
            spec.address = Some(Address([10, 0, 0, 1].into()));
            spec.local_address = Some(Address([192, 0, 2, 99].into()));
        }),
        peer("rack", |spec| {
            spec.address_from = Some(ValueFrom {
                node_annotation: Some("tor".to_owned()),
                ..ValueFrom::default()
            });
        }),
    ];
    for peer in peers {
        state.peers.insert(peer.name.clone(), peer.into());
    }
    let interface = |name: &str, addresses: &[&str]| Interface {
        name: name.to_owned(),
        addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
        up: true,
    };
    let facts = LocalFacts {
        interfaces: vec![
            interface("cni0", &["10.244.1.1/24"]),
            interface("eth0", &["10.0.0.11/24", "203.0.113.77/32", "fd00::11/64"]),
            interface("eth1", &["10.7.0.5/16"]),
            interface("kube-ipvs0", &["203.0.113.78/32", "2001:db8::78/128"]),
            interface("lo", &["127.0.0.1/8", "203.0.113.79/24"]),
        ],
        connects_pods: false,
        gateways: vec![Gateway {
            address: [10, 7, 0, 1].into(),
            interface: "eth1".to_owned(),
        }],
        ..LocalFacts::default()
    };
    (state, facts)
}

/// The rule by which a prefix is refused; `-`: it is not.
fn judged(origin: Origin, prefix: &str) -> String {
    let (state, facts) = cluster();
    let claims = Claims::new(&state, &state.nodes["here"], &facts);
    let prefix: IpNet = prefix.parse().unwrap();
    match claims.judge(&state.nodes["here"], origin, prefix) {
        Ok(announceable) => {
            assert_eq!(announceable.prefix(), prefix);
            "-".to_owned()
        }
        Err(rule) => {
            assert!(rule.is_refusal());
            rule.code().to_string()
        }
    }
}

#[test]
fn every_prefix_is_refused_by_the_rule_that_says_why_whatever_asks_for_it() {
    let node = "nodeAddress";
    let peer = "peerAddress";
    let gateway = "gatewayAddress";
    let interface = "interfaceAddress";
    let pods = "otherNodesPodCidr";
    let covers = "aggregateCoversAddress";
    let over = "aggregateCoversPodCidr";
    let part = "coversAddress";
    let table: &[(&str, [&str; 5])] = &[
        // What nobody has.
        ("203.0.113.1/32", ["-"; 5]),
        ("2001:db8::1/128", ["-"; 5]),
        ("203.0.113.0/24", ["-"; 5]),
        // Bound to lo, to kube-proxy's interface, or with the length of a host: on purpose.
        ("203.0.113.77/32", ["-"; 5]),
        ("203.0.113.78/32", ["-"; 5]),
        ("2001:db8::78/128", ["-"; 5]),
        ("203.0.113.79/32", ["-"; 5]),
        // This node's own, another Node's beside it and far away; of any type.
        ("10.0.0.11/32", ["-", "-", "-", node, covers]),
        ("192.0.2.11/32", ["-", "-", "-", node, covers]),
        ("fd00::11/128", ["-", "-", "-", node, covers]),
        ("10.0.0.12/32", [part, node, node, node, covers]),
        ("fd00::12/128", [part, node, node, node, covers]),
        ("10.9.0.12/32", ["-", node, node, node, covers]),
        ("192.0.2.12/32", ["-", node, node, node, covers]),
        // Peers, also those of other nodes; the nodes' end of a session; gateways; interfaces.
        ("10.0.0.1/32", [part, peer, "-", peer, covers]),
        ("10.9.0.1/32", ["-", peer, "-", peer, covers]),
        ("192.0.2.99/32", ["-", "-", "-", peer, covers]),
        ("10.7.0.1/32", [part, gateway, "-", gateway, covers]),
        ("10.7.0.5/32", ["-", "-", "-", interface, covers]),
        // An address of a connected network that nobody has.
        ("10.0.0.200/32", ["-"; 5]),
        ("10.0.0.192/26", ["-"; 5]),
        // Networks: as a whole, more than it, a part with and without somebody in it.
        ("10.0.0.0/24", ["-", "-", "-", "-", covers]),
        ("10.0.0.0/16", ["-", "-", "-", "-", covers]),
        ("10.0.0.0/8", ["-", "-", "-", "-", over]),
        ("10.0.0.0/25", [part, part, "-", "-", covers]),
        ("10.7.0.0/24", ["-", part, "-", "-", covers]),
        ("10.9.0.0/28", ["-", "-", "-", "-", covers]),
        // Pods: this node's, another's, parts, and more.
        ("10.244.1.0/24", ["-", "-", "-", "-", over]),
        ("10.244.1.7/32", ["-", "-", "-", "-", over]),
        ("10.244.1.1/32", ["-", "-", "-", interface, over]),
        ("10.244.2.7/32", ["-", pods, pods, pods, over]),
        ("10.244.2.0/24", ["-", pods, pods, pods, over]),
        ("fd00:244:3::1/128", ["-", pods, pods, pods, over]),
        ("10.244.0.0/16", ["-", "-", "-", "-", over]),
        // What is nobody's, ever.
        ("0.0.0.0/0", ["defaultRoute"; 5]),
        ("::/0", ["defaultRoute"; 5]),
        ("0.0.0.0/32", ["notRoutable"; 5]),
        ("0.1.0.0/16", ["notRoutable"; 5]),
        ("127.0.0.1/32", ["notRoutable"; 5]),
        ("127.0.0.0/8", ["notRoutable"; 5]),
        ("169.254.7.7/32", ["notRoutable"; 5]),
        ("224.0.0.1/32", ["notRoutable"; 5]),
        ("240.0.0.1/32", ["notRoutable"; 5]),
        ("255.255.255.255/32", ["notRoutable"; 5]),
        ("::/128", ["notRoutable"; 5]),
        ("::1/128", ["notRoutable"; 5]),
        ("::ffff:192.0.2.1/128", ["notRoutable"; 5]),
        ("fe80::1/128", ["notRoutable"; 5]),
        ("ff02::1/128", ["notRoutable"; 5]),
        ("64:ff9b::/96", ["-"; 5]),
        ("128.0.0.0/1", ["-", "-", "-", "-", covers]),
    ];
    for (prefix, expected) in table {
        let found = ORIGINS.map(|(origin, _)| judged(origin, prefix));
        let names = ORIGINS.map(|(_, name)| name);
        assert_eq!(found, *expected, "{prefix} by {names:?}");
    }
}

#[test]
fn a_default_route_may_be_announced_where_that_is_said() {
    let said = Origin::Static {
        default_route: true,
    };
    for (prefix, expected) in [
        ("0.0.0.0/0", "-"),
        ("::/0", "-"),
        ("127.0.0.0/8", "notRoutable"),
        ("10.0.0.12/32", "nodeAddress"),
    ] {
        assert_eq!(judged(said, prefix), expected, "{prefix}");
    }
}

#[test]
fn a_rule_names_whose_the_address_is() {
    let (state, facts) = cluster();
    let here = &state.nodes["here"];
    let claims = Claims::new(&state, here, &facts);
    for (origin, prefix, expected) in [
        (Origin::Service, "10.0.0.12/32", "an address of Node beside"),
        (Origin::Service, "10.0.0.1/32", "the address of Peer tor"),
        (Origin::Service, "10.9.0.1/32", "the address of Peer rack"),
        (
            Origin::Service,
            "192.0.2.99/32",
            "the localAddress of Peer tor",
        ),
        (
            Origin::Service,
            "10.7.0.1/32",
            "the address of the default gateway on eth1",
        ),
        (
            Origin::Service,
            "10.7.0.5/32",
            "an address of interface eth1 of this node",
        ),
        (
            STATIC,
            "10.0.0.0/28",
            "a part of a network that this node is connected to, with 10.0.0.1 in it, the address of Peer tor",
        ),
        (
            Origin::Aggregate,
            "10.0.0.0/24",
            "the aggregate covers 10.0.0.1, the address of Peer tor; exact routes are advertised",
        ),
    ] {
        let rule = claims
            .judge(here, origin, prefix.parse().unwrap())
            .unwrap_err();
        assert_eq!(rule.to_string(), expected, "{prefix}");
    }
}

/// An address that a pod's end of a session, a virtual node or a router in a pod has lies in this node's pod CIDR.
#[test]
fn pods_that_are_nodes_or_routers_do_not_cost_their_node_its_pod_cidr() {
    let (mut state, facts) = cluster();
    let virtual_node = node("virtual", &["10.244.1.9"], &[], &[]);
    state
        .nodes
        .insert("virtual".to_owned(), virtual_node.into());
    let router = peer("router", |spec| {
        spec.address = Some(Address([10, 244, 1, 8].into()));
    });
    state.peers.insert(router.name.clone(), router.into());
    let here = &state.nodes["here"];
    let claims = Claims::new(&state, here, &facts);
    let pods = "10.244.1.0/24".parse().unwrap();
    assert!(claims.judge(here, Origin::PodCidr, pods).is_ok());
}

/// The router of a rack stands in the annotations of several Nodes.
#[test]
fn an_address_is_somebodys_as_long_as_one_reason_for_it_is_left() {
    let (mut state, facts) = cluster();
    let far = Node::clone(&state.nodes["far"]);
    let near = Node {
        name: "near".to_owned(),
        annotations: far.annotations.clone(),
        ..Node::default()
    };
    state.nodes.insert("near".to_owned(), near.clone().into());
    let here = Node::clone(&state.nodes["here"]);
    let mut claims = Claims::new(&state, &here, &facts);
    let rack = "10.9.0.1".parse().unwrap();
    let mut leaves = |node: &Node| {
        let differing = claims.follow_node(&state, [Some(node), None]);
        assert!(differing.addresses.contains(&rack));
        let judged = claims.judge(&here, Origin::Service, IpNet::from(rack));
        judged.map_err(|rule| rule.to_string())
    };
    assert_eq!(leaves(&near), Err("the address of Peer rack".to_owned()));
    assert!(leaves(&far).is_ok());
}
