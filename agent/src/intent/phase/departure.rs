//! The steps in which a node leaves, as a function of time.

use std::time::{Duration, Instant};

use super::Leaving;

/// How long peers may take to act on each withdrawal before the next step.
const STEP: Duration = Duration::from_secs(1);

/// A node on its way out: it asks for its traffic to be moved, waits for that, withdraws its Services, then its pod CIDRs, then
/// closes its sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Departure {
    drained: Instant,
    wait: Duration,
    began: Instant,
}

impl Departure {
    /// A departure that begins now. `wait`: how long routers are given to move the traffic; `drained`: since when they have
    /// been asked to, if they have.
    pub(super) fn new(now: Instant, wait: Duration, drained: Option<Instant>) -> Self {
        Self {
            drained: drained.unwrap_or(now).min(now),
            wait,
            began: now,
        }
    }

    /// How far the node has left.
    pub(super) fn step(&self, now: Instant) -> Leaving {
        let [services, pods, gone] = self.times();
        if now >= gone {
            Leaving::Gone
        } else if now >= pods {
            Leaving::WithoutPods
        } else if now >= services {
            Leaving::WithoutServices
        } else {
            Leaving::Drained
        }
    }

    /// When the next step begins; `None`: there is none.
    pub(super) fn deadline(&self, now: Instant) -> Option<Instant> {
        self.times().into_iter().find(|at| now < *at)
    }

    /// When Services are withdrawn, when pod CIDRs, and when the sessions are closed.
    fn times(&self) -> [Instant; 3] {
        let services = (self.drained + self.wait).max(self.began);
        [services, services + STEP, services + STEP * 2]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_secs(5);

    #[test]
    fn each_step_has_its_time_and_deadlines_lead_from_one_to_the_next() {
        let start = Instant::now();
        let departure = Departure::new(start, WAIT, None);
        let mut at = start;
        let mut steps = vec![(0, departure.step(at))];
        while let Some(next) = departure.deadline(at) {
            assert!(next > at);
            at = next;
            steps.push(((at - start).as_secs(), departure.step(at)));
        }
        assert_eq!(
            steps,
            [
                (0, Leaving::Drained),
                (5, Leaving::WithoutServices),
                (6, Leaving::WithoutPods),
                (7, Leaving::Gone)
            ]
        );
    }

    #[test]
    fn a_node_that_was_drained_before_does_not_wait_again() {
        let start = Instant::now();
        let now = start + Duration::from_secs(3600);
        let departure = Departure::new(now, WAIT, Some(start));
        assert_eq!(departure.step(now), Leaving::WithoutServices);
        // Drained a moment ago: for the rest of the time.
        let departure = Departure::new(now, WAIT, Some(now - Duration::from_secs(2)));
        assert_eq!(departure.step(now), Leaving::Drained);
        assert_eq!(departure.deadline(now), Some(now + Duration::from_secs(3)));
    }
}
