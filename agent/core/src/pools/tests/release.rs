//! Addresses that stand in the status of a Service which is to lose them: nobody gets them who can have another.

use super::*;

/// Where the status of a Service cannot be written, whoever gets its address waits for ever.
#[test]
fn what_another_has_to_lose_first_is_given_to_those_alone_who_ask_for_it_or_find_nothing_else() {
    let mut cluster = Cluster::new(&[("p", "addresses: [203.0.113.0-203.0.113.2]")]);
    cluster.holding("loses", "type: ClusterIP", &["203.0.113.0"]);
    cluster.service("first", V4);
    assert_eq!(cluster.shown("first"), "203.0.113.1 p");
    cluster.service("second", V4);
    assert_eq!(cluster.shown("second"), "203.0.113.2 p");
    cluster.service("third", V4);
    assert_eq!(cluster.shown("third"), "203.0.113.0 p");
    // Who asks for it goes before those that take any.
    cluster.annotated("asks", V4, "routelet.dev/addresses: 203.0.113.0");
    assert_eq!(cluster.shown("asks"), "203.0.113.0 p");
    assert!(cluster.decision("third").refusal().is_some());
}

#[test]
fn a_pool_of_less_priority_goes_before_an_address_that_another_has_to_lose() {
    let mut cluster = Cluster::new(&[
        ("p", "addresses: [203.0.113.0/32], priority: 1"),
        ("q", "addresses: [198.51.100.1/32, \"2001:db8::1/128\"]"),
    ]);
    cluster.holding("loses", "type: ClusterIP", &["203.0.113.0"]);
    cluster.service("one", V4);
    assert_eq!(cluster.shown("one"), "198.51.100.1 q");
    // It takes what there is of the one family at once, and waits for the other.
    cluster.service("both", REQUIRE);
    assert_eq!(cluster.shown("both"), "203.0.113.0 p, 2001:db8::1 q");
}

/// The Service that has the shared address, and is no load balancer any more, shares with nobody.
#[test]
fn an_address_is_not_shared_as_long_as_another_has_to_lose_it_if_there_is_another() {
    let key = "routelet.dev/sharing-key: k";
    let mut cluster = Cluster::new(&[("p", "addresses: [203.0.113.0-203.0.113.1]")]);
    cluster.holding("loses", "type: ClusterIP", &["203.0.113.0"]);
    let spec = |port| format!("{V4}, ports: [{{port: {port}}}]");
    cluster.annotated("keeps", &spec(80), key);
    cluster.change("keeps", |request| {
        request.ingress = Box::new([LoadBalancerIngress {
            ip: "203.0.113.0".parse().unwrap(),
            proxy: false,
        }]);
    });
    assert_eq!(cluster.shown("keeps"), "203.0.113.0 p");
    cluster.annotated("shares", &spec(81), key);
    assert_eq!(cluster.shown("shares"), "203.0.113.1 p");
    // Once it is lost, sharing goes before an address of its own.
    cluster.change("loses", |request| request.ingress = Box::default());
    assert_eq!(cluster.shown("shares"), "203.0.113.0 p");
}
