//! The time of the last occurrence, shared between tasks without waking.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Now, by the clock of the runtime, which tests can stop.
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Times from the reader and the writer of a session for the peer's task, which reads them when a timer is due.
///
/// A message a microsecond would otherwise be a wake-up a microsecond, only to restart a timer.
#[derive(Debug)]
pub(super) struct Stamps {
    base: Instant,
    heard: AtomicU64,
    progressed: AtomicU64,
    waiting: AtomicBool,
}

impl Stamps {
    pub(super) fn new() -> Self {
        Self {
            base: now(),
            heard: AtomicU64::new(0),
            progressed: AtomicU64::new(0),
            waiting: AtomicBool::new(false),
        }
    }

    fn since_base(&self) -> u64 {
        now().saturating_duration_since(self.base).as_micros() as u64
    }

    fn at(&self, micros: &AtomicU64) -> Instant {
        self.base + Duration::from_micros(micros.load(Ordering::Relaxed))
    }

    /// The reader has got whole messages that restart the hold timer.
    pub(super) fn set_heard(&self) {
        self.heard.store(self.since_base(), Ordering::Relaxed);
    }

    /// When the reader last got such a message.
    pub(super) fn heard(&self) -> Instant {
        self.at(&self.heard)
    }

    /// The writer has got octets rid of, or has none.
    pub(super) fn set_progressed(&self) {
        self.progressed.store(self.since_base(), Ordering::Relaxed);
    }

    /// When the writer last got octets rid of, or ran out of them.
    pub(super) fn progressed(&self) -> Instant {
        self.at(&self.progressed)
    }

    /// Whether the reader waits for the owner and therefore does not read.
    pub(super) fn set_waiting(&self, waiting: bool) {
        self.waiting.store(waiting, Ordering::Relaxed);
    }

    /// See [`Stamps::set_waiting`].
    pub(super) fn is_waiting(&self) -> bool {
        self.waiting.load(Ordering::Relaxed)
    }
}
