//! How often a peer may have all routes sent again (RFC 2918), and begin to send all of its own again (RFC 7313): pure.
//!
//! A ROUTE-REFRESH of 23 octets has a whole table sent, and the beginning and end of a refresh have a whole table walked. [`BURST`] of
//! each in a row are followed at once, for each peer and family, and then one in [`EVERY`]. A request beyond that waits for its time,
//! and all that wait are one: what the peer gets is newer than it asked for. A beginning cannot wait, since routes follow it: it is
//! ignored, and routes that are not repeated then stay until they are withdrawn, or until a refresh that is not ignored ends.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bgp::types::Family;
use bgp::wire::{RouteRefresh, RouteRefreshSubtype};
use rib::PeerId;

/// So many in a row are followed at once: those of an operator who tries policies, and of a router that asks twice.
const BURST: u32 = 4;

/// And one in so long after that. A full table takes some seconds to send.
const EVERY: Duration = Duration::from_secs(30);

/// What was not followed at once, since the start. Shared with who shows it.
#[derive(Debug, Default)]
pub struct Limited {
    delayed: AtomicU64,
    ignored: AtomicU64,
}

impl Limited {
    /// Requests that had to wait, and beginnings that were ignored.
    pub fn read(&self) -> (u64, u64) {
        let [delayed, ignored] = [&self.delayed, &self.ignored];
        (
            delayed.load(Ordering::Relaxed),
            ignored.load(Ordering::Relaxed),
        )
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct Refreshes {
    paces: HashMap<(PeerId, Family), Paces>,
    /// Requests that wait, and until when: what [`Paces::waits_until`] says.
    waiting: BTreeSet<(Instant, PeerId, Family)>,
    limited: Arc<Limited>,
}

/// Of a peer and family.
#[derive(Clone, Copy, Debug, Default)]
struct Paces {
    requests: Pace,
    beginnings: Pace,
    /// Until when a request waits, if one does.
    waits_until: Option<Instant>,
}

/// When the next one would be due if they came evenly; `None`: none came so far.
#[derive(Clone, Copy, Debug, Default)]
struct Pace(Option<Instant>);

impl Pace {
    /// Takes one in, if it may be followed now. If not: when it may.
    fn admit(&mut self, now: Instant) -> Result<(), Instant> {
        let even = self.0.unwrap_or(now).max(now);
        let ahead = EVERY * (BURST - 1);
        if even > now + ahead {
            return Err(even - ahead);
        }
        self.0 = Some(even + EVERY);
        Ok(())
    }
}

impl Refreshes {
    /// What was not followed at once.
    pub fn limited(&self) -> Arc<Limited> {
        Arc::clone(&self.limited)
    }

    /// Whether a message of a peer is to be followed now.
    pub fn admit(&mut self, peer: PeerId, message: RouteRefresh, now: Instant) -> bool {
        // Of other families there are no routes, so nothing follows; and a peer can name 16 million of them.
        if !Family::ALL.contains(&message.family) {
            return true;
        }
        let of = (peer, message.family);
        match message.subtype {
            RouteRefreshSubtype::Request => {
                let paces = self.paces.entry(of).or_default();
                // All that wait are one: this one is followed when that is, and in its place if that is now.
                let waits_until = paces.waits_until.take();
                if let Some(until) = waits_until {
                    self.waiting.remove(&(until, peer, message.family));
                }
                let is_admitted = match waits_until.filter(|until| now < *until) {
                    Some(until) => Err(until),
                    None => paces.requests.admit(now),
                };
                let Err(until) = is_admitted else {
                    return true;
                };
                self.limited.delayed.fetch_add(1, Ordering::Relaxed);
                paces.waits_until = Some(until);
                self.waiting.insert((until, peer, message.family));
                false
            }
            RouteRefreshSubtype::Begin => {
                let is_admitted = self.paces.entry(of).or_default().beginnings.admit(now);
                if is_admitted.is_err() {
                    self.limited.ignored.fetch_add(1, Ordering::Relaxed);
                }
                is_admitted.is_ok()
            }
            RouteRefreshSubtype::End | RouteRefreshSubtype::Unknown(_) => true,
        }
    }

    /// The requests whose time has come.
    pub fn due(&mut self, now: Instant) -> Vec<(PeerId, RouteRefresh)> {
        let mut due = Vec::new();
        while let Some((_, peer, family)) = self.waiting.first().filter(|(at, ..)| *at <= now) {
            let (peer, family) = (*peer, *family);
            self.waiting.pop_first();
            let paces = self.paces.entry((peer, family)).or_default();
            paces.waits_until = None;
            // Admitted: its time was when that would be, and none was followed since.
            let _ = paces.requests.admit(now);
            let subtype = RouteRefreshSubtype::Request;
            due.push((peer, RouteRefresh { family, subtype }));
        }
        due
    }

    /// When the next one is due.
    pub fn deadline(&self) -> Option<Instant> {
        self.waiting.first().map(|(at, ..)| *at)
    }

    /// A session is over: what waits is of no use, since the next one begins with all routes. A peer that comes back has not more to
    /// ask for because of that.
    pub fn session_down(&mut self, peer: PeerId) {
        for family in Family::ALL {
            let paces = self.paces.get_mut(&(peer, family));
            if let Some(until) = paces.and_then(|paces| paces.waits_until.take()) {
                self.waiting.remove(&(until, peer, family));
            }
        }
    }

    /// A peer is removed: nothing of it is to stay.
    pub fn forget(&mut self, peer: PeerId) {
        self.session_down(peer);
        for family in Family::ALL {
            self.paces.remove(&(peer, family));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const PEER: PeerId = PeerId(1);

    fn message(family: Family, subtype: RouteRefreshSubtype) -> RouteRefresh {
        RouteRefresh { family, subtype }
    }

    fn request(family: Family) -> RouteRefresh {
        message(family, RouteRefreshSubtype::Request)
    }

    /// Which seconds of `seconds` a table is sent in, at a hundred requests each.
    fn sent(refreshes: &mut Refreshes, peer: PeerId, begin: Instant, seconds: u64) -> Vec<u64> {
        let family = Family::IPV4_UNICAST;
        let mut sent = Vec::new();
        for second in 0..seconds {
            let now = begin + Duration::from_secs(second);
            let due = refreshes.due(now);
            assert!(due.iter().all(|one| *one == (peer, request(family))));
            sent.extend(due.iter().map(|_| second));
            for _ in 0..100 {
                if refreshes.admit(peer, request(family), now) {
                    sent.push(second);
                }
            }
        }
        sent
    }

    #[test]
    fn requests_without_end_have_the_table_sent_a_few_times_and_then_every_half_minute() {
        let begin = Instant::now();
        let mut refreshes = Refreshes::default();
        let found = sent(&mut refreshes, PEER, begin, 125);
        assert_eq!(found, [0, 0, 0, 0, 30, 60, 90, 120]);
        let (delayed, ignored) = refreshes.limited().read();
        assert_eq!((delayed, ignored), (12_500 - 4, 0));
        // One that waits is one, and is followed though nobody asks again.
        assert_eq!(refreshes.waiting.len(), 1);
        let at = refreshes.deadline().unwrap();
        assert_eq!(at, begin + Duration::from_secs(150));
        assert_eq!(refreshes.due(at).len(), 1);
        assert_eq!((refreshes.deadline(), refreshes.due(at).len()), (None, 0));
        // After a quiet time all are free again.
        let later = at + EVERY * BURST;
        let found = sent(&mut refreshes, PEER, later, 1);
        assert_eq!(found, [0, 0, 0, 0]);
    }

    /// It comes in the moment in which the one that waits is due, before that is looked at.
    #[test]
    fn a_request_that_comes_when_one_is_due_is_followed_in_its_place() {
        let (begin, mut refreshes) = (Instant::now(), Refreshes::default());
        let mut ask =
            |after: Duration| refreshes.admit(PEER, request(Family::IPV4_UNICAST), begin + after);
        assert!((0..BURST).all(|_| ask(Duration::ZERO)));
        assert!(!ask(Duration::ZERO));
        assert!(!ask(EVERY - Duration::from_millis(1)));
        assert!(ask(EVERY));
        assert!(!ask(EVERY));
        assert_eq!(refreshes.due(begin + EVERY), []);
        assert_eq!(refreshes.deadline(), Some(begin + 2 * EVERY));
        assert_eq!(refreshes.due(begin + 2 * EVERY).len(), 1);
        assert_eq!(refreshes.deadline(), None);
    }

    #[test]
    fn another_peer_family_or_kind_has_its_own() {
        let (now, mut refreshes) = (Instant::now(), Refreshes::default());
        for _ in 0..BURST {
            assert!(refreshes.admit(PEER, request(Family::IPV4_UNICAST), now));
        }
        assert!(!refreshes.admit(PEER, request(Family::IPV4_UNICAST), now));
        assert!(refreshes.admit(PEER, request(Family::IPV6_UNICAST), now));
        assert!(refreshes.admit(PeerId(2), request(Family::IPV4_UNICAST), now));
        let begin = message(Family::IPV4_UNICAST, RouteRefreshSubtype::Begin);
        for _ in 0..BURST {
            assert!(refreshes.admit(PEER, begin, now));
        }
        // What comes between would be taken for what it repeats.
        assert!(!refreshes.admit(PEER, begin, now));
        assert_eq!(refreshes.limited().read(), (1, 1));
        // An end costs nothing without a beginning.
        let end = message(Family::IPV4_UNICAST, RouteRefreshSubtype::End);
        assert!((0..100).all(|_| refreshes.admit(PEER, end, now)));
        assert!(refreshes.admit(PEER, begin, now + EVERY));
        assert!(!refreshes.admit(PEER, begin, now + EVERY));
    }

    #[test]
    fn a_session_that_ends_takes_what_waits_along_and_no_more() {
        let (now, mut refreshes) = (Instant::now(), Refreshes::default());
        let ipv4 = request(Family::IPV4_UNICAST);
        for _ in 0..=BURST {
            refreshes.admit(PEER, ipv4, now);
        }
        refreshes.session_down(PEER);
        assert_eq!(refreshes.deadline(), None);
        assert!(!refreshes.admit(PEER, ipv4, now), "as if it had not ended");
        refreshes.forget(PEER);
        assert_eq!(refreshes.deadline(), None);
        assert!(refreshes.paces.is_empty());
        assert!(refreshes.admit(PEER, ipv4, now), "the number is another's");
    }

    #[test]
    fn a_peer_that_asks_for_families_that_there_are_not_takes_no_memory() {
        let mut refreshes = Refreshes::default();
        let now = Instant::now();
        for number in 0..1000_u16 {
            let family = Family {
                afi: bgp::types::Afi(number + 100),
                ..Family::IPV4_UNICAST
            };
            for subtype in [RouteRefreshSubtype::Request, RouteRefreshSubtype::Begin] {
                assert!(refreshes.admit(PEER, message(family, subtype), now));
            }
        }
        assert!(refreshes.paces.is_empty() && refreshes.waiting.is_empty());
    }
}
