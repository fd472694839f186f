//! Changes go to the FIB in batches, while it has space for them. What does not fit stays in the RIB, and
//! so does what is behind it.

use std::time::Duration;

use routelet_fib::FibChange;

use crate::run::fib_sink::FibSink;

/// Changes handed over at once: what is taken in before the FIB's thread may go on.
pub(super) const PORTION: usize = 512;

/// The delay before a full FIB is tried again. The holder of its plan was interrupted, mostly for some milliseconds.
pub(super) const PAUSE: Duration = Duration::from_millis(1);

/// Where changes go.
pub(super) trait Fib {
    /// Whether a portion can be handed over without waiting.
    fn has_room(&self) -> bool;
    /// Hands a portion over.
    fn hand_over(&self, changes: Vec<FibChange>);
}

impl Fib for FibSink {
    fn has_room(&self) -> bool {
        self.has_room()
    }

    fn hand_over(&self, changes: Vec<FibChange>) {
        self.hand_over(changes);
    }
}

/// What there is to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing.
    Nothing,
    /// Another step, at once.
    Step,
    /// Another step after a [`PAUSE`], or whenever there is another reason for one.
    Pause,
}

impl Next {
    /// The same where something else may have more to do.
    pub(super) const fn or_step(self, more: bool) -> Self {
        if more { Self::Step } else { self }
    }
}

/// Hands over `most` changes at most. `take` appends the changes of so many prefixes at most, and returns of how many;
/// fewer are all that there are. Returns how many were handed over.
pub(super) fn feed(
    fib: &impl Fib,
    most: usize,
    mut take: impl FnMut(usize, &mut Vec<FibChange>) -> usize,
) -> (usize, Next) {
    let mut fed = 0;
    while fed < most {
        if !fib.has_room() {
            return (fed, Next::Pause);
        }
        let portion = PORTION.min(most - fed);
        let mut changes = Vec::new();
        let taken = take(portion, &mut changes);
        if !changes.is_empty() {
            fib.hand_over(changes);
        }
        fed += taken;
        if taken < portion {
            return (fed, Next::Nothing);
        }
    }
    (fed, Next::Step)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::cell::RefCell;

    use super::*;

    /// It has space for so many batches.
    struct Narrow {
        room: usize,
        got: RefCell<Vec<Vec<FibChange>>>,
    }

    impl Fib for Narrow {
        fn has_room(&self) -> bool {
            self.got.borrow().len() < self.room
        }

        fn hand_over(&self, changes: Vec<FibChange>) {
            assert!(self.has_room(), "it would have to wait");
            self.got.borrow_mut().push(changes);
        }
    }

    fn change(n: usize) -> FibChange {
        let [.., a, b, c] = n.to_be_bytes();
        FibChange::remove(format!("10.{a}.{b}.{c}/32").parse().unwrap())
    }

    /// Feeds so many changes to a FIB with space for so many batches. Returns the sizes of its batches, and what
    /// follows.
    fn fed(room: usize, changes: usize, most: usize) -> (Vec<usize>, Next) {
        let fib = Narrow {
            room,
            got: RefCell::default(),
        };
        let mut next = 0;
        let (count, then) = feed(&fib, most, |most, out| {
            let some = most.min(changes - next);
            out.extend((next..next + some).map(change));
            next += some;
            some
        });
        let got = fib.got.into_inner();
        let sizes: Vec<usize> = got.iter().map(Vec::len).collect();
        assert_eq!(sizes.iter().sum::<usize>(), count);
        assert!(got.into_iter().flatten().eq((0..next).map(change)));
        assert_eq!(next, count, "what was taken was handed over");
        (sizes, then)
    }

    #[test]
    fn the_fib_gets_all_in_portions_as_far_as_it_has_room_and_no_more_than_a_step() {
        for (room, changes, most, sizes, then) in [
            (9, 0, 4096, &[][..], Next::Nothing),
            (9, 400, 4096, &[400], Next::Nothing),
            (9, 1300, 4096, &[512, 512, 276], Next::Nothing),
            (9, 2500, 900, &[512, 388], Next::Step),
            (9, 1024, 1024, &[512, 512], Next::Step),
            (2, 2500, 4096, &[512, 512], Next::Pause),
            (0, 1, 4096, &[], Next::Pause),
        ] {
            let expected = (sizes.to_vec(), then);
            assert_eq!(
                fed(room, changes, most),
                expected,
                "{room} {changes} {most}"
            );
        }
    }

    #[test]
    fn no_pause_is_made_while_there_is_other_work() {
        assert_eq!(Next::Pause.or_step(true), Next::Step);
        assert_eq!(Next::Pause.or_step(false), Next::Pause);
        assert_eq!(Next::Nothing.or_step(true), Next::Step);
        assert_eq!(Next::Nothing.or_step(false), Next::Nothing);
    }
}
