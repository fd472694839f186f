//! Sessions over TCP: the only sockets and the only clock of this crate.
//!
//! [`spawn`] starts one task per peer. The task owns the peer's state machine ([`crate::fsm::Peer`]), dials, takes
//! what the [`Listener`] accepts, and carries out what the machine puts out. While a session is Established two more
//! tasks serve it: a reader, which frames, decodes and hands batches of UPDATEs to the owner, and a writer.
//!
//! The owner of the routes is one thread. It reads [`Event`]s from one bounded channel that all peers share, and writes
//! through each session's [`Outbox`]:
//!
//! ```text
//!  socket -> reader task --Event, bounded: when full the socket is not read--> owner
//!  socket <- writer task <--Outbox, bounded by bytes: refuses when full------- owner
//! ```
//!
//! Invariants: the events of a session arrive in order: `Established`, then updates and refreshes, then `Down`, and
//! nothing of it after that; a peer's next session begins after the `Down` of the one before. Nothing is lost between
//! the two. Keepalives never wait for the owner, and a hold timer does not fire for octets that lie unread in our own
//! socket because the owner is busy.

mod admission;
mod alarm;
mod connect;
mod event;
mod expected;
mod faults;
mod handle;
mod handshake;
mod keys;
mod listener;
mod options;
mod outbox;
mod pace;
mod peer;
mod reader;
mod stamp;
mod syn;
mod turn;
mod writer;

pub use crate::admission::{Admit, ListenRange};
pub use crate::refusal::Refusal;
pub use crate::settings::{
    Password, PasswordError, PeerSettings, Scope, SessionConfig, Transport, Ttl,
};
pub use admission::Admissions;
pub use event::{Event, PeerKey, SessionId};
pub use handle::{Counters, PeerHandle, PeerStatus, SessionStatus};
pub use keys::KeyError;
pub use listener::{BindError, Bound, Candidate, Listener, ListenerConfig};
pub use outbox::{Full, Outbox};
pub use peer::spawn;
pub use turn::Turn;

#[cfg(test)]
mod tests;
