//! RFC 4271 section 6, but for UPDATE: headers, OPENs, messages in the wrong state and timers that expire get exactly
//! the NOTIFICATION that the RFCs name, and the session beside them never notices.
//!
//! The same tables run with BIRD as the subject, where it does what the RFCs say: that proves the raw peer.

mod support;

use std::net::Ipv4Addr;

use anyhow::{Result, ensure};
use interop_tests::raw::encode::{open_as_is, parameter, update};
use interop_tests::raw::{
    BOTH_FAMILIES, KEEPALIVE, NOTIFICATION, OPEN, ROUTE_REFRESH, UPDATE, message, open,
};
use interop_tests::{Kind, Lab, run};
use support::bad_input::{OWN_AS, RAW_AS, Rig, ends_with, gone, needs, verdict};

/// The state of the subject that the octets are sent in.
#[derive(Clone, Copy, Debug)]
enum In {
    OpenSent,
    OpenConfirm,
    Established,
}

/// Whether the row holds with BIRD as the subject too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proof {
    Bird,
    None,
}

struct Row {
    /// The section and the claim.
    name: &'static str,
    state: In,
    octets: Vec<u8>,
    answer: (u8, u8, Vec<u8>),
    proof: Proof,
}

fn row(
    name: &'static str,
    state: In,
    octets: Vec<u8>,
    answer: (u8, u8, &[u8]),
    proof: Proof,
) -> Row {
    Row {
        name,
        state,
        octets,
        answer: (answer.0, answer.1, answer.2.to_vec()),
        proof,
    }
}

/// Only a header, whatever it says.
fn header(length: u16, kind: u8) -> Vec<u8> {
    let mut octets = message(kind, &[]);
    octets[16..18].copy_from_slice(&length.to_be_bytes());
    octets
}

fn bad_marker(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut octets = message(kind, body);
    octets[15] = 0xfe;
    octets
}

#[rustfmt::skip]
fn headers() -> Vec<Row> {
    use In::{Established, OpenConfirm, OpenSent};
    use Proof::{Bird, None};
    let long_open = message(OPEN, &[0; 4078]);
    vec![
        row("6.1: a marker that is not all ones, first of all", OpenSent, bad_marker(OPEN, &[0; 10]), (1, 1, &[]), Bird),
        row("6.1: a marker that is not all ones, in place of a KEEPALIVE", OpenConfirm, bad_marker(KEEPALIVE, &[]), (1, 1, &[]), Bird),
        row("6.1: a marker that is not all ones, in a session", Established, bad_marker(UPDATE, &[0; 4]), (1, 1, &[]), Bird),
        row("6.1: another protocol's greeting", OpenSent, b"GET / HTTP/1.1\r\nHost: routelet\r\n\r\n".to_vec(), (1, 1, &[]), Bird),
        row("6.1: length 0", Established, header(0, KEEPALIVE), (1, 2, &[0, 0]), Bird),
        row("6.1: length 18, below a header's", Established, header(18, UPDATE), (1, 2, &[0, 18]), Bird),
        row("6.1: length 18 before any OPEN", OpenSent, header(18, OPEN), (1, 2, &[0, 18]), Bird),
        row("6.1: an OPEN of 28", OpenSent, header(28, OPEN), (1, 2, &[0, 28]), None),
        row("6.1: an UPDATE of 22", Established, header(22, UPDATE), (1, 2, &[0, 22]), None),
        row("6.1: a KEEPALIVE of 20", Established, header(20, KEEPALIVE), (1, 2, &[0, 20]), None),
        row("6.1: a KEEPALIVE of 65535", Established, header(65535, KEEPALIVE), (1, 2, &[255, 255]), None),
        row("6.1: a NOTIFICATION of 20", Established, header(20, NOTIFICATION), (1, 2, &[0, 20]), None),
        row("6.1, RFC 2918 3: a ROUTE-REFRESH of 22", Established, header(22, ROUTE_REFRESH), (1, 2, &[0, 22]), None),
        row("6.1: an OPEN of 4097", OpenSent, long_open, (1, 2, &[16, 1]), Bird),
        row("RFC 8654 4: an UPDATE of 4097 before the capability is known", OpenSent, header(4097, UPDATE), (1, 2, &[16, 1]), Bird),
        row("6.1: message type 0", Established, header(19, 0), (1, 3, &[0]), Bird),
        row("6.1: message type 6", Established, header(19, 6), (1, 3, &[6]), Bird),
        row("6.1: message type 255 before any OPEN", OpenSent, header(19, 255), (1, 3, &[255]), Bird),
    ]
}

/// An OPEN whose capabilities are as given, of AS `RAW_AS` unless they say otherwise.
fn open_with(capabilities: &[u8]) -> Vec<u8> {
    parameters(&parameter(2, capabilities))
}

fn parameters(parameters: &[u8]) -> Vec<u8> {
    let length = u8::try_from(parameters.len()).unwrap_or(u8::MAX);
    fields(4, RAW_AS, 90, ID, length, parameters)
}

const ID: Ipv4Addr = Ipv4Addr::new(10, 1, 1, 200);

fn fields(
    version: u8,
    asn: u32,
    hold_time: u16,
    id: Ipv4Addr,
    length: u8,
    parameters: &[u8],
) -> Vec<u8> {
    let asn = u16::try_from(asn).unwrap_or(23456);
    message(
        OPEN,
        &open_as_is(version, asn, hold_time, id, length, parameters),
    )
}

fn four_octet_as(asn: u32) -> Vec<u8> {
    parameter(65, &asn.to_be_bytes())
}

#[rustfmt::skip]
fn opens() -> Vec<Row> {
    use In::OpenSent;
    use Proof::{Bird, None};
    let zero = Ipv4Addr::UNSPECIFIED;
    let usual = [&BOTH_FAMILIES[..], &four_octet_as(RAW_AS)].concat();
    let all = parameter(2, &usual);
    let length = u8::try_from(all.len()).unwrap_or(u8::MAX);
    // No family in common: AFI 25, SAFI 70 (EVPN).
    let evpn = [parameter(1, &[0, 25, 0, 70]), four_octet_as(RAW_AS)].concat();
    let wide = |asn: u32| parameter(2, &[&BOTH_FAMILIES[..], &four_octet_as(asn)].concat());
    let sent = |octets| (OpenSent, octets);
    [
        ("6.2: version 3", sent(fields(3, RAW_AS, 90, ID, length, &all)), (2, 1, &[0, 4][..]), Bird),
        ("6.2: version 5", sent(fields(5, RAW_AS, 90, ID, length, &all)), (2, 1, &[0, 4]), Bird),
        ("6.2: another AS than the configured one", sent(fields(4, 64666, 90, ID, length, &wide(64666))), (2, 2, &[]), Bird),
        ("6.2: another AS, of two octets alone", sent(fields(4, 64666, 90, ID, 0, &[])), (2, 2, &[]), Bird),
        ("RFC 7607 2: AS 0", sent(fields(4, 0, 90, ID, length, &wide(0))), (2, 2, &[]), Bird),
        ("RFC 6793 4.2.3: AS_TRANS as the AS itself", sent(fields(4, 23456, 90, ID, 0, &[])), (2, 2, &[]), Bird),
        ("RFC 6793 4.2.3: AS_TRANS and a wide AS that is not the configured one", sent(fields(4, 4_200_000_000, 90, ID, length, &wide(4_200_000_000))), (2, 2, &[]), Bird),
        ("6.2: an identifier of zero", sent(fields(4, RAW_AS, 90, zero, length, &all)), (2, 3, &[]), Bird),
        ("6.2: a hold time of 1 s", sent(fields(4, RAW_AS, 1, ID, length, &all)), (2, 6, &[]), Bird),
        ("6.2: a hold time of 2 s", sent(fields(4, RAW_AS, 2, ID, length, &all)), (2, 6, &[]), Bird),
        ("6.2: an unknown optional parameter", sent(parameters(&[parameter(77, &[1, 2]), all.clone()].concat())), (2, 4, &[]), Bird),
        ("6.2: the authentication parameter of RFC 1771", sent(parameters(&parameter(1, &[0]))), (2, 4, &[]), Bird),
        ("6.2: parameters longer than the message", sent(fields(4, RAW_AS, 90, ID, length + 9, &all)), (2, 0, &[]), None),
        ("6.2: parameters shorter than the message", sent(fields(4, RAW_AS, 90, ID, 0, &all)), (2, 0, &[]), None),
        ("6.2: half a parameter's header", sent(parameters(&[2])), (2, 0, &[]), None),
        ("6.2: a parameter longer than the parameters", sent(parameters(&[2, 9, 1, 4, 0, 1, 0, 1])), (2, 0, &[]), None),
        ("RFC 5492 4: a capability longer than its parameter", sent(open_with(&[1, 9, 0, 1, 0, 1])), (2, 0, &[]), None),
        ("RFC 5492 4: a capability without a length", sent(open_with(&[usual, vec![2]].concat())), (2, 0, &[]), None),
        ("RFC 4760 8: a multiprotocol capability of 3 octets", sent(open_with(&parameter(1, &[0, 1, 0]))), (2, 0, &[]), None),
        ("RFC 6793 3: a four-octet AS capability of 2 octets", sent(open_with(&parameter(65, &[251, 246]))), (2, 0, &[]), None),
        ("RFC 9072 2: extended parameters longer than the message", sent(fields(4, RAW_AS, 90, ID, 255, &[255, 16, 0, 2, 0, 0])), (2, 0, &[]), None),
        ("RFC 5492 3: no family in common", sent(open_with(&evpn)), (2, 7, &BOTH_FAMILIES), None),
    ]
    .into_iter()
    .map(|(name, (state, octets), answer, proof)| row(name, state, octets, answer, proof))
    .collect()
}

#[rustfmt::skip]
fn states() -> Vec<Row> {
    use In::{Established, OpenConfirm, OpenSent};
    use Proof::{Bird, None};
    let refresh = message(ROUTE_REFRESH, &[0, 1, 0, 1]);
    let again = open(RAW_AS, ID, 90, &BOTH_FAMILIES).unwrap_or_default();
    vec![
        row("RFC 6608 4: a KEEPALIVE in OpenSent", OpenSent, message(KEEPALIVE, &[]), (5, 1, &[KEEPALIVE]), Bird),
        row("RFC 6608 4: an UPDATE in OpenSent", OpenSent, update(&[], &[], &[]), (5, 1, &[UPDATE]), Bird),
        row("RFC 6608 4: a ROUTE-REFRESH in OpenSent", OpenSent, refresh.clone(), (5, 1, &[ROUTE_REFRESH]), Bird),
        row("RFC 6608 4: an UPDATE in OpenConfirm", OpenConfirm, update(&[], &[], &[]), (5, 2, &[UPDATE]), None),
        row("RFC 6608 4: a ROUTE-REFRESH in OpenConfirm", OpenConfirm, refresh, (5, 2, &[ROUTE_REFRESH]), Bird),
        row("RFC 6608 4: an OPEN in OpenConfirm", OpenConfirm, message(OPEN, &again), (5, 2, &[OPEN]), Bird),
        row("RFC 6608 4: an OPEN in Established", Established, message(OPEN, &again), (5, 3, &[OPEN]), Bird),
        row("6.2: a malformed OPEN in Established", Established, message(OPEN, &[4; 10]), (5, 3, &[OPEN]), None),
    ]
}

fn table(lab: &Lab, kind: Kind, rows: Vec<Row>) -> Result<()> {
    let rows: Vec<Row> = rows
        .into_iter()
        .filter(|row| kind == Kind::Routelet || row.proof == Proof::Bird)
        .collect();
    let rig = Rig::start(lab, kind, &vec![RAW_AS; rows.len()])?;
    let mut failures = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        if let Err(error) = one(&rig, index + 1, row) {
            failures.push(format!("RFC 4271 {}: {error:#}", row.name));
        }
    }
    rig.unharmed()?;
    verdict(&failures)
}

fn one(rig: &Rig, n: usize, row: &Row) -> Result<()> {
    let kind = rig.subject.kind();
    let mut peer = match row.state {
        In::OpenSent => {
            let mut peer = rig.dial(n)?;
            // Its own OPEN comes by itself.
            peer.expect(OPEN)?;
            peer
        }
        In::OpenConfirm => rig.open_confirm(n)?,
        In::Established => rig.session(n, 90)?,
    };
    peer.send(&row.octets)?;
    let (code, subcode, data) = &row.answer;
    ends_with(kind, &mut peer, (*code, *subcode, data))?;
    gone(rig, n)?;
    if kind == Kind::Routelet {
        let shown = rig.peer(n)?;
        let error = &shown["lastErrorSent"];
        ensure!(
            error["code"] == *code && error["subcode"] == *subcode,
            "`routelet peers` shows as the last error sent: {error}"
        );
    }
    Ok(())
}

#[test]
fn bad_headers_get_the_notification_of_6_1() {
    run(&needs(Kind::Routelet), |lab| {
        table(lab, Kind::Routelet, headers())
    });
}

#[test]
fn bad_opens_get_the_notification_of_6_2() {
    run(&needs(Kind::Routelet), |lab| {
        table(lab, Kind::Routelet, opens())
    });
}

#[test]
fn messages_out_of_place_get_the_notification_of_their_state() {
    run(&needs(Kind::Routelet), |lab| {
        table(lab, Kind::Routelet, states())
    });
}

#[test]
fn the_tables_hold_for_bird() {
    let rows = || [headers(), opens(), states()].into_iter().flatten();
    run(&needs(Kind::Bird2), |lab| {
        table(lab, Kind::Bird2, rows().collect())
    });
}

/// RFC 6286 section 2.2: within an AS, identifiers must differ.
#[test]
fn our_own_bgp_identifier_from_an_internal_peer_is_rejected() {
    run(&needs(Kind::Routelet), |lab| {
        let rig = Rig::start(lab, Kind::Routelet, &[OWN_AS])?;
        let mut peer = rig.dial(1)?;
        let own = Ipv4Addr::new(10, 0, 0, 1);
        peer.send(&message(OPEN, &open(OWN_AS, own, 90, &BOTH_FAMILIES)?))?;
        ends_with(Kind::Routelet, &mut peer, (2, 3, &[]))?;
        rig.unharmed()
    });
}
