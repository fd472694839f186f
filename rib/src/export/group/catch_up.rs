//! Members that are behind the stream: they are sent what it has advertised for their marked slots, until no mark is
//! left.

use bgp::types::Family;

use super::super::exclusion::Excluded;
use super::super::marks::{Dirty, Marks};
use super::super::member::Member;
use super::super::pack::Audience;
use super::super::rules::DigestSeed;
use super::super::{LocRib, Slot, Transport};
use super::Group;
use crate::peer::PeerId;

/// Slots that one round of catching up stages together: enough for good packing, little enough to be quick.
const CATCH_UP_ROUND: usize = 4096;

impl Group {
    /// Sends members that are behind, and whose queues have space, what the stream has advertised for their marked
    /// slots. Returns the number of slots processed.
    ///
    /// A slot whose route differs from what the stream has advertised is about to be staged: it is marked dirty to be
    /// sure, and its mark stays. `withdrawn` receives the slots that were withdrawn from members.
    pub(in crate::export) fn catch_up<L: LocRib, T: Transport>(
        &mut self,
        loc_rib: &L,
        family: (usize, Family),
        transport: &mut T,
        budget: usize,
        (dirty, withdrawn): (&mut Dirty, &mut Marks),
        seed: &DigestSeed,
    ) -> usize {
        let (index, _) = family;
        let waits = |member: &Member| {
            let behind = member.behind.as_ref().filter(|_| !member.blocked);
            behind.is_some_and(|behind| !behind.marks[index].is_empty())
        };
        let leaders: Vec<PeerId> = self
            .members
            .iter()
            .filter(|(_, member)| waits(member))
            .map(|(peer, _)| *peer)
            .collect();
        let end = self.compared_up_to(index).unwrap_or(Slot(u32::MAX));
        let mut looked_at = 0;
        let mut round = Vec::new();
        for leader in leaders {
            let mut cursor = Slot(0);
            while looked_at < budget {
                let limit = (budget - looked_at).min(CATCH_UP_ROUND);
                self.choose_round(leader, index, (cursor, end), limit, &mut round);
                let Some(last) = round.last() else {
                    break;
                };
                cursor = Slot(last.0 + 1);
                looked_at += round.len();
                self.stage_round(loc_rib, family, &round, (dirty, withdrawn), seed);
                self.deliver(loc_rib, family, transport);
            }
        }
        looked_at
    }

    /// Picks the next marked slots of a member before `end`, and makes those members `receiving` that are marked for all of them.
    fn choose_round(
        &mut self,
        leader: PeerId,
        family: usize,
        (cursor, end): (Slot, Slot),
        limit: usize,
        round: &mut Vec<Slot>,
    ) {
        round.clear();
        let Some(marks) = self.members.get(&leader).and_then(|member| {
            let behind = member.behind.as_ref().filter(|_| !member.blocked)?;
            Some(&behind.marks[family])
        }) else {
            return;
        };
        let mut at = cursor;
        let next = |at| marks.next_from(at).filter(|slot| *slot < end);
        while let Some(slot) = next(at).filter(|_| round.len() < limit) {
            round.push(slot);
            at = Slot(slot.0 + 1);
        }
        for member in self.members.values_mut() {
            let behind = member.behind.as_ref().filter(|_| !member.blocked);
            member.receiving = behind.is_some_and(|behind| {
                round
                    .iter()
                    .all(|slot| behind.marks[family].contains(*slot))
            });
        }
    }

    /// Stages what the stream has advertised for these slots for the members in `receiving`, and clears their marks.
    fn stage_round<L: LocRib>(
        &mut self,
        loc_rib: &L,
        (index, family): (usize, Family),
        round: &[Slot],
        (dirty, withdrawn): (&mut Dirty, &mut Marks),
        seed: &DigestSeed,
    ) {
        let mut heard = Vec::with_capacity(round.len());
        for slot in round {
            let slot = *slot;
            match self.families[index].adj_rib_out.get(slot) {
                None => {
                    let everyone = Audience::AllBut(Excluded::default());
                    self.scratch.buckets.withdraw(everyone, slot);
                    withdrawn.insert(slot);
                }
                Some(advertised) => {
                    let excluded = self.exclusions.resolve(advertised.exclusion);
                    let best = loc_rib.best(family, slot);
                    let now = self.evaluate(loc_rib, family, slot, best, seed);
                    let current = now.ok().filter(|(number, who)| {
                        self.scratch.exported[*number as usize].digest == advertised.digest
                            && *who == excluded
                    });
                    let Some((number, _)) = current else {
                        dirty.insert(slot);
                        continue;
                    };
                    let members = &self.members;
                    let excluded = excluded
                        .filter(|peer| members.get(&peer).is_some_and(|member| member.receiving));
                    let buckets = &mut self.scratch.buckets;
                    buckets.announce(advertised.digest, number, Audience::AllBut(excluded), slot);
                    for peer in excluded.iter() {
                        buckets.withdraw(Audience::Only(peer), slot);
                    }
                }
            }
            heard.push(slot);
        }
        for member in self.members.values_mut().filter(|m| m.receiving) {
            if let Some(behind) = &mut member.behind {
                heard.iter().for_each(|slot| behind.hear(index, *slot));
            }
        }
    }
}
