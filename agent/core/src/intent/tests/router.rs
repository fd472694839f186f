//! Which Router a node uses, and what it is without one.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use super::*;

#[test]
fn the_most_specific_router_is_used_and_the_others_are_warned_of() {
    let text = three()
        + &ours("Router", "all", "", "{asn: 64600}")
        + &ours(
            "Router",
            "b-rack",
            "",
            "{nodeSelector: {matchLabels: {rack: a}}, asn: 64601}",
        )
        + &ours(
            "Router",
            "a-rack",
            "",
            "{nodeSelector: {matchLabels: {rack: a}}, asn: 64602}",
        );
    let intent = intent(&text, "n1");
    assert_eq!(intent.router.object.as_deref(), Some("a-rack"));
    assert_eq!(intent.router.asn.0, 64602);
    assert_eq!(
        warnings(&intent),
        [
            "Router all: Router a-rack selects the same node and is used instead: it is more specific",
            "Router b-rack: Router a-rack selects the same node and is used instead: it is first by name",
        ]
    );
}

#[test]
fn without_a_router_the_defaults_and_an_identifier_that_never_changes_are_used() {
    let intent4 = intent(&three(), "n1");
    assert_eq!(intent4.router.asn.0, 64512);
    assert_eq!(intent4.router.router_id.to_string(), "192.0.2.11");
    assert_eq!(intent4.router.listen.as_ref().unwrap().port, 179);
    let no_ipv4 = intent(&node("n9", "", "", &["2001:db8::9"], ""), "n9");
    assert_eq!(no_ipv4.router.router_id.to_string(), "189.235.97.95");
}

#[test]
fn an_identifier_out_of_a_name_looks_like_an_address_of_a_host_and_is_the_nodes_own() {
    let mut seen = BTreeSet::new();
    for number in 0..2000 {
        let name = format!("worker-{number}.example.com");
        let intent = intent(&node(&name, "", "", &[], ""), &name);
        let id = Ipv4Addr::from(intent.router.router_id.0);
        let first = id.octets()[0];
        assert!(first != 0 && first != 127 && first < 224, "{name}: {id}");
        assert!(seen.insert(id), "{name}: {id} twice");
    }
}
