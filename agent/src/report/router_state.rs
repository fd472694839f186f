//! From the agent's model of itself to the status of its `RouterState`. Pure.

use bgp::types::Asn;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::conditions::{Finding, conditions, whole_seconds};
use crate::control::model::{Peer, RefusedAnnouncement, SessionError, Severity, Status};
use crate::crd::router_state::{
    FibStatus, GateStatus, ProblemStatus, RouterStateStatus, SessionErrorStatus,
    SessionFamilyStatus, SessionStatus, Summary,
};
use crate::printable;

/// How many problems are listed; the agent itself tells the rest (`routelet status`).
const PROBLEMS: usize = 20;

/// How many sessions a message names.
const NAMED: usize = 5;

/// How far two computations of one moment may lie apart: it is told in whole seconds before now.
const SAME_MOMENT: SignedDuration = SignedDuration::from_secs(5);

/// The status that says what the model does. `before` is the last one: moments that have not changed keep their text.
pub fn router_state(
    status: &Status,
    peers: &[Peer],
    before: &RouterStateStatus,
    generation: Option<i64>,
    now: Timestamp,
) -> RouterStateStatus {
    let now = whole_seconds(now);
    let sessions: Vec<SessionStatus> = peers
        .iter()
        .map(|peer| {
            let known = before.sessions.iter().find(|known| known.peer == peer.name);
            session(peer, known, now)
        })
        .collect();
    RouterStateStatus {
        version: status.version.clone(),
        asn: status.asn.map_or(0, number_of),
        router_id: status.router_id.map(|id| id.to_string()),
        sessions,
        last_heartbeat_time: before.last_heartbeat_time.clone(),
        summary: Summary {
            sessions: format!("{}/{}", status.peers.established, status.peers.configured),
            advertised: count(status.families.iter().map(|family| family.originated).sum()),
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
                name: gate.name.clone(),
                open: gate.open,
                message: shown(&gate.message),
            })
            .collect(),
        problems: status
            .problems
            .iter()
            .take(PROBLEMS)
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
            })
            .collect(),
        conditions: conditions(findings(status, peers), &before.conditions, generation, now),
    }
}

/// Whether two statuses differ in what somebody may act on, and not in counts alone.
pub fn differs_in_kind(a: &RouterStateStatus, b: &RouterStateStatus) -> bool {
    let without_counts = |status: &RouterStateStatus| {
        let mut status = status.clone();
        status.summary.advertised = 0;
        status.fib.installed = 0;
        status.fib.refused = 0;
        for session in &mut status.sessions {
            session.families.clear();
        }
        status
    };
    without_counts(a) != without_counts(b)
}

/// A text as `kubectl` may print it.
fn shown(text: &str) -> String {
    printable::line(text).into_owned()
}

fn session(peer: &Peer, known: Option<&SessionStatus>, now: Timestamp) -> SessionStatus {
    let established = peer.is_established();
    let before = |seconds: u64| {
        let ago = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
        now.checked_sub(ago).unwrap_or(Timestamp::MIN)
    };
    let error = |error: &Option<SessionError>, known: Option<&SessionErrorStatus>| {
        error.as_ref().map(|error| {
            let text = match &error.communication {
                Some(more) => format!("{}: {more:?}", error.text),
                None => error.text.clone(),
            };
            let time = before(error.ago_seconds);
            let same = known.filter(|k| k.text == text && is_about(k.time.0, time));
            SessionErrorStatus {
                time: same.map_or(Time(time), |known| known.time.clone()),
                text,
            }
        })
    };
    let state = peer.state.to_string();
    let since = if established {
        let since = before(peer.state_seconds);
        let same = known.and_then(|k| k.since.as_ref());
        let same = same.filter(|known| is_about(known.0, since));
        same.cloned().unwrap_or(Time(since))
    } else {
        // The states of an attempt follow each other every second; what matters is since when there is no session.
        let down = known.filter(|known| known.state != "Established");
        let since = down.and_then(|known| known.since.clone());
        since.unwrap_or_else(|| {
            let fell = peer.last_down.as_ref().map(|down| before(down.ago_seconds));
            Time(fell.unwrap_or(now))
        })
    };
    SessionStatus {
        peer: peer.name.clone(),
        object: peer.object.clone(),
        address: peer.address.map(|address| address.to_string()),
        asn: peer.asn.map(number_of),
        // Attempts follow each other: the states between would be rewritten every second and tell nobody anything.
        state: if established || peer.blocked.is_some() {
            state
        } else {
            "Active".to_owned()
        },
        since: Some(since),
        trouble: peer.trouble().as_deref().map(shown),
        last_error_sent: error(
            &peer.last_error_sent,
            known.and_then(|k| k.last_error_sent.as_ref()),
        ),
        last_error_received: error(
            &peer.last_error_received,
            known.and_then(|k| k.last_error_received.as_ref()),
        ),
        established_count: count(peer.established_count),
        families: peer
            .families
            .iter()
            .map(|family| SessionFamilyStatus {
                family: family.family.to_string(),
                received: count(family.received),
                accepted: count(family.accepted),
                advertised: count(family.advertised),
            })
            .collect(),
    }
}

fn findings(status: &Status, peers: &[Peer]) -> Vec<Finding> {
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
    let down: Vec<&str> = peers
        .iter()
        .filter(|peer| !peer.is_established())
        .map(|peer| peer.name.as_str())
        .collect();
    let sessions = match down.as_slice() {
        [] if peers.is_empty() => Finding::good("SessionsEstablished", "NoPeers", "no peers"),
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
    vec![
        ready,
        sessions,
        routes,
        configuration,
        announcements(status),
    ]
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

fn is_about(a: Timestamp, b: Timestamp) -> bool {
    a.duration_since(b).abs() <= SAME_MOMENT
}

fn number_of(asn: Asn) -> i64 {
    i64::from(asn.0)
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
