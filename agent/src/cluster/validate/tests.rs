//! What cannot be said of a peer's attributes.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::{PeerSpec, peer};

/// What is wrong with this filter, as `path: reason`.
fn found(filter: Value, role: Option<&str>) -> Vec<String> {
    let mut spec = json!({"address": "192.0.2.1", "asn": 64500, "attributeFilter": filter});
    if let Some(role) = role {
        spec["role"] = json!(role);
    }
    let spec: PeerSpec = serde_json::from_value(spec).unwrap();
    let findings = peer(&spec);
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
                "spec.attributeFilter.discard[1]: {name} cannot be discarded: every route needs it, or is announced in \
                 it: no route would be left"
            )]
        );
        assert_eq!(
            found(json!({"treatAsWithdraw": [name]}), None),
            [format!(
                "spec.attributeFilter.treatAsWithdraw[0]: {name} is in every route, or announces them: all routes of the \
                 peer would be withdrawn"
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
            "spec.attributeFilter.accept[{at}]: {name} is accepted anyway, or never used: expected TunnelEncapsulation or PrefixSID"
        )).collect::<Vec<_>>()
    );
}
