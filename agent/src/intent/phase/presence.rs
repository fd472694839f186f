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
        let begun = || Departure::new(now, wait, self.drained);
        self.departure.get_or_insert_with(begun);
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
        leaves && self.phase(now).leaving < Leaving::Gone
    }

    /// Follows the plan: whether it has traffic led away now.
    pub fn planned(&mut self, now: Instant, is_drained: bool) {
        self.drained = is_drained.then(|| self.drained.unwrap_or(now));
    }

    /// The phase.
    pub fn phase(&self, now: Instant) -> Phase {
        let leaving = match &self.departure {
            Some(departure) => departure.step(now),
            None if self.ordered => Leaving::Drained,
            None => Leaving::No,
        };
        Phase {
            services_wait: self.services_wait,
            leaving,
        }
    }

    /// Whether it has left, or was told to stay after it began to.
    pub fn has_left_or_stays(&self, now: Instant) -> bool {
        self.departure.is_none() || self.phase(now).leaving == Leaving::Gone
    }

    /// When the phase changes by itself.
    pub fn deadline(&self, now: Instant) -> Option<Instant> {
        self.departure.as_ref()?.deadline(now)
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
            let leaving = presence.phase(now).leaving;
            assert_eq!(leaving > Leaving::No, leaves, "{reason:?} {is_deleted}");
        }
    }

    #[test]
    fn an_agent_that_has_left_by_command_stops_at_once_and_can_come_back() {
        let start = Instant::now();
        let mut presence = Presence::new(false);
        presence.leave(start, WAIT);
        assert!(presence.stop(start, WAIT, None, false));
        let later = after(start, 60);
        assert_eq!(presence.phase(later).leaving, Leaving::Gone);
        assert!(!presence.stop(later, WAIT, None, false));
        assert_eq!(presence.deadline(later), None);
        assert!(presence.has_left_or_stays(later) && !presence.has_left_or_stays(start));
        presence.stay();
        assert_eq!(presence.phase(later).leaving, Leaving::No);
        assert!(presence.has_left_or_stays(start));
    }

    #[test]
    fn the_time_that_it_was_drained_counts_and_begins_again_after_a_pause() {
        let start = Instant::now();
        let mut presence = Presence::new(false);
        presence.drain();
        presence.planned(start, true);
        presence.planned(after(start, 60), true);
        presence.leave(after(start, 60), WAIT);
        assert_eq!(
            presence.phase(after(start, 60)).leaving,
            Leaving::WithoutServices
        );
        let mut presence = Presence::new(false);
        presence.planned(start, true);
        presence.planned(after(start, 1), false);
        presence.planned(after(start, 60), true);
        presence.leave(after(start, 60), WAIT);
        assert_eq!(presence.phase(after(start, 60)).leaving, Leaving::Drained);
    }
}
