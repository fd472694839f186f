//! The update groups of all peers, and what drives them.

mod flush;
mod retire;

use std::collections::{BTreeMap, BTreeSet};

use bgp::types::{BgpIdentifier, Family};
use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::Slot;
use super::group::Group;
use super::hold::{Hold, Pending};
use super::key::GroupKey;
use super::marks::{Dirty, Marks};
use super::rules::DigestSeed;
use super::view::family_index;
use crate::peer::{PeerConfig, PeerId, SessionInfo};

/// The least that a round of a flush is worth, so that rounds do not cost more than what they do.
const MIN_ROUND: usize = 64;

/// Adj-RIB-Out of all peers whose sessions are up.
///
/// Invariants: every peer is a member of exactly one group, whose key is the peer's (except those that are postponed),
/// and no group is without members. [`UpdateGroups::take_retired`] returns a slot only when no group advertises it to
/// any member.
#[derive(Debug)]
pub struct UpdateGroups {
    peers: HashMap<PeerId, Peer, RandomState>,
    groups: BTreeMap<u32, Group>,
    next_group: u32,
    cluster_id: Option<BgpIdentifier>,
    seed: DigestSeed,
    gate_open: bool,
    /// Whose End-of-RIB is kept back although the gate is open.
    hold: Hold,
    /// Slots whose best route changed since they were last staged, one set per family. Bounded by the tables.
    dirty: [Dirty; 2],
    /// Empty slots that still have to be withdrawn from a member that is behind.
    held: [Marks; 2],
    /// Empty slots, or slots withdrawn from a member that was behind: they may be free.
    emptied: [Marks; 2],
    /// All held slots from here on have to be checked, because a member that was behind has left. `None`: none.
    look_again: [Option<Slot>; 2],
    /// Empty slots that no member has to be sent any more.
    retired: Vec<(Family, Slot)>,
    /// Peers that are still in the group of their last key: they moved so often that they have to be compared first.
    postponed: BTreeSet<PeerId>,
    /// [`MIN_ROUND`], less in tests that look for trouble between rounds.
    min_round: usize,
    /// The number of slots that [`UpdateGroups::retire`] has checked.
    #[cfg(test)]
    checked: usize,
    /// And in how many members for those.
    #[cfg(test)]
    looks: usize,
}

impl Default for UpdateGroups {
    fn default() -> Self {
        Self::with_min_round(MIN_ROUND)
    }
}

#[derive(Debug)]
struct Peer {
    config: PeerConfig,
    session: SessionInfo,
    group: u32,
}

impl UpdateGroups {
    /// Without peers, and with the start gate closed.
    pub fn new() -> Self {
        Self::default()
    }

    pub(super) fn with_min_round(min_round: usize) -> Self {
        Self {
            peers: HashMap::default(),
            groups: BTreeMap::new(),
            next_group: 0,
            cluster_id: None,
            seed: DigestSeed::default(),
            gate_open: false,
            hold: Hold::default(),
            dirty: Default::default(),
            held: Default::default(),
            emptied: Default::default(),
            look_again: [None; 2],
            retired: Vec::new(),
            postponed: BTreeSet::new(),
            min_round,
            #[cfg(test)]
            checked: 0,
            #[cfg(test)]
            looks: 0,
        }
    }

    /// Our cluster ID as a route reflector. Before it is set, it is our BGP identifier of each session.
    pub fn set_cluster_id(&mut self, cluster_id: BgpIdentifier) {
        if self.cluster_id == Some(cluster_id) {
            return;
        }
        self.cluster_id = Some(cluster_id);
        let peers: Vec<PeerId> = self.peers.keys().copied().collect();
        for peer in peers {
            self.regroup(peer);
        }
    }

    /// A session came up. The peer gets an initial dump and End-of-RIB for each family, once the gate is open.
    pub fn peer_up(&mut self, peer: PeerId, config: &PeerConfig, session: &SessionInfo) {
        self.peer_down(peer);
        let key = GroupKey::new(config, session, self.cluster_id);
        let number = self.find(&key).unwrap_or_else(|| {
            let group = Group::new(key, self.gate_open);
            self.add(group)
        });
        if let Some(group) = self.groups.get_mut(&number) {
            let enhanced = session.negotiated.enhanced_route_refresh;
            group.join(peer, session.remote_address, enhanced);
        }
        let up = Peer {
            config: config.clone(),
            session: session.clone(),
            group: number,
        };
        self.peers.insert(peer, up);
    }

    /// The intent changed for a peer. Only differences go out. Ignored if its session is not up.
    pub fn configure(&mut self, peer: PeerId, config: &PeerConfig) {
        if let Some(up) = self.peers.get_mut(&peer) {
            up.config = config.clone();
            self.regroup(peer);
        }
    }

    /// The surroundings of a session changed: our own addresses, its interface. Only differences go out. Ignored if it is not
    /// up.
    pub fn session_changed(&mut self, peer: PeerId, session: &SessionInfo) {
        if let Some(up) = self.peers.get_mut(&peer) {
            up.session = session.clone();
            self.regroup(peer);
        }
    }

    /// A session went down: everything queued for the peer is dropped. Ignored if it is not up.
    pub fn peer_down(&mut self, peer: PeerId) {
        let Some(down) = self.peers.remove(&peer) else {
            return;
        };
        self.postponed.remove(&peer);
        if let Some(group) = self.groups.get_mut(&down.group) {
            let left = group.leave(peer);
            if left.is_some_and(|member| member.behind.is_some()) {
                self.look_again = [Some(Slot(0)); 2];
            }
            if group.members.is_empty() {
                self.groups.remove(&down.group);
            }
        }
    }

    /// The start gate opens, for good: dumps begin.
    pub fn open_gate(&mut self) {
        if !self.gate_open {
            self.gate_open = true;
            self.groups.values_mut().for_each(Group::restart_walks);
        }
    }

    /// Whether the start gate is open.
    pub const fn is_gate_open(&self) -> bool {
        self.gate_open
    }

    /// Whether End-of-RIB to all peers is deferred: more originated routes are expected, and a peer that keeps routes
    /// from before a restart must not remove them (RFC 4724 section 4.1). Routes are still sent.
    pub const fn hold_end_of_rib(&mut self, hold: bool) {
        self.hold.originated = hold;
    }

    /// Defers End-of-RIB to peers that may be sent learned routes, as long as more of those are expected from
    /// `pending`. `reflects`: whether some peer, known or expected, is a client of ours (RFC 4456).
    pub const fn hold_for_learned(&mut self, pending: Pending, reflects: bool) {
        self.hold.pending = pending;
        self.hold.reflects = reflects;
    }

    /// A slot changed: its best route, that route's attributes, or whether there is one.
    ///
    /// Cheap, and may be called for every change: only the state at the next flush counts.
    pub fn changed(&mut self, family: Family, slot: Slot) {
        if let Some(index) = family_index(family) {
            self.dirty[index].insert(slot);
        }
    }

    /// As [`UpdateGroups::changed`], for a message with few prefixes: advertised before bulk changes.
    pub fn changed_by_news(&mut self, family: Family, slot: Slot) {
        if let Some(index) = family_index(family) {
            self.dirty[index].insert_news(slot);
        }
    }

    /// Whether such a slot waits.
    pub fn has_news(&self) -> bool {
        self.dirty.iter().any(Dirty::has_news)
    }

    /// The peer requested a family again (RFC 2918).
    pub fn refresh(&mut self, peer: PeerId, family: Family) {
        let group = self.peers.get(&peer).map(|up| up.group);
        let group = group.and_then(|group| self.groups.get_mut(&group));
        if let (Some(group), Some(index)) = (group, family_index(family)) {
            group.refresh(peer, index);
        }
    }

    /// The peer's queue has space again, after [`Transport::send`](super::Transport::send) said [`Full`](super::Full).
    pub fn writable(&mut self, peer: PeerId) {
        let group = self.peers.get(&peer).map(|up| up.group);
        let group = group.and_then(|group| self.groups.get_mut(&group));
        if let Some(member) = group.and_then(|group| group.members.get_mut(&peer)) {
            member.blocked = false;
        }
    }

    /// The number of changed slots that are not staged yet: how far Adj-RIB-Out is behind Loc-RIB. Slow members do not
    /// count.
    pub fn backlog(&self) -> usize {
        self.dirty.iter().map(Dirty::len).sum()
    }

    fn find(&self, key: &GroupKey) -> Option<u32> {
        let found = self.groups.iter().find(|(_, group)| group.key == *key);
        found.map(|(number, _)| *number)
    }

    fn add(&mut self, group: Group) -> u32 {
        let number = self.next_group;
        self.next_group += 1;
        self.groups.insert(number, group);
        number
    }

    /// Moves a peer to the group of its key, without sending it anything twice.
    fn regroup(&mut self, peer: PeerId) {
        let Some(up) = self.peers.get(&peer) else {
            return;
        };
        let from = up.group;
        let key = GroupKey::new(&up.config, &up.session, self.cluster_id);
        self.postponed.remove(&peer);
        let Some(group) = self.groups.get(&from).filter(|group| group.key != key) else {
            return;
        };
        let to = self.find(&key);
        let target = to.and_then(|to| self.groups.get(&to));
        let moves = target.is_some() || group.members.len() > 1;
        if moves && (group.has_to_be_compared(peer) || target.is_some_and(Group::must_not_adopt)) {
            self.postponed.insert(peer);
            return;
        }
        let Some(mut old) = self.groups.remove(&from) else {
            return;
        };
        let to = match to {
            Some(to) => to,
            None if old.members.len() == 1 => {
                old.rekey(key);
                if self.gate_open {
                    old.restart_walks();
                }
                self.groups.insert(from, old);
                return;
            }
            None => {
                let mut group = old.fork(key);
                if self.gate_open {
                    group.restart_walks();
                }
                self.add(group)
            }
        };
        if let Some(group) = self.groups.get_mut(&to) {
            group.take_over(peer, &mut old);
        }
        if !old.members.is_empty() {
            self.groups.insert(from, old);
        }
        if let Some(up) = self.peers.get_mut(&peer) {
            up.group = to;
        }
    }

    /// Moves peers that have been compared meanwhile. Returns how many.
    fn move_postponed(&mut self) -> usize {
        let has_to_wait = |peer: &PeerId| {
            let group = self.group_of(*peer);
            group.is_some_and(|group| group.has_to_be_compared(*peer))
        };
        let peers = self.postponed.iter().copied();
        let ready: Vec<PeerId> = peers.filter(|peer| !has_to_wait(peer)).collect();
        let before = self.postponed.len();
        for peer in ready {
            self.regroup(peer);
        }
        before - self.postponed.len()
    }

    /// The group of a peer whose session is up, for questions.
    pub(super) fn group_of(&self, peer: PeerId) -> Option<&Group> {
        self.groups.get(&self.peers.get(&peer)?.group)
    }

    pub(super) fn number_of(&self, peer: PeerId) -> Option<u32> {
        Some(self.peers.get(&peer)?.group)
    }

    /// The key of the digests.
    pub(super) const fn seed(&self) -> &DigestSeed {
        &self.seed
    }

    #[cfg(test)]
    pub(super) const fn slots_checked(&self) -> usize {
        self.checked
    }

    #[cfg(test)]
    pub(super) const fn members_looked_at(&self) -> usize {
        self.looks
    }

    /// How many groups there are.
    pub fn group_count(&self) -> usize {
        self.groups.len()
    }
}
