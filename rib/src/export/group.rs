//! One update group: stages changes, encodes them once, hands them to its members.
//!
//! The *stream* is sent to all members at once. What it has advertised is in `adj_rib_out`. Members that joined late,
//! asked for a refresh, or whose queue was full are *behind*: they have marks on the slots that they still have to be
//! sent, and [`Group::catch_up`] sends them what the stream has advertised, until no mark is left. Members with marks
//! on the same slots share that work too.
//!
//! Invariants between two steps: a member in the stream has been sent exactly `adj_rib_out` (except what it is excluded
//! from); a member behind, exactly `adj_rib_out` for every slot without a mark.
//!
//! A member that is alone is not sent its own routes, so the stream skips such slots: a node's group of one router
//! costs nothing for the table of that router. When another member joins, all slots are evaluated again.

mod catch_up;
mod compare;
mod settle;
mod stage;

use std::net::IpAddr;

use bgp::types::Family;
use bgp::wire::UpdateEncoder;
use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};

use self::stage::Scratch;
use super::adj_rib_out::AdjRibOut;
use super::comparison::Heard;
use super::exclusion::Exclusions;
use super::key::GroupKey;
use super::member::{Behind, Member, Refresh};
use super::rules::DigestSeed;
use super::{LocRib, Slot, Suppressed, Transport};
use crate::peer::PeerId;

/// See the module.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) key: GroupKey,
    encoder: UpdateEncoder,
    pub(super) members: HashMap<PeerId, Member, RandomState>,
    /// Members by the address of their session. Several may share one; then one of them is here.
    addresses: HashMap<IpAddr, PeerId, RandomState>,
    exclusions: Exclusions,
    pub(super) families: [FamilyOut; 2],
    scratch: Scratch,
}

/// What the stream has advertised in one family.
#[derive(Clone, Debug, Default)]
pub(super) struct FamilyOut {
    pub(super) adj_rib_out: AdjRibOut,
    /// The slots whose routes exceed the message size of the members. They are counted, because no policy suppressed
    /// them. At most one for each prefix, normally none.
    too_large: HashSet<Slot, RandomState>,
    /// All slots from here on are to be staged again; `None`: no walk is under way.
    pub(super) walk: Option<Slot>,
    /// Whether slots may have been skipped because their source is the only member.
    passed_by: bool,
}

impl FamilyOut {
    /// Counts a slot, or counts it no longer, after `kept_back` was decided of it.
    fn note_size(&mut self, slot: Slot, kept_back: Option<Suppressed>) {
        match kept_back {
            Some(Suppressed::TooLarge(_)) => {
                self.too_large.insert(slot);
            }
            _ if self.too_large.is_empty() => {}
            _ => {
                self.too_large.remove(&slot);
            }
        }
    }
}

impl Group {
    /// A group without members and with nothing advertised. `walk`: whether its first walk starts.
    pub(super) fn new(key: GroupKey, walk: bool) -> Self {
        let mut group = Self {
            encoder: UpdateEncoder::new(key.codec),
            key,
            members: HashMap::default(),
            addresses: HashMap::default(),
            exclusions: Exclusions::default(),
            families: Default::default(),
            scratch: Scratch::default(),
        };
        if walk {
            group.restart_walks();
        }
        group
    }

    /// A group with another key whose future members have been sent the same as this one's.
    pub(super) fn fork(&self, key: GroupKey) -> Self {
        Self {
            exclusions: self.exclusions.clone(),
            families: self.families.clone(),
            ..Self::new(key, false)
        }
    }

    /// Changes the key: advertised routes stay until the walk has compared them.
    pub(super) fn rekey(&mut self, key: GroupKey) {
        if key.codec != self.key.codec {
            self.encoder = UpdateEncoder::new(key.codec);
        }
        self.key = key;
    }

    /// Stages every slot again, in steps of `walk`.
    pub(super) fn restart_walks(&mut self) {
        for family in &mut self.families {
            family.walk = Some(Slot(0));
        }
    }

    /// A peer without a history joins: it has to be sent everything that is advertised.
    pub(super) fn join(&mut self, peer: PeerId, address: IpAddr, enhanced_refresh: bool) {
        let mut member = Member {
            address,
            enhanced_refresh,
            behind: None,
            blocked: false,
            families: Default::default(),
            receiving: false,
        };
        for (index, family) in Family::ALL.into_iter().enumerate() {
            member.families[index].end_of_rib = self.key.codec.family(family).is_some();
            if !self.families[index].adj_rib_out.is_empty() {
                member.compare(peer, index, Heard::default());
            }
        }
        self.insert(peer, member);
    }

    /// A peer moves here from another group: it has to be sent the difference.
    pub(super) fn take_over(&mut self, peer: PeerId, from: &mut Self) {
        if self.passes_by() {
            self.adopt(from);
        }
        let Some(mut member) = from.leave(peer) else {
            return;
        };
        self.let_hear_difference(peer, &mut member, from);
        self.insert(peer, member);
    }

    /// Whether the stream has skipped the routes of its only member.
    fn passes_by(&self) -> bool {
        self.families.iter().any(|family| family.passed_by)
    }

    /// Replaces the Adj-RIB-Out by another group's, which may hold more than this group's only member was sent: that
    /// member has to be sent the difference, and the walk compares everything with this group's key. So a member of the
    /// other group that moves here does not lose the routes that this group skipped, not even briefly.
    fn adopt(&mut self, from: &Self) {
        let mut members = std::mem::take(&mut self.members);
        let adopted = Self {
            addresses: std::mem::take(&mut self.addresses),
            ..from.fork(self.key.clone())
        };
        let before = std::mem::replace(self, adopted);
        for (peer, member) in &mut members {
            self.let_hear_difference(*peer, member, &before);
        }
        self.members = members;
        self.restart_walks();
    }

    fn insert(&mut self, peer: PeerId, member: Member) {
        if !self.members.is_empty() {
            for family in &mut self.families {
                if std::mem::take(&mut family.passed_by) {
                    family.walk = Some(Slot(0));
                }
            }
        }
        self.addresses.insert(member.address, peer);
        self.members.insert(peer, member);
    }

    pub(super) fn leave(&mut self, peer: PeerId) -> Option<Member> {
        let member = self.members.remove(&peer)?;
        if self.addresses.get(&member.address) == Some(&peer) {
            self.addresses.remove(&member.address);
        }
        Some(member)
    }

    /// The number of prefixes of a family that the stream has advertised to a peer.
    pub(super) fn count(&self, peer: PeerId, family: usize) -> usize {
        self.families[family].adj_rib_out.len() - self.exclusions.slots_without(peer, family)
    }

    /// How many prefixes of a family are kept back because no message to the members can hold their routes.
    pub(super) fn too_large(&self, family: usize) -> usize {
        self.families[family].too_large.len()
    }

    /// Whether a member has been sent the End-of-RIB of a family.
    pub(super) fn end_of_rib_sent(&self, peer: PeerId, family: usize) -> bool {
        let negotiated = self.key.codec.family(Family::ALL[family]).is_some();
        let member = self.members.get(&peer);
        negotiated && member.is_some_and(|member| !member.families[family].end_of_rib)
    }

    /// Whether a member is behind the stream.
    pub(super) fn is_behind(&self, peer: PeerId) -> bool {
        self.members
            .get(&peer)
            .is_some_and(|member| !member.is_in_stream())
    }

    /// A peer requests a family again.
    pub(super) fn refresh(&mut self, peer: PeerId, family: usize) {
        let Some(member) = self.members.get_mut(&peer) else {
            return;
        };
        if self.key.codec.family(Family::ALL[family]).is_none() {
            return;
        }
        match member.families[family].refresh {
            Refresh::None => member.families[family].refresh = Refresh::Wanted,
            Refresh::Wanted | Refresh::RunningAndWanted => {}
            // Once more after it. If each request restarted it, it would never end, and the group waits for it.
            Refresh::Running => member.families[family].refresh = Refresh::RunningAndWanted,
        }
    }

    /// Whether slots are to be staged again by a walk.
    pub(super) fn is_walking(&self) -> bool {
        self.families.iter().any(|family| family.walk.is_some())
    }

    /// Continues the walk of a family. Returns the number of slots evaluated.
    pub(super) fn walk<L: LocRib>(
        &mut self,
        loc_rib: &L,
        family: (usize, Family),
        budget: usize,
        seed: &DigestSeed,
    ) -> usize {
        let out = &self.families[family.0];
        let Some(from) = out.walk.filter(|_| !self.is_comparing()) else {
            return 0;
        };
        let end = loc_rib.slots(family.1).max(out.adj_rib_out.end());
        let until = end.min(from.0.saturating_add(budget as u32));
        self.stage_all(loc_rib, family, (from.0..until).map(Slot), seed);
        self.families[family.0].walk = (until < end).then_some(Slot(until));
        // The last step of a walk is a step even if it has nothing to look at.
        (until.saturating_sub(from.0) as usize).max(1)
    }

    /// Encodes what was staged and hands it to the members in the stream.
    pub(super) fn deliver_to_stream<L: LocRib, T: Transport>(
        &mut self,
        loc_rib: &L,
        family: (usize, Family),
        transport: &mut T,
    ) {
        if self.scratch.buckets.is_empty() {
            return;
        }
        for member in self.members.values_mut() {
            member.receiving = member.is_in_stream();
        }
        self.deliver(loc_rib, family, transport);
    }

    /// Hands the staged buckets to the members that are `receiving`. One whose queue is full falls behind by what it
    /// missed.
    fn deliver<L: LocRib, T: Transport>(
        &mut self,
        loc_rib: &L,
        (index, family): (usize, Family),
        transport: &mut T,
    ) {
        let Scratch {
            buckets, exported, ..
        } = &mut self.scratch;
        let mut receivers = self
            .members
            .iter_mut()
            .filter(|(_, m)| m.receiving)
            .peekable();
        if receivers.peek().is_some() {
            let pieces = buckets.encode(family, loc_rib, exported, &mut self.encoder);
            for (peer, member) in receivers {
                member.receiving = false;
                let heard = pieces.list.iter();
                for piece in heard.filter(|piece| piece.audience.includes(*peer)) {
                    if !member.blocked && transport.send(*peer, &piece.bytes).is_err() {
                        member.block();
                    }
                    if member.blocked {
                        member.fall_behind(index, pieces.slots(piece, buckets));
                    }
                }
            }
        }
        buckets.clear();
    }

    /// Forgets what was kept for one flush. Memory of an unusually large one is given back if no other follows at once.
    pub(super) fn end_flush(&mut self, another: bool) {
        if self.scratch.exported.capacity() > 1024 && !another {
            self.scratch = Scratch::default();
        } else {
            self.scratch.exported.clear();
            self.scratch.verdicts.clear();
            self.scratch.latest = None;
        }
    }

    /// Whether a member is behind.
    pub(super) fn has_behind(&self) -> bool {
        self.behind().next().is_some()
    }

    /// The members that are behind.
    pub(super) fn behind(&self) -> impl Iterator<Item = &Behind> {
        let members = self.members.values();
        members.filter_map(|member| member.behind.as_deref())
    }
}
