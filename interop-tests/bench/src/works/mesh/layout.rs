//! Who is where in a mesh, and what that makes of manifests and kernels: numbers, addresses, texts, and nothing that
//! runs.
//!
//! ```text
//!   node-1  eth0 10.0.0.1/16    fd00::1/64   pods 10.64.1.0/24  fd00:64:1::/64
//!   node-2  eth0 10.0.0.2/16    fd00::2/64   pods 10.64.2.0/24  fd00:64:2::/64
//! ```
//!
//! The kernel's table of neighbours is one for all namespaces and holds 1024, but for entries that are written into it:
//! so all are written, and hardware addresses are made from the nodes' numbers.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Result, bail, ensure};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde_json::json;

/// What a bridge has ports for, and more than node numbers in addresses go to.
pub(super) const MOST: usize = 1000;
/// As many as are advised.
const REFLECTORS: usize = 3;

/// Who has sessions with whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::works) enum Shape {
    /// Each node with each other.
    Mesh,
    /// The first three nodes are route reflectors of all.
    Reflectors,
}

pub(super) fn name(number: usize) -> String {
    format!("node-{number}")
}

/// A node's addresses: of IPv4, of IPv6, and of its link.
pub(super) fn addresses(number: usize) -> [IpAddr; 3] {
    let [high, low] = (number as u16).to_be_bytes();
    [
        Ipv4Addr::new(10, 0, high, low).into(),
        Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, number as u16).into(),
        Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, number as u16).into(),
    ]
}

/// A node's pod CIDRs, one of each family.
pub(super) fn pods(number: usize) -> [IpNet; 2] {
    let [high, low] = (number as u16).to_be_bytes();
    let v4 = Ipv4Addr::new(10, 64 + high, low, 0);
    let v6 = Ipv6Addr::new(0xfd00, 0x64, number as u16, 0, 0, 0, 0, 0);
    [
        Ipv4Net::new_assert(v4, 24).into(),
        Ipv6Net::new_assert(v6, 64).into(),
    ]
}

pub(super) fn hardware(number: usize) -> String {
    let [high, low] = (number as u16).to_be_bytes();
    format!("02:00:00:00:{high:02x}:{low:02x}")
}

/// What `ip -batch` is to do on a node: its own addresses, and where all others are.
pub(super) fn links(number: usize, count: usize) -> Result<String> {
    let mut text = format!("link set eth0 address {}\n", hardware(number));
    for address in addresses(number) {
        let rest = if address.is_ipv4() { "/16" } else { "/64" };
        let nodad = if address.is_ipv4() { "" } else { " nodad" };
        writeln!(text, "addr add {address}{rest} dev eth0{nodad}")?;
    }
    for other in (1..=count).filter(|other| *other != number) {
        let [v4, ..] = addresses(other);
        let hardware = hardware(other);
        writeln!(
            text,
            "neigh replace {v4} lladdr {hardware} dev eth0 nud permanent"
        )?;
    }
    Ok(text)
}

/// The Node objects. There is no Router: a mesh is what Routelet does without one.
pub(super) fn manifests(shape: Shape, count: usize) -> String {
    let node = |number| {
        let [v4, v6, _] = addresses(number);
        let addresses = [v4, v6].map(|one| json!({"type": "InternalIP", "address": one}));
        let role = if number <= REFLECTORS {
            "reflector"
        } else {
            "client"
        };
        json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": name(number), "labels": {"role": role}},
            "spec": {"podCIDRs": pods(number)}, "status": {"addresses": addresses},
        })
    };
    let reflectors = json!({
        "apiVersion": "routelet.dev/v1alpha1", "kind": "Peer", "metadata": {"name": "reflectors"},
        "spec": {"nodes": {"selector": {"matchLabels": {"role": "reflector"}}, "reflectors": true}},
    });
    let mut all: Vec<String> = (1..=count).map(|number| node(number).to_string()).collect();
    if shape == Shape::Reflectors {
        all.push(reflectors.to_string());
    }
    all.join("\n---\n") + "\n"
}

/// How many sessions a node has.
pub(super) fn sessions(shape: Shape, number: usize, count: usize) -> u64 {
    match shape {
        Shape::Reflectors if number > REFLECTORS => REFLECTORS as u64,
        Shape::Reflectors | Shape::Mesh => count as u64 - 1,
    }
}

/// What the kernel of a node is to hold: the pods of all others, and the addresses that may be the next hop.
pub(super) fn expected(number: usize, count: usize) -> Result<Vec<(IpNet, [IpAddr; 3])>> {
    ensure!((1..=count).contains(&number), "no node {number} of {count}");
    let others = (1..=count).filter(|other| *other != number);
    let routes = others.flat_map(|other| pods(other).map(|pods| (pods, addresses(other))));
    Ok(routes.collect())
}

pub(super) fn compare(
    wanted: &[(IpNet, [IpAddr; 3])],
    held: Vec<(IpNet, Vec<Option<IpAddr>>)>,
) -> Result<()> {
    let count = held.len();
    let mut held: HashMap<_, _> = held.into_iter().collect();
    ensure!(held.len() == count, "a prefix has more than one route");
    for (pods, gateways) in wanted {
        match held.remove(pods).as_deref() {
            Some(ways) if leads_to(ways, gateways) => {}
            Some(other) => {
                bail!("{pods} should be forwarded to one of {gateways:?}, not {other:?}")
            }
            None => bail!("no route to {pods}"),
        }
    }
    match held.into_iter().next() {
        Some((prefix, _)) => bail!("a route to {prefix}, which nobody has"),
        None => Ok(()),
    }
}

/// Whether there is a next hop, and each is the node of these addresses. There may be two: a reflector learns a
/// client's pods from the client, with its link-local address as the next hop, and from other reflectors, with the
/// global one.
fn leads_to(ways: &[Option<IpAddr>], node: &[IpAddr]) -> bool {
    let each = ways.iter();
    !ways.is_empty() && each.flatten().filter(|via| node.contains(via)).count() == ways.len()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn nodes_have_addresses_and_pods_of_their_own() {
        let numbers = 1..=MOST;
        let all: std::collections::HashSet<_> = numbers.clone().flat_map(addresses).collect();
        assert_eq!(all.len(), 3 * MOST);
        let all: std::collections::HashSet<_> = numbers.flat_map(pods).collect();
        assert_eq!(all.len(), 2 * MOST);
        assert!(all.iter().all(|pods| pods.trunc() == *pods));
        let [v4, v6] = pods(300);
        assert_eq!(v4.to_string(), "10.65.44.0/24");
        assert_eq!(v6.to_string(), "fd00:64:12c::/64");
    }

    #[test]
    fn a_node_knows_the_hardware_addresses_of_all_others() {
        let text = links(2, 3).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "link set eth0 address 02:00:00:00:00:02");
        assert_eq!(lines[1], "addr add 10.0.0.2/16 dev eth0");
        assert_eq!(lines[3], "addr add fe80::2/64 dev eth0 nodad");
        assert_eq!(lines.len(), 4 + 2, "{text}");
        assert!(!text.contains("neigh replace 10.0.0.2"), "{text}");
    }

    #[test]
    fn a_kernel_is_right_with_the_pods_of_all_others_and_nothing_else() {
        let wanted = expected(1, 3).unwrap();
        assert_eq!(wanted.len(), 4);
        let right = |wanted: &[(IpNet, [IpAddr; 3])]| -> Vec<(IpNet, Vec<Option<IpAddr>>)> {
            wanted
                .iter()
                .map(|(p, via)| (*p, vec![Some(via[2])]))
                .collect()
        };
        compare(&wanted, right(&wanted)).unwrap();
        let error = |held| compare(&wanted, held).unwrap_err().to_string();
        assert_eq!(error(right(&wanted[1..])), "no route to 10.64.2.0/24");
        let mut held = right(&wanted);
        held.push((pods(9)[0], vec![None]));
        assert_eq!(error(held), "a route to 10.64.9.0/24, which nobody has");
        let mut held = right(&wanted);
        held[0].1 = vec![Some(addresses(2)[1]), Some(addresses(2)[2])];
        compare(&wanted, held.clone()).unwrap();
        for ways in [
            vec![],
            vec![None],
            vec![Some(addresses(2)[0]), Some(addresses(3)[0])],
        ] {
            held[0].1 = ways;
            assert!(error(held.clone()).contains("should be forwarded"));
        }
    }

    #[test]
    fn of_a_mesh_all_have_sessions_with_all_and_of_reflectors_only_these() {
        let all = |shape| [1, 3, 4, 9].map(|number| sessions(shape, number, 9));
        assert_eq!(all(Shape::Mesh), [8; 4]);
        assert_eq!(all(Shape::Reflectors), [8, 8, 3, 3]);
        assert!(!manifests(Shape::Mesh, 4).contains("Peer"));
        let text = manifests(Shape::Reflectors, 4);
        assert_eq!(text.matches("\"role\":\"reflector\"").count(), 3 + 1);
        assert_eq!(text.lines().filter(|line| *line == "---").count(), 4);
    }
}
