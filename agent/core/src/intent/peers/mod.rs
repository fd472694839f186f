//! The peers of a node: those of Peer objects, other nodes by selector, and the mesh.
//!
//! A pair of nodes has at most one session of its own. Both ends compute it from the same state and come to the same
//! answer: which family carries it ([`nodes`]), who dials, and which AS each expects.

mod duplicates;
mod nodes;
mod settings;

pub(super) use nodes::seen;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use bgp::fsm::RemoteAsn;
use bgp::types::Asn;
use ipnet::IpNet;
use rib::policy::Policy;
use routelet_api::router::Mesh;
use routelet_api::selector::Labels;
use routelet_api::{IpFamily, PeerAs, PeerSpec, RouterSpec, selector};

use self::duplicates::Duplicates;
use super::advertise::Active;
use super::router::{address_from, value_from};
use super::{
    Consequence, LocalFacts, PeerIntent, PeerTarget, RequestedBy, RouterSettings, Warning,
    WarningKind,
};
use crate::cluster::{ClusterState, Node, Object, ObjectRef};

/// What peers are computed from.
pub(super) struct Context<'a> {
    pub(super) state: &'a ClusterState,
    pub(super) node: &'a Node,
    pub(super) facts: &'a LocalFacts,
    pub(super) settings: &'a RouterSettings,
    pub(super) router: &'a RouterSpec,
    pub(super) policies: &'a BTreeMap<String, Arc<Policy>>,
    pub(super) active: &'a [Active<'a>],
}

/// All peers, ascending by name.
pub(super) fn peers(context: &Context<'_>, warnings: &mut Vec<Warning>) -> Vec<PeerIntent> {
    let mut list = Vec::new();
    for object in context.state.peers.values() {
        if object.spec.nodes.is_some() {
            continue;
        }
        if selector::selects(object.spec.node_selector.as_ref(), &context.node.labels) {
            list.extend(context.explicit(object, warnings));
        }
    }
    let mut duplicates = Duplicates::default();
    list.extend(nodes::peers(context, &mut duplicates, warnings));
    let mut peers = duplicates.without(list);
    warnings.extend(duplicates.warnings(&peers));
    peers.sort_by(|a, b| a.name.cmp(&b.name));
    peers
}

/// What is particular to one session of a Peer object or of the mesh.
struct Session {
    name: String,
    object: ObjectRef,
    requested_by: RequestedBy,
    labels: Labels,
    target: PeerTarget,
    port: u16,
    local_address: Option<IpAddr>,
    remote_asn: RemoteAsn,
    passive: bool,
    client: bool,
    /// The peer is another node of our AS.
    same_as_node: bool,
    /// It is another node of the cluster, and passes nothing on to anybody who is none: see
    /// [`rib::PeerConfig::knows_services`].
    knows_services: bool,
}

impl Context<'_> {
    /// The peer of an object that names one (or a range of them).
    fn explicit(
        &self,
        object: &Object<PeerSpec>,
        warnings: &mut Vec<Warning>,
    ) -> Option<PeerIntent> {
        let reference = ObjectRef::cluster("Peer", &object.name);
        let found = self.explicit_session(object, &reference);
        let session = found
            .map_err(|kind| {
                warnings.push(Warning {
                    object: reference.clone(),
                    kind,
                });
            })
            .ok()?;
        Some(self.peer(&object.spec, session, warnings))
    }

    fn explicit_session(
        &self,
        object: &Object<PeerSpec>,
        reference: &ObjectRef,
    ) -> Result<Session, WarningKind> {
        let spec = &object.spec;
        let target = self.target(spec)?;
        if let PeerTarget::Address { address, .. } = target
            && (self.node.internal_ips.contains(&address) || self.node.other_ips.contains(&address))
        {
            return Err(WarningKind::OwnAddress(address));
        }
        let local_address = match (&spec.local_address, &spec.local_address_from) {
            (Some(address), _) => Some(address.0),
            (None, Some(from)) => Some(address_from(from, self.node).map_err(|e| {
                e.warning(
                    "spec.localAddressFrom",
                    self.node,
                    "an address",
                    Consequence::PeerLeftOut,
                )
            })?),
            (None, None) => None,
        };
        Ok(Session {
            name: object.name.clone(),
            object: reference.clone(),
            requested_by: RequestedBy::Peer,
            labels: object.labels.clone(),
            passive: spec.passive || matches!(target, PeerTarget::Range { .. }),
            target,
            port: spec.port.unwrap_or(179),
            local_address,
            remote_asn: self.remote_asn(spec)?,
            client: spec.route_reflector_client,
            same_as_node: false,
            knows_services: false,
        })
    }

    fn target(&self, spec: &PeerSpec) -> Result<PeerTarget, WarningKind> {
        let at = |address: IpAddr, interface: Option<&String>| PeerTarget::Address {
            address,
            interface: match address {
                IpAddr::V6(a) if a.is_unicast_link_local() => interface.cloned(),
                _ => None,
            },
        };
        if let Some(address) = spec.address {
            Ok(at(address.0, spec.source_interface.as_ref()))
        } else if let Some(from) = &spec.address_from {
            address_from(from, self.node)
                .map(|address| at(address, spec.source_interface.as_ref()))
                .map_err(|e| {
                    e.warning(
                        "spec.addressFrom",
                        self.node,
                        "an address",
                        Consequence::PeerLeftOut,
                    )
                })
        } else if let Some(name) = &spec.interface {
            Ok(PeerTarget::Interface { name: name.clone() })
        } else if let Some(family) = spec.gateway {
            let gateway = self.facts.gateway(family);
            gateway
                .map(|g| at(g.address, Some(&g.interface)))
                .ok_or(WarningKind::NoGateway(family))
        } else if let Some(range) = spec.range {
            Ok(PeerTarget::Range { net: range.net() })
        } else {
            Err(WarningKind::Unusable(
                "it has none of address, addressFrom, interface, gateway, nodes and range"
                    .to_owned(),
            ))
        }
    }

    fn remote_asn(&self, spec: &PeerSpec) -> Result<RemoteAsn, WarningKind> {
        let asn = match (&spec.asn, &spec.asn_from) {
            (Some(asn), _) => *asn,
            (None, Some(from)) => value_from(from, self.node, is_peer_as).map_err(|e| {
                e.warning(
                    "spec.asnFrom",
                    self.node,
                    "an AS number, internal or external",
                    Consequence::PeerLeftOut,
                )
            })?,
            (None, None) => {
                return Err(WarningKind::Unusable(
                    "it has neither asn nor asnFrom".to_owned(),
                ));
            }
        };
        Ok(match asn {
            PeerAs::Number(asn) => RemoteAsn::Number(asn),
            PeerAs::Internal => RemoteAsn::Internal,
            PeerAs::External => RemoteAsn::External,
        })
    }
}

/// Whether this can be the AS of a peer.
fn is_peer_as(asn: &PeerAs) -> bool {
    !matches!(asn, PeerAs::Number(asn) if asn.is_reserved())
}

/// Settings of the mesh in the words of a Peer, so that all peers are put together in one place.
fn mesh_spec(mesh: &Mesh) -> PeerSpec {
    PeerSpec {
        password: mesh.password.clone(),
        timers: mesh.timers,
        bfd: mesh.bfd,
        families: IpFamily::ALL.to_vec(),
        ..PeerSpec::default()
    }
}

/// The addresses that two nodes use towards each other.
fn common_addresses(ours: &Node, theirs: &Node, preferred: IpFamily) -> Option<(IpAddr, IpAddr)> {
    let other = match preferred {
        IpFamily::Ipv4 => IpFamily::Ipv6,
        IpFamily::Ipv6 => IpFamily::Ipv4,
    };
    [preferred, other]
        .into_iter()
        .find_map(|family| Some((ours.internal_ip(family)?, theirs.internal_ip(family)?)))
}

/// Whether an AS is what a Peer says, seen from a node of another (or the same) AS.
fn fits(asn: Option<PeerAs>, ours: Asn, theirs: Asn) -> bool {
    match asn {
        Some(PeerAs::Number(asn)) => asn == theirs,
        Some(PeerAs::Internal) | None => ours == theirs,
        Some(PeerAs::External) => ours != theirs,
    }
}

/// A single address as a target, for nodes.
fn at(address: IpAddr) -> PeerTarget {
    PeerTarget::Address {
        address: IpNet::from(address).addr(),
        interface: None,
    }
}
