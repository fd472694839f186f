//! What [`Sessions`](super::Sessions) put out.

use super::{SessionKey, Use};
use crate::packet::Datagram;
use crate::session::{EchoPacket, Session};

/// The place of a session, for as long as it is there. Small numbers that are used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub usize);

/// Something to do. To be carried out in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A session begins: packets will have to be sent for it.
    Open(Slot, SessionKey),
    /// Send this.
    Send(Slot, Datagram),
    /// Send this so that the remote system returns it.
    SendEcho(Slot, EchoPacket),
    /// The session is over, and nothing more will be sent for it.
    Close(Slot),
}

/// Actions in the order in which they must be carried out.
pub type Actions = Vec<Action>;

/// Packets of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Control packets sent.
    pub sent: u64,
    /// Control packets received, without those that were discarded.
    pub received: u64,
    /// Packets of this session that were discarded.
    pub discarded: u64,
}

/// A session as it is now.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Its place.
    pub slot: Slot,
    /// What it is of.
    pub key: SessionKey,
    /// The session itself.
    pub session: &'a Session,
    /// Its packets.
    pub counters: Counters,
    /// Who uses it, and with which requests; none while it only says that it ends.
    pub users: &'a [Use],
}
