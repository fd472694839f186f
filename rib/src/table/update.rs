//! What peers send: announcements, withdrawals, and import run again on what they announced.

use std::sync::Arc;

use bgp::types::{Nlri, PathId, RoutePrefix};
use smallvec::SmallVec;

use super::adj_rib_in::ImportContext;
use super::decision::worse_before_med;
use super::import::Importer;
use super::index::Place;
use super::path::Path;
use super::{AdjRibInId, Selection, Table};
use crate::attrs::{AttrId, AttrInterner, Flags};
use crate::peer::PeerId;

/// What all messages of a session have in common: looked up once for many of them. Until the session or its peer changes.
pub(crate) struct ImportSession {
    id: AdjRibInId,
    /// Generations whose paths move to this one when the peer repeats them.
    older: SmallVec<[AdjRibInId; 4]>,
    context: Arc<ImportContext>,
}

/// The prefixes of one message that share an attribute set, on their way in. What concerns them all is looked up once, and
/// what is counted for each is added at the end.
struct Message<'a> {
    id: AdjRibInId,
    older: &'a [AdjRibInId],
    original: AttrId,
    /// Whether the next hop of `original` can be used.
    usable: bool,
    /// Paths of one prefix that the peer may have.
    max_paths: usize,
    importer: Importer<'a>,
    /// Paths with `original` that became the first one of their prefix.
    first: u32,
    /// How many of these were accepted: they are selected if `usable`.
    accepted: u32,
}

impl<P: RoutePrefix> Table<P> {
    /// To take in what a peer sends. `None`: it has no session that negotiated the family.
    pub(crate) fn import_session(&self, peer: PeerId) -> Option<ImportSession> {
        let (id, older) = self.by_peer.get(&peer)?.split_last()?;
        // The newest is stale if there was no room for another: see `new_source`.
        let source = self.source(*id).filter(|source| !source.is_stale())?;
        Some(ImportSession {
            id: *id,
            older: older.into(),
            context: Arc::clone(&source.context),
        })
    }

    /// The prefixes of one message that share `original`, of which the caller holds a use.
    pub(crate) fn announce(
        &mut self,
        import_session: &ImportSession,
        prefixes: impl Iterator<Item = (Nlri<P>, Place)>,
        original: AttrId,
        attrs: &mut AttrInterner,
    ) {
        let ImportSession { id, older, context } = import_session;
        let next_hop = attrs.summary(original).next_hop;
        let (interface, limit) = (context.interface, context.max_next_hops);
        let asked = attrs
            .next_hops
            .ask(next_hop, context.peer, interface, limit);
        let mut message = Message {
            id: *id,
            older,
            original,
            usable: context.reaches(asked.unwrap_or_default().as_ref()),
            max_paths: context.max_paths as usize,
            importer: Importer::new(context, original, false, asked.err(), attrs),
            first: 0,
            accepted: 0,
        };
        let mut refused = 0;
        for (nlri, place) in prefixes {
            let slot = self
                .index
                .slot_or_insert(nlri.prefix, place, &mut self.entries);
            self.announce_one(slot, nlri, &mut message, attrs);
            refused += u64::from(asked.is_err());
        }
        if refused > 0 {
            self.next_hops_refused(*id, refused);
        }
        self.account(&mut message, attrs);
        message.importer.finish(attrs);
        self.check_limit(*id, older);
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
        let (id, older, original) = (message.id, message.older, message.original);
        let Some(entry) = self.entries.get_mut(slot) else {
            return;
        };
        if entry.has_no_path() {
            let (imported, _) = message.importer.import(nlri.prefix, attrs);
            let path = Path::new(id, nlri.path_id, &imported);
            if imported.altered {
                self.add(slot, path, original, attrs);
                self.settle(slot, Selection::NOTHING, attrs);
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
        let paths = entry.paths(&self.lists);
        if let Some(place) = position(paths, id, older, nlri.path_id) {
            let (old, alone) = (paths[place], paths.len() == 1);
            let stored = if old.is_altered() {
                let key = (slot, old.source, nlri.path_id);
                self.originals.get(&key).copied()
            } else {
                Some(old.attr)
            };
            // Most updates repeat what is stored.
            if stored == Some(original) && (old.source == id || self.repeats(&old)) {
                if old.source != id {
                    self.move_path(slot, place, id);
                }
                return;
            }
            let (imported, _) = importer.import(nlri.prefix, attrs);
            let usable = message.usable && imported.rejection.is_none();
            if alone && usable && old.is_selected() && !old.is_altered() && !imported.altered {
                self.exchange(slot, old, id, &imported, attrs);
                return;
            }
            let before = self.selection_at(slot, attrs);
            self.replace(slot, place, id, original, &imported, attrs);
            self.settle(slot, before, attrs);
        } else if paths.len() >= message.max_paths
            && paths.iter().filter(|path| path.source == id).count() >= message.max_paths
        {
            let limit = message.max_paths as u32;
            self.path_refused(id, nlri.prefix.into(), limit);
        } else {
            let (imported, _) = importer.import(nlri.prefix, attrs);
            let before = self.selection_at(slot, attrs);
            self.add(
                slot,
                Path::new(id, nlri.path_id, &imported),
                original,
                attrs,
            );
            if imported.rejection.is_none() && !self.is_worse(slot, attrs) {
                self.settle(slot, before, attrs);
            }
        }
    }

    /// Whether import makes the same of this stale path when the peer repeats it, and nothing waits to be done with it.
    fn repeats(&self, stale: &Path) -> bool {
        let source = self.source(stale.source);
        // Long-lived stale ones carry LLGR_STALE, or are rejected because they cannot.
        source.is_some_and(|source| source.actions.is_none() && !source.long_lived)
            && !stale.is_altered()
    }

    pub(super) fn selection_at(&self, slot: u32, attrs: &AttrInterner) -> Selection {
        let entry = self.entries.get(slot);
        entry.map_or(Selection::NOTHING, |entry| self.selection(entry, attrs))
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
        let Some(best) = self.candidate(0, &paths[0], attrs) else {
            return false;
        };
        let Some(added) = self.candidate(last, &paths[last], attrs) else {
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

    /// Withdrawn prefixes. Unknown ones are ignored.
    pub(crate) fn withdraw(
        &mut self,
        import_session: &ImportSession,
        prefixes: impl Iterator<Item = (Nlri<P>, Place)>,
        attrs: &mut AttrInterner,
    ) {
        self.withdraw_from(import_session.id, &import_session.older, prefixes, attrs);
    }

    pub(super) fn withdraw_from(
        &mut self,
        id: AdjRibInId,
        older: &[AdjRibInId],
        prefixes: impl Iterator<Item = (Nlri<P>, Place)>,
        attrs: &mut AttrInterner,
    ) {
        for (nlri, place) in prefixes {
            let Some(slot) = self.index.slot(nlri.prefix, place, &self.entries) else {
                continue;
            };
            let found = self.entries.get(slot).and_then(|entry| {
                let paths = entry.paths(&self.lists);
                position(paths, id, older, nlri.path_id)
            });
            if let Some(place) = found {
                let before = self.selection_at(slot, attrs);
                self.take_out(slot, place, attrs);
                self.settle(slot, before, attrs);
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
        let long_lived = source.long_lived;
        let context = Arc::clone(&source.context);
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
        let (interface, limit) = (context.interface, context.max_next_hops);
        let asked = attrs
            .next_hops
            .ask(next_hop, context.peer, interface, limit);
        let mut importer = Importer::new(&context, original, long_lived, asked.err(), attrs);
        attrs.charge_to(Some(context.peer));
        let (imported, _) = importer.import(prefix, attrs);
        attrs.charge_to(None);
        self.replace(slot, place, path.source, original, &imported, attrs);
        importer.finish(attrs);
        // Another policy may accept more.
        if path.rejection().is_some() && imported.rejection.is_none() {
            self.check_limit_of(context.peer);
        }
        true
    }
}

/// The place of the path with this identifier among those of a generation and the ones before it.
fn position(
    paths: &[Path],
    id: AdjRibInId,
    older: &[AdjRibInId],
    path_id: PathId,
) -> Option<usize> {
    paths.iter().position(|path| {
        path.path_id == path_id
            && (path.source == id || !older.is_empty() && older.contains(&path.source))
    })
}
