//! The start of the agent: first what may refuse, then the servers, then what is waited for, then its threads.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use bgp::session::Event;
use routelet_base::vital::{self, Heartbeat, HungThreads, Vital, Watchdog};
use routelet_control::{ControlSocket, Health};
use routelet_core::cluster::Snapshot;
use routelet_core::intent::{Intent, LocalFacts, Phase, Planner, Presence};
use routelet_core::lifecycle::{EndOfRib, NodeSeen};
use routelet_core::peering::Awaited;
use routelet_fib::{FibConfig, FibHandle};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

use super::apply::rib_config;
use super::backend::{Agent, LoopRequest};
use super::event_loop::{Inputs, KubeProxyReady};
use super::facts::local_facts;
use super::fib_sink::FibSink;
use super::gates::{self, Gates, KubeProxy};
use super::notices::Reports;
use super::options::Options;
use super::peers::{self, Peers};
use super::rib_thread::{self, Command, RibHandle};
use super::runtime::Runtime;
use super::saved_state::{LastNodes, Remembered};
use super::shared::Shared;
use super::signals::Signals;
use super::source::{self, Source, report};
use super::startup_backend::StartupBackend;
use super::writing::{self, Writing};
use super::{notices, open_files};
use crate::memory;

/// Session events that may wait for the RIB, each up to 1,024 prefixes or 64 KiB of the stream; of one session four at
/// most. When full, sockets are not read.
const EVENTS: usize = 8;

/// Orders of the control socket that may wait; when full, the command waits.
const ORDERS: usize = 16;

/// A running agent.
pub(super) struct Started {
    pub(super) runtime: Runtime,
    pub(super) inputs: Inputs,
    /// Ends the process if a part of it hangs.
    pub(super) watchdog: Watchdog,
}

/// Starts the agent. `None`: it was stopped before the start was complete.
///
/// # Errors
/// As of [`run`](super::run).
pub(super) async fn start(mut options: Options) -> anyhow::Result<Option<Started>> {
    let started = Instant::now();
    vital::end_on_panic();
    open_files::raise_limit();
    let mut stop = Signals::new()?;
    let connects_pods = options.cni.is_some();
    let mut served = Served::start(started, &mut options).await?;
    // Both at once: usually kube-proxy is healthy before the state of the cluster is complete.
    served
        .gates
        .set(gates::SOURCE, false, "nothing was read yet");
    let mut presence = Presence::new(options.kube_proxy != KubeProxy::Off);
    let kube_proxy = gates::kube_proxy(options.kube_proxy, served.gates.clone());
    let mut kube_proxy: KubeProxyReady = Box::pin(kube_proxy);
    let first = loop {
        tokio::select! {
            () = stop.received() => return Ok(None),
            first = served.source.synced(&served.gates) => break first?,
            () = &mut kube_proxy, if presence.waits_for_kube_proxy() => presence.kube_proxy_is_healthy(),
        }
    };
    report(&[], &first.problems);
    let Some(beginning) = InitialState::wait(&options, &mut served, &mut stop, first).await? else {
        return Ok(None);
    };
    let waits = (stop, kube_proxy);
    let started = begin(served, beginning, presence, waits, connects_pods).await?;
    Ok(Some(started))
}

/// What there is from the first moment on: the source of the cluster's state, and those who show and write what is
/// known.
struct Served {
    started: Instant,
    gates: Arc<Gates>,
    health: Arc<Health<StartupBackend>>,
    source: Source,
    /// The source in words.
    described: String,
    /// What the watchdog looks at.
    vitals: Vec<Vital>,
}

impl Served {
    async fn start(started: Instant, options: &mut Options) -> anyhow::Result<Self> {
        // First what may refuse, so that nothing has happened yet if it does.
        let socket = ControlSocket::bind(&options.control)?;
        let http = match options.http {
            Some(address) => Some(crate::http::bind(address).await?),
            None => None,
        };
        let gates = Arc::new(Gates::default());
        let last = LastNodes::read(&options.control, &options.node);
        let source = Source::start(&options.source, &options.node, last).await?;
        let described = source::describe(&options.source);
        let front = StartupBackend::new(
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
        let commands = routelet_control::serve(socket, health.clone());
        vital(
            "the task that serves commands",
            tokio::spawn(commands).abort_handle(),
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
        if let Some(cni) = options.cni.take() {
            let written = crate::cni::run(cni, options.node.clone(), source.watch());
            let task = tokio::spawn(written).abort_handle();
            vital("the task that writes the CNI configuration", task);
        }
        Ok(Self {
            started,
            gates,
            health,
            source,
            described,
            vitals,
        })
    }

    /// Shows the agent itself from now on. Returns what the loop shares with those who ask, and what they order.
    fn show(
        &self,
        first: &Snapshot,
        intent: &Arc<Intent>,
        sessions: &Peers,
        (rib, fib): (&RibHandle, &FibHandle),
    ) -> (Arc<Shared>, mpsc::Receiver<LoopRequest>) {
        let shared = Shared::new(
            self.described.clone(),
            self.gates.clone(),
            self.started,
            (sessions.table(), sessions.admissions()),
            first.clone(),
            intent.clone(),
        );
        let (orders, ordered) = mpsc::channel(ORDERS);
        let agent = Agent::new(shared.clone(), rib.clone(), fib.clone(), orders);
        self.health.backend().set(agent);
        (shared, ordered)
    }
}

/// The first state of the cluster with which the agent can begin.
struct InitialState {
    first: Snapshot,
    /// Its intent without the kernel's view, which is not known before the FIB is.
    guess: Arc<Intent>,
    planner: Planner,
    writing: Writing,
    remembered: Remembered,
}

impl InitialState {
    /// Waits for a state by which the node's AS is known, and until this agent may write if it has to. `None`: the
    /// agent was told to end.
    async fn wait(
        options: &Options,
        served: &mut Served,
        stop: &mut Signals,
        mut first: Snapshot,
    ) -> anyhow::Result<Option<Self>> {
        let mut planner = Planner::new(&options.node);
        let mut writing = Writing::new(&options.node, &options.control);
        let mut remembered = Remembered::read(&options.control, &options.node);
        let known = LocalFacts {
            identity: remembered.identity(),
            ..LocalFacts::default()
        };
        loop {
            let (guess, _) = planner.plan(&first.state, &known, Phase::default());
            if remembered.can_begin(&first, &guess, &served.gates)
                && writing.can_begin(&first, &guess, &served.gates).await?
            {
                return Ok(Some(Self {
                    first,
                    guess,
                    planner,
                    writing,
                    remembered,
                }));
            }
            tokio::select! {
                () = stop.received() => return Ok(None),
                changed = served.source.changed() => {
                    let changed = changed?;
                    report(&first.problems, &changed.problems);
                    first = changed;
                }
                () = writing::look_again() => {}
            }
        }
    }

    /// Starts the FIB's thread, which lists the kernel before it returns. `views` receives every change of its view.
    fn fib(&self, views: watch::Sender<()>) -> anyhow::Result<FibHandle> {
        let router = &self.guess.router;
        let space = router.fib.as_ref().map(writing::space);
        let guard = router.fib.as_ref().map(|fib| fib.guard.clone());
        let fib = routelet_fib::spawn(FibConfig {
            space: space.unwrap_or_default(),
            installs: space.is_some(),
            aside: self.writing.is_aside(),
            guard: guard.unwrap_or_default(),
            refusing_table: router
                .refusing_table
                .unwrap_or(routelet_fib::refusal::DEFAULT_TABLE),
            on_view: Some(Box::new(move |_| {
                // The receiver is gone while the agent stops.
                let _ = views.send(());
            })),
        })?;
        Ok(fib)
    }
}

/// The RIB's thread.
struct RibThread {
    rib: RibHandle,
    vital: Vital,
    /// Where sessions put what they receive.
    events: mpsc::Sender<Event>,
    /// What the RIB reports to the loop.
    reports: Reports,
}

impl RibThread {
    /// Starts it with the settings of an intent.
    fn spawn(intent: &Intent, sink: FibSink) -> anyhow::Result<Self> {
        let (notices, reports) = notices::channel();
        let (events, received) = mpsc::channel(EVENTS);
        let (rib, vital) = rib_thread::spawn(rib_config(&intent.router), received, sink, notices)
            .context("the RIB's thread cannot be started")?;
        Ok(Self {
            rib,
            vital,
            events,
            reports,
        })
    }
}

/// Starts the watchdog over these and the loop, which reports its turns to it.
fn watch(
    mut vitals: Vec<Vital>,
    hanging: HungThreads,
) -> anyhow::Result<(Arc<Heartbeat>, Watchdog)> {
    let turns = Arc::new(Heartbeat::default());
    let own = Vital::thread("the loop of the agent", turns.clone(), || false);
    vitals.push(own.holding_sessions());
    let watchdog =
        Watchdog::start(vitals, hanging).context("the watchdog's thread cannot be started")?;
    Ok((turns, watchdog))
}

/// Starts the threads, and hands the first intent to all of them.
async fn begin(
    served: Served,
    beginning: InitialState,
    presence: Presence,
    (stop, kube_proxy): (Signals, KubeProxyReady),
    connects_pods: bool,
) -> anyhow::Result<Started> {
    let (views, view) = watch::channel(());
    let fib = beginning.fib(views)?;
    let InitialState {
        first,
        guess,
        mut planner,
        writing,
        mut remembered,
    } = beginning;
    let space = guess.router.fib.as_ref().map(writing::space);
    let facts = local_facts(&fib.view(), connects_pods, guess.router.identity);
    drop(guess);
    let (intent, _) = planner.plan(&first.state, &facts, presence.phase());
    remembered.keep(&intent.router);
    let sink = FibSink::new(fib.clone());
    let RibThread {
        rib,
        vital,
        events,
        reports,
    } = RibThread::spawn(&intent, sink.clone())?;
    let (candidates, connecting) = mpsc::channel(peers::CANDIDATES);
    let end_of_rib = EndOfRib::new(served.started);
    let sessions = Peers::new((&rib, &fib), events, candidates, end_of_rib.until());
    let (shared, ordered) = served.show(&first, &intent, &sessions, (&rib, &fib));
    let mut vitals = served.vitals;
    vitals.extend([vital, fib.vital(), sessions.bfd_vital()]);
    let (turns, watchdog) = watch(vitals, shared.hanging.clone())?;
    let mut runtime = Runtime {
        planner,
        state: first.state.clone(),
        presence,
        node_seen: NodeSeen::default(),
        is_stopping: false,
        end_of_rib,
        awaited: Awaited::new(served.started),
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
    runtime.hand_out_first().await?;
    let inputs = Inputs {
        stop,
        kube_proxy,
        source: served.source,
        view,
        rib_events: reports,
        connecting,
        ordered,
        turns,
        problems: first.problems.clone(),
    };
    // The first generation of the state must not stay beside those that follow.
    drop(first);
    memory::give_back();
    memory::forget_start();
    Ok(Started {
        runtime,
        inputs,
        watchdog,
    })
}

impl Runtime {
    /// Hands the first intent to everybody, and then lets the RIB advertise.
    async fn hand_out_first(&mut self) -> anyhow::Result<()> {
        self.presence_is_planned(Instant::now());
        self.sessions.listen(&self.intent).await?;
        self.view().await?;
        self.hold_end_of_rib().await?;
        self.apply().await?;
        self.follow_writing().await?;
        self.expect().await?;
        self.rib.send(Command::OpenGate).await?;
        Ok(())
    }
}
