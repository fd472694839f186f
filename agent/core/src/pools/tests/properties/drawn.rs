//! States of pools and Services as a property draws them: of few values, so that Services clash.

use ipnet::IpNet;
use proptest::prelude::*;

use super::super::tenancy::allowed;
use super::super::*;

/// What a test draws of a Service; all numbers choose from a few, so that Services clash.
pub(in super::super) type Drawn = ((u8, u8, u8, u8), (u8, u8, u8, u8), Vec<u8>);

/// Where an Advertisement may allow external IPs.
pub(super) const EXTERNAL: &str = "203.0.113.0/30";

/// A few addresses, inside and outside of the pools.
pub(super) fn place(at: u8) -> String {
    match at {
        0..=7 => format!("203.0.113.{at}"),
        8 => "10.0.0.1".to_owned(),
        _ => format!("2001:db8::{:x}", at - 9),
    }
}

const LAST_PLACE: u8 = 13;

pub(in super::super) fn request(name: usize, drawn: &Drawn) -> Request {
    let ((kind, age, port, sharing), (asks, pool, namespace, label), held) = drawn;
    let families = match kind {
        0..=2 => V4,
        3 => V6,
        4 | 5 => REQUIRE,
        6 | 7 => PREFER,
        8 => "type: LoadBalancer",
        9 => "type: ClusterIP",
        10 => "type: LoadBalancer, loadBalancerClass: routelet.dev/bgp",
        _ => "type: LoadBalancer, loadBalancerClass: example.com/other",
    };
    let local = if *port > 3 { "Local" } else { "Cluster" };
    let spec = format!(
        "{families}, ports: [{{port: {}}}], externalTrafficPolicy: {local}, selector: {{app: a{}}}, clusterIP: {}, externalIPs: [{}]",
        port % 4 + 1,
        label % 2,
        if *asks == 29 {
            place(*port)
        } else {
            "10.96.0.1".to_owned()
        },
        if *asks > 26 {
            place(*port)
        } else {
            String::new()
        }
    );
    let mut annotations = Vec::new();
    match sharing {
        0 | 1 => annotations.push(format!("routelet.dev/sharing-key: k{sharing}")),
        2 => annotations.push("metallb.io/allow-shared-ip: k0".to_owned()),
        _ => {}
    }
    if *asks <= LAST_PLACE {
        let second = place((asks * 5 + port) % (LAST_PLACE + 1));
        let list = if *label == 0 {
            format!("{},{second}", place(*asks))
        } else {
            place(*asks)
        };
        annotations.push(format!("routelet.dev/addresses: \"{list}\""));
    }
    if *pool < 3 {
        annotations.push(format!("routelet.dev/address-pool: p{pool}"));
    }
    let ingress: Vec<String> = held
        .iter()
        .map(|at| format!("{{ip: \"{}\"}}", place(*at)))
        .collect();
    let yaml = Yaml {
        namespace: Some(["a", "b"][usize::from(*namespace)]),
        labels: ["x: \"0\"", "x: \"1\"", ""][usize::from(*label)],
        annotations: &annotations.join(", "),
        spec: &spec,
        ingress: &ingress.join(", "),
    };
    yaml.read(&format!("s{name}"), i64::from(*age))
}

pub(in super::super) fn service() -> impl Strategy<Value = Drawn> {
    (
        (0..12u8, 0..4u8, 0..8u8, 0..5u8),
        (0..30u8, 0..12u8, 0..2u8, 0..3u8),
        prop::collection::vec(0..=LAST_PLACE, 0..3),
    )
}

/// Pools, as what they say beside their addresses, and the first and last of those.
fn pool() -> impl Strategy<Value = (u8, u8, u8, u8, u8)> {
    (0..8u8, 0..4u8, 0..3u8, 0..8u8, 0..3u8)
}

pub(in super::super) fn drawn_state() -> impl Strategy<Value = State> {
    let pools = prop::collection::vec(pool(), 0..4);
    let services = prop::collection::vec(service(), 0..12);
    let reserved = prop::collection::vec((0..=LAST_PLACE, any::<bool>()), 0..3);
    let (external, known) = (any::<bool>(), any::<bool>());
    let drawn = (pools, services, reserved, (external, known));
    drawn.prop_map(|(pools, services, reserved, (external, known))| {
        let mut cluster = Cluster::default();
        if external {
            cluster.state.external_ips = vec![allowed(EXTERNAL)];
        }
        cluster.namespace("a", &[("team", "a")]);
        if known {
            cluster.namespace("b", &[]);
        }
        for (at, (first, size, selector, more, age)) in pools.into_iter().enumerate() {
            let selector = [
                "",
                ", serviceSelector: {matchLabels: {x: \"0\"}}",
                ", namespaceSelector: {matchLabels: {team: a}}",
            ][usize::from(selector)];
            let more = [
                "",
                ", autoAssign: false",
                ", priority: 1",
                ", excludeFirstAndLast: true",
                ", maxPerNamespace: 1",
                ", maxPerService: 1",
                ", allowRequests: false",
                ", requireClass: true",
            ][usize::from(more)];
            let name = format!("p{at}");
            let last = first + size;
            let block = if size == 3 {
                "203.0.113.0/29".to_owned()
            } else {
                format!("203.0.113.{first}-203.0.113.{last}")
            };
            let v6 = if size == 2 {
                String::new()
            } else {
                format!(", \"2001:db8::{first:x}-2001:db8::{last:x}\"")
            };
            cluster.pool(&name, &format!("addresses: [{block}{v6}]{selector}{more}"));
            Arc::make_mut(cluster.state.pools.get_mut(&name).unwrap()).created =
                Created(Some(i64::from(age)));
        }
        for (at, drawn) in services.iter().enumerate() {
            let request = request(at, drawn);
            cluster
                .state
                .services
                .insert(request.key.clone(), Arc::new(request));
        }
        for (at, whole) in reserved {
            let address = IpNet::from(place(at).parse::<IpAddr>().unwrap());
            let length = if whole {
                address.max_prefix_len() - 1
            } else {
                address.max_prefix_len()
            };
            cluster.state.reserved.push(Reserved {
                net: IpNet::new(address.addr(), length).unwrap().trunc(),
                holder: Holder::Node("n".into()),
            });
        }
        cluster.state
    })
}
