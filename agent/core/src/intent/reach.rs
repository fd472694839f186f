//! How far what differs between two states of a cluster reaches into a node's plan.
//!
//! | what differs | what is decided again |
//! |---|---|
//! | a Service, or slices of it | that Service |
//! | labels of a namespace | the Services in it |
//! | another node, as its peers see it | peers |
//! | pod CIDRs of another node | nothing, unless a prefix of ours lies in them, or an aggregate over them: then everything |
//! | addresses of Nodes, Peers, gateways and interfaces | nothing, unless one is of a prefix of ours, or of a refused one: then everything |
//! | a Service that contests an address with others | those as well |
//! | Peers, RoutePolicies, Secrets, the node's default gateways | peers |
//! | this node, but not what its Router, Advertisements and Services see of it | peers |
//! | interfaces that no Advertisement names: those of pods come and go | nothing |
//! | all else of Routers, Advertisements, this node and its interfaces; the agent's phase | everything |

use std::collections::BTreeSet;
use std::net::IpAddr;

use imbl::ordmap::DiffItem;
use ipnet::IpNet;
use rib::AdvertisementId;

use super::announceable::{Claims, Differing};
use super::planner::Last;
use super::{
    Intent, LocalFacts, Phase, Rule, Source, Suppressed, advertise, guarded, peers, planner,
    router, services,
};
use crate::cluster::{ClusterState, Map, Node, ObjectKey};

/// What has to be decided again.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Reach {
    /// These Services; some may have gone.
    pub(super) services: BTreeSet<ObjectKey>,
    /// The peers, with their policies.
    pub(super) peers: bool,
}

impl Last {
    /// What another state makes necessary; `None`: everything, and what was known is of no use any more. Indices of slices
    /// and pod CIDRs are brought up to date on the way.
    pub(super) fn reach(
        &mut self,
        state: &ClusterState,
        facts: &LocalFacts,
        phase: Phase,
    ) -> Option<Reach> {
        let before = self.state.clone();
        // All fields by name, so that none is forgotten.
        let ClusterState {
            routers,
            peers,
            advertisements,
            policies,
            pools: _,
            nodes,
            // See `follow_services`.
            namespaces: _,
            services: _,
            endpoint_slices: _,
            secrets,
            unread_secrets,
            // They are the same as long as the agent runs.
            secrets_namespace: _,
            source: _,
        } = &before;
        let mut named = state
            .advertisements
            .values()
            .flat_map(|a| &a.spec.interfaces);
        if self.phase != phase
            || self.facts.connects_pods != facts.connects_pods
            || !self.is_same_identity(facts)
            || !is_same(routers, &state.routers)
            || !is_same(advertisements, &state.advertisements)
            || named.any(|name| self.facts.interface(name) != facts.interface(name))
        {
            return None;
        }
        let mut reach = Reach {
            services: BTreeSet::new(),
            peers: !is_same(peers, &state.peers)
                || !is_same(policies, &state.policies)
                || !is_same(secrets, &state.secrets)
                || !is_same(unread_secrets, &state.unread_secrets)
                || self.facts.gateways != facts.gateways,
        };
        let peers_are_same = is_same(peers, &state.peers);
        let mut differing = self.follow_claims(state, facts, peers_are_same);
        self.facts.clone_from(facts);
        for item in nodes.diff(&state.nodes) {
            let (name, sides) = sides(item);
            let [old, new] = sides.map(|node| node.map(AsRef::as_ref));
            if peers_are_same {
                let of_node = self.claims.follow_node(state, [old, new]);
                differing.addresses.extend(of_node.addresses);
            }
            if *name == self.intent.node {
                if !is_same_ground(state, [old?, new?], phase, facts) {
                    return None;
                }
                reach.peers = true;
                continue;
            }
            if !self.take_pod_cidrs([old, new]) {
                return None;
            }
            let [old, new] = [(&before, old), (state, new)]
                .map(|(state, node)| node.and_then(|node| peers::seen(state, node)));
            reach.peers |= old != new;
        }
        if self.owners_matter([&before, state], &differing) {
            return None;
        }
        reach.services = self.follow_services(&before, state);
        Some(reach)
    }

    /// The Services that Services, labels of namespaces and slices that differ reach.
    fn follow_services(
        &mut self,
        before: &ClusterState,
        state: &ClusterState,
    ) -> BTreeSet<ObjectKey> {
        let mut reached = BTreeSet::new();
        for item in before.services.diff(&state.services) {
            let (key, sides) = sides(item);
            let sides = sides.map(|service| service.map(AsRef::as_ref));
            reached.insert(key.clone());
            reached.extend(self.contested.follow(state, sides));
        }
        for item in before.namespaces.diff(&state.namespaces) {
            let (name, _) = sides(item);
            let first = ObjectKey::new(name.as_str(), "");
            let inside = state.services.range(first..);
            let inside = inside.take_while(|(key, _)| *key.namespace == **name);
            for (key, service) in inside {
                reached.insert(key.clone());
                reached.extend(self.contested.partners(Some(service)));
            }
        }
        for item in before.endpoint_slices.diff(&state.endpoint_slices) {
            let (_, [old, new]) = sides(item);
            reached.extend(old.map(|slice| self.slices.remove(slice)));
            reached.extend(new.map(|slice| self.slices.add(slice)));
        }
        reached
    }

    /// Whether the node is who it was. What the last plan found is what this one is handed.
    fn is_same_identity(&self, facts: &LocalFacts) -> bool {
        [self.facts.identity, self.intent.router.identity].contains(&facts.identity)
    }

    /// Follows peers, gateways and interfaces to other addresses; if other Peers are there, Nodes as well. Returns what differs.
    fn follow_claims(
        &mut self,
        state: &ClusterState,
        facts: &LocalFacts,
        peers_are_same: bool,
    ) -> Differing {
        if !peers_are_same {
            let name = &self.intent.node;
            let unknown = planner::unknown(name);
            let node = state.nodes.get(name).map_or(&unknown, AsRef::as_ref);
            let mut claims = Claims::new(state, node, facts);
            // They are followed node by node.
            claims.pods = std::mem::take(&mut self.claims.pods);
            let differing = claims.differing(&self.claims);
            self.claims = claims;
            differing
        } else if self.facts == *facts {
            Differing::default()
        } else {
            self.claims.follow_facts([&self.facts, facts])
        }
    }

    /// Whether a decision may be another one because these have other owners.
    fn owners_matter(&self, states: [&ClusterState; 2], differing: &Differing) -> bool {
        // Whether a Service's address is guarded depends on whether it is somebody's; also of one that goes at the same time.
        let is_of_services = |address: &IpAddr| {
            let mut services = states.iter().flat_map(|state| state.services.values());
            services.any(|service| guarded::has(service, *address))
        };
        if differing.addresses.iter().any(is_of_services) {
            return true;
        }
        let mut addresses = differing.addresses.iter();
        let mut networks = differing.networks.iter();
        addresses.any(|address| owner_matters(&self.intent, &self.claims, IpNet::from(*address)))
            || networks.any(|network| network_matters(&self.intent, *network))
    }

    /// Follows another node to other pod CIDRs. Returns whether nothing that was decided hangs on those that differ.
    fn take_pod_cidrs(&mut self, [old, new]: [Option<&Node>; 2]) -> bool {
        let cidrs = |node: Option<&Node>| {
            node.map_or_else(BTreeSet::new, |node| {
                node.pod_cidrs.iter().copied().collect()
            })
        };
        let [before, now]: [BTreeSet<IpNet>; 2] = [old, new].map(cidrs);
        for gone in before.difference(&now) {
            self.claims.pods.remove(*gone, old.map_or("", |n| &n.name));
        }
        for come in now.difference(&before) {
            self.claims.pods.add(*come, new.map_or("", |n| &n.name));
        }
        let mut differing = before.symmetric_difference(&now);
        differing.all(|cidr| !matters(&self.intent, *cidr))
    }
}

/// Whether nothing but peers hangs on what differs between two versions of this node.
fn is_same_ground(
    state: &ClusterState,
    versions: [&Node; 2],
    phase: Phase,
    facts: &LocalFacts,
) -> bool {
    let [old, new] = versions.map(|node| {
        let routers = router::candidates(state, node);
        let mut warnings = router::not_used(&routers);
        let settings = router::settings(
            routers.first().copied(),
            node,
            facts.identity,
            &mut warnings,
        );
        let active = advertise::active(state, node);
        let active: Vec<AdvertisementId> = active.iter().map(|a| a.id).collect();
        let rule = services::node_rule(node, phase);
        let pods = (&node.pod_cidrs, node.says_pod_cidrs());
        (settings, warnings, active, rule, pods)
    });
    old == new
}

/// Whether a decision might be another one if some other node had, or had not, this pod CIDR. Our own pod CIDRs are always among
/// what we originate, to the mesh at least, or refused.
fn matters(intent: &Intent, cidr: IpNet) -> bool {
    let routes = &intent.originated;
    let first = IpNet::new(cidr.network(), 0).unwrap_or(cidr);
    let is_inside = routes
        .range(first..)
        .take_while(|(prefix, _)| prefix.addr() <= cidr.broadcast())
        .any(|(prefix, _)| cidr.contains(prefix));
    let mut around = (0..cidr.prefix_len())
        .filter_map(|length| routes.get(&IpNet::new(cidr.network(), length).ok()?.trunc()));
    let mut rules = intent.suppressed.keys();
    is_inside
        || around.any(|route| route.is_aggregate())
        || rules.any(|suppressed| is_about_pods(suppressed, cidr))
}

/// Whether something is refused, and this pod CIDR is, or might become, the reason.
fn is_about_pods(suppressed: &Suppressed, cidr: IpNet) -> bool {
    suppressed.rule.is_refusal()
        && suppressed
            .prefix
            .is_some_and(|prefix| prefix.contains(&cidr) || cidr.contains(&prefix))
}

/// Whether a decision might be another one if this address had another owner.
fn owner_matters(intent: &Intent, claims: &Claims, host: IpNet) -> bool {
    let routes = &intent.originated;
    let mut around = (0..host.prefix_len())
        .filter_map(|length| routes.get(&IpNet::new(host.addr(), length).ok()?.trunc()));
    let mut suppressed = intent.suppressed.keys();
    routes.contains_key(&host)
        || around
            .any(|route| route.is_aggregate() || claims.around(route.route.prefix).next().is_some())
        || suppressed.any(|one| {
            one.rule.is_refusal() && one.prefix.is_some_and(|prefix| prefix.contains(&host))
        })
}

/// Whether a decision might be another one if this node were, or were not, connected to a network.
fn network_matters(intent: &Intent, network: IpNet) -> bool {
    let is_part =
        |prefix: IpNet| prefix.prefix_len() > network.prefix_len() && network.contains(&prefix);
    let first = IpNet::new(network.network(), 0).unwrap_or(network);
    let inside = intent.originated.range(first..);
    let mut inside = inside.take_while(|(prefix, _)| prefix.addr() <= network.broadcast());
    let mut suppressed = intent.suppressed.keys();
    inside.any(|(prefix, route)| {
        let mut sources = route.justifications.iter().map(|why| &why.source);
        is_part(*prefix)
            && sources.any(|source| matches!(source, Source::Prefix | Source::PodCidr { .. }))
    }) || suppressed.any(|one| {
        matches!(one.rule, Rule::CoversAddress { .. }) && one.prefix.is_some_and(is_part)
    })
}

/// Objects of which there are few: the same map, or an equal one.
fn is_same<K: Ord + Clone, V: Clone + PartialEq>(one: &Map<K, V>, other: &Map<K, V>) -> bool {
    one.ptr_eq(other) || one == other
}

/// A key, and what it had and has.
fn sides<'a, K, V>(item: DiffItem<'a, 'a, K, V>) -> (&'a K, [Option<&'a V>; 2]) {
    match item {
        DiffItem::Add(key, new) => (key, [None, Some(new)]),
        DiffItem::Remove(key, old) => (key, [Some(old), None]),
        DiffItem::Update { old, new } => (new.0, [Some(old.1), Some(new.1)]),
    }
}
