//! What stays where it is, and what does not.

use super::*;

#[test]
fn addresses_in_the_status_are_adopted() {
    let mut cluster = Cluster::new(&[("p", "addresses: [203.0.113.0/24]")]);
    cluster.service("new", V4);
    cluster.holding("a", V4, &["203.0.113.9"]);
    cluster.holding("b", V4, &["203.0.113.0"]);
    assert_eq!(cluster.shown("a"), "203.0.113.9 p");
    assert_eq!(cluster.shown("b"), "203.0.113.0 p");
    assert_eq!(
        cluster.shown("new"),
        "203.0.113.1 p",
        "what is there goes before what is new"
    );
    let request = &cluster.state.services[&key("a")];
    assert!(cluster.decision("a").is_written(request));
    assert!(
        !cluster
            .decision("new")
            .is_written(&cluster.state.services[&key("new")])
    );
}

#[test]
fn what_is_there_goes_before_a_request() {
    let mut cluster = Cluster::new(&[("p", "addresses: [203.0.113.1-203.0.113.2]")]);
    cluster.annotated("asks", V4, "routelet.dev/addresses: 203.0.113.1");
    cluster.holding("has", V4, &["203.0.113.1"]);
    assert_eq!(cluster.shown("has"), "203.0.113.1 p");
    assert!(
        cluster
            .shown("asks")
            .starts_with("Service d/has has 203.0.113.1: ")
    );
}

#[test]
fn of_two_that_have_one_address_the_older_keeps_it_and_among_equals_the_first_by_name() {
    let mut cluster = Cluster::new(&[("p", "addresses: [203.0.113.0/24]")]);
    cluster.holding("z", V4, &["203.0.113.5"]);
    cluster.holding("a", V4, &["203.0.113.5"]);
    assert_eq!(cluster.shown("z"), "203.0.113.5 p");
    assert_eq!(cluster.shown("a"), "203.0.113.0 p");
    assert_eq!(
        *cluster.decision("a").release,
        ["203.0.113.5".parse::<IpAddr>().unwrap()]
    );
    for name in ["a", "z"] {
        cluster.change(name, |s| s.created = Created(Some(7)));
    }
    assert_eq!(cluster.shown("a"), "203.0.113.5 p");
    assert_eq!(cluster.shown("z"), "203.0.113.0 p");
}

#[test]
fn of_several_addresses_that_nobody_asked_for_the_first_that_may_stay_does() {
    let mut cluster = Cluster::new(&[("p", "addresses: [203.0.113.0/24]")]);
    cluster.holding("old", V4, &["203.0.113.7"]);
    cluster.holding(
        "s",
        V4,
        &["10.0.0.1", "203.0.113.7", "203.0.113.9", "203.0.113.8"],
    );
    assert_eq!(cluster.shown("s"), "203.0.113.9 p");
    let released: Vec<String> = cluster
        .decision("s")
        .release
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(released, ["10.0.0.1", "203.0.113.7", "203.0.113.8"]);
}

#[test]
fn what_a_pool_has_no_more_is_replaced() {
    let mut cluster = Cluster::new(&[("p", "addresses: [203.0.113.1-203.0.113.2]")]);
    cluster.service("a", V4);
    cluster.service("b", V4);
    cluster.settle();
    cluster.pool("p", "addresses: [203.0.113.2-203.0.113.3]");
    assert_eq!(cluster.shown("a"), "203.0.113.3 p");
    assert_eq!(
        *cluster.decision("a").release,
        ["203.0.113.1".parse::<IpAddr>().unwrap()]
    );
    assert_eq!(cluster.shown("b"), "203.0.113.2 p");
}

#[test]
fn neither_priorities_nor_auto_assign_nor_other_pools_move_anything() {
    let mut cluster = Cluster::new(&[("p", "addresses: [203.0.113.1]")]);
    cluster.service("s", V4);
    cluster.settle();
    cluster.pool(
        "p",
        "addresses: [203.0.113.1], autoAssign: false, priority: -5",
    );
    cluster.pool("a", "addresses: [198.51.100.1], priority: 5");
    assert_eq!(cluster.shown("s"), "203.0.113.1 p");
    cluster.service("t", V4);
    assert_eq!(cluster.shown("t"), "198.51.100.1 a");
}

#[test]
fn selectors_that_admit_no_more_release_the_address_and_another_pool_replaces_it() {
    for selector in ["serviceSelector", "namespaceSelector"] {
        let mut cluster = Cluster::new(&[("p", "addresses: [203.0.113.1]")]);
        cluster.service("s", V4);
        cluster.settle();
        let spec = format!("addresses: [203.0.113.1], {selector}: {{matchLabels: {{x: \"y\"}}}}");
        cluster.pool("p", &spec);
        assert_eq!(cluster.decision("s").addresses().count(), 0);
        assert_eq!(
            *cluster.decision("s").release,
            ["203.0.113.1".parse::<IpAddr>().unwrap()]
        );
        cluster.pool("q", "addresses: [198.51.100.1]");
        assert_eq!(cluster.shown("s"), "198.51.100.1 q");
    }
}

#[test]
fn a_pool_that_goes_to_an_older_one_takes_its_addresses_along() {
    let mut cluster = Cluster::new(&[("old", "addresses: [198.51.100.1]")]);
    cluster.pool("new", "addresses: [203.0.113.1], priority: 1");
    cluster.service("s", V4);
    cluster.settle();
    assert_eq!(cluster.shown("s"), "203.0.113.1 new");
    cluster.pool("old", "addresses: [203.0.113.0/24]");
    assert_eq!(
        cluster.shown("s"),
        "203.0.113.1 old",
        "it stays, only the pool is another"
    );
}

/// What the controller writes keeps entries for proxies, and takes addresses away that no pool has.
#[test]
fn a_status_has_our_addresses_first_and_entries_for_proxies_behind() {
    let mut cluster = Cluster::new(&[("p", "addresses: [203.0.113.0/24]")]);
    cluster.add(
        "s",
        &Yaml {
            spec: V4,
            ingress: "{ip: 198.51.100.9}, {ip: 203.0.113.7, ipMode: Proxy}, {ip: 203.0.113.7}",
            ..Yaml::default()
        },
    );
    let decision = cluster.decision("s");
    let request = &cluster.state.services[&key("s")];
    let written: Vec<String> = decision
        .ingress(request)
        .iter()
        .map(|entry| format!("{} {}", entry.ip, entry.proxy))
        .collect();
    assert_eq!(shown(&decision), "203.0.113.7 p");
    assert_eq!(written, ["203.0.113.7 false", "203.0.113.7 true"]);
}
