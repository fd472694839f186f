//! The plan behind its lock, which says how long whoever has it holds it.
//!
//! Whoever holds it has taken in what the RIB's thread had handed over by then. That thread never waits for it: [`Mailbox`].

use std::net::IpAddr;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Instant;

use routelet_base::timing::{Histogram, Holder, LockTimes, Recorded};

use crate::mailbox::{Mailbox, Message};
use crate::plan::Plan;

/// See the module.
pub(super) struct PlanLock {
    plan: Mutex<Plan>,
    mailbox: Mailbox,
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
            mailbox: Mailbox::default(),
            times: LockTimes::default(),
        }
    }

    /// Waits for the plan. To be held for less than 2 ms.
    pub(super) fn hold(&self, holder: Holder) -> Held<'_> {
        // A panic elsewhere is no reason to stop forwarding: the plan is consistent between calls.
        let plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        self.held(plan, holder)
    }

    fn held<'a>(&'a self, mut plan: MutexGuard<'a, Plan>, holder: Holder) -> Held<'a> {
        self.empty_mailbox(&mut plan);
        Held {
            plan,
            since: Instant::now(),
            times: self.times.of(holder),
        }
    }

    /// Hands a message over. It is in the plan of whoever holds it next, at the latest; in any case without waiting for the plan.
    pub(super) fn hand_over(&self, message: Message) {
        self.mailbox.push(message);
        self.try_to_empty_mailbox();
    }

    /// Notes that BFD has lost a router or has it back, for whoever holds the plan next. Does not wait for the plan, nor
    /// take it. See [`Plan::set_bfd_down`].
    pub(super) fn note_bfd(&self, gateway: IpAddr, ifindex: Option<u32>, down: bool) {
        self.mailbox.note_bfd(gateway, ifindex, down);
    }

    /// Whether changes may be handed over: those that were have been taken in, but for a few. Takes them in if the plan is free: who
    /// held it may not come back soon.
    pub(super) fn has_room(&self) -> bool {
        if !self.mailbox.has_room() {
            self.try_to_empty_mailbox();
        }
        self.mailbox.has_room()
    }

    fn try_to_empty_mailbox(&self) {
        let mut plan = match self.plan.try_lock() {
            Ok(plan) => plan,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        self.empty_mailbox(&mut plan);
    }

    /// What the RIB's thread handed over is taken in on its account, whoever does so.
    fn empty_mailbox(&self, plan: &mut Plan) {
        let begun = Instant::now();
        if self.mailbox.empty_into(plan) {
            self.times.of(Holder::Rib).record(begun.elapsed());
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
    #![allow(clippy::unwrap_used)]
    use std::net::IpAddr;
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::{FibChange, FibNexthop, FibRoute, GuardRails, RouteSpace};

    fn a_plan() -> PlanLock {
        let space = RouteSpace::default();
        let mut plan = Plan::new(space, 1, GuardRails::default());
        plan.set_space(Some(space));
        PlanLock::new(plan)
    }

    /// `10.0.N.0/24` through 192.0.2.1.
    fn install(n: u16) -> FibChange {
        let route = FibRoute::via("192.0.2.1".parse().unwrap(), 7);
        let [high, low] = n.to_be_bytes();
        FibChange::install(format!("10.{high}.{low}.0/24").parse().unwrap(), route)
    }

    fn wanted(plan: &Plan, n: u16) -> bool {
        let route = plan.route(install(n).prefix, Instant::now());
        route.is_some_and(|route| route.desired.is_some())
    }

    #[test]
    fn what_is_handed_over_is_in_the_plan_at_once_or_for_whoever_holds_it_next() {
        let lock = a_plan();
        lock.hand_over(Message::Changes(vec![install(1)]));
        assert!(wanted(&lock.plan.lock().unwrap(), 1), "it was free");

        let held = lock.hold(Holder::Fib);
        // Another thread: one that waited would never come back.
        let (done, is_done) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(|| {
                lock.hand_over(Message::Changes(vec![install(2)]));
                let remove = FibChange::remove(install(1).prefix);
                lock.hand_over(Message::Changes(vec![remove, install(3)]));
                done.send(()).unwrap();
            });
            let came_back = is_done.recv_timeout(Duration::from_secs(20));
            assert!(!wanted(&held, 2));
            drop(held);
            assert_eq!(came_back, Ok(()), "the thread waited for the plan");
        });
        let held = lock.hold(Holder::Fib);
        assert_eq!([1, 2, 3].map(|n| wanted(&held, n)), [false, true, true]);
    }

    #[test]
    fn a_lost_router_is_in_no_operation_of_whoever_holds_the_plan_next() {
        let lock = a_plan();
        let [lost, other] = ["192.0.2.1", "192.0.2.2"].map(|ip| ip.parse::<IpAddr>().unwrap());
        let nexthops = [lost, other].map(|gateway| FibNexthop::via(gateway, 7));
        let nexthops = nexthops.into_iter().collect();
        let held = lock.plan.lock().unwrap();
        let change = FibChange::install(install(1).prefix, FibRoute { nexthops });
        lock.hand_over(Message::Changes(vec![change]));
        lock.hand_over(Message::NextHops {
            routers: vec![(lost, 7)],
            down: true,
        });
        drop(held);
        let ops = lock.hold(Holder::Fib).next_batch(Instant::now(), 64);
        let ops = format!("{ops:?}");
        assert!(ops.contains("192.0.2.2"), "{ops}");
        assert!(!ops.contains("192.0.2.1"), "{ops}");
    }

    #[test]
    fn what_bfd_says_waits_for_whoever_holds_the_plan_next_and_its_latest_word_counts() {
        let lock = a_plan();
        let [lost, other] = ["192.0.2.1", "192.0.2.2"].map(|ip| ip.parse::<IpAddr>().unwrap());
        let nexthops = [lost, other].map(|gateway| FibNexthop::via(gateway, 7));
        let nexthops = nexthops.into_iter().collect();
        let change = FibChange::install(install(1).prefix, FibRoute { nexthops });
        lock.hand_over(Message::Changes(vec![change]));
        let held = lock.plan.lock().unwrap();
        // No room for changes is no reason to refuse, nor is there ever more than one state of a router.
        while lock.has_room() {
            let removals = (2..258).map(|n| FibChange::remove(install(n).prefix));
            lock.hand_over(Message::Changes(removals.collect()));
        }
        for n in 0..100_000 {
            lock.note_bfd(lost, Some(7), n % 2 == 1);
            lock.note_bfd(other, None, n % 2 == 0);
        }
        drop(held);
        // It was not taken in by the thread that noted it, though the plan was free then.
        lock.note_bfd(other, None, false);
        assert!(lock.mailbox.bfd_waits());
        let ops = lock.hold(Holder::Fib).next_batch(Instant::now(), 64);
        let ops = format!("{ops:?}");
        assert!(ops.contains("192.0.2.2"), "{ops}");
        assert!(!ops.contains("192.0.2.1"), "{ops}");
    }

    #[test]
    fn there_is_room_until_a_portion_waits_and_again_once_it_is_taken_in() {
        let lock = a_plan();
        let held = lock.plan.lock().unwrap();
        let mut handed_over: u16 = 0;
        while lock.has_room() {
            lock.hand_over(Message::Changes((0..256).map(install).collect()));
            handed_over += 256;
        }
        assert_eq!(handed_over, 1024);
        drop(held);
        // Nobody else has held the plan since.
        assert!(lock.has_room());
        assert!(wanted(&lock.plan.lock().unwrap(), 1));
        let times = lock.times();
        assert_eq!((times[0].0, times[0].1.count()), ("rib", 1));
    }

    #[test]
    fn a_hold_is_recorded_when_it_ends_with_who_held() {
        let lock = a_plan();
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
