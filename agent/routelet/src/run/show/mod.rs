//! From the parts' own words to the model that commands, metrics and probes read. Pure conversions; [`super::backend`]
//! asks.

mod bfd;
mod capabilities;
mod down_reasons;
pub(super) mod explain;
pub(super) mod fib;
mod foreign;
pub(super) mod peer;
pub(crate) mod reason;
pub(super) mod route;
pub(super) mod service;
pub(super) mod status;
#[cfg(test)]
pub(crate) mod tests;

use std::time::Instant;

/// Whole seconds from one moment to another; 0 if that is earlier.
fn seconds(from: Instant, to: Instant) -> u64 {
    to.saturating_duration_since(from).as_secs()
}

/// Whole seconds since a moment.
pub(super) fn seconds_since(then: Instant) -> u64 {
    then.elapsed().as_secs()
}
