//! What [`super::intend`] says of prefixes: those that are originated and why, those that are not and by which rule, and the
//! decision on every Service.

use std::fmt;
use std::marker::PhantomData;
use std::net::IpAddr;

use ipnet::IpNet;
use rib::{AdvertisementId, Originated};
use routelet_api::advertisement::AddressKind;
use routelet_fib::Refusal;
use smallvec::SmallVec;

use super::{Announceable, Rule};
use crate::cluster::{ObjectKey, ObjectRef, ServiceType, TrafficPolicy};

/// A prefix that this node originates. Only of what may be announced at all: see [`Announceable`].
#[derive(Clone, Debug, PartialEq)]
pub struct OriginatedRoute {
    /// For the RIB.
    pub route: Originated,
    /// Why, sorted. Never empty.
    pub justifications: Box<[Justification]>,
    /// What of the traffic to it the kernel is to refuse; `None`: the node's own routes answer.
    pub refusal: Option<Refusal>,
    /// So that there is no other way than by an [`Announceable`].
    judged: PhantomData<Announceable>,
}

impl OriginatedRoute {
    /// A route with its justifications; `None` without any.
    pub(super) fn new(
        prefix: Announceable,
        offers: Vec<rib::Offer>,
        refusal: Option<Refusal>,
        justifications: Box<[Justification]>,
    ) -> Option<Self> {
        let route = Originated {
            prefix: prefix.prefix(),
            offers,
        };
        (!justifications.is_empty()).then_some(Self {
            route,
            justifications,
            refusal,
            judged: PhantomData,
        })
    }

    /// Whether it stands for more addresses than those that justify it.
    pub fn is_aggregate(&self) -> bool {
        let is = |why: &Justification| matches!(why.source, Source::AggregateOf { .. });
        self.justifications.iter().any(is)
    }
}

/// One reason to originate a prefix.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Justification {
    /// The Advertisement that asks for it.
    pub advertisement: AdvertisementId,
    /// The object behind it.
    pub source: Source,
}

impl Source {
    /// Whether it is a Service, as every node of the cluster knows it.
    pub(super) fn is_of_service(&self) -> bool {
        match self {
            Self::Service { .. } | Self::AggregateOf { .. } => true,
            Self::PodCidr { .. } | Self::Prefix | Self::Interface { .. } => false,
        }
    }
}

/// The object behind an originated prefix.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// A pod CIDR of this node.
    PodCidr {
        /// The node.
        node: String,
    },
    /// An address of a Service.
    Service {
        /// The Service.
        service: ObjectKey,
        /// Where the address stands in it.
        address: AddressKind,
    },
    /// A part of an aggregate.
    AggregateOf {
        /// The Service.
        service: ObjectKey,
        /// The address.
        ip: IpAddr,
    },
    /// A static prefix of the Advertisement.
    Prefix,
    /// An address of an interface.
    Interface {
        /// The interface.
        name: String,
    },
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PodCidr { node } => write!(f, "Node {node} (pod CIDR)"),
            Self::Service { service, address } => write!(f, "Service {service} ({address})"),
            Self::AggregateOf { service, ip } => write!(f, "Service {service} ({ip})"),
            Self::Prefix => f.write_str("static prefix"),
            Self::Interface { name } => write!(f, "interface {name}"),
        }
    }
}

/// Something that is not originated, and the rule that decided so.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Suppressed {
    /// The object that would have justified it.
    pub object: ObjectRef,
    /// What would have been originated; `None` if it never came to an address.
    pub prefix: Option<IpNet>,
    /// The rule.
    pub rule: Rule,
}

/// The decision on a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceDecision {
    /// `spec.type`.
    pub service_type: ServiceType,
    /// What keeps all its addresses from being considered.
    pub excluded: Option<Rule>,
    /// The decision on each of its addresses, in the order LoadBalancer, External, Cluster.
    pub addresses: Box<[AddressDecision]>,
}

/// The decision on one address of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressDecision {
    /// The address.
    pub address: IpAddr,
    /// Where it stands.
    pub kind: AddressKind,
    /// The traffic policy that applies.
    pub traffic_policy: TrafficPolicy,
    /// The endpoints of its family that were counted.
    pub endpoints: EndpointCounts,
    /// What was decided.
    pub decision: Decision,
}

/// Advertisements by number; few of them need no memory of their own.
pub type AdvertisementIds = SmallVec<[AdvertisementId; 2]>;

/// What was decided on an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// This node advertises it for these Advertisements, ascending, never none.
    Advertise(AdvertisementIds),
    /// It does not.
    Suppress(Rule),
}

/// Endpoints of one family over all EndpointSlices of a Service together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndpointCounts {
    /// The slices.
    pub slices: u32,
    /// Ready, anywhere.
    pub ready: u32,
    /// Ready, on this node.
    pub ready_here: u32,
    /// Not ready, but serving and terminating, anywhere.
    pub terminating: u32,
    /// Not ready, but serving and terminating, on this node.
    pub terminating_here: u32,
    /// Neither, anywhere.
    pub not_ready: u32,
}
