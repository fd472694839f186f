//! Operations to netlink messages, netlink messages to events.
//!
//! Requests are built with the packet crates of `rtnetlink`; nexthop messages and rules, which those lack or do not know well enough,
//! are built here. Decoding walks the attributes itself and takes the few that matter: a listing of a million routes
//! then costs no allocation for each, and an attribute of a newer kernel or a link type that a library does not know
//! cannot make a route or an interface invisible.

mod attributes;
mod decode;
mod encode;
mod numbers;
mod rule;

pub(super) use decode::{error, event, messages};
pub(super) use encode::{Encoder, dump_request};
