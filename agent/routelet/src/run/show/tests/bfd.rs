//! BFD sessions of peers, as the machine of BFD shows them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rib::PeerId;
use routelet_bfd::packet::{Diagnostic, State};
use routelet_bfd::{DownReason, LastDown, Status, UserLevel, UserState};
use routelet_core::bfd::{Action, Bfd, BgpSession, Ends, Input, Shown, Wanted};
use routelet_core::intent::{PeerIntent, PeerTarget};
use routelet_fib::KernelView;
use routelet_fib::types::MAIN_TABLE;

use super::events::{address, link};

/// The session of a peer that has BFD: it was up, and no packet has come for a while.
pub(super) fn shown(peer: &PeerIntent, now: Instant) -> Option<Shown> {
    let PeerTarget::Address {
        address: remote, ..
    } = peer.target
    else {
        return None;
    };
    let settings = peer.settings(remote, None, None);
    let wanted = Wanted::new(peer, &settings)?;
    let (id, mut bfd, mut out) = (PeerId(1), Bfd::default(), Vec::new());
    let mut view = KernelView::new(MAIN_TABLE, 1);
    for event in [link(2, "eth0")]
        .into_iter()
        .chain(address(2, "192.0.2.66/26"))
    {
        view.apply(event);
    }
    bfd.handle(Input::View(Arc::new(view)), &mut out);
    bfd.handle(Input::Peer(id, Some(wanted)), &mut out);
    let ends = Ends {
        local: "192.0.2.66".parse().unwrap(),
        interface: None,
    };
    bfd.handle(Input::Session(id, BgpSession::Established(ends)), &mut out);
    let used = out.iter().find_map(|action| match action {
        Action::Set(user, Some((key, _))) => Some((*user, *key)),
        _ => None,
    });
    let (user, key) = used.unwrap();
    let reason = DownReason::DetectionTimeExpired;
    let state = UserState {
        user,
        key,
        state: UserLevel::Down(reason),
        transitions: 1,
        last_down: Some(LastDown {
            at: now.checked_sub(Duration::from_secs(75)).unwrap(),
            reason,
            control_plane_independent: false,
        }),
        change_refused: None,
        send_error: None,
        status: Some(Status {
            state: State::Down,
            diagnostic: Diagnostic::DETECTION_TIME_EXPIRED,
            remote_state: State::Down,
            remote_diagnostic: Diagnostic::NONE,
            is_remote_control_plane_independent: false,
            transmit_interval: Some(Duration::from_secs(1)),
            detection_time: None,
            remote_detection_time: Duration::from_secs(3),
            echo_interval: None,
        }),
    };
    bfd.handle(Input::States(&[state]), &mut out);
    bfd.show(id)
}
