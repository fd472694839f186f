//! An agent without sockets: an intent planned from manifests, a RIB that reads UPDATEs from octets, a FIB plan whose
//! kernel carries out operations or rejects them. Answers come from `run/show` as in production.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bgp::fsm::Negotiated;
use bytes::Bytes;
use rib::{Full, PeerId, Rib, RibEvent, Transport};
use routelet_core::cluster::{Severity, Snapshot, manifests};
use routelet_core::intent::{Identity, Intent, PeerIntent, Phase, Planner};
use routelet_fib::kernel::event::{Event, Presence};
use routelet_fib::plan::Plan;
use routelet_fib::types::KernelError;
use routelet_fib::{FibChange, KernelView, RouteSpace, refusal};

use super::kernel::Kernel;
use crate::run::apply::rib_config;
use crate::run::facts::local_facts;
use crate::run::fib_sink::fib_route;
use crate::run::kernel_context::{KernelContext, NextHopTable};
use crate::run::next_hops::{Denied, Resolver};
use crate::run::writing;

/// The node of every world.
pub(crate) const NODE: &str = "node-1";

/// Objects that are wrong on purpose.
const WRONG: [&str; 2] = ["Peer tor-c", "Peer a1"];

/// See the module.
pub(crate) struct World {
    pub(crate) snapshot: Snapshot,
    pub(crate) intent: Arc<Intent>,
    pub(crate) rib: Rib,
    pub(crate) now: Instant,
    pub(crate) plan: Plan,
    pub(super) view: Arc<KernelView>,
    pub(super) kernel_context: KernelContext,
    pub(super) next_hops: NextHopTable,
    pub(super) sessions: BTreeMap<PeerId, Arc<Negotiated>>,
    kernel: Kernel,
}

/// A peer takes everything and keeps nothing.
struct Sink;

impl Transport for Sink {
    fn send(&mut self, _: PeerId, _: &Bytes) -> Result<(), Full> {
        Ok(())
    }
}

/// Reads manifests, which must be without errors but for [`WRONG`].
pub(super) fn read(text: &str) -> Snapshot {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("all.yaml"), text).unwrap();
    let snapshot = manifests::load(directory.path()).unwrap();
    let is_expected = |problem: &&routelet_core::cluster::Problem| {
        let object = problem.object.as_ref().map(ToString::to_string);
        object.is_some_and(|object| WRONG.contains(&&*object))
    };
    let errors = snapshot.problems.iter();
    let errors = errors.filter(|problem| !is_expected(problem));
    let errors = errors.filter(|problem| problem.severity == Severity::Error);
    assert_eq!(errors.map(ToString::to_string).collect::<Vec<_>>(), [""; 0]);
    snapshot
}

impl World {
    /// The agent of [`NODE`] with these manifests and this kernel, before any session. Its start gate is open.
    pub(crate) fn new(
        manifests: &str,
        kernel: impl IntoIterator<Item = Event>,
        phase: Phase,
    ) -> Self {
        let mut world = Self::closed(manifests, kernel, phase);
        world.rib.open_gate(world.now);
        world
    }

    /// The same with its start gate closed.
    pub(crate) fn closed(
        manifests: &str,
        kernel: impl IntoIterator<Item = Event>,
        phase: Phase,
    ) -> Self {
        Self::after(Kernel::default(), manifests, kernel, phase)
    }

    /// The same with stale routes in the kernel.
    pub(super) fn after(
        kernel: Kernel,
        manifests: &str,
        events: impl IntoIterator<Item = Event>,
        phase: Phase,
    ) -> Self {
        Self::of(kernel, read(manifests), events, phase)
    }

    /// The same of a state that was read already.
    pub(super) fn of(
        mut kernel: Kernel,
        snapshot: Snapshot,
        events: impl IntoIterator<Item = Event>,
        phase: Phase,
    ) -> Self {
        let mut view = KernelView::new(RouteSpace::default().table, 1);
        for event in events {
            if let Event::Route(Presence::Present, route) = &event {
                kernel.foreign.push(route.clone());
            }
            view.apply(event);
        }
        let facts = local_facts(&view, false, Identity::default());
        let mut planner = Planner::new(NODE);
        let (intent, _) = planner.plan(&snapshot.state, &facts, phase);
        let mut rib = Rib::new(rib_config(&intent.router));
        let view = Arc::new(view);
        let next_hops = NextHopTable::default();
        let mut kernel_context = KernelContext::new(next_hops.clone());
        kernel_context.set_view(view.clone(), &mut rib);
        kernel_context.set_internal_ips(intent.router.internal_ips.clone(), &mut rib);
        rib.next_hops_changed(Arc::new(resolver(&view, &intent)));
        let fib = intent.router.fib.as_ref();
        let mut guard = fib.map(|fib| fib.guard.clone()).unwrap_or_default();
        let connected = view.connected();
        guard.foreign.append(&mut view.on_link(&connected));
        guard.connected.extend(connected);
        let space = fib.map(writing::space);
        let table = intent.router.refusing_table;
        let mut plan = Plan::new(
            space.unwrap_or_default(),
            table.unwrap_or(refusal::DEFAULT_TABLE),
            guard,
        );
        plan.set_space(space);
        rib.set_fib(space.is_some());
        let links = view.links().map(|link| link.ifindex).collect();
        plan.links_listed(links, [], Instant::now());
        kernel.list_all(&mut plan);
        let mut world = Self {
            snapshot,
            rib,
            now: Instant::now(),
            plan,
            view,
            kernel_context,
            next_hops,
            sessions: BTreeMap::new(),
            kernel,
            intent: intent.clone(),
        };
        world.apply(intent);
        world
    }

    /// The objects are others now.
    pub(super) fn replan(&mut self, manifests: &str) {
        self.snapshot = read(manifests);
        let facts = local_facts(&self.view, false, self.intent.router.identity);
        let (intent, _) = Planner::new(NODE).plan(&self.snapshot.state, &facts, Phase::default());
        self.apply(intent);
        self.settle();
    }

    fn apply(&mut self, intent: Arc<Intent>) {
        self.intent = intent;
        let intent = &self.intent;
        for (id, peer) in numbered(intent) {
            self.rib.set_peer(id, peer.config.clone());
        }
        let originated = intent.originated.values();
        self.rib
            .set_originated(originated.map(|one| one.route.clone()).collect());
        let refused = intent.originated.iter();
        let refused = refused.filter_map(|(prefix, one)| Some((*prefix, one.refusal?)));
        let table = intent.router.refusing_table;
        self.plan
            .set_refused(table, refused.filter(|_| table.is_some()));
    }

    /// The kernel refuses routes to a prefix.
    pub(crate) fn refuse(&mut self, prefix: &str, errno: i32) {
        self.kernel.errors.insert(prefix.parse().unwrap(), errno);
    }

    /// The RIB's number of a peer.
    pub(crate) fn id(&self, peer: &str) -> PeerId {
        let found = numbered(&self.intent).find(|(_, one)| one.name == peer);
        found.unwrap_or_else(|| panic!("there is no peer {peer}")).0
    }

    pub(super) fn peer(&self, peer: &str) -> &PeerIntent {
        self.intent.peer(peer).unwrap()
    }

    /// Time passes.
    pub(crate) fn wait(&mut self, time: Duration) {
        self.now += time;
        self.settle();
    }

    /// The RIB and the FIB do all that there is to do.
    pub(crate) fn settle(&mut self) {
        while self.rib.poll(self.now, 1_000, &mut Sink) {}
        let mut changes = Vec::new();
        while self.rib.take_fib_changes(1_000, |prefix, route| {
            changes.push(match route {
                Some(route) => FibChange::install(prefix, fib_route(&route)),
                None => FibChange::remove(prefix),
            });
        }) > 0
        {}
        for event in self.rib.take_events() {
            let (routers, down) = match event {
                RibEvent::NextHopsLost(routers) => (routers, true),
                RibEvent::NextHopsRegained(routers) => (routers, false),
                RibEvent::Converged => {
                    self.plan.converged();
                    continue;
                }
                _ => continue,
            };
            for (gateway, ifindex) in routers {
                self.plan.set_nexthop_down(gateway, ifindex, down);
            }
        }
        for change in changes {
            self.plan.submit(change);
        }
        self.drive();
    }

    /// The kernel is brought to what the plan wants.
    fn drive(&mut self) {
        for _ in 0..1_000 {
            self.kernel.list(&mut self.plan);
            let ops = self.plan.next_batch(self.now, 100);
            for op in &ops {
                if let Err(errno) = self.kernel.apply(op) {
                    let error = KernelError::from_errno(errno);
                    self.plan.refused(self.now, op, error);
                }
            }
            self.plan.carried_out(&ops);
            if ops.is_empty() && !self.plan.is_walking() {
                return;
            }
        }
        panic!("the plan never rests");
    }
}

/// The peers with their numbers.
pub(super) fn numbered(intent: &Intent) -> impl Iterator<Item = (PeerId, &PeerIntent)> {
    (1..).map(PeerId).zip(intent.peers.iter())
}

pub(super) fn resolver(view: &Arc<KernelView>, intent: &Intent) -> Resolver {
    Resolver {
        view: view.clone(),
        via_default: intent.router.resolve_via_default,
        denied: Denied::default(),
    }
}
