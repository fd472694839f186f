//! What the thread does, turn by turn.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bgp::session::Event;
use rib::{Rib, RibConfig};
use routelet_base::timing::{Step, StepTimes};
use routelet_base::vital::Heartbeat;
use routelet_core::refreshes::Refreshes;
use routelet_fib::FibChange;
use tokio::sync::mpsc;
use tracing::info;

use super::Command;
use super::fib_feed::{self, Next, feed};
use super::sessions::Sessions;
use super::step_size::{LONG, StepSize};
use super::transaction::Transaction;
use crate::memory;
use crate::run::fib_sink::{FibSink, fib_route};
use crate::run::inbox::Inbox;
use crate::run::kernel_context::{KernelContext, NextHopTable};
use crate::run::next_hops::Denied;
use crate::run::notices::Notices;

/// The most work of one poll, and the least. So little that the first poll of dear work after cheap work does not take
/// long.
const STEPS: usize = 2_500;
const FEW_STEPS: usize = 500;

/// Commands are obeyed for so long before the RIB works.
const OBEYING: Duration = Duration::from_millis(1);

/// Changed prefixes that may wait to be advertised before no more events are taken in: some milliseconds of work, which
/// is what a part of one peer's table can wait for those of others.
const BACKLOG: usize = 5_000;

/// How long events are taken in before the RIB works on their result: long enough that the prefixes of one attribute
/// set come together and that states which the next event overtakes are not advertised, short enough to be unnoticed.
/// Only waiting events are taken: a single one is processed at once.
const INTAKE: Duration = Duration::from_millis(5);

/// The same where news was taken in, and more of it waits.
const NEWS_INTAKE: Duration = Duration::from_millis(1);

/// FIB changes of one step, at most and at least.
const FIB_BATCH: usize = 2048;
const SMALL_FIB_BATCH: usize = 256;

/// See the module above.
pub(super) struct RibThread {
    pub(super) rib: Rib,
    pub(super) sessions: Sessions,
    pub(super) transaction: Transaction,
    pub(super) kernel_context: KernelContext,
    pub(super) fib: FibSink,
    pub(super) notices: Notices,
    pub(super) pulse: Arc<Heartbeat>,
    /// Whether next hops may be resolved by the default route.
    pub(super) via_default: bool,
    /// A session that came up while there were more commands than could be obeyed at once.
    held_back: Option<Event>,
    /// Work of the next poll, and changes of the next step of the FIB.
    poll_steps: StepSize,
    fib_batch: StepSize,
    pub(super) times: Arc<StepTimes>,
    /// Next hops that only the default route leads to while it may not be used.
    pub(super) denied: Denied,
    pub(super) refreshes: Refreshes,
}

/// Whether commands wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Commands {
    /// None does.
    Obeyed,
    /// Some do.
    Waiting,
    /// None will ever come.
    Ended,
}

impl RibThread {
    pub(super) fn new(
        config: RibConfig,
        fib: FibSink,
        notices: Notices,
        next_hops: NextHopTable,
    ) -> Self {
        let mut rib = Rib::new(config);
        let peer_memory = memory::of_one_peer();
        if let Some(bytes) = peer_memory {
            info!(bytes, "memory limit for the routes of one peer");
        }
        rib.set_peer_memory(peer_memory);
        rib.set_fib(fib.is_enabled());
        Self {
            rib,
            sessions: Sessions::default(),
            transaction: Transaction::default(),
            kernel_context: KernelContext::new(next_hops),
            fib,
            notices,
            pulse: Arc::default(),
            via_default: true,
            held_back: None,
            poll_steps: StepSize::new(FEW_STEPS, STEPS),
            fib_batch: StepSize::new(SMALL_FIB_BATCH, FIB_BATCH),
            times: Arc::default(),
            denied: Denied::default(),
            refreshes: Refreshes::default(),
        }
    }

    pub(super) async fn run(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        events: mpsc::Receiver<Event>,
    ) {
        let mut events = Inbox::new(events);
        loop {
            self.pulse.step();
            match self.obey(&mut commands) {
                Commands::Ended => return,
                Commands::Obeyed => self.take_in(&mut events, &mut commands),
                Commands::Waiting => {
                    // Questions without a pause must not keep news waiting.
                    if self.held_back.is_none()
                        && self.rib.backlog() < BACKLOG
                        && let Some(event) = events.take()
                    {
                        self.take(event, &mut commands);
                    }
                    self.work();
                    continue;
                }
            }
            let next = self.work();
            if next == Next::Step || self.held_back.is_some() {
                continue;
            }
            let fib = (next == Next::Pause).then(|| now() + fib_feed::PAUSE);
            let deadlines = [self.rib.deadline(), self.refreshes.deadline(), fib];
            let deadline = deadlines.into_iter().flatten().min();
            self.pulse.rest();
            tokio::select! {
                biased;
                command = commands.recv() => match command {
                    Some(command) => {
                        self.pulse.step();
                        self.command(command);
                    }
                    None => return,
                },
                Some(event) = events.receive() => {
                    self.pulse.step();
                    self.take(event, &mut commands);
                }
                () = until(deadline) => {}
            }
        }
    }

    /// Carries out the commands that wait, for a moment at most.
    fn obey(&mut self, commands: &mut mpsc::Receiver<Command>) -> Commands {
        let end = now() + OBEYING;
        loop {
            match commands.try_recv() {
                Ok(command) => self.command(command),
                Err(mpsc::error::TryRecvError::Empty) => return Commands::Obeyed,
                Err(mpsc::error::TryRecvError::Disconnected) => return Commands::Ended,
            }
            if now() >= end {
                return Commands::Waiting;
            }
        }
    }

    /// Handles an event after every command that was sent before it. Commands and events have a channel each: a
    /// session's `Established` may be read here before the command that makes its peer known, which was sent first.
    /// Dropped as of an unknown peer, it would leave a session that is up and carries no route, in neither direction.
    /// Whether events may go on: not while this one is held back.
    fn take(&mut self, event: Event, commands: &mut mpsc::Receiver<Command>) -> bool {
        if matches!(event, Event::Established { .. }) && self.obey(commands) == Commands::Waiting {
            self.held_back = Some(event);
            return false;
        }
        // That no more commands may come is seen at the next round.
        let started = now();
        self.event(event);
        self.record(Step::Event, started);
        true
    }

    /// Takes events that wait, for a moment at most, and none while many prefixes wait to be advertised.
    fn take_in(&mut self, events: &mut Inbox, commands: &mut mpsc::Receiver<Command>) {
        let begun = now();
        while self.rib.backlog() < BACKLOG
            && let Some(event) = self.held_back.take().or_else(|| events.take())
        {
            let has_news = self.take(event, commands).then(|| self.rib.has_news());
            let goes_on = match has_news {
                None => false,
                Some(true) => begun.elapsed() < NEWS_INTAKE && events.has_small(),
                Some(false) => begun.elapsed() < INTAKE,
            };
            if !goes_on {
                break;
            }
        }
    }

    /// Lets the RIB work for a step and passes on what comes of it.
    fn work(&mut self) -> Next {
        let started = now();
        for (peer, request) in self.refreshes.due(started) {
            self.rib.route_refresh(peer, request, started);
        }
        let more = self.poll(started);
        self.record(Step::Poll, started);
        self.feed_fib().or_step(more)
    }

    /// Hands changes over to the FIB.
    fn feed_fib(&mut self) -> Next {
        let started = now();
        let rib = &mut self.rib;
        let (fed, next) = feed(&self.fib, self.fib_batch.now, |most, changes| {
            rib.take_fib_changes(most, |prefix, route| {
                changes.push(match route {
                    Some(route) => FibChange::install(prefix, fib_route(&route)),
                    None => FibChange::remove(prefix),
                });
            })
        });
        // Those caused by the changes are sent after them.
        self.pass_on_events();
        if fed > 0 {
            let took = self.record(Step::Fib, started);
            self.fib_batch.took(took);
        }
        next
    }

    /// Polls the RIB, as often as another poll like the last one still fits in a step. Whether there is more to do now.
    fn poll(&mut self, started: Instant) -> bool {
        let mut begun = started;
        loop {
            let more = self
                .rib
                .poll(begun, self.poll_steps.now, &mut self.sessions);
            self.pass_on_events();
            let ended = now();
            let took = ended - begun;
            self.poll_steps.took(took);
            if !more || ended - started + took > LONG {
                return more;
            }
            begun = ended;
        }
    }

    /// Records how long a step took that ends now.
    pub(super) fn record(&self, step: Step, started: Instant) -> Duration {
        let took = started.elapsed();
        self.times.of(step).record(took);
        took
    }
}

pub(super) fn now() -> Instant {
    Instant::now()
}

/// Until `deadline`, or for ever.
async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
