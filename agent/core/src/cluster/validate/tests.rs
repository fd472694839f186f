//! What cannot be said of a peer's attributes, nor of the table that refuses.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use routelet_api::{PeerSpec, RouterSpec};

use super::{Validate, selections};
use crate::cluster::manifests;

/// What is wrong with this filter, as `path: reason`.
fn found(filter: Value, role: Option<&str>) -> Vec<String> {
    let mut spec = json!({"address": "192.0.2.1", "asn": 64500, "attributeFilter": filter});
    if let Some(role) = role {
        spec["role"] = json!(role);
    }
    let spec: PeerSpec = serde_json::from_value(spec).unwrap();
    let findings = spec.validate();
    let texts = findings.iter().map(|f| format!("{}: {}", f.path, f.reason));
    texts.collect()
}

#[test]
fn a_filter_of_attributes_takes_codes_and_names() {
    for good in [
        json!({}),
        json!({"discard": [40, "prefix-sid", 99, "OTC"], "treatAsWithdraw": ["AIGP", "as4-path"]}),
        json!({"accept": ["PrefixSID", 23]}),
        json!({"treatAsWithdraw": ["OriginatorID", "ClusterList"]}),
    ] {
        assert_eq!(found(good, None), Vec::<String>::new());
    }
    assert!(found(json!({"treatAsWithdraw": ["OTC"]}), Some("Peer")).is_empty());
}

#[test]
fn what_every_route_needs_is_neither_discarded_nor_withdrawn() {
    for name in [
        "Origin",
        "ASPath",
        "NextHop",
        "MPReachNLRI",
        "MPUnreachNLRI",
    ] {
        assert_eq!(
            found(json!({"discard": [99, name]}), None),
            [format!(
                "spec.attributeFilter.discard[1]: {name} cannot be discarded: every route needs it: no route would \
                 be left"
            )]
        );
        assert_eq!(
            found(json!({"treatAsWithdraw": [name]}), None),
            [format!(
                "spec.attributeFilter.treatAsWithdraw[0]: {name} is in every route: all routes of the peer would be \
                 withdrawn"
            )]
        );
    }
}

#[test]
fn what_keeps_loops_and_leaks_out_is_not_discarded() {
    for name in ["AS4Path", "OriginatorID", "ClusterList"] {
        let findings = found(json!({"discard": [name]}), None);
        assert!(findings[0].contains("routing loops"), "{findings:?}");
    }
    let findings = found(json!({"discard": [35]}), Some("Provider"));
    assert!(findings[0].contains("RFC 9234"), "{findings:?}");
}

#[test]
fn one_attribute_stands_in_one_list() {
    let both = json!({"discard": [99, 40], "treatAsWithdraw": ["PrefixSID"]});
    assert_eq!(
        found(both, None),
        ["spec.attributeFilter.treatAsWithdraw[0]: PrefixSID is also in discard: list it once"]
    );
    for list in ["discard", "treatAsWithdraw"] {
        let both = json!({list: [40], "accept": [40]});
        assert_eq!(
            found(both, None),
            [
                "spec.attributeFilter.accept[0]: PrefixSID is also in discard or treatAsWithdraw: list it once"
            ]
        );
    }
    assert_eq!(
        found(json!({"accept": ["AIGP", 99]}), None),
        ["AIGP", "99"].iter().enumerate().map(|(at, name)| format!(
            "spec.attributeFilter.accept[{at}]: {name} is always accepted, or never used: expected \
             TunnelEncapsulation or PrefixSID"
        )).collect::<Vec<_>>()
    );
}

const NODES_AND_SERVICES: &str = r#"
---
apiVersion: v1
kind: Node
metadata: {name: n1, labels: {rack: a}}
---
apiVersion: v1
kind: Service
metadata: {name: s, namespace: shop, labels: {expose: public}}
---
apiVersion: routelet.dev/v1alpha1
kind: Router
metadata: {name: plain}
spec: {defaultAdvertisement: {enabled: false}}
---
apiVersion: routelet.dev/v1alpha1
kind: Peer
metadata: {name: tor, labels: {role: tor}}
spec: {address: 192.0.2.1, asn: 64500}
"#;

/// What is said of the selectors of one more object.
fn selected(others: &str, kind: &str, spec: &str) -> Vec<String> {
    let object = format!(
        "---\napiVersion: routelet.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: x}}\nspec: {spec}\n"
    );
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(
        directory.path().join("all.yaml"),
        others.to_owned() + &object,
    )
    .unwrap();
    let state = manifests::load(directory.path()).unwrap().state;
    let found = selections(&state);
    let texts = found
        .iter()
        .map(|(object, finding)| format!("{object}: {}: {}", finding.path, finding.reason));
    texts.collect()
}

#[test]
fn a_selector_that_selects_nothing_is_named() {
    let peer =
        |more: &str| format!("{{asn: internal, nodes: {{selector: {{matchLabels: {{{more}}}}}}}}}");
    for (kind, good, bad, expected) in [
        (
            "Router",
            "{nodeSelector: {matchLabels: {rack: a}}}".to_owned(),
            "{nodeSelector: {matchLabels: {rack: b}}}".to_owned(),
            "Router x: spec.nodeSelector: selects no Node: compare it with the labels of the Node objects",
        ),
        (
            "Peer",
            "{nodeSelector: {matchLabels: {rack: a}}, address: 192.0.2.9, asn: 1}".to_owned(),
            "{nodeSelector: {matchLabels: {rack: b}}, address: 192.0.2.9, asn: 1}".to_owned(),
            "Peer x: spec.nodeSelector: selects no Node: compare it with the labels of the Node objects",
        ),
        (
            "Peer",
            peer("rack: a"),
            peer("rack: b"),
            "Peer x: spec.nodes.selector: selects no Node: compare it with the labels of the Node objects",
        ),
        (
            "Advertisement",
            "{podCIDRs: {}, nodeSelector: {matchLabels: {rack: a}}}".to_owned(),
            "{podCIDRs: {}, nodeSelector: {matchLabels: {rack: b}}}".to_owned(),
            "Advertisement x: spec.nodeSelector: selects no Node: compare it with the labels of the Node objects",
        ),
        (
            "Advertisement",
            "{podCIDRs: {}, peerSelector: {matchLabels: {role: tor}}}".to_owned(),
            "{podCIDRs: {}, peerSelector: {matchLabels: {role: tower}}}".to_owned(),
            "Advertisement x: spec.peerSelector: selects no Peer: compare it with the labels of the Peer objects",
        ),
        (
            "Advertisement",
            "{services: {selector: {matchLabels: {expose: public}}}}".to_owned(),
            "{services: {selector: {matchLabels: {expose: publik}}}}".to_owned(),
            "Advertisement x: spec.services: selects no Service: compare it with the labels of the Service objects",
        ),
        (
            "Advertisement",
            "{interfaces: [eth1]}".to_owned(),
            "{attributes: {med: 1}}".to_owned(),
            "Advertisement x: spec: advertises nothing: set podCIDRs, services, prefixes or interfaces",
        ),
        (
            "Advertisement",
            "{services: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: shop}}}}"
                .to_owned(),
            "{services: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: shops}}}}"
                .to_owned(),
            "Advertisement x: spec.services: selects no Service: compare it with the labels of the Service objects",
        ),
    ] {
        assert_eq!(selected(NODES_AND_SERVICES, kind, &good), [""; 0], "{good}");
        assert_eq!(
            selected(NODES_AND_SERVICES, kind, &bad),
            [expected],
            "{bad}"
        );
    }
}

#[test]
fn an_advertisement_that_restricts_nothing_beside_the_default_is_named() {
    let enabled = NODES_AND_SERVICES.replace("enabled: false", "enabled: true");
    for (spec, restricts) in [
        ("{services: {}}", false),
        ("{podCIDRs: {}}", false),
        ("{services: {addresses: [External]}, podCIDRs: {}}", false),
        (
            "{services: {selector: {matchLabels: {expose: public}}}}",
            true,
        ),
        (
            "{services: {namespaceSelector: {matchExpressions: [{key: x, operator: DoesNotExist}]}}}",
            true,
        ),
        ("{services: {}, aggregate: {ipv4: 24}}", true),
    ] {
        let found = selected(&enabled, "Advertisement", spec);
        assert_eq!(found.len(), usize::from(restricts), "{spec}: {found:?}");
        assert!(found.iter().all(|text| text.contains("restricts nothing")));
        assert_eq!(selected(NODES_AND_SERVICES, "Advertisement", spec), [""; 0]);
    }
}

#[test]
fn selectors_are_not_judged_by_objects_that_no_source_has() {
    let everything = "{podCIDRs: {}, nodeSelector: {matchLabels: {rack: b}}, services: {addresses: [Cluster], \
                      selector: {matchLabels: {a: b}}}}";
    assert_eq!(selected("", "Advertisement", everything), [""; 0]);
    // Peers of the mesh have no objects.
    let mesh = "{podCIDRs: {}, peerSelector: {matchLabels: {routelet.dev/mesh: \"true\"}}}";
    assert_eq!(selected("", "Advertisement", mesh), [""; 0]);
}

#[test]
fn how_a_node_leaves_is_checked() {
    let found = |leave: Value| -> Vec<String> {
        let spec: RouterSpec = serde_json::from_value(json!({"leave": leave})).unwrap();
        let findings = spec.validate();
        findings.iter().map(|f| f.path.to_string()).collect()
    };
    for good in [
        json!({}),
        json!({"wait": "0s"}),
        json!({"wait": "30s", "taints": ["ToBeDeletedByClusterAutoscaler", "example.com/gone"]}),
    ] {
        assert_eq!(found(good), Vec::<String>::new());
    }
    assert_eq!(found(json!({"wait": "31s"})), ["spec.leave.wait"]);
    let taints = json!({"taints": ["a", "", "example.com/gone=yes:NoExecute", "b:NoSchedule"]});
    let paths = [1, 2, 3].map(|index| format!("spec.leave.taints[{index}]"));
    assert_eq!(found(taints), paths);
}

#[test]
fn the_table_that_refuses_is_nobody_elses() {
    let found = |fib: Value| -> Vec<String> {
        let spec: RouterSpec = serde_json::from_value(json!({"fib": fib})).unwrap();
        let findings = spec.validate();
        let texts = findings.iter().map(|f| format!("{}: {}", f.path, f.reason));
        texts.collect()
    };
    for good in [
        json!({}),
        json!({"refuse": {"table": 4711}}),
        json!({"table": 100}),
    ] {
        assert_eq!(found(good), Vec::<String>::new());
    }
    for (table, fib) in [
        (0, json!({"refuse": {"table": 0}})),
        (254, json!({"refuse": {"table": 254}})),
        (255, json!({"refuse": {"table": 255}})),
        (100, json!({"table": 100, "refuse": {"table": 100}})),
    ] {
        assert_eq!(
            found(fib),
            [format!(
                "spec.fib.refuse.table: {table} has other routes: expected a table that is not used otherwise, such \
                 as the default 17900"
            )]
        );
    }
}
