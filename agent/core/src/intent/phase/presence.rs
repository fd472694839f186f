//! How an agent comes to its phase: what has been ordered, what has been found healthy, and since when.

use std::time::{Duration, Instant};

use super::{Departure, DrainReason, Leaving, Phase, leaves_when_stopped};

/// The way of an agent through its [phases](Phase). A pure machine: it is told what happens and when.
#[derive(Clone, Debug)]
pub struct Presence {
    services_wait: bool,
    ordered: bool,
    departure: Option<Departure>,
    /// Since when the traffic has been led away.
    drained: Option<Instant>,
}

impl Presence {
    /// An agent that starts. `services_wait`: until kube-proxy is healthy.
    pub fn new(services_wait: bool) -> Self {
        Self {
            services_wait,
            ordered: false,
            departure: None,
            drained: None,
        }
    }

    /// kube-proxy is healthy, or there is none.
    pub fn kube_proxy_is_healthy(&mut self) {
        self.services_wait = false;
    }

    /// Whether kube-proxy is waited for.
    pub fn waits_for_kube_proxy(&self) -> bool {
        self.services_wait
    }

    /// Has traffic led away.
    pub fn drain(&mut self) {
        self.ordered = true;
    }

    /// Has everything advertised as before, whatever was ordered.
    pub fn stay(&mut self) {
        self.ordered = false;
        self.departure = None;
    }

    /// Begins to leave, if it has not begun yet.
    pub fn leave(&mut self, now: Instant, wait: Duration) {
        self.ordered = true;
        if self.departure.is_none() {
            let mut departure = Departure::new(wait, self.drained);
            // Who has been drained for long enough has nothing more to wait for.
            departure.advance(now);
            self.departure = Some(departure);
        }
    }

    /// The agent is told to stop. Returns whether it has to leave before, which begins now: the node goes away.
    pub fn stop(
        &mut self,
        now: Instant,
        wait: Duration,
        reason: Option<&DrainReason>,
        is_deleted: bool,
    ) -> bool {
        let leaves = self.departure.is_some() || leaves_when_stopped(reason, is_deleted);
        if leaves {
            self.leave(now, wait);
        }
        leaves && self.phase().leaving < Leaving::Gone
    }

    /// Follows the plan: whether it has traffic led away now.
    pub fn planned(&mut self, now: Instant, is_drained: bool) {
        self.drained = is_drained.then(|| self.drained.unwrap_or(now));
    }

    /// Goes to the next step of leaving if it is time for that. One at a time, each to be [carried out](Self::carried_out) before
    /// the time until the next begins.
    pub fn advance(&mut self, now: Instant) {
        if let Some(departure) = &mut self.departure {
            departure.advance(now);
        }
    }

    /// The phase was acted on.
    pub fn carried_out(&mut self, now: Instant) {
        if let Some(departure) = &mut self.departure {
            departure.carried_out(now);
        }
    }

    /// The phase.
    pub fn phase(&self) -> Phase {
        let leaving = match &self.departure {
            Some(departure) => departure.step(),
            None if self.ordered => Leaving::Drained,
            None => Leaving::No,
        };
        Phase {
            services_wait: self.services_wait,
            leaving,
        }
    }

    /// Whether it has left, or was told to stay after it began to. A node whose next step is to be gone has done all that comes
    /// before.
    pub fn has_left_or_stays(&self, now: Instant) -> bool {
        self.departure.is_none_or(|mut departure| {
            departure.advance(now);
            departure.step() == Leaving::Gone
        })
    }

    /// Whether it has begun to leave.
    pub const fn is_leaving(&self) -> bool {
        self.departure.is_some()
    }

    /// When the phase changes by itself.
    pub fn deadline(&self) -> Option<Instant> {
        self.departure.as_ref()?.deadline()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Atom;

    const WAIT: Duration = Duration::from_secs(5);

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn only_what_says_that_the_node_goes_away_makes_a_stop_a_departure() {
        let taint = DrainReason::Taint(Atom::from("example.com/gone"));
        let now = Instant::now();
        for (reason, is_deleted, leaves) in [
            (None, false, false),
            (None, true, true),
            (Some(DrainReason::Router), false, false),
            (Some(DrainReason::Command), false, false),
            (Some(taint), false, true),
            (Some(DrainReason::NodeShutdown), false, true),
            (Some(DrainReason::NodeDeletion), false, true),
        ] {
            let mut presence = Presence::new(false);
            let found = presence.stop(now, WAIT, reason.as_ref(), is_deleted);
            assert_eq!(found, leaves, "{reason:?} {is_deleted}");
            let leaving = presence.phase().leaving;
            assert_eq!(leaving > Leaving::No, leaves, "{reason:?} {is_deleted}");
        }
    }

    /// Carries out what is due, until nothing is.
    fn go_on(presence: &mut Presence, now: Instant) {
        loop {
            presence.carried_out(now);
            let before = presence.phase();
            presence.advance(now);
            if presence.phase() == before {
                return;
            }
        }
    }

    #[test]
    fn an_agent_that_has_left_by_command_stops_at_once_and_can_come_back() {
        let start = Instant::now();
        let mut presence = Presence::new(false);
        presence.leave(start, WAIT);
        assert!(presence.stop(start, WAIT, None, false));
        assert_eq!(presence.phase().leaving, Leaving::Drained);
        for seconds in [0, 60, 120, 180] {
            assert!(!presence.has_left_or_stays(start));
            go_on(&mut presence, after(start, seconds));
        }
        let later = after(start, 180);
        assert_eq!(presence.phase().leaving, Leaving::Gone);
        assert!(!presence.stop(later, WAIT, None, false));
        assert_eq!(presence.deadline(), None);
        assert!(presence.has_left_or_stays(later));
        presence.stay();
        assert_eq!(presence.phase().leaving, Leaving::No);
        assert!(presence.has_left_or_stays(start));
    }

    #[test]
    fn one_that_stops_is_over_when_the_last_withdrawal_has_had_its_time() {
        let start = Instant::now();
        let mut presence = Presence::new(false);
        presence.leave(start, WAIT);
        for seconds in [0, 60, 120] {
            let now = after(start, seconds);
            presence.advance(now);
            // Its time begins when it was carried out, however late that is.
            assert!(!presence.has_left_or_stays(after(now, 3600)));
            presence.carried_out(now);
        }
        assert_eq!(presence.phase().leaving, Leaving::WithoutPods);
        assert!(!presence.has_left_or_stays(after(start, 120)));
        assert!(presence.has_left_or_stays(after(start, 121)));
    }

    #[test]
    fn the_time_that_it_was_drained_counts_and_begins_again_after_a_pause() {
        let start = Instant::now();
        let mut presence = Presence::new(false);
        presence.drain();
        presence.planned(start, true);
        presence.planned(after(start, 60), true);
        presence.leave(after(start, 60), WAIT);
        assert_eq!(presence.phase().leaving, Leaving::WithoutServices);
        let mut presence = Presence::new(false);
        presence.planned(start, true);
        presence.planned(after(start, 1), false);
        presence.planned(after(start, 60), true);
        presence.leave(after(start, 60), WAIT);
        assert_eq!(presence.phase().leaving, Leaving::Drained);
    }
}
