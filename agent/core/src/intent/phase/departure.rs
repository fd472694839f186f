//! The steps in which a node leaves.

use std::time::{Duration, Instant};

use super::Leaving;

/// How long peers may take to act on each withdrawal before the next step.
pub const STEP: Duration = Duration::from_secs(1);

/// A node on its way out: it asks for its traffic to be moved, waits for that, withdraws its Services, then its pod CIDRs, then
/// closes its sessions.
///
/// One step after the other, each carried out before the time until the next begins: who comes late goes on late, and leaves none
/// out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Departure {
    at: Leaving,
    /// How long the present step is given.
    pause: Duration,
    /// Since when it has been carried out; `None`: it has not been.
    since: Option<Instant>,
}

impl Departure {
    /// A departure that begins. `wait`: how long routers are given to move the traffic; `drained`: since when they have been asked
    /// to, if they have.
    pub(super) const fn new(wait: Duration, drained: Option<Instant>) -> Self {
        Self {
            at: Leaving::Drained,
            pause: wait,
            since: drained,
        }
    }

    /// How far the node has left.
    pub(super) const fn step(&self) -> Leaving {
        self.at
    }

    /// Goes to the next step if it is time for that, and no further. Whether it did.
    pub(super) fn advance(&mut self, now: Instant) -> bool {
        let is_due = self.deadline().is_some_and(|at| at <= now);
        if is_due {
            self.at = self.at.next();
            (self.pause, self.since) = (STEP, None);
        }
        is_due
    }

    /// The present step was carried out by now.
    pub(super) fn carried_out(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    /// When the next step begins; `None`: there is none, or the present one was not carried out.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let is_over = self.at == Leaving::Gone;
        self.since.filter(|_| !is_over).map(|at| at + self.pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_secs(5);

    /// The steps of a departure, and when each was carried out, if that takes so long and every turn begins so late.
    fn steps(takes: Duration, late: Duration, drained: Option<Duration>) -> Vec<(u64, Leaving)> {
        let start = Instant::now() + Duration::from_secs(3600);
        let mut departure = Departure::new(WAIT, drained.map(|ago| start - ago));
        let mut now = start;
        departure.advance(now);
        let mut steps = Vec::new();
        loop {
            // Whatever else happens meanwhile leads no further.
            assert!(!departure.advance(now), "{steps:?}");
            now += takes;
            departure.carried_out(now);
            steps.push(((now - start).as_secs(), departure.step()));
            let Some(next) = departure.deadline() else {
                return steps;
            };
            now = now.max(next) + late;
            assert!(departure.advance(now));
        }
    }

    #[test]
    fn each_step_has_its_time() {
        assert_eq!(
            steps(Duration::ZERO, Duration::ZERO, None),
            [
                (0, Leaving::Drained),
                (5, Leaving::WithoutServices),
                (6, Leaving::WithoutPods),
                (7, Leaving::Gone)
            ]
        );
    }

    #[test]
    fn no_step_is_left_out_and_none_is_shorter_when_turns_are_late_or_take_long() {
        let (long, late) = (Duration::from_secs(60), Duration::from_secs(3));
        assert_eq!(
            steps(Duration::ZERO, late, None),
            [
                (0, Leaving::Drained),
                (8, Leaving::WithoutServices),
                (12, Leaving::WithoutPods),
                (16, Leaving::Gone)
            ]
        );
        assert_eq!(
            steps(long, Duration::ZERO, None),
            [
                (60, Leaving::Drained),
                (125, Leaving::WithoutServices),
                (186, Leaving::WithoutPods),
                (247, Leaving::Gone)
            ]
        );
    }

    #[test]
    fn a_node_that_was_drained_before_does_not_wait_again() {
        let ago = Duration::from_secs;
        let first = |drained| steps(Duration::ZERO, Duration::ZERO, Some(drained));
        assert_eq!(first(ago(3600))[0], (0, Leaving::WithoutServices));
        // Drained a moment ago: for the rest of the time.
        assert_eq!(
            first(ago(2))[..2],
            [(0, Leaving::Drained), (3, Leaving::WithoutServices)]
        );
    }
}
