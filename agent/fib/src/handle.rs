//! How the rest of the agent talks to the FIB thread.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use routelet_base::timing::{Holder, Recorded};
use routelet_base::vital::Vital;
use serde::Serialize;

use crate::guard::GuardRails;
use crate::kernel::ChannelError;
use crate::mailbox::Message;
use crate::plan::{FibNexthopStatus, Plan, RefusalStatus};
use crate::refusal::{Refusal, RefusalChange};
use crate::shared::{FibConfig, Shared, Stop, lock};
use crate::types::{FibChange, FibCounters, FibRouteStatus, RouteSpace};
use crate::view::KernelView;
use crate::worker;

/// How long the thread may take to end beyond the time that it is given: a listing that is under way takes seconds at most.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// How many entries are collected, or changed, while the plan is held: 100 us. They go into a short list, and from there to the
/// long one when the plan is free again: memory that is new to the process costs milliseconds where a long list grows.
const SHOWN: usize = 512;

/// Everything that is to be known about the FIB at one moment, but for the routes.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FibStatus {
    /// Table and metric of learned routes; `None`: none are installed.
    pub space: Option<RouteSpace>,
    /// Counters and gauges.
    pub counters: FibCounters,
    /// Nexthop objects of ours.
    pub nexthops: Vec<FibNexthopStatus>,
    /// Why the kernel cannot be reached, if it cannot. Routes stay as they are; the thread keeps trying.
    pub channel_error: Option<String>,
}

/// Opens the way to the kernel, adopts what a predecessor left, and starts the thread. The network namespace is that of
/// the calling thread.
///
/// # Errors
/// The process may not change routes, the kernel is too old, or it cannot be listed. What to do is in the text.
pub fn spawn(config: FibConfig) -> Result<FibHandle, ChannelError> {
    let (shared, thread) = worker::start(config)?;
    Ok(FibHandle {
        shared,
        thread: Arc::new(Mutex::new(Some(thread))),
    })
}

/// The FIB, for the RIB and for those who ask about it. Cheap to clone.
#[derive(Clone)]
pub struct FibHandle {
    shared: Arc<Shared>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl FibHandle {
    /// Takes in changes of what is wanted, the later of two for one prefix winning, without waiting for the plan or the kernel. Some thousand
    /// at most, and where [`FibHandle::has_room`], so that nothing is made to wait for them. What is in the kernel already costs nothing more.
    pub fn hand_over(&self, changes: Vec<FibChange>) {
        self.shared.plan.hand_over(Message::Changes(changes));
        self.shared.wake();
    }

    /// Whether the changes that were handed over before have been taken in, but for some thousand.
    pub fn has_room(&self) -> bool {
        self.shared.plan.has_room()
    }

    /// The same with any number of changes, for those who may wait.
    pub fn submit(&self, changes: impl IntoIterator<Item = FibChange>) {
        // In portions, so that the thread can fetch its next batch in between.
        const PORTION: usize = 1024;
        let mut changes = changes.into_iter();
        loop {
            let portion: Vec<FibChange> = changes.by_ref().take(PORTION).collect();
            if portion.is_empty() {
                return;
            }
            if !self.has_room() {
                drop(self.shared.plan.hold(Holder::Configuration));
            }
            self.hand_over(portion);
        }
    }

    /// What is found in the kernel from now on stays until [`FibHandle::converged`], as at a start.
    pub fn converges_again(&self) {
        self.shared
            .plan
            .hold(Holder::Configuration)
            .converges_again();
    }

    /// The RIB has heard what there is to hear (End-of-RIB of every peer, or a deadline): routes that a predecessor left
    /// and that nobody has asked for are removed. Until then they stay.
    pub fn converged(&self) {
        self.shared.plan.hold(Holder::Configuration).converged();
        self.shared.wake();
    }

    /// Routers, each with the interface to it, are unreachable (`down`) or reachable again. See
    /// [`Plan::set_nexthop_down`]: this moves their traffic at once, ahead of everything that was submitted and is not yet
    /// in the kernel, and ahead of the RIB's changes prefix by prefix, which then find the kernel as they want it. A batch that is under way
    /// is finished first: a millisecond, and longer only while others hold the kernel's lock of networks. Within a listing of routes
    /// it comes between two messages of the kernel, and waits for one that lists nexthop objects.
    pub fn set_nexthops_down(&self, routers: &[(IpAddr, u32)], down: bool) {
        let routers = routers.to_vec();
        let message = Message::NextHops { routers, down };
        self.shared.plan.hand_over(message);
        self.shared.wake();
    }

    /// BFD has lost a router (`down`), or has it back: as [`FibHandle::set_nexthops_down`], and independent of it, so
    /// that a router is used again when neither says that it is lost. `ifindex`: of a single-hop session; `None` (multihop):
    /// the router via any interface. Say `down: false` when a session is removed. Of several states of one router the
    /// latest counts. For the thread of BFD: never waits for the plan, and makes one system call at most, to wake the
    /// FIB thread.
    pub fn set_bfd_down(&self, gateway: IpAddr, ifindex: Option<u32>, down: bool) {
        self.shared.plan.note_bfd(gateway, ifindex, down);
        self.shared.wake();
    }

    /// Has learned routes with this table and metric from now on, or none: see [`Plan::set_space`]. After `None` everything has to
    /// be submitted again.
    pub fn set_space(&self, space: Option<RouteSpace>) {
        let plan = &self.shared.plan;
        while space.is_some() && !plan.hold(Holder::Configuration).finish_walk() {}
        self.shared
            .plan
            .hold(Holder::Configuration)
            .set_space(space);
        self.shared.wake();
    }

    /// Leaves what is in the kernel with our protocol to another agent, or takes it for our own.
    pub fn set_aside(&self, aside: bool) {
        if self
            .shared
            .plan
            .hold(Holder::Configuration)
            .set_aside(aside)
        {
            self.shared.wake();
        }
    }

    /// Table and metric of learned routes.
    pub fn space(&self) -> RouteSpace {
        self.shared.plan.hold(Holder::Query).space()
    }

    /// Whether nothing of ours is in the kernel, as far as is known.
    pub fn is_gone(&self) -> bool {
        self.shared.plan.hold(Holder::Query).is_gone()
    }

    /// Replaces the guard rails; they are applied to everything that is wanted. Connected networks are added to them.
    pub fn set_guard_rails(&self, guard: GuardRails) {
        *lock(&self.shared.guard) = guard;
        self.shared.apply_guard_rails();
        self.shared.wake();
    }

    /// Refuses exactly these destinations from now on, by this table (`None`: the one it was). Until this was called once, what
    /// a predecessor refused stays.
    pub fn set_refused(
        &self,
        table: Option<u32>,
        wanted: impl IntoIterator<Item = (IpNet, Refusal)>,
    ) {
        let wanted = wanted.into_iter().collect();
        let plan = &self.shared.plan;
        plan.hold(Holder::Configuration)
            .replace_refused(table, wanted);
        self.shared.wake();
    }

    /// Refuses destinations, or no more.
    pub fn change_refused(&self, changes: impl IntoIterator<Item = RefusalChange>) {
        let mut changes = changes.into_iter().peekable();
        while changes.peek().is_some() {
            let some = changes.by_ref().take(SHOWN);
            let mut plan = self.shared.plan.hold(Holder::Configuration);
            plan.change_refused(some);
        }
        self.shared.wake();
    }

    /// What is refused of one prefix; `None`: nothing.
    pub fn refusal(&self, prefix: IpNet) -> Option<RefusalStatus> {
        self.shared
            .plan
            .hold(Holder::Query)
            .refusal(prefix, Instant::now())
    }

    /// What is refused of the prefixes that `filter` lets through, IPv4 first, ascending. Collected some at a time.
    pub fn refusals(&self, mut filter: impl FnMut(IpNet) -> bool) -> Vec<RefusalStatus> {
        let (mut out, mut some) = (Vec::new(), Vec::with_capacity(SHOWN));
        let mut after = None;
        loop {
            let plan = self.shared.plan.hold(Holder::Query);
            let now = Instant::now();
            let prefixes = plan.refused_after(after, SHOWN);
            let Some(last) = prefixes.last() else {
                return out;
            };
            after = Some(*last);
            let prefixes = prefixes.into_iter().filter(|prefix| filter(*prefix));
            some.extend(prefixes.filter_map(|prefix| plan.refusal(prefix, now)));
            drop(plan);
            out.append(&mut some);
        }
    }

    /// The kernel's surroundings as last seen.
    pub fn view(&self) -> Arc<KernelView> {
        self.shared.view.load_full()
    }

    /// Counters and gauges.
    pub fn counters(&self) -> FibCounters {
        self.shared.plan.hold(Holder::Query).counters()
    }

    /// Counters, nexthops and the state of the thread.
    pub fn status(&self) -> FibStatus {
        let (mut nexthops, mut some) = (Vec::new(), Vec::with_capacity(SHOWN));
        let mut next = Some(0);
        while let Some(from) = next {
            let plan = self.shared.plan.hold(Holder::Query);
            next = plan.nexthops(from, SHOWN, &mut some);
            drop(plan);
            nexthops.append(&mut some);
        }
        let plan = self.shared.plan.hold(Holder::Query);
        FibStatus {
            space: plan.installs().then(|| plan.space()),
            counters: plan.counters(),
            nexthops,
            channel_error: lock(&self.shared.channel_error).clone(),
        }
    }

    /// How long the lock of the plan was held, by who held it.
    pub fn lock_times(&self) -> Vec<(&'static str, Recorded)> {
        self.shared.plan.times()
    }

    /// How many routes of a predecessor nobody has asked for so far as they are; none after [`FibHandle::converged`]. `None`: that is
    /// not known.
    pub fn adopted(&self) -> Option<u64> {
        self.shared.plan.hold(Holder::Configuration).adopted()
    }

    /// One prefix; `None` if it is neither wanted nor installed.
    pub fn route(&self, prefix: IpNet) -> Option<FibRouteStatus> {
        self.shared
            .plan
            .hold(Holder::Query)
            .route(prefix, Instant::now())
    }

    /// The longest prefix that covers this one and is wanted or installed.
    pub fn longest(&self, prefix: IpNet) -> Option<FibRouteStatus> {
        let plan = self.shared.plan.hold(Holder::Query);
        plan.longest(prefix, Instant::now())
    }

    /// Every prefix that `filter` lets through, IPv4 first, ascending. Collected some at a time, so that the FIB goes on
    /// meanwhile: each is as it was at some moment of the call.
    pub fn snapshot(&self, mut filter: impl FnMut(IpNet) -> bool) -> Vec<FibRouteStatus> {
        let plan = &self.shared.plan;
        let (mut prefixes, mut some) = (Vec::new(), Vec::new());
        for part in 0..Plan::PARTS {
            plan.hold(Holder::Query)
                .prefixes(part, &mut filter, &mut some);
            prefixes.append(&mut some);
        }
        plan.hold(Holder::Query)
            .leftover_prefixes(&mut filter, &mut some);
        prefixes.append(&mut some);
        prefixes.sort_unstable();
        prefixes.dedup();
        let mut out = Vec::with_capacity(prefixes.len());
        let mut some = Vec::with_capacity(SHOWN);
        for portion in prefixes.chunks(SHOWN) {
            let plan = plan.hold(Holder::Query);
            let now = Instant::now();
            some.extend(portion.iter().filter_map(|prefix| plan.route(*prefix, now)));
            drop(plan);
            out.append(&mut some);
        }
        out
    }

    /// Waits until the kernel has been told all that was asked before, and all that it had said by then was heard.
    /// Whether that happened within `timeout`. What the kernel refused is done, too.
    pub fn flush(&self, timeout: Duration) -> bool {
        let number = self.shared.wake();
        self.shared.wait_until_done(number, timeout)
    }

    /// The thread, to be looked after. It may hang for a while where others hold the kernel's lock of networks.
    pub fn vital(&self) -> Vital {
        let thread = Arc::clone(&self.thread);
        let pulse = Arc::clone(&self.shared.pulse);
        let vital = Vital::thread(
            "thread fib, the writer of kernel routes,",
            pulse,
            move || {
                let thread = lock(&thread);
                thread.as_ref().is_none_or(JoinHandle::is_finished)
            },
        );
        let shared = Arc::clone(&self.shared);
        vital.poked(move || {
            shared.wake();
        })
    }

    /// Ends the thread and waits for it, some seconds longer than it may take at most. Later calls find it ended. Returns whether
    /// it has: one that hangs in the kernel is left, and the routes stay as they are.
    pub fn stop(&self, how: Stop) -> bool {
        self.stop_within(how, PATIENCE)
    }

    fn stop_within(&self, how: Stop, patience: Duration) -> bool {
        let patience = match how {
            Stop::KeepRoutes => patience,
            Stop::Withdraw(time) => time + patience,
        };
        lock(&self.shared.stop).get_or_insert(how);
        self.shared.wake();
        // Its last act. One that panics takes the process with it.
        let has_ended = self.shared.wait_until_done(u64::MAX, patience);
        if let Some(thread) = lock(&self.thread).take_if(|_| has_ended)
            && thread.join().is_err()
        {
            tracing::error!("the FIB thread panicked; the kernel's routes are unchanged");
        }
        has_ended
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::net::UnixStream;
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_thread_that_hangs_is_not_waited_for_without_end() {
        let (wake, _woken) = UnixStream::pair().unwrap();
        let shared = Arc::new(Shared::new(&FibConfig::default(), wake));
        let (let_go, hangs) = mpsc::channel::<()>();
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let _ = hangs.recv();
            of_thread.done(u64::MAX);
        });
        let fib = FibHandle {
            shared,
            thread: Arc::new(Mutex::new(Some(thread))),
        };
        let (ended, end) = mpsc::channel();
        let stopping = fib.clone();
        std::thread::spawn(move || {
            let has_ended = stopping.stop_within(Stop::KeepRoutes, Duration::from_millis(1));
            let _ = ended.send(has_ended);
        });
        assert_eq!(end.recv_timeout(Duration::from_secs(20)), Ok(false));
        drop(let_go);
        assert!(fib.stop(Stop::KeepRoutes));
        assert!(lock(&fib.thread).is_none());
    }
}
