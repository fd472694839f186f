//! RFC 4271: how sessions come and go. Either side may dial, or both at once (section 6.8); a neighbour that is killed
//! or falls silent is noticed, its routes go, and it is peered with again when it is back; what is originated changes
//! without a reset.

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, ensure};
use interop_tests::{
    Export, Kind, Lab, Mode, Origination, Signal, Speaker, always, eventually, pairs,
};
use support::{PEER, Pair, SOON, SUBJECT, speaker};

pairs!(both_sides_dial_and_one_session_stays: both_dial, [routelet]);
pairs!(the_subject_dials: subject_dials, [routelet]);
pairs!(the_peer_dials: peer_dials, [routelet]);
pairs!(a_killed_peer_is_noticed_and_taken_back: killed_peer, [routelet]);
pairs!(a_silent_peer_is_dropped_after_the_hold_time: silent_peer, [routelet], [bird2 frr8 gobgp openbgpd]);
pairs!(routes_of_the_peer_come_and_go_without_a_reset: peer_changes, [routelet]);
pairs!(routes_of_the_subject_change_without_a_reset: subject_changes, [routelet]);
pairs!(the_lab_holds_where_both_dial: both_dial, [bird2], [frr8]);
pairs!(the_lab_holds_where_the_subject_dials: subject_dials, [bird2], [frr8]);
pairs!(the_lab_holds_where_the_peer_dials: peer_dials, [bird2], [frr8]);
pairs!(the_lab_holds_for_a_killed_peer: killed_peer, [bird2], [frr8]);
pairs!(the_lab_holds_for_a_silent_peer: silent_peer, [bird2], [frr8]);
pairs!(the_lab_holds_for_changes_of_the_peer: peer_changes, [bird2], [frr8]);
pairs!(the_lab_holds_for_changes_of_the_subject: subject_changes, [bird2], [frr8]);

const ROUTE: &str = "198.51.100.0/24";

fn start(
    lab: &Lab,
    subject: (Kind, Mode),
    peer: (Kind, Mode),
    hold: Option<Duration>,
) -> Result<Pair> {
    let mut ours = speaker(1, 2, PEER[0]);
    ours.neighbours[0].mode = subject.1;
    let mut theirs = speaker(2, 1, SUBJECT[0]).originate(Origination::new(ROUTE));
    theirs.neighbours[0].mode = peer.1;
    (ours.hold_time, theirs.hold_time) = (hold, hold);
    let pair = Pair::start(lab, 0, (subject.0, ours), (peer.0, theirs))?;
    pair.subject.wait_route(ROUTE, SOON)?;
    Ok(pair)
}

fn both_dial(lab: &Lab, subject: Kind, peer: Kind) -> Result<()> {
    let pair = start(lab, (subject, Mode::Both), (peer, Mode::Both), None)?;
    stays_up(&pair)
}

fn subject_dials(lab: &Lab, subject: Kind, peer: Kind) -> Result<()> {
    let pair = start(lab, (subject, Mode::Both), (peer, Mode::Passive), None)?;
    stays_up(&pair)
}

fn peer_dials(lab: &Lab, subject: Kind, peer: Kind) -> Result<()> {
    let pair = start(lab, (subject, Mode::Passive), (peer, Mode::Both), None)?;
    stays_up(&pair)
}

/// A collision that is decided late would take the session with it in its first seconds.
fn stays_up(pair: &Pair) -> Result<()> {
    let before = pair.settled()?;
    always(Duration::from_millis(1500), "the session stays up", || {
        let now = pair.connections()?;
        ensure!(now == before, "was {before:?}: {now:?}");
        pair.subject.route(ROUTE).map(drop)
    })
}

fn killed_peer(lab: &Lab, subject: Kind, peer: Kind) -> Result<()> {
    let mut pair = start(lab, (subject, Mode::Both), (peer, Mode::Both), None)?;
    pair.peer.kill()?;
    // The kernel of a killed daemon closes its connection: no hold time has to pass.
    pair.subject.wait_no_route(ROUTE, SOON)?;
    pair.peer.launch()?;
    pair.subject.wait_established(PEER[0])?;
    pair.subject.wait_route(ROUTE, SOON).map(drop)
}

fn silent_peer(lab: &Lab, subject: Kind, peer: Kind) -> Result<()> {
    let hold = Duration::from_secs(6);
    let pair = start(lab, (subject, Mode::Both), (peer, Mode::Both), Some(hold))?;
    pair.peer.signal(Signal::SIGSTOP)?;
    pair.subject.wait_no_route(ROUTE, hold + SOON)?;
    pair.peer.signal(Signal::SIGCONT)?;
    pair.subject.wait_route(ROUTE, hold + SOON * 2).map(drop)
}

const NEW: [&str; 2] = ["198.51.101.0/24", "2001:db8:101::/48"];

fn with_new(plain: &Speaker, med: u32) -> Speaker {
    NEW.iter().fold(plain.clone(), |speaker, prefix| {
        speaker.originate(Origination::new(prefix).med(med).community(64500, 7))
    })
}

fn peer_changes(lab: &Lab, subject: Kind, peer: Kind) -> Result<()> {
    let mut pair = start(lab, (subject, Mode::Both), (peer, Mode::Both), None)?;
    let before = pair.settled()?;
    let plain = pair.peer.speaker().clone();
    pair.peer.reconfigure(with_new(&plain, 1))?;
    for prefix in NEW {
        pair.subject.wait_route(prefix, SOON)?;
    }
    pair.peer.reconfigure(plain)?;
    for prefix in NEW {
        pair.subject.wait_no_route(prefix, SOON)?;
    }
    unchanged(&pair, &before)
}

fn subject_changes(lab: &Lab, subject: Kind, peer: Kind) -> Result<()> {
    let mut pair = start(lab, (subject, Mode::Both), (peer, Mode::Both), None)?;
    let before = pair.settled()?;
    let plain = pair.subject.speaker().clone();
    // Prefixes come, their attributes change, the neighbour is told nothing any more, and then again, and they go.
    for med in [1, 2] {
        pair.subject.reconfigure(with_new(&plain, med))?;
        seen_by_peer(&pair, med)?;
    }
    let mut silent = with_new(&plain, 2);
    silent.neighbours[0].export = Export::Nothing;
    pair.subject.reconfigure(silent)?;
    gone_from_peer(&pair)?;
    pair.subject.reconfigure(with_new(&plain, 3))?;
    seen_by_peer(&pair, 3)?;
    pair.subject.reconfigure(plain)?;
    gone_from_peer(&pair)?;
    unchanged(&pair, &before)
}

fn seen_by_peer(pair: &Pair, med: u32) -> Result<()> {
    NEW.iter().try_for_each(|prefix| {
        eventually(SOON, &format!("MED {med} at {}", pair.peer), || {
            let route = pair.peer.route(prefix)?;
            ensure!(route.med == Some(med), "{route:?}");
            Ok(())
        })
    })
}

fn gone_from_peer(pair: &Pair) -> Result<()> {
    NEW.iter()
        .try_for_each(|prefix| pair.peer.wait_no_route(prefix, SOON))
}

fn unchanged(pair: &Pair, before: &BTreeSet<String>) -> Result<()> {
    let after = pair.connections()?;
    ensure!(
        after == *before,
        "the session fell: {before:?}, then {after:?}"
    );
    pair.subject.route(ROUTE).map(drop)
}
