//! Stages slots: compares what is to be advertised of each with what was, and puts the difference into buckets.

use bgp::types::Family;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use smallvec::SmallVec;

use super::super::adj_rib_out::AdvertisedRoute;
use super::super::exclusion::Excluded;
use super::super::member::Member;
use super::super::pack::{Audience, Buckets};
use super::super::rules::{DigestSeed, Exported};
use super::super::{Best, LocRib, Slot, Suppressed};
use super::Group;
use crate::attrs::AttrId;
use crate::peer::{PeerId, PeerKind};
use crate::policy::Signature;

/// Slots that are loaded together before the first is processed: each load waits for memory, and these wait in
/// parallel.
const TOGETHER: usize = 32;

/// What verdicts are kept by within a flush. The family, because IPv4 and IPv6 routes can share attributes and next hop
/// (RFC 8950); for routes of internal peers also the source, whose identifier may become ORIGINATOR_ID.
pub(super) type VerdictKey = (AttrId, Family, Option<PeerId>, Signature);

/// Kept from step to step of one flush: within it attribute numbers do not change their meaning.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub(super) verdicts: HashMap<VerdictKey, Result<u32, Suppressed>, RandomState>,
    pub(super) exported: Vec<Exported>,
    /// The latest verdict that does not depend on the prefix. Routes of one attribute set arrive in runs.
    pub(super) latest: Option<Latest>,
    pub(super) buckets: Buckets,
    /// Slots whose advertised route changed, for members that are behind.
    pub(super) touched: Vec<Slot>,
}

/// What is advertised to the members for routes of a peer with these attributes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Latest {
    attributes: AttrId,
    family: Family,
    peer: PeerId,
    verdict: Result<(u32, Excluded), Suppressed>,
}

/// A slot that is to be staged: its best route, and what was advertised for it.
struct Look<'a> {
    slot: Slot,
    best: Option<Best<'a>>,
    advertised: Option<AdvertisedRoute>,
}

impl Look<'_> {
    /// Reads the attributes, to load them into the cache. The result has no meaning; it keeps the read from being
    /// optimized away.
    fn touch<L: LocRib>(&self, loc_rib: &L) -> u8 {
        let Some(Best::Learned { attributes, .. }) = self.best else {
            return 0;
        };
        let set = loc_rib.route_attributes(attributes).set;
        set.as_bytes().first().copied().unwrap_or_default()
    }
}

impl Group {
    /// What is advertised to the members for a slot with this best route, as a number in `scratch.exported`, and the
    /// excluded members.
    pub(super) fn evaluate<L: LocRib>(
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
                    let advertised = self.key.learned(prefix, route, from, seed)?;
                    exported.push(advertised);
                    Ok(exported.len() as u32 - 1)
                });
                ((*verdict)?, Some(peer))
            }
        };
        let excluded = self.excluded(&self.scratch.exported[number as usize], source);
        Ok((number, excluded))
    }

    /// The members excluded from a route: its source, and the one that is its next hop.
    pub(in crate::export) fn excluded(
        &self,
        advertised: &Exported,
        source: Option<PeerId>,
    ) -> Excluded {
        let owner = advertised
            .third_party
            .then(|| self.addresses.get(&advertised.next_hop.address()).copied())
            .flatten();
        Excluded::new(source, owner)
    }

    /// Compares what slots should advertise with what was advertised, and stages the difference for the stream. It must
    /// be delivered before anything else is done.
    pub(in crate::export) fn stage_all<L: LocRib>(
        &mut self,
        loc_rib: &L,
        family: (usize, Family),
        slots: impl Iterator<Item = Slot>,
        seed: &DigestSeed,
    ) {
        // Checked once, not for each slot: a group may have a thousand members and seldom one that is behind.
        let behind = self.has_behind();
        let alone = self.members.keys().next().copied();
        let alone = alone.filter(|_| self.members.len() == 1);
        let mut passed_by = false;
        let mut slots = slots.peekable();
        while slots.peek().is_some() {
            let advertised = &self.families[family.0].adj_rib_out;
            let looks: SmallVec<[Look<'_>; TOGETHER]> = slots
                .by_ref()
                .take(TOGETHER)
                .map(|slot| Look {
                    slot,
                    best: loc_rib.best(family.1, slot),
                    advertised: advertised.get(slot),
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
            // Member by member: most are not behind, and those must not cost anything for each slot.
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
        let (slot, old) = (look.slot, look.advertised);
        let new = self.evaluate(loc_rib, family, slot, look.best, seed);
        self.families[index].note_size(slot, new.err());
        let new = new.ok();
        if new.is_none() && old.is_none() {
            return;
        }
        let old = old.map(|advertised| (advertised, self.exclusions.resolve(advertised.exclusion)));
        let new = new.map(|(number, excluded)| {
            let digest = self.scratch.exported[number as usize].digest;
            (number, digest, excluded)
        });
        let same = match (&old, &new) {
            (Some((advertised, before)), Some((_, digest, after))) => {
                if advertised.digest == *digest && before == after {
                    return;
                }
                advertised.digest == *digest
            }
            _ => false,
        };
        // What was released first might be taken again by the same pair.
        let advertised = new.map(|(_, digest, excluded)| AdvertisedRoute {
            digest,
            exclusion: self.exclusions.acquire(excluded, index),
        });
        if let Some((advertised, _)) = &old {
            self.exclusions.release(advertised.exclusion, index);
        }
        self.families[index].adj_rib_out.set(slot, advertised);
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
                    // Only the excluded members changed: the new source is sent a withdrawal, the old one the route.
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
}
