//! Why a session fell. Whether routes are retained (RFC 4724, RFC 8538) hangs on it.

use std::fmt;
use std::time::Duration;

use super::Negotiated;
use crate::types::Family;
use crate::wire::{Notification, NotificationCode};

/// Why an Established session ended, or why a connection did not get there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Down {
    /// We sent this NOTIFICATION.
    NotificationSent(Notification),
    /// The peer sent this NOTIFICATION.
    NotificationReceived(Notification),
    /// Nothing arrived for this hold time (we sent Hold Timer Expired).
    HoldTimerExpired(Duration),
    /// Nothing could be sent for this send hold time (RFC 9687).
    SendHoldTimerExpired(Duration),
    /// The TCP connection failed or was closed by the peer without a NOTIFICATION.
    TransportFailed,
    /// The peer opened a new connection under graceful restart: it has restarted (RFC 4724 section 5).
    PeerRestarted,
    /// The owner stopped or reset the peer, with what was sent to the peer.
    AdministrativeStop(Stop),
}

/// The kinds of [`Down`], for counting. Each `Down` is of exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DownClass {
    /// We sent a NOTIFICATION about something that the peer did.
    NotificationSent,
    /// The peer sent a NOTIFICATION.
    NotificationReceived,
    /// The peer fell silent.
    HoldTimerExpired,
    /// The peer stopped reading.
    SendHoldTimerExpired,
    /// TCP failed, or the peer closed or replaced the connection without a NOTIFICATION: it has restarted, or the path
    /// broke.
    TransportFailed,
    /// BFD found the path down.
    BfdDown,
    /// The owner wanted it: a command, or another configuration.
    Administrative,
}

/// How the owner ends a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Send a Cease NOTIFICATION.
    Cease(Cease),
    /// Close TCP without a NOTIFICATION, so that a peer with graceful restart keeps our routes.
    Silent,
}

/// Why the owner ends a session, as a Cease NOTIFICATION says it (RFC 4486, RFC 9003, RFC 9384).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cease {
    /// Administrative Shutdown, with a text for the people at the other end (empty: none; cut at 255 octets).
    Shutdown(String),
    /// Administrative Reset, with a text.
    Reset(String),
    /// The peer is no longer configured.
    Deconfigured,
    /// Another AS, identifier, capability...: the session must be re-established.
    ConfigurationChange,
    /// More prefixes than allowed arrived.
    MaximumPrefixes {
        /// The family that exceeded its limit.
        family: Family,
        /// The limit.
        limit: u32,
    },
    /// What the peer sends takes more memory than it may.
    OutOfResources,
    /// BFD found the path down (RFC 9384).
    BfdDown {
        /// Whether the peer's routes are kept as stale if it restarts gracefully. Only if its BFD shares fate with its
        /// control plane (its last packets had C = 0) and the failure may be no more than its restart; with C = 1
        /// forwarding itself has failed (RFC 5882 section 4.3).
        retain: bool,
    },
}

impl Down {
    /// Which kind it is.
    pub const fn class(&self) -> DownClass {
        match self {
            Self::NotificationSent(_) => DownClass::NotificationSent,
            Self::NotificationReceived(_) => DownClass::NotificationReceived,
            Self::HoldTimerExpired(_) => DownClass::HoldTimerExpired,
            Self::SendHoldTimerExpired(_) => DownClass::SendHoldTimerExpired,
            Self::TransportFailed | Self::PeerRestarted => DownClass::TransportFailed,
            Self::AdministrativeStop(Stop::Cease(Cease::BfdDown { .. })) => DownClass::BfdDown,
            Self::AdministrativeStop(_) => DownClass::Administrative,
        }
    }

    /// Whether the peer's routes are kept as stale for its restart time (RFC 4724 section 4.2, RFC 8538 section 4).
    ///
    /// A TCP connection that just ended retains. A NOTIFICATION, or a hold timer that expired, retains only where
    /// both sides set the N bit and it is no Hard Reset. What the owner stopped does not retain. A path that BFD found
    /// down retains if it may be a restart, with the N bit or without: the peer that restarts does not get our
    /// NOTIFICATION.
    pub fn retains_routes(&self, negotiated: &Negotiated) -> bool {
        let Some(peer) = &negotiated.graceful_restart else {
            return false;
        };
        if peer.families.is_empty() {
            return false;
        }
        let by_notification = negotiated.notification_retains;
        match self {
            Self::TransportFailed | Self::PeerRestarted => true,
            Self::HoldTimerExpired(_) | Self::SendHoldTimerExpired(_) => by_notification,
            Self::NotificationSent(message) | Self::NotificationReceived(message) => {
                by_notification && !message.is_hard_reset()
            }
            Self::AdministrativeStop(Stop::Cease(Cease::BfdDown { retain })) => *retain,
            Self::AdministrativeStop(Stop::Cease(cease)) => by_notification && !cease.is_hard(),
            Self::AdministrativeStop(Stop::Silent) => false,
        }
    }
}

impl Cease {
    /// Whether the peer should forget our routes even if it could retain them: it is sent inside a Hard Reset
    /// (RFC 8538 section 5 leaves the choice to the sender).
    pub fn is_hard(&self) -> bool {
        match self {
            Self::Shutdown(_)
            | Self::Deconfigured
            | Self::MaximumPrefixes { .. }
            | Self::OutOfResources => true,
            Self::Reset(_) | Self::ConfigurationChange => false,
            // Where we do not retain, the path has failed for the peer too.
            Self::BfdDown { retain } => !retain,
        }
    }

    /// The NOTIFICATION that says it; inside a Hard Reset if it is hard and both sides set the N bit.
    pub(super) fn notification(&self, notification_retains: bool) -> Notification {
        let message = match self {
            Self::Shutdown(text) => Notification::administrative_shutdown(text),
            Self::Reset(text) => Notification::administrative_reset(text),
            Self::Deconfigured => Notification::new(NotificationCode::PEER_DECONFIGURED),
            Self::ConfigurationChange => {
                Notification::new(NotificationCode::OTHER_CONFIGURATION_CHANGE)
            }
            Self::MaximumPrefixes { family, limit } => {
                Notification::maximum_prefixes(*family, *limit)
            }
            Self::OutOfResources => Notification::new(NotificationCode::OUT_OF_RESOURCES),
            Self::BfdDown { .. } => Notification::new(NotificationCode::BFD_DOWN),
        };
        if notification_retains && self.is_hard() {
            message.into_hard_reset()
        } else {
            message
        }
    }
}

impl fmt::Display for Down {
    /// `hold timer expired (90 s)`, `peer sent Cease/Administrative Shutdown: "maintenance"`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotificationSent(message) => write!(f, "sent {message}"),
            Self::NotificationReceived(message) => write!(f, "peer sent {message}"),
            Self::HoldTimerExpired(time) => write!(f, "hold timer expired ({} s)", time.as_secs()),
            Self::SendHoldTimerExpired(time) => write!(
                f,
                "send hold timer expired ({} s): the peer reads nothing",
                time.as_secs()
            ),
            Self::TransportFailed => f.write_str("TCP connection failed or was closed by the peer"),
            Self::PeerRestarted => f.write_str("peer restarted and opened a new connection"),
            Self::AdministrativeStop(Stop::Silent) => {
                f.write_str("stopped here, without a word to the peer")
            }
            Self::AdministrativeStop(Stop::Cease(Cease::BfdDown { .. })) => {
                f.write_str("BFD is down")
            }
            Self::AdministrativeStop(Stop::Cease(cease)) => {
                write!(f, "sent {}", cease.notification(false))
            }
        }
    }
}
