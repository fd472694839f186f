//! What a node knows of itself without the cluster. Handed in, so that intent stays pure.

use std::net::IpAddr;

use bgp::types::{Asn, BgpIdentifier};
use ipnet::IpNet;

use routelet_api::IpFamily;

/// Interfaces and default gateways of the node, as its kernel has them now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalFacts {
    /// All interfaces.
    pub interfaces: Vec<Interface>,
    /// Default gateways; of several in one family the first is used.
    pub gateways: Vec<Gateway>,
    /// Whether the agent has the node's pods connected (`--cni-config-dir`), so that it knows all routes to them.
    pub connects_pods: bool,
    /// Who this speaker was so far: [`RouterSettings::identity`](super::RouterSettings::identity) of the last intent.
    pub identity: Identity,
}

/// What the agent has found of its own Node and that its peers know it by. It stays unless something else is configured: another AS
/// or BGP identifier resets every session, and that a label or an address is missing in the Node, or the Node itself, is no decision
/// to do so. Another process has AS and `router_id_from` from the one before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The BGP identifier that was derived, since none is configured.
    pub derived_router_id: Option<BgpIdentifier>,
    /// The last one that `routerIDFrom` found.
    pub router_id_from: Option<BgpIdentifier>,
    /// The AS of a Router that was in use last. `None`: there was no Router so far, or its `asnFrom` has found none.
    pub asn: Option<Asn>,
}

/// An interface and its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its addresses with the lengths of their networks.
    pub addresses: Vec<IpNet>,
    /// Whether packets can leave by it: it is set up and has a carrier.
    pub up: bool,
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
