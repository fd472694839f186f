//! The Advertisements that a node has, the built-in ones included, and what each asks for.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use ipnet::IpNet;
use rib::AdvertisementId;
use routelet_api::advertisement::{Attributes, Mode, Services};
use routelet_api::selector::{self, Labels};
use routelet_api::{AdvertisementSpec, IpFamily};

use crate::cluster::{ClusterState, Node};
use crate::intent::{router, stable_hash32};

/// The name of the Advertisement that counts without an object.
const BUILT_IN_DEFAULT: &str = "built-in default";

/// The name of the Advertisement of pod CIDRs to other nodes.
const BUILT_IN_MESH: &str = "built-in mesh";

/// The built-in default: LoadBalancer addresses of all Services.
static DEFAULT_SERVICES: LazyLock<Services> = LazyLock::new(Services::default);

static NO_ATTRIBUTES: Attributes = Attributes {
    communities: Vec::new(),
    local_preference: None,
    med: None,
    prepend: 0,
};

/// An Advertisement that this node has.
pub(in crate::intent) struct Active<'a> {
    pub(in crate::intent) id: AdvertisementId,
    pub(in crate::intent) name: &'a str,
    kind: Kind<'a>,
}

enum Kind<'a> {
    Object(&'a AdvertisementSpec),
    Default,
    Mesh,
}

impl Active<'_> {
    /// That of the object; `None`: it is built in.
    pub(super) fn spec(&self) -> Option<&AdvertisementSpec> {
        match self.kind {
            Kind::Object(spec) => Some(spec),
            Kind::Default | Kind::Mesh => None,
        }
    }

    pub(in crate::intent) fn services(&self) -> Option<&Services> {
        match self.kind {
            Kind::Object(spec) => spec.services.as_ref(),
            Kind::Default => Some(&DEFAULT_SERVICES),
            Kind::Mesh => None,
        }
    }

    pub(super) fn pod_cidrs(&self) -> bool {
        match self.kind {
            Kind::Object(spec) => spec.pod_cidrs.is_some(),
            Kind::Default | Kind::Mesh => true,
        }
    }

    pub(super) fn attributes(&self) -> &Attributes {
        match self.kind {
            Kind::Object(spec) => &spec.attributes,
            Kind::Default | Kind::Mesh => &NO_ATTRIBUTES,
        }
    }

    /// Whether a peer is told. `same_as_node`: it is another node of our AS.
    pub(in crate::intent) fn tells(&self, peer: &Labels, same_as_node: bool) -> bool {
        match self.kind {
            Kind::Object(spec) => selector::selects(spec.peer_selector.as_ref(), peer),
            Kind::Default => true,
            Kind::Mesh => same_as_node,
        }
    }

    /// The aggregate of a host route, and whether the host route is told as well.
    pub(super) fn aggregate(&self, host: IpNet) -> (Option<IpNet>, bool) {
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
pub(in crate::intent) fn active<'a>(state: &'a ClusterState, node: &Node) -> Vec<Active<'a>> {
    let mut list: Vec<(&str, Kind<'_>)> = state
        .advertisements
        .values()
        .filter(|a| selector::selects(a.spec.node_selector.as_ref(), &node.labels))
        .map(|a| (a.name.as_str(), Kind::Object(&a.spec)))
        .collect();
    if router::candidates(state, node)
        .first()
        .is_none_or(|router| router.spec.default_advertisement.enabled)
    {
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

/// Names by number.
pub(in crate::intent) fn names(active: &[Active<'_>]) -> BTreeMap<AdvertisementId, String> {
    active.iter().map(|a| (a.id, a.name.to_owned())).collect()
}
