//! Adj-RIB-In and Loc-RIB of one family, in one table.
//!
//! Every received path is kept, rejected ones with the reason, so that policies can be run again without asking the peer
//! (soft reconfiguration). A path is 12 bytes, and the first one lies in its prefix's entry. Where import changed the
//! attributes, the announced ones stand beside in `originals`.
//!
//! An entry's slot number stays while the entry lives: queues, walks and the Adj-RIB-Out hold slots. An entry goes when
//! it has no paths, the FIB took its last change, and export retired its slot.
//!
//! What always holds between two calls: the selected paths come first in an entry's list, the best one foremost, as the
//! decision process would select them now, except where a walk is under way that will come by ([`Table::walk`]). The
//! table counts as user of every set in a path and in `originals`.

mod adj_rib_in;
mod decision;
mod edit;
mod filter;
mod generations;
mod import;
mod index;
mod limits;
mod originated;
mod path;
mod path_status;
#[cfg(test)]
mod tests;
mod update;
mod view;
mod walk;

pub(crate) use adj_rib_in::{AdjRibIn, ImportContext};
pub use adj_rib_in::{LimitOf, RefusedFor};
pub(crate) use decision::Options;
pub use path_status::{PathStatus, Rejection, Rule};
pub use view::{PathView, RouteView};

use bgp::types::{Nlri, PathId, RoutePrefix};
use bgp::wire::attribute::AttributeCode;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use smallvec::SmallVec;

pub(crate) use self::adj_rib_in::LimitReport;
use self::adj_rib_in::Round;
use self::decision::{Candidate, Candidates, Decision};
use self::generations::Generations;
use self::index::{Index, LookedUp};
pub(crate) use self::path::AdjRibInId;
use self::path::{EXPORT_HOLDS, Entry, FIB_QUEUED, Lists, Path};
use crate::attrs::{AttrId, AttrInterner, ChangedNextHops};
use crate::fifo::Fifo;
use crate::originate::Originated;
use crate::peer::PeerId;
use crate::slab::Slab;

/// Which path of a table the announced attributes in `originals` belong to.
type PathKey = (u32, AdjRibInId, PathId);

/// See the module.
pub(crate) struct Table<P> {
    entries: Slab<Entry<P>>,
    lists: Lists,
    index: Index,
    originals: HashMap<PathKey, AttrId, RandomState>,
    /// The place of [`AdjRibInId::LOCAL`] is always empty.
    sources: Vec<Option<AdjRibIn>>,
    /// The sources of a peer that are not gone, the newest last. Never empty.
    by_peer: HashMap<PeerId, Generations, RandomState>,
    originated: HashMap<P, Originated, RandomState>,
    options: Options,
    /// Whether anyone takes changes for the FIB.
    fib: bool,
    /// Slots that changed for the FIB, each once. Bounded by the number of slots.
    fib_queue: Fifo<u32>,
    /// Slots whose best path changed since the facade took them; taken after every call.
    changed: Vec<u32>,
    /// Walking: see [`Table::walk`].
    cursor: u32,
    /// The sources with a round under way, each once: there may be thousands without.
    walking: Vec<AdjRibInId>,
    /// The FIB is to hear of everything from this slot on.
    refill: Option<u32>,
    everything: Option<Round>,
    changed_next_hops: Option<(ChangedNextHops, Round)>,
    /// Prefixes with a best path.
    usable: usize,
    /// Peers whose limit was exceeded, to be told.
    limit_reports: Vec<(PeerId, LimitReport)>,
}

/// What the outside sees of a selection: compared before and after a change.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Selection {
    best: Option<(AttrId, AdjRibInId, PathId)>,
    /// Differs if the FIB would hold something else.
    forwarding: u64,
}

impl Selection {
    /// That of a prefix without a usable path.
    const NOTHING: Self = Self {
        best: None,
        forwarding: 0,
    };
}

impl<P: RoutePrefix> Table<P> {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            entries: Slab::default(),
            lists: Lists::default(),
            index: Index::default(),
            originals: HashMap::default(),
            sources: vec![None],
            by_peer: HashMap::default(),
            originated: HashMap::default(),
            options,
            fib: true,
            fib_queue: Fifo::default(),
            changed: Vec::new(),
            cursor: 0,
            walking: Vec::new(),
            refill: None,
            everything: None,
            changed_next_hops: None,
            usable: 0,
            limit_reports: Vec::new(),
        }
    }

    pub(crate) fn source(&self, id: AdjRibInId) -> Option<&AdjRibIn> {
        self.sources.get(usize::from(id.0))?.as_ref()
    }

    pub(crate) fn source_mut(&mut self, id: AdjRibInId) -> Option<&mut AdjRibIn> {
        self.sources.get_mut(usize::from(id.0))?.as_mut()
    }

    /// The newest source of a peer: that of its session, or of the last one while it is retained.
    pub(crate) fn source_of(&self, peer: PeerId) -> Option<(AdjRibInId, &AdjRibIn)> {
        let id = *self.by_peer.get(&peer)?.last()?;
        Some((id, self.source(id)?))
    }

    /// All generations of what a peer sent, but those that are gone.
    pub(crate) fn sources_of(&self, peer: PeerId) -> impl Iterator<Item = (AdjRibInId, &AdjRibIn)> {
        let generations = self.by_peer.get(&peer).into_iter().flatten();
        generations.filter_map(|id| Some((*id, self.source(*id)?)))
    }

    /// Looks for prefixes that are to be announced or withdrawn.
    pub(crate) fn look_up<'a>(
        &self,
        prefixes: &'a [Nlri<P>],
        attrs: &AttrInterner,
    ) -> LookedUp<'a, P> {
        let found = self.index.look_up(prefixes, &self.entries);
        // What is replaced is compared and given back: that attribute set had better be in the cache too.
        let entries = found.seen().filter_map(|slot| self.entries.get(slot));
        let replaced = entries.filter_map(|entry| entry.paths(&self.lists).first());
        let touched = replaced.map(|path| attrs.touch(path.attr));
        std::hint::black_box(touched.fold(0, u32::wrapping_add));
        found
    }

    /// Slots whose best path changed, for export. Their entries stay until [`Table::retire`].
    pub(crate) fn take_changed(&mut self, mut each: impl FnMut(u32)) {
        for slot in self.changed.drain(..) {
            each(slot);
        }
        if self.changed.capacity() > 4096 {
            self.changed = Vec::new();
        }
    }

    pub(crate) fn take_limit_reports(&mut self) -> Vec<(PeerId, LimitReport)> {
        std::mem::take(&mut self.limit_reports)
    }

    /// The usable ones among the paths of an entry.
    fn candidates(&self, entry: &Entry<P>, attrs: &AttrInterner) -> Candidates {
        let paths = entry.paths(&self.lists).iter().enumerate();
        paths
            .filter_map(|(place, path)| self.candidate(place, path, attrs))
            .collect()
    }

    fn candidate(&self, place: usize, path: &Path, attrs: &AttrInterner) -> Option<Candidate> {
        if path.rejection().is_some() {
            return None;
        }
        let summary = *attrs.summary(path.attr);
        let mut candidate = Candidate {
            place,
            attr: path.attr,
            summary,
            local: true,
            external: false,
            metric: 0,
            peer_id: 0,
            address: std::net::Ipv4Addr::UNSPECIFIED.into(),
            path_id: path.path_id,
            lost: None,
        };
        if path.source == AdjRibInId::LOCAL {
            return Some(candidate);
        }
        let source = self.source(path.source)?;
        if source.gone {
            return None;
        }
        let context = &source.context;
        let resolution = attrs
            .next_hops
            .resolution(summary.next_hop, context.interface);
        let resolution = resolution.filter(|resolution| context.reaches(Some(resolution)))?;
        candidate.local = false;
        candidate.external = context.is_external();
        candidate.metric = resolution.metric;
        candidate.peer_id = context.id.0;
        candidate.address = context.address;
        Some(candidate)
    }

    fn decide(&self, candidates: &mut Candidates, attrs: &AttrInterner) -> Option<Decision> {
        decision::decide(candidates, &self.options, |a, b| {
            let (a, b) = (attrs.get(a).set, attrs.get(b).set);
            a.find(AttributeCode::AS_PATH) == b.find(AttributeCode::AS_PATH)
        })
    }

    fn selection(&self, entry: &Entry<P>, attrs: &AttrInterner) -> Selection {
        let selected = &entry.paths(&self.lists)[..usize::from(entry.selected)];
        let best = selected.first();
        let forwarding = selected.iter().fold(selected.len() as u64, |sum, path| {
            let next_hop = match path.source {
                // Never the index of a next hop: local routes are not forwarded by what we learn.
                AdjRibInId::LOCAL => u64::MAX,
                _ => u64::from(attrs.summary(path.attr).next_hop.0),
            };
            let interface = self
                .source(path.source)
                .and_then(|source| source.context.interface)
                .unwrap_or(0);
            let way = next_hop ^ u64::from(interface) << 32 ^ u64::from(path.weight()) << 54;
            (sum ^ way)
                .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                .rotate_left(23)
        });
        Selection {
            best: best.map(|path| (path.attr, path.source, path.path_id)),
            forwarding,
        }
    }

    /// Decides about a slot again and notes what changed since `before`. Frees the entry if nothing is left of it.
    fn settle(&mut self, slot: u32, before: Selection, attrs: &AttrInterner) {
        let Some(entry) = self.entries.get(slot) else {
            return;
        };
        let decision = match entry.paths(&self.lists) {
            [] => None,
            [only] => self.candidate(0, only, attrs).map(|_| Decision::only()),
            _ => self.decide(&mut self.candidates(entry, attrs), attrs),
        };
        let Some(entry) = self.entries.get_mut(slot) else {
            return;
        };
        self.usable -= usize::from(entry.selected > 0);
        match decision {
            None => {
                entry.selected = 0;
                entry.rule = Rule::OnlyPath;
            }
            Some(decision) => {
                entry.rule = decision.rule;
                entry.selected = decision.selected.len() as u8;
                bring_forward(entry.paths_mut(&mut self.lists), &decision.selected);
            }
        }
        self.usable += usize::from(entry.selected > 0);
        let selected = usize::from(entry.selected);
        for (place, path) in entry.paths_mut(&mut self.lists).iter_mut().enumerate() {
            let is_selected = place < selected;
            if path.is_selected() != is_selected {
                path.set_selected(is_selected);
                if let Some(source) = &mut self.sources[usize::from(path.source.0)] {
                    source.selected += u32::from(is_selected);
                    source.selected -= u32::from(!is_selected);
                }
            }
        }
        self.note_changes(slot, before, attrs);
        self.free_if_empty(slot);
    }

    fn note_changes(&mut self, slot: u32, before: Selection, attrs: &AttrInterner) {
        let Some(entry) = self.entries.get(slot) else {
            return;
        };
        let after = self.selection(entry, attrs);
        if after.best != before.best {
            self.changed_for_export(slot);
        }
        if after.forwarding != before.forwarding {
            self.changed_for_fib(slot);
        }
    }

    fn changed_for_export(&mut self, slot: u32) {
        if let Some(entry) = self.entries.get_mut(slot) {
            entry.marks |= EXPORT_HOLDS;
            self.changed.push(slot);
        }
    }

    fn changed_for_fib(&mut self, slot: u32) {
        if self.fib
            && let Some(entry) = self.entries.get_mut(slot)
            && entry.marks & FIB_QUEUED == 0
        {
            entry.marks |= FIB_QUEUED;
            self.fib_queue.push_back(slot);
        }
    }

    fn free_if_empty(&mut self, slot: u32) {
        let Some(entry) = self.entries.get(slot) else {
            return;
        };
        if entry.marks == 0 && entry.paths(&self.lists).is_empty() {
            let prefix = entry.prefix;
            self.index.remove(prefix, slot);
            self.entries.remove(slot);
        }
    }

    /// Export tells nobody of the slot any more, which it found without a best path.
    pub(crate) fn retire(&mut self, slot: u32) {
        if let Some(entry) = self.entries.get_mut(slot)
            && entry.selected == 0
        {
            entry.marks &= !EXPORT_HOLDS;
            self.free_if_empty(slot);
        }
    }
}

/// Moves the paths at these places to the front, in this order. The others keep theirs.
fn bring_forward(paths: &mut [Path], places: &[usize]) {
    if places.iter().enumerate().all(|(to, from)| to == *from) {
        return;
    }
    let mut ordered: SmallVec<[Path; 8]> = places.iter().map(|place| paths[*place]).collect();
    let mut taken: SmallVec<[usize; 8]> = places.into();
    taken.sort_unstable();
    let others = (0..paths.len()).filter(|place| taken.binary_search(place).is_err());
    ordered.extend(others.map(|place| paths[place]));
    paths.copy_from_slice(&ordered);
}
