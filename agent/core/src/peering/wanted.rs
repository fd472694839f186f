//! What a new intent means for the peers that there are: who stays, who leaves and when, who takes whose place.
//!
//! | a peer that is not wanted any more | |
//! |---|---|
//! | a new peer has its address | the session stays, under the new name |
//! | it is another node, and Established | the session is kept for [`LEAVING`] |
//! | any other | the session ends at once |

use std::sync::Arc;
use std::time::{Duration, Instant};

use bgp::fsm::Cease;
use rib::PeerId;
use tracing::info;

use super::{Action, Peer, Peering, RETRY};
use crate::intent::{PeerIntent, PeerTarget};

/// How long the session with another node outlives the wish for it, and how long a reflector goes on to reflect. Nodes
/// learn of a change at different times, and routes must come by the new way before those of the old one go, from the
/// mesh to reflectors and back.
pub(super) const LEAVING: Duration = Duration::from_secs(10);

/// The peer of this name, of those that are wanted.
pub(super) fn named<'a>(wanted: &'a [PeerIntent], name: &str) -> Option<&'a PeerIntent> {
    let at = wanted.binary_search_by(|peer| (*peer.name).cmp(name));
    at.ok().map(|at| &wanted[at])
}

impl Peering {
    /// Makes the peers those of the intent. Sessions that need no reset are left alone.
    pub(super) fn want(
        &mut self,
        now: Instant,
        wanted: Arc<Vec<PeerIntent>>,
        out: &mut Vec<Action>,
    ) {
        self.next_look.get_or_insert(now + RETRY);
        self.wanted = Arc::clone(&wanted);
        self.passwords.keep(&wanted);
        for id in self.ids() {
            let Some(peer) = self.peers.get(&id) else {
                continue;
            };
            if stays(&wanted, peer) {
                self.leaving.set(id, None);
            } else {
                self.leave(now, id, out);
            }
        }
        for wanted in wanted.iter() {
            self.put(now, wanted, out);
        }
    }

    /// A peer is not wanted any more.
    fn leave(&mut self, now: Instant, id: PeerId, out: &mut Vec<Action>) {
        let successor = self.peers.get(&id).and_then(|peer| self.successor(peer));
        let successor = successor.map(|wanted| wanted.name.clone());
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        if let Some(name) = successor {
            info!(peer = %peer.name(), now = %name, "peer renamed; its session stays");
            // All else changes when it is put.
            self.names.remove(peer.name());
            self.names.insert(name.clone(), id);
            Arc::make_mut(&mut peer.intent).name = name;
            self.leaving.set(id, None);
            out.push(Action::Show(id));
        } else if peer.intent.requested_by.is_node() && peer.is_established() {
            if self.leaving.of(id).is_none() {
                info!(peer = %peer.name(), seconds = LEAVING.as_secs(), "peer removed; its session is closed soon");
                self.leaving.set(id, Some(now + LEAVING));
            }
            self.demoted.set(id, None);
        } else {
            info!(peer = %peer.name(), "peer removed");
            self.remove(id, Cease::Deconfigured, out);
        }
    }

    /// The new peer that is the same neighbour under another name.
    fn successor(&self, peer: &Peer) -> Option<&PeerIntent> {
        let is_address = matches!(peer.intent.target, PeerTarget::Address { .. });
        if peer.is_dynamic() || !is_address {
            return None;
        }
        let is_new = |wanted: &&PeerIntent| !self.names.contains_key(&wanted.name);
        let mut same = self.wanted.iter();
        same.find(|wanted| wanted.target == peer.intent.target && is_new(wanted))
    }
}

/// Whether a peer stays. A dynamic one stays with its range, as long as no longer range has its address, and no
/// configured peer: that one's password counts from then on, also while it is blocked.
fn stays(wanted: &[PeerIntent], peer: &Peer) -> bool {
    let Some(range) = peer.intent.requested_by.range() else {
        return named(wanted, peer.name()).is_some();
    };
    let target = &peer.intent.target;
    let PeerTarget::Address { address, .. } = target else {
        return false;
    };
    let ranges = wanted.iter().filter_map(|wanted| match &wanted.target {
        PeerTarget::Range { net } if net.contains(address) => Some((net.prefix_len(), wanted)),
        _ => None,
    });
    let longest = ranges.max_by_key(|(length, _)| *length);
    let is_configured = wanted.iter().any(|wanted| wanted.target == *target);
    !is_configured && longest.is_some_and(|(_, wanted)| wanted.name == range)
}
