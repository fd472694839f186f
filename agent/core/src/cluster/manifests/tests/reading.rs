//! Which files are read, and what is kept of the objects in them.

use super::*;

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
