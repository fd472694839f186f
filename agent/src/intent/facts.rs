//! What a node knows of itself without the cluster. Handed in, so that intent stays pure.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::crd::IpFamily;

/// Interfaces and default gateways of the node, as its kernel has them now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalFacts {
    /// All interfaces.
    pub interfaces: Vec<Interface>,
    /// Default gateways; of several in one family the first is used.
    pub gateways: Vec<Gateway>,
    /// Whether the agent has the node's pods connected (`--cni-config-dir`), so that it knows all routes to them.
    pub connects_pods: bool,
}

/// An interface and its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its addresses with the lengths of their networks.
    pub addresses: Vec<IpNet>,
}

/// A default gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// The router's address, possibly link-local.
    pub address: IpAddr,
    /// The interface that it is on.
    pub interface: String,
}

impl LocalFacts {
    /// An interface by name.
    pub fn interface(&self, name: &str) -> Option<&Interface> {
        self.interfaces.iter().find(|i| i.name == name)
    }

    /// The first default gateway of a family.
    pub fn gateway(&self, family: IpFamily) -> Option<&Gateway> {
        self.gateways
            .iter()
            .find(|g| IpFamily::of(g.address) == family)
    }
}
