//! What is originated, with which attributes, and to which peers.
//!
//! - Pod CIDRs are advertised as they are, never aggregated: an aggregate would attract the traffic of other nodes' pods.
//! - Addresses of Services are advertised as host routes, aggregates, or both
//!   ([`Mode`](routelet_api::advertisement::Mode)). An address with the traffic policy `Local` is always advertised as a host
//!   route and never makes an aggregate.
//! - Static prefixes and interface addresses are advertised as they are; those of an interface that is down are not.
//! - Nothing is advertised that [`announceable`](super::announceable) refuses.
//!
//! Two Advertisements are built in: pod CIDRs and LoadBalancer addresses to every peer, unless the Router says otherwise; and
//! always, pod CIDRs to nodes of one's own AS, since that is what those sessions are for. No object takes either away: the
//! first Advertisement adds to what is advertised, it withdraws nothing.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use bgp::types::Community;
use ipnet::IpNet;
use rib::{AdvertisementId, Offer};
use routelet_api::advertisement::AddressKind;
use routelet_fib::Refusal;

use super::announceable::{Announceable, Claims, Origin, is_routable};
use super::policies::ByKind;
use super::{
    AddressDecision, Decision, Justification, Leaving, LocalFacts, OriginatedRoute, Rule,
    ServiceDecision, Source, Suppressed, Warning, WarningKind,
};
use crate::cluster::{ClusterState, Node, ObjectKey, ObjectRef, TrafficPolicy};

mod active;

pub(super) use active::{Active, active, names};

/// What a node's routes hang on besides what they are for.
pub(super) struct Ground<'a> {
    active: &'a [Active<'a>],
    node: &'a Node,
    leaving: Leaving,
    claims: &'a Claims,
    offers: HashMap<AdvertisementId, Offer>,
    /// See [`LocalFacts::connects_pods`].
    connects_pods: bool,
    /// Which aggregates may be announced; asked of the same few over and over.
    aggregates: HashMap<IpNet, Result<Announceable, Rule>>,
}

/// What is told, and not told, on behalf of one object. Sorted, each once.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) routes: BTreeSet<(Announceable, Justification)>,
    pub(super) suppressed: BTreeSet<Suppressed>,
}

impl Told {
    fn add(&mut self, prefix: Announceable, advertisement: AdvertisementId, source: Source) {
        let why = Justification {
            advertisement,
            source,
        };
        self.routes.insert((prefix, why));
    }
}

impl<'a> Ground<'a> {
    pub(super) fn new(
        node: &'a Node,
        active: &'a [Active<'a>],
        claims: &'a Claims,
        (leaving, drain): (Leaving, bool),
        connects_pods: bool,
    ) -> Self {
        Self {
            active,
            connects_pods,
            node,
            leaving,
            claims,
            offers: active.iter().map(|a| (a.id, offer(a, drain))).collect(),
            aggregates: HashMap::new(),
        }
    }

    pub(super) fn node(&self) -> &'a Node {
        self.node
    }

    pub(super) fn active(&self) -> &'a [Active<'a>] {
        self.active
    }

    /// This node's pod CIDRs.
    pub(super) fn pod_cidrs(
        &self,
        state: &ClusterState,
        told: &mut Told,
        warnings: &mut Vec<Warning>,
    ) {
        for cidr in &self.node.pod_cidrs {
            let judged = match self.judge(Origin::PodCidr, *cidr) {
                Ok(judged) => judged,
                Err(rule) => {
                    told.suppressed.insert(Suppressed {
                        object: ObjectRef::cluster("Node", &self.node.name),
                        prefix: Some(*cidr),
                        rule,
                    });
                    continue;
                }
            };
            // Who advertises none shares none.
            if let Some(other) = self.claims.pods.get(cidr) {
                warnings.push(Warning {
                    object: ObjectRef::cluster("Node", &self.node.name),
                    kind: WarningKind::PodCidrShared {
                        cidr: *cidr,
                        node: other.to_string(),
                    },
                });
            }
            for advertisement in self.active.iter().filter(|a| a.pod_cidrs()) {
                let source = Source::PodCidr {
                    node: self.node.name.clone(),
                };
                told.add(judged, advertisement.id, source);
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
    pub(super) fn statics(&self, facts: &LocalFacts, told: &mut Told, warnings: &mut Vec<Warning>) {
        for advertisement in self.active {
            let Some(spec) = advertisement.spec() else {
                continue;
            };
            let object = ObjectRef::cluster("Advertisement", advertisement.name);
            let mut add = |prefix, asked: Result<(Origin, Source), Rule>| {
                let judged = asked.and_then(|(origin, source)| {
                    let judged = self.judge(origin, prefix)?;
                    Ok((judged, source))
                });
                match judged {
                    Ok((judged, source)) => told.add(judged, advertisement.id, source),
                    Err(rule) => {
                        told.suppressed.insert(Suppressed {
                            object: object.clone(),
                            prefix: Some(prefix),
                            rule,
                        });
                    }
                }
            };
            let fixed = Origin::Static {
                default_route: spec.allow_default_route,
            };
            for cidr in &spec.prefixes {
                add(cidr.net(), Ok((fixed, Source::Prefix)));
            }
            for name in &spec.interfaces {
                let interface = facts.interface(name);
                let mut addresses: Vec<IpAddr> = interface
                    .map(|i| i.addresses.iter().map(IpNet::addr).collect())
                    .unwrap_or_default();
                addresses.retain(|a| is_routable(IpNet::from(*a)));
                if addresses.is_empty() {
                    warnings.push(Warning {
                        object: object.clone(),
                        kind: WarningKind::NoInterfaceAddress(name.clone()),
                    });
                }
                let is_down = interface.is_some_and(|interface| !interface.up);
                for address in addresses {
                    // Whom it is for may be there by another way, which is then the only one.
                    if is_down {
                        add(IpNet::from(address), Err(Rule::InterfaceDown(name.clone())));
                        continue;
                    }
                    let source = Source::Interface { name: name.clone() };
                    add(IpNet::from(address), Ok((Origin::Interface, source)));
                }
            }
        }
    }

    /// Whether a prefix of this origin may be announced at all, and by a node that has left so far.
    fn judge(&self, origin: Origin, prefix: IpNet) -> Result<Announceable, Rule> {
        let last = match origin {
            Origin::PodCidr => Leaving::WithoutServices,
            Origin::Service | Origin::Aggregate | Origin::Static { .. } | Origin::Interface => {
                Leaving::Drained
            }
        };
        if self.leaving > last {
            return Err(Rule::NodeLeaves);
        }
        self.claims.judge(self.node, origin, prefix)
    }

    /// The decision on a Service as this node can follow it: without what may not be announced at all.
    pub(super) fn corrected(&self, mut decision: ServiceDecision) -> ServiceDecision {
        for address in &mut decision.addresses {
            if matches!(address.decision, Decision::Advertise(_))
                && let Err(rule) = self.host(address.address)
            {
                address.decision = Decision::Suppress(rule);
            }
        }
        decision
    }

    /// An address of a Service.
    fn host(&self, address: IpAddr) -> Result<Announceable, Rule> {
        self.judge(Origin::Service, IpNet::from(address))
    }

    /// Addresses of a Service as decided. Decisions against are noted, but for addresses that nobody asked for.
    pub(super) fn service(&mut self, key: &ObjectKey, decision: &ServiceDecision, told: &mut Told) {
        let object = || ObjectRef::namespaced("Service", key);
        if let Some(rule) = &decision.excluded {
            told.suppressed.insert(Suppressed {
                object: object(),
                prefix: None,
                rule: rule.clone(),
            });
        }
        for address in &decision.addresses {
            let host = IpNet::from(address.address);
            match &address.decision {
                Decision::Advertise(ids) => {
                    for id in ids {
                        self.address(key, address, *id, told);
                    }
                }
                Decision::Suppress(Rule::NotSelected) if address.kind == AddressKind::Cluster => {}
                Decision::Suppress(rule) => {
                    told.suppressed.insert(Suppressed {
                        object: object(),
                        prefix: Some(host),
                        rule: rule.clone(),
                    });
                }
            }
        }
    }

    fn address(
        &mut self,
        key: &ObjectKey,
        address: &AddressDecision,
        id: AdvertisementId,
        told: &mut Told,
    ) {
        let host = IpNet::from(address.address);
        let Some(advertisement) = self.active.iter().find(|a| a.id == id) else {
            return;
        };
        let (aggregate, mut exact) = match address.traffic_policy {
            TrafficPolicy::Local => (None, true),
            TrafficPolicy::Cluster => advertisement.aggregate(host),
        };
        if let Some(aggregate) = aggregate {
            match self.aggregate(aggregate) {
                Ok(aggregate) => {
                    let source = Source::AggregateOf {
                        service: key.clone(),
                        ip: host.addr(),
                    };
                    told.add(aggregate, id, source);
                }
                Err(rule) => {
                    told.suppressed.insert(Suppressed {
                        object: ObjectRef::cluster("Advertisement", advertisement.name),
                        prefix: Some(aggregate),
                        rule,
                    });
                    exact = true;
                }
            }
        }
        if exact {
            let source = Source::Service {
                service: key.clone(),
                address: address.kind,
            };
            match self.host(address.address) {
                Ok(judged) => told.add(judged, id, source),
                // `corrected` has decided so before.
                Err(rule) => {
                    told.suppressed.insert(Suppressed {
                        object: ObjectRef::namespaced("Service", key),
                        prefix: Some(host),
                        rule,
                    });
                }
            }
        }
    }

    fn aggregate(&mut self, aggregate: IpNet) -> Result<Announceable, Rule> {
        let judged = self
            .aggregates
            .entry(aggregate)
            .or_insert_with(|| self.claims.judge(self.node, Origin::Aggregate, aggregate));
        judged.clone()
    }

    /// A route with its justifications, which are sorted, each there once; `None` if there are none.
    pub(super) fn route(
        &self,
        prefix: Announceable,
        justifications: Box<[Justification]>,
    ) -> Option<OriginatedRoute> {
        // Sorted by Advertisement before anything else.
        let mut ids: Vec<AdvertisementId> =
            justifications.iter().map(|j| j.advertisement).collect();
        ids.dedup();
        let mut offers = Vec::with_capacity(ids.len());
        for id in ids {
            let mut reasons = justifications.iter().filter(|j| j.advertisement == id);
            let of_services = reasons.all(|why| why.source.is_of_service());
            let offer = self.offers.get(&id).cloned();
            offers.extend(offer.map(|offer| Offer {
                of_services,
                ..offer
            }));
        }
        let refusal = self.refusal(&justifications);
        OriginatedRoute::new(prefix, offers, refusal, justifications)
    }

    /// What of a prefix's traffic is to be refused. Of several reasons the one counts that leaves most to other routes.
    fn refusal(&self, justifications: &[Justification]) -> Option<Refusal> {
        let mut refusal = None;
        for why in justifications {
            let by_this = match why.source {
                // On an interface, where the kernel answers; and what the node passes on, be it by its default route: to pods
                // of other nodes, to other racks.
                Source::Interface { .. } | Source::Prefix => return None,
                Source::AggregateOf { .. } => Some(Refusal::Aggregate),
                Source::Service { .. } => Some(Refusal::Service),
                // Another network plugin may reach its pods otherwise than by routes of the main table.
                Source::PodCidr { .. } if !self.connects_pods => return None,
                Source::PodCidr { .. } => Some(Refusal::FreePodAddresses),
            };
            // They are declared in the order of what they leave to others, least first.
            refusal = refusal.max(by_this);
        }
        refusal
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
        of_services: false,
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
