//! The plan behind its lock, which says how long whoever has it holds it: the RIB's thread waits for it.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use routelet_base::timing::{Histogram, Holder, LockTimes, Recorded};

use crate::plan::Plan;

/// See the module.
pub(super) struct PlanLock {
    plan: Mutex<Plan>,
    times: LockTimes,
}

/// The plan while it is held.
pub(super) struct Held<'a> {
    plan: MutexGuard<'a, Plan>,
    since: Instant,
    times: &'a Histogram,
}

impl PlanLock {
    pub(super) fn new(plan: Plan) -> Self {
        Self {
            plan: Mutex::new(plan),
            times: LockTimes::default(),
        }
    }

    /// Waits for the plan. To be held for less than 2 ms.
    pub(super) fn hold(&self, holder: Holder) -> Held<'_> {
        // A panic elsewhere is no reason to stop forwarding: the plan is consistent between calls.
        let plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        Held {
            plan,
            since: Instant::now(),
            times: self.times.of(holder),
        }
    }

    /// How long it was held, by whom.
    pub(super) fn times(&self) -> Vec<(&'static str, Recorded)> {
        self.times.read()
    }
}

impl Deref for Held<'_> {
    type Target = Plan;

    fn deref(&self) -> &Plan {
        &self.plan
    }
}

impl DerefMut for Held<'_> {
    fn deref_mut(&mut self) -> &mut Plan {
        &mut self.plan
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.times.record(self.since.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{GuardRails, RouteSpace};

    #[test]
    fn a_hold_is_recorded_when_it_ends_with_who_held() {
        let lock = PlanLock::new(Plan::new(RouteSpace::default(), 1, GuardRails::default()));
        let counts = || lock.times().into_iter().map(|(_, times)| times.count());
        let held = lock.hold(Holder::Query);
        assert_eq!(counts().sum::<u64>(), 0);
        drop(held);
        let labels = lock.times().into_iter();
        let labels = labels.filter(|(_, times)| times.count() == 1);
        assert_eq!(
            labels.map(|(label, _)| label).collect::<Vec<_>>(),
            ["query"]
        );
    }
}
