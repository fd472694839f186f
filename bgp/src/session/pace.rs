//! Rate limits of connections.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::admission::{Admissions, Source};
use super::stamp;
use crate::refusal::Refusal;

/// A token bucket's shape.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    pub(super) burst: u32,
    pub(super) per_second: u32,
}

/// A token bucket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    rate: Rate,
    /// Full again at this time, if nothing is taken.
    full_at: Instant,
}

impl Bucket {
    pub(super) fn full(rate: Rate, now: Instant) -> Self {
        Self { rate, full_at: now }
    }

    /// Takes a token, if there is one.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let token = Duration::from_secs(1) / self.rate.per_second;
        let full_at = self.full_at.max(now) + token;
        let left = full_at <= now + token * self.rate.burst;
        if left {
            self.full_at = full_at;
        }
        left
    }

    pub(super) fn is_full(&self, now: Instant) -> bool {
        self.full_at <= now
    }
}

/// Connections of one sender. No correct peer needs more: peers wait between their attempts.
const EACH: Rate = Rate {
    burst: 32,
    per_second: 2,
};

/// Newcomers out of listen ranges, all of them.
const NEWCOMERS: Rate = Rate {
    burst: 256,
    per_second: 64,
};

/// Senders whose buckets are kept; when there are more, the least that a sender can gain is a new burst.
const SENDERS: usize = 4096;

/// Connections that may be without an OPEN: of one sender, and of all newcomers out of listen ranges together. A configured
/// peer has a place of its own, and is limited by [`WITHOUT_OPEN_EACH`] alone.
pub(super) const WITHOUT_OPEN_EACH: usize = 4;
pub(super) const WITHOUT_OPEN: usize = 256;

/// A burst, and a rate.
#[derive(Debug)]
pub(super) struct Pace {
    senders: HashMap<Source, Bucket>,
    newcomers: Bucket,
    without_open: Arc<WithoutOpen>,
}

impl Pace {
    pub(super) fn new(admissions: Arc<Admissions>) -> Self {
        Self {
            senders: HashMap::new(),
            newcomers: Bucket::full(NEWCOMERS, stamp::now()),
            without_open: Arc::new(WithoutOpen {
                sources: Mutex::default(),
                newcomers: AtomicUsize::new(0),
                admissions,
            }),
        }
    }

    /// Whether a connection of this sender is within the limits; `newcomer`: it becomes a peer of a range.
    pub(super) fn enter(&mut self, source: Source, is_newcomer: bool) -> Result<Waiting, Refusal> {
        let now = stamp::now();
        if self.senders.len() >= SENDERS {
            self.senders.retain(|_, bucket| !bucket.is_full(now));
            if self.senders.len() >= SENDERS {
                self.senders.clear();
            }
        }
        let bucket = self.senders.entry(source);
        if !bucket.or_insert_with(|| Bucket::full(EACH, now)).take(now) {
            return Err(Refusal::TooOften);
        }
        if is_newcomer && !self.newcomers.take(now) {
            return Err(Refusal::Pace);
        }
        self.without_open.enter(source, is_newcomer)
    }
}

#[derive(Debug)]
struct WithoutOpen {
    sources: Mutex<HashMap<Source, usize>>,
    newcomers: AtomicUsize,
    admissions: Arc<Admissions>,
}

impl WithoutOpen {
    fn enter(self: &Arc<Self>, source: Source, is_newcomer: bool) -> Result<Waiting, Refusal> {
        let mut sources = self.lock();
        let newcomers = self.newcomers.load(Ordering::Relaxed);
        let own = sources.entry(source).or_default();
        if *own >= WITHOUT_OPEN_EACH || (is_newcomer && newcomers >= WITHOUT_OPEN) {
            if *own == 0 {
                sources.remove(&source);
            }
            return Err(Refusal::WithoutOpen);
        }
        *own += 1;
        if is_newcomer {
            self.newcomers.fetch_add(1, Ordering::Relaxed);
        }
        self.admissions.without_open.fetch_add(1, Ordering::Relaxed);
        drop(sources);
        Ok(Waiting {
            counted: self.clone(),
            source,
            is_newcomer,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Source, usize>> {
        // Counts are whole at every moment.
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that has not sent an OPEN counts until this is dropped.
#[derive(Debug)]
pub(super) struct Waiting {
    counted: Arc<WithoutOpen>,
    source: Source,
    is_newcomer: bool,
}

impl Waiting {
    /// Where it is counted what becomes of the connection.
    pub(super) fn admissions(&self) -> &Admissions {
        &self.counted.admissions
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut sources = self.counted.lock();
        if let Some(own) = sources.get_mut(&self.source) {
            *own -= 1;
            if *own == 0 {
                sources.remove(&self.source);
            }
        }
        if self.is_newcomer {
            self.counted.newcomers.fetch_sub(1, Ordering::Relaxed);
        }
        self.counted
            .admissions
            .without_open
            .fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    const RATE: Rate = Rate {
        burst: 3,
        per_second: 2,
    };

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let start = stamp_start();
        let mut bucket = Bucket::full(RATE, start);
        let taken = |bucket: &mut Bucket, at| (0..9).filter(|_| bucket.take(at)).count();
        assert_eq!(taken(&mut bucket, start), 3);
        assert_eq!(taken(&mut bucket, start + Duration::from_millis(499)), 0);
        assert_eq!(taken(&mut bucket, start + Duration::from_millis(500)), 1);
        assert_eq!(taken(&mut bucket, start + Duration::from_millis(1500)), 2);
        assert!(!bucket.is_full(start + Duration::from_millis(2999)));
        assert!(bucket.is_full(start + Duration::from_millis(3000)));
        // However long it rests, it holds no more than its burst.
        assert_eq!(taken(&mut bucket, start + Duration::from_secs(60)), 3);
    }

    fn stamp_start() -> Instant {
        stamp::now()
    }

    fn sender(number: u32) -> Source {
        (IpAddr::V4(number.into()), None)
    }

    #[tokio::test(start_paused = true)]
    async fn connections_without_an_open_are_limited_by_sender_and_in_all() {
        let admissions = Arc::new(Admissions::default());
        let mut pace = Pace::new(admissions.clone());
        // Configured peers take no place of newcomers.
        let own: Vec<_> = (0..WITHOUT_OPEN_EACH)
            .map(|_| pace.enter(sender(0), false).unwrap())
            .collect();
        assert_eq!(
            pace.enter(sender(0), false).unwrap_err(),
            Refusal::WithoutOpen
        );
        let all: Vec<_> = (1..)
            .map_while(|number| {
                let entered = pace.enter(sender(number), true);
                if matches!(entered, Err(Refusal::Pace)) {
                    return None;
                }
                Some(entered)
            })
            .map_while(Result::ok)
            .collect();
        assert_eq!(all.len(), WITHOUT_OPEN);
        assert_eq!(admissions.without_open(), WITHOUT_OPEN + WITHOUT_OPEN_EACH);
        tokio::time::advance(Duration::from_secs(1)).await;
        let beyond = pace.enter(sender(2_000_000), true);
        assert_eq!(beyond.unwrap_err(), Refusal::WithoutOpen);
        // A configured peer still has its place.
        drop(pace.enter(sender(1_000_000), false).unwrap());
        drop(own);
        drop(pace.enter(sender(0), false).unwrap());
        drop(all);
        drop(pace.enter(sender(0), true).unwrap());
        assert_eq!(admissions.without_open(), 0);
        assert!(pace.without_open.lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn newcomers_share_a_pace_and_no_sender_uses_up_that_of_others() {
        let mut pace = Pace::new(Arc::default());
        let count = |pace: &mut Pace, source: fn(u32) -> Source, newcomers| {
            (0..2000)
                .filter(|number| pace.enter(source(*number), newcomers).is_ok())
                .count()
        };
        // One sender alone.
        assert_eq!(count(&mut pace, |_| sender(1), true), EACH.burst as usize);
        let rest = (NEWCOMERS.burst - EACH.burst) as usize;
        assert_eq!(count(&mut pace, |number| sender(number + 2), true), rest);
        assert_eq!(
            count(&mut pace, |number| sender(number + 10_000), false),
            2000
        );
        tokio::time::advance(Duration::from_secs(1)).await;
        let second = NEWCOMERS.per_second as usize;
        assert_eq!(
            count(&mut pace, |number| sender(number + 20_000), true),
            second
        );
    }

    #[tokio::test(start_paused = true)]
    async fn senders_that_rest_are_forgotten_and_those_that_come_too_often_are_not() {
        let mut pace = Pace::new(Arc::default());
        let enters = |pace: &mut Pace, number| pace.enter(sender(number), false).is_ok();
        assert_eq!((0..99).filter(|_| enters(&mut pace, 0)).count(), 32);
        assert!((1..SENDERS as u32).all(|number| enters(&mut pace, number)));
        assert_eq!(pace.senders.len(), SENDERS);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!((0..9).filter(|_| enters(&mut pace, 0)).count(), 2);
        assert!(enters(&mut pace, 1_000_000));
        assert_eq!(pace.senders.len(), 2);
        assert!(!enters(&mut pace, 0));
        // When none of them rests, they are all forgotten rather than that there are more.
        for number in 0..3 * SENDERS as u32 {
            assert!(enters(&mut pace, 2_000_000 + number));
            assert!(pace.senders.len() <= SENDERS);
        }
    }
}
