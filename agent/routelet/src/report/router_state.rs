//! From the agent's model of itself to the status of its `RouterState`. Pure.
//!
//! What a status holds is bounded: lists are cut, and so are texts. At most [`MOST`] octets of JSON, whatever the node
//! has to do with; some 2,000 on an ordinary node, in a mesh of any size.

use bgp::types::Asn;
use k8s_openapi::jiff::Timestamp;
use routelet_api::router_state::{
    FibStatus, GateStatus, ProblemStatus, RouterStateStatus, SessionCounts, Summary,
};
use routelet_base::printable;
use routelet_control::model::{Peer, PeerCounts, Problem, RefusedAnnouncement, Severity, Status};

use super::conditions::{Finding, conditions, whole_seconds};
use super::sessions;

/// How many problems are listed; the agent itself lists the rest (`routelet status`).
const PROBLEMS: usize = 20;

/// How many sessions a message names.
const NAMED: usize = 5;

/// The longest text of a list, and the longest message of a condition, in octets.
const TEXT: usize = 256;
const MESSAGE: usize = 1024;

/// The most octets of JSON that a status can have. An object of etcd ends at 1.5 MB.
pub const MOST: usize = 256 * 1024;

/// The type of the condition that says how the sessions of the mesh are.
pub(super) const MESH_ESTABLISHED: &str = "MeshEstablished";

/// The status that says what the model does. `before` is the last one: moments that have not changed keep their text.
pub fn router_state(
    status: &Status,
    peers: &[Peer],
    before: &RouterStateStatus,
    generation: Option<i64>,
    now: Timestamp,
) -> RouterStateStatus {
    let now = whole_seconds(now);
    let mesh = sessions::mesh(peers);
    let PeerCounts {
        configured,
        established,
        mesh: in_mesh,
        mesh_established,
        ..
    } = status.peers;
    RouterStateStatus {
        version: status.version.clone(),
        asn: status.asn.map(number_of),
        router_id: status.router_id.map(|id| id.to_string()),
        sessions: sessions::listed(peers, before, now),
        session_counts: sessions::counted(peers),
        last_heartbeat_time: before.last_heartbeat_time.clone(),
        summary: Summary {
            sessions: format!(
                "{}/{}",
                established.saturating_sub(mesh_established),
                configured.saturating_sub(in_mesh)
            ),
            mesh: mesh
                .as_ref()
                .map(|mesh| format!("{}/{}", mesh.established, mesh.sessions)),
            advertised: count(status.families.iter().map(|family| family.originated).sum()),
            problems: count(status.problems.len() as u64),
        },
        fib: FibStatus {
            installed: count(status.fib.installed_ipv4 + status.fib.installed_ipv6),
            failed: count(status.fib.failed),
            refused: count(status.fib.refused),
            unavailable: status.fib.unavailable.as_deref().map(shown),
        },
        gates: status
            .gates
            .iter()
            .map(|gate| GateStatus {
                name: gate.name.to_string(),
                open: gate.open,
                message: shown(&gate.message),
            })
            .collect(),
        problems: worst(&status.problems)
            .into_iter()
            .map(|problem| ProblemStatus {
                severity: match problem.severity {
                    Severity::Error => "Error".to_owned(),
                    Severity::Warning => "Warning".to_owned(),
                },
                object: shown(problem.object.as_deref().unwrap_or_default()),
                message: shown(&match &problem.field {
                    Some(field) => format!("{field}: {}", problem.message),
                    None => problem.message.clone(),
                }),
                reason: problem.reason.map(|reason| reason.to_string()),
                unused: problem.unused,
                used_instead: problem.used_instead.as_deref().map(shown),
            })
            .collect(),
        conditions: conditions(
            findings(status, peers, mesh.as_ref()),
            &before.conditions,
            generation,
            now,
        ),
        mesh,
    }
}

/// The problems that are listed: errors, then objects that are not used, whose conditions repeat it, then the rest.
fn worst(problems: &[Problem]) -> Vec<&Problem> {
    let mut worst: Vec<&Problem> = problems.iter().collect();
    worst.sort_by_key(|problem| (problem.severity, !problem.unused));
    worst.truncate(PROBLEMS);
    worst
}

/// A text as `kubectl` may print it, and not longer than [`TEXT`].
pub(super) fn shown(text: &str) -> String {
    printable::short_line(text, TEXT)
}

fn findings(status: &Status, peers: &[Peer], mesh: Option<&SessionCounts>) -> Vec<Finding> {
    let ready = match &status.readiness {
        Some(readiness) if readiness.ready => Finding::good("Ready", "Ready", ""),
        Some(readiness) => Finding::bad("Ready", "NotReady", readiness.reasons.join("; ")),
        None => Finding {
            kind: "Ready",
            holds: None,
            reason: "Unknown",
            message: String::new(),
        },
    };
    let routers = || peers.iter().filter(|peer| !sessions::is_mesh(peer));
    let down: Vec<&str> = routers()
        .filter(|peer| !peer.is_established())
        .map(|peer| peer.name.as_str())
        .collect();
    let established = match down.as_slice() {
        [] if routers().next().is_none() => {
            Finding::good("SessionsEstablished", "NoPeers", "no peers")
        }
        [] => Finding::good("SessionsEstablished", "AllEstablished", ""),
        down => {
            let named = down[..down.len().min(NAMED)].join(", ");
            let more = match down.len().saturating_sub(NAMED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let message = format!("no session with {named}{more}");
            Finding::bad("SessionsEstablished", "SessionsDown", message)
        }
    };
    let fib = &status.fib;
    let routes = match (&fib.unavailable, fib.failed) {
        (Some(why), _) => Finding::bad("RoutesInstalled", "KernelUnavailable", why.clone()),
        (None, 0) => Finding::good("RoutesInstalled", "Installed", ""),
        (None, failed) => Finding::bad(
            "RoutesInstalled",
            "KernelRefuses",
            format!("the kernel refuses {failed} routes (routelet fib --state failed)"),
        ),
    };
    let mut errors = status
        .problems
        .iter()
        .filter(|problem| problem.severity == Severity::Error);
    let configuration = match errors.next() {
        None => Finding::good("ConfigurationAccepted", "Accepted", ""),
        Some(first) => {
            let object = first.object.clone().unwrap_or_default();
            let more = match errors.count() {
                0 => String::new(),
                more => format!(" (and {more} more)"),
            };
            let message = format!("{object}: {}{more}", first.message);
            Finding::bad("ConfigurationAccepted", "Invalid", message)
        }
    };
    let mut all = vec![
        ready,
        established,
        mesh_finding(mesh),
        routes,
        configuration,
        announcements(status),
    ];
    for finding in &mut all {
        finding.message = printable::short_line(&finding.message, MESSAGE);
    }
    all
}

fn mesh_finding(mesh: Option<&SessionCounts>) -> Finding {
    let Some(mesh) = mesh else {
        let message = "no other node is in the node mesh";
        return Finding::good(MESH_ESTABLISHED, "NoMesh", message);
    };
    let down = mesh.sessions - mesh.established;
    if down == 0 {
        return Finding::good(MESH_ESTABLISHED, "AllEstablished", "");
    }
    let named = mesh.down.join("; ");
    let more = match down - count(mesh.down.len() as u64) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    let message = format!("{down} of {}: {named}{more}", mesh.sessions);
    Finding::bad(MESH_ESTABLISHED, "SessionsDown", message)
}

/// Whether everything that objects ask for may be announced.
fn announcements(status: &Status) -> Finding {
    const ALLOWED: &str = "AnnouncementsAllowed";
    let refused = status.refused.iter().take(NAMED).map(|refused| {
        let RefusedAnnouncement {
            prefix,
            object,
            reason,
        } = refused;
        format!("{prefix} ({object}): {reason} (rule {})", reason.code)
    });
    let named: Vec<String> = refused.collect();
    let count = status.refused_announcements;
    match count.saturating_sub(named.len() as u64) {
        _ if count == 0 => Finding::good(ALLOWED, "Allowed", ""),
        0 => Finding::bad(ALLOWED, "Refused", named.join("; ")),
        more => Finding::bad(
            ALLOWED,
            "Refused",
            format!("{} and {more} more", named.join("; ")),
        ),
    }
}

pub(super) fn number_of(asn: Asn) -> i64 {
    i64::from(asn.0)
}

pub(super) fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
