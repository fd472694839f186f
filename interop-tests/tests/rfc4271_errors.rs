//! RFC 4271 section 6: octets that are no BGP get the NOTIFICATION that the RFC names, from a raw connection.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Result, ensure};
use interop_tests::raw::{BOTH_FAMILIES, KEEPALIVE, RawPeer, message};
use interop_tests::{Kind, Lab, Need, Neighbour, Speaker, Subject, run};

const SOON: Duration = Duration::from_secs(10);
const ID: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

/// Brings a subject and a raw session with it up, sends `octets`, and returns code and subcode of the answer.
fn answer(lab: &Lab, kind: Kind, octets: &[u8]) -> Result<(u8, u8)> {
    let (left, right) = lab.pair(("subject", &["10.0.0.1/24"]), ("raw", &["10.0.0.2/24"]))?;
    let speaker =
        Speaker::new(64501, "10.0.0.1").neighbour(Neighbour::new("10.0.0.2", 64502).passive());
    let _subject = Subject::start(lab, kind, &left, speaker)?;
    let mut peer = RawPeer::connect(&right, "10.0.0.1")?;
    peer.handshake(64502, ID, 90, &BOTH_FAMILIES)?;
    peer.send(octets)?;
    let (code, subcode, _) = peer.notification(SOON)?;
    Ok((code, subcode))
}

fn expect(octets: &[u8], expected: (u8, u8)) {
    run(&[Need::Speaker(Kind::Bird2)], |lab| {
        let got = answer(lab, Kind::Bird2, octets)?;
        ensure!(
            got == expected,
            "NOTIFICATION {got:?}, expected {expected:?}"
        );
        Ok(())
    });
}

#[test]
fn a_marker_that_is_not_all_ones_is_connection_not_synchronized() {
    let mut octets = message(KEEPALIVE, &[]);
    octets[3] = 0;
    expect(&octets, (1, 1));
}

#[test]
fn a_length_below_that_of_the_header_is_a_bad_message_length() {
    let mut octets = message(KEEPALIVE, &[]);
    octets[17] = 18;
    expect(&octets, (1, 2));
}

#[test]
fn an_unknown_message_type_is_named_so() {
    expect(&message(77, &[]), (1, 3));
}
