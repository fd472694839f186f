//! Other nodes as peers: by Peer objects with `nodes`, and by the mesh.
//!
//! | rule | |
//! |---|---|
//! | one session per pair | the first Peer object by name that asks for it, else the mesh |
//! | both ends | a Peer object makes the session at both ends, whichever of them it selects |
//! | transport | IPv4 where both nodes have an IPv4 InternalIP, else IPv6; the other way round if asked for: by the Peer object, or in the mesh by the Routers of both |
//! | source | our own InternalIP of that family, so that the other end knows us |
//! | who dials | both, but nobody dials a node that does not listen |
//! | AS | of the other node by its Router; while `asnFrom` finds none, the last one that it found, else our own, which is doubtful where nodes are in several |
//! | mesh | both Routers have it enabled and the ASes are the same, unless both nodes are served by a reflector |

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use bgp::fsm::RemoteAsn;
use bgp::types::Asn;
use routelet_api::peer::{MESH_LABEL, NodesTarget};
use routelet_api::selector::{self, Labels};
use routelet_api::{IpFamily, LabelSelector, PeerSpec, RouterSpec};

use super::duplicates::Duplicates;
use super::{Context, PeerIntent, Session, at, common_addresses, fits, mesh_spec};
use crate::cluster::{ClusterState, Node, Object, ObjectRef};
use crate::intent::router;
use crate::intent::{RequestedBy, Warning, WarningKind};

/// A node under its Router, as its peers see it.
struct Member<'a> {
    node: &'a Node,
    asn: Asn,
    /// Whether the AS is its own, not one that it is taken to be in.
    knows_asn: bool,
    mesh: bool,
    transport: IpFamily,
    /// The port that it listens on; `None`: it does not.
    port: Option<u16>,
    /// Whether it passes on to others what it learns from nodes.
    passes_on: bool,
}

impl<'a> Member<'a> {
    /// `unknown`: the AS that it is taken to be in if its Router takes it from the Node, which has never had it.
    fn new(state: &ClusterState, node: &'a Node, unknown: Asn) -> Self {
        let router = router::candidates(state, node).first().copied();
        let spec = router.map(|r| &r.spec);
        let defaults = RouterSpec::default();
        let used = spec.unwrap_or(&defaults);
        let asn = router::asn(spec, node);
        Self {
            node,
            asn: asn.unwrap_or(unknown),
            knows_asn: asn.is_some(),
            mesh: used.mesh.enabled,
            transport: used.mesh.transport.unwrap_or(IpFamily::Ipv4),
            port: used.listen.enabled.then_some(used.listen.port),
            passes_on: used.transit || is_reflector(state, node),
        }
    }

    /// Whether a selector selects the node, in the same AS, also by what its object says itself.
    fn is_selected(&self, state: &ClusterState, selector: Option<&LabelSelector>) -> bool {
        let is_as_object = |object: &Arc<Node>| {
            selector::selects(selector, &object.labels)
                && Member::new(state, object, self.asn).asn == self.asn
        };
        selector::selects(selector, &self.node.labels)
            && self.node.as_object.as_ref().is_none_or(is_as_object)
    }
}

/// Whether a node is a route reflector of somebody: of other nodes, or of a router.
fn is_reflector(state: &ClusterState, node: &Node) -> bool {
    state.peers.values().any(|object| {
        let spec = &object.spec;
        let is_by_nodes = spec.nodes.as_ref().is_some_and(|target| {
            target.reflectors && selector::selects(target.selector.as_ref(), &node.labels)
        });
        let is_by_client = spec.route_reflector_client
            && selector::selects(spec.node_selector.as_ref(), &node.labels);
        is_by_nodes || is_by_client
    })
}

/// What the sessions of other nodes hang on, of one node.
#[derive(PartialEq)]
pub(in crate::intent) struct Seen<'a> {
    asn: Asn,
    mesh: bool,
    transport: IpFamily,
    port: Option<u16>,
    passes_on: bool,
    knows_asn: bool,
    addresses: &'a [IpAddr],
    /// For each Peer object with `nodes`: whether it is one that has sessions, and one that they are with.
    selected: Vec<[bool; 2]>,
    /// The same, and the AS, of the object without what is known from before.
    as_object: Option<(Asn, Vec<[bool; 2]>)>,
}

/// What other nodes see of a node; `None`: nobody has a session with it. Two states with the same Routers and Peers give a
/// node the same sessions if each of the other nodes, and it itself, is seen alike in both.
pub(in crate::intent) fn seen<'a>(state: &ClusterState, node: &'a Node) -> Option<Seen<'a>> {
    if node.departed {
        return None;
    }
    // Nobody has this one.
    let member = Member::new(state, node, Asn(0));
    let selected = selected(state, node);
    let has_sessions = member.mesh || selected.iter().any(|one| *one != [false; 2]);
    has_sessions.then_some(Seen {
        asn: member.asn,
        mesh: member.mesh,
        transport: member.transport,
        port: member.port,
        passes_on: member.passes_on,
        knows_asn: member.knows_asn,
        addresses: &node.internal_ips,
        selected,
        as_object: node.as_object.as_deref().map(|object| {
            let member = Member::new(state, object, Asn(0));
            (member.asn, self::selected(state, object))
        }),
    })
}

/// For each Peer object with `nodes`: whether it selects the node as one that has sessions, and as one that they are with.
fn selected(state: &ClusterState, node: &Node) -> Vec<[bool; 2]> {
    let objects = state.peers.values().map(|object| &object.spec);
    objects
        .filter_map(|spec| spec.nodes.as_ref().map(|target| (spec, target)))
        .map(|(spec, target)| {
            [&spec.node_selector, &target.selector]
                .map(|selector| selector::selects(selector.as_ref(), &node.labels))
        })
        .collect()
}

/// The sessions with other nodes.
pub(super) fn peers(
    context: &Context<'_>,
    duplicates: &mut Duplicates,
    warnings: &mut Vec<Warning>,
) -> Vec<PeerIntent> {
    let state = context.state;
    let mut members: Vec<Member<'_>> = state
        .nodes
        .values()
        .filter(|node| !node.departed || node.name == context.node.name)
        // Whose AS is not known is tried as one of ours: if it is another one, its OPEN is refused.
        .map(|node| Member::new(state, node, context.settings.asn))
        .collect();
    for own in members
        .iter_mut()
        .filter(|m| m.node.name == context.node.name)
    {
        // It may know more of itself than its Node says now.
        own.asn = context.settings.asn;
        own.knows_asn = true;
    }
    let Some(own) = members.iter().find(|m| m.node.name == context.node.name) else {
        return Vec::new();
    };
    let mut sessions = BTreeMap::new();
    for object in state.peers.values() {
        if let Some(target) = &object.spec.nodes {
            for other in members.iter().filter(|m| m.node.name != own.node.name) {
                let used = sessions.get(&other.node.name);
                let used = used.map(|peer: &PeerIntent| &peer.object);
                if let Some(used) = used {
                    if is_lost(state, (object, target), used, own, other) {
                        let object = ObjectRef::cluster("Peer", &object.name);
                        duplicates.add_node(&object, used, &other.node.name);
                    }
                } else if let Some(peer) =
                    by_object(context, (object, target), own, other, warnings)
                {
                    sessions.insert(other.node.name.clone(), peer);
                }
            }
        }
    }
    if own.mesh {
        let served = served(context, &members);
        for other in &members {
            let name = &other.node.name;
            let pair_is_served =
                served.contains(name.as_str()) && served.contains(own.node.name.as_str());
            if *name == own.node.name
                || !other.mesh
                || other.asn != own.asn
                || pair_is_served
                || sessions.contains_key(name)
            {
                continue;
            }
            if let Some(peer) = by_mesh(context, own, other, warnings) {
                sessions.insert(name.clone(), peer);
            }
        }
    }
    let mut known = members.iter().filter(|m| m.knows_asn);
    if known.any(|other| other.asn != own.asn) {
        for other in members.iter().filter(|m| !m.knows_asn) {
            if let Some(peer) = sessions.get_mut(&other.node.name) {
                peer.is_doubtful = true;
            }
        }
    }
    sessions.into_values().collect()
}

/// The nodes that have a reflector of their AS to talk to. Both ends have to know: of a node that was made again, the agent, started
/// since as a rule, does not know of labels from before. What it is only by those, it is not: a reflector reflects nothing then, and a
/// client has no session with one.
fn served<'a>(context: &Context<'_>, members: &[Member<'a>]) -> BTreeSet<&'a str> {
    let mut served = BTreeSet::new();
    for object in context.state.peers.values() {
        let Some(target) = object.spec.nodes.as_ref().filter(|t| t.reflectors) else {
            continue;
        };
        let reflectors: Vec<&Member<'_>> = members
            .iter()
            .filter(|m| m.is_selected(context.state, target.selector.as_ref()))
            .collect();
        let clients = object.spec.node_selector.as_ref();
        for member in members {
            if member.is_selected(context.state, clients)
                && reflectors.iter().any(|r| {
                    r.node.name != member.node.name
                        && r.asn == member.asn
                        && fits(object.spec.asn, member.asn, r.asn)
                })
            {
                served.insert(member.node.name.as_str());
            }
        }
    }
    served
}

/// Whether a Peer asks for a session that another one has, and asks for something else of it: two that say the same of one
/// pair of nodes, such as two route reflectors with a Peer for each, lose nothing.
fn is_lost(
    state: &ClusterState,
    (object, target): (&Object<PeerSpec>, &NodesTarget),
    used: &ObjectRef,
    own: &Member<'_>,
    other: &Member<'_>,
) -> bool {
    let spec = &object.spec;
    let [forward, backward] = asks(spec, target, own, other);
    let of_pair = |spec: &PeerSpec| PeerSpec {
        node_selector: None,
        nodes: spec.nodes.as_ref().map(|target| NodesTarget {
            selector: None,
            ..target.clone()
        }),
        ..spec.clone()
    };
    let used = state.peers.get(&*used.name);
    // Advertisements choose by labels.
    let differs = |used: &Object<PeerSpec>| {
        used.labels != object.labels || of_pair(&used.spec) != of_pair(spec)
    };
    (forward || backward) && used.is_some_and(|used| differs(used))
}

/// Whether a Peer asks for a session from us to the other node, and from that to us.
fn asks(spec: &PeerSpec, target: &NodesTarget, own: &Member<'_>, other: &Member<'_>) -> [bool; 2] {
    let from = |node: &Node| selector::selects(spec.node_selector.as_ref(), &node.labels);
    let to = |node: &Node| selector::selects(target.selector.as_ref(), &node.labels);
    let one =
        |a: &Member<'_>, b: &Member<'_>| from(a.node) && to(b.node) && fits(spec.asn, a.asn, b.asn);
    [one(own, other), one(other, own)]
}

/// The session that a Peer object with `nodes` makes between us and another node, if it does.
fn by_object(
    context: &Context<'_>,
    (object, target): (&Object<PeerSpec>, &NodesTarget),
    own: &Member<'_>,
    other: &Member<'_>,
    warnings: &mut Vec<Warning>,
) -> Option<PeerIntent> {
    let spec = &object.spec;
    let [forward, backward] = asks(spec, target, own, other);
    if !forward && !backward {
        return None;
    }
    let to = |node: &Node| selector::selects(target.selector.as_ref(), &node.labels);
    let reflects = |node: &Node| target.reflectors && to(node);
    let client = (reflects(own.node) && !reflects(other.node))
        || (forward && spec.route_reflector_client && !reflects(other.node));
    let preferred = target.transport.unwrap_or(IpFamily::Ipv4);
    let reference = ObjectRef::cluster("Peer", &object.name);
    let name = format!("{}/{}", object.name, other.node.name);
    let identity = (name, reference, RequestedBy::Nodes, object.labels.clone());
    let session = session(own, other, preferred, client, identity, warnings)?;
    let mut spec = spec.clone();
    // What the object says of reflection is decided above, and differs between the ends.
    spec.route_reflector_client = false;
    Some(context.peer(&spec, session, warnings))
}

fn by_mesh(
    context: &Context<'_>,
    own: &Member<'_>,
    other: &Member<'_>,
    warnings: &mut Vec<Warning>,
) -> Option<PeerIntent> {
    let preferred = match (own.transport, other.transport) {
        (IpFamily::Ipv6, IpFamily::Ipv6) => IpFamily::Ipv6,
        (IpFamily::Ipv4, _) | (_, IpFamily::Ipv4) => IpFamily::Ipv4,
    };
    let router = context
        .settings
        .object
        .as_deref()
        .unwrap_or("(built-in default)");
    let labels = Labels::from([(MESH_LABEL.to_owned(), "true".to_owned())]);
    let identity = (
        format!("mesh/{}", other.node.name),
        ObjectRef::cluster("Router", router),
        RequestedBy::Mesh,
        labels,
    );
    let mut session = session(own, other, preferred, false, identity, warnings)?;
    session.knows_services = !other.passes_on;
    let spec = mesh_spec(&context.router.mesh);
    Some(context.peer(&spec, session, warnings))
}

fn session(
    own: &Member<'_>,
    other: &Member<'_>,
    preferred: IpFamily,
    client: bool,
    (name, object, requested_by, labels): (String, ObjectRef, RequestedBy, Labels),
    warnings: &mut Vec<Warning>,
) -> Option<Session> {
    let other_name = other.node.name.clone();
    let mut warn = |kind| {
        warnings.push(Warning {
            object: object.clone(),
            kind,
        });
    };
    let Some((ours, theirs)) = common_addresses(own.node, other.node, preferred) else {
        warn(WarningKind::NoCommonFamily(other_name));
        return None;
    };
    if own.port.is_none() && other.port.is_none() {
        warn(WarningKind::NobodyListens(other_name));
        return None;
    }
    Some(Session {
        name,
        object,
        requested_by,
        labels,
        target: at(theirs),
        port: other.port.unwrap_or(179),
        local_address: Some(ours),
        remote_asn: RemoteAsn::Number(other.asn),
        passive: other.port.is_none(),
        client,
        same_as_node: own.asn == other.asn,
        knows_services: false,
    })
}
