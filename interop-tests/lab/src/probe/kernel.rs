//! The kernel's routes, nexthop objects and addresses of a namespace, and the changes that it announces, as iproute2
//! tells them.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ipnet::IpNet;
use serde::Deserialize;

use crate::eventually::eventually;
use crate::netns::Namespace;
use crate::process::Process;
use crate::speaker::Family;

/// One next hop of a route.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path {
    /// The next router; `None` for what is on the link.
    pub gateway: Option<IpAddr>,
    /// The interface.
    pub interface: Option<String>,
    /// The weight among the paths, 1 to 256.
    pub weight: u32,
}

/// A route of the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelRoute {
    /// Its destination.
    pub prefix: IpNet,
    /// Who installed it: a name of iproute2 (`kernel`, `bird`, `zebra`) or a number.
    pub protocol: String,
    /// Its kind: `unicast`, `blackhole`, `unreachable`.
    pub kind: String,
    /// Its metric; an absent one is 0.
    pub metric: u32,
    /// The nexthop object it uses.
    pub nexthop_id: Option<u32>,
    /// Its ways, sorted; of a route with a nexthop object those of the object.
    pub paths: Vec<Path>,
    /// What the kernel says of it: `linkdown`, `dead`, `offload`.
    pub flags: Vec<String>,
}

/// A nexthop object of the kernel.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct KernelNexthop {
    /// Its number.
    pub id: u32,
    /// The next router.
    pub gateway: Option<IpAddr>,
    /// The interface.
    pub dev: Option<String>,
    /// Who made it.
    pub protocol: Option<String>,
    /// The members of a group, with their weights where they differ from 1.
    #[serde(default)]
    pub group: Vec<GroupMember>,
}

/// A member of a group of nexthop objects.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct GroupMember {
    /// The member's number.
    pub id: u32,
    /// Its weight; an absent one is 1.
    pub weight: Option<u32>,
}

#[derive(Deserialize)]
struct Shown {
    dst: String,
    gateway: Option<IpAddr>,
    via: Option<Via>,
    dev: Option<String>,
    protocol: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    metric: Option<u32>,
    nhid: Option<u32>,
    #[serde(default)]
    nexthops: Vec<Hop>,
    #[serde(default)]
    flags: Vec<String>,
}

#[derive(Deserialize)]
struct Hop {
    gateway: Option<IpAddr>,
    via: Option<Via>,
    dev: Option<String>,
    weight: Option<u32>,
}

/// A gateway of the other family.
#[derive(Deserialize)]
struct Via {
    host: IpAddr,
}

/// The routes of the main table.
///
/// # Errors
/// `ip` fails or answers in another shape than expected.
pub fn routes(namespace: &Namespace, family: Family) -> Result<Vec<KernelRoute>> {
    routes_of_table(namespace, family, "main")
}

/// The routes of a table, named or numbered.
///
/// # Errors
/// As [`routes`].
pub fn routes_of_table(
    namespace: &Namespace,
    family: Family,
    table: &str,
) -> Result<Vec<KernelRoute>> {
    // Details name the kind of a route that is no unicast one.
    let text = namespace.ip(&format!(
        "-j -d {} route show table {table}",
        family_option(family)
    ))?;
    parse_routes(&text, family)
}

/// The routes of the main table with a prefix.
///
/// # Errors
/// As [`routes`], or `prefix` is none.
pub fn routes_to(namespace: &Namespace, prefix: &str) -> Result<Vec<KernelRoute>> {
    let wanted: IpNet = prefix.parse().context("a prefix")?;
    let mut found = routes(namespace, Family::of(wanted))?;
    found.retain(|route| route.prefix == wanted);
    Ok(found)
}

/// How many routes of a protocol the main table holds. For tables of any size.
///
/// # Errors
/// As [`routes`]; or it takes longer than `deadline`.
pub fn count_routes(
    namespace: &Namespace,
    family: Family,
    protocol: &str,
    deadline: Duration,
) -> Result<usize> {
    let option = family_option(family);
    let script = format!("ip -o {option} route show proto {protocol} | wc -l");
    let done = namespace.output(&["sh", "-c", &script], deadline)?;
    ensure!(done.status.success(), "{script}: {}", done.stderr);
    done.stdout.trim().parse().context("a number of lines")
}

/// The destinations of the routes of a protocol in the main table, in the kernel's order. For tables of any size.
///
/// # Errors
/// As [`count_routes`].
pub fn destinations(
    namespace: &Namespace,
    family: Family,
    protocol: &str,
    deadline: Duration,
) -> Result<Vec<IpNet>> {
    let option = family_option(family);
    let script = format!("ip -o {option} route show proto {protocol} | cut -d' ' -f1");
    let done = namespace.output(&["sh", "-c", &script], deadline)?;
    ensure!(done.status.success(), "{script}: {}", done.stderr);
    done.stdout
        .lines()
        .map(|line| destination(line.trim(), family))
        .collect()
}

/// The nexthop objects.
///
/// # Errors
/// As [`routes`].
pub fn nexthops(namespace: &Namespace) -> Result<Vec<KernelNexthop>> {
    let text = namespace.ip("-j nexthop show")?;
    parse(&text)
}

/// An address of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelAddress {
    /// The interface.
    pub interface: String,
    /// The address with the length of its network's prefix.
    pub address: IpNet,
}

/// The addresses of all interfaces that are valid beyond their link.
///
/// # Errors
/// As [`routes`].
pub fn addresses(namespace: &Namespace) -> Result<Vec<KernelAddress>> {
    #[derive(Deserialize)]
    struct Interface {
        ifname: String,
        #[serde(default)]
        addr_info: Vec<Address>,
    }
    #[derive(Deserialize)]
    struct Address {
        local: IpAddr,
        prefixlen: u8,
        scope: String,
    }
    let interfaces: Vec<Interface> = parse(&namespace.ip("-j addr show")?)?;
    let mut found = Vec::new();
    for interface in interfaces {
        for address in interface.addr_info {
            if address.scope == "global" {
                found.push(KernelAddress {
                    interface: interface.ifname.clone(),
                    address: IpNet::new(address.local, address.prefixlen)?,
                });
            }
        }
    }
    Ok(found)
}

/// The namespace's own address of a family on the interface that leads to `neighbour` on the link: its next hop for
/// routes of that family on a session with the neighbour.
///
/// # Errors
/// As [`routes`].
pub fn own_address(
    namespace: &Namespace,
    neighbour: IpAddr,
    family: Family,
) -> Result<Option<IpAddr>> {
    let all = addresses(namespace)?;
    let towards = all
        .iter()
        .find(|one| one.address.contains(&neighbour))
        .map(|one| one.interface.clone());
    Ok(all
        .iter()
        .find(|one| Some(&one.interface) == towards.as_ref() && Family::of(one.address) == family)
        .map(|one| one.address.addr()))
}

fn family_option(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "-4",
        Family::Ipv6 => "-6",
    }
}

fn parse<T: serde::de::DeserializeOwned>(text: &str) -> Result<Vec<T>> {
    // Nothing at all is printed for some empty tables, and an empty object between others by some versions.
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    serde_json::from_str(text).with_context(|| format!("JSON of ip: {text}"))
}

fn parse_routes(text: &str, family: Family) -> Result<Vec<KernelRoute>> {
    let shown: Vec<Shown> = parse(text)?;
    shown
        .into_iter()
        .map(|route| {
            let mut paths: Vec<Path> = route
                .nexthops
                .into_iter()
                .map(|hop| Path {
                    gateway: hop.gateway.or(hop.via.map(|via| via.host)),
                    interface: hop.dev,
                    weight: hop.weight.unwrap_or(1),
                })
                .collect();
            if paths.is_empty() && (route.gateway.is_some() || route.dev.is_some()) {
                paths.push(Path {
                    gateway: route.gateway.or(route.via.map(|via| via.host)),
                    interface: route.dev,
                    weight: 1,
                });
            }
            paths.sort();
            Ok(KernelRoute {
                prefix: destination(&route.dst, family)?,
                protocol: route.protocol.unwrap_or_default(),
                kind: route.kind.unwrap_or_else(|| "unicast".to_owned()),
                metric: route.metric.unwrap_or(0),
                nexthop_id: route.nhid,
                paths,
                flags: route.flags,
            })
        })
        .collect()
}

fn destination(text: &str, family: Family) -> Result<IpNet> {
    let full = match (text, family) {
        ("default", Family::Ipv4) => "0.0.0.0/0".to_owned(),
        ("default", Family::Ipv6) => "::/0".to_owned(),
        (host, Family::Ipv4) if !host.contains('/') => format!("{host}/32"),
        (host, Family::Ipv6) if !host.contains('/') => format!("{host}/128"),
        (prefix, _) => prefix.to_owned(),
    };
    full.parse()
        .with_context(|| format!("\"{text}\" is no destination"))
}

/// The kernel's announcements of changed routes and nexthop objects, from when it was started.
#[derive(Debug)]
pub struct Monitor {
    process: Process,
    namespace: Namespace,
    marks: std::cell::Cell<u32>,
}

impl Monitor {
    /// Starts to listen. What changes after it returns is seen.
    ///
    /// # Errors
    /// `ip monitor` cannot be started.
    pub fn start(namespace: &Namespace) -> Result<Self> {
        let argv = ["stdbuf", "-oL", "ip", "monitor", "route", "nexthop"];
        let monitor = Self {
            process: namespace.spawn("monitor", &argv)?,
            namespace: namespace.clone(),
            marks: std::cell::Cell::new(0),
        };
        // It says nothing when it is ready: a change of our own has to come back first.
        monitor.lines()?;
        Ok(monitor)
    }

    /// What was announced so far, a line for each change; its own markers are left out.
    ///
    /// # Errors
    /// The listener has ended.
    pub fn lines(&self) -> Result<Vec<String>> {
        // The kernel keeps the order of announcements: once a marker has come, all before it has come.
        let number = self.marks.get();
        self.marks.set(number + 1);
        let marker = format!("192.0.0.{}", 64 + number % 64);
        let seen = |text: &str| text.lines().filter(|line| line.contains(&marker)).count();
        let before = seen(&self.process.log_text());
        eventually(Duration::from_secs(10), "ip monitor shows a change", || {
            self.process.check_alive()?;
            for verb in ["replace", "del"] {
                self.namespace
                    .ip(&format!("route {verb} blackhole {marker}/32 metric 4242"))?;
            }
            let text = self.process.log_text();
            ensure!(seen(&text) > before, "only {} lines", text.lines().count());
            Ok(())
        })?;
        let text = self.process.log_text();
        let foreign = |line: &&str| !line.contains("metric 4242") && !line.trim().is_empty();
        Ok(text.lines().filter(foreign).map(str::to_owned).collect())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn routes_of_every_kind_are_read() {
        let text = r#"[
          {"type":"unicast","dst":"default","gateway":"10.0.0.2","dev":"eth0","protocol":"static","flags":[]},
          {"type":"blackhole","dst":"203.0.113.0/24","protocol":"bird","metric":32,"flags":[]},
          {"type":"unicast","dst":"10.9.0.1","via":{"family":"inet6","host":"fe80::1"},"dev":"eth0","flags":["linkdown"]},
          {"type":"unicast","dst":"198.51.100.0/24","nhid":7,"protocol":"bgp","flags":[],
           "nexthops":[{"gateway":"10.0.1.2","dev":"eth1","weight":1,"flags":[]},
                       {"gateway":"10.0.0.2","dev":"eth0","weight":3,"flags":[]}]}]"#;
        let routes = parse_routes(text, Family::Ipv4).unwrap();
        assert_eq!(routes[0].prefix.to_string(), "0.0.0.0/0");
        assert_eq!(
            (routes[1].kind.as_str(), routes[1].metric),
            ("blackhole", 32)
        );
        assert_eq!(routes[2].prefix.to_string(), "10.9.0.1/32");
        assert_eq!(routes[2].paths[0].gateway, Some("fe80::1".parse().unwrap()));
        assert_eq!(routes[3].nexthop_id, Some(7));
        let weights: Vec<u32> = routes[3].paths.iter().map(|path| path.weight).collect();
        assert_eq!(weights, [3, 1], "sorted by gateway");
    }
}
