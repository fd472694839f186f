//! What `routelet check` says of manifests that are wrong, as a person reads it.
#![allow(clippy::unwrap_used)]

use crate::cli::tests::at;
use crate::contract::served::served;

const WRONG: [(&str, &str); 5] = [
    (
        "a-router.yaml",
        "apiVersion: routelet.dev/v1alpha1
kind: Router
metadata:
  name: on
spec:
  asn: 0x1_0000_0000
  routerID: 10.0.0.1/32
  mesh: {enabled: \"yes\"}
  gracefulRestart: {restartTime: 120}
  holdTime: 90s
",
    ),
    (
        "b-peers.yaml",
        "# The routers of rack a.
---
apiVersion: routelet.dev/v1alpha1
kind: Peer
metadata: {name: tor-a, labels: {rack: 1}}
spec:
  address: fe80::1%eth0
  asn: 64500
  asn: 64501
  port: .inf
  timers: {hold: 90, keepalive: 1d}
---
# Nothing but a comment.
---
apiVersion: routelet.dev/v1alpha1
kind: Peer
metadata: {name: tor-b}
spec:
\taddress: 192.0.2.1
---
apiVersion: routelet.dev/v1alpha1
kind: Peer
metadata: {name: tor-c}
spec: {address: 192.0.2.1:179, peerASN: 64500, sourceinterface: eth0}
",
    ),
    (
        "c-advertisement.yaml",
        "apiVersion: routelet.dev/v1alpha1
kind: Advertisement
metadata: {name: public}
spec:
  communities: [\"64512:100\"]
  prefixes: [198.51.100.1, 198.51.100.0/24, 203.0.113.9/24]
  services: {addresses: [loadBalancer, Cluster]}
",
    ),
    (
        "d-policy.yaml",
        "apiVersion: routelet.dev/v1alpha1
kind: RoutePolicy
metadata: {name: martians}
spec:
  rules:
  - {action: reject, prefixes: [{cidr: 127.0.0.0/8}]}
  - {match: {prefixes: [127.0.0.0/8]}}
",
    ),
    (
        "e-service.yaml",
        "apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop, annotations: {team: 7}}
spec: {type: loadBalancer, externalIPs: [198.51.100.07]}
",
    ),
];

#[test]
fn every_fault_is_said_with_its_line_and_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in WRONG {
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    let path = directory.path().to_str().unwrap().to_owned();
    let seen = at(&served(), None, &format!("check --problems {path}"));
    let result = seen.result.unwrap_err();
    // Lists of all fields change with every field.
    let lines = seen.out.lines().chain(seen.notes.lines());
    let lines = lines.map(|line| match line.split_once("expected one of ") {
        Some((before, _)) => format!("{before}expected one of ...\n"),
        None => format!("{line}\n"),
    });
    insta::assert_snapshot!(lines.collect::<String>() + &result.to_string());
}
