//! One bad entry of a list does not take the good ones along: what is stored was not always valid by the rules of today
//! (KEP-4858).

use routelet_core::cluster::{ClusterState, Severity};
use serde_json::{Value, json};

use super::{Source, good};

/// A kind, where in its object the list stands, the list, what of it counts, and what is said.
type Row = (
    &'static str,
    &'static str,
    Value,
    fn(&ClusterState) -> Vec<String>,
    &'static [&'static str],
    &'static [&'static str],
);

fn texts<T: ToString>(all: impl IntoIterator<Item = T>) -> Vec<String> {
    all.into_iter().map(|one| one.to_string()).collect()
}

const NOT_AN_ADDRESS: &str = "is not an address: expected one such as 192.0.2.1 or 2001:db8::1";
const NOT_A_PREFIX: &str = "is not a prefix: expected one such as 198.51.100.0/24 or 2001:db8::/32";

fn of_services() -> Vec<Row> {
    vec![
        (
            "Service",
            "/spec/externalIPs",
            json!(["010.0.0.1", "198.51.100.8", "", "::ffff:198.51.100.9"]),
            |state| texts(state.services.values().flat_map(|s| s.external_ips.clone())),
            &["198.51.100.8", "198.51.100.9"],
            &[
                "spec.externalIPs[0]: \"010.0.0.1\" ",
                "spec.externalIPs[2]: \"\" ",
            ],
        ),
        (
            "Service",
            "/spec/clusterIPs",
            json!(["10.96.0.01", "fd00::1"]),
            |state| texts(state.services.values().flat_map(|s| s.cluster_ips.clone())),
            &["fd00::1"],
            &["spec.clusterIPs[0]: \"10.96.0.01\" "],
        ),
        (
            "Service",
            "/status/loadBalancer/ingress",
            json!([{"ip": "203.0.113.007"}, {"ip": "203.0.113.8"}, {"ip": "", "hostname": "lb.example"}, {"ip": 7}]),
            |state| {
                let ingress = state.services.values().flat_map(|s| s.ingress.iter());
                texts(ingress.map(|entry| entry.ip))
            },
            &["203.0.113.8"],
            &[
                "status.loadBalancer.ingress[0]: ip: \"203.0.113.007\" ",
                "status.loadBalancer.ingress[3]: ",
            ],
        ),
    ]
}

fn of_nodes() -> Vec<Row> {
    vec![
        (
            "Node",
            "/spec/podCIDRs",
            json!(["010.244.1.0/24", "fd00:1::/64", "10.244.1.0"]),
            |state| texts(state.nodes.values().flat_map(|n| n.pod_cidrs.clone())),
            &["fd00:1::/64"],
            &[
                "spec.podCIDRs[0]: \"010.244.1.0/24\" ",
                "spec.podCIDRs[2]: \"10.244.1.0\" ",
            ],
        ),
        (
            "Node",
            "/status/addresses",
            json!([
                {"type": "InternalIP", "address": "192.0.2.011"}, {"type": "Hostname", "address": "x"},
                {"type": "InternalIP", "address": "::ffff:192.0.2.12"}, {"type": "InternalIP"},
            ]),
            |state| texts(state.nodes.values().flat_map(|n| n.internal_ips.clone())),
            &["192.0.2.12"],
            &[
                "status.addresses[0].address: \"192.0.2.011\" ",
                "status.addresses[3]: address: missing",
            ],
        ),
    ]
}

fn of_slices() -> Vec<Row> {
    let ready = |addresses: Value| json!({"addresses": addresses, "nodeName": "x"});
    vec![(
        "EndpointSlice",
        "/endpoints",
        json!([
            ready(json!(["010.244.1.9"])), ready(json!(["10.244.1.10", "010.244.1.11"])), "nobody",
            ready(json!(["fd00::1"])), {"nodeName": "y", "addresses": ["10.244.2.9"]},
        ]),
        |state| {
            let endpoints = state
                .endpoint_slices
                .values()
                .flat_map(|s| s.endpoints.iter());
            texts(endpoints.filter_map(|e| e.node.clone()))
        },
        &["x", "y"],
        &[
            "endpoints[0].addresses[0]: \"010.244.1.9\" ",
            "endpoints[1].addresses[1]: \"010.244.1.11\" ",
            "endpoints[2]: found the text \"nobody\", expected a map of fields",
            "endpoints[3].addresses[0]: fd00::1 is not an IPv4 address, and addressType is IPv4",
        ],
    )]
}

#[test]
fn a_bad_entry_is_named_and_left_out_and_the_others_count() {
    for (kind, pointer, list, counts, expected, said) in [of_services(), of_nodes(), of_slices()]
        .into_iter()
        .flatten()
    {
        let mut object = good(kind);
        *object.pointer_mut(pointer).unwrap() = list;
        for mut source in Source::both() {
            source.put(&object);
            assert_eq!(
                counts(&source.snapshot().state),
                expected,
                "{kind} {pointer}"
            );
            let mut problems = source.problems();
            problems.sort();
            assert_eq!(problems.len(), said.len(), "{problems:#?}");
            for (problem, said) in problems.iter().zip(said) {
                assert!(problem.contains(&format!(": {said}")), "{problem}: {said}");
                assert!(problem.ends_with("; this entry is left out"), "{problem}");
                let is_whole = problem.contains(NOT_AN_ADDRESS) || problem.contains(NOT_A_PREFIX);
                assert!(is_whole || !said.ends_with("\" "), "{problem}");
            }
            // It is said as long as it is so, also if something else of the source changes.
            source.put(&good("Peer"));
            assert_eq!(source.problems().len(), said.len());
            source.put(&good(kind));
            assert_eq!(source.problems(), Vec::<String>::new());
        }
    }
}

#[test]
fn the_one_pod_cidr_of_an_old_node_is_named_too() {
    let mut node = good("Node");
    node["spec"] = json!({"podCIDR": "10.244.01.0/24"});
    for mut source in Source::both() {
        source.put(&node);
        let problems = source.problems();
        let expected = format!(
            "Node x: spec.podCIDR: \"10.244.01.0/24\" {NOT_A_PREFIX}. Remove leading zeros: some programs read such \
             numbers as octal; this entry is left out"
        );
        assert_eq!(problems, [expected]);
        assert!(source.snapshot().state.nodes["x"].pod_cidrs.is_empty());
    }
}

#[test]
fn one_entry_of_a_document_among_others_is_still_named_when_the_others_change() {
    let mut bad = good("Service");
    bad["spec"]["externalIPs"] = json!(["", "198.51.100.8"]);
    let [_, source] = Source::both();
    let Source::Manifests(mut store) = source else {
        panic!("manifests");
    };
    let mut read = |peer: &str| {
        let text = format!(
            "{bad}\n---\n{}",
            good("Peer").to_string().replace("64500", peer)
        );
        store.read("all.yaml".as_ref(), text.as_bytes()).unwrap();
        let problems = store.snapshot().problems;
        problems
            .iter()
            .filter(|p| p.severity == Severity::Error)
            .count()
    };
    assert_eq!([read("64500"), read("64501")], [1, 1]);
}
