//! Keeps a node's intent up to date.
//!
//! A cluster changes all the time: Services and EndpointSlices nearly always, nodes often. A [`Planner`] finds out how far
//! what differs from the state before [reaches](super::reach), decides on that alone, and says what is new: that costs as
//! much as has changed, whatever the size of the cluster. What all hangs on (the Router, Advertisements, the node itself)
//! makes it begin anew. Either way the intent is the one that [`intend`](super::intend) finds from nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use ipnet::IpNet;
use rib::Originated;
use rib::policy::Policy;
use routelet_fib::Refusal;

use super::advertise::{self, Active, Ground, Told};
use super::announceable::Claims;
use super::contested::Contested;
use super::guarded::{self, Guarded};
use super::reach::Reach;
use super::services::{Deciding, Slices};
use super::{
    Intent, Leaving, LocalFacts, PeerIntent, Phase, RouterSettings, Warning, peers, policies,
    router,
};
use crate::cluster::{ClusterState, Map, Node};

mod differences;

use differences::{Differences, Sum};

/// See the module.
#[derive(Debug)]
pub struct Planner {
    node: String,
    last: Option<Last>,
}

/// What the last plan was made of, and what it came to.
#[derive(Debug)]
pub(super) struct Last {
    pub(super) state: ClusterState,
    pub(super) facts: LocalFacts,
    pub(super) phase: Phase,
    pub(super) slices: Slices,
    pub(super) contested: Contested,
    pub(super) claims: Claims,
    /// All warnings but those of peers.
    warnings: Vec<Warning>,
    pub(super) intent: Arc<Intent>,
}

/// What a plan changes.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Nothing.
    Nothing,
    /// Parts of it, or only the reasons for them.
    Parts(Parts),
    /// Anything.
    Everything,
}

/// The parts of an intent that are other ones. All else is what it was.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parts {
    /// The routes that this node originates otherwise.
    pub routes: Vec<RouteChange>,
    /// Whether the guard rails are other ones, since Services have other addresses.
    pub guard: bool,
    /// Whether peers, their policies or warnings about them are other ones.
    pub peers: bool,
}

/// A prefix that is originated otherwise than before; `None`: no more.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteChange {
    /// The prefix.
    pub prefix: IpNet,
    /// What is originated from now on.
    pub route: Option<Originated>,
    /// What of its traffic is refused from now on.
    pub refusal: Option<Refusal>,
}

impl Planner {
    /// The planner of a node, without a plan.
    pub fn new(node: &str) -> Self {
        Self {
            node: node.to_owned(),
            last: None,
        }
    }

    /// What the node does in this state of the cluster, and what is new in it. `phase`: how far the agent has come.
    pub fn plan(
        &mut self,
        state: &ClusterState,
        facts: &LocalFacts,
        phase: Phase,
    ) -> (Arc<Intent>, Change) {
        let (last, change) = match self.last.take() {
            None => (
                Last::new(state, &self.node, facts, phase),
                Change::Everything,
            ),
            Some(mut last) => match last.reach(state, facts, phase) {
                Some(reach) => {
                    let change = last.go_on(state, &reach);
                    (last, change)
                }
                None => last.begin_anew(state, facts, phase),
            },
        };
        let intent = Arc::clone(&last.intent);
        self.last = Some(last);
        (intent, change)
    }
}

impl Last {
    /// Begins from nothing.
    fn new(state: &ClusterState, name: &str, facts: &LocalFacts, phase: Phase) -> Self {
        let unknown = unknown(name);
        let node = state.nodes.get(name).map_or(&unknown, AsRef::as_ref);
        let mut warnings = Vec::new();

        let routers = router::candidates(state, node);
        let chosen = routers.first().copied();
        warnings.extend(router::not_used(&routers));
        let mut settings = router::settings(chosen, node, facts.identity, &mut warnings);
        settings.follow(phase);
        let active = advertise::active(state, node);
        let slices = Slices::of(state);
        let contested = Contested::of(state);
        let claims = Claims::new(state, node, facts);
        if let Some(fib) = &mut settings.fib {
            fib.guard.service_addresses = Guarded::new(state, &claims).all(state);
        }
        let mut ground = Ground::new(
            node,
            &active,
            &claims,
            (phase.leaving, settings.drain.is_some()),
            facts.connects_pods,
        );
        let mut sum = Sum::default();
        let mut told = Told::default();
        ground.pod_cidrs(state, &mut told, &mut warnings);
        ground.statics(facts, &mut told, &mut warnings);
        sum.add(told);
        let mut deciding = Deciding::new(state, (&slices, &contested), node, phase, &active);
        let mut services = Map::new();
        for (key, service) in &state.services {
            let decision = ground.corrected(deciding.decide(service));
            let mut told = Told::default();
            ground.service(key, &decision, &mut told);
            sum.add(told);
            services.insert(key.clone(), Arc::new(decision));
        }
        let (originated, suppressed) = sum.of(&ground);

        let mut intent = Intent {
            node: name.to_owned(),
            router: settings,
            peers: Arc::default(),
            originated,
            suppressed,
            services,
            advertisements: Arc::new(advertise::names(&active)),
            policies: Arc::default(),
            warnings: Arc::default(),
        };
        PeersPart::new(state, node, (facts, phase), &intent.router, &active)
            .put(&mut intent, &warnings);
        Self {
            state: state.clone(),
            facts: facts.clone(),
            phase,
            slices,
            contested,
            claims,
            warnings,
            intent: Arc::new(intent),
        }
    }

    /// Forgets everything, but for the value of an intent that comes out the same.
    fn begin_anew(self, state: &ClusterState, facts: &LocalFacts, phase: Phase) -> (Self, Change) {
        let mut next = Self::new(state, &self.intent.node, facts, phase);
        // The same value, so that nobody holds two of them.
        if self.intent == next.intent {
            next.intent = self.intent;
            return (next, Change::Nothing);
        }
        (next, Change::Everything)
    }

    /// Goes on from the last state to one whose differences reach so far.
    fn go_on(&mut self, state: &ClusterState, reach: &Reach) -> Change {
        let before = std::mem::replace(&mut self.state, state.clone());
        if reach.services.is_empty() && !reach.peers {
            return Change::Nothing;
        }
        let name = self.intent.node.clone();
        let unknown = unknown(&name);
        let node = state.nodes.get(&name).map_or(&unknown, AsRef::as_ref);
        let active: Vec<Active<'_>> = advertise::active(state, node);
        let mut ground = Ground::new(
            node,
            &active,
            &self.claims,
            (self.phase.leaving, self.intent.router.drain.is_some()),
            self.facts.connects_pods,
        );
        let mut intent = Intent::clone(&self.intent);
        let differences = self.services(&mut intent, state, reach, &mut ground);
        let guard = match &mut intent.router.fib {
            Some(fib) => {
                let addresses = &mut fib.guard.service_addresses;
                guarded::follow(addresses, &reach.services, [&before, state], &self.claims)
            }
            None => false,
        };
        let peers = reach.peers
            && PeersPart::new(
                state,
                node,
                (&self.facts, self.phase),
                &intent.router,
                &active,
            )
            .put(&mut intent, &self.warnings);
        if differences.is_none() && !guard && !peers {
            return Change::Nothing;
        }
        let routes = differences.map_or_else(Vec::new, |d| d.apply(&mut intent, &ground));
        self.intent = Arc::new(intent);
        Change::Parts(Parts {
            routes,
            guard,
            peers,
        })
    }

    /// Decides on the Services again. Returns what they told and tell; `None`: all decisions stay.
    fn services(
        &self,
        intent: &mut Intent,
        state: &ClusterState,
        reach: &Reach,
        ground: &mut Ground<'_>,
    ) -> Option<Differences> {
        let mut deciding = Deciding::new(
            state,
            (&self.slices, &self.contested),
            ground.node(),
            self.phase,
            ground.active(),
        );
        let mut differences = None;
        for key in &reach.services {
            let old = intent.services.get(key).cloned();
            let service = state.services.get(key);
            let new = service.map(|service| ground.corrected(deciding.decide(service)));
            if old.as_deref() == new.as_ref() {
                continue;
            }
            let [mut gone, mut come] = [Told::default(), Told::default()];
            if let Some(old) = &old {
                ground.service(key, old, &mut gone);
            }
            match new {
                Some(new) => {
                    ground.service(key, &new, &mut come);
                    intent.services.insert(key.clone(), Arc::new(new));
                }
                None => {
                    intent.services.remove(key);
                }
            }
            let differences = differences.get_or_insert_with(Differences::default);
            differences.take(gone, come);
        }
        differences
    }
}

/// The part of an intent that peers are.
struct PeersPart {
    policies: BTreeMap<String, Arc<Policy>>,
    peers: Vec<PeerIntent>,
    warnings: Vec<Warning>,
}

impl PeersPart {
    fn new(
        state: &ClusterState,
        node: &Node,
        (facts, phase): (&LocalFacts, Phase),
        settings: &RouterSettings,
        active: &[Active<'_>],
    ) -> Self {
        let router = router::candidates(state, node).first().copied();
        let policies = policies::policies(state);
        let mut warnings = Vec::new();
        let context = peers::Context {
            state,
            node,
            facts,
            settings,
            router: &router.map(|r| r.spec.clone()).unwrap_or_default(),
            policies: &policies,
            active,
        };
        let peers = match phase.leaving {
            Leaving::Gone => Vec::new(),
            // Sessions with another AS than the node's would be refused by its peers, or taken for those of another one.
            _ if !settings.knows_asn() => Vec::new(),
            _ => peers::peers(&context, &mut warnings),
        };
        Self {
            policies,
            peers,
            warnings,
        }
    }

    /// Makes an intent have these peers; `others`: warnings about all else. Returns whether that changes anything. What is the
    /// same is not replaced.
    fn put(self, intent: &mut Intent, others: &[Warning]) -> bool {
        let mut warnings = self.warnings;
        warnings.extend_from_slice(others);
        warnings.sort();
        warnings.dedup();
        let policies = replace(&mut intent.policies, self.policies);
        let peers = replace(&mut intent.peers, self.peers);
        let warnings = replace(&mut intent.warnings, warnings);
        policies || peers || warnings
    }
}

/// Puts another value in. Returns whether it is one.
fn replace<T: PartialEq>(value: &mut Arc<T>, by: T) -> bool {
    let other = **value != by;
    if other {
        *value = Arc::new(by);
    }
    other
}

/// A node that no object describes still has the peers and static prefixes of objects that select all nodes.
pub(super) fn unknown(name: &str) -> Node {
    Node {
        name: name.to_owned(),
        ..Node::default()
    }
}
