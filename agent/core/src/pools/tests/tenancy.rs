//! What pools let the Services of a tenant have.

use super::*;

fn refused(cluster: &Cluster, pool: &str) -> Vec<String> {
    let report = allocate(&cluster.state).pools[pool].clone();
    let refused = report.refused.iter();
    refused.map(|(key, why)| format!("{key}: {why}")).collect()
}

#[test]
fn a_namespace_gets_no_more_than_its_limit_and_another_is_not_affected() {
    let spec = "addresses: [203.0.113.0/24, \"2001:db8::/112\"], maxPerNamespace: 2";
    let mut cluster = Cluster::new(&[("p", spec)]);
    for name in ["a/1", "a/2", "a/3", "b/1"] {
        cluster.service(name, V4);
    }
    let full = "no AddressPool assigns it an IPv4 address: p: the Services of the namespace have 2 of that family, \
        the maximum (maxPerNamespace)";
    assert_eq!(cluster.shown("a/3"), full);
    assert_eq!(cluster.shown("b/1"), "203.0.113.2 p");
    assert_eq!(allocate(&cluster.state).pools["p"].waiting, []);
    // The other family counts for itself, and so does another pool.
    cluster.service("a/4", V6);
    assert_eq!(cluster.shown("a/4"), "2001:db8:: p");
    cluster.pool("spare", "addresses: [198.51.100.0/24], priority: -1");
    assert_eq!(cluster.shown("a/3"), "198.51.100.0 spare");
    cluster.state.pools.remove("spare");
    // One that goes makes room.
    cluster.settle();
    cluster.state.services.remove(&key("a/1"));
    assert_eq!(cluster.shown("a/3"), "203.0.113.0 p");
}

#[test]
fn a_lower_limit_takes_nothing_away() {
    let mut cluster = Cluster::new(&[("p", "addresses: [203.0.113.0/24]")]);
    cluster.service("a/1", V4);
    cluster.service("a/2", V4);
    cluster.annotated(
        "a/3",
        V4,
        "routelet.dev/addresses: \"203.0.113.8,203.0.113.9\"",
    );
    cluster.settle();
    cluster.pool(
        "p",
        "addresses: [203.0.113.0/24], maxPerNamespace: 1, maxPerService: 1",
    );
    assert_eq!(cluster.shown("a/1"), "203.0.113.0 p");
    assert_eq!(cluster.shown("a/2"), "203.0.113.1 p");
    assert_eq!(cluster.shown("a/3"), "203.0.113.8 p, 203.0.113.9 p");
}

#[test]
fn an_address_that_services_of_a_namespace_share_counts_once() {
    let mut cluster = Cluster::new(&[("p", "addresses: [203.0.113.0/24], maxPerNamespace: 1")]);
    let port = |port: u16| format!("{V4}, ports: [{{port: {port}}}]");
    let shared = "routelet.dev/sharing-key: k, routelet.dev/sharing-namespaces: \"*\"";
    cluster.annotated("a/1", &port(1), shared);
    cluster.annotated("a/2", &port(2), shared);
    cluster.annotated("b/1", &port(3), shared);
    for name in ["a/1", "a/2", "b/1"] {
        assert_eq!(cluster.shown(name), "203.0.113.0 p");
    }
    cluster.service("b/2", V4);
    assert!(cluster.shown("b/2").contains("maxPerNamespace"));
    cluster.settle();
    cluster.state.services.remove(&key("b/1"));
    assert_eq!(cluster.shown("b/2"), "203.0.113.1 p");
}

#[test]
fn a_service_asks_for_no_more_than_its_limit() {
    let both = "addresses: [203.0.113.0/24, \"2001:db8::/112\"], maxPerService: 1";
    let mut cluster = Cluster::new(&[("p", both)]);
    cluster.annotated(
        "s",
        V4,
        "routelet.dev/addresses: \"203.0.113.8,203.0.113.9\"",
    );
    let why =
        "203.0.113.9 is in AddressPool p: a Service gets at most 1 of each family (maxPerService)";
    assert_eq!(cluster.shown("s"), why);
    assert_eq!(refused(&cluster, "p"), [format!("d/s: {why}")]);
    // One of each family is one.
    cluster.service("both", REQUIRE);
    assert_eq!(cluster.shown("both"), "203.0.113.0 p, 2001:db8:: p");
}

#[test]
fn where_requests_are_not_allowed_the_controller_chooses_and_what_is_there_stays() {
    let mut cluster = Cluster::new(&[("p", "addresses: [203.0.113.0/24]")]);
    cluster.annotated("early", V4, "routelet.dev/addresses: 203.0.113.7");
    cluster.annotated("early-name", V4, "routelet.dev/address-pool: p");
    cluster.settle();
    cluster.pool("p", "addresses: [203.0.113.0/24], allowRequests: false");
    cluster.annotated("asks", V4, "metallb.io/loadBalancerIPs: 203.0.113.9");
    cluster.service("field", &format!("{V4}, loadBalancerIP: 203.0.113.9"));
    cluster.annotated("names", V4, "routelet.dev/address-pool: p");
    cluster.service("plain", V4);
    let no =
        "it does not allow requests (allowRequests: false); remove the request from the Service";
    assert_eq!(cluster.shown("early"), "203.0.113.7 p");
    assert_eq!(cluster.shown("early-name"), "203.0.113.0 p");
    for name in ["asks", "field"] {
        assert_eq!(
            cluster.shown(name),
            format!("203.0.113.9 is in AddressPool p: {no}")
        );
    }
    let named = format!("no AddressPool assigns it an IPv4 address: p: {no}");
    assert_eq!(cluster.shown("names"), named);
    assert_eq!(cluster.shown("plain"), "203.0.113.1 p");
    assert_eq!(refused(&cluster, "p").len(), 3);
}

#[test]
fn where_a_class_is_required_services_without_one_are_left_to_others() {
    let class = "type: LoadBalancer, loadBalancerClass: routelet.dev/bgp";
    let mut cluster = Cluster::new(&[("p", "addresses: [203.0.113.0/24], requireClass: true")]);
    cluster.holding("theirs", V4, &["203.0.113.0"]);
    cluster.service("none", V4);
    cluster.service("ours", class);
    let left =
        "has no loadBalancerClass, and every AddressPool requires routelet.dev/bgp (requireClass)";
    for name in ["theirs", "none"] {
        assert_eq!(cluster.shown(name), left);
        assert!(
            cluster
                .decision(name)
                .is_written(&cluster.state.services[&key(name)])
        );
    }
    assert_eq!(
        cluster.shown("ours"),
        "203.0.113.1 p",
        "the first is another's"
    );
    // With another pool for all, it is one that does not give them addresses.
    cluster.pool("all", "addresses: [198.51.100.0/24], priority: -1");
    assert_eq!(cluster.shown("none"), "198.51.100.0 all");
    cluster.annotated("asks", V4, "routelet.dev/addresses: 203.0.113.9");
    assert_eq!(
        cluster.shown("asks"),
        "203.0.113.9 is in AddressPool p: only for Services with loadBalancerClass: routelet.dev/bgp (requireClass)"
    );
    // What one without a class has of the pool, it keeps.
    assert_eq!(cluster.shown("theirs"), "203.0.113.0 p");
    assert_eq!(refused(&cluster, "p").len(), 1);
}

/// What an Advertisement with an allow-list says.
pub(super) fn allowed(cidr: &str) -> ExternalIps {
    let text = format!("{{services: {{addresses: [External], externalIPs: [\"{cidr}\"]}}}}");
    let spec: routelet_api::AdvertisementSpec = serde_saphyr::from_str(&text).unwrap();
    ExternalIps::of_advertisement(&spec).unwrap()
}

#[test]
fn an_external_ip_that_an_older_service_may_have_is_not_assigned() {
    let mut cluster = Cluster::new(&[("p", "addresses: [203.0.113.0/29]")]);
    cluster.annotated("oldest/asks", V4, "routelet.dev/addresses: 203.0.113.1");
    let external = "type: ClusterIP, externalIPs: [203.0.113.0, 203.0.113.1, 010.0.0.1]";
    cluster.service("a/external", external);
    cluster.service("b/plain", V4);
    cluster.annotated("b/asks", V4, "routelet.dev/addresses: 203.0.113.0");
    cluster.annotated("a/asks", V4, "routelet.dev/addresses: 203.0.113.0");
    // Without leave of an Advertisement, whoever writes it claims nothing.
    assert_eq!(cluster.shown("b/plain"), "203.0.113.2 p");
    assert_eq!(cluster.shown("b/asks"), "203.0.113.0 p");
    cluster.state.external_ips = vec![allowed("203.0.113.0/31")];
    assert_eq!(cluster.shown("b/plain"), "203.0.113.2 p");
    assert_eq!(
        cluster.shown("b/asks"),
        "203.0.113.0 is an external IP of Service a/external, which no Service may take: ask for another"
    );
    // One of the same namespace may, and so may one that is older: agents advertise it for the older.
    assert_eq!(cluster.shown("a/asks"), "203.0.113.0 p");
    assert_eq!(cluster.shown("oldest/asks"), "203.0.113.1 p");
    // Who has it keeps it.
    cluster.holding("b/has", V4, &["203.0.113.0"]);
    assert_eq!(cluster.shown("b/has"), "203.0.113.0 p");
    cluster.state.external_ips = vec![allowed("198.51.100.0/24")];
    cluster.state.services.remove(&key("b/has"));
    assert_eq!(cluster.shown("b/asks"), "203.0.113.0 p");
}
