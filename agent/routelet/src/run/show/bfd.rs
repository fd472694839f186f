//! A peer's BFD session in the model.

use std::time::{Duration, Instant};

use routelet_bfd::packet::{Diagnostic, State};
use routelet_bfd::{DownReason, Hops, LocalFailure, UserLevel};
use routelet_control::model::{BfdSession, BfdSessionState};
use routelet_core::bfd::Shown;

use super::down_reasons::plain;
use super::seconds;

pub(super) fn session(shown: &Shown, now: Instant) -> BfdSession {
    let key = shown.key;
    let report = shown.state.as_ref();
    let status = report.and_then(|report| report.status.as_ref());
    let last_down = report.and_then(|report| report.last_down);
    BfdSession {
        state: status.map(|status| state(status.state)),
        problem: problem(shown),
        local_address: key.map(|key| key.local),
        remote_address: key.map(|key| key.remote),
        multihop: key.is_some_and(|key| key.hops == Hops::Multi),
        peer_state: status.map(|status| state(status.remote_state)),
        transmit_interval_milliseconds: status
            .and_then(|status| status.transmit_interval)
            .map(milliseconds),
        detection_time_milliseconds: status
            .and_then(|status| status.detection_time)
            .map(milliseconds),
        downs: report.map_or(0, |report| report.transitions),
        last_down: last_down.map(|down| plain(seconds(down.at, now), None, reason(down.reason))),
    }
}

/// Why there is no session, or not the one that is configured.
fn problem(shown: &Shown) -> Option<String> {
    let Some(report) = &shown.state else {
        let unknown = "no interface or address of this node leads to the peer, or a peer of a range has not been \
            Established yet";
        return shown.key.is_none().then(|| unknown.to_owned());
    };
    match (report.state, report.change_refused) {
        (UserLevel::Refused(error), _) => Some(error.to_string()),
        (_, Some(error)) => Some(format!(
            "the settings before the last change apply: {error}"
        )),
        (_, None) => None,
    }
}

const fn state(state: State) -> BfdSessionState {
    match state {
        State::AdminDown => BfdSessionState::AdminDown,
        State::Down => BfdSessionState::Down,
        State::Init => BfdSessionState::Init,
        State::Up => BfdSessionState::Up,
    }
}

fn reason(reason: DownReason) -> String {
    match reason {
        DownReason::DetectionTimeExpired => "no packet within the detection time".to_owned(),
        DownReason::EchoFailed => "Echo packets did not return".to_owned(),
        DownReason::NeighborSignaledDown(Diagnostic::NONE) => "the peer signaled Down".to_owned(),
        DownReason::NeighborSignaledDown(why) => format!("the peer signaled Down: {why}"),
        DownReason::NeighborAdminDown => "the peer has switched BFD off".to_owned(),
        DownReason::AdminDown => "BFD was switched off here".to_owned(),
        DownReason::Local(LocalFailure::Path) => "the path failed on this node".to_owned(),
        DownReason::Local(
            LocalFailure::ConcatenatedPath | LocalFailure::ReverseConcatenatedPath,
        ) => "a part of the path failed".to_owned(),
        DownReason::Local(LocalFailure::ForwardingPlaneReset) => {
            "forwarding was reset on this node".to_owned()
        }
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
