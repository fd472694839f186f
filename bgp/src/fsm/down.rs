//! Why a session fell. Whether routes are retained (RFC 4724, RFC 8538) hangs on it.

use crate::wire::Notification;

/// Why an Established session ended, or why a connection did not get there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Down {
    /// We sent this NOTIFICATION.
    NotificationSent(Notification),
    /// The peer sent this NOTIFICATION.
    NotificationReceived(Notification),
    /// Nothing arrived for the hold time (we sent Hold Timer Expired).
    HoldTimerExpired,
    /// Nothing could be sent for the send hold time (RFC 9687).
    SendHoldTimerExpired,
    /// The TCP connection failed or was closed by the peer without a NOTIFICATION.
    TransportFailed,
    /// The operator stopped or removed the peer.
    AdministrativeStop,
}
