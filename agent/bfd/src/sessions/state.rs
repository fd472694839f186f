//! What users get to know of their sessions: levels, of which the latest counts.

use std::io;
use std::time::Instant;

use super::{RequestError, SessionKey, UserId};
use crate::packet::State;
use crate::session::{DownReason, Session, Status};

/// A user's session as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserState {
    /// Whose.
    pub user: UserId,
    /// What the session is of.
    pub key: SessionKey,
    /// Whether the path works.
    pub state: UserLevel,
    /// How often Up was lost since this user has used the session, for whatever reason: a loss and a recovery between two
    /// reports show here only.
    pub transitions: u32,
    /// The latest of these losses.
    pub last_down: Option<LastDown>,
    /// The latest request for this key is not fulfilled; the one before it still is. Retried when other users change theirs.
    pub change_refused: Option<RequestError>,
    /// Why the latest packet of the session was not sent.
    pub send_error: Option<io::ErrorKind>,
    /// State and intervals of the session; `None` if the user has none ([`UserLevel::Refused`]).
    pub status: Option<Status>,
}

/// Whether a path works, as far as one user can know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserLevel {
    /// Not Up since this user uses the session. The remote system may have no BFD.
    NotYetUp,
    /// The path works.
    Up,
    /// The path has failed: the session was Up, and is not since.
    Down(DownReason),
    /// The remote system's operator holds the session down, or has removed it. No failure of the path (RFC 5882 3.2).
    RemoteAdminDown,
    /// All users of the session hold it down.
    AdminDown,
    /// The user has no session: its request cannot be fulfilled.
    Refused(RequestError),
}

/// A loss of Up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastDown {
    /// When it was noticed.
    pub at: Instant,
    /// Why.
    pub reason: DownReason,
    /// C of the remote system while it was last Up: its BFD survives a restart of its control plane, so that this is a
    /// failure of the path (RFC 5882 4.3).
    pub control_plane_independent: bool,
}

/// The level of a session after `session` was changed, from the one before.
pub(super) fn follow(level: UserLevel, session: &Session) -> UserLevel {
    let status = session.status();
    match (session.state(), status.remote_state) {
        (State::Up, _) => UserLevel::Up,
        (State::AdminDown, _) => UserLevel::AdminDown,
        (State::Down | State::Init, State::AdminDown) => UserLevel::RemoteAdminDown,
        (State::Down | State::Init, State::Down | State::Init | State::Up) => match level {
            // It goes silent when it has said so for long enough: that is no failure either.
            UserLevel::RemoteAdminDown if status.detection_time.is_none() => level,
            UserLevel::RemoteAdminDown | UserLevel::AdminDown => UserLevel::NotYetUp,
            UserLevel::NotYetUp | UserLevel::Up | UserLevel::Down(_) | UserLevel::Refused(_) => {
                level
            }
        },
    }
}
