//! The agent as a whole.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Instant;

use bgp::session::{Admissions, Refusal};
use bgp::types::Family;
use rib::Rib;
use routelet_control::model::{
    ConnectionCounts, ConnectionRefusal, Convergence, Drain, DrainStage, FamilyCounts, FibSummary,
    PeerCounts, Problem, RangeCounts, RefreshesLimited, RefusedAnnouncement, RefusedCount,
    Severity, Status, Watch,
};
use routelet_core::cluster;
use routelet_core::intent::{Intent, Leaving, PeerTarget, RequestedBy};
use routelet_core::peering::Run;

use super::peer::PeerSnapshot;
use super::{reason, seconds};
use crate::run::shared::Shared;

/// How many refused announcements are listed.
const REFUSED: usize = 20;

/// What the RIB contributes to the status: one look.
pub(crate) struct RibStatus {
    /// Routes per family.
    pub(crate) families: Vec<FamilyCounts>,
    /// Interned attribute sets.
    pub(crate) attribute_sets: u64,
}

/// Takes it.
pub(crate) fn rib_status(rib: &Rib) -> RibStatus {
    RibStatus {
        families: Family::ALL
            .into_iter()
            .map(|family| {
                let totals = rib.totals(family);
                FamilyCounts {
                    family: family.into(),
                    prefixes: totals.prefixes,
                    paths: totals.paths,
                    rejected: totals.rejected,
                    stale: totals.stale,
                    originated: totals.originated,
                }
            })
            .collect(),
        attribute_sets: rib.attribute_sets(),
    }
}

/// The model of the agent. Readiness is filled in by the control server.
pub(crate) fn status(
    shared: &Shared,
    all: &[PeerSnapshot],
    rib: RibStatus,
    waiting: Vec<(String, Family)>,
    fib: FibSummary,
    now: Instant,
) -> Status {
    let intent = shared.intent();
    let (runs, changed) = shared.runs();
    Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        node: intent.node.clone(),
        asn: intent.router.knows_asn().then_some(intent.router.asn),
        router_id: Some(intent.router.router_id),
        uptime_seconds: seconds(shared.started, now),
        source: shared.source.clone(),
        watches: watches(shared),
        listening: shared.listening().as_ref().clone(),
        drain: drain(&intent),
        gates: shared.gates.list(),
        convergence: convergence(shared, all, &waiting, fib.stale),
        readiness: None,
        peers: peers(all),
        connections: connections(&shared.admissions),
        ranges: ranges(all),
        families: rib.families,
        attribute_sets: rib.attribute_sets,
        fib,
        problems: problems(shared),
        hanging: shared.hanging.load().to_vec(),
        refused_announcements: refused(&intent).count() as u64,
        refused: refused(&intent).take(REFUSED).collect(),
        refreshes_limited: RefreshesLimited::default(),
        intent_runs: runs,
        intent_changed_seconds: changed.map(|changed| seconds(changed, now)),
    }
}

/// How many peers there are, and how many of them have a session.
fn peers(all: &[PeerSnapshot]) -> PeerCounts {
    let configured = all
        .iter()
        .filter(|peer| !matches!(peer.run, Run::Range))
        .filter(|peer| peer.intent.requested_by.range().is_none() || peer.is_established());
    let blocked = |peer: &&PeerSnapshot| matches!(peer.run, Run::Blocked(_));
    let in_mesh = mesh(all);
    PeerCounts {
        configured: count(configured.count()),
        established: count(all.iter().filter(|peer| peer.is_established()).count()),
        blocked: count(all.iter().filter(blocked).count()),
        mesh: count(in_mesh.clone().count()),
        mesh_established: count(in_mesh.filter(|peer| peer.is_established()).count()),
    }
}

/// The other nodes of the mesh.
fn mesh(all: &[PeerSnapshot]) -> impl Iterator<Item = &PeerSnapshot> + Clone {
    all.iter()
        .filter(|peer| peer.intent.requested_by == RequestedBy::Mesh)
}

/// Whether the first exchange is over, and for whom it waits. `adopted`: stale routes that are still in the kernel.
fn convergence(
    shared: &Shared,
    all: &[PeerSnapshot],
    waiting: &[(String, Family)],
    adopted: u64,
) -> Convergence {
    let down_in_mesh: BTreeSet<&str> = mesh(all)
        .filter(|peer| !peer.is_established())
        .map(|peer| peer.intent.name.as_str())
        .collect();
    let is_of_mesh = |peer: &String| down_in_mesh.contains(peer.as_str());
    let converged = shared.has_converged();
    let unknown = shared.awaits_returning().then(|| match adopted {
        0 => "peers with kernel routes of a predecessor, not listed yet".to_owned(),
        _ => format!("peers with {adopted} kernel routes of a predecessor"),
    });
    let known = waiting
        .iter()
        .map(|(peer, family)| format!("{peer} {family}"));
    Convergence {
        converged,
        only_mesh_is_down: !waiting.is_empty() && waiting.iter().all(|(peer, _)| is_of_mesh(peer)),
        waiting_for: match converged {
            true => Vec::new(),
            false => known.chain(unknown).collect(),
        },
    }
}

fn watches(shared: &Shared) -> Vec<Watch> {
    let loaded = shared.loaded();
    let watches = loaded.source.watches.iter();
    watches
        .map(|(kind, failing)| Watch {
            kind: (*kind).to_owned(),
            failing: *failing,
        })
        .collect()
}

/// How far the node has left, and why.
pub(super) fn drain(intent: &Intent) -> Option<Drain> {
    let why = intent.router.drain.as_ref()?;
    Some(Drain {
        stage: match intent.router.leaving {
            Leaving::No | Leaving::Drained => DrainStage::Drained,
            Leaving::WithoutServices => DrainStage::WithoutServices,
            Leaving::WithoutPods => DrainStage::WithoutPods,
            Leaving::Gone => DrainStage::Gone,
        },
        reason: reason::of_drain(why),
    })
}

fn connections(admissions: &Admissions) -> ConnectionCounts {
    let refused = |why: Refusal| RefusedCount {
        reason: ConnectionRefusal(why),
        count: admissions.refused(why),
    };
    ConnectionCounts {
        accepted: admissions.accepted(),
        without_open: admissions.without_open() as u64,
        refused: Refusal::ALL.map(refused).to_vec(),
    }
}

fn ranges(all: &[PeerSnapshot]) -> Vec<RangeCounts> {
    let is_range = |peer: &&PeerSnapshot| matches!(peer.intent.target, PeerTarget::Range { .. });
    let counts = all.iter().filter(is_range).map(|range| {
        let name = &range.intent.name;
        let own = |peer: &&PeerSnapshot| peer.intent.requested_by.range() == Some(name.as_str());
        let taken = all.iter().filter(own).filter(|peer| peer.takes_place);
        RangeCounts {
            name: name.clone(),
            peers: count(taken.count()),
            max_peers: range.intent.max_peers,
        }
    });
    counts.collect()
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// What must not be announced at all, though some object asks for it.
fn refused(intent: &Intent) -> impl Iterator<Item = RefusedAnnouncement> + '_ {
    let suppressed = intent.suppressed.keys().filter(|one| one.rule.is_refusal());
    suppressed.filter_map(|one| {
        Some(RefusedAnnouncement {
            prefix: one.prefix?.to_string(),
            object: one.object.to_string(),
            reason: reason::of_rule(&one.rule),
        })
    })
}

/// How many next hops a problem names.
const NAMED: usize = 5;

/// Says that routes are not used for a setting of the Router.
pub(crate) fn denied_next_hops(denied: &[IpAddr]) -> Option<Problem> {
    let named: Vec<String> = denied.iter().take(NAMED).map(ToString::to_string).collect();
    let rest = denied.len().saturating_sub(NAMED);
    let more = (rest > 0).then(|| format!(" and {rest} more"));
    (!denied.is_empty()).then(|| Problem {
        severity: Severity::Warning,
        object: None,
        file: None,
        line: None,
        field: None,
        message: format!(
            "routes with these next hops are not used, since only the default route matches them and \
             fib.resolveViaDefaultRoute is false: {}{}",
            named.join(", "),
            more.unwrap_or_default()
        ),
        reason: None,
        unused: false,
        used_instead: None,
    })
}

/// What is wrong with the configuration: errors of objects and of where they come from, then what the intent warns of.
fn problems(shared: &Shared) -> Vec<Problem> {
    let plain = |severity, object: Option<String>, message: String| Problem {
        severity,
        object,
        file: None,
        line: None,
        field: None,
        message,
        reason: None,
        unused: false,
        used_instead: None,
    };
    let loaded = shared.loaded();
    let mut all: Vec<Problem> = loaded.problems.iter().map(object).collect();
    for what in shared.hanging.load().iter() {
        all.push(plain(Severity::Error, None, what.clone()));
    }
    if let Some(why) = shared.unwritten() {
        all.push(plain(Severity::Error, None, why.to_string()));
    }
    if let Some(error) = shared.listen_error() {
        all.push(plain(Severity::Error, None, error.to_string()));
    }
    let source = &loaded.source.waiting_for;
    all.extend(source.iter().map(|text| {
        let text = format!("{text}; the last known state stays in force, retrying");
        plain(Severity::Warning, None, text)
    }));
    all.extend(shared.intent().warnings.iter().map(|warning| {
        let kind = &warning.kind;
        Problem {
            reason: Some(kind.reason()),
            unused: kind.is_unused(),
            used_instead: kind.used_instead().map(|object| object.to_string()),
            ..plain(
                Severity::Warning,
                Some(warning.object.to_string()),
                kind.to_string(),
            )
        }
    }));
    all.sort_by_key(|problem| problem.severity);
    all
}

fn object(problem: &cluster::Problem) -> Problem {
    Problem {
        severity: match problem.severity {
            cluster::Severity::Error => Severity::Error,
            cluster::Severity::Warning => Severity::Warning,
        },
        object: problem.object.as_ref().map(ToString::to_string),
        file: problem.file.as_ref().map(|file| file.display().to_string()),
        line: problem.line.map(u64::from),
        field: (!problem.path.is_empty()).then(|| problem.path.clone()),
        message: problem.message(),
        reason: None,
        unused: false,
        used_instead: None,
    }
}
