//! `routelet check`: validates a directory of manifests and shows, offline, what each node would do.
//!
//! The one command that asks no agent: it reads the manifests and computes the intents itself, with the same code.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Serialize;

use super::screen::Screen;
use super::table::{Pages, prose, text};
use super::words::{commas, count};
use crate::cluster::{Problem, Severity, Snapshot, manifests};
use crate::intent::{
    Intent, LocalFacts, OriginatedRoute, PeerIntent, Warning, WarningKind, intend,
};

/// Validate manifests and show what each node would do, without an agent or a cluster
#[derive(Debug, clap::Args)]
pub(super) struct Check {
    /// The directory of manifests
    #[arg(value_name = "DIR")]
    directory: PathBuf,

    /// Only this node (may be given several times; it needs no Node object). Default: every Node object
    #[arg(long, value_name = "NAME")]
    node: Vec<String>,

    /// Only the problems, not what nodes would do
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
    nodes: Vec<NodeReport>,
}

/// What a node would do.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct NodeReport {
    node: String,
    /// The Router object; absent: built-in defaults.
    #[serde(skip_serializing_if = "Option::is_none")]
    router: Option<String>,
    asn: u32,
    router_id: String,
    peers: Vec<PeerReport>,
    originated: Vec<RouteReport>,
    suppressed: Vec<SuppressedReport>,
    warnings: Vec<String>,
    /// What hangs on the node itself and is not known here.
    unknown: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PeerReport {
    name: String,
    object: String,
    target: String,
    asn: String,
    passive: bool,
    import: Vec<String>,
    export: Vec<String>,
    /// What the peer is told, by the names of Advertisements.
    advertisements: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct RouteReport {
    prefix: String,
    /// The unused part is dropped by the kernel.
    aggregate: bool,
    advertisements: Vec<String>,
    reasons: Vec<String>,
    /// The peers that are told.
    peers: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SuppressedReport {
    #[serde(skip_serializing_if = "Option::is_none")]
    prefix: Option<String>,
    object: String,
    code: &'static str,
    reason: String,
}

impl Check {
    pub(super) fn run(&self, screen: &mut Screen) -> anyhow::Result<()> {
        let snapshot = manifests::load(&self.directory)?;
        let errors = snapshot
            .problems
            .iter()
            .filter(|p| p.severity == Severity::Error)
            .count();
        let nodes = self.nodes(&snapshot);
        let report = Report {
            valid: errors == 0,
            problems: &snapshot.problems,
            nodes: nodes
                .iter()
                .map(|name| node_report(&snapshot, name))
                .collect(),
        };
        if !screen.data(&report)? {
            self.show(screen, &snapshot, &report)?;
        }
        screen.flush()?;
        if errors > 0 {
            anyhow::bail!(
                "{} in the manifests of {}",
                count(errors as u64, "error"),
                self.directory.display()
            );
        }
        Ok(())
    }

    fn nodes(&self, snapshot: &Snapshot) -> BTreeSet<String> {
        if self.problems {
            BTreeSet::new()
        } else if self.node.is_empty() {
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
    let kinds = [
        (state.routers.len(), "Router"),
        (state.peers.len(), "Peer"),
        (state.advertisements.len(), "Advertisement"),
        (state.pools.len(), "AddressPool"),
        (state.nodes.len(), "Node"),
        (state.services.len(), "Service"),
        (state.endpoint_slices.len(), "EndpointSlice"),
    ];
    let mut found: Vec<String> = kinds
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, noun)| count(*number as u64, noun))
        .collect();
    match state.policies.len() {
        0 => {}
        1 => found.push("1 RoutePolicy".to_owned()),
        number => found.push(format!("{number} RoutePolicies")),
    }
    match found.as_slice() {
        [] => "No objects that Routelet uses.".to_owned(),
        _ => format!("No problems: {}.", found.join(", ")),
    }
}

fn node_report(snapshot: &Snapshot, name: &str) -> NodeReport {
    let intent = intend(&snapshot.state, name, &LocalFacts::default());
    let (unknown, warnings): (Vec<&Warning>, Vec<&Warning>) = intent
        .warnings
        .iter()
        .partition(|warning| hangs_on_the_node(&warning.kind));
    NodeReport {
        router: intent.router.object.clone(),
        asn: intent.router.asn.0,
        router_id: intent.router.router_id.to_string(),
        peers: intent
            .peers
            .iter()
            .map(|p| peer_report(&intent, p))
            .collect(),
        originated: intent
            .originated
            .values()
            .map(|route| route_report(&intent, route))
            .collect(),
        suppressed: intent
            .suppressed
            .keys()
            .map(|suppressed| SuppressedReport {
                prefix: suppressed.prefix.map(|prefix| prefix.to_string()),
                object: suppressed.object.to_string(),
                code: suppressed.rule.code(),
                reason: suppressed.rule.to_string(),
            })
            .collect(),
        warnings: warnings.iter().map(ToString::to_string).collect(),
        unknown: unknown.iter().map(|w| on_the_node(w)).collect(),
        node: intent.node.clone(),
    }
}

/// Whether it is only so because there is no node here to ask.
fn hangs_on_the_node(kind: &WarningKind) -> bool {
    matches!(
        kind,
        WarningKind::NoGateway(_) | WarningKind::NoInterfaceAddress(_)
    )
}

fn on_the_node(warning: &Warning) -> String {
    match &warning.kind {
        WarningKind::NoGateway(family) => format!(
            "{}: the peer is the node's {family} default gateway, which only the node knows",
            warning.object
        ),
        WarningKind::NoInterfaceAddress(name) => format!(
            "{}: the addresses of interface {name}, which only the node knows",
            warning.object
        ),
        _ => warning.to_string(),
    }
}

fn advertisement_names(
    intent: &Intent,
    ids: impl Iterator<Item = rib::AdvertisementId>,
) -> Vec<String> {
    let mut names: Vec<String> = ids
        .filter_map(|id| intent.advertisements.get(&id).cloned())
        .collect();
    names.sort_unstable();
    names
}

fn peer_report(intent: &Intent, peer: &PeerIntent) -> PeerReport {
    let names = |policies: &[std::sync::Arc<rib::policy::Policy>]| {
        policies.iter().map(|policy| policy.name.clone()).collect()
    };
    PeerReport {
        name: peer.name.clone(),
        object: peer.object.to_string(),
        target: peer.target.to_string(),
        asn: peer.protocol.remote_asn.to_string(),
        passive: peer.protocol.passive,
        import: names(&peer.config.import),
        export: names(&peer.config.export),
        advertisements: advertisement_names(intent, peer.config.advertisements.iter().copied()),
    }
}

fn route_report(intent: &Intent, route: &OriginatedRoute) -> RouteReport {
    let ids: BTreeSet<_> = route.route.offers.iter().map(|o| o.advertisement).collect();
    let peers = intent.peers.iter();
    let mut reasons: Vec<String> = route
        .justifications
        .iter()
        .map(|j| j.source.to_string())
        .collect();
    reasons.dedup();
    RouteReport {
        prefix: route.route.prefix.to_string(),
        aggregate: route.route.blackhole,
        advertisements: advertisement_names(intent, ids.iter().copied()),
        reasons,
        peers: peers
            .filter(|peer| !peer.config.advertisements.is_disjoint(&ids))
            .map(|peer| peer.name.clone())
            .collect(),
    }
}

fn show_node(screen: &mut Screen, node: &NodeReport) -> anyhow::Result<()> {
    screen.line("")?;
    screen.line(format!(
        "Node {}: AS {}, router ID {}, {}",
        node.node,
        node.asn,
        node.router_id,
        match &node.router {
            Some(router) => format!("Router {router}"),
            None => "built-in defaults".to_owned(),
        }
    ))?;
    for warning in &node.warnings {
        screen.line(format!("warning: {warning}"))?;
    }
    for unknown in &node.unknown {
        screen.line(format!("not known here: {unknown}"))?;
    }
    section(screen, "Peers", node.peers.is_empty())?;
    let columns = [
        text("PEER"),
        text("AT"),
        text("AS"),
        prose("IS TOLD"),
        prose("POLICIES"),
    ];
    let mut pages = Pages::new(&columns);
    for peer in &node.peers {
        let policies = |word: &str, names: &[String]| match names {
            [] => None,
            names => Some(format!("{word} {}", commas(names))),
        };
        let both = [
            policies("import", &peer.import),
            policies("export", &peer.export),
        ];
        let both: Vec<String> = both.into_iter().flatten().collect();
        let passive = if peer.passive { " (passive)" } else { "" };
        let row = vec![
            peer.name.clone(),
            format!("{}{passive}", peer.target),
            peer.asn.clone(),
            commas(&peer.advertisements),
            both.join("; "),
        ];
        pages.row(screen, row)?;
    }
    pages.end(screen)?;

    section(screen, "Advertises", node.originated.is_empty())?;
    let columns = [
        text("PREFIX"),
        text("ADVERTISEMENT"),
        prose("BECAUSE OF"),
        prose("TO"),
    ];
    let mut pages = Pages::new(&columns);
    for route in &node.originated {
        let mut reasons = commas(&route.reasons);
        if route.aggregate {
            reasons = format!("aggregate of {reasons}");
        }
        let to = match route.peers.as_slice() {
            [] => "no peer".to_owned(),
            peers => commas(peers),
        };
        let row = vec![
            route.prefix.clone(),
            commas(&route.advertisements),
            reasons,
            to,
        ];
        pages.row(screen, row)?;
    }
    pages.end(screen)?;

    if !node.suppressed.is_empty() {
        section(screen, "Does not advertise", false)?;
        let columns = [text("PREFIX"), text("OBJECT"), prose("BECAUSE")];
        let mut pages = Pages::new(&columns);
        for suppressed in &node.suppressed {
            let row = vec![
                suppressed.prefix.clone().unwrap_or_else(|| "-".to_owned()),
                suppressed.object.clone(),
                suppressed.reason.clone(),
            ];
            pages.row(screen, row)?;
        }
        pages.end(screen)?;
    }
    Ok(())
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
            directory: directory.path().to_owned(),
            node: nodes.iter().map(|n| (*n).to_owned()).collect(),
            problems: false,
        };
        let place = directory.path().display().to_string();
        let result = command
            .run(&mut screen)
            .map_err(|e| e.to_string().replace(&place, "DIR"));
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
        assert_eq!(result, Err("1 error in the manifests of DIR".to_owned()));
        insta::assert_snapshot!("check_errors", text);
    }

    #[test]
    fn check_is_data_for_programs() {
        let (text, result) = check(CLUSTER, &["node-2"], Format::Json);
        assert_eq!(result, Ok(()));
        insta::assert_snapshot!("check_json", text);
    }
}
