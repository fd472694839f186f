//! The thread that owns the RIB.
//!
//! One OS thread, one [`Rib`], no locks. It takes commands (what the intent wants, what the kernel looks like, questions)
//! and session events, lets the RIB work in steps of a few milliseconds, and hands the results to the sessions' outboxes
//! and to the FIB. Commands go first: they are few, and a peer must be known before its session.
//!
//! The thread runs a current-thread tokio runtime only to wait for two channels and a deadline at once.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU8;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bgp::session::{Event, Outbox, PeerKey, SessionId};
use bytes::Bytes;
use rib::export::{Full, Transport};
use rib::{Expected, Originated, PeerConfig, PeerId, Rib, RibConfig, RibEvent};
use routelet_base::timing::{Recorded, Step, StepTimes};
use routelet_base::vital::{Pulse, Vital};
use routelet_core::intent::RouteChange;
use routelet_fib::{FibChange, FibNexthop, FibRoute, KernelView};
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, info};

use super::fib_sink::FibSink;
use super::inbox::Inbox;
use super::next_hops::{Denied, Resolver};
use super::notices::Notices;
use super::refreshes::{Limited, Refreshes};
use super::surroundings::{NextHopTable, Surroundings};
use crate::memory;

/// Commands that may wait. They are few (a change of manifests, a look at a table); when full, the sender waits.
const COMMANDS: usize = 64;

/// The most work of one poll, and the least. So little that the first poll of dear work after cheap work does not take long.
const STEPS: usize = 2_500;
const FEW_STEPS: usize = 500;

/// The RIB is polled for so long between two looks at the channels, and a single poll that takes longer is made smaller the next
/// time: no step is to take longer than 2 ms.
const LONG: Duration = Duration::from_micros(1_200);

/// Commands are obeyed for so long before the RIB works.
const OBEYING: Duration = Duration::from_millis(1);

/// Changed prefixes that may wait to be advertised before no more events are taken in: some milliseconds of work, which is what
/// a part of one peer's table can wait for those of others.
const BACKLOG: usize = 5_000;

/// How long events are taken in before the RIB works on their result: long enough that the prefixes of one attribute set
/// come together and that states which the next event overtakes are told to nobody, short enough that nobody notices.
/// Only what waits already is taken: a single piece of news is told at once.
const INTAKE: Duration = Duration::from_millis(5);

/// The same where news was taken in, and more of it waits.
const NEWS_INTAKE: Duration = Duration::from_millis(1);

/// FIB changes handed over at once, at most and at least.
const FIB_BATCH: usize = 4096;
const SMALL_FIB_BATCH: usize = 256;

/// A look at the RIB, carried out on its thread. It must be short: walks go in pieces.
type Look = Box<dyn FnOnce(&Rib) + Send>;

/// What the runtime asks of the RIB's thread.
pub(crate) enum Command {
    /// How this speaker decides.
    Configure(RibConfig),
    /// A peer as the intent wants it.
    SetPeer(PeerId, Box<PeerConfig>),
    /// This peer came by itself, out of a listen range.
    SetUnexpected(PeerId),
    /// A peer that is no longer wanted.
    RemovePeer(PeerId),
    /// All that this node originates.
    Originate(Vec<Originated>),
    /// What it originates otherwise from now on.
    ChangeOriginated(Vec<RouteChange>),
    /// The Node's InternalIPs, for next hops of a family that a session's address is not of.
    NodeAddresses(Box<[IpAddr]>),
    /// The kernel's surroundings changed.
    View(Arc<KernelView>),
    /// Whether next hops may be resolved by the default route.
    ResolveViaDefault(bool),
    /// Everything is synced: start to tell.
    OpenGate,
    /// Whether End-of-RIB is kept back.
    HoldEndOfRib(bool),
    /// Which peers may come that are not configured, and whether some would be clients of ours.
    Expect(Expected, bool),
    /// Whether the FIB is open. Once it is, it is told everything.
    Fib(bool),
    /// Run policies again for a peer and tell it everything again.
    SoftReset(PeerId),
    /// Look at the tables.
    Look(Look),
}

/// The grip on the RIB's thread.
#[derive(Clone)]
pub(crate) struct RibHandle {
    commands: mpsc::Sender<Command>,
    next_hops: NextHopTable,
    steps: Arc<StepTimes>,
    denied: Denied,
    refreshes: Arc<Limited>,
}

/// The RIB's thread is gone: the agent is stopping.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the RIB's thread has stopped")]
pub(crate) struct Stopped;

impl RibHandle {
    /// Gives a command, in order with all others.
    pub(crate) async fn send(&self, command: Command) -> Result<(), Stopped> {
        self.commands.send(command).await.map_err(|_| Stopped)
    }

    /// Our own next hops on the sessions that are up.
    pub(crate) fn own_next_hops(&self) -> &NextHopTable {
        &self.next_hops
    }

    /// How long the steps of the thread took, by kind.
    pub(crate) fn step_times(&self) -> Vec<(&'static str, Recorded)> {
        self.steps.read()
    }

    /// Requests for all routes that had to wait, and refreshes of peers that were ignored.
    pub(crate) fn limited_refreshes(&self) -> (u64, u64) {
        self.refreshes.read()
    }

    /// Next hops that are not used because the default route alone leads to them.
    pub(crate) fn denied_next_hops(&self) -> Vec<IpAddr> {
        self.denied.all()
    }

    /// Looks at the tables. Keep it short: the RIB does nothing else meanwhile.
    pub(crate) async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Rib) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        let (sender, receiver) = oneshot::channel();
        self.send(Command::Look(Box::new(move |rib| {
            // Nobody waits for the answer any more: nothing to do.
            let _ = sender.send(look(rib));
        })))
        .await?;
        receiver.await.map_err(|_| Stopped)
    }
}

/// Starts the thread. It ends when every [`RibHandle`] is gone; nobody has to wait for that, since what it still holds is memory.
pub(crate) fn spawn(
    config: RibConfig,
    events: mpsc::Receiver<Event>,
    fib: FibSink,
    notices: Notices,
) -> std::io::Result<(RibHandle, Vital)> {
    let (sender, commands) = mpsc::channel(COMMANDS);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    let mut rib = Rib::new(config);
    let peer_memory = memory::of_one_peer();
    if let Some(bytes) = peer_memory {
        info!(bytes, "memory limit for the routes of one peer");
    }
    rib.set_peer_memory(peer_memory);
    rib.set_fib(fib.is_enabled());
    let next_hops = NextHopTable::default();
    let denied = Denied::default();
    let pulse = Arc::new(Pulse::default());
    let steps = Arc::new(StepTimes::default());
    let refreshes = Refreshes::default();
    let limited = refreshes.limited();
    let owner = Owner {
        rib,
        sessions: Sessions::default(),
        surroundings: Surroundings::new(next_hops.clone()),
        fib,
        changes: Vec::new(),
        notices,
        pulse: Arc::clone(&pulse),
        via_default: true,
        held_back: None,
        poll_steps: Fitted::new(FEW_STEPS, STEPS),
        fib_batch: Fitted::new(SMALL_FIB_BATCH, FIB_BATCH),
        times: Arc::clone(&steps),
        denied: denied.clone(),
        refreshes,
    };
    let thread = std::thread::Builder::new()
        .name("rib".to_owned())
        .spawn(move || runtime.block_on(owner.run(commands, events)))?;
    let handle = RibHandle {
        commands: sender,
        next_hops,
        steps,
        denied,
        refreshes: limited,
    };
    let vital = Vital::thread("thread rib, the owner of the routes,", pulse, move || {
        thread.is_finished()
    });
    // Weak: it must not keep the thread from ending.
    let poke = handle.commands.downgrade();
    let vital = vital.poked(move || {
        if let Some(commands) = poke.upgrade() {
            // Where there is no room, there is enough to do.
            let _ = commands.try_send(Command::Look(Box::new(|_| {})));
        }
    });
    Ok((handle, vital.holding_sessions()))
}

struct Owner {
    rib: Rib,
    sessions: Sessions,
    surroundings: Surroundings,
    fib: FibSink,
    changes: Vec<FibChange>,
    notices: Notices,
    pulse: Arc<Pulse>,
    /// Whether next hops may be resolved by the default route.
    via_default: bool,
    /// A session that came up while there were more commands than could be obeyed at once.
    held_back: Option<Event>,
    /// Work of the next poll, and changes of the next hand-over to the FIB.
    poll_steps: Fitted,
    fib_batch: Fitted,
    times: Arc<StepTimes>,
    /// Next hops that may not.
    denied: Denied,
    refreshes: Refreshes,
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

/// The outboxes of Established sessions of known peers.
#[derive(Default)]
struct Sessions {
    known: HashMap<PeerId, Option<Session>>,
}

struct Session {
    id: SessionId,
    outbox: Outbox,
}

impl Transport for Sessions {
    fn send(&mut self, peer: PeerId, messages: &Bytes) -> Result<(), Full> {
        match self.known.get(&peer) {
            Some(Some(session)) => session
                .outbox
                .try_send(std::slice::from_ref(messages))
                .map_err(|_| Full),
            // The session is over and its `Down` is on the way: what is said now is said to nobody.
            _ => Ok(()),
        }
    }
}

impl Sessions {
    /// Whether an event is of the session that the RIB knows.
    fn is_current(&self, peer: PeerId, session: SessionId) -> bool {
        matches!(self.known.get(&peer), Some(Some(current)) if current.id == session)
    }
}

const fn id(key: PeerKey) -> PeerId {
    PeerId(key.0)
}

impl Owner {
    async fn run(mut self, mut commands: mpsc::Receiver<Command>, events: mpsc::Receiver<Event>) {
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
            if self.work() || self.held_back.is_some() {
                continue;
            }
            let deadlines = [self.rib.deadline(), self.refreshes.deadline()];
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

    /// Handles an event after every command that was sent before it. Commands and events have a channel each: a session's
    /// `Established` may be read here before the command that makes its peer known, which was sent first. Dropped as of an
    /// unknown peer, it would leave a session that is up and carries no route, in neither direction. Whether events may go on:
    /// not while this one is held back.
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

    /// Lets the RIB work for a step and passes on what comes of it. Whether there is more to do now.
    fn work(&mut self) -> bool {
        let started = now();
        for (peer, request) in self.refreshes.due(started) {
            self.rib.route_refresh(peer, request, started);
        }
        let mut more = self.poll(started);
        self.record(Step::Poll, started);
        let (started, batch) = (now(), self.fib_batch.now);
        let changes = &mut self.changes;
        let taken = self.rib.take_fib_changes(batch, |prefix, route| {
            changes.push(match route {
                Some(route) => FibChange::install(prefix, fib_route(&route)),
                None => FibChange::remove(prefix),
            });
        });
        more |= taken == batch;
        if !self.changes.is_empty() {
            self.fib.submit(std::mem::take(&mut self.changes));
        }
        // Those that the changes brought up are told after them.
        self.pass_on_events();
        if taken > 0 {
            let took = self.record(Step::Fib, started);
            self.fib_batch.took(took);
        }
        more
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
    fn record(&self, step: Step, started: Instant) -> Duration {
        let took = started.elapsed();
        self.times.of(step).record(took);
        took
    }

    fn pass_on_events(&mut self) {
        for event in self.rib.take_events() {
            match &event {
                RibEvent::NextHopsLost(routers) => self.fib.set_nexthops_down(routers, true),
                RibEvent::NextHopsRegained(routers) => self.fib.set_nexthops_down(routers, false),
                _ => {}
            }
            self.notices.send(event);
        }
    }

    /// Asks again where every next hop leads.
    fn resolve_anew(&mut self, view: Arc<KernelView>) {
        self.denied.forget();
        let resolver = Resolver {
            view,
            via_default: self.via_default,
            denied: self.denied.clone(),
        };
        self.rib.next_hops_changed(Arc::new(resolver));
    }

    fn command(&mut self, command: Command) {
        let started = now();
        let step = match command {
            Command::Look(_) => Step::Query,
            _ => Step::Command,
        };
        self.obey_one(command);
        self.record(step, started);
    }

    fn obey_one(&mut self, command: Command) {
        match command {
            Command::Configure(config) => self.rib.set_config(config),
            Command::SetPeer(peer, config) => {
                self.sessions.known.entry(peer).or_default();
                self.rib.set_peer(peer, *config);
            }
            Command::SetUnexpected(peer) => self.rib.set_unexpected(peer),
            Command::RemovePeer(peer) => {
                self.sessions.known.remove(&peer);
                self.surroundings.end(peer);
                self.refreshes.forget(peer);
                self.rib.remove_peer(peer);
                self.pass_on_events();
            }
            Command::Originate(originated) => self.rib.set_originated(originated),
            Command::ChangeOriginated(changes) => {
                let changes = changes.into_iter();
                let changes = changes.map(|change| (change.prefix, change.route));
                self.rib.change_originated(changes.collect());
            }
            Command::NodeAddresses(addresses) => {
                self.surroundings.set_internal_ips(addresses, &mut self.rib);
            }
            Command::View(view) => {
                self.resolve_anew(Arc::clone(&view));
                self.surroundings.set_view(view, &mut self.rib);
            }
            Command::ResolveViaDefault(allowed) => {
                if self.via_default != allowed {
                    self.via_default = allowed;
                    self.resolve_anew(Arc::clone(self.surroundings.view()));
                }
            }
            Command::OpenGate => {
                info!("start gate open: advertising routes");
                self.rib.open_gate(now());
            }
            Command::HoldEndOfRib(hold) => self.rib.hold_end_of_rib(hold),
            Command::Expect(expected, clients) => self.rib.expect(expected, clients),
            Command::Fib(open) => self.rib.set_fib(open),
            Command::SoftReset(peer) => self.rib.soft_reset(peer),
            Command::Look(look) => look(&self.rib),
        }
    }

    fn event(&mut self, event: Event) {
        let (key, session) = event.source();
        let peer = id(key);
        match event {
            Event::Established {
                negotiated,
                outbox,
                local,
                remote,
                ..
            } => {
                let Some(slot) = self.sessions.known.get_mut(&peer) else {
                    debug!(peer = key.0, "session of a peer that was removed meanwhile");
                    return;
                };
                *slot = Some(Session {
                    id: session,
                    outbox,
                });
                let info = self.surroundings.begin(peer, negotiated, local, remote);
                self.rib.session_up(peer, info, now());
            }
            Event::Updates { updates, .. } if self.sessions.is_current(peer, session) => {
                self.rib.updates(peer, &updates);
            }
            Event::RouteRefresh { refresh, .. } if self.sessions.is_current(peer, session) => {
                let now = now();
                if self.refreshes.admit(peer, refresh, now) {
                    self.rib.route_refresh(peer, refresh, now);
                }
            }
            Event::Writable { .. } if self.sessions.is_current(peer, session) => {
                self.rib.writable(peer);
            }
            Event::Down { reason, .. } if self.sessions.is_current(peer, session) => {
                if let Some(slot) = self.sessions.known.get_mut(&peer) {
                    *slot = None;
                }
                self.surroundings.end(peer);
                self.refreshes.session_down(peer);
                self.rib.session_down(peer, &reason, now());
                // The FIB hears of a lost router before any work is begun.
                self.pass_on_events();
            }
            // Of a peer that was removed while its last events were on the way.
            Event::Updates { .. }
            | Event::RouteRefresh { .. }
            | Event::Writable { .. }
            | Event::Down { .. } => {}
        }
    }
}

/// The RIB's choice in the FIB's words.
pub(super) fn fib_route(route: &rib::FibRoute) -> FibRoute {
    let next_hops = route.next_hops.iter();
    let nexthops = next_hops.map(|next_hop| FibNexthop {
        gateway: Some(next_hop.gateway),
        ifindex: next_hop.ifindex,
        weight: u8::try_from(next_hop.weight)
            .ok()
            .and_then(NonZeroU8::new)
            .unwrap_or(NonZeroU8::MAX),
        onlink: next_hop.onlink,
    });
    FibRoute {
        nexthops: nexthops.collect(),
    }
}

/// How much to do in one step, fitted to how long steps take.
#[derive(Clone, Copy, Debug)]
struct Fitted {
    now: usize,
    least: usize,
    most: usize,
    /// How long the step took because of which this one was made smaller.
    longer: Option<Duration>,
}

impl Fitted {
    const fn new(least: usize, most: usize) -> Self {
        Self {
            now: 2 * least,
            least,
            most,
            longer: None,
        }
    }

    /// A step took so long. Where it took less because there was less to do, more is tried again. Where one of half the size
    /// takes as long, it is not the size that takes the time (there may be a thousand peers to send each message to), and
    /// smaller ones would do less and take as long.
    fn took(&mut self, took: Duration) {
        let longer = self.longer.take();
        let in_vain = longer.is_some_and(|longer| took * 4 > longer * 3);
        if took > LONG && in_vain {
            self.now = (self.now * 2).min(self.most);
        } else if took > LONG && self.now > self.least {
            self.now = (self.now / 2).max(self.least);
            self.longer = Some(took);
        } else if took < LONG / 3 {
            self.now = (self.now + self.now / 4).min(self.most);
        }
    }
}

fn now() -> Instant {
    Instant::now()
}

/// Until `deadline`, or for ever.
async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(start: usize, micros: &[u64]) -> usize {
        let mut fitted = Fitted::new(500, 10_000);
        fitted.now = start;
        for took in micros {
            fitted.took(Duration::from_micros(*took));
        }
        fitted.now
    }

    #[test]
    fn a_step_that_took_long_is_made_smaller_and_grows_again() {
        for (start, took, next) in [
            (4_000, &[3_000][..], 2_000),
            (4_000, &[3_000, 1_500], 1_000),
            (600, &[3_000], 500),
            (500, &[3_000], 500),
            (4_000, &[800], 4_000),
            (4_000, &[100], 5_000),
            (9_000, &[100], 10_000),
        ] {
            assert_eq!(after(start, took), next, "{start} {took:?}");
        }
    }

    #[test]
    fn a_step_is_not_made_smaller_where_that_does_not_make_it_shorter() {
        assert_eq!(after(4_000, &[3_000, 2_900]), 4_000);
        assert_eq!(after(4_000, &[3_000, 2_900, 3_000]), 2_000, "tried again");
    }
}
