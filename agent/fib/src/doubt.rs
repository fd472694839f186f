//! When the kernel is listed. Pure: how long a listing took comes in.
//!
//! A doubt is settled at once. If it comes back, a part of the time goes into listing and not all of it: nexthop objects are few, and
//! nothing can be written before they are listed, so that they wait for [`LONGEST_NEXTHOPS`] at most. Routes can be a million. That
//! both are in doubt does not make the first wait for the second.

use std::time::{Duration, Instant};

use crate::plan::Resync;

/// A fifth of the time may go into listing nexthop objects, and more rather than holding routes for long.
const NEXTHOPS_SHARE: u32 = 4;
const LONGEST_NEXTHOPS: Duration = Duration::from_millis(100);

/// About a tenth of the time may go into listing everything, and more rather than staying wrong for long.
const EVERYTHING_SHARE: u32 = 10;
const LONGEST_EVERYTHING: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Debug)]
pub(super) struct Doubt {
    everything: bool,
    nexthops: bool,
    everything_not_before: Instant,
    nexthops_not_before: Instant,
}

impl Doubt {
    /// Nothing is in doubt.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            everything: false,
            nexthops: false,
            everything_not_before: now,
            nexthops_not_before: now,
        }
    }

    /// This has to be listed; whether nexthop objects have to before anything is written.
    pub(super) fn add(&mut self, what: Resync, nexthops: bool) {
        self.everything |= what == Resync::Everything;
        self.nexthops |= nexthops || what == Resync::Nexthops;
    }

    /// What is to be listed now.
    pub(super) fn due(&self, now: Instant) -> Resync {
        if self.everything && now >= self.everything_not_before {
            Resync::Everything
        } else if self.nexthops && now >= self.nexthops_not_before {
            Resync::Nexthops
        } else {
            Resync::None
        }
    }

    /// This has been listed, in so much time.
    pub(super) fn listed(&mut self, what: Resync, took: Duration, now: Instant) {
        match what {
            Resync::None => {}
            Resync::Nexthops => {
                self.nexthops = false;
                self.nexthops_not_before = now + (took * NEXTHOPS_SHARE).min(LONGEST_NEXTHOPS);
            }
            Resync::Everything => {
                (self.everything, self.nexthops) = (false, false);
                self.everything_not_before =
                    now + (took * EVERYTHING_SHARE).min(LONGEST_EVERYTHING);
            }
        }
    }

    /// When the next listing is due.
    pub(super) fn next(&self) -> Option<Instant> {
        let nexthops = self.nexthops.then_some(self.nexthops_not_before);
        let everything = self.everything.then_some(self.everything_not_before);
        nexthops.into_iter().chain(everything).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(2);
    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn nexthop_objects_are_listed_at_once_whatever_else_was_listed_before() {
        let now = Instant::now();
        let mut doubt = Doubt::new(now);
        doubt.add(Resync::Everything, true);
        assert_eq!(doubt.due(now), Resync::Everything);
        doubt.listed(Resync::Everything, LONG, now);
        assert_eq!((doubt.due(now), doubt.next()), (Resync::None, None));

        // Somebody deletes one, and notifications are lost: the routes have to wait, the objects need not.
        doubt.add(Resync::Everything, true);
        assert_eq!(doubt.due(now), Resync::Nexthops);
        doubt.listed(Resync::Nexthops, MS, now);
        assert_eq!(doubt.due(now), Resync::None);
        assert_eq!(doubt.next(), Some(now + LONGEST_EVERYTHING));
        assert_eq!(doubt.due(now + LONGEST_EVERYTHING), Resync::Everything);
    }

    #[test]
    fn repeated_doubts_wait_in_proportion_to_what_a_listing_costs_and_not_for_long() {
        let now = Instant::now();
        let mut doubt = Doubt::new(now);
        for (took, wait) in [(MS, 4 * MS), (LONG, LONGEST_NEXTHOPS)] {
            doubt.add(Resync::Nexthops, true);
            doubt.listed(Resync::Nexthops, took, now);
            doubt.add(Resync::Nexthops, true);
            assert_eq!(
                (doubt.due(now), doubt.next()),
                (Resync::None, Some(now + wait))
            );
            assert_eq!(doubt.due(now + wait), Resync::Nexthops);
        }
    }
}
