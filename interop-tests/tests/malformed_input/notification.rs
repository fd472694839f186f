//! NOTIFICATIONs from a peer, second connections while routes are kept for a restart, and a hold time of 0: what needs
//! more than one message.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use interop_tests::raw::encode::update;
use interop_tests::raw::{Ending, NOTIFICATION, OPEN, RawPeer, message};
use interop_tests::{Kind, Lab, eventually};

use crate::outcome::Session;
use crate::parts::Parts;
use crate::sessions::{neighbour, session, session_with};
use crate::support::SOON;
use crate::support::bad_input::{OWN_AS, Rig, gone, verdict};

/// How long a peer may be refused after its session was lost.
const HELD: Duration = Duration::from_secs(30);

/// A NOTIFICATION that an Established session gets, and the text that is shown of it.
struct Row {
    name: &'static str,
    body: Vec<u8>,
    text: Option<String>,
}

/// Cease/Administrative Shutdown or Reset with this data.
fn cease(subcode: u8, data: &[u8]) -> Vec<u8> {
    [&[6, subcode], data].concat()
}

#[rustfmt::skip]
fn rows() -> Vec<Row> {
    let row = |name, body, text: Option<&str>| Row { name, body, text: text.map(str::to_owned) };
    let longest = [&[255][..], &[b'x'; 255]].concat();
    let replaced = "\u{fffd}".repeat(3);
    vec![
        row("RFC 9003 2: a shutdown with a text", cease(2, b"\x09back at 3"), Some("back at 3")),
        row("RFC 9003 2: a reset with a text", cease(4, b"\x03bye"), Some("bye")),
        row("RFC 9003 2: a length over the rest", cease(2, b"\x80bye"), Some("bye")),
        row("RFC 9003 2: a length below the rest", cease(2, b"\x02bye"), Some("by")),
        row("RFC 9003 2: only a length", cease(2, &[200]), None),
        row("RFC 9003 2: no UTF-8", cease(2, b"\x03\xff\xfe\x80"), Some(&replaced)),
        row("RFC 9003 2: UTF-8 that is cut by the length", cease(2, "\u{2}zä".as_bytes()), Some("z\u{fffd}")),
        row("RFC 9003 2: 255 octets", cease(2, &longest), Some(&"x".repeat(255))),
        row("RFC 9003 2: more octets than a length can say", cease(2, &[255; 4000]), Some(&"\u{fffd}".repeat(255))),
        row("RFC 4271 4.5: an unknown code", vec![99, 99, 3, 1, 2, 3], None),
        row("RFC 8538 3.1: a hard reset without anything inside", cease(9, &[]), None),
        row("RFC 8538 3.1: a hard reset around a hard reset", cease(9, &[6, 9, 6, 9, 6, 9]), None),
    ]
}

pub fn scenario(lab: &Lab) -> Result<()> {
    let rows = rows();
    let both = [false, true];
    let mut peers: Vec<_> = (0..rows.len() * 2)
        .map(|at| neighbour(at + 1, both[at % 2], Session::Restart))
        .collect();
    let restarts = peers.len() + 1;
    for (n, internal) in (restarts..).zip(both) {
        peers.push(neighbour(n, internal, Session::Restart));
    }
    let zero = peers.len() + 1;
    peers.push(neighbour(zero, false, Session::Usual));
    let rig = Rig::start_with(lab, Kind::Routelet, peers, "")?;

    // No KEEPALIVE is due, from either side.
    let mut idle = session_with(&rig, zero, Session::Usual, 0, &[])?;
    let mut failures = Vec::new();
    let mut note = |name: &str, result: Result<()>| {
        if let Err(error) = result {
            failures.push(format!("{name}: {error:#}"));
        }
    };
    for (at, row) in rows.iter().flat_map(|row| [row, row]).enumerate() {
        note(row.name, last_message(&rig, at + 1, row));
    }
    // Side by side: a peer may replace its session only some seconds after it was established.
    let (external, internal) = std::thread::scope(|scope| {
        let external = scope.spawn(|| second_connections(&rig, restarts));
        let internal = second_connections(&rig, restarts + 1);
        (external.join(), internal)
    });
    let what = "RFC 4724 4.2: second connections while routes are kept";
    note(what, external.map_err(|_| anyhow!("it panicked"))?);
    note(what, internal);
    note(
        "RFC 4271 4.2, RFC 9687: a hold time of 0",
        still_there(&rig, zero, &mut idle),
    );
    rig.unharmed()?;
    verdict(&failures)
}

/// A NOTIFICATION ends the session, is not answered (RFC 4271 section 6.4), and is shown as it can be.
fn last_message(rig: &Rig, n: usize, row: &Row) -> Result<()> {
    let mut peer = session(rig, n, Session::Restart, &[])?;
    peer.send(&message(NOTIFICATION, &row.body))?;
    let ending = peer.ending(SOON)?;
    ensure!(ending == Ending::Closed, "{ending:?}");
    gone(rig, n)?;
    let error = &rig.peer(n)?["lastErrorReceived"];
    ensure!(
        error["code"] == row.body[0] && error["subcode"] == row.body[1],
        "{error}"
    );
    ensure!(
        error["communication"].as_str() == row.text.as_deref(),
        "{:?} expected: {error}",
        row.text
    );
    Ok(())
}

/// The peer's TCP connection is lost and its routes are kept; it connects, again before the first of these is of use,
/// and the session that stays is the last one.
fn second_connections(rig: &Rig, n: usize) -> Result<()> {
    let internal = rig.asn(n)? == OWN_AS;
    let parts = Parts::new(n, internal);
    let prefix = format!("198.18.{n}.0/24");
    let mut first = session(rig, n, Session::Restart, &[])?;
    first.send(&parts.before_it())?;
    rig.subject.wait_route(&prefix, SOON)?;
    drop(first);
    eventually(SOON, "the route is kept", || {
        let route = rig.subject.route(&prefix)?;
        ensure!(route.stale, "{route:?}");
        Ok(())
    })?;
    // Connections that say nothing, and one that says half of it.
    let silent = rig.dial(n)?;
    let mut half = rig.dial(n)?;
    let _ = half.send(&message(OPEN, &[4])[..20]);
    let mut second = again(rig, n)?;
    drop((silent, half));
    second.send(&parts.before_it())?;
    fresh(rig, &prefix)?;
    // One more while that session is up: it replaces it, because the peer may have restarted once more.
    let mut third = again(rig, n)?;
    let ending = second.ending(SOON)?;
    ensure!(ending != Ending::Open, "both connections are open");
    let kept = rig
        .subject
        .route(&prefix)
        .context("the route is not kept")?;
    ensure!(kept.stale, "{kept:?}");
    third.send(&parts.before_it())?;
    third.send(&update(&[], &[], &[]))?;
    fresh(rig, &prefix)?;
    let shown = rig.peer(n)?;
    ensure!(shown["state"] == "Established", "{shown}");
    Ok(())
}

/// Waits until the route is there and not one of an earlier session.
fn fresh(rig: &Rig, prefix: &str) -> Result<()> {
    eventually(SOON, "the route is no longer stale", || {
        let route = rig.subject.route(prefix)?;
        ensure!(!route.stale, "{route:?}");
        Ok(())
    })
}

/// A session of row `n`, as soon as the subject takes one.
fn again(rig: &Rig, n: usize) -> Result<RawPeer> {
    eventually(HELD, "a session is taken again", || {
        session(rig, n, Session::Restart, &[])
    })
}

/// All the other rows later it is still there, and routes get through.
fn still_there(rig: &Rig, n: usize, peer: &mut RawPeer) -> Result<()> {
    let shown = rig.peer(n)?;
    ensure!(
        shown["state"] == "Established"
            && shown["establishedCount"] == 1
            && shown["holdTimeSeconds"] == 0,
        "{shown}"
    );
    peer.send(&Parts::new(n, false).sentinel())?;
    let prefix = format!("198.19.{n}.0/24");
    rig.subject.wait_route(&prefix, SOON).map(drop)
}
