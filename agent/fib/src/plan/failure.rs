//! What the kernel refused, since when, and when it is tried again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::types::KernelError;

/// A failure with its history.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) error: KernelError,
    pub(super) since: Instant,
    pub(super) attempts: u32,
    pub(super) retry_at: Instant,
}

impl Failure {
    /// The first or another failure of the same thing. Waits double from 250 ms to a minute: most failures are races with
    /// link events that are over in a blink, the rest wait for a person.
    pub(super) fn record(before: Option<Self>, error: KernelError, now: Instant) -> Self {
        const FIRST: Duration = Duration::from_millis(250);
        const LONGEST: Duration = Duration::from_secs(60);
        let attempts = before.as_ref().map_or(0, |f| f.attempts) + 1;
        let wait = FIRST
            .saturating_mul(1 << (attempts - 1).min(10))
            .min(LONGEST);
        Self {
            error,
            since: before.map_or(now, |f| f.since),
            attempts,
            retry_at: now + wait,
        }
    }
}

/// Takes one whose time has come.
pub(super) fn next_due<T>(retries: &mut BTreeMap<Instant, Vec<T>>, now: Instant) -> Option<T> {
    let mut first = retries.first_entry().filter(|at| *at.key() <= now)?;
    let due = first.get_mut().pop();
    if first.get().is_empty() {
        first.remove();
    }
    due
}
