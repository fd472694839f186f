//! Until when something holds of each peer that has such a time. The next of these times is found without a walk over
//! peers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// Times by peer. Costs O(log n) for n peers that have one.
#[derive(Debug)]
pub(super) struct Deadlines<Id> {
    by_peer: BTreeMap<Id, Instant>,
    /// The same.
    by_time: BTreeSet<(Instant, Id)>,
}

impl<Id> Default for Deadlines<Id> {
    fn default() -> Self {
        Self {
            by_peer: BTreeMap::new(),
            by_time: BTreeSet::new(),
        }
    }
}

impl<Id: Copy + Ord> Deadlines<Id> {
    /// The peer has this time from now on, or none.
    pub(super) fn set(&mut self, id: Id, at: Option<Instant>) {
        let before = match at {
            Some(at) => self.by_peer.insert(id, at),
            None => self.by_peer.remove(&id),
        };
        if before == at {
            return;
        }
        if let Some(before) = before {
            self.by_time.remove(&(before, id));
        }
        if let Some(at) = at {
            self.by_time.insert((at, id));
        }
    }

    /// The time of a peer.
    pub(super) fn of(&self, id: Id) -> Option<Instant> {
        self.by_peer.get(&id).copied()
    }

    /// The first of all.
    pub(super) fn first(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// No peer has one.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::cmp::Ordering;
    use std::time::Duration;

    use super::*;

    thread_local! {
        static LOOKS: Cell<u32> = const { Cell::new(0) };
    }

    /// Whose looks are counted.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct Counted(u32);

    impl Ord for Counted {
        fn cmp(&self, other: &Self) -> Ordering {
            LOOKS.set(LOOKS.get() + 1);
            self.0.cmp(&other.0)
        }
    }

    impl PartialOrd for Counted {
        fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
            Some(self.cmp(other))
        }
    }

    #[test]
    fn the_first_is_the_earliest_of_those_that_there_are() {
        let now = Instant::now();
        let at = |seconds| Some(now + Duration::from_secs(seconds));
        let mut deadlines = Deadlines::default();
        for (id, time, first) in [
            (1, at(5), at(5)),
            (2, at(3), at(3)),
            (2, at(7), at(5)),
            (1, at(5), at(5)),
            (1, None, at(7)),
            (3, at(7), at(7)),
            (2, None, at(7)),
            (3, None, None),
        ] {
            deadlines.set(id, time);
            assert_eq!(deadlines.of(id), time, "{id}");
            assert_eq!(deadlines.first(), first, "{id} {time:?}");
        }
        deadlines.set(1, at(1));
        deadlines.clear();
        assert_eq!((deadlines.of(1), deadlines.first()), (None, None));
    }

    /// All at one time, as where many nodes leave at once: the numbers alone order them.
    #[test]
    fn twice_as_many_peers_cost_a_few_looks_more() {
        let now = Instant::now();
        let looks = |peers: u32| {
            let mut deadlines = Deadlines::default();
            for id in 0..peers {
                deadlines.set(Counted(id), Some(now));
            }
            LOOKS.set(0);
            for id in 0..100 {
                deadlines.set(Counted(id * 7), Some(now + Duration::from_secs(1)));
                assert_eq!(deadlines.first(), Some(now));
            }
            LOOKS.get()
        };
        let (few, many) = (looks(1_000), looks(2_000));
        assert!(many < few + few / 2, "{few} looks, {many} of twice as many");
    }
}
