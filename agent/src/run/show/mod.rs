//! From the parts' own words to the model that commands, metrics and probes read. Pure conversions; [`super::backend`] asks.

mod capabilities;
pub(super) mod fib;
mod foreign;
pub(super) mod peer;
pub(super) mod route;
pub(super) mod service;
pub(super) mod status;

use std::time::Instant;

/// Whole seconds since a moment.
pub(super) fn seconds_since(then: Instant) -> u64 {
    then.elapsed().as_secs()
}
