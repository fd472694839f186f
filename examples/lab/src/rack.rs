//! The links and addresses of the rack: two routers, three nodes with a pod each, and a client outside.

use anyhow::Result;
use interop_lab::{Lab, Namespace, Switch};

/// How many nodes there are.
pub(crate) const NODES: usize = 3;

/// The client's addresses. They are on its loopback, so that they survive the loss of either uplink.
pub(crate) const CLIENT: [&str; 2] = ["198.51.100.10", "2001:db8:c::10"];

/// A node and the pod behind it.
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) namespace: Namespace,
    pub(crate) pod: Namespace,
    /// The pod's addresses.
    pub(crate) pod_addresses: [String; 2],
}

/// The rack.
pub(crate) struct Rack {
    pub(crate) tor_a: Namespace,
    pub(crate) tor_b: Namespace,
    pub(crate) switch_a: Switch,
    pub(crate) client: Namespace,
    pub(crate) nodes: Vec<Node>,
}

impl Rack {
    /// Plugs everything together. Nothing speaks BGP yet.
    pub(crate) fn build(lab: &Lab) -> Result<Self> {
        let (tor_a, tor_b) = (lab.namespace("tor-a")?, lab.namespace("tor-b")?);
        let client = lab.namespace("client")?;
        let (switch_a, switch_b) = (lab.switch("switch-a")?, lab.switch("switch-b")?);
        switch_a.plug(lab, &tor_a, "rack0")?;
        switch_b.plug(lab, &tor_b, "rack0")?;
        for (tor, v4, v6) in [
            (&tor_a, "192.0.2.1/25", "2001:db8:a::1/64"),
            (&tor_b, "192.0.2.129/25", "2001:db8:b::1/64"),
        ] {
            tor.forward()?;
            tor.address("rack0", v4)?;
            tor.address("rack0", v6)?;
        }
        uplink(lab, &client, "up0", &tor_a, 1)?;
        uplink(lab, &client, "up1", &tor_b, 2)?;
        outside(&client)?;
        let nodes = (1..=NODES)
            .map(|number| node(lab, number, &switch_a, &switch_b))
            .collect::<Result<_>>()?;
        Ok(Self {
            tor_a,
            tor_b,
            switch_a,
            client,
            nodes,
        })
    }
}

/// The link from a router to the client, and the router's route to the client's network.
fn uplink(lab: &Lab, client: &Namespace, port: &str, tor: &Namespace, number: u8) -> Result<()> {
    lab.link((client, port), (tor, "out0"))?;
    client.address(port, &format!("100.64.{number}.1/30"))?;
    client.address(port, &format!("2001:db8:64:{number}::1/64"))?;
    tor.address("out0", &format!("100.64.{number}.2/30"))?;
    tor.address("out0", &format!("2001:db8:64:{number}::2/64"))?;
    // The client uses the other uplink once the carrier of one is lost.
    client.sysctl(
        &format!("net.ipv4.conf.{port}.ignore_routes_with_linkdown"),
        "1",
    )?;
    client.sysctl(
        &format!("net.ipv6.conf.{port}.ignore_routes_with_linkdown"),
        "1",
    )
}

/// The client's addresses, and its way to everything: both routers.
fn outside(client: &Namespace) -> Result<()> {
    client.sysctl("net.ipv4.fib_multipath_hash_policy", "1")?;
    client.sysctl("net.ipv6.fib_multipath_hash_policy", "1")?;
    client.address("lo", &format!("{}/32", CLIENT[0]))?;
    client.address("lo", &format!("{}/128", CLIENT[1]))?;
    client.ip(&format!(
        "route add default src {} nexthop via 100.64.1.2 nexthop via 100.64.2.2",
        CLIENT[0]
    ))?;
    client.ip(&format!(
        "-6 route add default src {} nexthop via 2001:db8:64:1::2 nexthop via 2001:db8:64:2::2",
        CLIENT[1]
    ))?;
    Ok(())
}

/// A node at both switches, and its pod.
fn node(lab: &Lab, number: usize, switch_a: &Switch, switch_b: &Switch) -> Result<Node> {
    let name = format!("node-{number}");
    let namespace = lab.namespace(&name)?;
    let pod = lab.namespace(&format!("pod-{number}"))?;
    namespace.forward()?;
    switch_a.plug(lab, &namespace, "eth0")?;
    switch_b.plug(lab, &namespace, "eth1")?;
    namespace.address("eth0", &format!("192.0.2.1{number}/25"))?;
    namespace.address("eth0", &format!("2001:db8:a::1{number}/64"))?;
    namespace.address("eth1", &format!("192.0.2.14{number}/25"))?;
    namespace.address("eth1", &format!("2001:db8:b::1{number}/64"))?;
    lab.link((&namespace, "pod0"), (&pod, "eth0"))?;
    namespace.address("pod0", &format!("10.244.{number}.1/24"))?;
    namespace.address("pod0", &format!("2001:db8:244:{number}::1/64"))?;
    let pod_addresses = [
        format!("10.244.{number}.10"),
        format!("2001:db8:244:{number}::10"),
    ];
    pod.address("eth0", &format!("{}/24", pod_addresses[0]))?;
    pod.address("eth0", &format!("{}/64", pod_addresses[1]))?;
    pod.ip(&format!("route add default via 10.244.{number}.1"))?;
    pod.ip(&format!(
        "-6 route add default via 2001:db8:244:{number}::1"
    ))?;
    Ok(Node {
        name,
        namespace,
        pod,
        pod_addresses,
    })
}
