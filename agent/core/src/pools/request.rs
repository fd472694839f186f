//! What one Service says that decides about its addresses.

use std::cmp::Ordering;
use std::fmt;
use std::net::IpAddr;

use routelet_api::IpFamily;
use routelet_api::advertisement::LOAD_BALANCER_CLASS;
use smallvec::SmallVec;

use super::annotations::Asked;
use super::condition::Condition;
use crate::cluster::{Atom, AtomMap, LoadBalancerIngress, ObjectKey, ServiceType, TrafficPolicy};

/// A Service, reduced to what the allocation looks at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Namespace and name.
    pub key: ObjectKey,
    /// `metadata.creationTimestamp`.
    pub created: Created,
    /// `metadata.deletionTimestamp` is there, or the spec cannot be read: it keeps what it has and gets nothing new.
    pub deleting: bool,
    /// `metadata.labels`.
    pub labels: AtomMap,
    /// What its annotations and `spec.loadBalancerIP` ask for.
    pub asked: Asked,
    /// `spec.type`.
    pub service_type: ServiceType,
    /// `spec.loadBalancerClass`.
    pub load_balancer_class: Option<Atom>,
    /// `spec.clusterIPs` (and `clusterIP`) without `None`: nobody else may have them.
    pub cluster_ips: Box<[IpAddr]>,
    /// `spec.externalIPs`.
    pub external_ips: Box<[IpAddr]>,
    /// `spec.ipFamilies`, in their order.
    pub ip_families: Box<[IpFamily]>,
    /// `spec.ipFamilyPolicy`, default `SingleStack`.
    pub ip_family_policy: IpFamilyPolicy,
    /// `spec.ports`.
    pub ports: Box<[Port]>,
    /// `spec.externalTrafficPolicy`, default `Cluster`.
    pub external_traffic_policy: TrafficPolicy,
    /// `spec.selector`: Services with the same one have the same endpoints.
    pub selector: AtomMap,
    /// `status.loadBalancer.ingress` with an address. Entries with `ipMode: Proxy` are another's, and not touched.
    pub ingress: Box<[LoadBalancerIngress]>,
    /// Its entries with nothing but a host name, which are another's as well.
    pub host_names: Box<[Atom]>,
    /// What the controller has said of its addresses.
    pub condition: Option<Box<Condition>>,
}

/// When an object was created, in seconds since 1970. Ordered by age: the oldest first, and last those that do not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Created(pub Option<i64>);

impl Ord for Created {
    fn cmp(&self, other: &Self) -> Ordering {
        let known = |created: &Self| (created.0.is_none(), created.0);
        known(self).cmp(&known(other))
    }
}

impl PartialOrd for Created {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// `spec.ipFamilyPolicy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IpFamilyPolicy {
    /// One family.
    #[default]
    SingleStack,
    /// Both families where both can be had.
    PreferDualStack,
    /// Both families or nothing.
    RequireDualStack,
}

/// A port of a Service, with its protocol.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Port {
    /// `protocol`: TCP, UDP or SCTP.
    pub protocol: Atom,
    /// `port`.
    pub port: u16,
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.port, self.protocol)
    }
}

/// Why a Service gets no addresses from us at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotOurs {
    /// It is of another type.
    Type(ServiceType),
    /// Its `loadBalancerClass` is another's.
    Class(Atom),
    /// It has no `loadBalancerClass`, and every AddressPool requires one.
    NoClass,
    /// The labels of its namespace are not known, or not yet: which pools are for it cannot be said. It gets nothing, and loses
    /// nothing.
    UnknownNamespace,
    /// It has no `loadBalancerClass` and nothing else of ours, and there is no AddressPool.
    NoPools,
}

/// What becomes of Services without a `loadBalancerClass`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Classless {
    /// They are ours.
    Ours,
    /// They are others': there are pools, and none is known to have addresses for them.
    Others,
    /// There are no pools: others' are those that have nothing to do with us.
    Unserved,
}

impl fmt::Display for NotOurs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Type(kind) => write!(f, "is of type {kind}, not LoadBalancer"),
            Self::NoClass => write!(
                f,
                "has no loadBalancerClass, and every AddressPool requires {LOAD_BALANCER_CLASS} (requireClass)"
            ),
            Self::UnknownNamespace => f.write_str("the labels of its namespace are not known"),
            Self::NoPools => write!(f, "has no loadBalancerClass, and there is no AddressPool"),
            Self::Class(class) => write!(
                f,
                "loadBalancerClass {class} belongs to another load balancer; Routelet's is {LOAD_BALANCER_CLASS}, \
                 or none"
            ),
        }
    }
}

/// The families of a Service, in its order, and how many of them it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Families {
    pub(super) wanted: SmallVec<[IpFamily; 2]>,
    pub(super) needed: Needed,
}

/// How many of its families a Service needs to have an address of any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needed {
    /// An address of each.
    All,
    /// An address of one; the other is welcome.
    Any,
    /// An address of one, and no more.
    One,
}

impl Request {
    /// Whose Service it is: ours, if it is of type LoadBalancer and of no class or ours. Where a class is required, one
    /// without is not; nor, where there are no pools, one without that has no condition and asks for nothing of ours.
    pub(super) fn ownership(&self, classless: Classless) -> Result<(), NotOurs> {
        if self.service_type != ServiceType::LoadBalancer {
            return Err(NotOurs::Type(self.service_type));
        }
        match &self.load_balancer_class {
            Some(class) if **class != *LOAD_BALANCER_CLASS => Err(NotOurs::Class(class.clone())),
            Some(_) => Ok(()),
            None => match classless {
                Classless::Ours => Ok(()),
                Classless::Others => Err(NotOurs::NoClass),
                Classless::Unserved if self.condition.is_some() || self.asked.is_of_us() => Ok(()),
                Classless::Unserved => Err(NotOurs::NoPools),
            },
        }
    }

    /// Of two Services that claim one address, the lesser has it: the older, of one age the first by namespace and name.
    pub(super) fn age(&self) -> (Created, &ObjectKey) {
        (self.created, &self.key)
    }

    /// Its families. The API server fills in `ipFamilies` of every Service with cluster IPs, and with one only where the
    /// cluster has no more; a dual-stack policy on one family adds the other only if it requires it.
    pub(super) fn families(&self) -> Families {
        let mut wanted = SmallVec::new();
        for family in &self.ip_families {
            if !wanted.contains(family) {
                wanted.push(*family);
            }
        }
        let listed = wanted.len();
        let needed = match self.ip_family_policy {
            IpFamilyPolicy::SingleStack if listed == 0 => Needed::One,
            IpFamilyPolicy::SingleStack => Needed::All,
            IpFamilyPolicy::PreferDualStack => Needed::Any,
            IpFamilyPolicy::RequireDualStack => Needed::All,
        };
        if self.ip_family_policy == IpFamilyPolicy::SingleStack {
            wanted.truncate(listed.min(1));
        }
        if listed == 0 || self.ip_family_policy == IpFamilyPolicy::RequireDualStack {
            let missing = IpFamily::ALL.into_iter().filter(|f| !wanted.contains(f));
            let missing: SmallVec<[IpFamily; 2]> = missing.collect();
            wanted.extend(missing);
        }
        Families { wanted, needed }
    }

    /// The addresses in its status that a load balancer of our kind may have put there, each once.
    pub fn held(&self) -> SmallVec<[IpAddr; 2]> {
        let mut held = SmallVec::new();
        for ingress in self.ingress.iter().filter(|i| !i.proxy) {
            if !held.contains(&ingress.ip) {
                held.push(ingress.ip);
            }
        }
        held
    }
}
