//! The walk: everything that concerns many prefixes at once.
//!
//! A session that ended, stale paths to sweep, changed policies, changed next hops: each is a note on what to do, and one
//! cursor goes round over all slots and does whatever is noted, some entries at a time. A note is done when the cursor
//! has been once around since it was made. Ten peers lost together cost one round, not ten.

use bgp::types::RoutePrefix;

use super::adj_rib_in::{Actions, Round};
use super::{AdjRibInId, Options, Table};
use crate::attrs::{AttrInterner, ChangedNextHops};

impl<P: RoutePrefix> Table<P> {
    /// Begins a round for the noted actions of a source. One under way begins anew.
    pub(super) fn start_round(&mut self, id: AdjRibInId) {
        let start = self.cursor;
        if let Some(source) = self.source_mut(id) {
            let round = Round {
                start,
                wrapped: false,
            };
            let is_first = source.round.replace(round).is_none();
            let is_over = source.received == 0;
            if is_first {
                self.walking.push(id);
            }
            if is_over {
                self.finish_round(id);
            }
        }
    }

    fn finish_round(&mut self, id: AdjRibInId) {
        self.walking.retain(|walking| *walking != id);
        let Some(source) = self.source_mut(id) else {
            return;
        };
        source.actions = Actions::default();
        source.round = None;
        if source.gone {
            debug_assert_eq!(
                source.received, 0,
                "a round removes every path of a gone source"
            );
            self.sources[usize::from(id.0)] = None;
            while self.sources.len() > 1 && self.sources.last().is_some_and(Option::is_none) {
                self.sources.pop();
            }
        }
    }

    /// Next hops lead elsewhere: prefixes with them are decided about again.
    pub(crate) fn next_hops_changed(&mut self, changed: &ChangedNextHops) {
        if changed.is_empty() || self.entries.len() == 0 {
            return;
        }
        let round = self.new_round();
        let (all, under_way) = self
            .changed_next_hops
            .get_or_insert_with(|| (ChangedNextHops::default(), round));
        all.merge(changed);
        *under_way = round;
    }

    fn new_round(&self) -> Round {
        Round {
            start: self.cursor,
            wrapped: false,
        }
    }

    /// Changes how to decide. With `identity`, loops are looked for again too.
    pub(crate) fn reconfigure(&mut self, options: Options, identity: bool) {
        if options != self.options {
            self.options = options;
            self.everything = Some(self.new_round());
        }
        if identity {
            for number in 1..self.sources.len() {
                let id = AdjRibInId(number as u16);
                if let Some(source) = self.source_mut(id) {
                    source.actions.import = true;
                    self.start_round(id);
                }
            }
        }
    }

    fn rounds(&self) -> impl Iterator<Item = Round> {
        let sources = self.walking.iter().filter_map(|id| self.source(*id)?.round);
        let next_hops = self.changed_next_hops.iter().map(|(_, round)| *round);
        sources.chain(self.everything).chain(next_hops)
    }

    /// The cursor is at the end of the table.
    fn wrap_rounds(&mut self) {
        for at in 0..self.walking.len() {
            let source = self.source_mut(self.walking[at]);
            if let Some(round) = source.and_then(|source| source.round.as_mut()) {
                round.wrapped = true;
            }
        }
        let next_hops = self.changed_next_hops.iter_mut().map(|(_, round)| round);
        for round in self.everything.iter_mut().chain(next_hops) {
            round.wrapped = true;
        }
    }

    /// Whether a walk has anything to do.
    pub(crate) fn has_work(&self) -> bool {
        self.has_rounds() || self.refill.is_some()
    }

    /// Asked for each entry that a walk visits.
    fn has_rounds(&self) -> bool {
        self.everything.is_some() || self.changed_next_hops.is_some() || !self.walking.is_empty()
    }

    /// The FIB hears of everything from some slot on, of up to `steps` entries now. Returns how many were looked at.
    fn refill_fib(&mut self, steps: usize) -> usize {
        for used in 0..steps {
            let Some(from) = self.refill else {
                return used;
            };
            let next = self.entries.next_from(from);
            let next = next.map(|(slot, entry)| (slot, entry.selected > 0));
            self.refill = next.map(|(slot, _)| slot + 1);
            if let Some((slot, true)) = next {
                self.changed_for_fib(slot);
            }
        }
        steps
    }

    /// Visits up to `steps` entries. Returns how many steps were used: less than `steps` means that nothing is left to do.
    pub(crate) fn walk(&mut self, steps: usize, attrs: &mut AttrInterner) -> usize {
        let refilled = self.refill_fib(steps);
        if !self.has_rounds() {
            return refilled;
        }
        let mut stop = self.next_stop();
        for used in refilled..steps {
            match self.entries.next_from(self.cursor).map(|(slot, _)| slot) {
                Some(slot) => {
                    self.cursor = slot + 1;
                    self.visit(slot, attrs);
                }
                None => {
                    self.cursor = 0;
                    self.end_rounds(|round| round.wrapped);
                    self.wrap_rounds();
                    stop = self.next_stop();
                }
            }
            if stop.is_some_and(|stop| self.cursor >= stop) {
                let cursor = self.cursor;
                self.end_rounds(|round| round.wrapped && cursor >= round.start);
                stop = self.next_stop();
            }
            if !self.has_rounds() {
                return used + 1;
            }
        }
        steps
    }

    /// The first place where a round ends before the cursor comes to the end of the table.
    fn next_stop(&self) -> Option<u32> {
        self.rounds().filter(|r| r.wrapped).map(|r| r.start).min()
    }

    fn end_rounds(&mut self, is_over: impl Fn(&Round) -> bool) {
        for id in self.walking.clone() {
            let round = self.source(id).and_then(|source| source.round);
            if round.as_ref().is_some_and(&is_over) {
                self.finish_round(id);
            }
        }
        if self.everything.as_ref().is_some_and(&is_over) {
            self.everything = None;
        }
        if self
            .changed_next_hops
            .as_ref()
            .is_some_and(|(_, round)| is_over(round))
        {
            self.changed_next_hops = None;
        }
    }

    fn visit(&mut self, slot: u32, attrs: &mut AttrInterner) {
        let Some(entry) = self.entries.get(slot) else {
            return;
        };
        let paths = entry.paths(&self.lists);
        let count = paths.len();
        let noted = paths.iter().any(|path| {
            self.source(path.source)
                .is_some_and(|source| !source.actions.is_none())
        });
        let moved = self.is_moved(slot, attrs);
        if !noted && !moved && self.everything.is_none() {
            return;
        }
        let before = self.selection_at(slot, attrs);
        if noted {
            for place in (0..count).rev() {
                self.act(slot, place, attrs);
            }
        }
        if moved {
            self.changed_for_fib(slot);
        }
        self.settle(slot, before, attrs);
    }

    /// Whether a path of the entry has a next hop that leads elsewhere now.
    fn is_moved(&self, slot: u32, attrs: &AttrInterner) -> bool {
        let (Some((changed, _)), Some(entry)) = (&self.changed_next_hops, self.entries.get(slot))
        else {
            return false;
        };
        let mut paths = entry.paths(&self.lists).iter();
        paths.any(|path| {
            path.source != AdjRibInId::LOCAL && changed.contains(attrs.summary(path.attr).next_hop)
        })
    }

    fn act(&mut self, slot: u32, place: usize, attrs: &mut AttrInterner) {
        let Some(path) = self
            .entries
            .get(slot)
            .and_then(|entry| entry.paths(&self.lists).get(place).copied())
        else {
            return;
        };
        let Some(source) = self.source(path.source) else {
            return;
        };
        let actions = source.actions;
        if actions.tell {
            self.changed_for_export(slot);
        }
        if actions.forward {
            self.changed_for_fib(slot);
        }
        if actions.remove || actions.import && !self.import_again(slot, place, attrs) {
            self.take_out(slot, place, attrs);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use ipnet::Ipv4Net;

    use super::*;
    use crate::facade::model::{PLAIN, peer_config, session};
    use crate::peer::PeerId;
    use crate::policy::Chain;
    use crate::table::ImportContext;

    fn table() -> Table<Ipv4Net> {
        Table::new(Options {
            always_compare_med: false,
            max_paths: 1,
            relax_as_path: false,
        })
    }

    fn context(number: usize) -> ImportContext {
        let peer = PeerId(number as u32);
        let chain = Arc::new(Chain::new(&[]));
        ImportContext::new(peer, &peer_config(number), chain, &session(number, PLAIN))
    }

    #[test]
    fn the_next_stop_is_the_first_start_of_a_round_that_has_been_at_the_end_of_the_table() {
        let mut table = table();
        table.session_up(context(1), None);
        assert_eq!(table.next_stop(), None, "there is no round");
        let round = |start, wrapped| Some(Round { start, wrapped });
        for (source, everything, next_hops, stop) in [
            (round(1, false), round(5, false), round(3, false), None),
            (round(1, false), round(5, true), round(3, false), Some(5)),
            (round(1, false), round(5, true), round(3, true), Some(3)),
            (round(7, true), round(5, false), None, Some(7)),
            (round(7, true), round(9, true), round(8, true), Some(7)),
            (None, None, round(2, true), Some(2)),
        ] {
            let (id, _) = table.source_of(PeerId(1)).unwrap();
            table.source_mut(id).unwrap().round = source;
            table.walking = source.map(|_| id).into_iter().collect();
            table.everything = everything;
            table.changed_next_hops = next_hops.map(|round| (ChangedNextHops::default(), round));
            assert!(table.has_work());
            assert_eq!(table.next_stop(), stop);
        }
    }

    #[test]
    fn the_numbers_of_peers_that_are_gone_are_used_again_and_the_last_ones_given_up() {
        let mut table = table();
        let number = |table: &Table<Ipv4Net>, peer| {
            let (id, _) = table.source_of(PeerId(peer)).unwrap();
            id.0
        };
        for peer in 1..=3 {
            table.session_up(context(peer), None);
        }
        assert_eq!([1, 2, 3].map(|peer| number(&table, peer)), [1, 2, 3]);
        table.session_down(PeerId(2), None, None);
        assert!(table.source_of(PeerId(2)).is_none());
        assert_eq!(table.sources.len(), 4, "one with a higher number is there");
        table.session_up(context(4), None);
        assert_eq!((number(&table, 4), table.sources.len()), (2, 4));
        for (gone, left) in [(3, 3), (1, 3), (4, 1)] {
            table.session_down(PeerId(gone), None, None);
            assert_eq!(table.sources.len(), left, "after {gone}");
        }
    }

    #[test]
    fn a_walk_looks_at_the_sources_that_it_is_for_however_many_others_there_are() {
        let mut table = table();
        for peer in 1..=100 {
            let peer = PeerId(peer);
            table.session_up(ImportContext { peer, ..context(1) }, None);
        }
        for peer in [7, 8, 7] {
            let (id, _) = table.source_of(PeerId(peer)).unwrap();
            table.source_mut(id).unwrap().received = 1;
            table.import_all(PeerId(peer));
        }
        let walking: Vec<u16> = table.walking.iter().map(|id| id.0).collect();
        assert_eq!(walking, [7, 8], "each once");
        assert_eq!(table.rounds().count(), 2);
        table.end_rounds(|_| true);
        assert!(!table.has_work() && table.walking.is_empty());
    }

    #[test]
    fn import_that_is_to_run_again_is_work_where_there_are_paths() {
        let mut table = table();
        table.session_up(context(1), None);
        let (id, _) = table.source_of(PeerId(1)).unwrap();
        table.import_all(PeerId(1));
        assert!(!table.has_work(), "the peer has sent nothing");
        table.source_mut(id).unwrap().received = 1;
        table.import_all(PeerId(2));
        assert!(!table.has_work(), "nobody has that number");
        table.import_all(PeerId(1));
        assert!(table.has_work() && table.source(id).unwrap().actions.import);
    }

    #[test]
    fn a_session_for_which_there_is_no_number_left_is_not_mixed_up_with_another() {
        let mut table = table();
        table.session_up(context(1), None);
        let all = usize::from(AdjRibInId::MAX) + 1;
        let one = context(1);
        let copy = || Some(crate::table::AdjRibIn::new(one.clone()));
        table.sources.resize_with(all - 1, copy);
        table.session_up(context(2), None);
        let (last, source) = table.source_of(PeerId(2)).unwrap();
        assert_eq!((last.0, source.context.peer), (AdjRibInId::MAX, PeerId(2)));
        table.session_up(context(3), None);
        assert!(table.source_of(PeerId(3)).is_none());
        assert_eq!(table.sources.len(), all);
        // Until somebody is gone.
        table.session_down(PeerId(1), None, None);
        table.session_up(context(3), None);
        assert_eq!(table.source_of(PeerId(3)).map(|(id, _)| id.0), Some(1));
    }
}
