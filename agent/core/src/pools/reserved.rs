//! Addresses that are somebody's already: no Service gets one of them from a pool.
//!
//! They are not taken from a Service that has one. Whoever may write the status of a Node could otherwise renumber Services;
//! and a mistake that is put right leaves everything as it was. Such an address is not announced, and the pool's condition
//! names it.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use routelet_api::advertisement::{AddressKind, Services};
use routelet_api::selector::{self, Labels};
use routelet_api::{AdvertisementSpec, PeerSpec};

use super::State;
use super::request::{Created, Request};
use crate::cluster::{Atom, Node, ObjectKey};

/// Whose an address, or a network, is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Holder {
    /// An address of a Node.
    Node(Atom),
    /// The address of a Peer, or the nodes' end of its session.
    Peer(Atom),
    /// A pod CIDR of a Node.
    PodCidr(Atom),
    /// A cluster IP of a Service.
    ClusterIp(ObjectKey),
    /// An external IP of a Service, which an Advertisement allows.
    ExternalIp {
        /// The Service.
        service: ObjectKey,
        /// Its age.
        created: Created,
    },
}

impl Holder {
    /// Whether a Service may have the address all the same. Agents advertise an address for the older of two Services of
    /// different namespaces; within a namespace, for both.
    pub(super) fn admits(&self, request: &Request) -> bool {
        match self {
            Self::Node(_) | Self::Peer(_) | Self::PodCidr(_) | Self::ClusterIp(_) => false,
            Self::ExternalIp { service, created } => {
                service.namespace == request.key.namespace
                    || (request.created, &request.key) < (*created, service)
            }
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(name) => write!(f, "an address of Node {name}"),
            Self::Peer(name) => write!(f, "an address of Peer {name}"),
            Self::PodCidr(name) => write!(f, "a pod CIDR of Node {name}"),
            Self::ClusterIp(service) => write!(f, "a cluster IP of Service {service}"),
            Self::ExternalIp { service, .. } => write!(f, "an external IP of Service {service}"),
        }
    }
}

/// A network, or a single address, that is somebody's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reserved {
    /// The addresses.
    pub net: IpNet,
    /// Whose they are.
    pub holder: Holder,
}

impl fmt::Display for Reserved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { net, holder } = self;
        match net.prefix_len() == net.max_prefix_len() {
            true => write!(f, "{} is {holder}", net.addr()),
            false => write!(f, "{net} is {holder}"),
        }
    }
}

impl Reserved {
    fn address(address: IpAddr, holder: Holder) -> Self {
        Self {
            net: address.into(),
            holder,
        }
    }

    /// What a Node has.
    pub fn of_node(node: &Node) -> Vec<Self> {
        let name = Atom::from(node.name.as_str());
        let addresses = node.internal_ips.iter().chain(&node.other_ips);
        let addresses =
            addresses.map(|address| Self::address(*address, Holder::Node(name.clone())));
        let cidrs = node.pod_cidrs.iter().map(|cidr| Self {
            net: *cidr,
            holder: Holder::PodCidr(name.clone()),
        });
        addresses.chain(cidrs).collect()
    }

    /// Whether it is an address of a Node.
    pub fn is_node_address(&self) -> bool {
        matches!(self.holder, Holder::Node(_))
    }

    /// Whether it is a pod CIDR.
    pub fn is_pod_cidr(&self) -> bool {
        matches!(self.holder, Holder::PodCidr(_))
    }

    /// What a Peer has by its own words. What nodes' labels and annotations say of it is not looked at here; agents do.
    pub fn of_peer(name: &str, spec: &PeerSpec) -> impl Iterator<Item = Self> {
        let addresses = [spec.address, spec.local_address];
        let name = Atom::from(name);
        let addresses = addresses.into_iter().flatten();
        addresses.map(move |address| Self::address(address.0, Holder::Peer(name.clone())))
    }
}

/// The Services whose external IPs an Advertisement advertises, and where.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExternalIps(Services);

impl ExternalIps {
    /// What an Advertisement allows. Of one that advertises no external IPs, nothing: an external IP is whatever somebody
    /// wrote there (CVE-2020-8554), and no claim by itself.
    pub fn of_advertisement(spec: &AdvertisementSpec) -> Option<Self> {
        let services = spec.services.as_ref()?;
        let is_external = services.addresses.contains(&AddressKind::External);
        (is_external && !services.external_ips.is_empty()).then(|| Self(services.clone()))
    }

    /// Where the labels of the namespace are not known, an Advertisement may allow it: nobody else gets the address meanwhile.
    fn may_allow(&self, request: &Request, namespace: Option<&Labels>, address: IpAddr) -> bool {
        let Self(services) = self;
        let mut nets = services.external_ips.iter();
        nets.any(|cidr| cidr.net().contains(&address))
            && selector::selects(services.selector.as_ref(), &request.labels)
            && namespace.is_none_or(|labels| {
                selector::selects(services.namespace_selector.as_ref(), labels)
            })
    }
}

/// The external IPs that a Service has by leave of an Advertisement.
pub(super) fn external_ips(state: &State, request: &Request) -> Vec<Reserved> {
    if state.external_ips.is_empty() || request.external_ips.is_empty() {
        return Vec::new();
    }
    let namespace = state.namespaces.get(&*request.key.namespace);
    let namespace = namespace.map(AsRef::as_ref);
    let addresses = request.external_ips.iter().copied();
    let allowed = addresses.filter(|address| {
        let mut all = state.external_ips.iter();
        all.any(|allowed| allowed.may_allow(request, namespace, *address))
    });
    let claims = allowed.map(|address| {
        let holder = Holder::ExternalIp {
            service: request.key.clone(),
            created: request.created,
        };
        Reserved::address(address, holder)
    });
    claims.collect()
}
