//! What the loss of a BFD session means: that the path has failed, or that the peer may only be restarting.

use routelet_bfd::packet::Diagnostic;
use routelet_bfd::{DownReason, UserLevel, UserState};

/// What the loss of Up means. Decided when it is noticed, and in force until the session is not down any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nothing can be forwarded through the peer: it is cut, its session ends, and graceful restart keeps no routes.
    Path,
    /// The peer's BFD shares fate with its control plane, which may be restarting while it still forwards.
    Restart,
}

impl Failure {
    /// The failure after a report, from the one before. `is_established`: whether the BGP session is.
    pub fn follow(
        known: Option<Self>,
        before: Option<&UserState>,
        now: &UserState,
        is_established: bool,
    ) -> Option<Self> {
        let UserLevel::Down(reason) = now.state else {
            return None;
        };
        let is_new = before.is_none_or(|before| before.transitions != now.transitions);
        match known {
            Some(known) if !is_new => Some(known),
            Some(_) | None => Some(Self::of(reason, now, is_established)),
        }
    }

    /// RFC 5882 4.3.2. With C the peer's BFD survives a restart of its control plane, so that this is none. Without it,
    /// the loss during a restart proves nothing. The loss of an Established session is one of the path: the kernel of a
    /// peer whose process dies closes its connections at once, before any detection time is over. Only a peer that says
    /// Down for no reason has begun anew, and packets from it arrive.
    fn of(reason: DownReason, state: &UserState, is_established: bool) -> Self {
        let is_independent = state
            .last_down
            .is_some_and(|last| last.control_plane_independent);
        let has_begun_anew = reason == DownReason::NeighborSignaledDown(Diagnostic::NONE);
        if !is_independent && (!is_established || has_begun_anew) {
            Self::Restart
        } else {
            Self::Path
        }
    }
}
