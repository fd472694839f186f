//! RFC 4271 4.2: the smaller hold time counts, and a hold time of 0 means that nobody sends KEEPALIVEs and nobody waits
//! for any.

mod support;

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use interop_tests::raw::{self, BOTH_FAMILIES, RawPeer, Received};
use interop_tests::{Kind, Lab, Need, Neighbour, Speaker, Subject, always, pairs, run};
use support::{PEER, Pair, SUBJECT, speaker};

/// The shortest hold time there is: without it, a session would fall within this time, and see a KEEPALIVE each second.
const SHORTEST: Duration = Duration::from_secs(3);

pairs!(a_session_without_hold_time_stays_up: subject_has_none, [routelet], [bird2 frr8]);

#[test]
fn routelet_neither_sends_nor_expects_keepalives_without_hold_time() {
    silence(Kind::Routelet);
}

#[test]
fn the_lab_holds_for_bird2() {
    silence(Kind::Bird2);
}

/// The peer would keep the shortest hold time, but the subject has none.
fn subject_has_none(lab: &Lab, subject: Kind, peer: Kind) -> Result<()> {
    let ours = speaker(1, 2, PEER[0]).hold_time(Duration::ZERO);
    let theirs = speaker(2, 1, SUBJECT[0]).hold_time(SHORTEST);
    let pair = Pair::start(lab, 0, (subject, ours), (peer, theirs))?;
    let before = pair.settled()?;
    always(SHORTEST + Duration::from_secs(1), "up", || {
        let now = pair.connections()?;
        ensure!(before == now, "{before:?}, then {now:?}");
        Ok(())
    })
}

fn silence(kind: Kind) {
    run(&[Need::Speaker(kind)], |lab| {
        let (left, right) = lab.pair(("subject", &["10.0.0.1/24"]), ("raw", &["10.0.0.2/24"]))?;
        let ours = Speaker::new(64501, SUBJECT[0])
            .hold_time(SHORTEST)
            .neighbour(Neighbour::new(PEER[0], 64502).passive());
        let _subject = Subject::start(lab, kind, &left, ours)?;
        let mut peer = RawPeer::connect(&right, SUBJECT[0])?;
        peer.handshake(64502, Ipv4Addr::new(10, 0, 0, 2), 0, &BOTH_FAMILIES)?;
        let until = Instant::now() + SHORTEST + Duration::from_secs(1);
        loop {
            match peer.receive(until.saturating_duration_since(Instant::now()))? {
                Received::Nothing => return Ok(()),
                Received::Message(message) if message.kind == raw::UPDATE => {}
                other => bail!("silence expected: {other:?}"),
            }
        }
    });
}
