//! BFD with peers. What is wanted of its sessions, and what their states mean, is decided by [`Bfd`]; here are its thread and
//! its table of routers.
//!
//! A failure goes two ways. The thread itself has the FIB remove the router from its nexthop groups (decision 4), whatever
//! the loop does meanwhile. Then the loop learns of it, and the BGP session ends.
//!
//! The thread starts when the first peer wants BFD: a node without it leaves its ports to others.

use std::collections::HashMap;
use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rib::PeerId;
use routelet_base::vital::Vital;
use routelet_bfd::driver::{self, BfdHandle, Priority, SessionStatus, Status};
use routelet_bfd::{Request, SessionKey, UserId, UserState};
use routelet_core::bfd::{Action, Bfd, Input, Level, Router, Routers, Shown};
use routelet_fib::{FibHandle, KernelView};
use tokio::sync::Notify;
use tracing::{error, info, warn};

/// See the module.
pub(super) struct BfdSessions {
    machine: Bfd,
    /// What the machine knows of the kernel.
    view: Arc<KernelView>,
    /// What the machine wants done, and was not done yet.
    pub(super) actions: Vec<Action>,
    fib: FibHandle,
    routers: Arc<Mutex<Routers>>,
    reports: Arc<Reports>,
    thread: BfdThread,
    /// What each user wants of the thread, for one that is started later.
    wanted: HashMap<u64, (UserId, SessionKey, Request)>,
    /// The sessions are ended, and none is to begin.
    is_stopped: bool,
    life: Arc<Life>,
}

/// Whether the thread has ended although nobody stopped it.
#[derive(Default)]
struct Life {
    has_ended: AtomicBool,
    /// It is to run.
    is_expected: AtomicBool,
}

/// The thread, while it runs.
#[derive(Clone, Default)]
struct BfdThread(Arc<Mutex<Option<Arc<BfdHandle>>>>);

impl BfdThread {
    /// How the thread and its sessions are. `None`: it does not run, or does not answer. Blocks for a second at most.
    fn status(&self) -> Option<Status> {
        let handle = lock(&self.0).clone();
        handle?.status()
    }
}

/// How often it is looked at what the thread can do.
const LOOK: Duration = Duration::from_secs(5);

impl BfdThread {
    /// Logs what keeps the thread from its work, once each, for as long as it runs.
    async fn watch(self) {
        let mut known = Vec::new();
        loop {
            tokio::time::sleep(LOOK).await;
            let thread = self.clone();
            let status = tokio::task::spawn_blocking(move || thread.status()).await;
            let Ok(Some(status)) = status else {
                if lock(&self.0).is_none() {
                    return;
                }
                continue;
            };
            let found = troubles(&status);
            for trouble in found.iter().filter(|trouble| !known.contains(*trouble)) {
                warn!("BFD: {trouble}");
            }
            if found.is_empty() && !known.is_empty() {
                info!("BFD: nothing keeps it from its work any more");
            }
            known = found;
        }
    }
}

/// Detection times that need real-time priority on a busy machine.
const SHORT: Duration = Duration::from_millis(300);

/// What keeps the thread from its work, and what to do.
fn troubles(status: &Status) -> Vec<String> {
    let mut found = Vec::new();
    for port in &status.ports {
        if let Some(error) = port.error {
            let family = if port.is_v4 { "IPv4" } else { "IPv6" };
            found.push(format!(
                "port {} of {family} cannot be used: {error}; look which other program uses it (`ss -ulnp`)",
                port.port
            ));
        }
    }
    let is_short = |session: &SessionStatus| {
        let detection = session.status.detection_time;
        detection.is_some_and(|time| time < SHORT)
    };
    if status.priority != Priority::RealTime && status.sessions.iter().any(is_short) {
        found.push(format!(
            "its thread has {} priority: detection times below 300ms may give false alarms on a busy machine; grant \
             CAP_SYS_NICE",
            status.priority
        ));
    }
    found
}

/// The latest state of each user that the loop has not seen yet: no more than there are users.
#[derive(Default)]
struct Reports {
    states: Mutex<HashMap<u64, UserState>>,
    arrived: Notify,
}

/// Says that the thread has ended, when the thread drops it.
struct Ended(Arc<Life>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.has_ended.store(true, Ordering::Release);
    }
}

impl BfdSessions {
    pub(super) fn new(fib: FibHandle) -> Self {
        Self {
            machine: Bfd::default(),
            view: Arc::default(),
            actions: Vec::new(),
            fib,
            routers: Arc::default(),
            reports: Arc::default(),
            thread: BfdThread::default(),
            wanted: HashMap::new(),
            is_stopped: false,
            life: Arc::default(),
        }
    }

    /// The thread, for the watchdog.
    pub(super) fn vital(&self) -> Vital {
        let life = self.life.clone();
        Vital::task("the BFD thread", move || {
            life.is_expected.load(Ordering::Acquire) && life.has_ended.load(Ordering::Acquire)
        })
    }

    /// Waits until the thread has reported something. Loses nothing if it is dropped before.
    pub(super) async fn reported(&self) {
        self.reports.arrived.notified().await;
    }

    /// Takes in what the thread has reported. Returns whose.
    pub(super) fn take_reports(&mut self) -> Vec<PeerId> {
        let states = std::mem::take(&mut *lock(&self.reports.states));
        if states.is_empty() {
            return Vec::new();
        }
        let states: Vec<UserState> = states.into_values().collect();
        self.handle(Input::States(&states));
        let number = |state: &UserState| u32::try_from(state.user.number).ok().map(PeerId);
        states.iter().filter_map(number).collect()
    }

    /// The kernel has these interfaces, addresses and routes.
    pub(super) fn set_view(&mut self, view: &Arc<KernelView>) {
        if !Arc::ptr_eq(&self.view, view) {
            self.view = view.clone();
            self.handle(Input::View(view.clone()));
        }
    }

    pub(super) fn handle(&mut self, input: Input<'_>) {
        self.machine.handle(input, &mut self.actions);
    }

    /// What the peer's BGP session is to know.
    pub(super) fn level(&self, id: PeerId) -> Level {
        self.machine.level(id)
    }

    /// The peer's session. `None`: it has no BFD.
    pub(super) fn show(&self, id: PeerId) -> Option<Shown> {
        self.machine.show(id)
    }

    /// The router that a user's session watches; `None`: the user is gone.
    pub(super) fn route(&self, user: UserId, router: Option<Router>) {
        lock(&self.routers).set(user, router, |router, down| cut(&self.fib, router, down));
    }

    /// What a user wants of the thread.
    pub(super) fn set(&mut self, user: UserId, wanted: Option<(SessionKey, Request)>) {
        match &wanted {
            Some((key, request)) => {
                let wanted = (user, *key, request.clone());
                self.wanted.insert(user.number, wanted);
            }
            None => {
                self.wanted.remove(&user.number);
            }
        }
        if self.is_stopped {
            return;
        }
        let known = lock(&self.thread.0).clone();
        match known {
            Some(thread) => thread.set(user, wanted),
            None => self.start(),
        }
    }

    /// Goes on after [`BfdSessions::stop`].
    pub(super) fn resume(&mut self) {
        if std::mem::take(&mut self.is_stopped) {
            self.start();
        }
    }

    /// Starts the thread with all that is wanted of it, if anything is.
    fn start(&self) {
        if self.wanted.is_empty() {
            return;
        }
        let handle = match self.spawn() {
            Ok(handle) => handle,
            Err(error) => {
                error!(%error, "the BFD thread cannot be started: failures are found by hold timers only");
                return;
            }
        };
        for (user, key, request) in self.wanted.values() {
            handle.set(*user, Some((*key, request.clone())));
        }
        *lock(&self.thread.0) = Some(Arc::new(handle));
        tokio::spawn(self.thread.clone().watch());
    }

    fn spawn(&self) -> io::Result<BfdHandle> {
        let mut seed = [0; 32];
        std::fs::File::open("/dev/urandom")?.read_exact(&mut seed)?;
        let (routers, reports, fib) =
            (self.routers.clone(), self.reports.clone(), self.fib.clone());
        let ended = Ended(self.life.clone());
        self.life.has_ended.store(false, Ordering::Release);
        let handle = driver::spawn(seed, move |states: &[UserState]| {
            let _ended = &ended;
            let mut routers = lock(&routers);
            for state in states {
                routers.follow(state, |router, down| cut(&fib, router, down));
            }
            drop(routers);
            let mut waiting = lock(&reports.states);
            waiting.extend(states.iter().map(|state| (state.user.number, *state)));
            drop(waiting);
            reports.arrived.notify_one();
        })?;
        self.life.is_expected.store(true, Ordering::Release);
        info!("BFD starts");
        Ok(handle)
    }

    /// Ends all sessions as AdminDown, which peers do not take for a failure (RFC 5882 3.2). Returns when that was sent.
    pub(super) async fn stop(&mut self) {
        self.is_stopped = true;
        self.life.is_expected.store(false, Ordering::Release);
        let Some(handle) = lock(&self.thread.0).take() else {
            return;
        };
        // A panic was reported by the panic hook.
        let _ = tokio::task::spawn_blocking(move || stop(handle)).await;
    }
}

/// Stops the thread as soon as nobody asks how it is any more: a second at most.
fn stop(mut handle: Arc<BfdHandle>) {
    loop {
        match Arc::try_unwrap(handle) {
            Ok(handle) => return handle.stop(driver::Stop::AdminDown),
            Err(shared) => handle = shared,
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Has the FIB remove a router from its groups, or use it again.
fn cut(fib: &FibHandle, (gateway, ifindex): (std::net::IpAddr, u32), down: bool) {
    fib.set_bfd_down(gateway, Some(ifindex), down);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whole between calls, whoever panicked elsewhere.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use routelet_bfd::driver::PortStatus;
    use routelet_bfd::packet::Discards;

    use super::*;

    #[test]
    fn a_port_that_is_taken_is_named_and_priority_only_where_times_are_short() {
        let port = |error| PortStatus {
            is_v4: false,
            port: 3784,
            error,
            dropped: 0,
        };
        let status = |priority, ports| Status {
            priority,
            ports,
            discards: Discards::default(),
            worst_lateness: Duration::ZERO,
            sessions: Vec::new(),
        };
        assert_eq!(
            troubles(&status(Priority::Normal, vec![port(None)])),
            [""; 0]
        );
        let taken = port(Some(io::ErrorKind::AddrInUse));
        let found = troubles(&status(Priority::RealTime, vec![port(None), taken]));
        assert_eq!(
            found,
            [
                "port 3784 of IPv6 cannot be used: address in use; look which other program uses it (`ss -ulnp`)"
            ]
        );
    }
}
