//! What the thread shows of itself.

use std::io;
use std::time::Duration;

use super::Priority;
use crate::packet::{Discards, Discriminator};
use crate::session;
use crate::sessions::{Counters, SessionKey, UserId};

/// How the thread and its sessions are.
#[derive(Clone, Debug)]
pub struct Status {
    /// What the thread was permitted.
    pub priority: Priority,
    /// The ports that sessions need.
    pub ports: Vec<PortStatus>,
    /// Packets that were discarded, by reason.
    pub discards: Discards,
    /// How late a timer was handled at most: what is near a detection time is a warning.
    pub worst_lateness: Duration,
    /// Every session.
    pub sessions: Vec<SessionStatus>,
}

/// A port at which control packets arrive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortStatus {
    /// IPv4, or else IPv6.
    pub is_v4: bool,
    /// Its number.
    pub port: u16,
    /// Why it cannot be used: `AddrInUse` if another daemon has it.
    pub error: Option<io::ErrorKind>,
    /// Datagrams that the kernel dropped: at the port of single hops those whose TTL is not 255, and those for which there was no
    /// space.
    pub dropped: u64,
}

/// A session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionStatus {
    /// What it is of.
    pub key: SessionKey,
    /// Its discriminator.
    pub discriminator: Discriminator,
    /// Its state and intervals.
    pub status: session::Status,
    /// Its packets.
    pub counters: Counters,
    /// Packets that the kernel did not take.
    pub unsent: u64,
    /// Why it did not take the last one.
    pub send_error: Option<io::ErrorKind>,
    /// Who uses it.
    pub users: Vec<UserId>,
}
