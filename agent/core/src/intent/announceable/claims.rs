//! Who has which address, as far as this node knows: Nodes, peers, default gateways, its own interfaces, pods of others.
//!
//! Kept up to date by difference: each change names the prefixes whose owners differ, see [`super::super::reach`].

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use routelet_api::selector;
use smallvec::SmallVec;

use super::is_routable;
use crate::cluster::{Atom, ClusterState, Node};
use crate::intent::LocalFacts;
use crate::intent::router::address_from;

/// The loopback interface. What is bound to it is bound there to be announced, or to be served.
const LOOPBACK: &str = "lo";

/// Whose an address is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// A Node: one of its `status.addresses`, or its end of a session (`localAddressFrom` of a Peer).
    Node(Atom),
    /// A Peer, by the name of its object.
    Peer(Atom),
    /// The `localAddress` of a Peer: the nodes' end of its session.
    LocalEnd(Atom),
    /// The default gateway on an interface of this node.
    Gateway(Atom),
    /// An interface of this node, with a network around the address.
    Interface(Atom),
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(name) => write!(f, "an address of Node {name}"),
            Self::Peer(name) => write!(f, "the address of Peer {name}"),
            Self::LocalEnd(name) => write!(f, "the localAddress of Peer {name}"),
            Self::Gateway(interface) => {
                write!(f, "the address of the default gateway on {interface}")
            }
            Self::Interface(name) => write!(f, "an address of interface {name} of this node"),
        }
    }
}

/// Addresses with their owners. One owner may have an address for several reasons, and one address several owners.
type Owners = BTreeMap<IpAddr, SmallVec<[(Owner, u32); 1]>>;

/// See the module.
#[derive(Debug, Default, PartialEq)]
pub(in crate::intent) struct Claims {
    /// Pod CIDRs of other nodes.
    pub(in crate::intent) pods: PodCidrs,
    addresses: Owners,
    /// The networks that this node is connected to, each with its own address in it.
    networks: BTreeSet<IpNet>,
}

impl Claims {
    pub(in crate::intent) fn new(state: &ClusterState, node: &Node, facts: &LocalFacts) -> Self {
        let mut claims = Self {
            pods: PodCidrs::of_others(state, node),
            ..Self::default()
        };
        for (address, owner) in of_peers(state).into_iter().chain(of_facts(facts)) {
            claims.add(address, owner);
        }
        for node in state.nodes.values() {
            for (address, owner) in of_node(state, node) {
                claims.add(address, owner);
            }
        }
        claims.networks = networks(facts);
        claims
    }

    fn add(&mut self, address: IpAddr, owner: Owner) {
        let owners = self.addresses.entry(address).or_default();
        match owners.binary_search_by(|(known, _)| known.cmp(&owner)) {
            Ok(at) => owners[at].1 += 1,
            Err(at) => owners.insert(at, (owner, 1)),
        }
    }

    fn remove(&mut self, address: IpAddr, owner: &Owner) {
        let Some(owners) = self.addresses.get_mut(&address) else {
            return;
        };
        if let Some((_, count)) = owners.iter_mut().find(|(known, _)| known == owner) {
            *count -= 1;
        }
        owners.retain(|(_, count)| *count > 0);
        if owners.is_empty() {
            self.addresses.remove(&address);
        }
    }

    /// The owners of an address, ascending.
    pub(super) fn owners(&self, address: IpAddr) -> impl Iterator<Item = &Owner> + Clone {
        let owners = self.addresses.get(&address);
        owners.into_iter().flatten().map(|(owner, _)| owner)
    }

    /// Whether an address is somebody's.
    pub(in crate::intent) fn is_owned(&self, address: IpAddr) -> bool {
        self.addresses.contains_key(&address)
    }

    /// The owned addresses inside a prefix, ascending, with their owners.
    pub(super) fn inside(&self, prefix: IpNet) -> impl Iterator<Item = (IpAddr, &Owner)> {
        let range = self.addresses.range(prefix.network()..=prefix.broadcast());
        range.flat_map(|(address, owners)| owners.iter().map(move |(owner, _)| (*address, owner)))
    }

    /// The networks that this node is connected to and that hold more than this prefix.
    pub(in crate::intent) fn around(&self, prefix: IpNet) -> impl Iterator<Item = IpNet> + '_ {
        let networks = self.networks.iter().copied();
        networks.filter(move |network| {
            network.prefix_len() < prefix.prefix_len() && network.contains(&prefix)
        })
    }

    /// Follows this node to other interfaces and gateways. Returns the addresses and networks that differ.
    pub(in crate::intent) fn follow_facts(&mut self, [old, new]: [&LocalFacts; 2]) -> Differing {
        let mut differing = self.follow([of_facts(old), of_facts(new)]);
        let now = networks(new);
        differing
            .networks
            .extend(self.networks.symmetric_difference(&now).copied());
        self.networks = now;
        differing
    }

    /// Follows a Node to other addresses. Returns those that differ.
    pub(in crate::intent) fn follow_node(
        &mut self,
        state: &ClusterState,
        sides: [Option<&Node>; 2],
    ) -> Differing {
        self.follow(sides.map(|node| node.map(|node| of_node(state, node)).unwrap_or_default()))
    }

    fn follow(&mut self, [old, new]: [BTreeSet<(IpAddr, Owner)>; 2]) -> Differing {
        let mut differing = Differing::default();
        for (address, owner) in old.difference(&new) {
            self.remove(*address, owner);
            differing.addresses.insert(*address);
        }
        for (address, owner) in new.difference(&old) {
            self.add(*address, owner.clone());
            differing.addresses.insert(*address);
        }
        differing
    }

    /// What differs from other claims, but for pod CIDRs.
    pub(in crate::intent) fn differing(&self, other: &Self) -> Differing {
        let one_way = |a: &Owners, b: &Owners| -> Vec<IpAddr> {
            let only = a.iter().filter(|(at, owners)| b.get(at) != Some(owners));
            only.map(|(at, _)| *at).collect()
        };
        let mut differing = Differing::default();
        differing
            .addresses
            .extend(one_way(&self.addresses, &other.addresses));
        differing
            .addresses
            .extend(one_way(&other.addresses, &self.addresses));
        let networks = self.networks.symmetric_difference(&other.networks);
        differing.networks.extend(networks.copied());
        differing
    }
}

/// What has other owners than before.
#[derive(Debug, Default)]
pub(in crate::intent) struct Differing {
    pub(in crate::intent) addresses: BTreeSet<IpAddr>,
    /// Networks that this node is connected to, and was not, or the other way round.
    pub(in crate::intent) networks: BTreeSet<IpNet>,
}

/// Addresses that Peer objects name, whichever nodes they select: what one node must not take, none must.
fn of_peers(state: &ClusterState) -> BTreeSet<(IpAddr, Owner)> {
    let mut all = BTreeSet::new();
    for peer in state.peers.values() {
        if let Some(address) = peer.spec.address {
            all.insert((address.0, Owner::Peer(peer.name.as_str().into())));
        }
        if let Some(address) = peer.spec.local_address {
            all.insert((address.0, Owner::LocalEnd(peer.name.as_str().into())));
        }
    }
    all
}

/// Addresses that a Node has, and those that Peers take from its labels and annotations.
fn of_node(state: &ClusterState, node: &Node) -> BTreeSet<(IpAddr, Owner)> {
    let name = Atom::from(node.name.as_str());
    let own = node.internal_ips.iter().chain(&node.other_ips);
    let mut all: BTreeSet<(IpAddr, Owner)> = own
        .map(|address| (*address, Owner::Node(name.clone())))
        .collect();
    for peer in state.peers.values() {
        let spec = &peer.spec;
        let froms = [&spec.address_from, &spec.local_address_from];
        if froms.iter().all(|from| from.is_none())
            || !selector::selects(spec.node_selector.as_ref(), &node.labels)
        {
            continue;
        }
        let [remote, local] = froms.map(|from| {
            let from = from.as_ref()?;
            address_from(from, node).ok()
        });
        all.extend(remote.map(|address| (address, Owner::Peer(peer.name.as_str().into()))));
        all.extend(local.map(|address| (address, Owner::Node(name.clone()))));
    }
    all
}

/// Addresses of this node's default gateways, and of its interfaces.
///
/// An address with the length of a host is bound on purpose, as kube-proxy (IPVS), node-local DNS and keepalived bind
/// addresses of Services; so is what is bound to the loopback interface. Such an address is nobody's here. Where it is the
/// node's own all the same, as in some clouds, it stands in the Node object.
fn of_facts(facts: &LocalFacts) -> BTreeSet<(IpAddr, Owner)> {
    let gateways = facts.gateways.iter();
    let gateways = gateways.map(|gateway| {
        let interface = gateway.interface.as_str().into();
        (gateway.address, Owner::Gateway(interface))
    });
    let interfaces = facts.interfaces.iter().filter(|i| i.name != LOOPBACK);
    let addresses = interfaces.flat_map(|interface| {
        let addresses = interface.addresses.iter();
        let with_network = addresses.filter(|net| net.prefix_len() < net.max_prefix_len());
        with_network.map(|net| {
            let name = interface.name.as_str().into();
            (net.addr(), Owner::Interface(name))
        })
    });
    // Link-local ones, which come and go with pods, may not be announced anyhow.
    let all = gateways.chain(addresses);
    all.filter(|(address, _)| is_routable(IpNet::from(*address)))
        .collect()
}

fn networks(facts: &LocalFacts) -> BTreeSet<IpNet> {
    let interfaces = facts.interfaces.iter().filter(|i| i.name != LOOPBACK);
    let networks = interfaces.flat_map(|interface| interface.addresses.iter().copied());
    networks
        .filter(|net| net.prefix_len() < net.max_prefix_len() && is_routable(net.trunc()))
        .collect()
}

/// Which other nodes have which pod CIDR, to be asked by prefix.
#[derive(Debug, Default, PartialEq)]
pub(in crate::intent) struct PodCidrs {
    /// Nodes ascending by name, never none. More than one is a mistake of the cluster's; then the first is named.
    by_cidr: HashMap<IpNet, SmallVec<[Atom; 1]>>,
    /// Family and length of all CIDRs, also of some that went.
    lengths: BTreeSet<(bool, u8)>,
}

impl PodCidrs {
    fn of_others(state: &ClusterState, node: &Node) -> Self {
        let mut all = Self::default();
        for other in state.nodes.values().filter(|n| n.name != node.name) {
            for cidr in &other.pod_cidrs {
                all.add(*cidr, &other.name);
            }
        }
        all
    }

    pub(in crate::intent) fn add(&mut self, cidr: IpNet, node: &str) {
        self.lengths
            .insert((cidr.addr().is_ipv6(), cidr.prefix_len()));
        let nodes = self.by_cidr.entry(cidr).or_default();
        if let Err(at) = nodes.binary_search_by(|n| str::cmp(n, node)) {
            nodes.insert(at, node.into());
        }
    }

    pub(in crate::intent) fn remove(&mut self, cidr: IpNet, node: &str) {
        if let Some(nodes) = self.by_cidr.get_mut(&cidr) {
            nodes.retain(|n| **n != *node);
            if nodes.is_empty() {
                self.by_cidr.remove(&cidr);
            }
        }
    }

    pub(in crate::intent) fn get(&self, cidr: &IpNet) -> Option<&Atom> {
        self.by_cidr.get(cidr)?.first()
    }

    /// The pod CIDR that holds all of `prefix`.
    pub(super) fn holding(&self, prefix: IpNet) -> Option<(&Atom, IpNet)> {
        self.lengths
            .iter()
            .filter(|(v6, length)| *v6 == prefix.addr().is_ipv6() && *length <= prefix.prefix_len())
            .find_map(|(_, length)| {
                let cidr = IpNet::new(prefix.addr(), *length).ok()?.trunc();
                self.get(&cidr).map(|node| (node, cidr))
            })
    }

    /// A pod CIDR inside `prefix`, the least. Linear: asked for aggregates only, each once.
    pub(super) fn inside(&self, prefix: IpNet) -> Option<(&Atom, IpNet)> {
        self.by_cidr
            .iter()
            .filter(|(cidr, _)| prefix.contains(*cidr))
            .filter_map(|(cidr, nodes)| Some((nodes.first()?, *cidr)))
            .min_by_key(|(_, cidr)| *cidr)
    }
}
