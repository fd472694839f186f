//! Inputs and outputs of a [`Peer`](super::Peer).

use std::sync::Arc;
use std::time::Instant;

use super::{BfdState, Cease, Config, Down, Negotiated, Stop};
use crate::wire::{Notification, Open};

/// One TCP connection of a peer, dialled or accepted. Never used twice by a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u32);

/// Something that happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// Start: connect, and accept connections.
    Start,
    /// End whatever there is, and neither dial nor accept until the next `Start`.
    Stop(Stop),
    /// Close all connections, and start again.
    Reset(Cease),
    /// Use another configuration; start again if that is required ([`Config::needs_reset`]).
    Reconfigure(Box<Config>),
    /// What `Output::Connect` asked for: TCP is up.
    Connected(ConnectionId),
    /// What `Output::Connect` asked for has failed.
    ConnectFailed(ConnectionId),
    /// The peer has dialled. The first output is [`Output::Accept`] or [`Output::Refuse`].
    Accepted,
    /// A message, or something that is none, has arrived.
    Received(ConnectionId, Received<'a>),
    /// The latest message that was not reported by itself arrived at this time. Also: silence up to this time says
    /// nothing about the peer, since the driver did not read what lies in the socket.
    Heard(ConnectionId, Instant),
    /// Octets were last taken by the socket at this time, or none waited.
    Progressed(ConnectionId, Instant),
    /// TCP was closed by the peer, or failed.
    Closed(ConnectionId),
    /// The state of the peer's BFD session: at each change, or as often as one likes.
    Bfd(BfdState),
    /// The time of [`Peer::deadline`](super::Peer::deadline) is reached.
    DeadlineReached,
}

/// What arrived on a connection.
#[derive(Debug)]
pub enum Received<'a> {
    /// OPEN.
    Open(&'a Open),
    /// KEEPALIVE.
    Keepalive,
    /// UPDATE; its body is not the machine's business.
    Update,
    /// ROUTE-REFRESH; likewise.
    RouteRefresh,
    /// NOTIFICATION.
    Notification(&'a Notification),
    /// Bytes that are no message, or an UPDATE so wrong that the session must end: the answer to them.
    Malformed(&'a Notification),
}

/// Something to do. To be carried out in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Connect to the peer.
    Connect(ConnectionId),
    /// Give up dialling; nothing more of this connection is wanted.
    AbortConnect(ConnectionId),
    /// Keep the connection that was just accepted, under this name.
    Accept(ConnectionId),
    /// Close the connection that was just accepted: with this NOTIFICATION, or at once by a reset of TCP.
    Refuse(Option<Notification>),
    /// Send an OPEN.
    SendOpen(ConnectionId, Open),
    /// Send a KEEPALIVE.
    SendKeepalive(ConnectionId),
    /// Send the NOTIFICATION if there is one, then close. The last output of a connection but for `Down` or `Failed`.
    Close(ConnectionId, Option<Notification>),
    /// The session is Established.
    Established(ConnectionId, Arc<Negotiated>),
    /// A session that was Established is over.
    Down(ConnectionId, Down),
    /// A connection, or an attempt at one, ended before it was Established.
    Failed(ConnectionId, Down),
}

/// Outputs in the order in which they must be carried out.
pub type Outputs = Vec<Output>;

/// When the machine wants to be called next if nothing happens before, and which timer that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    /// When.
    pub at: Instant,
    /// Which timer.
    pub timer: Timer,
    /// Whose; `None` is the peer's own.
    pub connection: Option<ConnectionId>,
}

/// The timers of a peer and of its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// Time to dial (ConnectRetryTimer).
    ConnectRetry,
    /// The peer is no longer held Idle (IdleHoldTimer).
    IdleHold,
    /// Connecting takes too long.
    ConnectTimeout,
    /// BFD does not come up, in strict mode (BfdHoldTimer).
    BfdHold,
    /// Nothing arrives (HoldTimer).
    Hold,
    /// Time for a KEEPALIVE (KeepaliveTimer).
    Keepalive,
    /// Nothing can be sent (SendHoldTimer, RFC 9687).
    SendHold,
}
