//! An AS_PATH of two-octet AS numbers that has more than 65,535 octets with four (RFC 6793 section 4.2.3): nothing of
//! it is read as another attribute, its routes are treated as withdrawn, and the session lives on. From a peer that has
//! not announced extended messages, the message that carries it ends the session (docs/concepts/deviations.md, RFC
//! 8654).

mod support;

use anyhow::{Context, Result, ensure};
use interop_tests::raw::encode::{
    EXTENDED, TRANSITIVE, WELL_KNOWN, attribute, open_as_is, parameter, update,
};
use interop_tests::raw::{BOTH_FAMILIES, KEEPALIVE, OPEN, RawPeer, message};
use interop_tests::{Kind, State, run};
use support::SOON;
use support::bad_input::{RAW_AS, Rig, address, ends_with, gone, needs};

/// The capability of RFC 8654.
const EXTENDED_MESSAGES: [u8; 2] = [6, 0];

#[test]
fn a_path_too_long_after_widening_is_withdrawn_and_injects_nothing() {
    run(&needs(Kind::Routelet), |lab| {
        let rig = Rig::start(lab, Kind::Routelet, &[RAW_AS; 3])?;
        withdrawn_and_nothing_else(&rig, 1, &[too_long(&smuggling()?)])?;
        withdrawn_and_nothing_else(&rig, 2, &merged()?)?;
        a_long_message_without_the_capability_ends_the_session(&rig, 3)?;
        rig.unharmed()
    });
}

/// A session of row `n` without four-octet AS numbers.
fn session(rig: &Rig, n: usize, capabilities: &[u8]) -> Result<RawPeer> {
    let capabilities = parameter(2, &[&BOTH_FAMILIES[..], capabilities].concat());
    let length = u8::try_from(capabilities.len())?;
    let asn = u16::try_from(RAW_AS)?;
    let mut peer = rig.dial(n)?;
    peer.send(&message(
        OPEN,
        &open_as_is(4, asn, 90, address(n), length, &capabilities),
    ))?;
    peer.expect(OPEN)?;
    peer.send(&message(KEEPALIVE, &[]))?;
    peer.expect(KEEPALIVE)?;
    Ok(peer)
}

/// AS_SEQUENCEs of at most 255 AS numbers in two octets each.
fn narrow(asns: &[u16]) -> Result<Vec<u8>> {
    let mut value = Vec::new();
    for segment in asns.chunks(255) {
        value.extend([2, u8::try_from(segment.len())?]);
        value.extend(segment.iter().flat_map(|asn| asn.to_be_bytes()));
    }
    Ok(value)
}

/// 127 full segments, which have 129,794 octets with four-octet AS numbers. Cut to two octets, that length ends where
/// the AS numbers spell an attribute 0, and then flags 0, code 5 (LOCAL_PREF), length 4 and 65535.
fn smuggling() -> Result<Vec<u8>> {
    let mut asns = vec![u16::try_from(RAW_AS)?; 127 * 255];
    let end = 62 * 255 + 223;
    asns[end..end + 3].copy_from_slice(&[0x0200, 0x0504, 0xffff]);
    narrow(&asns)
}

fn too_long(value: &[u8]) -> Vec<u8> {
    attribute(WELL_KNOWN | EXTENDED, 2, value)
}

/// A path that fits, and an AS4_PATH of sets, which count one each and bring 255 numbers: together they do not fit.
fn merged() -> Result<[Vec<u8>; 2]> {
    let path = narrow(&vec![u16::try_from(RAW_AS)?; 16_000])?;
    let set = [&[1, 255][..], &RAW_AS.to_be_bytes().repeat(255)].concat();
    let path4 = attribute(TRANSITIVE | EXTENDED, 17, &set.repeat(4));
    Ok([too_long(&path), path4])
}

/// An UPDATE of 198.18.`octet`.0/24.
fn route(octet: u8, path: &[Vec<u8>]) -> Vec<u8> {
    let mut attributes = vec![attribute(WELL_KNOWN, 1, &[0])];
    attributes.extend_from_slice(path);
    attributes.push(attribute(WELL_KNOWN, 3, &[10, 1, 0, 2]));
    attributes.sort_by_key(|attribute| attribute[1]);
    update(&[], &attributes, &[24, 198, 18, octet])
}

fn good(octet: u8) -> Result<(Vec<u8>, String)> {
    let path = attribute(WELL_KNOWN, 2, &narrow(&[u16::try_from(RAW_AS)?])?);
    Ok((route(octet, &[path]), format!("198.18.{octet}.0/24")))
}

/// That no path of an external peer has a LOCAL_PREF.
fn no_local_preference(rig: &Rig) -> Result<()> {
    let received = rig.subject.query(&["routes", "received"])?;
    let received = received.as_array().context("no list of routes")?;
    ensure!(!received.is_empty(), "the healthy peer's routes are there");
    for route in received {
        ensure!(
            route.get("localPreference").is_none(),
            "smuggled in: {route}"
        );
    }
    Ok(())
}

fn withdrawn_and_nothing_else(rig: &Rig, n: usize, path: &[Vec<u8>]) -> Result<()> {
    let octet = 10 * u8::try_from(n)?;
    let mut peer = session(rig, n, &EXTENDED_MESSAGES)?;
    let (octets, prefix) = good(octet)?;
    peer.send(&octets)?;
    rig.subject.wait_route(&prefix, SOON)?;
    let long = route(octet, path);
    ensure!(long.len() > 4096 && long.len() < 65_535, "{}", long.len());
    peer.send(&long)?;
    // In order: where the sentinel is, the long one was read.
    let (octets, sentinel) = good(octet + 1)?;
    peer.send(&octets)?;
    rig.subject.wait_route(&sentinel, SOON)?;
    rig.subject.wait_no_route(&prefix, SOON)?;
    no_local_preference(rig)?;
    let shown = rig.peer(n)?;
    ensure!(shown["updatesMalformed"] == 1, "{shown}");
    let session = rig.subject.session(&address(n).to_string())?;
    ensure!(session.state == State::Established, "{session:?}");
    Ok(())
}

fn a_long_message_without_the_capability_ends_the_session(rig: &Rig, n: usize) -> Result<()> {
    let mut peer = session(rig, n, &[])?;
    let (octets, prefix) = good(30)?;
    peer.send(&octets)?;
    rig.subject.wait_route(&prefix, SOON)?;
    let long = route(31, &[too_long(&smuggling()?)]);
    peer.send(&long)?;
    let length = u16::try_from(long.len())?.to_be_bytes();
    ends_with(Kind::Routelet, &mut peer, (1, 2, &length))?;
    gone(rig, n)?;
    rig.subject.wait_no_route(&prefix, SOON)?;
    no_local_preference(rig)
}
