//! May this be announced at all: the counterpart, for what this node originates, of the guard rails on what it learns.
//!
//! Every originated prefix passes through [`Claims::judge`], whatever asks for it: an [`OriginatedRoute`] is made of an
//! [`Announceable`], and only this module makes those.
//!
//! [`OriginatedRoute`]: super::OriginatedRoute
//!
//! | what | pod CIDR | static prefix | interface address | Service address | aggregate |
//! |---|---|---|---|---|---|
//! | all of it loopback, link-local, multicast, reserved... | refused | refused | refused | refused | refused |
//! | a default route | refused | unless `allowDefaultRoute` | - | - | refused |
//! | an address of this node | - | - | - | refused | if it covers one |
//! | an address of another Node | - | refused | refused | refused | if it covers one |
//! | the address of a peer or a default gateway | - | refused | - | refused | if it covers one |
//! | inside another node's pod CIDR | if known from before only | refused | refused | refused | refused |
//! | covers a pod CIDR | - | - | - | - | refused |
//! | a part of a network that this node is connected to, with an address of somebody's in it | refused | refused | - | - | if it covers one |
//!
//! A static prefix may cover addresses of others and pod CIDRs, since it is written by hand and the more specific routes
//! to them win. That does not hold for a part of a network whose routers have the whole as a connected one.

mod claims;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

pub use claims::Owner;
pub(super) use claims::{Claims, Differing};

use super::Rule;
use crate::cluster::{Atom, Node};

/// A prefix that was found to be announceable. Nothing else makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Announceable(IpNet);

impl Announceable {
    /// The prefix.
    pub fn prefix(self) -> IpNet {
        self.0
    }
}

/// What asks for a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// `spec.podCIDRs` of this node.
    PodCidr,
    /// `prefixes` of an Advertisement.
    Static {
        /// Its `allowDefaultRoute`.
        default_route: bool,
    },
    /// `interfaces` of an Advertisement.
    Interface,
    /// An address of a Service.
    Service,
    /// `aggregate` of an Advertisement.
    Aggregate,
}

/// Blocks of which no address is a destination for others: this network (RFC 1122), loopback, link-local, multicast,
/// reserved (with the limited broadcast).
const SPECIAL_V4: [(Ipv4Addr, u8); 5] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// The same of IPv6: unspecified and loopback, IPv4-mapped, link-local, multicast.
const SPECIAL_V6: [(Ipv6Addr, u8); 4] = [
    (Ipv6Addr::UNSPECIFIED, 127),
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8),
];

/// Whether some address of a prefix can be a destination for others.
pub(super) fn is_routable(prefix: IpNet) -> bool {
    let special = match prefix {
        IpNet::V4(prefix) => SPECIAL_V4.iter().any(|(address, length)| {
            Ipv4Net::new(*address, *length).is_ok_and(|block| block.contains(&prefix))
        }),
        IpNet::V6(prefix) => SPECIAL_V6.iter().any(|(address, length)| {
            Ipv6Net::new(*address, *length).is_ok_and(|block| block.contains(&prefix))
        }),
    };
    !special
}

impl Claims {
    /// Whether a prefix may be announced by this node; if not, by which rule.
    pub(super) fn judge(
        &self,
        node: &Node,
        origin: Origin,
        prefix: IpNet,
    ) -> Result<Announceable, Rule> {
        let explicit = matches!(
            origin,
            Origin::Static {
                default_route: true
            }
        );
        let refusal = if prefix.prefix_len() == 0 {
            (!explicit).then_some(Rule::DefaultRoute)
        } else if !is_routable(prefix) {
            Some(Rule::NotRoutable)
        } else {
            self.somebodys(node, origin, prefix)
        };
        refusal.map_or(Ok(Announceable(prefix)), Err)
    }

    /// Whose a prefix is, if it is somebody's.
    fn somebodys(&self, node: &Node, origin: Origin, prefix: IpNet) -> Option<Rule> {
        let is_host = prefix.prefix_len() == prefix.max_prefix_len();
        match origin {
            Origin::PodCidr => self
                .taken_by_another(node, prefix)
                .or_else(|| self.part_of_network(node, prefix, true)),
            Origin::Service => {
                let owner = self.owners(prefix.addr()).next().cloned();
                owner.map(Rule::Owned)
            }
            .or_else(|| self.pods_of_another(node, prefix)),
            // It is this node's for certain: what else could have it is another Node.
            Origin::Interface => self
                .foreign(node, prefix.addr())
                .filter(|owner| matches!(owner, Owner::Node(_)))
                .map(|owner| Rule::Owned(owner.clone()))
                .or_else(|| self.pods_of_another(node, prefix)),
            Origin::Static { .. } if is_host => self
                .foreign(node, prefix.addr())
                .map(|owner| Rule::Owned(owner.clone()))
                .or_else(|| self.pods_of_another(node, prefix)),
            Origin::Static { .. } => self
                .part_of_network(node, prefix, false)
                .or_else(|| self.pods_of_another(node, prefix)),
            Origin::Aggregate => self.under_aggregate(node, prefix),
        }
    }

    /// Who but this node has an address, unless this node has it too.
    fn foreign(&self, node: &Node, address: IpAddr) -> Option<&Owner> {
        let mut owners = self.owners(address);
        let is_ours = owners.clone().any(|owner| !is_foreign(owner, node));
        owners.next().filter(|_| !is_ours)
    }

    /// An address of somebody else's in a prefix that is a part of a connected network. `pods`: the network of all pods, in
    /// which some plugins give the node an address of its pod CIDR, does not count.
    fn part_of_network(&self, node: &Node, prefix: IpNet, pods: bool) -> Option<Rule> {
        let is_of_pods = |network: &IpNet| {
            let mut owners = self.owners(network.addr());
            let is_the_nodes =
                owners.any(|o| matches!(o, Owner::Node(name) if **name == *node.name));
            pods && prefix.contains(&network.addr()) && !is_the_nodes
        };
        self.around(prefix).find(|network| !is_of_pods(network))?;
        let (address, owner) = self.inside(prefix).find(|(address, owner)| {
            is_foreign(owner, node) && self.foreign(node, *address).is_some()
        })?;
        Some(Rule::CoversAddress {
            address,
            owner: owner.clone(),
        })
    }

    /// A pod CIDR that this node has from before only, and another one's object says to be its: Kubernetes has given it away
    /// meanwhile. Of two that say so themselves neither is known to be wrong.
    fn taken_by_another(&self, node: &Node, cidr: IpNet) -> Option<Rule> {
        if node.says_pod_cidrs() {
            return None;
        }
        let other = self.pods.get(&cidr)?.clone();
        Some(Rule::OtherNodesPodCidr { node: other, cidr })
    }

    fn pods_of_another(&self, node: &Node, prefix: IpNet) -> Option<Rule> {
        // Inside our own as well, such as with nested CIDRs: ours to announce.
        let mut own = node.pod_cidrs.iter();
        if own.any(|own| own.contains(&prefix) && self.taken_by_another(node, *own).is_none()) {
            return None;
        }
        let (node, cidr) = self.pods.holding(prefix)?;
        Some(Rule::OtherNodesPodCidr {
            node: node.clone(),
            cidr,
        })
    }

    fn under_aggregate(&self, node: &Node, aggregate: IpNet) -> Option<Rule> {
        let name = Atom::from(node.name.as_str());
        let own = node.pod_cidrs.iter();
        let own = own
            .filter(|cidr| aggregate.contains(*cidr) || cidr.contains(&aggregate))
            .map(|cidr| (&name, *cidr))
            .min_by_key(|(_, cidr)| *cidr);
        let pods = own
            .or_else(|| self.pods.inside(aggregate))
            .or_else(|| self.pods.holding(aggregate))
            .map(|(node, cidr)| Rule::AggregateCoversPodCidr {
                node: node.clone(),
                cidr,
            });
        pods.or_else(|| {
            let (address, owner) = self.inside(aggregate).next()?;
            Some(Rule::AggregateCoversAddress {
                address,
                owner: owner.clone(),
            })
        })
    }
}

/// Whether an owner is not this node.
fn is_foreign(owner: &Owner, node: &Node) -> bool {
    match owner {
        Owner::Node(name) => **name != *node.name,
        Owner::Peer(_) | Owner::Gateway(_) => true,
        Owner::LocalEnd(_) | Owner::Interface(_) => false,
    }
}
