//! Keeps a node's intent up to date.
//!
//! A cluster changes all the time, and nearly always a few Services and EndpointSlices do. A [`Planner`] finds those by
//! comparing the state with the one before, decides on them alone, and says which routes differ: that costs as much as has
//! changed, whatever the size of the cluster. Anything else that changed makes it begin anew. Either way the intent is the
//! one that [`intend`](super::intend) finds from nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use imbl::ordmap::DiffItem;
use ipnet::IpNet;
use rib::Originated;

use super::advertise::{self, Active, Ground, PodCidrs, Told};
use super::guarded::{self, Guarded};
use super::services::{Deciding, Slices};
use super::{
    Intent, Justification, LocalFacts, OriginatedRoute, Suppressed, peers, policies, router,
};
use crate::cluster::{ClusterState, Map, Node, ObjectKey};

/// See the module.
#[derive(Debug)]
pub struct Planner {
    node: String,
    last: Option<Last>,
}

/// What the last plan was made of, and what it came to.
#[derive(Debug)]
struct Last {
    state: ClusterState,
    facts: LocalFacts,
    drain: bool,
    slices: Slices,
    others: PodCidrs,
    intent: Arc<Intent>,
}

/// What a plan changes.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Nothing.
    Nothing,
    /// What hangs on Services: decisions on them, routes that this node originates, or reasons for them.
    Services {
        /// The routes that are other ones.
        routes: Vec<RouteChange>,
        /// Whether the guard rails are other ones, since Services have other addresses.
        guard: bool,
    },
    /// Anything.
    Everything,
}

/// A prefix that is originated otherwise than before; `None`: no more.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteChange {
    /// The prefix.
    pub prefix: IpNet,
    /// What is originated from now on.
    pub route: Option<Originated>,
}

impl Planner {
    /// The planner of a node, without a plan.
    pub fn new(node: &str) -> Self {
        Self {
            node: node.to_owned(),
            last: None,
        }
    }

    /// What the node does in this state of the cluster, and what is new in it. `drain`: traffic is to be led away, whatever
    /// the Router says.
    pub fn plan(
        &mut self,
        state: &ClusterState,
        facts: &LocalFacts,
        drain: bool,
    ) -> (Arc<Intent>, Change) {
        let (last, change) = match self.last.take() {
            Some(mut last) if last.differs_in_services_only(state, facts, drain) => {
                let change = last.take_services(state, &self.node);
                (last, change)
            }
            before => {
                let mut next = Last::new(state, &self.node, facts, drain);
                match before {
                    // The same value, so that nobody holds two of them.
                    Some(before) if before.intent == next.intent => {
                        next.intent = before.intent;
                        (next, Change::Nothing)
                    }
                    _ => (next, Change::Everything),
                }
            }
        };
        let intent = Arc::clone(&last.intent);
        self.last = Some(last);
        (intent, change)
    }
}

impl Last {
    /// Begins from nothing.
    fn new(state: &ClusterState, name: &str, facts: &LocalFacts, drain: bool) -> Self {
        let unknown = unknown(name);
        let node = state.nodes.get(name).map_or(&unknown, AsRef::as_ref);
        let mut warnings = Vec::new();

        let routers = router::candidates(state, node);
        let chosen = routers.first().copied();
        warnings.extend(router::not_used(&routers, node));
        let mut settings = router::settings(chosen, node, &mut warnings);
        settings.drain |= drain;
        if let Some(fib) = &mut settings.fib {
            fib.guard.service_addresses = Guarded::new(state).all(state);
        }

        let active = advertise::active(state, node);
        let slices = Slices::of(state);
        let others = PodCidrs::of_others(state, node);
        let mut ground = Ground::new(node, &active, &others, settings.drain);
        let mut routes: BTreeMap<IpNet, Vec<Justification>> = BTreeMap::new();
        let mut suppressed: BTreeMap<Suppressed, u32> = BTreeMap::new();
        let mut take = |told: Told| {
            for (prefix, why) in told.routes {
                let all = routes.entry(prefix);
                all.or_insert_with(|| Vec::with_capacity(1)).push(why);
            }
            for one in told.suppressed {
                *suppressed.entry(one).or_default() += 1;
            }
        };
        let mut told = Told::default();
        ground.pod_cidrs(state, &mut told, &mut warnings);
        ground.statics(facts, &mut told, &mut warnings);
        take(told);
        let mut deciding = Deciding::new(state, &slices, node, &active);
        let mut services = Map::new();
        for (key, service) in &state.services {
            let decision = ground.corrected(deciding.decide(service));
            let mut told = Told::default();
            ground.service(key, &decision, &mut told);
            take(told);
            services.insert(key.clone(), Arc::new(decision));
        }
        let originated = routes.into_iter().filter_map(|(prefix, mut all)| {
            all.sort_unstable();
            Some((prefix, Arc::new(ground.route(prefix, all.into())?)))
        });
        let originated = originated.collect();

        let policies = policies::policies(state);
        let peers = peers::peers(
            &peers::Context {
                state,
                node,
                facts,
                settings: &settings,
                router: &chosen.map(|r| r.spec.clone()).unwrap_or_default(),
                policies: &policies,
                active: &active,
            },
            &mut warnings,
        );
        warnings.sort();
        warnings.dedup();
        let intent = Intent {
            node: name.to_owned(),
            router: settings,
            peers: Arc::new(peers),
            originated,
            suppressed: suppressed.into_iter().collect(),
            services,
            advertisements: Arc::new(advertise::names(&active)),
            policies: Arc::new(policies),
            warnings: Arc::new(warnings),
        };
        Self {
            state: state.clone(),
            facts: facts.clone(),
            drain,
            slices,
            others,
            intent: Arc::new(intent),
        }
    }

    /// Whether a state differs in nothing but Services and slices. Maps are the same only if nothing was ever changed in
    /// them: sources that build a state anew each time are not worth a closer look.
    fn differs_in_services_only(
        &self,
        state: &ClusterState,
        facts: &LocalFacts,
        drain: bool,
    ) -> bool {
        let ClusterState {
            routers,
            peers,
            advertisements,
            policies,
            pools: _,
            nodes,
            namespaces,
            services: _,
            endpoint_slices: _,
            secrets,
        } = &self.state;
        routers.ptr_eq(&state.routers)
            && peers.ptr_eq(&state.peers)
            && advertisements.ptr_eq(&state.advertisements)
            && policies.ptr_eq(&state.policies)
            && nodes.ptr_eq(&state.nodes)
            && namespaces.ptr_eq(&state.namespaces)
            && secrets.ptr_eq(&state.secrets)
            && self.drain == drain
            && self.facts == *facts
    }

    /// Goes on from the last state to one that differs in Services and slices.
    fn take_services(&mut self, state: &ClusterState, name: &str) -> Change {
        let affected = self.affected(state);
        let before = std::mem::replace(&mut self.state, state.clone());
        if affected.is_empty() {
            return Change::Nothing;
        }
        let unknown = unknown(name);
        let node = state.nodes.get(name).map_or(&unknown, AsRef::as_ref);
        let active: Vec<Active<'_>> = advertise::active(state, node);
        let mut ground = Ground::new(node, &active, &self.others, self.intent.router.drain);
        let mut deciding = Deciding::new(state, &self.slices, node, &active);
        let mut intent = Intent::clone(&self.intent);
        let mut differences = Differences::default();
        let mut decided = false;
        for key in &affected {
            let old = intent.services.get(key).cloned();
            let service = state.services.get(key);
            let new = service.map(|service| ground.corrected(deciding.decide(service)));
            if old.as_deref() == new.as_ref() {
                continue;
            }
            decided = true;
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
            differences.take(gone, come);
        }
        let guard = match &mut intent.router.fib {
            Some(fib) => {
                let addresses = &mut fib.guard.service_addresses;
                guarded::follow(addresses, &affected, &before, state)
            }
            None => false,
        };
        if !decided && !guard {
            return Change::Nothing;
        }
        let routes = differences.apply(&mut intent, &ground);
        self.intent = Arc::new(intent);
        Change::Services { routes, guard }
    }

    /// The Services that the difference between the last state and this one is about.
    fn affected(&mut self, state: &ClusterState) -> BTreeSet<ObjectKey> {
        let mut affected = BTreeSet::new();
        for item in self.state.services.diff(&state.services) {
            let (DiffItem::Add(key, _)
            | DiffItem::Remove(key, _)
            | DiffItem::Update { new: (key, _), .. }) = item;
            affected.insert(key.clone());
        }
        for item in self.state.endpoint_slices.diff(&state.endpoint_slices) {
            let (old, new) = match item {
                DiffItem::Add(_, new) => (None, Some(new)),
                DiffItem::Remove(_, old) => (Some(old), None),
                DiffItem::Update { old, new } => (Some(old.1), Some(new.1)),
            };
            affected.extend(old.map(|slice| self.slices.remove(slice)));
            affected.extend(new.map(|slice| self.slices.add(slice)));
        }
        affected
    }
}

/// A node that no object describes still has the peers and static prefixes of objects that select all nodes.
fn unknown(name: &str) -> Node {
    Node {
        name: name.to_owned(),
        ..Node::default()
    }
}

/// What some Services stopped and began to justify.
#[derive(Default)]
struct Differences {
    routes: BTreeMap<IpNet, [Vec<Justification>; 2]>,
    suppressed: BTreeMap<Suppressed, i64>,
}

impl Differences {
    fn take(&mut self, gone: Told, come: Told) {
        for (prefix, why) in gone.routes.difference(&come.routes) {
            let [old, _] = self.routes.entry(*prefix).or_default();
            old.push(why.clone());
        }
        for (prefix, why) in come.routes.difference(&gone.routes) {
            let [_, new] = self.routes.entry(*prefix).or_default();
            new.push(why.clone());
        }
        for one in gone.suppressed {
            *self.suppressed.entry(one).or_default() -= 1;
        }
        for one in come.suppressed {
            *self.suppressed.entry(one).or_default() += 1;
        }
    }

    /// Brings an intent up to date. Returns the routes that are other ones.
    fn apply(self, intent: &mut Intent, ground: &Ground<'_>) -> Vec<RouteChange> {
        for (one, by) in self.suppressed {
            let before = intent.suppressed.get(&one).copied().unwrap_or_default();
            match u32::try_from(i64::from(before) + by) {
                Ok(now) if now > 0 => intent.suppressed.insert(one, now),
                _ => intent.suppressed.remove(&one),
            };
        }
        let mut changes = Vec::new();
        for (prefix, [gone, come]) in self.routes {
            let before = intent.originated.get(&prefix).cloned();
            let known = before.as_ref().map_or(&[][..], |b| &b.justifications);
            let mut all: Vec<Justification> = known
                .iter()
                .filter(|why| !gone.contains(why))
                .cloned()
                .collect();
            all.extend(come);
            all.sort_unstable();
            all.dedup();
            let after: Option<OriginatedRoute> = ground.route(prefix, all.into());
            if before.as_ref().map(|b| &b.route) != after.as_ref().map(|a| &a.route) {
                changes.push(RouteChange {
                    prefix,
                    route: after.as_ref().map(|after| after.route.clone()),
                });
            }
            match after {
                Some(after) => intent.originated.insert(prefix, Arc::new(after)),
                None => intent.originated.remove(&prefix),
            };
        }
        changes
    }
}
