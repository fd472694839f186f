//! What stays in force of a file that has changed, or cannot be read any more.

use std::sync::Arc;

use super::*;
use crate::cluster::state::{ObjectKey, ServiceType};

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
