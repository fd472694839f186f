//! Input that made other speakers crash, loop, leak or reset sessions, as advisories and bug reports of the last years
//! describe it, sent to the real speaker from external and internal peers.
//!
//! The rows are data: [`open`], [`refresh`], [`framing`] and [`attributes`] say how the octets are made and what has to
//! follow, [`notification`] what needs more than one message. The decoder's own test reads the same tables
//! (`bgp/tests/malformed_input.rs`). Every row has a good route before it and another one behind it; a healthy session
//! beside them must never notice, and memory must not grow ([`memory`]).

#![allow(
    unreachable_pub,
    reason = "a test binary has no interface; the tables are read by another test too"
)]

#[path = "../support/mod.rs"]
mod support;

mod answers;
mod attributes;
mod framing;
mod memory;
mod notification;
mod open;
mod outcome;
mod refresh;
mod sessions;
mod text;
mod updates;

use interop_tests::{Kind, run};
use support::bad_input::needs;
// As the tables know it.
use support::parts;

#[test]
fn malformed_updates_have_the_outcome_of_the_table_and_affect_no_other_session() {
    run(&needs(Kind::Routelet), updates::scenario);
}

#[test]
fn malformed_opens_have_the_answer_of_the_table_and_affect_no_other_session() {
    run(&needs(Kind::Routelet), answers::opens);
}

#[test]
fn malformed_messages_have_the_answer_of_the_table_and_affect_no_other_session() {
    run(&needs(Kind::Routelet), answers::messages);
}

#[test]
fn notifications_and_second_connections_affect_no_other_session() {
    run(&needs(Kind::Routelet), notification::scenario);
}

#[test]
fn malformed_input_that_is_repeated_takes_no_memory() {
    run(&needs(Kind::Routelet), memory::scenario);
}

#[test]
fn text_from_a_peer_cannot_control_a_terminal_or_forge_a_log_line() {
    run(&needs(Kind::Routelet), text::scenario);
}
