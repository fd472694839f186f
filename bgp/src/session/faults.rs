//! What is said of UPDATEs with faults: a WARN each, but not more than a log can bear.
//!
//! A broken speaker sends the same broken attribute with every route, thousands a second. The first fault of a session
//! is logged at once and whole; after that one per interval, with the number of those that were not. One that ends the
//! session is always logged: it is the last.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::handle::LiveCounters;
use super::stamp;
use crate::wire::{Fault, Outcome, Update, UpdateFault};

/// How often one session's faulty UPDATEs are logged at most.
const INTERVAL: Duration = Duration::from_secs(10);

/// The faults of one session's UPDATEs. Kept by its reader.
#[derive(Debug)]
pub(super) struct FaultLog {
    remote: SocketAddr,
    last: Option<Instant>,
    silent: u64,
    /// It was said that the peer's filter is applied.
    said_filtered: bool,
}

impl FaultLog {
    pub(super) fn new(remote: SocketAddr) -> Self {
        Self {
            remote,
            last: None,
            silent: 0,
            said_filtered: false,
        }
    }

    /// Counts attributes that the peer's filter was applied to, and logs that once a session: by default it is applied to
    /// what external peers of other administrations send (RFC 8669 section 4).
    pub(super) fn note_filtered(&mut self, attributes: u32, counters: &LiveCounters) {
        counters.filtered(attributes);
        if !std::mem::replace(&mut self.said_filtered, true) {
            info!(
                remote = %self.remote,
                "the peer sends attributes that its attribute filter takes out or treats as withdrawn"
            );
        }
    }

    /// Counts and logs an UPDATE with faults. One without changes nothing.
    pub(super) fn note(&mut self, update: &Update, counters: &LiveCounters) {
        // What the operator does not want is no fault of the peer's.
        let is_fault = |fault: &&Fault| !matches!(fault.reason, UpdateFault::Filtered { .. });
        let faults = || update.faults.iter().filter(is_fault);
        let Some(outcome) = faults().map(|fault| fault.outcome).max() else {
            return;
        };
        if outcome != Outcome::SessionReset {
            counters.malformed();
            if !self.is_due(stamp::now()) {
                return;
            }
        }
        // The fault that decided; of equal ones the first, which may have caused the others.
        let Some(fault) = faults().find(|fault| fault.outcome == outcome) else {
            return;
        };
        warn!(
            remote = %self.remote,
            reason = %fault.reason,
            outcome = said(outcome),
            faults = faults().count(),
            not_logged = std::mem::take(&mut self.silent),
            "malformed UPDATE"
        );
    }

    /// Whether it is time to log again; if not, one more was not logged.
    fn is_due(&mut self, now: Instant) -> bool {
        let due = self.last.is_none_or(|last| now >= last + INTERVAL);
        if due {
            self.last = Some(now);
        } else {
            self.silent += 1;
        }
        due
    }
}

/// What follows for the routes, in words.
const fn said(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::AttributeDiscard => "attribute discarded, its routes are used",
        Outcome::TreatAsWithdraw => "its routes are treated as withdrawn",
        Outcome::SessionReset => "session reset",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_faults_is_logged_once_per_interval_and_counted_between() {
        let mut log = FaultLog::new(([192, 0, 2, 1], 179).into());
        let start = stamp::now();
        assert!(log.is_due(start));
        for millisecond in 1..100 {
            assert!(!log.is_due(start + Duration::from_millis(millisecond)));
        }
        assert_eq!(log.silent, 99);
        assert!(log.is_due(start + INTERVAL));
        assert!(!log.is_due(start + INTERVAL));
    }
}
