//! Claims about manifests: what is reported, and what stays in force.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use std::sync::Arc;

use super::*;
use crate::cluster::state::ObjectRef;
use crate::cluster::state::{ObjectKey, ServiceType};

const ROUTER: &str = "\
apiVersion: routelet.dev/v1alpha1
kind: Router
metadata: {name: default}
spec:
  asn: 64512
";

fn peer(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: routelet.dev/v1alpha1\nkind: Peer\nmetadata:\n  name: {name}\nspec:\n{spec}"
    )
}

const TOR: &str = "  address: 192.0.2.1\n  asn: 64500\n";

fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    directory
}

fn problems(files: &[(&str, &str)]) -> Vec<String> {
    let snapshot = load(directory(files).path()).unwrap();
    snapshot.problems.iter().map(ToString::to_string).collect()
}

fn store(files: &[(&str, &str)]) -> Store {
    let mut store = Store::default();
    for (name, text) in files {
        store.read(Path::new(name), text.as_bytes()).unwrap();
    }
    store
}

fn read(store: &mut Store, text: &str) -> bool {
    store.read(Path::new("p.yaml"), text.as_bytes()).unwrap()
}

fn peers(snapshot: &Snapshot) -> Vec<&str> {
    snapshot.state.peers.keys().map(String::as_str).collect()
}

#[test]
fn every_fault_is_told_with_file_line_path_and_reason() {
    let table: &[(&str, &str)] = &[
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
    for (spec, expected) in table {
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
fn files_are_read_whatever_they_are_called_and_directories_beside_them() {
    let broken = peer("b", "  address: x\n  asn: 1\n");
    let directory = directory(&[("d/a.yaml", &peer("a", TOR)), ("d/b.yml", &broken)]);
    let single = directory.path().join("peer.txt");
    fs::write(&single, peer("c", "  address: 192.0.2.3\n  asn: 64500\n")).unwrap();
    let load = |paths: &[&Path]| {
        let paths: Vec<PathBuf> = paths.iter().map(|path| (*path).to_owned()).collect();
        Files::find(&paths).map(|files| files.load())
    };
    assert_eq!(peers(&load(&[&single]).unwrap()), ["c"]);
    let below = directory.path().join("d");
    let both = load(&[&single, &below]).unwrap();
    assert_eq!(peers(&both), ["a", "c"]);
    assert_eq!(both.problems[0].file, Some(below.join("b.yml")));
    let alone = load(&[&below]).unwrap();
    assert_eq!(alone.problems[0].file, Some("b.yml".into()));
    let error = load(&[&single, &directory.path().join("none")]).unwrap_err();
    let expected = "none: No such file or directory; give files, directories of *.yaml, *.yml or *.json files, or - \
         for standard input";
    assert!(error.to_string().ends_with(expected), "{error}");
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

#[test]
fn lists_json_and_subdirectories_are_read_and_hidden_and_foreign_files_are_not() {
    let list = r#"{"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}, "spec": {"podCIDR": "10.0.0.0/24"}},
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n2"}}]}"#;
    let directory = directory(&[
        ("nodes.json", list),
        ("deep/er/peer.yml", &peer("p", TOR)),
        (".hidden.yaml", "{"),
        (".git/x.yaml", "{"),
        ("peer.yaml~", "{"),
        ("README.md", "{"),
    ]);
    let snapshot = load(directory.path()).unwrap();
    assert_eq!(*snapshot.problems, []);
    assert_eq!(peers(&snapshot), ["p"]);
    assert_eq!(snapshot.state.nodes.len(), 2);
    assert_eq!(snapshot.state.nodes["n1"].pod_cidrs.len(), 1);
}

#[test]
fn a_broken_document_keeps_its_last_good_version_and_no_other() {
    let good = format!("{}---\n{}", peer("a", TOR), peer("b", TOR));
    let mut store = store(&[("p.yaml", &good)]);
    // `a` is broken and `b` is gone on purpose.
    read(
        &mut store,
        &peer("a", "  address: 192.0.2.9\n  asn: wrong\n"),
    );
    let snapshot = store.snapshot();
    assert_eq!(peers(&snapshot), ["a"]);
    assert_eq!(
        snapshot.state.peers["a"].spec.address.unwrap().to_string(),
        "192.0.2.1"
    );
    assert!(
        snapshot.problems[0]
            .to_string()
            .ends_with("; the last good version stays in force")
    );
    // And again, so that "last good" is not "previous".
    read(
        &mut store,
        &peer("a", "  address: 192.0.2.9\n  asn: worse\n"),
    );
    assert_eq!(peers(&store.snapshot()), ["a"]);
    read(&mut store, &peer("a", "  address: 192.0.2.9\n  asn: 1\n"));
    let snapshot = store.snapshot();
    assert_eq!(*snapshot.problems, []);
    assert_eq!(
        snapshot.state.peers["a"].spec.address.unwrap().to_string(),
        "192.0.2.9"
    );
}

#[test]
fn a_document_that_is_no_yaml_keeps_its_last_good_version() {
    let good = format!("{}---\n{ROUTER}", peer("a", TOR));
    let mut store = store(&[("p.yaml", &good)]);
    let broken = format!("{}---\n{ROUTER}", peer("a", "  address: [\n"));
    read(&mut store, &broken);
    let snapshot = store.snapshot();
    assert_eq!(peers(&snapshot), ["a"]);
    assert_eq!(snapshot.problems.len(), 1);
    assert_eq!(snapshot.problems[0].meanwhile, Some(Meanwhile::LastGood));
    // Nothing can be told of this one: all of the file that is missing stays.
    read(&mut store, "}{");
    let snapshot = store.snapshot();
    assert_eq!(peers(&snapshot), ["a"]);
    assert!(snapshot.state.routers.contains_key("default"));
}

#[test]
fn a_document_that_has_not_changed_is_not_read_again_and_knows_where_it_stands_now() {
    let service = |name: &str, kind: &str| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{type: {kind}}}\n"
        )
    };
    let (a, b) = (service("a", "ClusterIP"), service("b", "ClusterIP"));
    let mut store = store(&[("p.yaml", &format!("{a}---\n{b}")), ("q.yaml", &b)]);
    let key = |name: &str| ObjectKey::new("default", name);
    let before = store.snapshot().state.services.clone();
    // One line more before it, and the other document is another.
    let moved = format!("# a comment\n{}---\n{b}", service("a", "NodePort"));
    assert!(read(&mut store, &moved));
    let snapshot = store.snapshot();
    let after = &snapshot.state.services;
    assert!(Arc::ptr_eq(&before[&key("b")], &after[&key("b")]));
    assert_eq!(after[&key("a")].service_type, ServiceType::NodePort);
    let told = snapshot.problems[0].to_string();
    assert!(told.contains("the first, at p.yaml:7, is used"), "{told}");
    // Nothing else is told twice by what is remembered: the document is gone when it is gone.
    assert!(read(&mut store, &a));
    assert_eq!(*store.snapshot().problems, []);
    assert!(!read(&mut store, &a), "nothing has changed");
}

#[test]
fn a_document_that_was_kept_is_read_again_when_it_is_good_again() {
    let node = "apiVersion: v1\nkind: Node\nmetadata: {name: a}\nspec: {podCIDRs: [10.0.0.0/24]}\n";
    let mut store = store(&[("p.yaml", node)]);
    read(&mut store, &node.replace("[10.0.0.0/24]", "10.0.0.0/24"));
    let snapshot = store.snapshot();
    assert_eq!(snapshot.problems[0].meanwhile, Some(Meanwhile::LastGood));
    assert_eq!(snapshot.state.nodes["a"].pod_cidrs.len(), 1);
    read(&mut store, node);
    let snapshot = store.snapshot();
    assert_eq!(*snapshot.problems, []);
    assert_eq!(snapshot.state.nodes["a"].pod_cidrs.len(), 1);
}

#[test]
fn a_service_that_is_no_yaml_or_stands_in_a_nameless_document_does_not_stay() {
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {type: NodePort}\n";
    let good = format!("{service}---\n{ROUTER}");
    for broken in [
        format!("{service}status: [\n---\n{ROUTER}"),
        "}{".to_owned(),
    ] {
        let mut store = store(&[("p.yaml", &good)]);
        assert_eq!(store.snapshot().state.services.len(), 1);
        read(&mut store, &broken);
        let snapshot = store.snapshot();
        assert_eq!(snapshot.problems.len(), 1);
        assert_eq!(snapshot.state.services.len(), 0, "{broken}");
        assert!(snapshot.state.routers.contains_key("default"), "{broken}");
        read(&mut store, &good);
        assert_eq!(store.snapshot().state.services.len(), 1);
    }
}

#[test]
fn a_file_that_cannot_be_read_keeps_all_its_documents() {
    let mut store = store(&[("p.yaml", &peer("a", TOR))]);
    let error = std::io::Error::other("input/output error");
    assert!(store.unreadable(Path::new("p.yaml"), &error));
    let snapshot = store.snapshot();
    assert_eq!(peers(&snapshot), ["a"]);
    assert_eq!(
        snapshot.problems[0].to_string(),
        "p.yaml: cannot be read: input/output error; the last good version stays in force"
    );
    assert!(read(&mut store, &peer("a", TOR)));
    assert_eq!(*store.snapshot().problems, []);
}

const SHOP: &str = "\
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {type: NodePort}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
endpoints: [{addresses: [10.0.0.1]}]
---
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {team: a}}
---
apiVersion: v1
kind: Node
metadata: {name: a}
spec: {podCIDRs: [10.0.0.0/24]}
---
";

/// An I/O error says nothing about the file; text that is not UTF-8 is a document that cannot be read, which may be any.
#[test]
fn a_file_that_is_not_utf8_keeps_what_has_a_last_good_version_and_nothing_else() {
    let good = format!("{SHOP}{ROUTER}");
    let path = Path::new("p.yaml");
    let mut store = store(&[("p.yaml", &good)]);
    let all = store.snapshot().state;

    let error = std::io::Error::other("input/output error");
    assert!(store.unreadable(path, &error));
    assert_eq!(store.snapshot().state, all, "it is read again later");

    let mut broken = good.clone().into_bytes();
    let octet = broken.iter_mut().find(|octet| **octet == b'w').unwrap();
    *octet = 0xff;
    for times in 0..2 {
        let error = store.read(path, &*broken).unwrap_err();
        assert_eq!(store.unreadable(path, &error), times == 0);
        let snapshot = store.snapshot();
        let state = &snapshot.state;
        assert!(state.routers.contains_key("default"));
        assert!(state.nodes.contains_key("a"));
        assert_eq!(state.services.len(), 0);
        assert_eq!(state.endpoint_slices.len(), 0);
        assert_eq!(*state.namespaces["shop"], None, "its labels are unknown");
        assert_eq!(
            snapshot.problems[0].to_string(),
            "p.yaml: cannot be read: it is not UTF-8 text; the last good version stays in force, except of Services, \
             EndpointSlices and Namespaces"
        );
    }
    // What went does not come back with an I/O error.
    assert!(store.unreadable(path, &std::io::Error::other("input/output error")));
    assert_eq!(store.snapshot().state.services.len(), 0);
    read(&mut store, &good);
    assert_eq!(store.snapshot().state, all);
    assert_eq!(*store.snapshot().problems, []);
}

/// The same where the document is text: it may be that of the Namespace.
#[test]
fn a_namespace_that_may_be_a_nameless_document_has_unknown_labels() {
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {team: a}}\n";
    let mut store = store(&[("p.yaml", namespace)]);
    read(&mut store, "}{");
    assert_eq!(*store.snapshot().state.namespaces["shop"], None);
    read(&mut store, ROUTER);
    assert_eq!(store.snapshot().state.namespaces.get("shop"), None);
    read(&mut store, namespace);
    assert!(store.snapshot().state.namespaces["shop"].is_some());
}

#[test]
fn kubernetes_objects_are_reduced_to_what_is_used_and_absent_conditions_have_the_api_s_meaning() {
    let text = r#"
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop, labels: {a: b}}
spec:
  type: LoadBalancer
  clusterIP: 10.96.0.1
  clusterIPs: [10.96.0.1, "fd00::1"]
  externalIPs: [198.51.100.7]
  externalTrafficPolicy: Local
  sessionAffinity: ClientIP
  ports: [{port: 80}]
status: {loadBalancer: {ingress: [{ip: 203.0.113.1, ipMode: Proxy}, {hostname: x}, {ip: "2001:db8::1"}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
endpoints:
- addresses: [10.0.0.1]
  nodeName: n1
- conditions: {ready: false, serving: true, terminating: true}
- conditions: {ready: null}
"#;
    let snapshot = load(directory(&[("s.yaml", text)]).path()).unwrap();
    assert_eq!(*snapshot.problems, []);
    insta::assert_debug_snapshot!((
        snapshot.state.services.values().next().unwrap(),
        snapshot.state.endpoint_slices.values().next().unwrap()
    ));
}

#[test]
fn a_full_configuration_and_the_smallest_one_are_valid() {
    let full = r#"
apiVersion: routelet.dev/v1alpha1
kind: Router
metadata: {name: default}
spec:
  asn: 64512
  routerID: 10.0.0.1
  listen: {port: 179}
  mesh: {enabled: true}
  multipath: {maxPaths: 64, relaxASPath: true}
  gracefulRestart: {restartTime: 120s}
  fib: {table: 254, metric: 1024, acceptDefaultRoute: false, maxRoutes: 100000}
  defaultAdvertisement: {enabled: false}
---
apiVersion: routelet.dev/v1alpha1
kind: Peer
metadata: {name: tor-a, labels: {role: tor}}
spec:
  nodeSelector: {matchLabels: {rack: a}}
  address: 192.0.2.1
  asn: 64500
  password: {secretRef: {name: tor-a, key: password}}
  ttlSecurity: {hops: 1}
  bfd: {interval: 300ms, multiplier: 3}
  timers: {hold: 90s, keepalive: 30s, connectRetry: 5s}
  import: [no-bogons]
---
apiVersion: routelet.dev/v1alpha1
kind: Advertisement
metadata: {name: public}
spec:
  peerSelector: {matchLabels: {role: tor}}
  podCIDRs: {}
  services:
    selector: {matchLabels: {expose: public}}
    addresses: [LoadBalancer, External, Cluster]
  prefixes: [198.51.100.0/24]
  aggregate: {ipv4: 24, ipv6: 64}
  attributes: {communities: ["64512:100", no-export, "64512:1:2"], localPreference: 200, med: 10, prepend: 2}
---
apiVersion: routelet.dev/v1alpha1
kind: RoutePolicy
metadata: {name: no-bogons}
spec:
  rules:
  - {name: martians, match: {prefixes: [{cidr: 127.0.0.0/8, orLonger: true}]}, action: Reject}
  - {match: {communities: ["64500:80"]}, action: Accept, set: {localPreference: 80}}
"#;
    assert_eq!(problems(&[("full.yaml", full)]), Vec::<String>::new());
    assert_eq!(
        problems(&[("small.yaml", &peer("a", TOR))]),
        Vec::<String>::new()
    );
}
