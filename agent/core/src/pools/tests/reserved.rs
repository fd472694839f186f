//! Addresses of Nodes, peers, pods and other Services' cluster IPs in a pool.

use super::*;

fn reserved(net: &str, holder: Holder) -> Reserved {
    Reserved {
        net: net.parse().unwrap(),
        holder,
    }
}

fn cluster() -> Cluster {
    let mut cluster = Cluster::new(&[("p", "addresses: [203.0.113.0/29]")]);
    cluster.state.reserved = vec![
        reserved("203.0.113.0/32", Holder::Node("n1".into())),
        reserved("203.0.113.1/32", Holder::Peer("tor".into())),
        reserved("203.0.113.4/31", Holder::PodCidr("n1".into())),
        // Of no pool.
        reserved("192.0.2.1/32", Holder::Node("n1".into())),
    ];
    cluster
}

#[test]
fn no_service_gets_what_is_somebodys() {
    let mut cluster = cluster();
    cluster.service("api", "type: ClusterIP, clusterIP: 203.0.113.3");
    let names = ["a", "b", "c", "d"];
    for name in names {
        cluster.service(name, V4);
    }
    assert_eq!(
        names.map(|name| cluster.shown(name)),
        [
            "203.0.113.2 p",
            "203.0.113.6 p",
            "203.0.113.7 p",
            "no IPv4 address is free in AddressPool p: add addresses, or delete Services that have some",
        ]
    );
    let report = allocate(&cluster.state).pools["p"].clone();
    let shown: Vec<String> = report.reserved.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "203.0.113.0 is an address of Node n1",
            "203.0.113.1 is an address of Peer tor",
            "203.0.113.3 is a cluster IP of Service d/api",
            "203.0.113.4/31 is a pod CIDR of Node n1",
        ]
    );
    let usage = (
        report.ipv4.total,
        report.ipv4.assigned,
        report.ipv4.available,
    );
    assert_eq!(usage, (3, 3, 0));
    assert_eq!(report.holding_reserved, []);
}

#[test]
fn who_asks_for_what_is_somebodys_hears_whose_it_is() {
    let mut cluster = cluster();
    cluster.service("api", "type: ClusterIP, clusterIP: 203.0.113.3");
    for (address, whose) in [
        ("203.0.113.0", "an address of Node n1"),
        ("203.0.113.1", "an address of Peer tor"),
        ("203.0.113.3", "a cluster IP of Service d/api"),
        ("203.0.113.5", "a pod CIDR of Node n1"),
    ] {
        let asks = format!("routelet.dev/addresses: {address}");
        cluster.annotated("web", V4, &asks);
        assert_eq!(
            cluster.shown("web"),
            format!("{address} is {whose}, which no Service may take: ask for another")
        );
        assert_eq!(
            cluster.decision("web").refusal().map(Refusal::code),
            Some("reserved")
        );
    }
    // What is free it gets.
    cluster.annotated("web", V4, "routelet.dev/addresses: 203.0.113.2");
    assert_eq!(cluster.shown("web"), "203.0.113.2 p");
}

/// A Node that gets an address of a Service does not renumber it: the address is not announced, and comes back when the mistake
/// is put right.
#[test]
fn a_service_keeps_an_address_that_turns_out_to_be_somebodys_and_nobody_shares_it() {
    let mut cluster = cluster();
    cluster.state.reserved.clear();
    let key = "routelet.dev/sharing-key: k";
    cluster.annotated("web", &format!("{V4}, ports: [{{port: 80}}]"), key);
    cluster.annotated("asks", V4, "routelet.dev/addresses: 203.0.113.1");
    cluster.settle();
    assert_eq!(cluster.shown("web"), "203.0.113.0 p");
    cluster.state.reserved = self::cluster().state.reserved;
    assert_eq!(cluster.shown("web"), "203.0.113.0 p");
    assert_eq!(cluster.shown("asks"), "203.0.113.1 p");
    cluster.annotated("second", &format!("{V4}, ports: [{{port: 81}}]"), key);
    assert_eq!(cluster.shown("second"), "203.0.113.2 p");
    let report = allocate(&cluster.state).pools["p"].clone();
    let holding: Vec<String> = report
        .holding_reserved
        .iter()
        .map(|(service, address)| format!("{service} {address}"))
        .collect();
    assert_eq!(holding, ["d/asks 203.0.113.1", "d/web 203.0.113.0"]);
    let usage = (
        report.ipv4.total,
        report.ipv4.assigned,
        report.ipv4.available,
    );
    assert_eq!(usage, (6, 3, 3));
}

#[test]
fn what_older_pools_keep_is_reported_at_the_pool_that_has_it() {
    let mut cluster = cluster();
    cluster.pool("q", "addresses: [203.0.113.0/28]");
    cluster
        .state
        .reserved
        .push(reserved("203.0.113.9/32", Holder::Node("n2".into())));
    let pools = allocate(&cluster.state).pools;
    assert_eq!(pools["p"].reserved.len(), 3);
    let shown: Vec<String> = pools["q"]
        .reserved
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(shown, ["203.0.113.9 is an address of Node n2"]);
}
