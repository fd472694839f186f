//! How far what differs between two states of a cluster reaches into a node's plan.
//!
//! | what differs | what is decided again |
//! |---|---|
//! | a Service, or slices of it | that Service |
//! | labels of a namespace | the Services in it |
//! | another node, as its peers see it | peers |
//! | pod CIDRs of another node | nothing, unless a prefix of ours lies in them, or an aggregate over them: then everything |
//! | Peers, RoutePolicies, Secrets, the node's default gateways | peers |
//! | this node, but not what its Router, Advertisements and Services see of it | peers |
//! | interfaces that no Advertisement names: those of pods come and go | nothing |
//! | all else of Routers, Advertisements, this node and its interfaces; whether it is drained | everything |

use std::collections::BTreeSet;

use imbl::ordmap::DiffItem;
use ipnet::IpNet;
use rib::AdvertisementId;

use super::planner::Last;
use super::{Intent, LocalFacts, Rule, Suppressed, advertise, peers, router, services};
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
        drain: bool,
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
            namespaces,
            services,
            endpoint_slices,
            secrets,
        } = &before;
        let mut named = state
            .advertisements
            .values()
            .flat_map(|a| &a.spec.interfaces);
        if self.drain != drain
            || self.facts.connects_pods != facts.connects_pods
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
                || self.facts.gateways != facts.gateways,
        };
        self.facts.clone_from(facts);
        for item in nodes.diff(&state.nodes) {
            let (name, sides) = sides(item);
            let [old, new] = sides.map(|node| node.map(AsRef::as_ref));
            if *name == self.intent.node {
                if !is_same_ground(state, [old?, new?]) {
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
        for item in namespaces.diff(&state.namespaces) {
            let (name, _) = sides(item);
            let first = ObjectKey::new(name.as_str(), "");
            let inside = state.services.range(first..);
            let inside = inside.take_while(|(key, _)| *key.namespace == **name);
            reach.services.extend(inside.map(|(key, _)| key.clone()));
        }
        for item in services.diff(&state.services) {
            reach.services.insert(sides(item).0.clone());
        }
        for item in endpoint_slices.diff(&state.endpoint_slices) {
            let (_, [old, new]) = sides(item);
            reach
                .services
                .extend(old.map(|slice| self.slices.remove(slice)));
            reach
                .services
                .extend(new.map(|slice| self.slices.add(slice)));
        }
        Some(reach)
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
            self.others.remove(*gone, old.map_or("", |n| &n.name));
        }
        for come in now.difference(&before) {
            self.others.add(*come, new.map_or("", |n| &n.name));
        }
        let mut differing = before.symmetric_difference(&now);
        differing.all(|cidr| !matters(&self.intent, *cidr))
    }
}

/// Whether nothing but peers hangs on what differs between two versions of this node.
fn is_same_ground(state: &ClusterState, versions: [&Node; 2]) -> bool {
    let [old, new] = versions.map(|node| {
        let routers = router::candidates(state, node);
        let mut warnings = router::not_used(&routers, node);
        let settings = router::settings(routers.first().copied(), node, &mut warnings);
        let active = advertise::active(state, node);
        let active: Vec<AdvertisementId> = active.iter().map(|a| a.id).collect();
        let rule = services::node_rule(node);
        (settings, warnings, active, rule, &node.pod_cidrs)
    });
    old == new
}

/// Whether a decision might be another one if some other node had, or had not, this pod CIDR. Our own pod CIDRs are always among
/// what we originate, to the mesh at least.
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

/// Whether something is not told because of pod CIDRs, and this is, or might become, the one that is named.
fn is_about_pods(suppressed: &Suppressed, cidr: IpNet) -> bool {
    let is_by_pods = matches!(
        suppressed.rule,
        Rule::OtherNodesPodCidr { .. } | Rule::AggregateCoversPodCidr { .. }
    );
    is_by_pods
        && suppressed
            .prefix
            .is_some_and(|prefix| prefix.contains(&cidr) || cidr.contains(&prefix))
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
