//! What a Node says of its end, and what it has not lost because it is missing for a moment.

use super::*;

/// A Node whose status is rewritten in parts, or by a kubelet that has just started.
#[test]
fn what_says_that_a_node_goes_away_is_kept() {
    let seen = |metadata: Value, spec: Value, status: Value| {
        let mut cache = Cache::new(["Node"]);
        let node: Received<WatchedNode> =
            guard(json!({"metadata": metadata, "spec": spec, "status": status}));
        cache.event(Event::Apply(node));
        let node = cache.snapshot().state.nodes["n1"].clone();
        let taints: Vec<String> = node.taints.iter().map(ToString::to_string).collect();
        (node.being_deleted, node.shutting_down, taints.join(" "))
    };
    let name = json!({"name": "n1"});
    assert_eq!(
        seen(name.clone(), json!({"taints": null}), json!({})),
        (false, false, String::new())
    );
    let deleted = json!({"name": "n1", "deletionTimestamp": "2026-01-02T03:04:05Z"});
    assert!(seen(deleted, json!({}), json!({})).0);
    let taints = json!({"taints": [{"key": "a", "value": "b", "effect": "NoSchedule"}, {"key": "c", "effect": "NoExecute"}]});
    assert_eq!(seen(name.clone(), taints, json!({})).2, "a c");
    for (status, message, expected) in [
        ("False", "node is shutting down", true),
        (
            "False",
            "[container runtime is down, node is shutting down]",
            true,
        ),
        ("True", "node is shutting down", false),
        ("False", "container runtime is down", false),
    ] {
        let ready = json!({"conditions": [
            {"type": "DiskPressure", "status": "False", "message": "node is shutting down"},
            {"type": "Ready", "status": status, "message": message},
        ]});
        assert_eq!(
            seen(name.clone(), json!({}), ready).1,
            expected,
            "{message}"
        );
    }
}

#[test]
fn a_node_without_addresses_for_a_moment_has_not_lost_them() {
    let node = |labels: Value, spec: Value, status: Value| -> Event<Received<WatchedNode>> {
        let metadata = json!({"name": "n1", "labels": labels});
        Event::Apply(guard(
            json!({"metadata": metadata, "spec": spec, "status": status}),
        ))
    };
    let addresses = |address: &str| {
        json!({"addresses": [
            {"type": "InternalIP", "address": address}, {"type": "ExternalIP", "address": "203.0.113.9"},
        ]})
    };
    let mut cache = Cache::new(["Node"]);
    let pods = json!({"podCIDRs": ["10.244.1.0/24"]});
    cache.event(node(json!({}), pods, addresses("192.0.2.1")));
    cache.event(node(json!({"zone": "a"}), json!({}), json!({})));
    let known = cache.snapshot().state.nodes["n1"].clone();
    assert_eq!(known.internal_ips.len() + known.other_ips.len(), 2);
    assert_eq!(known.pod_cidrs.len(), 1);
    // All else is as it says, and so are other addresses.
    assert_eq!(known.labels.get("zone"), Some("a"));
    cache.event(node(json!({}), json!({}), addresses("192.0.2.2")));
    let known = cache.snapshot().state.nodes["n1"].clone();
    assert_eq!(known.internal_ips[0].to_string(), "192.0.2.2");
}
