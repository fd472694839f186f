//! What is reported of a text, and that the rest of it counts.

use super::*;
use crate::cluster::state::ObjectRef;

/// The spec of a Peer, and what is said of it.
const FAULTS: &[(&str, &str)] = &[
    (
        "  address: 192.0.2.1\n  asnn: 64500\n",
        "p.yaml:7: Peer x: spec.asnn: unknown field (did you mean asn?): expected one of addPath, address, \
             addressFrom, allowOwnAS, asn, asnFrom, attributeFilter, bfd, ebgpMultihop, export, extendedNextHop, families, gateway, \
             gracefulRestart, import, interface, localAddress, localAddressFrom, maxLongLivedStaleTime, maxNextHops, \
             maxPathsPerPrefix, maxPeers, maxPrefixes, maxPrefixesRestart, \
             maxPrefixesWarningPercent, maxReceivedPrefixes, nextHopSelf, \
             nodeSelector, nodes, passive, password, port, range, removePrivateAS, role, roleStrict, \
             routeReflectorClient, sourceInterface, timers, ttlSecurity",
    ),
    (
        "  address: 192.0.2\n  asn: 64500\n",
        "p.yaml:6: Peer x: spec.address: \"192.0.2\" is not an address: expected one such as 192.0.2.1 or \
             2001:db8::1",
    ),
    (
        "  address: 192.0.2.1\n  asn: sixty\n",
        "p.yaml:7: Peer x: spec.asn: \"sixty\" is not an AS: expected a number from 1 to 4294967295, internal or \
             external",
    ),
    (
        "  address: 192.0.2.1\n  asn: 4294967296\n",
        "p.yaml:7: Peer x: spec.asn: 4294967296 is out of range: expected an AS number from 1 to \
             4294967295, internal or external",
    ),
    (
        "  address: 192.0.2.1\n  asn: 0\n",
        "p.yaml:7: Peer x: spec.asn: AS 0 is reserved: expected the number of an AS, for private use 64512 to \
             65534",
    ),
    (
        "  address: 192.0.2.1\n",
        "p.yaml:5: Peer x: spec.asn: missing: expected an AS number, internal or external, or asnFrom",
    ),
    (
        "  asn: 64500\n",
        "p.yaml:5: Peer x: spec: found none: expected exactly one of address, addressFrom, interface, gateway, \
             nodes and range",
    ),
    (
        "  address: 192.0.2.1\n  interface: eth0\n  asn: 64500\n",
        "p.yaml:5: Peer x: spec: found address and interface: expected exactly one of address, addressFrom, \
             interface, gateway, nodes and range",
    ),
    (
        "  range: 192.0.2.1/24\n  asn: external\n",
        "p.yaml:6: Peer x: spec.range: 192.0.2.1/24 has bits set beyond its length: did you mean 192.0.2.0/24?",
    ),
    (
        "  address: 192.0.2.1\n  asn: 1\n  timers:\n    hold: 90\n",
        "p.yaml:9: Peer x: spec.timers.hold: \"90\" is not a duration: expected a number with a unit (ms, s, m or h), such as \
             90s, 300ms or 1m30s. Write 90s for seconds",
    ),
    (
        "  address: 192.0.2.1\n  asn: 1\n  timers: {hold: 90sec}\n",
        "p.yaml:8: Peer x: spec.timers.hold: \"90sec\" is not a duration: expected a number with a unit (ms, s, m \
             or h), such as 90s, 300ms or 1m30s. Write 90s",
    ),
    (
        "  address: 192.0.2.1\n  asn: 1\n  timers: {hold: 2s}\n",
        "p.yaml:8: Peer x: spec.timers.hold: 2s is out of range: expected 3s to 65535s",
    ),
    (
        "  address: 192.0.2.1\n  asn: 1\n  timers: {idleHold: 2h}\n",
        "p.yaml:8: Peer x: spec.timers.idleHold: 2h is out of range: expected 1s to 1h",
    ),
    (
        "  address: 192.0.2.1\n  asn: 1\n  maxPrefixesRestart: soon\n",
        "p.yaml:8: Peer x: spec.maxPrefixesRestart: \"soon\" is not a time to restart after: expected a duration such \
             as 5m or 90s, or never",
    ),
    (
        "  address: 192.0.2.1\n  asn: 1\n  maxPrefixesRestart: 0s\n",
        "p.yaml:8: Peer x: spec.maxPrefixesRestart: 0s is out of range: expected 1s to 24h",
    ),
    (
        "  address: 192.0.2.1\n  asn: 1\n  maxPrefixesWarningPercent: 0\n",
        "p.yaml:8: Peer x: spec.maxPrefixesWarningPercent: 0 is out of range: expected 1 to 100",
    ),
    (
        "  address: fe80::1\n  asn: 1\n",
        "p.yaml:6: Peer x: spec.address: fe80::1 is link-local: set sourceInterface to its interface",
    ),
    (
        "  address: 192.0.2.1\n  asn: 1\n  families: [ipv4, ipv5]\n",
        "p.yaml:8: Peer x: spec.families[1]: \"ipv5\" is unknown (did you mean IPv4?): expected IPv4, ipv4, \
         IPv6 or ipv6",
    ),
    (
        "  address: 192.0.2.1\n  asn: 1\n  import: [none]\n",
        "p.yaml:8: Peer x: spec.import[0]: RoutePolicy none does not exist; until it does, every route is rejected",
    ),
];

#[test]
fn every_fault_is_told_with_file_line_path_and_reason() {
    for (spec, expected) in FAULTS {
        assert_eq!(problems(&[("p.yaml", &peer("x", spec))]), [*expected]);
    }
}

#[test]
fn a_document_without_kind_or_name_is_told_by_its_line() {
    let text = format!(
        "{ROUTER}---\nkind: Peer\n---\napiVersion: v1\nkind: Node\nmetadata: {{}}\n---\n- 1\n"
    );
    assert_eq!(
        problems(&[("a/b.yml", &text)]),
        [
            "a/b.yml:7: apiVersion: missing: every object has apiVersion and kind",
            "a/b.yml:11: metadata.name: missing: every object has a name",
            "a/b.yml:13: not an object: expected a map with apiVersion, kind and metadata",
        ]
    );
}

#[test]
fn broken_syntax_of_one_document_leaves_the_others_alone() {
    let text = format!(
        "{}---\n{}---\n{ROUTER}",
        peer("a", TOR),
        peer("b", "  address: [192.0.2.1\n  asn: 1\n")
    );
    let snapshot = load(directory(&[("p.yaml", &text)]).path()).unwrap();
    assert_eq!(peers(&snapshot), ["a"]);
    assert!(snapshot.state.routers.contains_key("default"));
    let problem = &snapshot.problems[0];
    assert_eq!(problem.line, Some(15), "{problem}");
    assert_eq!(problem.object, Some(ObjectRef::cluster("Peer", "b")));
    assert!(problem.reason.starts_with("not valid YAML: "), "{problem}");
}

#[test]
fn unknown_kinds_of_ours_are_told_and_those_of_others_are_not() {
    let pool = "apiVersion: routelet.dev/v1alpha1\nkind: AddressPol\nmetadata: {name: x}\n";
    let deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\n";
    let old = "apiVersion: routelet.dev/v1\nkind: Router\nmetadata: {name: x}\n";
    // A dump of a cluster has these.
    let own =
        "apiVersion: routelet.dev/v1alpha1\nkind: RouterState\nmetadata: {name: x}\nstatus: {}\n";
    assert_eq!(
        problems(&[
            ("a.yaml", pool),
            ("b.yaml", deployment),
            ("c.yaml", old),
            ("d.yaml", own)
        ]),
        [
            "a.yaml:2: AddressPol x: kind: kind AddressPol of routelet.dev is not read from manifests: expected \
             Router, Peer, Advertisement, RoutePolicy or AddressPool",
            "c.yaml:1: Router x: apiVersion: \"routelet.dev/v1\" is not known: expected routelet.dev/v1alpha1",
        ]
    );
}

#[test]
fn the_second_of_two_equal_names_is_told_and_not_used() {
    let second = peer("x", "  address: 192.0.2.2\n  asn: 64500\n");
    let snapshot =
        load(directory(&[("a.yaml", &peer("x", TOR)), ("b.yaml", &second)]).path()).unwrap();
    assert_eq!(
        snapshot.problems[0].to_string(),
        "b.yaml:1: Peer x: is defined a second time; the first, at a.yaml:1, is used: remove one of them"
    );
    let address = snapshot.state.peers["x"].spec.address.unwrap();
    assert_eq!(address.to_string(), "192.0.2.1");
}
