//! Peers that ask for a session that another one has.
//!
//! A node has one session with an address, one listener of a range and one session with another node. Which object has it is
//! decided here and in [`nodes`](super::nodes), for the agent and for `routelet check`; the controller repeats what the agents
//! report.
//!
//! | both ask for | in use |
//! |---|---|
//! | an address, an interface or a range | a Peer that names it before one of another node; of two that name it, the first by name |
//! | a session with another node | the first Peer by name |
//! | either, and the mesh | the Peer; the mesh does without, and nothing is reported: its other end does the same |
//!
//! Of ranges that overlap, and of a range and an address in it, the longer prefix has the session. Both stay in use, and
//! nothing is reported.

use std::collections::{BTreeMap, HashMap};

use super::PeerIntent;
use crate::cluster::ObjectRef;
use crate::intent::{PeerTarget, Precedence, RequestedBy, Warning, WarningKind};

/// How many targets a warning names.
const NAMED: usize = 3;

/// Sessions that a Peer asks for and another has, by the Peer, the other, and why that one comes first.
#[derive(Default)]
pub(super) struct Duplicates(BTreeMap<(ObjectRef, ObjectRef, Precedence), Lost>);

/// What a Peer does not get because of another.
#[derive(Default)]
struct Lost {
    /// Addresses, interfaces and ranges, in words.
    targets: Vec<String>,
    /// Names of other nodes.
    nodes: Vec<String>,
}

impl Duplicates {
    /// `object` asks for a session with another node that `used` has.
    pub(super) fn add_node(&mut self, object: &ObjectRef, used: &ObjectRef, node: &str) {
        let key = (object.clone(), used.clone(), Precedence::Name);
        let lost = self.0.entry(key).or_default();
        lost.nodes.push(node.to_owned());
    }

    /// Leaves each target to the first peer that asks for it. `list` has Peers that name their peer, by name, then those of
    /// nodes, then the mesh.
    pub(super) fn without(&mut self, list: Vec<PeerIntent>) -> Vec<PeerIntent> {
        let mut seen: HashMap<PeerTarget, (ObjectRef, bool)> = HashMap::new();
        let mut kept = Vec::with_capacity(list.len());
        for peer in list {
            let names_it = peer.requested_by == RequestedBy::Peer;
            let Some((used, used_names_it)) = seen.get(&peer.target) else {
                seen.insert(peer.target.clone(), (peer.object.clone(), names_it));
                kept.push(peer);
                continue;
            };
            if peer.requested_by == RequestedBy::Mesh {
                continue;
            }
            let why = match *used_names_it && !names_it {
                true => Precedence::Explicit,
                false => Precedence::Name,
            };
            let key = (peer.object.clone(), used.clone(), why);
            let target = match &peer.target {
                PeerTarget::Address { .. } => format!("address {}", peer.target),
                PeerTarget::Interface { .. } | PeerTarget::Range { .. } => peer.target.to_string(),
            };
            self.0.entry(key).or_default().targets.push(target);
        }
        kept
    }

    /// One warning for each pair of objects, beside the peers that are left.
    pub(super) fn warnings(self, peers: &[PeerIntent]) -> impl Iterator<Item = Warning> {
        let all = self.0.into_iter();
        all.map(|((object, used, precedence), lost)| Warning {
            kind: WarningKind::PeerTwice {
                what: lost.in_words(),
                used,
                precedence,
                has_others: peers.iter().any(|peer| peer.object == object),
            },
            object,
        })
    }
}

impl Lost {
    fn in_words(self) -> String {
        let mut parts = self.targets;
        // Named where it is one: what many nodes report alike is said once.
        match self.nodes.as_slice() {
            [] => {}
            [node] => parts.push(format!("the session with node {node}")),
            // Not how many: every node would say it anew whenever a node comes or goes.
            _ => parts.push("sessions with other nodes".to_owned()),
        }
        let more = parts.len().saturating_sub(NAMED);
        parts.truncate(NAMED);
        match more {
            0 => parts.join(", "),
            more => format!("{} and {more} more", parts.join(", ")),
        }
    }
}
