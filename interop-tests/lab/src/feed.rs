//! Routing tables through a subject: players that send them, and players that check every route they hear.
//!
//! A [`Table`] is a list of prefixes with made-up attributes: contiguous blocks of the list share one set, their sizes
//! drawn from a seeded exponential distribution of mean 5.5, as in real tables. An attribute set is a function of its
//! block's number, so that what must arrive is computed, not remembered. [`encode`] makes the octets that feeds send;
//! [`Players`] are the other ends of a subject's sessions, from one to a thousand; an [`Expectation`] says what a
//! receiver must hold, and [`Wait`] until when it does.
//!
//! The protocol here is the lab's own and as small as it can be: four-octet AS numbers, IPv4 in the classic form, IPv6
//! in MP_REACH_NLRI and MP_UNREACH_NLRI (RFC 4760). It shares no code with any subject. See [`crate::raw`] for bytes
//! that are wrong on purpose.

mod dial;
pub mod encode;
mod expect;
mod heard;
mod players;
mod table;
mod tally;
mod wait;
mod wire;

pub use dial::Caller;
pub use expect::{Expectation, Source};
pub use heard::{Recording, Replay};
pub use players::{Ear, PlayerId, Players};
pub use table::{Attributes, Table};
pub use tally::{Digest, Tally};
pub use wait::{Ended, Goal, Wait, WrongTable, processor_time};
