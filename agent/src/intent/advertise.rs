//! What is originated, with which attributes, and to which peers.
//!
//! - Pod CIDRs are told as they are, never aggregated: an aggregate would attract the traffic of other nodes' pods.
//! - Addresses of Services are told as host routes, aggregates, or both ([`Mode`]). An address with the traffic policy
//!   `Local` is always told as a host route and never makes an aggregate.
//! - Static prefixes and interface addresses are told as they are.
//! - Nothing is told that lies inside the pod CIDR of another node, and no aggregate that overlaps a pod CIDR.
//!
//! Two Advertisements are built in: without any object, pod CIDRs and LoadBalancer addresses to every peer; and always,
//! pod CIDRs to nodes of one's own AS, since that is what those sessions are for.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::LazyLock;

use bgp::types::Community;
use ipnet::IpNet;
use rib::{AdvertisementId, Offer, Originated};

use super::policies::ByKind;
use super::services::is_routable;
use super::{
    Decision, Justification, LocalFacts, OriginatedRoute, Rule, ServiceDecision, Source,
    Suppressed, Warning, WarningKind, stable_hash32,
};
use crate::cluster::{ClusterState, Node, ObjectKey, ObjectRef, TrafficPolicy};
use crate::crd::advertisement::{Attributes, Mode, Services};
use crate::crd::selector::{self, Labels};
use crate::crd::{AdvertisementSpec, IpFamily};

/// The name of the Advertisement that counts where there is no object.
pub(super) const BUILT_IN_DEFAULT: &str = "built-in default";

/// The name of the Advertisement of pod CIDRs to other nodes.
pub(super) const BUILT_IN_MESH: &str = "built-in mesh";

/// The built-in default: LoadBalancer addresses of all Services.
static DEFAULT_SERVICES: LazyLock<Services> = LazyLock::new(Services::default);

static NO_ATTRIBUTES: Attributes = Attributes {
    communities: Vec::new(),
    local_preference: None,
    med: None,
    prepend: 0,
};

/// An Advertisement that this node has.
pub(super) struct Active<'a> {
    pub(super) id: AdvertisementId,
    pub(super) name: &'a str,
    kind: Kind<'a>,
}

enum Kind<'a> {
    Object(&'a AdvertisementSpec),
    Default,
    Mesh,
}

impl Active<'_> {
    pub(super) fn services(&self) -> Option<&Services> {
        match self.kind {
            Kind::Object(spec) => spec.services.as_ref(),
            Kind::Default => Some(&DEFAULT_SERVICES),
            Kind::Mesh => None,
        }
    }

    fn pod_cidrs(&self) -> bool {
        match self.kind {
            Kind::Object(spec) => spec.pod_cidrs.is_some(),
            Kind::Default | Kind::Mesh => true,
        }
    }

    fn attributes(&self) -> &Attributes {
        match self.kind {
            Kind::Object(spec) => &spec.attributes,
            Kind::Default | Kind::Mesh => &NO_ATTRIBUTES,
        }
    }

    /// Whether a peer is told. `same_as_node`: it is another node of our AS.
    pub(super) fn tells(&self, peer: &Labels, same_as_node: bool) -> bool {
        match self.kind {
            Kind::Object(spec) => selector::selects(spec.peer_selector.as_ref(), peer),
            Kind::Default => true,
            Kind::Mesh => same_as_node,
        }
    }

    /// The aggregate of a host route, and whether the host route is told as well.
    fn aggregate(&self, host: IpNet) -> (Option<IpNet>, bool) {
        let Kind::Object(spec) = self.kind else {
            return (None, true);
        };
        let mode = spec.mode.unwrap_or(match spec.aggregate {
            Some(_) => Mode::Aggregated,
            None => Mode::Exact,
        });
        let length = spec
            .aggregate
            .and_then(|lengths| match IpFamily::of(host.addr()) {
                IpFamily::Ipv4 => lengths.ipv4,
                IpFamily::Ipv6 => lengths.ipv6,
            });
        let aggregate = length
            .filter(|length| *length < host.prefix_len())
            .and_then(|length| IpNet::new(host.addr(), length).ok())
            .map(|net| net.trunc());
        match (mode, aggregate) {
            (Mode::Exact, _) | (_, None) => (None, true),
            (Mode::Aggregated, Some(net)) => (Some(net), false),
            (Mode::Both, Some(net)) => (Some(net), true),
        }
    }
}

/// The Advertisements that a node has, ascending by number.
pub(super) fn active<'a>(state: &'a ClusterState, node: &Node) -> Vec<Active<'a>> {
    let mut list: Vec<(&str, Kind<'_>)> = state
        .advertisements
        .values()
        .filter(|a| selector::selects(a.spec.node_selector.as_ref(), &node.labels))
        .map(|a| (a.name.as_str(), Kind::Object(&a.spec)))
        .collect();
    if state.advertisements.is_empty() {
        list.push((BUILT_IN_DEFAULT, Kind::Default));
    }
    list.push((BUILT_IN_MESH, Kind::Mesh));

    // Numbers are taken in the order of names over the whole state, so that a clash is always resolved the same way.
    let names = state.advertisements.keys().map(String::as_str);
    let mut taken = BTreeMap::new();
    for name in [BUILT_IN_DEFAULT, BUILT_IN_MESH].into_iter().chain(names) {
        let mut number = stable_hash32(name);
        while taken.values().any(|n| *n == number) {
            number = number.wrapping_add(1);
        }
        taken.insert(name, number);
    }
    let mut active: Vec<Active<'_>> = list
        .into_iter()
        .map(|(name, kind)| Active {
            id: AdvertisementId(taken.get(name).copied().unwrap_or_default()),
            name,
            kind,
        })
        .collect();
    active.sort_by_key(|a| a.id);
    active
}

/// Which node has which pod CIDR, to be asked by prefix.
struct PodCidrs<'a> {
    by_cidr: HashMap<IpNet, &'a str>,
    lengths: BTreeSet<(bool, u8)>,
}

impl<'a> PodCidrs<'a> {
    fn of_others(state: &'a ClusterState, node: &Node) -> Self {
        let mut by_cidr = HashMap::new();
        let mut lengths = BTreeSet::new();
        for other in state.nodes.values().filter(|n| n.name != node.name) {
            for cidr in &other.pod_cidrs {
                lengths.insert((cidr.addr().is_ipv6(), cidr.prefix_len()));
                by_cidr.entry(*cidr).or_insert(other.name.as_str());
            }
        }
        Self { by_cidr, lengths }
    }

    /// The pod CIDR that holds all of `prefix`.
    fn holding(&self, prefix: IpNet) -> Option<(&'a str, IpNet)> {
        self.lengths
            .iter()
            .filter(|(v6, length)| *v6 == prefix.addr().is_ipv6() && *length <= prefix.prefix_len())
            .find_map(|(_, length)| {
                let cidr = IpNet::new(prefix.addr(), *length).ok()?.trunc();
                self.by_cidr.get(&cidr).map(|node| (*node, cidr))
            })
    }

    /// A pod CIDR inside `prefix`, the least. Linear: asked for aggregates only, each once.
    fn inside(&self, prefix: IpNet) -> Option<(&'a str, IpNet)> {
        self.by_cidr
            .iter()
            .filter(|(cidr, _)| prefix.contains(*cidr))
            .map(|(cidr, node)| (*node, *cidr))
            .min_by_key(|(_, cidr)| *cidr)
    }
}

/// What comes of all decisions.
pub(super) struct Advertised {
    pub(super) originated: Vec<OriginatedRoute>,
    pub(super) suppressed: Vec<Suppressed>,
}

/// Puts the routes of a node together.
pub(super) struct Builder<'a> {
    active: &'a [Active<'a>],
    node: &'a Node,
    others: PodCidrs<'a>,
    offers: HashMap<AdvertisementId, Offer>,
    /// Justifications, in any order and perhaps twice, and whether the prefix is an aggregate.
    routes: BTreeMap<IpNet, (Vec<Justification>, bool)>,
    /// What stands against an aggregate; asked of the same few over and over.
    aggregates: HashMap<IpNet, Option<Rule>>,
    suppressed: BTreeSet<Suppressed>,
}

impl<'a> Builder<'a> {
    pub(super) fn new(
        state: &'a ClusterState,
        node: &'a Node,
        active: &'a [Active<'a>],
        drain: bool,
    ) -> Self {
        Self {
            active,
            node,
            others: PodCidrs::of_others(state, node),
            offers: active.iter().map(|a| (a.id, offer(a, drain))).collect(),
            routes: BTreeMap::new(),
            aggregates: HashMap::new(),
            suppressed: BTreeSet::new(),
        }
    }

    /// This node's pod CIDRs.
    pub(super) fn pod_cidrs(&mut self, state: &ClusterState, warnings: &mut Vec<Warning>) {
        for cidr in &self.node.pod_cidrs {
            if let Some(other) = self.others.by_cidr.get(cidr) {
                warnings.push(Warning {
                    object: ObjectRef::cluster("Node", &self.node.name),
                    kind: WarningKind::PodCidrShared {
                        cidr: *cidr,
                        node: (*other).to_owned(),
                    },
                });
            }
            for advertisement in self.active.iter().filter(|a| a.pod_cidrs()) {
                let source = Source::PodCidr {
                    node: self.node.name.clone(),
                };
                self.add(*cidr, advertisement.id, source, false);
            }
        }
        if !state.nodes.contains_key(&self.node.name) {
            warnings.push(Warning {
                object: ObjectRef::cluster("Node", &self.node.name),
                kind: WarningKind::NoNode,
            });
        }
    }

    /// Static prefixes and interface addresses of Advertisements.
    pub(super) fn statics(&mut self, facts: &LocalFacts, warnings: &mut Vec<Warning>) {
        for advertisement in self.active {
            let Kind::Object(spec) = advertisement.kind else {
                continue;
            };
            let object = ObjectRef::cluster("Advertisement", advertisement.name);
            for cidr in &spec.prefixes {
                self.checked(&object, cidr.net(), advertisement.id, Source::Prefix);
            }
            for name in &spec.interfaces {
                let mut addresses: Vec<IpAddr> = facts
                    .interface(name)
                    .map(|i| i.addresses.iter().map(IpNet::addr).collect())
                    .unwrap_or_default();
                addresses.retain(|a| is_routable(*a));
                if addresses.is_empty() {
                    warnings.push(Warning {
                        object: object.clone(),
                        kind: WarningKind::NoInterfaceAddress(name.clone()),
                    });
                }
                for address in addresses {
                    let source = Source::Interface { name: name.clone() };
                    self.checked(&object, IpNet::from(address), advertisement.id, source);
                }
            }
        }
    }

    /// Addresses of Services as decided. Decisions against are noted, but for addresses that nobody asked for.
    pub(super) fn services(&mut self, decisions: &mut BTreeMap<ObjectKey, ServiceDecision>) {
        for (key, service) in decisions {
            let object = || ObjectRef::namespaced("Service", key);
            if let Some(rule) = &service.excluded {
                self.suppressed.insert(Suppressed {
                    object: object(),
                    prefix: None,
                    rule: rule.clone(),
                });
            }
            for address in &mut service.addresses {
                let host = IpNet::from(address.address);
                if matches!(address.decision, Decision::Advertise(_))
                    && let Some(rule) = self.inside_another(host)
                {
                    address.decision = Decision::Suppress(rule);
                }
                match &address.decision {
                    Decision::Advertise(ids) => {
                        let source = Source::Service {
                            service: key.clone(),
                            address: address.kind,
                        };
                        for id in ids {
                            let exact_only = address.traffic_policy == TrafficPolicy::Local;
                            self.service(host, *id, &source, exact_only, key);
                        }
                    }
                    Decision::Suppress(Rule::NotSelected)
                        if address.kind == crate::crd::advertisement::AddressKind::Cluster => {}
                    Decision::Suppress(rule) => {
                        self.suppressed.insert(Suppressed {
                            object: object(),
                            prefix: Some(host),
                            rule: rule.clone(),
                        });
                    }
                }
            }
        }
    }

    fn service(
        &mut self,
        host: IpNet,
        id: AdvertisementId,
        source: &Source,
        exact_only: bool,
        key: &ObjectKey,
    ) {
        let Some(advertisement) = self.active.iter().find(|a| a.id == id) else {
            return;
        };
        let (aggregate, mut exact) = match exact_only {
            true => (None, true),
            false => advertisement.aggregate(host),
        };
        if let Some(aggregate) = aggregate {
            match self.against_aggregate(aggregate) {
                None => {
                    let source = Source::AggregateOf {
                        service: key.clone(),
                        ip: host.addr(),
                    };
                    self.add(aggregate, id, source, true);
                }
                Some(rule) => {
                    self.suppressed.insert(Suppressed {
                        object: ObjectRef::cluster("Advertisement", advertisement.name),
                        prefix: Some(aggregate),
                        rule,
                    });
                    exact = true;
                }
            }
        }
        if exact {
            self.add(host, id, source.clone(), false);
        }
    }

    fn against_aggregate(&mut self, aggregate: IpNet) -> Option<Rule> {
        if let Some(known) = self.aggregates.get(&aggregate) {
            return known.clone();
        }
        let own = self.node.pod_cidrs.iter();
        let own = own
            .filter(|cidr| aggregate.contains(*cidr) || cidr.contains(&aggregate))
            .map(|cidr| (self.node.name.as_str(), *cidr))
            .min_by_key(|(_, cidr)| *cidr);
        let rule = own
            .or_else(|| self.others.inside(aggregate))
            .or_else(|| self.others.holding(aggregate))
            .map(|(node, cidr)| Rule::AggregateCoversPodCidr {
                node: node.into(),
                cidr,
            });
        self.aggregates.insert(aggregate, rule.clone());
        rule
    }

    fn inside_another(&self, prefix: IpNet) -> Option<Rule> {
        // Inside our own as well, such as with nested CIDRs: ours to tell.
        if self.node.pod_cidrs.iter().any(|own| own.contains(&prefix)) {
            return None;
        }
        self.others
            .holding(prefix)
            .map(|(node, cidr)| Rule::OtherNodesPodCidr {
                node: node.into(),
                cidr,
            })
    }

    fn checked(&mut self, object: &ObjectRef, prefix: IpNet, id: AdvertisementId, source: Source) {
        match self.inside_another(prefix) {
            None => self.add(prefix, id, source, false),
            Some(rule) => {
                self.suppressed.insert(Suppressed {
                    object: object.clone(),
                    prefix: Some(prefix),
                    rule,
                });
            }
        }
    }

    fn add(&mut self, prefix: IpNet, id: AdvertisementId, source: Source, blackhole: bool) {
        let (justifications, has_blackhole) = self
            .routes
            .entry(prefix)
            .or_insert_with(|| (Vec::with_capacity(1), false));
        justifications.push(Justification {
            advertisement: id,
            source,
        });
        *has_blackhole |= blackhole;
    }

    pub(super) fn finish(self) -> Advertised {
        let offers = &self.offers;
        let originated = self.routes.into_iter();
        let originated = originated.map(|(prefix, (mut justifications, blackhole))| {
            justifications.sort_unstable();
            justifications.dedup();
            justifications.shrink_to_fit();
            // Sorted by Advertisement before anything else.
            let mut ids: Vec<AdvertisementId> =
                justifications.iter().map(|j| j.advertisement).collect();
            ids.dedup();
            let mut offers_of = Vec::with_capacity(ids.len());
            offers_of.extend(ids.iter().filter_map(|id| offers.get(id)).cloned());
            OriginatedRoute {
                route: Originated {
                    prefix,
                    offers: offers_of,
                    blackhole,
                },
                justifications: justifications.into(),
            }
        });
        Advertised {
            originated: originated.collect(),
            suppressed: self.suppressed.into_iter().collect(),
        }
    }
}

/// What an Advertisement says about each of its prefixes. A drained node asks all to look elsewhere (RFC 8326).
fn offer(advertisement: &Active<'_>, drain: bool) -> Offer {
    let attributes = advertisement.attributes();
    let mut communities = ByKind::of(&attributes.communities);
    if drain && !communities.standard.contains(&Community::GRACEFUL_SHUTDOWN) {
        communities.standard.push(Community::GRACEFUL_SHUTDOWN);
        communities.standard.sort_unstable();
    }
    Offer {
        advertisement: advertisement.id,
        communities: communities.standard,
        large_communities: communities.large,
        extended_communities: communities.extended,
        local_preference: if drain {
            Some(0)
        } else {
            attributes.local_preference
        },
        med: attributes.med,
        prepend: attributes.prepend,
    }
}

/// The addresses that learned routes must not take away: those of all Services, external IPs only where some
/// Advertisement allows them, since anyone who may edit a Service could otherwise keep a route out.
pub(super) fn guarded(state: &ClusterState) -> Vec<IpNet> {
    let allowed: Vec<IpNet> = state
        .advertisements
        .values()
        .filter_map(|a| a.spec.services.as_ref())
        .flat_map(|s| s.external_ips.iter().map(|c| c.net()))
        .collect();
    let mut nets = BTreeSet::new();
    for service in state.services.values() {
        nets.extend(service.cluster_ips.iter().map(|ip| IpNet::from(*ip)));
        let own = service.ingress.iter().filter(|i| !i.proxy);
        nets.extend(own.map(|i| IpNet::from(i.ip)));
        let external = service.external_ips.iter();
        nets.extend(
            external
                .filter(|ip| allowed.iter().any(|net| net.contains(*ip)))
                .map(|ip| IpNet::from(*ip)),
        );
    }
    nets.into_iter().collect()
}

/// Names by number.
pub(super) fn names(active: &[Active<'_>]) -> BTreeMap<AdvertisementId, String> {
    active.iter().map(|a| (a.id, a.name.to_owned())).collect()
}
