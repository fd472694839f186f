//! What the FIB's thread and its handles share, and how the thread is configured.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use routelet_base::timing::Holder;
use routelet_base::vital::Heartbeat;

use crate::guard::GuardRails;
use crate::plan::Plan;
use crate::plan_lock::PlanLock;
use crate::refusal;
use crate::types::RouteSpace;
use crate::view::KernelView;

/// Called on the FIB thread with every new view. It must not block: send it on, or set a flag.
pub type ViewCallback = Box<dyn Fn(&Arc<KernelView>) + Send>;

/// How the FIB works on this node.
pub struct FibConfig {
    /// Table and metric of our routes.
    pub space: RouteSpace,
    /// Whether learned routes are installed.
    pub installs: bool,
    /// Whether what is in the kernel with our protocol is another agent's, and nothing is written.
    pub aside: bool,
    /// What may not be learned. [`GuardRails::connected`] and [`GuardRails::foreign`] are added from the kernel.
    pub guard: GuardRails,
    /// The table that refuses, until [`FibHandle::set_refused`](crate::FibHandle::set_refused) names another.
    pub refusing_table: u32,
    /// Told about every new view of the kernel.
    pub on_view: Option<ViewCallback>,
}

impl Default for FibConfig {
    fn default() -> Self {
        Self {
            space: RouteSpace::default(),
            installs: true,
            aside: false,
            guard: GuardRails::default(),
            refusing_table: refusal::DEFAULT_TABLE,
            on_view: None,
        }
    }
}

/// What becomes of our routes when the thread ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// They stay, keep forwarding, and the next agent adopts them.
    KeepRoutes,
    /// They are removed, and the nexthop objects with them, for which there is so much time.
    Withdraw(Duration),
}

/// What handle and thread share.
pub(crate) struct Shared {
    /// The queue between RIB and FIB *is* the plan: a change is stored as what is wanted for its prefix, where it replaces the one before
    /// it. The thread holds the lock for one batch of a few hundred routes at a time (tens of microseconds), and never while it talks
    /// to the kernel. Changes that come while it is held wait in a mailbox, and if that is full, in the RIB.
    pub(crate) plan: PlanLock,
    pub(crate) guard: Mutex<GuardRails>,
    pub(crate) view: ArcSwap<KernelView>,
    pub(crate) channel_error: Mutex<Option<String>>,
    pub(crate) stop: Mutex<Option<Stop>>,
    /// Grows with every request; the thread says up to which one everything is done.
    pub(crate) asked: AtomicU64,
    done: Mutex<u64>,
    done_changed: Condvar,
    /// One byte here ends the thread's wait. Capacity: the socket's buffer; when it is full a byte is lost, which is right,
    /// since there is one already. `woken` keeps it to one.
    wake: UnixStream,
    pub(crate) woken: AtomicBool,
    /// How the thread is.
    pub(crate) pulse: Arc<Heartbeat>,
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere is no reason to stop forwarding: the plan is consistent between calls.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(crate) fn new(config: &FibConfig, wake: UnixStream) -> Self {
        let space = config.space;
        let mut plan = Plan::new(space, config.refusing_table, config.guard.clone());
        plan.set_aside(config.aside);
        plan.set_space(config.installs.then_some(space));
        Self {
            plan: PlanLock::new(plan),
            guard: Mutex::new(config.guard.clone()),
            view: ArcSwap::from_pointee(KernelView::new(space.table, 0)),
            channel_error: Mutex::new(None),
            stop: Mutex::new(None),
            asked: AtomicU64::new(0),
            done: Mutex::new(0),
            done_changed: Condvar::new(),
            wake,
            woken: AtomicBool::new(false),
            pulse: Arc::default(),
        }
    }

    /// The guard rails of the configuration together with the networks that the node is connected to, and the destinations
    /// that others lead onto its links.
    pub(crate) fn apply_guard_rails(&self) {
        // Held until the plan has them: an older one must not come after a newer.
        let configured = lock(&self.guard);
        let mut guard = configured.clone();
        let view = self.view.load();
        let connected = view.connected();
        guard.foreign.append(&mut view.on_link(&connected));
        guard.connected.extend(connected);
        self.plan.hold(Holder::Configuration).set_guard_rails(guard);
    }

    /// Everything up to this request is done.
    pub(crate) fn done(&self, up_to: u64) {
        let mut done = lock(&self.done);
        if *done < up_to {
            *done = up_to;
            self.done_changed.notify_all();
        }
    }

    /// Asks the thread to look. Returns the number of the request.
    pub(crate) fn wake(&self) -> u64 {
        let number = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        if !self.woken.swap(true, Ordering::SeqCst) {
            let _ = (&self.wake).write(&[1]);
        }
        number
    }
    /// Waits until the thread has done everything up to this request. Returns whether that happened within `timeout`.
    pub(crate) fn wait_until_done(&self, number: u64, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut done = lock(&self.done);
        while *done < number {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            done = self
                .done_changed
                .wait_timeout(done, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        true
    }
}
