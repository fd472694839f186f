//! Agents on an API server: what they read there, what they write there, and what happens while it is away.
//!
//! The agents have the account and the roles of `deploy`, and nothing else.

#[path = "../support/mod.rs"]
mod support;

mod nodes;
mod objects;
mod services;
mod unreachable;

use interop_tests::{Kind, Need};

const NEEDS: [Need; 2] = [Need::Speaker(Kind::Routelet), Need::Speaker(Kind::Bird2)];
