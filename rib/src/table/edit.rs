//! Puts paths into an entry, exchanges them and takes them out, with all that is counted of them.

use bgp::types::RoutePrefix;

use super::path::{Imported, Path};
use super::{AdjRibInId, Table};
use crate::attrs::{AttrId, AttrInterner};

impl<P: RoutePrefix> Table<P> {
    /// Moves a path as it is to another generation.
    pub(super) fn move_path(&mut self, slot: u32, place: usize, id: AdjRibInId) {
        let Some(entry) = self.entries.get_mut(slot) else {
            return;
        };
        let Some(path) = entry.paths_mut(&mut self.lists).get_mut(place) else {
            return;
        };
        let old = *path;
        path.source = id;
        let path = *path;
        self.uncount(&old);
        self.count(&path);
    }

    fn count(&mut self, path: &Path) {
        if let Some(source) = self.source_mut(path.source) {
            source.received += 1;
            source.accepted += u32::from(path.rejection().is_none());
            source.selected += u32::from(path.is_selected());
        }
    }

    fn uncount(&mut self, path: &Path) {
        if let Some(source) = self.source_mut(path.source) {
            source.received -= 1;
            source.accepted -= u32::from(path.rejection().is_none());
            source.selected -= u32::from(path.is_selected());
        }
    }

    /// Adds a path and counts it.
    pub(super) fn add(
        &mut self,
        slot: u32,
        path: Path,
        original: AttrId,
        attrs: &mut AttrInterner,
    ) {
        attrs.retain(path.attr, 1);
        if path.is_altered() {
            attrs.retain(original, 1);
            self.originals
                .insert((slot, path.source, path.path_id), original);
        }
        self.count(&path);
        if let Some(entry) = self.entries.get_mut(slot) {
            entry.push(path, &mut self.lists);
        }
    }

    /// Gives a prefix's only path, which is selected and stays it, what import left as it was announced: nothing is to
    /// be decided.
    pub(super) fn exchange(
        &mut self,
        slot: u32,
        old: Path,
        id: AdjRibInId,
        imported: &Imported,
        attrs: &mut AttrInterner,
    ) {
        let Some(entry) = self.entries.get_mut(slot) else {
            return;
        };
        let mut path = Path::new(id, old.path_id, imported);
        path.set_selected(true);
        attrs.retain(path.attr, 1);
        entry.paths_mut(&mut self.lists).fill(path);
        let way = |path: &Path| (attrs.summary(path.attr).next_hop, path.weight());
        let moved = way(&old) != way(&path) || self.is_to_be_forwarded(old.source);
        attrs.release(old.attr);
        if old.source != id {
            self.uncount(&old);
            self.count(&path);
        }
        self.changed_for_export(slot);
        if moved {
            self.changed_for_fib(slot);
        }
    }

    /// Whether a walk is to hand the prefixes of a source to the FIB again.
    fn is_to_be_forwarded(&self, id: AdjRibInId) -> bool {
        self.source(id).is_some_and(|source| source.actions.forward)
    }

    /// Gives the path at this place what import made of `original`, in this generation.
    pub(super) fn replace(
        &mut self,
        slot: u32,
        place: usize,
        id: AdjRibInId,
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
        let old = std::mem::replace(path, Path::new(id, path.path_id, imported));
        path.set_selected(old.is_selected());
        let path = *path;
        let inserted = if imported.altered {
            attrs.retain(original, 1);
            self.originals.insert((slot, id, old.path_id), original)
        } else {
            None
        };
        let replaced = old.source == id && imported.altered;
        let removed = if old.is_altered() && !replaced {
            self.originals.remove(&(slot, old.source, old.path_id))
        } else {
            None
        };
        for old_original in [inserted, removed].into_iter().flatten() {
            attrs.release(old_original);
        }
        attrs.release(old.attr);
        self.uncount(&old);
        self.count(&path);
        if old.source != id && self.is_to_be_forwarded(old.source) {
            self.changed_for_fib(slot);
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
        self.uncount(&path);
    }
}
