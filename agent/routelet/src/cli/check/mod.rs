//! `routelet check`: validates manifests and shows, offline, which addresses Services would get and what each
//! node would do.
//!
//! The one command that asks no agent: it reads the manifests, allocates and computes the intents itself, with the same
//! code.

mod addresses;
mod nodes;
#[cfg(test)]
mod texts;

use std::collections::BTreeSet;
use std::path::PathBuf;

use routelet_core::cluster::{Problem, Severity, Snapshot, manifests};
use serde::Serialize;

use super::screen::Screen;
use super::words::count;
use addresses::Addresses;
use nodes::{NodeReport, node_report, refusals, show_node, unused};

/// Validate manifests, and show the addresses of Services and the plan of each node, without a cluster
#[derive(Debug, clap::Args)]
pub(super) struct Check {
    /// Directories of manifests, files, or - for standard input
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,

    /// Only this node (may be given several times; it needs no Node object). Default: every Node object
    #[arg(long, value_name = "NAME")]
    node: Vec<String>,

    /// Only the problems, neither addresses nor plans
    #[arg(long, conflicts_with = "node")]
    problems: bool,
}

/// What programs get.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    /// Whether there are no errors.
    valid: bool,
    problems: &'a [Problem],
    /// Absent without AddressPools.
    #[serde(flatten)]
    addresses: Option<Addresses>,
    nodes: Vec<NodeReport>,
}

impl Check {
    pub(super) fn run(&self, screen: &mut Screen) -> anyhow::Result<()> {
        let files = manifests::Files::find(&self.paths)?;
        let snapshot = files.load();
        let errors = snapshot
            .problems
            .iter()
            .filter(|p| p.severity == Severity::Error)
            .count();
        let mut state = (*snapshot.state).clone();
        let addresses = match state.pools.is_empty() {
            true => None,
            false => Some(addresses::allocate(&files, &mut state)),
        };
        let names = self.nodes(&snapshot);
        let nodes: Vec<NodeReport> = names.iter().map(|name| node_report(&state, name)).collect();
        let mut problems = snapshot.problems.to_vec();
        problems.extend(addresses.iter().flat_map(Addresses::problems));
        problems.extend(refusals(&nodes));
        problems.extend(unused(&nodes));
        let report = Report {
            valid: errors == 0,
            problems: &problems,
            addresses: addresses.filter(|_| !self.problems),
            nodes: nodes.into_iter().filter(|_| !self.problems).collect(),
        };
        if !screen.data(&report)? {
            self.show(screen, &snapshot, &report)?;
        }
        screen.flush()?;
        if errors > 0 {
            anyhow::bail!("{} in the manifests", count(errors as u64, "error"));
        }
        Ok(())
    }

    fn nodes(&self, snapshot: &Snapshot) -> BTreeSet<String> {
        if self.node.is_empty() {
            snapshot.state.nodes.keys().cloned().collect()
        } else {
            self.node.iter().cloned().collect()
        }
    }

    fn show(
        &self,
        screen: &mut Screen,
        snapshot: &Snapshot,
        report: &Report<'_>,
    ) -> anyhow::Result<()> {
        for problem in report.problems {
            let word = match problem.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            };
            screen.line(format!("{word}: {problem}"))?;
        }
        if report.problems.is_empty() {
            screen.line(inventory(snapshot))?;
        }
        if let Some(addresses) = &report.addresses {
            addresses.show(screen)?;
        }
        for node in &report.nodes {
            show_node(screen, node)?;
        }
        if report.nodes.is_empty() && !self.problems {
            screen.note(
                "There are no Node objects. --node NAME shows what a node of that name would do without one.",
            )?;
        }
        Ok(())
    }
}

/// What was found, when all is well.
fn inventory(snapshot: &Snapshot) -> String {
    let state = &snapshot.state;
    macro_rules! written_by_people {
        ($($kind:ident { collection: $collection:ident, $($rest:tt)* })*) => {
            [$((state.$collection.len(), stringify!($kind))),*]
        };
    }
    let kinds = routelet_api::kinds!(written_by_people).into_iter().chain([
        (state.nodes.len(), "Node"),
        (state.services.len(), "Service"),
        (state.endpoint_slices.len(), "EndpointSlice"),
    ]);
    let found: Vec<String> = kinds
        .filter(|(number, _)| *number > 0)
        .map(|(number, noun)| count(number as u64, noun))
        .collect();
    match found.as_slice() {
        [] => "No objects of kinds that Routelet uses.".to_owned(),
        _ => format!("No problems: {}.", found.join(", ")),
    }
}

fn section(screen: &mut Screen, title: &str, empty: bool) -> std::io::Result<()> {
    screen.line("")?;
    screen.line(if empty {
        format!("{title}: nothing")
    } else {
        format!("{title}:")
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::super::screen::Format;
    use super::*;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    const CLUSTER: &str = r#"
apiVersion: v1
kind: Node
metadata: {name: node-1, labels: {rack: a}}
spec: {podCIDRs: [10.244.1.0/24, "fd00:1::/64"]}
status: {addresses: [{type: InternalIP, address: 192.0.2.11}]}
---
apiVersion: v1
kind: Node
metadata: {name: node-2}
spec: {podCIDRs: [10.244.2.0/24]}
status: {addresses: [{type: InternalIP, address: 192.0.2.12}]}
---
apiVersion: routelet.dev/v1alpha1
kind: Peer
metadata: {name: tor-a}
spec: {nodeSelector: {matchLabels: {rack: a}}, address: 192.0.2.1, asn: 64500, import: [no-bogons]}
---
apiVersion: routelet.dev/v1alpha1
kind: RoutePolicy
metadata: {name: no-bogons}
spec:
  rules:
  - {name: martians, match: {prefixes: [{cidr: 127.0.0.0/8, orLonger: true}]}, action: Reject}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {type: LoadBalancer, externalTrafficPolicy: Local, clusterIP: 10.96.0.1}
status: {loadBalancer: {ingress: [{ip: 203.0.113.1}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
endpoints: [{addresses: [10.244.2.7], nodeName: node-2}]
"#;

    fn check(manifests: &str, nodes: &[&str], format: Format) -> (String, Result<(), String>) {
        check_with(manifests, nodes, format, false)
    }

    fn check_with(
        manifests: &str,
        nodes: &[&str],
        format: Format,
        problems: bool,
    ) -> (String, Result<(), String>) {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("all.yaml"), manifests).unwrap();
        let out = Shared::default();
        let mut screen = Screen::to(
            format,
            None,
            Box::new(out.clone()),
            Box::new(Shared::default()),
        );
        let command = Check {
            paths: vec![directory.path().to_owned()],
            node: nodes.iter().map(|n| (*n).to_owned()).collect(),
            problems,
        };
        let result = command.run(&mut screen).map_err(|e| e.to_string());
        let text = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
        (text, result)
    }

    #[test]
    fn check_shows_what_each_node_would_do_and_why() {
        let (text, result) = check(CLUSTER, &[], Format::Table);
        assert_eq!(result, Ok(()));
        insta::assert_snapshot!("check", text);
    }

    #[test]
    fn check_fails_on_errors_and_still_shows_the_rest() {
        let broken = CLUSTER.replace("asn: 64500", "asnn: 64500");
        let (text, result) = check(&broken, &["node-2"], Format::Table);
        assert_eq!(result, Err("1 error in the manifests".to_owned()));
        insta::assert_snapshot!("check_errors", text);
    }

    /// Services of a cluster before the controller has seen them: one that has an address, one of another load
    /// balancer, one that asks for what no pool has, one of both families, one without an address of the outside.
    const POOLS: &str = r#"
---
apiVersion: routelet.dev/v1alpha1
kind: AddressPool
metadata: {name: public}
spec: {addresses: [203.0.113.0/30, "2001:db8:f::/126"]}
---
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Service
  metadata: {name: mail, namespace: shop, annotations: {routelet.dev/addresses: 198.51.100.1}}
  spec: {type: LoadBalancer}
- apiVersion: v1
  kind: Service
  metadata: {name: new, namespace: shop}
  spec: {type: LoadBalancer, ipFamilies: [IPv4], ipFamilyPolicy: RequireDualStack}
- apiVersion: v1
  kind: Service
  metadata: {name: other, namespace: shop}
  spec: {type: LoadBalancer, loadBalancerClass: example.com/other}
- apiVersion: v1
  kind: Service
  metadata: {name: inside, namespace: shop}
  spec: {type: ClusterIP, clusterIP: 10.96.0.2}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: new-1, namespace: shop, labels: {kubernetes.io/service-name: new}}
addressType: IPv4
endpoints: [{addresses: [10.244.2.7], nodeName: node-2}]
"#;

    #[test]
    fn check_shows_the_addresses_that_services_would_get_and_who_would_tell_of_them() {
        let manifests = [CLUSTER, POOLS].concat();
        let (text, result) = check(&manifests, &["node-2"], Format::Table);
        assert_eq!(result, Ok(()));
        insta::assert_snapshot!("check_addresses", text);
        let (text, result) = check(&manifests, &["node-2"], Format::Json);
        assert_eq!(result, Ok(()));
        let all: serde_json::Value = serde_json::from_str(&text).unwrap();
        insta::assert_json_snapshot!("check_addresses_json", [&all["addresses"], &all["pools"]]);
    }

    /// An ordinary configuration that would take a cluster down: addresses of nodes and routers in Services and pools,
    /// a default route, an aggregate over the nodes' network.
    const HARMFUL: &str = r#"
---
apiVersion: routelet.dev/v1alpha1
kind: AddressPool
metadata: {name: lan}
spec: {addresses: [192.0.2.0/28, 10.244.2.0/28]}
---
apiVersion: routelet.dev/v1alpha1
kind: Advertisement
metadata: {name: all}
spec:
  prefixes: [0.0.0.0/0, 198.51.100.0/24]
  services: {addresses: [LoadBalancer, External], externalIPs: [192.0.2.0/24]}
  aggregate: {ipv4: 24}
  mode: Both
---
apiVersion: v1
kind: Service
metadata: {name: k3s, namespace: shop}
spec: {type: LoadBalancer, loadBalancerClass: routelet.dev/bgp, externalIPs: [192.0.2.1, 192.0.2.77]}
status: {loadBalancer: {ingress: [{ip: 192.0.2.12}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: k3s-1, namespace: shop, labels: {kubernetes.io/service-name: k3s}}
addressType: IPv4
endpoints: [{addresses: [10.244.2.7], nodeName: node-2}]
"#;

    #[test]
    fn check_says_what_would_take_addresses_of_nodes_and_routers_before_it_is_applied() {
        let manifests = [CLUSTER, HARMFUL].concat();
        let (text, result) = check(&manifests, &[], Format::Table);
        assert_eq!(result, Ok(()));
        insta::assert_snapshot!("check_harmful", text);
    }

    /// Two Peers with one address, written differently; two with sessions between the same nodes; two Routers of which
    /// neither is more specific.
    const TWINS: &str = r#"
---
apiVersion: routelet.dev/v1alpha1
kind: Peer
metadata: {name: spine-b}
spec: {address: "2001:DB8:0::1", asn: 64500}
---
apiVersion: routelet.dev/v1alpha1
kind: Peer
metadata: {name: spine-a}
spec: {nodeSelector: {matchLabels: {rack: a}}, address: "2001:db8::1", asn: 64501}
---
apiVersion: routelet.dev/v1alpha1
kind: Peer
metadata: {name: fast}
spec: {nodes: {}, timers: {hold: 9s}}
---
apiVersion: routelet.dev/v1alpha1
kind: Peer
metadata: {name: slow}
spec: {nodes: {}}
---
apiVersion: routelet.dev/v1alpha1
kind: Router
metadata: {name: one}
spec: {asn: 64512}
---
apiVersion: routelet.dev/v1alpha1
kind: Router
metadata: {name: two}
spec: {asn: 64513}
"#;

    #[test]
    fn check_says_which_of_two_objects_that_ask_for_the_same_is_not_used_and_where() {
        let manifests = [CLUSTER, TWINS].concat();
        let (text, result) = check_with(&manifests, &[], Format::Table, true);
        assert_eq!(result, Ok(()));
        insta::assert_snapshot!("check_twins", text);
    }

    #[test]
    fn check_is_data_for_programs() {
        let (text, result) = check(CLUSTER, &["node-2"], Format::Json);
        assert_eq!(result, Ok(()));
        insta::assert_snapshot!("check_json", text);
    }
}
