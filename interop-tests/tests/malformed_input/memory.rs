//! Malformed input that is repeated: what the subject has resident does not grow with it.

use std::ops::RangeInclusive;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use interop_tests::raw::RawPeer;
use interop_tests::raw::encode::{NON_TRANSITIVE, attribute, update};
use interop_tests::{Kind, Lab, eventually};

use crate::outcome::{Outcome, Row, Session};
use crate::parts::Parts;
use crate::sessions::{neighbour, session};
use crate::support::SOON;
use crate::support::bad_input::Rig;
use crate::{attributes, framing, refresh};

/// Rounds of all rows after which memory has its size: buffers, tables and allocator are warm.
const WARM: usize = 20;
/// Rounds after these.
const ROUNDS: usize = 180;
/// What memory may grow by in all these rounds, in octets.
const GROWTH: usize = 3 << 20;
/// The rounds have at least so many times [`GROWTH`]: one message in so many that is kept would be noticed.
const SHARE: usize = 8;
/// Peers that send messages of an unassigned type, without end, until the subject has closed the connection.
const FLOODS: usize = 10;

pub fn scenario(lab: &Lab) -> Result<()> {
    let rows: Vec<Row> = [framing::rows(), attributes::rows()].concat();
    let kinds = [
        (Session::Usual, false),
        (Session::Usual, true),
        (Session::TwoOctets, false),
    ];
    let mut peers: Vec<_> = (1..)
        .zip(kinds)
        .map(|(n, (session, internal))| neighbour(n, internal, session))
        .collect();
    peers.extend((4..4 + FLOODS).map(|n| neighbour(n, false, Session::Usual)));
    let rig = Rig::start_with(lab, Kind::Routelet, peers, "")?;
    let mut senders = Vec::new();
    for (n, (kind, internal)) in (1..).zip(kinds) {
        senders.push(Sender {
            peer: session(&rig, n, kind, &[])?,
            n,
            internal,
            round: round(&rows, kind, internal),
        });
    }
    let sent = ROUNDS * senders.iter().map(|one| one.round.len()).sum::<usize>();
    ensure!(
        sent > SHARE * GROWTH,
        "{sent} octets in all rounds are too few"
    );
    repeat(&rig, &mut senders, 0, WARM)?;
    let before = resident(&rig)?;
    repeat(&rig, &mut senders, WARM, WARM + ROUNDS)?;
    flood(&rig, 4..=3 + FLOODS)?;
    let mut after = 0;
    // What was freed goes back to the kernel with a delay.
    eventually(SOON, "memory is as it was", || {
        after = resident(&rig)?;
        ensure!(
            after <= before + GROWTH,
            "{before} octets after {WARM} rounds, {after} after {ROUNDS} more"
        );
        Ok(())
    })?;
    rig.unharmed()
}

/// A session that repeats the rows of its kind.
struct Sender {
    peer: RawPeer,
    n: usize,
    internal: bool,
    round: Vec<u8>,
}

/// All rows that leave a session of this kind alone, as octets.
fn round(rows: &[Row], session: Session, internal: bool) -> Vec<u8> {
    (1..)
        .zip(rows)
        .filter(|(_, row)| row.session == session)
        .filter(|(_, row)| !matches!(row.outcome(internal), Outcome::Reset(..)))
        .flat_map(|(n, row)| {
            let parts = row.parts(n, internal);
            [parts.before_it(), (row.octets)(&parts)].concat()
        })
        .collect()
}

/// Sends the rounds `from..to`, and waits until all of it was taken.
fn repeat(rig: &Rig, senders: &mut [Sender], from: usize, to: usize) -> Result<()> {
    for _ in from..to {
        for sender in senders.iter_mut() {
            sender.peer.send(&sender.round)?;
        }
    }
    for sender in senders.iter_mut() {
        // A route that is new each time: its MED is the number of rounds.
        let mut attributes = Parts::new(sender.n, sender.internal);
        if rig.peer(sender.n)?["capabilities"].is_null() {
            anyhow::bail!("the session is gone");
        }
        if sender.n == 3 {
            attributes = attributes.two_octets();
        }
        let mut all = attributes.good();
        all.insert(3, attribute(NON_TRANSITIVE, 4, &(to as u32).to_be_bytes()));
        let n = u8::try_from(sender.n)?;
        sender.peer.send(&update(&[], &all, &[24, 198, 51, n]))?;
        let prefix = format!("198.51.{n}.0/24");
        eventually(SOON * 4, "the last round was taken", || {
            let route = rig.subject.route(&prefix)?;
            ensure!(route.med == Some(to as u32), "{route:?}");
            Ok(())
        })?;
    }
    Ok(())
}

/// Sends messages of an unassigned type on all connections at once, until the subject has closed each.
fn flood(rig: &Rig, peers: RangeInclusive<usize>) -> Result<()> {
    let mut connections = Vec::new();
    for n in peers.clone() {
        connections.push(session(rig, n, Session::Usual, &[])?);
    }
    let many = refresh::dynamic_capability().repeat(1000);
    let until = Instant::now() + SOON;
    let closed = std::thread::scope(|scope| {
        let floods: Vec<_> = connections
            .iter_mut()
            .map(|peer| {
                scope.spawn(|| {
                    while Instant::now() < until {
                        if peer.send(&many).is_err() {
                            return true;
                        }
                    }
                    false
                })
            })
            .collect();
        let mut ends = floods.into_iter().map(|flood| flood.join());
        ends.all(|closed| closed.is_ok_and(|closed| closed))
    });
    ensure!(closed, "a flood was read for {SOON:?}");
    for n in peers {
        let shown = rig.peer(n)?;
        let error = &shown["lastErrorSent"];
        ensure!(
            error["code"] == 1 && error["subcode"] == 3 && shown["establishedCount"] == 1,
            "{error}"
        );
    }
    Ok(())
}

/// What the subject has resident, in octets.
fn resident(rig: &Rig) -> Result<usize> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", rig.subject.pid()?))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let words = line.context("no VmRSS")?.split_whitespace().next();
    Ok(words.context("no VmRSS")?.parse::<usize>()? * 1024)
}
