//! The running agent: threads, tasks and channels, and nothing that decides.
//!
//! ```text
//!  source ---ClusterState---> loop --Planner--> peers  (peering decides; bgp::session, one task each)
//!  FIB thread --KernelView---/   |  \-----------> RIB thread --> FIB thread
//!  signals, control socket -----/                 ^
//!                       sessions --Event, bounded-/
//! ```
//!
//! The loop of this module is the only one that acts on an intent. It has it brought up to date whenever the cluster's state,
//! the kernel's surroundings or a command changes something. If only routes differ, as nearly always, the RIB is told of
//! those; else each part is handed to its owner, who does the difference.

mod backend;
mod ending;
mod expected;
mod facts;
mod fib_sink;
mod front;
mod gates;
mod inbox;
mod next_hops;
mod notices;
mod open_files;
mod options;
mod owner;
mod peers;
mod refreshes;
mod remembered;
mod rib_events;
mod rib_thread;
mod shared;
pub(crate) mod show;
mod signals;
mod source;
mod surroundings;
mod writing;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use bgp::fsm::{Cease, Stop};
use bgp::session::Candidate;
use rib::{Multipath, RibConfig};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tracing::{error, info, warn};

pub use ending::LONGEST as LONGEST_STOP;
pub(crate) use gates::KubeProxy;
pub(crate) use options::{Options, SourceOptions};

use routelet_base::vital::{self, Pulse, Vital, Watchdog};
use routelet_control::model::DrainOrder;
use routelet_control::{ControlSocket, Health};
use routelet_core::cluster::ClusterState;
use routelet_core::intent::{
    Change, DrainReason, Intent, Leaving, LocalFacts, Parts, Phase, Planner, Presence,
    RouterSettings,
};
use routelet_core::peering::Awaited;
use routelet_fib::{FibConfig, FibHandle, KernelView, RefusalChange, RouteSpace};

use crate::memory;
use backend::{Agent, Order};
use ending::{GOOD_BYE, STOPPING, WITHDRAW};
use facts::local_facts;
use fib_sink::FibSink;
use front::Front;
use gates::Gates;
use peers::Peers;
use remembered::{LastNodes, Remembered};
use rib_thread::{Command, RibHandle};
use shared::Shared;
use signals::Signals;
use source::{Source, report};
use writing::Writing;

/// Session events that may wait for the RIB, each up to 1,024 prefixes or 64 KiB of the stream; of one session four at most. When
/// full, sockets are not read.
const EVENTS: usize = 8;

/// Orders of the control socket that may wait; when full, the command waits.
const ORDERS: usize = 16;

/// How often it is looked at whether this agent may write, and tried to listen where that failed.
const TICK: Duration = Duration::from_secs(5);

/// How long our OPENs say that we restarted (RFC 4724): as long as peers may wait for us.
const RESTARTING: Duration = Duration::from_secs(120);

/// Runs the agent until a signal ends it.
///
/// # Errors
/// The node cannot be worked on as configured: an address in use, a missing capability, an unreadable directory. The text
/// says what to do.
pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    let started = Instant::now();
    vital::end_on_panic();
    open_files::raise_limit();
    let mut stop = Signals::new()?;
    // First what may refuse, so that nothing has happened yet if it does.
    let socket = ControlSocket::bind(&options.control)?;
    let http = match options.http {
        Some(address) => Some(crate::http::bind(address).await?),
        None => None,
    };
    let gates = Arc::new(Gates::default());
    let last = LastNodes::read(&options.control, &options.node);
    let mut source = Source::start(&options.source, &options.node, last).await?;
    let described = source::describe(&options.source);
    let front = Front::new(
        options.node.clone(),
        described.clone(),
        started,
        gates.clone(),
    );
    let health = Health::new(Arc::new(front));
    tokio::spawn(health.clone().watch());
    let mut vitals = vec![source.vital()];
    let mut vital =
        |name, task: AbortHandle| vitals.push(Vital::task(name, move || task.is_finished()));
    let served = routelet_control::serve(socket, health.clone());
    vital(
        "the task that serves commands",
        tokio::spawn(served).abort_handle(),
    );
    if let Some(listener) = http {
        let served = crate::http::serve(listener, health.clone(), options.series);
        vital(
            "the task that serves HTTP",
            tokio::spawn(served).abort_handle(),
        );
    }
    if let Some(client) = source.client() {
        let written = crate::report::writer::run(client, options.node.clone(), health.clone());
        let task = tokio::spawn(written).abort_handle();
        vital("the task that writes the RouterState", task);
    }
    let connects_pods = options.cni.is_some();
    if let Some(cni) = options.cni {
        let written = crate::cni::run(cni, options.node.clone(), source.watch());
        let task = tokio::spawn(written).abort_handle();
        vital("the task that writes the CNI configuration", task);
    }
    // Both at once: usually kube-proxy is healthy before the state of the cluster is complete.
    gates.set(gates::SOURCE, false, "nothing was read yet");
    let mut presence = Presence::new(options.kube_proxy != KubeProxy::Off);
    let mut kube_proxy = std::pin::pin!(gates::kube_proxy(options.kube_proxy, gates.clone()));
    let mut first = loop {
        tokio::select! {
            () = stop.received() => return Ok(()),
            first = source.synced(&gates) => break first?,
            () = &mut kube_proxy, if presence.waits_for_kube_proxy() => presence.kube_proxy_is_healthy(),
        }
    };
    report(&[], &first.problems);

    let (views, mut view) = watch::channel(());
    let mut planner = Planner::new(&options.node);
    let mut writing = Writing::new(&options.node, &options.control);
    let mut remembered = Remembered::read(&options.control, &options.node);
    let known = LocalFacts {
        identity: remembered.identity(),
        ..LocalFacts::default()
    };
    let guess = loop {
        let (guess, _) = planner.plan(&first.state, &known, Phase::default());
        if remembered.can_begin(&first, &guess, &gates)
            && writing.can_begin(&first, &guess, &gates).await?
        {
            break guess;
        }
        tokio::select! {
            () = stop.received() => return Ok(()),
            changed = source.changed() => {
                let changed = changed?;
                report(&first.problems, &changed.problems);
                first = changed;
            }
            () = writing::look_again() => {}
        }
    };
    let wanted = guess.router.fib.clone();
    let refusing_table = guess.router.refusing_table;
    let identity = guess.router.identity;
    drop(guess);
    let space = wanted.as_ref().map(writing::space);
    let fib = routelet_fib::spawn(FibConfig {
        space: space.unwrap_or_default(),
        installs: space.is_some(),
        aside: writing.is_aside(),
        guard: wanted.map(|fib| fib.guard).unwrap_or_default(),
        refusing_table: refusing_table.unwrap_or(routelet_fib::refusal::DEFAULT_TABLE),
        on_view: Some(Box::new(move |_| {
            // Nobody listens any more while the agent stops.
            let _ = views.send(());
        })),
    })?;
    let sink = FibSink::new(fib.clone());
    let (notices, mut rib_events) = notices::channel();
    let (events, received) = mpsc::channel(EVENTS);
    let facts = local_facts(&fib.view(), connects_pods, identity);
    let (intent, _) = planner.plan(&first.state, &facts, presence.phase());
    remembered.keep(&intent.router);
    let (rib, rib_vital) =
        rib_thread::spawn(rib_config(&intent.router), received, sink.clone(), notices)
            .context("the RIB's thread cannot be started")?;
    let (candidates, mut connecting) = mpsc::channel(peers::CANDIDATES);
    let restarting = Some(started + RESTARTING);
    let sessions = Peers::new(rib.clone(), events, candidates, restarting);
    let shared = Shared::new(
        described,
        gates.clone(),
        started,
        (sessions.table(), sessions.admissions()),
        first.clone(),
        intent.clone(),
    );
    let (orders, mut ordered) = mpsc::channel(ORDERS);
    let agent = Agent::new(shared.clone(), rib.clone(), fib.clone(), orders);
    let turns = Arc::new(Pulse::default());
    let own = Vital::thread("the loop of the agent", turns.clone(), || false);
    vitals.extend([rib_vital, fib.vital(), own.holding_sessions()]);
    let watchdog = Watchdog::start(vitals, shared.hanging.clone())
        .context("the watchdog's thread cannot be started")?;
    health.backend().set(agent);

    let mut runtime = Runtime {
        planner,
        state: first.state.clone(),
        presence,
        knew_node: first.state.nodes.contains_key(&intent.node),
        is_stopping: false,
        holds_end_of_rib: false,
        awaited: Awaited::new(started),
        connects_pods,
        intent,
        applied: None,
        sessions,
        rib,
        fib,
        sink,
        space,
        writing,
        remembered,
        shared,
    };
    runtime.presence_is_planned(Instant::now());
    runtime.sessions.listen(&runtime.intent).await?;
    runtime.view().await?;
    runtime.hold_end_of_rib().await?;
    runtime.apply().await?;
    runtime.follow_writing().await?;
    runtime.expect().await?;
    runtime.rib.send(Command::OpenGate).await?;
    let mut problems = first.problems.clone();
    // The first generation of the state must not stay beside those that follow.
    drop(first);
    memory::give_back();
    memory::forget_start();
    let mut tick = tokio::time::interval(TICK);
    while !runtime.is_over(Instant::now()) {
        // One at least in each [`TICK`]: it never rests for longer.
        turns.step();
        let step = runtime.presence.deadline();
        let count = runtime.awaited.deadline();
        let look = runtime.sessions.deadline();
        tokio::select! {
            () = stop.received() => {
                // Who asks twice does not want to wait.
                if runtime.is_stopping || options.withdraw || !runtime.leaves_when_stopped() {
                    break;
                }
                runtime.is_stopping = true;
                // From here on the process ends, whatever is ordered or hangs meanwhile.
                vital::end_within(ending::LONGEST);
                runtime.recompute().await?;
            }
            () = &mut kube_proxy, if runtime.presence.waits_for_kube_proxy() => {
                runtime.presence.kube_proxy_is_healthy();
                runtime.recompute().await?;
                runtime.hold_end_of_rib().await?;
            }
            // Beyond that, peers do not wait for us any more.
            () = until(restarting), if runtime.holds_end_of_rib => runtime.release_end_of_rib().await?,
            () = until(step) => runtime.recompute().await?,
            () = until(count) => runtime.expect().await?,
            () = until(look) => runtime.look_at_peers().await?,
            changed = source.changed() => {
                let loaded = changed?;
                report(&problems, &loaded.problems);
                problems = loaded.problems.clone();
                runtime.state = loaded.state.clone();
                runtime.shared.set_loaded(loaded);
                runtime.recompute().await?;
            }
            Ok(()) = view.changed() => {
                runtime.view().await?;
                runtime.recompute().await?;
                runtime.tick().await?;
                // A peer may have waited for this interface.
                runtime.look_at_peers().await?;
            }
            event = rib_events.recv() => runtime.rib_event(event),
            Some(candidate) = connecting.recv() => runtime.candidate(candidate).await?,
            Some(order) = ordered.recv() => runtime.order(order).await?,
            _ = tick.tick() => runtime.tick().await?,
        }
    }
    // From here on threads are to end.
    drop(watchdog);
    vital::end_within(STOPPING);
    runtime.end(options.withdraw).await;
    Ok(())
}

/// The state of the loop.
struct Runtime {
    planner: Planner,
    state: Arc<ClusterState>,
    presence: Presence,
    /// Whether there has been a Node object of this node.
    knew_node: bool,
    /// Whether the agent was told to stop, and the node leaves before.
    is_stopping: bool,
    /// Whether End-of-RIB is kept back since Services are still to come.
    holds_end_of_rib: bool,
    /// Which peers the RIB waits for although they are not configured.
    awaited: Awaited,
    /// Whether pods of this node are connected by what the agent configures.
    connects_pods: bool,
    intent: Arc<Intent>,
    /// The intent that everybody has been told; `None` at first.
    applied: Option<Arc<Intent>>,
    sessions: Peers,
    rib: RibHandle,
    fib: FibHandle,
    sink: FibSink,
    /// Where learned routes are; `None`: nowhere.
    space: Option<RouteSpace>,
    writing: Writing,
    remembered: Remembered,
    shared: Arc<Shared>,
}

impl Runtime {
    /// Whether the agent was told to stop, and the node has left, or is to stay after all.
    fn is_over(&self, now: Instant) -> bool {
        self.is_stopping && self.presence.has_left_or_stays(now)
    }

    /// Brings the intent up to date and acts on what is new in it, at the end of a step of leaving as well.
    async fn recompute(&mut self) -> anyhow::Result<()> {
        self.presence.advance(Instant::now());
        let phase = self.presence.phase();
        if self.is_stopping && phase.leaving == Leaving::Gone {
            // Without peers nothing is learned, and what has been learned is to stay in the kernel.
            return Ok(());
        }
        self.follow_leaving(phase.leaving).await;
        self.follow_plan(phase).await?;
        // What comes next waits from now on, however long this took.
        self.presence.carried_out(Instant::now());
        Ok(())
    }

    async fn follow_plan(&mut self, phase: Phase) -> anyhow::Result<()> {
        let identity = self.intent.router.identity;
        let facts = local_facts(&self.fib.view(), self.connects_pods, identity);
        let (intent, change) = self.planner.plan(&self.state, &facts, phase);
        self.shared.computed();
        self.intent = intent;
        self.remembered.keep(&self.intent.router);
        self.presence_is_planned(Instant::now());
        match change {
            // Which Routers cannot be read is no part of it.
            Change::Nothing => return self.follow_writing().await,
            Change::Parts(parts) => self.apply_parts(parts).await?,
            Change::Everything => {
                self.listen().await;
                self.apply().await?;
                memory::give_back();
            }
        }
        self.follow_writing().await?;
        self.expect().await
    }

    /// What follows from the plan for the node's presence.
    fn presence_is_planned(&mut self, now: Instant) {
        self.knew_node |= self.state.nodes.contains_key(&self.intent.node);
        let is_drained = self.intent.router.drain.is_some();
        self.presence.planned(now, is_drained);
    }

    /// Says how far the node has left, where that is new, and closes its sessions at the end.
    async fn follow_leaving(&mut self, now: Leaving) {
        if now == self.intent.router.leaving {
            return;
        }
        match now {
            Leaving::No => info!("drain is over"),
            Leaving::Drained => info!("peers are asked to move traffic elsewhere"),
            Leaving::WithoutServices => info!("leaving: Services are withdrawn"),
            Leaving::WithoutPods => info!("leaving: pod CIDRs are withdrawn"),
            Leaving::Gone => {
                info!("leaving: sessions are closed");
                self.sessions.stop(shutdown(), GOOD_BYE).await;
            }
        }
    }

    /// The agent is told to stop: whether it has to leave before, which begins now.
    fn leaves_when_stopped(&mut self) -> bool {
        let router = &self.intent.router;
        let is_deleted = self.is_deleted();
        let (wait, reason) = (router.leave_wait, router.drain.as_ref());
        let leaves = self.presence.stop(Instant::now(), wait, reason, is_deleted);
        if leaves {
            let reason =
                reason.map_or_else(|| "the Node object is gone".to_owned(), ToString::to_string);
            info!(%reason, "stopping: this node leaves step by step");
        }
        leaves
    }

    /// Whether there was a Node object of this node, and there is none any more.
    fn is_deleted(&self) -> bool {
        match self.state.nodes.get(&self.intent.node) {
            // It is held on to while the agent runs.
            Some(node) => node.departed,
            None => self.knew_node,
        }
    }

    /// Listens as the intent says; where that cannot be, it is said, and tried again at every tick.
    async fn listen(&mut self) {
        let failed = self.sessions.listen(&self.intent).await.err();
        let before = self.shared.listen_error();
        let now = failed.map(|error| error.to_string());
        match (&now, before) {
            (Some(error), Some(before)) if *error == *before => {}
            (Some(error), _) => error!("{error}; the listening addresses are unchanged"),
            (None, Some(_)) => info!("listening as configured again"),
            (None, None) => {}
        }
        self.shared.set_listen_error(now);
    }

    /// Hands those parts of the intent that are other ones to their owners.
    async fn apply_parts(&mut self, parts: Parts) -> anyhow::Result<()> {
        let intent = self.intent.clone();
        if let Some(fib) = intent.router.fib.as_ref().filter(|_| parts.guard) {
            self.fib.set_guard_rails(fib.guard.clone());
        }
        if parts.peers {
            // Listen ranges are peers, too.
            self.listen().await;
            self.report_warnings();
            self.sessions.apply(&intent, self.fib.view()).await?;
        }
        if !parts.routes.is_empty() {
            // Refused before it is announced.
            if intent.router.refusing_table.is_some() {
                let refused = parts.routes.iter().map(|change| RefusalChange {
                    prefix: change.prefix,
                    refusal: change.refusal,
                });
                self.fib.change_refused(refused);
            }
            let changes = Command::ChangeOriginated(parts.routes);
            self.rib.send(changes).await?;
        }
        self.shared
            .applied(intent.clone(), self.sessions.listening());
        self.applied = Some(intent);
        Ok(())
    }

    /// Says what the intent warns of and did not before.
    fn report_warnings(&self) {
        let before = self.applied.as_ref().map(|before| &before.warnings);
        for warning in self.intent.warnings.iter() {
            if before.is_none_or(|before| before.binary_search(warning).is_err()) {
                warn!("{warning}");
            }
        }
    }

    /// Hands each part of the intent to its owner.
    async fn apply(&mut self) -> anyhow::Result<()> {
        self.report_warnings();
        let intent = self.intent.clone();
        let router = &intent.router;
        let before = self.applied.as_ref().map(|before| &before.router);
        if before.is_none_or(|before| rib_config(before) != rib_config(router)) {
            self.rib
                .send(Command::Configure(rib_config(router)))
                .await?;
        }
        self.rib
            .send(Command::NodeAddresses(router.internal_ips.clone()))
            .await?;
        let via_default = Command::ResolveViaDefault(router.resolve_via_default);
        self.rib.send(via_default).await?;
        if before.is_none_or(|before| before.fib != router.fib) {
            self.apply_fib(router.fib.as_ref()).await?;
        }
        // Refused before it is announced.
        let refused = intent.originated.iter();
        let refused = refused.filter_map(|(prefix, one)| Some((*prefix, one.refusal?)));
        match router.refusing_table {
            table @ Some(_) => self.fib.set_refused(table, refused),
            None => self.fib.set_refused(None, []),
        }
        self.sessions.apply(&intent, self.fib.view()).await?;
        let originated = intent.originated.values();
        let originated = originated.map(|one| one.route.clone()).collect();
        self.rib.send(Command::Originate(originated)).await?;
        self.shared
            .applied(intent.clone(), self.sessions.listening());
        self.applied = Some(intent);
        Ok(())
    }

    /// The kernel's surroundings have changed: next hops are resolved anew.
    async fn view(&mut self) -> anyhow::Result<()> {
        let view: Arc<KernelView> = self.fib.view();
        self.rib.send(Command::View(view)).await?;
        Ok(())
    }

    async fn candidate(&mut self, candidate: Candidate) -> anyhow::Result<()> {
        self.sessions.candidate(candidate, self.fib.view()).await?;
        Ok(())
    }

    async fn order(&mut self, order: Order) -> anyhow::Result<()> {
        match order {
            Order::Drain(order, done) => {
                info!(?order, "drain requested by the control socket");
                match order {
                    DrainOrder::Drain => self.presence.drain(),
                    DrainOrder::Leave => {
                        let wait = self.intent.router.leave_wait;
                        self.presence.leave(Instant::now(), wait);
                    }
                    DrainOrder::Undo => self.presence.stay(),
                }
                self.recompute().await?;
                // Nobody waits for it any more.
                let _ = done.send(());
                Ok(())
            }
        }
    }

    async fn tick(&mut self) -> anyhow::Result<()> {
        self.follow_writing().await?;
        if self.shared.listen_error().is_some() {
            self.listen().await;
            if self.shared.listen_error().is_none() {
                self.apply().await?;
            }
        }
        Ok(())
    }

    async fn look_at_peers(&mut self) -> anyhow::Result<()> {
        self.sessions.look(self.fib.view()).await?;
        Ok(())
    }

    /// Ends sessions and the FIB: as if nothing had happened, or cleanly away.
    async fn end(&mut self, withdraw: bool) {
        let leaves = self.presence.is_leaving();
        // A machine that is no node any more keeps nothing of ours.
        let is_deletion = self.intent.router.drain == Some(DrainReason::NodeDeletion);
        if withdraw || leaves && (is_deletion || self.is_deleted()) {
            info!("stopping: routes are withdrawn from peers and the kernel");
            self.sessions.stop(shutdown(), GOOD_BYE).await;
            self.remembered.forget();
            if self.writing.is_owner() {
                // Whatever table the Router names: none of ours stays, and none comes before that.
                self.fib.set_space(None);
                self.fib.set_aside(false);
            }
            self.end_fib(routelet_fib::Stop::Withdraw(WITHDRAW)).await;
        } else if leaves {
            info!("stopping: this node leaves, and its routes stay in the kernel");
            self.end_fib(routelet_fib::Stop::KeepRoutes).await;
            self.sessions.stop(shutdown(), GOOD_BYE).await;
        } else {
            info!(
                "stopping: routes stay in the kernel, and sessions are closed without a NOTIFICATION for graceful \
                 restart"
            );
            // The kernel first: the end of the sessions takes the routes out of the RIB.
            self.end_fib(routelet_fib::Stop::KeepRoutes).await;
            self.sessions.stop(Stop::Silent, GOOD_BYE).await;
        }
    }

    async fn end_fib(&self, how: routelet_fib::Stop) {
        let fib = self.fib.clone();
        match tokio::task::spawn_blocking(move || fib.stop(how)).await {
            Ok(true) => {}
            Ok(false) => {
                error!("the FIB thread hangs; the kernel's routes are unchanged");
            }
            Err(error) => error!(%error, "stopping the FIB failed"),
        }
    }
}

/// How sessions end when the node goes away.
fn shutdown() -> Stop {
    Stop::Cease(Cease::Shutdown("this node leaves".to_owned()))
}

/// Waits for a time; without one, for ever.
async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// The RIB's part of the settings.
fn rib_config(router: &RouterSettings) -> RibConfig {
    let mut config = RibConfig::new(router.asn, router.router_id);
    config.cluster_id = router.cluster_id;
    config.multipath = Multipath {
        max_paths: u8::try_from(router.max_paths).unwrap_or(u8::MAX),
        relax_as_path: router.relax_as_path,
    };
    config
}
