//! One update group: stages changes, encodes them once, hands them to its members.
//!
//! The *stream* is what all members hear at once. What it has told of each slot is in `told`. Members that joined late,
//! asked for a refresh, or whose queue was full are *behind*: they have marks on the slots that they must hear of, and
//! [`Group::catch_up`] tells them what the stream has told, until no mark is left. Members that must hear of the same slots
//! share that work too.
//!
//! What always holds between two steps: a member in the stream has been told exactly `told` (but for what it is excluded
//! from); a member behind, exactly `told` of every slot without a mark.
//!
//! A member that is alone is not told what it told us, so the stream passes such slots by: a node's group of one router costs
//! nothing for the table that comes from there. When it is alone no longer, all slots are looked at once more.

mod catch_up;
mod compare;

use std::collections::BTreeSet;
use std::net::IpAddr;

use bgp::types::Family;
use bgp::wire::{RouteRefresh, RouteRefreshSubtype, UpdateEncoder};
use bytes::Bytes;
use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};
use smallvec::SmallVec;

use super::comparison::Heard;
use super::exclusion::{Excluded, Exclusions};
use super::hold::Hold;
use super::key::GroupKey;
use super::member::{Behind, Member, MemberFamily, Refresh};
use super::pack::{Audience, Buckets};
use super::rules::{DigestSeed, Exported};
use super::told::{Told, ToldSlots};
use super::{Best, Full, LocRib, Slot, Suppressed, Transport};
use crate::attrs::AttrId;
use crate::peer::{PeerId, PeerKind};
use crate::policy::Signature;

/// Slots that are looked at together before the first is acted on: each look waits for memory, and these wait at once.
const TOGETHER: usize = 32;

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

/// What the stream has told of one family.
#[derive(Clone, Debug, Default)]
pub(super) struct FamilyOut {
    pub(super) told: ToldSlots,
    /// The slots whose routes fit into no message to the members: nobody asked for them to be kept back, so they are counted.
    /// At most one for each prefix, and none where all is well.
    too_large: HashSet<Slot, RandomState>,
    /// All slots from here on are to be staged again; `None`: no walk is under way.
    pub(super) walk: Option<Slot>,
    /// Whether slots may have been passed by since their source is the only member.
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

/// What verdicts are kept by within a flush. The family, because IPv4 and IPv6 routes can share attributes and next hop
/// (RFC 8950); for routes of internal peers also the source, whose identifier may become ORIGINATOR_ID.
type VerdictKey = (AttrId, Family, Option<PeerId>, Signature);

/// Kept from step to step of one flush: within it attribute numbers do not change their meaning.
#[derive(Debug, Default)]
struct Scratch {
    verdicts: HashMap<VerdictKey, Result<u32, Suppressed>, RandomState>,
    exported: Vec<Exported>,
    /// The latest verdict that no prefix plays a part in. Routes of one attribute set come in runs.
    latest: Option<Latest>,
    buckets: Buckets,
    /// Slots of which something else was told than before, for members that are behind.
    touched: Vec<Slot>,
}

/// What the members are told of routes of a peer with these attributes.
#[derive(Clone, Copy, Debug)]
struct Latest {
    attributes: AttrId,
    family: Family,
    peer: PeerId,
    verdict: Result<(u32, Excluded), Suppressed>,
}

/// A slot that is to be staged: its best route, and what was told of it.
struct Look<'a> {
    slot: Slot,
    best: Option<Best<'a>>,
    told: Option<Told>,
}

impl Look<'_> {
    /// Looks at the attributes, so that they are in the cache soon. What comes back is to be kept from being optimized away,
    /// and says nothing.
    fn touch<L: LocRib>(&self, loc_rib: &L) -> u8 {
        let Some(Best::Learned { attributes, .. }) = self.best else {
            return 0;
        };
        let set = loc_rib.route_attributes(attributes).set;
        set.as_bytes().first().copied().unwrap_or_default()
    }
}

impl Group {
    /// A group without members that was told nothing. `walk`: whether it begins to be.
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

    /// A group with another key whose future members have been told what this one's were.
    pub(super) fn fork(&self, key: GroupKey) -> Self {
        Self {
            exclusions: self.exclusions.clone(),
            families: self.families.clone(),
            ..Self::new(key, false)
        }
    }

    /// Changes the key: what was told stays told until the walk has compared it.
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

    /// A peer without a history joins: it has to hear all that was told.
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
            if !self.families[index].told.is_empty() {
                member.compare(peer, index, Heard::default());
            }
        }
        self.insert(peer, member);
    }

    /// A peer moves here from a group: it has to hear the difference.
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

    /// Whether the stream has passed by what its only member told us.
    fn passes_by(&self) -> bool {
        self.families.iter().any(|family| family.passed_by)
    }

    /// What the stream has told becomes what another's has, which may be more than this group's only member was told: that
    /// one has to hear the difference, and the walk compares all with this group's key. So a member of the other group that
    /// moves here, and was told what this group passed by, does not lose it for a moment.
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

    /// How many prefixes of a family the stream has told a peer.
    pub(super) fn count(&self, peer: PeerId, family: usize) -> usize {
        self.families[family].told.len() - self.exclusions.slots_without(peer, family)
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

    /// A peer wants to hear a family again.
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
            // Once more after it. Begun anew each time, it would never end, and the group waits for it.
            Refresh::Running => member.families[family].refresh = Refresh::RunningAndWanted,
        }
    }

    /// What the members are told of a slot with this best route, as a number in `scratch.exported`, and who is not.
    fn evaluate<L: LocRib>(
        &mut self,
        loc_rib: &L,
        family: Family,
        slot: Slot,
        best: Option<Best<'_>>,
        seed: &DigestSeed,
    ) -> Result<(u32, Excluded), Suppressed> {
        let best = best.ok_or(Suppressed::NoRoute)?;
        let depends_on_prefix = self.key.export.depends_on_prefix();
        if let (Best::Learned { peer, attributes }, Some(latest)) = (best, self.scratch.latest)
            && (latest.attributes, latest.family, latest.peer) == (attributes, family, peer)
            && !depends_on_prefix
        {
            return latest.verdict;
        }
        let verdict = self.evaluate_anew(loc_rib, family, slot, best, seed);
        if let Best::Learned { peer, attributes } = best {
            self.scratch.latest = Some(Latest {
                attributes,
                family,
                peer,
                verdict,
            });
        }
        verdict
    }

    fn evaluate_anew<L: LocRib>(
        &mut self,
        loc_rib: &L,
        family: Family,
        slot: Slot,
        best: Best<'_>,
        seed: &DigestSeed,
    ) -> Result<(u32, Excluded), Suppressed> {
        let Scratch {
            verdicts, exported, ..
        } = &mut self.scratch;
        let (number, source) = match best {
            Best::Originated(originated) => {
                exported.push(self.key.originated(originated, seed)?);
                (exported.len() as u32 - 1, None)
            }
            Best::Learned { peer, attributes } => {
                let prefix = loc_rib.prefix(family, slot).ok_or(Suppressed::NoRoute)?;
                let from = loc_rib.source(peer);
                let by = (from.kind != PeerKind::External).then_some(peer);
                let signature = self.key.export.signature(prefix);
                let key = (attributes, family, by, signature);
                let verdict = verdicts.entry(key).or_insert_with(|| {
                    let route = loc_rib.route_attributes(attributes);
                    let told = self.key.learned(prefix, route, from, seed)?;
                    exported.push(told);
                    Ok(exported.len() as u32 - 1)
                });
                ((*verdict)?, Some(peer))
            }
        };
        let excluded = self.excluded(&self.scratch.exported[number as usize], source);
        Ok((number, excluded))
    }

    /// Who is not told a route: its source, and the member that is its next hop.
    pub(super) fn excluded(&self, told: &Exported, source: Option<PeerId>) -> Excluded {
        let owner = told
            .third_party
            .then(|| self.addresses.get(&told.next_hop.address()).copied())
            .flatten();
        Excluded::new(source, owner)
    }

    /// Compares what is to be told of slots with what was, and stages the difference for the stream. To be delivered
    /// before anything else is done.
    pub(super) fn stage_all<L: LocRib>(
        &mut self,
        loc_rib: &L,
        family: (usize, Family),
        slots: impl Iterator<Item = Slot>,
        seed: &DigestSeed,
    ) {
        // Looked at once, not for each slot: a group may have a thousand members and seldom one that is behind.
        let behind = self.has_behind();
        let alone = self.members.keys().next().copied();
        let alone = alone.filter(|_| self.members.len() == 1);
        let mut passed_by = false;
        let mut slots = slots.peekable();
        while slots.peek().is_some() {
            let told = &self.families[family.0].told;
            let looks: SmallVec<[Look<'_>; TOGETHER]> = slots
                .by_ref()
                .take(TOGETHER)
                .map(|slot| Look {
                    slot,
                    best: loc_rib.best(family.1, slot),
                    told: told.get(slot),
                })
                .map(|look| match look.best {
                    Some(Best::Learned { peer, .. }) if Some(peer) == alone => {
                        passed_by = true;
                        Look { best: None, ..look }
                    }
                    _ => look,
                })
                .collect();
            std::hint::black_box(looks.iter().fold(0, |sum, look| sum ^ look.touch(loc_rib)));
            for look in looks {
                self.stage(loc_rib, family, look, behind, seed);
            }
        }
        self.families[family.0].passed_by |= passed_by;
        if behind {
            // Member by member: most are not behind, and none of those is to be looked at for each slot.
            let touched = std::mem::take(&mut self.scratch.touched);
            let members = self.members.values_mut();
            for behind in members.filter_map(|member| member.behind.as_mut()) {
                for slot in &touched {
                    behind.marks[family.0].insert(*slot);
                }
            }
        }
    }

    /// `behind`: whether any member is.
    fn stage<L: LocRib>(
        &mut self,
        loc_rib: &L,
        family: (usize, Family),
        look: Look<'_>,
        behind: bool,
        seed: &DigestSeed,
    ) {
        let (index, family) = family;
        let (slot, old) = (look.slot, look.told);
        let new = self.evaluate(loc_rib, family, slot, look.best, seed);
        self.families[index].note_size(slot, new.err());
        let new = new.ok();
        if new.is_none() && old.is_none() {
            return;
        }
        let old = old.map(|told| (told, self.exclusions.resolve(told.exclusion)));
        let new = new.map(|(number, excluded)| {
            let digest = self.scratch.exported[number as usize].digest;
            (number, digest, excluded)
        });
        let same = match (&old, &new) {
            (Some((told, before)), Some((_, digest, after))) => {
                if told.digest == *digest && before == after {
                    return;
                }
                told.digest == *digest
            }
            _ => false,
        };
        // What was released first might be taken again by the same pair.
        let told = new.map(|(_, digest, excluded)| Told {
            digest,
            exclusion: self.exclusions.acquire(excluded, index),
        });
        if let Some((told, _)) = &old {
            self.exclusions.release(told.exclusion, index);
        }
        self.families[index].told.set(slot, told);
        if behind {
            self.scratch.touched.push(slot);
        }

        let members = &self.members;
        let receiving = |excluded: Excluded| {
            excluded.filter(|peer| members.get(&peer).is_some_and(Member::is_in_stream))
        };
        let before = old.map(|(_, excluded)| receiving(excluded));
        let buckets = &mut self.scratch.buckets;
        match (before, new) {
            (Some(before), None) => buckets.withdraw(Audience::AllBut(before), slot),
            (before, Some((number, digest, after))) => {
                let after = receiving(after);
                if same {
                    // Only who hears of it changed: the new source gets a withdrawal, the old one the route.
                    let before = before.unwrap_or_default();
                    for peer in before.iter().filter(|peer| !after.contains(*peer)) {
                        buckets.announce(digest, number, Audience::Only(peer), slot);
                    }
                } else {
                    buckets.announce(digest, number, Audience::AllBut(after), slot);
                }
                if let Some(before) = before {
                    for peer in after.iter().filter(|peer| !before.contains(*peer)) {
                        buckets.withdraw(Audience::Only(peer), slot);
                    }
                }
            }
            (None, None) => {}
        }
    }

    /// Whether slots are to be staged again by a walk.
    pub(super) fn is_walking(&self) -> bool {
        self.families.iter().any(|family| family.walk.is_some())
    }

    /// Goes on with the walk of a family. Returns how many slots it looked at.
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
        let end = loc_rib.slots(family.1).max(out.told.end());
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

    /// Sends what stands between routes: End-of-RIB, the borders of refreshes; lets members that caught up join the
    /// stream. `settled`: whether nothing of what is known is to come any more, per family; `hold`: whose End-of-RIB waits
    /// for more; `postponed`: who is about to move to another group. Returns how much was done.
    pub(super) fn settle<T: Transport>(
        &mut self,
        transport: &mut T,
        settled: [bool; 2],
        hold: &Hold,
        postponed: &BTreeSet<PeerId>,
    ) -> usize {
        let mut done = 0;
        for (peer, member) in &mut self.members {
            // Whoever is about to move has not heard all that it is to hear.
            if member.blocked || postponed.contains(peer) {
                continue;
            }
            let kept = hold.keeps(&self.key, *peer);
            for (index, family) in Family::ALL.into_iter().enumerate() {
                let out = &self.families[index];
                let sent = settle_family(
                    member,
                    (*peer, index, family),
                    settled[index] && out.walk.is_none() && !kept,
                    &mut |message| transport.send(*peer, &message),
                    &mut self.encoder,
                );
                match sent {
                    Ok(steps) => done += steps,
                    Err(Full) => {
                        member.block();
                        break;
                    }
                }
            }
            let caught_up = member.behind.as_deref().is_some_and(Behind::is_caught_up);
            if caught_up && !member.blocked {
                member.behind = None;
            }
        }
        done
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

/// The part of [`Group::settle`] that concerns one family of a member. Returns how many steps were done.
fn settle_family(
    member: &mut Member,
    (peer, index, family): (PeerId, usize, Family),
    settled: bool,
    send: &mut dyn FnMut(Bytes) -> Result<(), Full>,
    encoder: &mut UpdateEncoder,
) -> Result<usize, Full> {
    let owed: MemberFamily = member.families[index];
    let caught_up = member
        .behind
        .as_ref()
        .is_none_or(|behind| behind.has_heard(index));
    let border = |subtype| RouteRefresh { family, subtype }.encode();
    let mut done = 0;
    if let Refresh::Running | Refresh::RunningAndWanted = owed.refresh
        && caught_up
    {
        if member.enhanced_refresh {
            send(border(RouteRefreshSubtype::End))?;
        }
        member.families[index].refresh = match owed.refresh {
            Refresh::RunningAndWanted => Refresh::Wanted,
            _ => Refresh::None,
        };
        done += 1;
    }
    if owed.end_of_rib && caught_up && settled {
        send(encoder.end_of_rib(family))?;
        member.families[index].end_of_rib = false;
        done += 1;
    }
    // RFC 7313 section 4: no refresh begins before the End-of-RIB of the initial dump.
    let has_begun = member.families[index].end_of_rib || member.has_to_be_compared();
    if owed.refresh == Refresh::Wanted && !has_begun {
        if member.enhanced_refresh {
            send(border(RouteRefreshSubtype::Begin))?;
        }
        member.families[index].refresh = Refresh::Running;
        member.compare(peer, index, Heard::default());
        done += 1;
    }
    Ok(done)
}
