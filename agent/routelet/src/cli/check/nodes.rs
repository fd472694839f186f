//! What each node would do.

use std::collections::{BTreeMap, BTreeSet};

use routelet_control::model::ReasonCode;
use routelet_core::cluster::{ClusterState, ObjectRef, Problem, Severity};
use routelet_core::intent::{
    Intent, LocalFacts, OriginatedRoute, PeerIntent, Warning, WarningKind, intend,
};
use serde::Serialize;

use super::section;
use crate::cli::screen::Screen;
use crate::cli::table::{Pages, prose, text};
use crate::cli::words::commas;

/// How many nodes a problem names.
const NAMED: usize = 5;

/// What a node would do.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NodeReport {
    node: String,
    /// The Router object; absent: built-in defaults.
    #[serde(skip_serializing_if = "Option::is_none")]
    router: Option<String>,
    /// Absent: it is to come from the Node, and does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    asn: Option<u32>,
    router_id: String,
    peers: Vec<PeerReport>,
    originated: Vec<RouteReport>,
    suppressed: Vec<SuppressedReport>,
    warnings: Vec<String>,
    /// Objects that select the node and that it does not use.
    #[serde(skip)]
    unused: Vec<Warning>,
    /// What depends on the node itself and is not known here.
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
    /// What is advertised to the peer, by names of Advertisements.
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
    /// The peers to which it is advertised.
    peers: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SuppressedReport {
    #[serde(skip_serializing_if = "Option::is_none")]
    prefix: Option<String>,
    object: String,
    code: ReasonCode,
    reason: String,
    /// Whether it must not be announced at all.
    #[serde(skip)]
    refused: Option<ObjectRef>,
}

/// What must not be announced at all, as problems: each once, however many nodes refuse it.
pub(super) fn refusals(nodes: &[NodeReport]) -> Vec<Problem> {
    let mut all: BTreeMap<(ObjectRef, String, String), usize> = BTreeMap::new();
    for suppressed in nodes.iter().flat_map(|node| &node.suppressed) {
        if let (Some(object), Some(prefix)) = (&suppressed.refused, &suppressed.prefix) {
            let why = format!("{} (rule {})", suppressed.reason, suppressed.code);
            *all.entry((object.clone(), prefix.clone(), why))
                .or_default() += 1;
        }
    }
    let problem = |((object, prefix, why), count)| Problem {
        severity: Severity::Warning,
        file: None,
        line: None,
        object: Some(object),
        path: String::new(),
        reason: match count == nodes.len() {
            true => format!("{prefix} is not advertised: {why}"),
            false => format!(
                "{prefix} is not advertised by {count} of {} nodes: {why}",
                nodes.len()
            ),
        },
        meanwhile: None,
    };
    all.into_iter().map(problem).collect()
}

/// Objects that nodes do not use, such as a Peer that duplicates another, as problems: each text once, however many
/// nodes have it.
pub(super) fn unused(nodes: &[NodeReport]) -> Vec<Problem> {
    let mut all: BTreeMap<&Warning, Vec<&str>> = BTreeMap::new();
    for node in nodes {
        for warning in &node.unused {
            all.entry(warning).or_default().push(&node.node);
        }
    }
    let problem = |(warning, on): (&Warning, Vec<&str>)| Problem {
        severity: Severity::Warning,
        file: None,
        line: None,
        object: Some(warning.object.clone()),
        path: String::new(),
        reason: match (on.as_slice(), nodes.len()) {
            (on, all) if on.len() == all => format!("is not used: {}", warning.kind),
            ([one], _) => format!("is not used on node {one}: {}", warning.kind),
            (on, all) => {
                let named = on
                    .iter()
                    .take(NAMED)
                    .copied()
                    .collect::<Vec<_>>()
                    .join(", ");
                let more = if on.len() > NAMED { "..." } else { "" };
                let on = on.len();
                format!(
                    "is not used on {on} of {all} nodes ({named}{more}): {}",
                    warning.kind
                )
            }
        },
        meanwhile: None,
    };
    all.into_iter().map(problem).collect()
}

/// What the node of this name would do in a state.
pub(super) fn node_report(state: &ClusterState, name: &str) -> NodeReport {
    let intent = intend(state, name, &LocalFacts::default());
    let (unknown, warnings): (Vec<&Warning>, Vec<&Warning>) = intent
        .warnings
        .iter()
        .partition(|warning| hangs_on_the_node(&warning.kind));
    NodeReport {
        router: intent.router.object.clone(),
        asn: intent.router.knows_asn().then_some(intent.router.asn.0),
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
                refused: suppressed
                    .rule
                    .is_refusal()
                    .then(|| suppressed.object.clone()),
                reason: suppressed.rule.to_string(),
            })
            .collect(),
        warnings: warnings.iter().map(ToString::to_string).collect(),
        unused: warnings
            .into_iter()
            .filter(|warning| warning.kind.is_unused())
            .cloned()
            .collect(),
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
            "{}: the peer is the node's {family} default gateway, known on the node only",
            warning.object
        ),
        WarningKind::NoInterfaceAddress(name) => format!(
            "{}: the addresses of interface {name}, known on the node only",
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
        asn: peer.session.protocol.remote_asn.to_string(),
        passive: peer.session.protocol.passive,
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
        aggregate: route.is_aggregate(),
        advertisements: advertisement_names(intent, ids.iter().copied()),
        reasons,
        peers: peers
            .filter(|peer| !peer.config.advertisements.is_disjoint(&ids))
            .map(|peer| peer.name.clone())
            .collect(),
    }
}

pub(super) fn show_node(screen: &mut Screen, node: &NodeReport) -> anyhow::Result<()> {
    screen.line("")?;
    screen.line(format!(
        "Node {}: AS {}, router ID {}, {}",
        node.node,
        node.asn
            .map_or_else(|| "unknown".to_owned(), |asn| asn.to_string()),
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
    show_peers(screen, node)?;
    show_originated(screen, node)?;
    show_suppressed(screen, node)
}

fn show_peers(screen: &mut Screen, node: &NodeReport) -> anyhow::Result<()> {
    section(screen, "Peers", node.peers.is_empty())?;
    let columns = [
        text("PEER"),
        text("ADDRESS"),
        text("AS"),
        prose("ADVERTISEMENTS"),
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
    Ok(())
}

fn show_originated(screen: &mut Screen, node: &NodeReport) -> anyhow::Result<()> {
    section(screen, "Advertises", node.originated.is_empty())?;
    let columns = [
        text("PREFIX"),
        text("ADVERTISEMENT"),
        prose("OBJECTS"),
        prose("PEERS"),
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
    Ok(())
}

fn show_suppressed(screen: &mut Screen, node: &NodeReport) -> anyhow::Result<()> {
    if node.suppressed.is_empty() {
        return Ok(());
    }
    section(screen, "Does not advertise", false)?;
    let columns = [text("PREFIX"), text("OBJECT"), prose("REASON")];
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
    Ok(())
}
