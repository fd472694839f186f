//! RFC 4271 section 6.8: a row for every pair of connections, at the OPEN of the one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{config, graceful};
use crate::fsm::collision::{Verdict, judge};
use crate::fsm::connection::{Connection, Direction, Phase};
use crate::fsm::negotiate::open;
use crate::fsm::{Config, ConnectionId, Negotiated, negotiate};
use Direction::{Incoming, Outgoing};
use Verdict::{Both, CloseOther, CloseThis, PeerRestarted};

/// How far the other connection is, and for how many milliseconds its TCP has been up; `None` for an Established one with
/// the time that its session has lasted.
#[derive(Clone, Copy, Debug)]
enum Other {
    OpenSent(u64),
    OpenConfirm,
    /// With graceful restart for IPv4, or offered without a family, or not at all.
    Established(Restart, u64),
}

#[derive(Clone, Copy, Debug)]
enum Restart {
    No,
    NoFamily,
    Yes,
}

/// Who is dominant: we are AS 5 with identifier 5, and this is the peer.
const SMALLER: (u32, u32) = (9, 4);
const LARGER: (u32, u32) = (1, 6);

fn agreed(local: &Config, peer: (u32, u32), restart: Restart) -> Negotiated {
    let mut remote = config(peer.0, peer.1);
    if let Restart::Yes | Restart::NoFamily = restart {
        remote.graceful_restart = graceful(true).graceful_restart;
    }
    if let (Restart::NoFamily, Some(graceful)) = (restart, &mut remote.graceful_restart) {
        graceful.families.clear();
    }
    negotiate(local, &open(&remote, false)).unwrap()
}

/// The verdict at the OPEN of `this`, whose TCP came up `after` milliseconds after the session of an Established other.
fn verdict(peer: (u32, u32), this: Direction, other: (Direction, Other), after: u64) -> Verdict {
    let millis = Duration::from_millis;
    let mut local = config(5, 5);
    local.graceful_restart = graceful(true).graceful_restart;
    let start = Instant::now();
    let local = Arc::new(local);
    let connection =
        |id, direction, since| Connection::new(ConnectionId(id), direction, since, local.clone());
    let (direction, far) = other;
    let mut two = connection(2, direction, start);
    let (restart, now) = match far {
        Other::OpenSent(up) => (Restart::No, start + millis(up)),
        Other::OpenConfirm => (Restart::No, start + millis(1)),
        Other::Established(restart, _) => (restart, start + millis(100_000)),
    };
    let negotiated = Arc::new(agreed(&local, peer, restart));
    match far {
        Other::OpenSent(_) => {}
        Other::OpenConfirm => {
            two.phase = Phase::OpenConfirm {
                negotiated: negotiated.clone(),
                hold: now,
                keepalive: None,
                bfd: None,
            };
        }
        Other::Established(_, since) => {
            two.phase = Phase::Established {
                negotiated: negotiated.clone(),
                since: start + millis(since),
                hold: None,
                keepalive: None,
                send_hold: None,
            };
        }
    }
    let one = connection(1, this, start + millis(after));
    judge(now, &local, &one, &negotiated, &two)
}

#[test]
fn rfc_4271_6_8_every_row_of_the_judgement_before_one_is_established() {
    let fresh = Other::OpenSent(4_999);
    let old = Other::OpenSent(5_000);
    let confirmed = Other::OpenConfirm;
    for (peer, this, other, after, expected) in [
        // Without the peer's OPEN on the other: the larger identifier decides at once, for the one that it dialled.
        (SMALLER, Outgoing, (Incoming, fresh), 0, CloseOther),
        (SMALLER, Outgoing, (Incoming, old), 0, CloseOther),
        (SMALLER, Incoming, (Outgoing, fresh), 0, CloseThis),
        // The peer says nothing on ours for so long that it has lost it.
        (SMALLER, Incoming, (Outgoing, old), 0, CloseOther),
        // The smaller waits for what the larger does.
        (LARGER, Incoming, (Outgoing, fresh), 0, CloseOther),
        (LARGER, Incoming, (Outgoing, old), 0, CloseOther),
        (LARGER, Outgoing, (Incoming, fresh), 0, Both),
        (LARGER, Outgoing, (Incoming, old), 0, Both),
        // With both OPENs: the connection that the larger identifier dialled stays.
        (SMALLER, Outgoing, (Incoming, confirmed), 0, CloseOther),
        (SMALLER, Incoming, (Outgoing, confirmed), 0, CloseThis),
        (LARGER, Outgoing, (Incoming, confirmed), 0, CloseThis),
        (LARGER, Incoming, (Outgoing, confirmed), 0, CloseOther),
        // RFC 6286 section 2.3: of equal identifiers the larger AS.
        ((4, 5), Outgoing, (Incoming, confirmed), 0, CloseOther),
        ((4, 5), Incoming, (Outgoing, confirmed), 0, CloseThis),
        ((6, 5), Outgoing, (Incoming, confirmed), 0, CloseThis),
        ((6, 5), Incoming, (Outgoing, confirmed), 0, CloseOther),
        // Two that the peer dialled: the newer, whoever is dominant.
        (SMALLER, Incoming, (Incoming, fresh), 0, CloseOther),
        (LARGER, Incoming, (Incoming, fresh), 0, CloseOther),
        (SMALLER, Incoming, (Incoming, confirmed), 0, CloseOther),
        (LARGER, Incoming, (Incoming, confirmed), 0, CloseOther),
    ] {
        let found = verdict(peer, this, other, after);
        assert_eq!(
            found, expected,
            "peer {peer:?}, {this:?} {after} ms, other {other:?}"
        );
    }
}

#[test]
fn rfc_4271_6_8_every_row_of_the_judgement_beside_an_established_one() {
    let up = |restart| Other::Established(restart, 1_000);
    let no = up(Restart::No);
    for (peer, this, other, after, expected) in [
        // An Established one stays, whoever is dominant.
        (SMALLER, Outgoing, (Incoming, no), 50_000, CloseThis),
        (LARGER, Outgoing, (Incoming, no), 50_000, CloseThis),
        (SMALLER, Incoming, (Outgoing, no), 50_000, CloseThis),
        (LARGER, Incoming, (Outgoing, no), 50_000, CloseThis),
        (
            LARGER,
            Incoming,
            (Incoming, up(Restart::NoFamily)),
            50_000,
            CloseThis,
        ),
        // RFC 4724 section 5: a peer with graceful restart that comes again has restarted; not a collision's other half.
        (
            LARGER,
            Incoming,
            (Incoming, up(Restart::Yes)),
            6_000,
            PeerRestarted,
        ),
        (
            SMALLER,
            Incoming,
            (Outgoing, up(Restart::Yes)),
            6_000,
            PeerRestarted,
        ),
        (
            LARGER,
            Incoming,
            (Incoming, up(Restart::Yes)),
            5_999,
            CloseThis,
        ),
        (
            LARGER,
            Outgoing,
            (Incoming, up(Restart::Yes)),
            50_000,
            CloseThis,
        ),
    ] {
        let found = verdict(peer, this, other, after);
        assert_eq!(
            found, expected,
            "peer {peer:?}, {this:?} {after} ms, other {other:?}"
        );
    }
}

#[test]
fn equal_identifiers_and_as_numbers_are_nobodys_dominance() {
    // Two ends in one AS with one identifier are refused before; if they were not, they would not close both.
    let mut local = config(5, 5);
    let negotiated = agreed(&local, (6, 6), Restart::No);
    let equal = Negotiated {
        peer_asn: local.local_asn,
        peer_id: local.local_id,
        ..negotiated
    };
    local.passive = false;
    let now = Instant::now();
    let local = Arc::new(local);
    let one = |direction| Connection::new(ConnectionId(1), direction, now, local.clone());
    assert_eq!(
        judge(now, &local, &one(Outgoing), &equal, &one(Incoming)),
        Both
    );
}
