//! A session: its state, what was negotiated, what was sent, and why it ended.

use std::fmt;

use bgp::types::PeerText;
use serde::{Deserialize, Serialize};

/// The state of a session (RFC 4271 section 8.2.2), in the RFC's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SessionState {
    /// Not started, or waiting to be started again.
    Idle,
    /// A TCP connection is being made.
    Connect,
    /// Waiting for the next attempt, or for the peer to connect.
    Active,
    /// Our OPEN is sent.
    OpenSent,
    /// Both OPENs are exchanged.
    OpenConfirm,
    /// Routes are exchanged.
    Established,
}

impl SessionState {
    /// All states, in the order of a session's life.
    pub const ALL: [Self; 6] = [
        Self::Idle,
        Self::Connect,
        Self::Active,
        Self::OpenSent,
        Self::OpenConfirm,
        Self::Established,
    ];

    /// The RFC's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "Idle",
            Self::Connect => "Connect",
            Self::Active => "Active",
            Self::OpenSent => "OpenSent",
            Self::OpenConfirm => "OpenConfirm",
            Self::Established => "Established",
        }
    }
}

impl fmt::Display for SessionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One capability, and who announced it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CapabilityState {
    /// Its name, such as `multiprotocol ipv6-unicast` or `graceful restart`.
    pub name: String,
    /// We announced it.
    pub ours: bool,
    /// The peer announced it.
    pub theirs: bool,
    /// What the peer announced with it, such as `120 s, ipv4-unicast (forwarding kept)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// Messages by type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageCounts {
    /// OPEN.
    pub open: u64,
    /// UPDATE.
    pub update: u64,
    /// NOTIFICATION.
    pub notification: u64,
    /// KEEPALIVE.
    pub keepalive: u64,
    /// ROUTE-REFRESH.
    pub route_refresh: u64,
}

impl MessageCounts {
    /// All of them together.
    pub fn total(&self) -> u64 {
        self.by_type().iter().map(|(_, count)| count).sum()
    }

    /// Each type's name and count, in the order of the type codes.
    pub fn by_type(&self) -> [(&'static str, u64); 5] {
        [
            ("open", self.open),
            ("update", self.update),
            ("notification", self.notification),
            ("keepalive", self.keepalive),
            ("route-refresh", self.route_refresh),
        ]
    }
}

/// Which way a NOTIFICATION went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Direction {
    /// We sent it.
    Sent,
    /// The peer sent it.
    Received,
}

/// Why a session fell, in few classes: the label of the flap counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DownClass {
    /// We sent a NOTIFICATION other than those below.
    NotificationSent,
    /// The peer sent a NOTIFICATION.
    NotificationReceived,
    /// Nothing arrived for the hold time.
    HoldTimerExpired,
    /// Nothing could be sent for the send hold time (RFC 9687).
    SendHoldTimerExpired,
    /// The TCP connection failed or was closed without a NOTIFICATION.
    TransportFailed,
    /// BFD found that the path has failed (RFC 9384).
    BfdDown,
    /// The operator, or a change of the configuration, ended it.
    Administrative,
}

impl DownClass {
    /// All classes.
    pub const ALL: [Self; 7] = [
        Self::NotificationSent,
        Self::NotificationReceived,
        Self::HoldTimerExpired,
        Self::SendHoldTimerExpired,
        Self::TransportFailed,
        Self::BfdDown,
        Self::Administrative,
    ];

    /// The word in metrics.
    pub const fn as_label(self) -> &'static str {
        match self {
            Self::NotificationSent => "notification_sent",
            Self::NotificationReceived => "notification_received",
            Self::HoldTimerExpired => "hold_timer_expired",
            Self::SendHoldTimerExpired => "send_hold_timer_expired",
            Self::TransportFailed => "transport_failed",
            Self::BfdDown => "bfd_down",
            Self::Administrative => "administrative",
        }
    }
}

/// How often sessions with a peer fell for one reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DownCount {
    /// The reason.
    pub class: DownClass,
    /// How often.
    pub count: u64,
}

/// One error of a session or of an attempt to get one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionError {
    /// Seconds since it happened.
    pub ago_seconds: u64,
    /// Its class; absent for an attempt that never became a session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<DownClass>,
    /// Who sent the NOTIFICATION, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// The NOTIFICATION's error code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<u8>,
    /// The NOTIFICATION's error subcode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subcode: Option<u8>,
    /// In words: the code's name and particulars, or the kernel's error.
    pub text: String,
    /// The shutdown communication that came along (RFC 9003).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub communication: Option<PeerText>,
}

impl fmt::Display for SessionError {
    /// The text and what the other side had to say about it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.direction {
            Some(Direction::Sent) => f.write_str("sent ")?,
            Some(Direction::Received) => f.write_str("received ")?,
            None => {}
        }
        f.write_str(&self.text)?;
        match &self.communication {
            Some(text) => write!(f, ": {text:?}"),
            None => Ok(()),
        }
    }
}

/// Graceful restart with a peer (RFC 4724, RFC 8538, RFC 9494).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RestartState {
    /// The peer asked that its routes be kept this long.
    pub restart_time_seconds: u64,
    /// The peer announced that NOTIFICATIONs and an expired hold timer do not end it (RFC 8538). They do not if we
    /// announced it, too.
    pub notification: bool,
    /// The peer had restarted when this session began (flag R).
    #[serde(default)]
    pub restarting: bool,
    /// The families that the peer named.
    #[serde(default)]
    pub families: Vec<RestartFamily>,
    /// Both sides announced it.
    pub used: bool,
    /// Long-lived: how long after that the peer asked that its routes be kept, as the last resort.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub long_lived_seconds: Option<u64>,
    /// How long they are: less where `maxLongLivedStaleTime` says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub long_lived_kept_seconds: Option<u64>,
}

/// A family of graceful restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RestartFamily {
    /// Which, such as `ipv4-unicast`, or `afi1/safi128` where Routelet does not know it.
    pub family: String,
    /// The peer kept its forwarding state over the last restart (flag F).
    pub forwarding: bool,
}
