//! How long pieces of work take, where others wait for them: steps of the thread that owns the RIB, and holds of the
//! lock that it shares with the FIB thread and with commands. Recorded by a few atomic additions; read by each scrape
//! of metrics.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Upper bounds of the buckets, in microseconds. Nothing should take more than 2 ms.
const BOUNDS: [u64; 11] = [
    50, 100, 250, 500, 1_000, 2_000, 5_000, 10_000, 50_000, 250_000, 1_000_000,
];

/// Durations by size, their sum, and the longest of them.
#[derive(Default)]
pub struct Histogram {
    /// One more than there are bounds: what is longer than the last.
    counts: [AtomicU64; BOUNDS.len() + 1],
    nanoseconds: AtomicU64,
    longest: AtomicU64,
}

impl Histogram {
    /// Adds one.
    pub fn record(&self, took: Duration) {
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.partition_point(|bound| bound * 1_000 < nanoseconds);
        self.counts[bucket].fetch_add(1, Relaxed);
        self.nanoseconds.fetch_add(nanoseconds, Relaxed);
        // Hardly ever longer than all before: looking costs less than writing.
        if self.longest.load(Relaxed) < nanoseconds {
            self.longest.fetch_max(nanoseconds, Relaxed);
        }
    }

    /// What was recorded so far. Not of one moment: what is recorded meanwhile may be in a part of it.
    pub fn read(&self) -> Recorded {
        let seconds = |nanoseconds: &AtomicU64| nanoseconds.load(Relaxed) as f64 / 1e9;
        let bounds = BOUNDS.iter().map(|bound| *bound as f64 / 1e6);
        let counts = self.counts.iter().map(|count| count.load(Relaxed));
        Recorded {
            buckets: bounds.chain([f64::INFINITY]).zip(counts).collect(),
            sum: seconds(&self.nanoseconds),
            longest: seconds(&self.longest),
        }
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.read().fmt(f)
    }
}

/// A [`Histogram`] as it was read. Seconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recorded {
    /// The upper bound of each bucket, ascending, the last one infinite, and how many are in it and in no bucket
    /// before.
    pub buckets: Vec<(f64, u64)>,
    /// The sum of all.
    pub sum: f64,
    /// The longest.
    pub longest: f64,
}

impl Recorded {
    /// How many there are.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|(_, count)| count).sum()
    }
}

/// What a step of the thread that owns the RIB is for. Between two steps it looks at what waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A change of the configuration or of the kernel's surroundings.
    Command,
    /// A question of a command, a probe or a scrape.
    Query,
    /// An event of a session: mostly a batch of UPDATE messages.
    Event,
    /// Walks through the tables, and messages for peers.
    Poll,
    /// Changes that are handed to the FIB.
    Fib,
}

/// Who holds the lock of the FIB's plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// The thread that owns the RIB, handing over changes.
    Rib,
    /// The thread that writes to the kernel.
    Fib,
    /// A change of the configuration.
    Configuration,
    /// A command, a probe or a scrape.
    Query,
}

/// A histogram for each step or holder.
#[derive(Debug)]
pub struct Histograms<const N: usize>([Histogram; N]);

impl<const N: usize> Default for Histograms<N> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Histogram::default()))
    }
}

/// Those of [`Step`].
pub type StepTimes = Histograms<5>;

/// Those of [`Holder`].
pub type LockTimes = Histograms<4>;

impl StepTimes {
    /// That of a kind of step.
    pub const fn of(&self, step: Step) -> &Histogram {
        &self.0[step as usize]
    }

    /// All, by their labels.
    pub fn read(&self) -> Vec<(&'static str, Recorded)> {
        self.labelled(["command", "query", "event", "poll", "fib"])
    }
}

impl LockTimes {
    /// That of a holder.
    pub const fn of(&self, holder: Holder) -> &Histogram {
        &self.0[holder as usize]
    }

    /// All, by their labels.
    pub fn read(&self) -> Vec<(&'static str, Recorded)> {
        self.labelled(["rib", "fib", "configuration", "query"])
    }
}

impl<const N: usize> Histograms<N> {
    fn labelled(&self, labels: [&'static str; N]) -> Vec<(&'static str, Recorded)> {
        labels
            .into_iter()
            .zip(self.0.iter().map(Histogram::read))
            .collect()
    }
}

/// All that is recorded, by label.
#[derive(Clone, Debug, Default)]
pub struct Timings {
    /// Steps of the thread that owns the RIB.
    pub steps: Vec<(&'static str, Recorded)>,
    /// Holds of the FIB's lock.
    pub locks: Vec<(&'static str, Recorded)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_counts_in_the_first_bucket_that_it_fits_into() {
        let histogram = Histogram::default();
        for micros in [0, 50, 51, 2_000, 2_001, 5_000_000] {
            histogram.record(Duration::from_micros(micros));
        }
        let recorded = histogram.read();
        let used: Vec<(f64, u64)> = recorded
            .buckets
            .iter()
            .copied()
            .filter(|(_, count)| *count > 0)
            .collect();
        assert_eq!(
            used,
            [
                (50e-6, 2),
                (100e-6, 1),
                (2e-3, 1),
                (5e-3, 1),
                (f64::INFINITY, 1)
            ]
        );
        assert_eq!(recorded.count(), 6);
        assert!((recorded.longest - 5.0).abs() < 1e-9);
        assert!((recorded.sum - 5.004_102).abs() < 1e-9);
    }

    #[test]
    fn each_step_and_each_holder_has_the_histogram_of_its_label() {
        let steps = StepTimes::default();
        steps.of(Step::Poll).record(Duration::from_millis(3));
        let counts = |read: Vec<(&'static str, Recorded)>| {
            let recorded = read.into_iter().filter(|(_, r)| r.count() > 0);
            recorded.map(|(label, _)| label).collect::<Vec<_>>()
        };
        assert_eq!(counts(steps.read()), ["poll"]);
        let locks = LockTimes::default();
        locks.of(Holder::Query).record(Duration::from_millis(3));
        assert_eq!(counts(locks.read()), ["query"]);
    }
}
