//! How much to do in one step, so that no step takes longer than 2 ms.

use std::time::Duration;

/// What a step may take: one that took longer is made smaller.
pub(super) const LONG: Duration = Duration::from_micros(1_200);

/// The work of one step, adapted to the duration of steps.
#[derive(Clone, Copy, Debug)]
pub(super) struct StepSize {
    pub(super) now: usize,
    least: usize,
    most: usize,
    /// How long the step took because of which this one was made smaller.
    longer: Option<Duration>,
}

impl StepSize {
    pub(super) const fn new(least: usize, most: usize) -> Self {
        Self {
            now: 2 * least,
            least,
            most,
            longer: None,
        }
    }

    /// A step took so long. Where it took less because there was less to do, more is tried again. Where one of half the
    /// size takes as long, it is not the size that takes the time (there may be a thousand peers to send each message
    /// to), and smaller ones would do less and take as long.
    pub(super) fn took(&mut self, took: Duration) {
        let longer = self.longer.take();
        let in_vain = longer.is_some_and(|longer| took * 4 > longer * 3);
        if took > LONG && in_vain {
            self.now = (self.now * 2).min(self.most);
        } else if took > LONG && self.now > self.least {
            self.now = (self.now / 2).max(self.least);
            self.longer = Some(took);
        } else if took < LONG / 3 {
            self.now = (self.now + self.now / 4).min(self.most);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(start: usize, micros: &[u64]) -> usize {
        let mut fitted = StepSize::new(500, 10_000);
        fitted.now = start;
        for took in micros {
            fitted.took(Duration::from_micros(*took));
        }
        fitted.now
    }

    #[test]
    fn a_step_that_took_long_is_made_smaller_and_grows_again() {
        for (start, took, next) in [
            (4_000, &[3_000][..], 2_000),
            (4_000, &[3_000, 1_500], 1_000),
            (600, &[3_000], 500),
            (500, &[3_000], 500),
            (4_000, &[800], 4_000),
            (4_000, &[100], 5_000),
            (9_000, &[100], 10_000),
        ] {
            assert_eq!(after(start, took), next, "{start} {took:?}");
        }
    }

    #[test]
    fn a_step_is_not_made_smaller_where_that_does_not_make_it_shorter() {
        assert_eq!(after(4_000, &[3_000, 2_900]), 4_000);
        assert_eq!(after(4_000, &[3_000, 2_900, 3_000]), 2_000, "tried again");
    }
}
