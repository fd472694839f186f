//! Real routing tables through a subject: a sender of a full table, and a monitor that checks every route it hears.
//!
//! A [`Table`] is a list of prefixes with made-up attributes: contiguous blocks of the list share one set, their sizes
//! drawn from a seeded exponential distribution of mean 5.5, as in real tables. An attribute set is a function of its
//! block's number alone, so that the monitor needs no copy of what was sent: it computes what each prefix has to carry
//! and compares digests ([`Attributes::digest`]).
//!
//! The protocol here is the lab's own and as small as it can be: four-octet AS numbers, IPv4 in the classic form, IPv6 in
//! MP_REACH_NLRI and MP_UNREACH_NLRI (RFC 4760). It shares no code with any subject. See [`crate::raw`] for bytes that
//! are wrong on purpose.

mod monitor;
mod sender;
mod table;
mod wire;

pub use monitor::{Heard, Monitor};
pub use sender::Feeder;
pub use table::{Attributes, Table};
