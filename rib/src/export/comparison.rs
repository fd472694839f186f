//! The Adj-RIBs-Out that a member still has to be compared with: it was sent the routes of another stream, or none, and
//! has to be sent the difference to its group's. A table has a million slots, so they are compared in steps.
//!
//! Invariant: for slots before the cursor without a mark, the member has been sent what the stream has advertised. For
//! other slots it has been sent that too, or what one of the earlier Adj-RIBs-Out has, if that still counts there. One
//! no longer counts for a slot once the member was compared with a later one, or was sent the slot since.

use smallvec::SmallVec;

use super::Slot;
use super::adj_rib_out::AdjRibOut;
use super::exclusion::Pairs;
use super::marks::Marks;
use super::rules::Digest;
use crate::peer::PeerId;

/// This many shared pages cost as much as one compared slot.
const PAGES_PER_STEP: usize = 16;

/// How many streams a member may have left before it was compared with the first. Then it is compared before it leaves another.
const MOST_HEARD: usize = 4;

/// What a stream has advertised in one family. Copies share their memory as long as neither changes.
#[derive(Debug, Default)]
pub(super) struct Heard {
    adj_rib_out: AdjRibOut,
    pairs: Pairs,
    /// It counts from this slot on,
    from: u32,
    /// but not for these.
    met: Marks,
}

impl Heard {
    pub(super) fn of(stream: Stream<'_>) -> Self {
        Self {
            adj_rib_out: stream.adj_rib_out.clone(),
            pairs: stream.pairs.clone(),
            ..Self::default()
        }
    }

    /// What a peer was sent for a slot; `None`: that no longer counts.
    fn told_to(&self, peer: PeerId, slot: Slot) -> Option<Option<Digest>> {
        let stream = Stream {
            adj_rib_out: &self.adj_rib_out,
            pairs: &self.pairs,
        };
        let counts = slot.0 >= self.from && !self.met.contains(slot);
        counts.then(|| stream.told_to(peer, slot))
    }
}

/// What a stream has advertised in one family so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stream<'a> {
    pub(super) adj_rib_out: &'a AdjRibOut,
    pub(super) pairs: &'a Pairs,
}

impl Stream<'_> {
    /// What it has advertised to a peer for a slot.
    pub(super) fn told_to(&self, peer: PeerId, slot: Slot) -> Option<Digest> {
        let advertised = self.adj_rib_out.get(slot)?;
        let excluded = self.pairs.resolve(advertised.exclusion);
        (!excluded.contains(peer)).then_some(advertised.digest)
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Comparison {
    peer: PeerId,
    heard: SmallVec<[Heard; 1]>,
    cursor: u32,
}

impl Comparison {
    pub(super) fn new(peer: PeerId) -> Self {
        Self {
            peer,
            heard: SmallVec::new(),
            cursor: 0,
        }
    }

    /// Whether the member should be compared before more is added.
    pub(super) fn is_full(&self) -> bool {
        self.heard.len() >= MOST_HEARD
    }

    /// The member may have been sent this too.
    pub(super) fn add(&mut self, heard: Heard) {
        // Refreshes can be asked for again and again.
        self.heard
            .retain(|one| !heard.adj_rib_out.is_empty() || !one.adj_rib_out.is_empty());
        for before in &mut self.heard {
            before.from = before.from.max(self.cursor);
        }
        self.heard.push(heard);
        self.cursor = 0;
    }

    /// Where it is.
    pub(super) const fn cursor(&self) -> Slot {
        Slot(self.cursor)
    }

    /// The member is sent what the stream has advertised for a slot.
    pub(super) fn meet(&mut self, slot: Slot) {
        if slot.0 >= self.cursor {
            for heard in &mut self.heard {
                heard.met.insert(slot);
            }
        }
    }

    /// Whether the member may need a withdrawal of a slot that is empty now.
    pub(super) fn holds(&self, slot: Slot) -> bool {
        let mut heard = self.heard.iter();
        slot.0 >= self.cursor
            && heard.any(|heard| heard.told_to(self.peer, slot).flatten().is_some())
    }

    /// Compares more slots with what the stream has advertised, and marks those that differ. Returns the work done, and
    /// whether the comparison is complete.
    pub(super) fn step(
        &mut self,
        stream: Stream<'_>,
        marks: &mut Marks,
        budget: usize,
    ) -> (usize, bool) {
        let ends = self.heard.iter().map(|heard| heard.adj_rib_out.end());
        let end = ends.fold(stream.adj_rib_out.end(), u32::max);
        let (mut used, mut alike) = (0, 0);
        while self.cursor < end {
            if used + alike / PAGES_PER_STEP >= budget {
                return (used + alike / PAGES_PER_STEP, false);
            }
            let slot = Slot(self.cursor);
            let mut heard = self.heard.iter();
            if let Some(next) = AdjRibOut::page_after(slot)
                && heard.all(|heard| heard.adj_rib_out.shares_page(stream.adj_rib_out, slot))
            {
                self.cursor = next.0;
                alike += 1;
                continue;
            }
            let now = stream.told_to(self.peer, slot);
            let mut heard = self.heard.iter();
            let differs = |heard: &Heard| heard.told_to(self.peer, slot).is_some_and(|b| b != now);
            if heard.any(differs) {
                marks.insert(slot);
            }
            self.cursor += 1;
            used += 1;
        }
        (used + alike / PAGES_PER_STEP + 1, true)
    }
}
