//! What comes in: announcements, withdrawals, what this node originates, and sessions that come and go.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bgp::types::{NextHop, Nlri, PathId, RoutePrefix};
use bgp::wire::AttributeSetRef;

use super::decision::worse_before_med;
use super::import::Importer;
use super::index::Place;
use super::path::{Imported, Path};
use super::source::{LimitReport, LimitReported, Origin, Source, Stale};
use super::{Outlook, SourceId, Table};
use crate::attrs::{AttrId, AttrInterner, Flags};
use crate::originate::Originated;
use crate::peer::PeerId;

/// What all messages of a session have in common: looked up once for many of them. Until the session or its peer changes.
pub(crate) struct Intake {
    id: SourceId,
    origin: Arc<Origin>,
    epoch: u8,
}

/// The prefixes of one message that share an attribute set, on their way in. What concerns them all is looked up once, and
/// what is counted for each is added at the end.
struct Message<'a> {
    id: SourceId,
    epoch: u8,
    original: AttrId,
    /// Whether the next hop of `original` can be used.
    usable: bool,
    importer: Importer<'a>,
    /// Paths with `original` that became the first one of their prefix.
    first: u32,
    /// How many of these were accepted: they are selected if `usable`.
    accepted: u32,
}

impl<P: RoutePrefix> Table<P> {
    /// To take in what a peer sends. `None`: it has no session that negotiated the family.
    pub(crate) fn intake(&self, peer: PeerId) -> Option<Intake> {
        let (id, source) = self.source_of(peer)?;
        Some(Intake {
            id,
            origin: Arc::clone(&source.origin),
            epoch: source.epoch,
        })
    }

    /// The prefixes of one message that share `original`, of which the caller holds a use.
    pub(crate) fn announce(
        &mut self,
        intake: &Intake,
        prefixes: impl Iterator<Item = (Nlri<P>, Place)>,
        original: AttrId,
        attrs: &mut AttrInterner,
    ) {
        let Intake { id, origin, epoch } = intake;
        let (id, epoch) = (*id, *epoch);
        let next_hop = attrs.summary(original).next_hop;
        let resolution = attrs.next_hops.ask(next_hop, origin.peer, origin.interface);
        let mut message = Message {
            id,
            epoch,
            original,
            usable: origin.reaches(resolution.as_ref()),
            importer: Importer::new(origin, original, false, attrs),
            first: 0,
            accepted: 0,
        };
        for (nlri, place) in prefixes {
            let slot = self
                .index
                .slot_or_insert(nlri.prefix, place, &mut self.entries);
            self.announce_one(slot, nlri, &mut message, attrs);
        }
        self.account(&mut message, attrs);
        message.importer.finish(attrs);
        self.check_limit(id);
    }

    /// Counts the first paths of a message that are not counted yet.
    fn account(&mut self, message: &mut Message<'_>, attrs: &mut AttrInterner) {
        let first = std::mem::take(&mut message.first);
        let accepted = std::mem::take(&mut message.accepted);
        if first == 0 {
            return;
        }
        let selected = if message.usable { accepted } else { 0 };
        attrs.retain(message.original, first);
        self.usable += selected as usize;
        if let Some(source) = self.source_mut(message.id) {
            source.received += first;
            source.accepted += accepted;
            source.selected += selected;
        }
    }

    fn announce_one(
        &mut self,
        slot: u32,
        nlri: Nlri<P>,
        message: &mut Message<'_>,
        attrs: &mut AttrInterner,
    ) {
        let (id, epoch, original) = (message.id, message.epoch, message.original);
        let Some(entry) = self.entries.get_mut(slot) else {
            return;
        };
        if entry.has_no_path() {
            let (imported, _) = message.importer.import(nlri.prefix, attrs);
            let path = Path::new(id, nlri.path_id, epoch, &imported);
            if imported.altered {
                self.add(slot, path, original, attrs);
                self.settle(slot, Outlook::NOTHING, attrs);
            } else {
                message.first += 1;
                message.accepted += u32::from(imported.rejection.is_none());
                let selected = message.usable && imported.rejection.is_none();
                entry.set_first(path, selected, &mut self.lists);
                if selected {
                    self.changed_for_export(slot);
                    self.changed_for_fib(slot);
                }
            }
            return;
        }
        // The entry may have got its first path from this very message, under another path identifier.
        self.account(message, attrs);
        let importer = &mut message.importer;
        let Some(entry) = self.entries.get_mut(slot) else {
            return;
        };
        let paths = entry.paths_mut(&mut self.lists);
        let found = paths
            .iter()
            .position(|path| path.source == id && path.path_id == nlri.path_id);
        let key = (slot, id, nlri.path_id);
        if let Some(place) = found {
            let path = &mut paths[place];
            let stored = if path.is_altered() {
                self.originals.get(&key).copied()
            } else {
                Some(path.attr)
            };
            // Most updates repeat what is stored. A stale path that import changed may carry LLGR_STALE: it goes on.
            if stored == Some(original) && (path.epoch() == epoch || !path.is_altered()) {
                if path.epoch() != epoch {
                    path.set_epoch(epoch);
                    if let Some(source) = self.source_mut(id) {
                        source.stale_paths -= 1;
                    }
                }
                return;
            }
            let (old, alone) = (*path, paths.len() == 1);
            let (imported, _) = importer.import(nlri.prefix, attrs);
            let usable = message.usable && imported.rejection.is_none();
            if alone && usable && old.is_selected() && !old.is_altered() && !imported.altered {
                self.exchange(slot, old, epoch, &imported, attrs);
                return;
            }
            let before = self.outlook_at(slot, attrs);
            self.replace(slot, place, epoch, original, &imported, attrs);
            self.settle(slot, before, attrs);
        } else {
            let (imported, _) = importer.import(nlri.prefix, attrs);
            let before = self.outlook_at(slot, attrs);
            self.add(
                slot,
                Path::new(id, nlri.path_id, epoch, &imported),
                original,
                attrs,
            );
            if imported.rejection.is_none() && !self.is_worse(slot, attrs) {
                self.settle(slot, before, attrs);
            }
        }
    }

    pub(super) fn outlook_at(&self, slot: u32, attrs: &AttrInterner) -> Outlook {
        let entry = self.entries.get(slot);
        entry.map_or(Outlook::NOTHING, |entry| self.outlook(entry, attrs))
    }

    /// Whether the path added last cannot change what is selected, because it falls against the best path before
    /// MULTI_EXIT_DISC plays a part. Notes the rule if so.
    fn is_worse(&mut self, slot: u32, attrs: &AttrInterner) -> bool {
        let Some(entry) = self.entries.get(slot) else {
            return false;
        };
        if entry.selected == 0 {
            return false;
        }
        let paths = entry.paths(&self.lists);
        let last = paths.len() - 1;
        let Some(best) = self.contender(0, &paths[0], attrs) else {
            return false;
        };
        let Some(added) = self.contender(last, &paths[last], attrs) else {
            return true;
        };
        let Some(rule) = worse_before_med(&best, &added) else {
            return false;
        };
        if let Some(entry) = self.entries.get_mut(slot) {
            entry.rule = entry.rule.max(rule);
        }
        true
    }

    /// Adds a path and counts it.
    fn add(&mut self, slot: u32, path: Path, original: AttrId, attrs: &mut AttrInterner) {
        attrs.retain(path.attr, 1);
        if path.is_altered() {
            attrs.retain(original, 1);
            self.originals
                .insert((slot, path.source, path.path_id), original);
        }
        if let Some(source) = self.source_mut(path.source) {
            source.received += 1;
            source.accepted += u32::from(path.rejection().is_none());
        }
        if let Some(entry) = self.entries.get_mut(slot) {
            entry.push(path, &mut self.lists);
        }
    }

    /// Gives a prefix's only path, which is selected and stays it, what import left as it was announced: nothing is to be
    /// decided.
    fn exchange(
        &mut self,
        slot: u32,
        old: Path,
        epoch: u8,
        imported: &Imported,
        attrs: &mut AttrInterner,
    ) {
        let Some(entry) = self.entries.get_mut(slot) else {
            return;
        };
        let mut path = Path::new(old.source, old.path_id, epoch, imported);
        path.set_selected(true);
        attrs.retain(path.attr, 1);
        entry.paths_mut(&mut self.lists).fill(path);
        let way = |path: &Path| (attrs.summary(path.attr).next_hop, path.weight());
        let moved = way(&old) != way(&path);
        attrs.release(old.attr);
        if old.epoch() != epoch
            && let Some(source) = self.source_mut(old.source)
        {
            source.stale_paths -= 1;
        }
        self.changed_for_export(slot);
        if moved {
            self.changed_for_fib(slot);
        }
    }

    /// Gives the path at this place what import made of `original`.
    pub(super) fn replace(
        &mut self,
        slot: u32,
        place: usize,
        epoch: u8,
        original: AttrId,
        imported: &Imported,
        attrs: &mut AttrInterner,
    ) {
        let Some(entry) = self.entries.get_mut(slot) else {
            return;
        };
        let Some(path) = entry.paths_mut(&mut self.lists).get_mut(place) else {
            return;
        };
        // New uses before old ones are given back: a set in both stays, and no index changes its meaning between.
        attrs.retain(imported.attr, 1);
        let old = std::mem::replace(path, Path::new(path.source, path.path_id, epoch, imported));
        path.set_selected(old.is_selected());
        let key = (slot, old.source, old.path_id);
        let old_original = if imported.altered {
            attrs.retain(original, 1);
            self.originals.insert(key, original)
        } else if old.is_altered() {
            self.originals.remove(&key)
        } else {
            None
        };
        if let Some(old_original) = old_original {
            attrs.release(old_original);
        }
        attrs.release(old.attr);
        if let Some(source) = self.source_mut(old.source) {
            source.accepted += u32::from(imported.rejection.is_none());
            source.accepted -= u32::from(old.rejection().is_none());
            let was_stale = source.age(old.epoch()) > 0;
            source.stale_paths -= u32::from(was_stale && source.age(epoch) == 0);
        }
    }

    /// Removes the path at this place with all that belongs to it.
    pub(super) fn take_out(&mut self, slot: u32, place: usize, attrs: &mut AttrInterner) {
        let Some(entry) = self.entries.get_mut(slot) else {
            return;
        };
        let Some(path) = entry.remove(place, &mut self.lists) else {
            return;
        };
        if path.is_altered()
            && let Some(original) = self.originals.remove(&(slot, path.source, path.path_id))
        {
            attrs.release(original);
            if self.originals.is_empty() {
                self.originals = Default::default();
            }
        }
        attrs.release(path.attr);
        if let Some(source) = self.source_mut(path.source) {
            source.received -= 1;
            source.accepted -= u32::from(path.rejection().is_none());
            source.selected -= u32::from(path.is_selected());
            source.stale_paths -= u32::from(source.age(path.epoch()) > 0);
        }
    }

    /// Withdrawn prefixes. Unknown ones are ignored.
    pub(crate) fn withdraw(
        &mut self,
        intake: &Intake,
        prefixes: impl Iterator<Item = (Nlri<P>, Place)>,
        attrs: &mut AttrInterner,
    ) {
        self.withdraw_from(intake.id, prefixes, attrs);
    }

    fn withdraw_from(
        &mut self,
        id: SourceId,
        prefixes: impl Iterator<Item = (Nlri<P>, Place)>,
        attrs: &mut AttrInterner,
    ) {
        for (nlri, place) in prefixes {
            let Some(slot) = self.index.slot(nlri.prefix, place, &self.entries) else {
                continue;
            };
            let found = self.entries.get(slot).and_then(|entry| {
                entry
                    .paths(&self.lists)
                    .iter()
                    .position(|path| path.source == id && path.path_id == nlri.path_id)
            });
            if let Some(place) = found {
                let before = self.outlook_at(slot, attrs);
                self.take_out(slot, place, attrs);
                self.settle(slot, before, attrs);
            }
        }
    }

    fn check_limit(&mut self, id: SourceId) {
        let Some(source) = self.source_mut(id) else {
            return;
        };
        let over = |limit: Option<u32>| limit.filter(|limit| source.accepted > *limit);
        let report = match (
            over(source.origin.max_prefixes),
            over(source.origin.prefix_warning),
        ) {
            (None, None) => return,
            (Some(limit), _) => LimitReport::Exceeded { limit },
            (None, Some(_)) => LimitReport::Near {
                accepted: source.accepted,
                limit: source.origin.max_prefixes,
            },
        };
        if report.rank() > source.limit_reported {
            source.limit_reported = report.rank();
            let peer = source.origin.peer;
            self.limit_reports.push((peer, report));
        }
    }

    /// Replaces everything that this node originates.
    pub(crate) fn set_originated(
        &mut self,
        wanted: impl Iterator<Item = (P, Originated)>,
        attrs: &mut AttrInterner,
    ) {
        let wanted: hashbrown::HashMap<P, Originated, foldhash::fast::RandomState> =
            wanted.collect();
        let gone = self.originated.keys().copied();
        let gone: Vec<P> = gone.filter(|p| !wanted.contains_key(p)).collect();
        let changes = wanted.into_iter().map(|(prefix, new)| (prefix, Some(new)));
        let gone = gone.into_iter().map(|prefix| (prefix, None));
        self.change_originated(changes.chain(gone), attrs);
    }

    /// Changes what this node originates, prefix by prefix; `None`: no more.
    pub(crate) fn change_originated(
        &mut self,
        changes: impl Iterator<Item = (P, Option<Originated>)>,
        attrs: &mut AttrInterner,
    ) {
        let mut gone: Vec<Nlri<P>> = Vec::new();
        // Whether there was another one before.
        let mut come: Vec<(P, bool)> = Vec::new();
        for (prefix, new) in changes {
            match new {
                Some(new) if self.originated.get(&prefix) == Some(&new) => {}
                Some(new) => {
                    let before = self.originated.insert(prefix, new);
                    come.push((prefix, before.is_some()));
                }
                None => {
                    if self.originated.remove(&prefix).is_some() {
                        gone.push(Nlri::new(prefix));
                    }
                }
            }
        }
        gone.sort_unstable();
        let places = self.look_up(&gone, attrs);
        self.withdraw_from(SourceId::LOCAL, places.part(0..gone.len()), attrs);
        let next_hop = NextHop::Ipv4(std::net::Ipv4Addr::UNSPECIFIED);
        let attr = attrs.intern(AttributeSetRef::default(), &next_hop);
        let imported = Imported {
            attr,
            altered: false,
            rejection: None,
            weight: 1,
        };
        come.sort_unstable();
        let nlri: Vec<Nlri<P>> = come.iter().map(|(prefix, _)| Nlri::new(*prefix)).collect();
        let places = self.look_up(&nlri, attrs);
        for ((Nlri { prefix, .. }, place), (_, known)) in places.part(0..nlri.len()).zip(come) {
            let slot = self.index.slot_or_insert(prefix, place, &mut self.entries);
            if !known {
                let outlook = self.outlook_at(slot, attrs);
                let path = Path::new(SourceId::LOCAL, PathId::NONE, 0, &imported);
                self.add(slot, path, attr, attrs);
                self.settle(slot, outlook, attrs);
            }
            self.changed_for_export(slot);
            self.changed_for_fib(slot);
        }
        attrs.release(attr);
    }

    /// A session came up. With `resume`, paths retained from the last one stay until End-of-RIB or that time.
    pub(crate) fn session_up(&mut self, origin: Origin, resume: Option<Instant>) {
        let retained = self.source_of(origin.peer).map(|(id, source)| {
            let down = matches!(source.stale, Stale::Restarting(_) | Stale::LongLived(_));
            (id, down)
        });
        match (retained, resume) {
            (Some((id, true)), Some(deadline)) => {
                self.change_origin(id, origin);
                if let Some(source) = self.source_mut(id) {
                    source.stale = Stale::AwaitingEnd(deadline);
                    source.limit_reported = LimitReported::Nothing;
                }
            }
            (retained, _) => {
                if let Some((id, _)) = retained {
                    self.let_go(id);
                }
                self.new_source(origin);
            }
        }
    }

    /// A source with an unused number. Without one (65,000 peers, most of them just gone) what the peer says is not used.
    fn new_source(&mut self, origin: Origin) {
        let peer = origin.peer;
        let source = Some(Source::new(origin));
        let unused = self.sources.iter().skip(1).position(Option::is_none);
        let number = match unused {
            Some(position) => position + 1,
            None if self.sources.len() <= usize::from(SourceId::MAX) => {
                self.sources.push(None);
                self.sources.len() - 1
            }
            None => {
                tracing::error!(?peer, "no room for another Adj-RIB-In");
                return;
            }
        };
        self.sources[number] = source;
        self.by_peer.insert(peer, SourceId(number as u16));
    }

    /// Changes how a source is treated; a walk applies it to its paths.
    pub(crate) fn change_origin(&mut self, id: SourceId, origin: Origin) {
        let Some(source) = self.source_mut(id) else {
            return;
        };
        if *source.origin == origin {
            return;
        }
        let limit_only = source.origin.differs_in_limit_only(&origin);
        if source.origin.max_prefixes != origin.max_prefixes
            || source.origin.prefix_warning != origin.prefix_warning
        {
            source.limit_reported = LimitReported::Nothing;
        }
        source.actions.tell |= (source.origin.kind, source.origin.id) != (origin.kind, origin.id);
        source.actions.forward |= source.origin.interface != origin.interface;
        source.origin = Arc::new(origin);
        if !limit_only {
            source.actions.import = true;
            self.start_round(id);
        }
        self.check_limit(id);
    }

    /// Notes that import is to be run again on all paths of a peer.
    pub(crate) fn import_all(&mut self, peer: PeerId) {
        if let Some(id) = self.by_peer.get(&peer).copied()
            && let Some(source) = self.source_mut(id)
        {
            source.actions.import = true;
            self.start_round(id);
        }
    }

    /// A session ended. With `retain_until`, its paths stay as stale ones until then, and for `long_lived` after that.
    pub(crate) fn session_down(
        &mut self,
        peer: PeerId,
        retain_until: Option<Instant>,
        long_lived: Option<Duration>,
    ) {
        let Some(id) = self.by_peer.get(&peer).copied() else {
            return;
        };
        let Some(source) = self.source_mut(id) else {
            return;
        };
        match retain_until {
            Some(until) if source.begin_epoch() => {
                source.stale = Stale::Restarting(until);
                source.long_lived_time = long_lived;
                // What was stale for long before goes now; the rest has its restart time first.
                source.long_lived = false;
                if !source.actions.is_none() {
                    self.start_round(id);
                }
            }
            _ => self.let_go(id),
        }
    }

    /// The peer begins to send everything again (RFC 7313): what it does not repeat goes at the end, or at the deadline.
    pub(crate) fn refresh_begins(&mut self, peer: PeerId, deadline: Instant) {
        let Some(id) = self.by_peer.get(&peer).copied() else {
            return;
        };
        let Some(source) = self.source_mut(id) else {
            return;
        };
        // RFC 7313 section 4: no refresh begins before the first End-of-RIB.
        if source.stale == Stale::No && source.begin_epoch() {
            source.stale = Stale::AwaitingEnd(deadline);
            if !source.actions.is_none() {
                self.start_round(id);
            }
        }
    }

    /// End-of-RIB or the end of a refresh: stale paths go.
    pub(crate) fn end_of_rib(&mut self, peer: PeerId) {
        let Some(id) = self.by_peer.get(&peer).copied() else {
            return;
        };
        if let Some(source) = self.source_mut(id)
            && matches!(source.stale, Stale::AwaitingEnd(_))
        {
            self.drop_stale(id);
        }
    }

    fn drop_stale(&mut self, id: SourceId) {
        if let Some(source) = self.source_mut(id) {
            source.stale = Stale::No;
            source.long_lived = false;
            if source.oldest > 0 {
                source.actions.remove_from_age = Some(1);
                self.start_round(id);
            }
        }
    }

    /// Lets a source and all its paths go.
    pub(crate) fn let_go(&mut self, id: SourceId) {
        let Some(source) = self.source_mut(id) else {
            return;
        };
        let peer = source.origin.peer;
        source.gone = true;
        source.stale = Stale::No;
        source.actions.remove_from_age = Some(0);
        if self.by_peer.get(&peer) == Some(&id) {
            self.by_peer.remove(&peer);
        }
        self.start_round(id);
    }

    /// When [`Table::expire`] is to be called.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let sources = self.sources.iter().flatten();
        sources.filter_map(|source| source.stale.deadline()).min()
    }

    /// Restart times and waits for End-of-RIB that are over. Tells the peers that did not come back in time, and whether
    /// their paths are kept for long.
    pub(crate) fn expire(&mut self, now: Instant, mut each: impl FnMut(PeerId, bool)) {
        for number in 1..self.sources.len() {
            let id = SourceId(number as u16);
            let Some(source) = self.source_mut(id) else {
                continue;
            };
            if source.stale.deadline().is_none_or(|at| at > now) {
                continue;
            }
            let peer = source.origin.peer;
            match (source.stale, source.long_lived_time) {
                (Stale::Restarting(_), Some(time)) => {
                    source.stale = Stale::LongLived(now + time);
                    source.long_lived = true;
                    source.actions.import = true;
                    self.start_round(id);
                    each(peer, true);
                }
                (Stale::Restarting(_) | Stale::LongLived(_), _) => {
                    self.let_go(id);
                    each(peer, false);
                }
                (Stale::AwaitingEnd(_), _) => self.drop_stale(id),
                (Stale::No, _) => {}
            }
        }
    }

    /// Runs import again on the path at this place. `false`: it must go (RFC 9494 section 4.3, NO_LLGR).
    pub(super) fn import_again(
        &mut self,
        slot: u32,
        place: usize,
        attrs: &mut AttrInterner,
    ) -> bool {
        let Some(entry) = self.entries.get(slot) else {
            return true;
        };
        let (prefix, path) = (entry.prefix, entry.paths(&self.lists)[place]);
        let Some(source) = self.source(path.source) else {
            return true;
        };
        let long_lived = source.long_lived && source.age(path.epoch()) > 0;
        let origin = Arc::clone(&source.origin);
        let original = if path.is_altered() {
            self.originals
                .get(&(slot, path.source, path.path_id))
                .copied()
        } else {
            None
        };
        let original = original.unwrap_or(path.attr);
        if long_lived && attrs.summary(original).flags.contains(Flags::NO_LLGR) {
            return false;
        }
        let next_hop = attrs.summary(original).next_hop;
        attrs.next_hops.ask(next_hop, origin.peer, origin.interface);
        let mut importer = Importer::new(&origin, original, long_lived, attrs);
        let (imported, _) = importer.import(prefix, attrs);
        self.replace(slot, place, path.epoch(), original, &imported, attrs);
        importer.finish(attrs);
        true
    }
}
