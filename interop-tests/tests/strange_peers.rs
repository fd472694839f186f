//! Peers that speak strangely, badly or not at all, and strangers: what is no error leaves the session alone, what is
//! one ends it as the RFCs say, and the session beside them never notices.

mod support;

use std::io::ErrorKind;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use interop_tests::raw::encode::{attribute, update};
use interop_tests::raw::{
    BOTH_FAMILIES, Ending, NOTIFICATION, ROUTE_REFRESH, RawPeer, Received, message,
};
use interop_tests::{Kind, State, run};
use support::SOON;
use support::bad_input::{RAW_AS, Rig, SUBJECT, address, ends_with, gone, needs};

#[test]
fn misbehaving_peers_and_unknown_hosts_affect_only_themselves() {
    run(&needs(Kind::Routelet), |lab| {
        let rig = Rig::start(lab, Kind::Routelet, &[RAW_AS; 8])?;
        refreshes_are_tolerated(&rig, 1)?;
        an_announced_long_message_is_taken(&rig, 2)?;
        a_message_in_single_octets_is_taken(&rig, 3)?;
        a_message_cut_in_half_ends_by_the_hold_timer(&rig, 4)?;
        a_megabyte_of_garbage_is_answered(&rig, 5)?;
        a_last_word_is_not_answered(&rig, 6)?;
        a_peer_that_vanishes_in_the_middle_is_forgotten(&rig, 7)?;
        strangers_are_turned_away(&rig)?;
        rig.unharmed()
    });
}

fn still_up(rig: &Rig, n: usize) -> Result<()> {
    let session = rig.subject.session(&address(n).to_string())?;
    ensure!(
        session.state == State::Established,
        "row {n} was reset: {session:?}"
    );
    Ok(())
}

fn route(octet: u8) -> (Vec<u8>, String) {
    let octets = update(
        &[],
        &[
            attribute(0x40, 1, &[0]),
            attribute(0x40, 2, &[&[2, 1][..], &RAW_AS.to_be_bytes()].concat()),
            attribute(0x40, 3, &[10, 1, 0, 2]),
        ],
        &[24, 198, 18, octet],
    );
    (octets, format!("198.18.{octet}.0/24"))
}

/// RFC 7313 section 5: unknown subtypes are ignored; RFC 2918 section 4: so are families that were not negotiated.
fn refreshes_are_tolerated(rig: &Rig, n: usize) -> Result<()> {
    let mut peer = rig.session(n, 90)?;
    for body in [
        &[0, 1, 3, 1][..],
        &[0, 1, 255, 1],
        &[0, 25, 0, 70],
        &[0, 1, 0, 1],
    ] {
        peer.send(&message(ROUTE_REFRESH, body))?;
    }
    let (octets, prefix) = route(1);
    peer.send(&octets)?;
    rig.subject.wait_route(&prefix, SOON)?;
    still_up(rig, n)
}

/// RFC 8654 section 4: Routelet announces that it takes long messages, so it must; from peers that announce the same,
/// see `long_as_path` and docs/concepts/deviations.md.
fn an_announced_long_message_is_taken(rig: &Rig, n: usize) -> Result<()> {
    let mut peer = rig.dial(n)?;
    let capabilities = [&BOTH_FAMILIES[..], &[6, 0]].concat();
    peer.handshake(RAW_AS, address(n), 90, &capabilities)?;
    let communities: Vec<u8> = (0..5000_u32).flat_map(u32::to_be_bytes).collect();
    let octets = update(
        &[],
        &[
            attribute(0x40, 1, &[0]),
            attribute(0x40, 2, &[&[2, 1][..], &RAW_AS.to_be_bytes()].concat()),
            attribute(0x40, 3, &[10, 1, 0, 2]),
            attribute(0xd0, 8, &communities),
        ],
        &[24, 198, 18, 2],
    );
    ensure!(octets.len() > 20_000, "{} octets", octets.len());
    peer.send(&octets)?;
    let taken = rig.subject.wait_route("198.18.2.0/24", SOON)?;
    ensure!(
        taken.communities.len() == 5000,
        "{} communities",
        taken.communities.len()
    );
    still_up(rig, n)
}

fn a_message_in_single_octets_is_taken(rig: &Rig, n: usize) -> Result<()> {
    let mut peer = rig.session(n, 90)?;
    let (octets, prefix) = route(3);
    for octet in &octets {
        peer.send(&[*octet])?;
    }
    rig.subject.wait_route(&prefix, SOON)?;
    still_up(rig, n)
}

/// RFC 4271 section 6.5: octets that make no message do not keep a session alive.
fn a_message_cut_in_half_ends_by_the_hold_timer(rig: &Rig, n: usize) -> Result<()> {
    let mut peer = rig.session(n, 3)?;
    let (octets, _) = route(4);
    let (half, _) = octets.split_at(octets.len() / 2);
    peer.send(half)?;
    ends_with(Kind::Routelet, &mut peer, (4, 0, &[]))?;
    gone(rig, n)?;
    let shown = rig.peer(n)?;
    ensure!(
        shown["lastDown"]["class"] == "holdTimerExpired",
        "{}",
        shown["lastDown"]
    );
    Ok(())
}

/// The answer can be read although the garbage is not, as a whole, read by anybody.
fn a_megabyte_of_garbage_is_answered(rig: &Rig, n: usize) -> Result<()> {
    let mut peer = rig.session(n, 90)?;
    let garbage: Vec<u8> = (0..1 << 20).map(|at: u32| (at * 7 + 3) as u8).collect();
    peer.send(&garbage).context("a megabyte")?;
    ends_with(Kind::Routelet, &mut peer, (1, 1, &[]))
}

/// RFC 4271 section 6.4: what is wrong with a NOTIFICATION is not answered.
fn a_last_word_is_not_answered(rig: &Rig, n: usize) -> Result<()> {
    let mut peer = rig.session(n, 90)?;
    peer.send(&message(NOTIFICATION, &[99, 99, 1, 2, 3]))?;
    let ending = peer.ending(SOON)?;
    ensure!(ending == Ending::Closed, "{ending:?}");
    gone(rig, n)?;
    let error = &rig.peer(n)?["lastErrorReceived"];
    ensure!(error["code"] == 99 && error["subcode"] == 99, "{error}");
    Ok(())
}

fn a_peer_that_vanishes_in_the_middle_is_forgotten(rig: &Rig, n: usize) -> Result<()> {
    let mut peer = rig.session(n, 90)?;
    let (octets, prefix) = route(7);
    peer.send(&octets)?;
    rig.subject.wait_route(&prefix, SOON)?;
    peer.send(&octets[..octets.len() - 1])?;
    drop(peer);
    gone(rig, n)?;
    rig.subject.wait_no_route(&prefix, SOON)
}

/// Connections from an address that is no peer's are closed: so many a second with Cease/Connection Rejected, the rest
/// by a reset, which may come before the connection is of any use.
fn strangers_are_turned_away(rig: &Rig) -> Result<()> {
    let mut open = Vec::new();
    for _ in 0..300 {
        match RawPeer::connect_from(&rig.raw, "10.1.0.2", SUBJECT) {
            Ok(stranger) => open.push(stranger),
            Err(error) => {
                let cause = error.root_cause().downcast_ref::<std::io::Error>();
                let kind = cause.map(std::io::Error::kind);
                // EINVAL is for an option of a socket that has been reset.
                ensure!(
                    matches!(
                        kind,
                        Some(ErrorKind::ConnectionReset | ErrorKind::InvalidInput)
                    ),
                    "{error:#}"
                );
            }
        }
    }
    let mut answered = 0;
    for mut stranger in open {
        let first = stranger.receive(Duration::from_secs(5))?;
        let refused = matches!(&first, Received::Message(message)
            if message.kind == NOTIFICATION && message.body == [6, 5]);
        ensure!(refused || first == Received::Closed, "{first:?}");
        answered += usize::from(refused);
        if refused {
            ensure!(
                stranger.receive(Duration::from_secs(5))? == Received::Closed,
                "it is left open"
            );
        }
    }
    ensure!(answered >= 60, "only {answered} heard why");
    // And those that are peers still get in.
    let mut peer = rig.session(8, 90)?;
    let (octets, prefix) = route(8);
    peer.send(&octets)?;
    rig.subject.wait_route(&prefix, SOON)?;
    still_up(rig, 8)
}
