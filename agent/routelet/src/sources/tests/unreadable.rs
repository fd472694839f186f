//! What counts while an object cannot be used: one rule for each kind, in both sources.

use routelet_core::cluster::ClusterState;
use routelet_core::intent::{LocalFacts, Phase, Planner, intend};
use serde_json::{Value, json};

use super::{Source, good, kinds};

/// What makes an object of a kind unreadable.
fn broken(kind: &str) -> Value {
    let mut object = good(kind);
    let (pointer, value) = match kind {
        "Node" => ("/spec/podCIDRs", json!("10.244.1.0/24")),
        "Namespace" => ("/metadata/labels/a", json!(5)),
        "Service" => ("/spec/externalTrafficPolicy", json!("Nearby")),
        "EndpointSlice" => ("/addressType", json!("MAC")),
        "Secret" => ("/data/password", json!(77_777)),
        "AddressPool" => ("/spec/addresses", json!(["203.0.113"])),
        "RoutePolicy" => ("/spec/rules/0/action", json!("Ignore")),
        "Advertisement" => ("/spec/prefixes", json!(["198.51.100"])),
        _ => ("/spec/asn", json!("many")),
    };
    *object.pointer_mut(pointer).unwrap() = value;
    object
}

/// What the state has of the object of a kind, in words.
fn known(kind: &str, state: &ClusterState) -> String {
    let count = |n: usize| format!("{n}");
    match kind {
        "Router" => count(state.routers.len()),
        "Peer" => count(state.peers.len()),
        "Advertisement" => count(state.advertisements.len()),
        "RoutePolicy" => count(state.policies.len()),
        "AddressPool" => count(state.pools.len()),
        "Node" => count(state.nodes.len()),
        "Namespace" => format!(
            "{:?}",
            state
                .namespaces
                .values()
                .map(|l| l.is_some())
                .collect::<Vec<_>>()
        ),
        "Service" => count(state.services.len()),
        "EndpointSlice" => count(state.endpoint_slices.len()),
        "Secret" => count(state.secrets.len()),
        other => panic!("{other}"),
    }
}

#[test]
fn what_counts_meanwhile_is_a_rule_of_the_kind() {
    const LAST_GOOD: &str = "the last good version stays in force";
    for kind in kinds() {
        // What stays of a good version, what there is if there never was one, and the words for each.
        let [after_good, never_good] = match kind {
            "Service" => {
                let text = "until it can be read, it is not advertised";
                [("0", text), ("0", text)]
            }
            "EndpointSlice" => {
                let text = "until it can be read, its endpoints do not count";
                [("0", text), ("0", text)]
            }
            "Namespace" => {
                let text = "until it can be read, no namespaceSelector matches it";
                [("[false]", text), ("[false]", text)]
            }
            // There is nothing to say of a good version where there is none.
            _ => [("1", LAST_GOOD), ("0", "")],
        };
        for (was_good, (expected, text)) in [(true, after_good), (false, never_good)] {
            for mut source in Source::both().into_iter().filter(|source| source.has(kind)) {
                if was_good {
                    source.put(&good(kind));
                    assert_eq!(source.problems(), Vec::<String>::new(), "{kind}");
                }
                source.put(&broken(kind));
                let problems = source.problems();
                assert_eq!(problems.len(), 1, "{kind} {problems:?}");
                assert!(problems[0].ends_with(text), "{kind} {problems:?}");
                assert_eq!(
                    problems[0].contains(LAST_GOOD),
                    text == LAST_GOOD,
                    "{problems:?}"
                );
                assert!(problems[0].contains(": "), "{kind} {problems:?}");
                assert_eq!(known(kind, &source.snapshot().state), expected, "{kind}");
                // Good again, it counts, and nothing is said any more.
                source.put(&good(kind));
                assert_eq!(source.problems(), Vec::<String>::new(), "{kind}");
                let expected = if kind == "Namespace" { "[true]" } else { "1" };
                assert_eq!(known(kind, &source.snapshot().state), expected, "{kind}");
            }
        }
    }
}

#[test]
fn what_is_wrong_is_said_with_its_field() {
    for (kind, field) in [
        ("Peer", "Peer x: spec.asn: "),
        ("Service", "Service shop/x: spec.externalTrafficPolicy: "),
        ("EndpointSlice", "EndpointSlice shop/x-1: addressType: "),
        ("Node", "Node x: spec.podCIDRs: "),
        ("Namespace", "Namespace x: metadata.labels.a: "),
        ("RoutePolicy", "RoutePolicy x: spec.rules[0].action: "),
    ] {
        for mut source in Source::both() {
            source.put(&broken(kind));
            let problems = source.problems();
            assert!(problems[0].starts_with(field), "{problems:?}");
        }
    }
}

#[test]
fn what_a_secret_holds_is_not_in_what_is_said_of_it() {
    let [mut source, _] = Source::both();
    source.put(&broken("Secret"));
    let text = format!("{:?}", source.snapshot());
    assert!(
        text.contains("data.password") && !text.contains("77777"),
        "{text}"
    );
}

/// A cluster whose only Service is advertised because of all of its objects.
fn cluster() -> [Value; 6] {
    let mut advertisement = good("Advertisement");
    advertisement["spec"] = json!({"services": {"namespaceSelector": {
        "matchExpressions": [{"key": "internal", "operator": "DoesNotExist"}],
    }}});
    // Without the default, which is for all Services.
    let mut router = good("Router");
    router["spec"] = json!({"defaultAdvertisement": {"enabled": false}});
    let mut namespace = good("Namespace");
    namespace["metadata"]["name"] = json!("shop");
    [
        good("Node"),
        namespace,
        good("Service"),
        good("EndpointSlice"),
        advertisement,
        router,
    ]
}

#[test]
fn an_object_of_kubernetes_that_cannot_be_read_justifies_no_announcement() {
    let is_advertised = |source: &mut Source| {
        let state = source.snapshot().state;
        let intent = intend(&state, "x", &LocalFacts::default());
        let prefix: ipnet::IpNet = "203.0.113.7/32".parse().unwrap();
        intent.originated.contains_key(&prefix)
    };
    for kind in ["Service", "EndpointSlice", "Namespace"] {
        let is_it = |object: &&Value| object["kind"] == kind;
        let good = cluster().iter().find(is_it).cloned().unwrap();
        let mut bad = broken(kind);
        bad["metadata"]["name"] = good["metadata"]["name"].clone();
        for was_good in [true, false] {
            for mut source in Source::both() {
                for object in cluster() {
                    if was_good || object != good {
                        source.put(&object);
                    }
                }
                source.put(&bad);
                assert!(!is_advertised(&mut source), "{kind} {was_good}");
                source.put(&good);
                assert!(is_advertised(&mut source), "{kind} {was_good}");
            }
        }
    }
    // A Node of which nothing new is known is the one it was: neither its sessions nor what it serves end.
    for mut source in Source::both() {
        cluster().iter().for_each(|object| source.put(object));
        source.put(&broken("Node"));
        assert!(is_advertised(&mut source));
        assert_eq!(source.snapshot().state.nodes["x"].internal_ips.len(), 1);
    }
}

/// The watches of Services and Namespaces are two. Whoever writes manifests may leave the Namespaces out.
#[test]
fn a_namespace_that_is_not_known_has_unknown_labels_unless_manifests_leave_it_out() {
    let prefix: ipnet::IpNet = "203.0.113.7/32".parse().unwrap();
    let namespace = cluster()[1].clone();
    for mut source in Source::both() {
        for object in cluster().iter().filter(|object| **object != namespace) {
            source.put(object);
        }
        let mut planner = Planner::new("x");
        let mut is_advertised = |source: &mut Source| {
            let state = source.snapshot().state;
            let facts = LocalFacts::default();
            let (intent, _) = planner.plan(&state, &facts, Phase::default());
            intent.originated.contains_key(&prefix)
        };
        let is_manifests = matches!(source, Source::Manifests(_));
        assert_eq!(is_advertised(&mut source), is_manifests);
        source.put(&namespace);
        assert!(is_advertised(&mut source));
    }
}

#[test]
fn metadata_that_cannot_be_read_does_not_end_a_watch() {
    let [mut source, _] = Source::both();
    let mut service = good("Service");
    source.put(&service);
    service["metadata"]["annotations"]["c"] = json!(["not", "text"]);
    source.put(&service);
    let problems = source.problems();
    assert!(
        problems[0].starts_with("Service shop/x: metadata.annotations.c: "),
        "{problems:?}"
    );
    assert!(source.snapshot().state.services.is_empty());
}
