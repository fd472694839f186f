//! The FIB thread: owns the netlink sockets, carries out the plan, listens to the kernel.
//!
//! One turn of its loop: hear what others did, compare with the kernel where there is doubt, carry out some batches, hand
//! out a new view if there is one, wait for the next reason. A broken socket is replaced and everything compared; the
//! kernel goes on forwarding meanwhile.

mod broken;
mod hear;
mod report;
mod requests;
mod resync;
mod urgent;

use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bgp::os_error::OsError;
use routelet_base::timing::Holder;

use crate::doubt::Doubt;
use crate::kernel::ChannelError;
use crate::kernel::netlink::{Monitor, Netlink};
use crate::kernel::socket::wait;
use crate::plan::Resync;
use crate::shared::{FibConfig, Shared, Stop, ViewCallback, lock};
use crate::view::KernelView;
use broken::Broken;
use report::Reported;
use requests::{BATCH, carry_out};
use urgent::Early;

/// How long a broken way to the kernel is left alone while routes are to be withdrawn.
const IMPATIENCE: Duration = Duration::from_secs(1);

/// Operations in one go, between two looks at what the kernel says. 16 sends of 256 messages take some 10 ms.
const BATCHES_PER_TURN: usize = 16;

/// Between two looks at whether a view that is no longer the newest is still in use.
const FREEING: Duration = Duration::from_secs(1);

/// Opens the way to the kernel, adopts what a predecessor left, and starts the thread.
pub(super) fn start(config: FibConfig) -> Result<(Arc<Shared>, JoinHandle<()>), ChannelError> {
    let io = |call| {
        move |source: std::io::Error| ChannelError::Io {
            call,
            source: source.into(),
        }
    };
    let (wake, woken) = UnixStream::pair().map_err(io("socketpair"))?;
    wake.set_nonblocking(true).map_err(io("fcntl"))?;
    woken.set_nonblocking(true).map_err(io("fcntl"))?;
    let shared = Arc::new(Shared::new(&config, wake));
    let table = shared.plan.hold(Holder::Fib).space().table;
    let mut worker = Worker {
        channel: Channel::open()?,
        early: Early::default(),
        master: KernelView::new(table, 0),
        on_view: config.on_view,
        view_changed: true,
        view_not_before: Instant::now(),
        handed_out: Vec::new(),
        doubt: Doubt::new(Instant::now()),
        broken: None,
        reported: Reported::default(),
        woken,
        shared: Arc::clone(&shared),
    };
    worker.resync(Resync::Everything)?;
    worker.publish_view(Instant::now());
    let counters = shared.plan.hold(Holder::Fib).counters();
    if config.aside {
        tracing::info!("kernel routes with our protocol are not changed");
    } else {
        tracing::info!(
            routes_ipv4 = counters.installed_ipv4,
            routes_ipv6 = counters.installed_ipv6,
            refused_ipv4 = counters.refusing_ipv4,
            refused_ipv6 = counters.refusing_ipv6,
            nexthops = counters.nexthops,
            "adopted the kernel routes of a predecessor"
        );
    }
    let thread = std::thread::Builder::new()
        .name("fib".to_owned())
        .spawn(move || worker.run())
        .map_err(io("spawning the FIB thread"))?;
    Ok((shared, thread))
}

/// The sockets belong together: the last ignores what the others cause.
struct Channel {
    kernel: Netlink,
    /// For what cannot wait for a listing on the other.
    urgent: Netlink,
    monitor: Monitor,
}

impl Channel {
    fn open() -> Result<Self, ChannelError> {
        let kernel = Netlink::open()?;
        let urgent = Netlink::open()?;
        let monitor = Monitor::open(&[kernel.port(), urgent.port()])?;
        Ok(Self {
            kernel,
            urgent,
            monitor,
        })
    }
}

struct Worker {
    shared: Arc<Shared>,
    channel: Channel,
    /// What was heard within a listing, and is looked at after it.
    early: Early,
    /// The view that events are applied to; readers get copies.
    master: KernelView,
    on_view: Option<ViewCallback>,
    view_changed: bool,
    view_not_before: Instant,
    /// Views that were handed out. They end here, once nobody else has them: freeing one of a million routes takes tens of
    /// milliseconds, and the RIB's thread must not be the one that does so.
    handed_out: Vec<Arc<KernelView>>,
    doubt: Doubt,
    /// The way to the kernel is, so far.
    broken: Option<Broken>,
    reported: Reported,
    woken: UnixStream,
}

/// Whether there is more to do at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Busy,
    /// Not before nexthop objects are listed, which is not due.
    Held,
    Idle,
}

impl Worker {
    fn run(mut self) {
        let mut withdraw_until = None;
        loop {
            self.shared.pulse.step();
            let now = Instant::now();
            let stop = *lock(&self.shared.stop);
            match (stop, withdraw_until) {
                (Some(Stop::KeepRoutes), _) => break,
                (Some(Stop::Withdraw(patience)), None) => {
                    withdraw_until = Some(now + patience);
                    self.shared.plan.hold(Holder::Fib).withdraw();
                }
                (Some(Stop::Withdraw(_)), Some(until)) => {
                    let plan = self.shared.plan.hold(Holder::Fib);
                    // What is another agent's stays. What was refused is looked into before that is believed.
                    if plan.is_gone() && self.doubt.next().is_none() || plan.is_aside() {
                        break;
                    }
                    if now >= until {
                        tracing::warn!(counters = ?plan.counters(), "not all routes could be removed in time");
                        break;
                    }
                }
                (None, _) => {}
            }
            if let Some(broken) = self.broken.filter(|broken| now < broken.retry_at) {
                // Whoever ends does not have the patience.
                let soon = withdraw_until.map(|until| until.min(now + IMPATIENCE));
                self.wait_for_others(
                    soon.map_or(broken.retry_at, |soon| soon.min(broken.retry_at)),
                );
                if withdraw_until.is_some()
                    && let Some(broken) = &mut self.broken
                {
                    broken.retry_at = broken.retry_at.min(Instant::now());
                }
                continue;
            }
            // Read before the work: what is asked during it counts for the next turn.
            let asked = self.shared.asked.load(Ordering::SeqCst);
            let turn = match self.reopen(now).and_then(|()| self.turn(now)) {
                Ok(turn) => turn,
                Err(error) => {
                    self.is_broken(&error);
                    continue;
                }
            };
            self.is_whole();
            self.reported.report(&self.shared.plan.hold(Holder::Fib));
            if turn == Turn::Idle {
                self.shared.done(asked);
                if withdraw_until.is_some() {
                    let plan = self.shared.plan.hold(Holder::Fib);
                    // Looked at again above, where it ends.
                    if plan.is_gone() && self.doubt.next().is_none() || plan.is_aside() {
                        continue;
                    }
                }
            }
            if turn != Turn::Busy {
                self.rest(withdraw_until);
            }
        }
        let counters = self.shared.plan.hold(Holder::Fib).counters();
        tracing::info!(
            routes_ipv4 = counters.installed_ipv4,
            routes_ipv6 = counters.installed_ipv6,
            "FIB thread ends; these routes stay"
        );
        self.shared.done(u64::MAX);
    }

    fn turn(&mut self, now: Instant) -> Result<Turn, ChannelError> {
        self.hear(now)?;
        self.take_doubts();
        // Nothing is written before it: such a change is not made to wait.
        if self.shared.plan.hold(Holder::Fib).waits_for_listing() {
            self.view_not_before = now;
            self.list(Resync::Everything, now)?;
        }
        match self.doubt.due(now) {
            Resync::None => {}
            what => self.list(what, now)?,
        }
        self.publish_view(now);
        for _ in 0..BATCHES_PER_TURN {
            if self.batch()? {
                continue;
            }
            // What was refused may have to be looked into.
            let held = self.take_doubts();
            return Ok(match (self.doubt.due(Instant::now()), held) {
                (Resync::None, true) => Turn::Held,
                (Resync::None, false) => Turn::Idle,
                _ => Turn::Busy,
            });
        }
        Ok(Turn::Busy)
    }

    /// Lists what is in doubt, and hears what was said of it meanwhile before anything is written: a route that was found missing and is
    /// put back would be taken for gone once more.
    fn list(&mut self, what: Resync, now: Instant) -> Result<(), ChannelError> {
        self.resync(what)?;
        self.hear(now)
    }

    /// Takes in what the plan wants to be listed. Whether nothing is written before nexthop objects are.
    fn take_doubts(&mut self) -> bool {
        let mut plan = self.shared.plan.hold(Holder::Fib);
        let held = plan.is_in_doubt();
        let what = plan.take_resync();
        self.doubt.add(what, held && what != Resync::None);
        held
    }

    /// Carries out one batch. Whether there was one, or there is more to look at for the next.
    fn batch(&mut self) -> Result<bool, ChannelError> {
        // A cut relies on which other members a group has.
        let shared = Arc::clone(&self.shared);
        let mut plan = shared.plan.hold(Holder::Fib);
        if plan.may_cut() {
            drop(plan);
            self.hear(Instant::now())?;
            plan = shared.plan.hold(Holder::Fib);
        }
        let ops = plan.next_batch(Instant::now(), BATCH);
        // What is in doubt is waited for without looking again and again.
        let is_walking = plan.is_walking() && !plan.is_in_doubt();
        drop(plan);
        if ops.is_empty() {
            return Ok(is_walking);
        }
        carry_out(&self.shared, &mut self.channel.kernel, &ops).map(|()| true)
    }

    /// Waits for a reason to go on.
    fn rest(&mut self, until: Option<Instant>) {
        let now = Instant::now();
        let retry = self.shared.plan.hold(Holder::Fib).next_retry();
        let view = self.view_changed.then_some(self.view_not_before);
        // The newest is in use.
        let views = (self.handed_out.len() > 1).then(|| now + FREEING);
        let times = [
            retry,
            view,
            self.doubt.next(),
            self.reported.next(),
            until,
            views,
        ];
        let next = times.into_iter().flatten().min();
        let timeout = next.map(|at| at.saturating_duration_since(now));
        self.shared.pulse.rest();
        match wait([self.woken.as_fd(), self.channel.monitor.as_fd()], timeout) {
            Ok([true, _]) => self.forget_wake(),
            Ok(_) => {}
            Err(error) => {
                let error = OsError::from(error);
                tracing::error!(%error, "cannot wait for changes of routes");
            }
        }
    }

    /// The way to the kernel broke: another one is opened, and nothing trusted.
    fn is_broken(&mut self, error: &ChannelError) {
        let now = Instant::now();
        let broken = Broken::again(self.broken, now);
        let again_in = broken.retry_at.saturating_duration_since(now);
        tracing::error!(%error, ?again_in, "netlink fails; the kernel's routes are unchanged, retrying");
        *lock(&self.shared.channel_error) = Some(error.to_string());
        self.shared.plan.hold(Holder::Fib).doubt_everything();
        self.doubt = Doubt::new(now);
        self.broken = Some(broken);
    }

    /// Opens another way to the kernel if the one before is broken.
    fn reopen(&mut self, now: Instant) -> Result<(), ChannelError> {
        if self.broken.is_some() {
            self.channel = Channel::open()?;
            // Everything is listed.
            self.early = Early::default();
            self.doubt = Doubt::new(now);
        }
        Ok(())
    }

    /// A turn went well, and began with a listing of everything if the way to the kernel was broken.
    fn is_whole(&mut self) {
        if self.broken.take().is_some() {
            *lock(&self.shared.channel_error) = None;
            tracing::info!("netlink works again");
        }
    }

    /// Waits until then, or until somebody wants something, be it the end.
    fn wait_for_others(&mut self, until: Instant) {
        self.shared.pulse.rest();
        let timeout = until.saturating_duration_since(Instant::now());
        let _ = wait([self.woken.as_fd()], Some(timeout));
        self.forget_wake();
    }

    fn forget_wake(&mut self) {
        let mut bytes = [0; 64];
        // First the bytes, then the flag: a wake-up in between is seen by the turn that follows.
        while matches!(self.woken.read(&mut bytes), Ok(n) if n > 0) {}
        self.shared.woken.store(false, Ordering::SeqCst);
    }
}
