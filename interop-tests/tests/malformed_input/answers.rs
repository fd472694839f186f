//! The tables of OPENs and of other messages at the real speaker.

use anyhow::{Context, Result, ensure};
use interop_tests::raw::RawPeer;
use interop_tests::{Kind, Lab};

use crate::outcome::{Answer, Message, Session};
use crate::parts::Parts;
use crate::sessions::{KINDS, establish, neighbour, session};
use crate::support::SOON;
use crate::support::bad_input::{OWN_AS, Rig, ends_with, gone, verdict};
use crate::{open, refresh};

/// `open`.
pub fn opens(lab: &Lab) -> Result<()> {
    let rows = open::rows();
    let peers = (1..=rows.len())
        .map(|n| neighbour(n, false, Session::Restart))
        .collect();
    let rig = Rig::start_with(lab, Kind::Routelet, peers, "")?;
    let mut failures = Vec::new();
    for (n, row) in (1..).zip(&rows) {
        if let Err(error) = answered(&rig, n, row) {
            failures.push(format!("{} {}: {error:#}", row.section, row.name));
        }
    }
    rig.unharmed()?;
    verdict(&failures)
}

fn answered(rig: &Rig, n: usize, row: &Message) -> Result<()> {
    let mut peer = rig.dial(n)?;
    match &row.answer {
        Answer::Session => {
            establish(&mut peer, &row.octets)?;
            sentinel(rig, n, &mut peer, n)?;
            // Whatever times the OPEN asks for, the end of the session is only that.
            drop(peer);
            gone(rig, n)
        }
        Answer::Notification(code, subcode, data) => {
            peer.send(&row.octets)?;
            ends_with(Kind::Routelet, &mut peer, (*code, *subcode, data))?;
            gone(rig, n)
        }
    }
}

/// That a good route of row `n` gets through on the session of a peer.
fn sentinel(rig: &Rig, at: usize, peer: &mut RawPeer, n: usize) -> Result<()> {
    let internal = rig.asn(at)? == OWN_AS;
    peer.send(&Parts::new(n, internal).sentinel())?;
    let prefix = format!("198.19.{n}.0/24");
    rig.subject.wait_route(&prefix, SOON).map(drop)
}

/// `refresh`, from peers with enhanced route refresh and without.
pub fn messages(lab: &Lab) -> Result<()> {
    const ENHANCED: [&[u8]; 2] = [&[], &[70, 0]];
    let rows = refresh::rows();
    let combinations: Vec<(bool, &[u8])> = KINDS
        .into_iter()
        .flat_map(|internal| ENHANCED.map(|extra| (internal, extra)))
        .collect();
    let peers = combinations
        .iter()
        .flat_map(|(internal, _)| vec![*internal; rows.len()])
        .zip(1..)
        .map(|(internal, n)| neighbour(n, internal, Session::Usual))
        .collect();
    let rig = Rig::start_with(lab, Kind::Routelet, peers, "")?;
    let mut failures = Vec::new();
    let mut first = 1;
    for (internal, extra) in combinations {
        let mut shared = None;
        for (n, row) in (first..).zip(&rows) {
            if let Err(error) = message_row(&rig, n, row, extra, &mut shared) {
                let from = if internal { "internal" } else { "external" };
                let what = format!("{} {}, from an {from} peer", row.section, row.name);
                failures.push(format!("{what} with {extra:?}: {error:#}"));
            }
        }
        first += rows.len();
    }
    rig.unharmed()?;
    verdict(&failures)
}

/// A session that rows share: the peer's number and its connection.
type Shared = Option<(usize, RawPeer)>;

fn message_row(
    rig: &Rig,
    n: usize,
    row: &Message,
    extra: &[u8],
    shared: &mut Shared,
) -> Result<()> {
    let answer = if extra.is_empty() {
        &row.plain
    } else {
        &row.answer
    };
    let Answer::Notification(code, subcode, data) = answer else {
        if shared.is_none() {
            *shared = Some((n, session(rig, n, Session::Usual, extra)?));
        }
        let (at, peer) = shared.as_mut().context("a session")?;
        peer.send(&row.octets)?;
        sentinel(rig, *at, peer, n)?;
        let shown = rig.peer(*at)?;
        ensure!(
            shown["establishedCount"] == 1 && shown["state"] == "Established",
            "the session was reset: {}",
            shown["lastDown"]
        );
        return Ok(());
    };
    let mut peer = session(rig, n, Session::Usual, extra)?;
    peer.send(&row.octets)?;
    ends_with(Kind::Routelet, &mut peer, (*code, *subcode, data))?;
    gone(rig, n)
}
