//! Sessions of raw peers with the subject.

use std::time::Duration;

use anyhow::{Context, Result};
use interop_tests::Neighbour;
use interop_tests::raw::encode::{open_as_is, parameter};
use interop_tests::raw::{KEEPALIVE, OPEN, RawPeer, message};

use crate::outcome::Session;
use crate::parts::RAW_AS;
use crate::support::bad_input::{OWN_AS, Rig, address, raw_peer};

/// Both kinds of peer.
pub const KINDS: [bool; 2] = [false, true];

/// What raw peers can do beside both families: long messages, and the refreshes of RFC 2918.
pub const USUAL: [u8; 16] = [1, 4, 0, 1, 0, 1, 1, 4, 0, 2, 0, 1, 2, 0, 6, 0];

/// The raw peer of row `n`. It hears nothing, so that it need not read.
pub fn neighbour(n: usize, internal: bool, session: Session) -> Neighbour {
    let peer = raw_peer(n, if internal { OWN_AS } else { RAW_AS }).export_nothing();
    match session {
        Session::Restart => peer.graceful_restart(Duration::from_secs(120)),
        Session::Usual | Session::TwoOctets => peer,
    }
}

/// The capabilities of such a session, but for the four-octet AS number.
fn capabilities(session: Session) -> Vec<u8> {
    // With forwarding state kept (RFC 4724 section 3): else a restart would end the retention.
    let restart = parameter(64, &[0, 120, 0, 1, 1, 0x80, 0, 2, 1, 0x80]);
    match session {
        Session::Restart => [&USUAL[..], &restart].concat(),
        Session::Usual | Session::TwoOctets => USUAL.to_vec(),
    }
}

/// A session of row `n` with these capabilities more, Established on both sides.
pub fn session(rig: &Rig, n: usize, kind: Session, extra: &[u8]) -> Result<RawPeer> {
    session_with(rig, n, kind, 90, extra)
}

/// The same with this hold time in seconds.
pub fn session_with(
    rig: &Rig,
    n: usize,
    kind: Session,
    hold_time: u16,
    extra: &[u8],
) -> Result<RawPeer> {
    let asn = rig.asn(n)?;
    let mut all = [&capabilities(kind)[..], extra].concat();
    if kind != Session::TwoOctets {
        all.extend(parameter(65, &asn.to_be_bytes()));
    }
    let parameters = parameter(2, &all);
    let length = u8::try_from(parameters.len()).context("too many capabilities")?;
    let asn = u16::try_from(asn).unwrap_or(23456);
    let mut peer = rig.dial(n)?;
    let open = open_as_is(4, asn, hold_time, address(n), length, &parameters);
    establish(&mut peer, &message(OPEN, &open))?;
    Ok(peer)
}

/// Completes the handshake with this OPEN.
pub fn establish(peer: &mut RawPeer, open: &[u8]) -> Result<()> {
    peer.send(open)?;
    peer.expect(OPEN)?;
    peer.send(&message(KEEPALIVE, &[]))?;
    peer.expect(KEEPALIVE)?;
    Ok(())
}
