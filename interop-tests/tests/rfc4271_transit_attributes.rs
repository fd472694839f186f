//! RFC 4271 sections 5 and 9, seen octet by octet: what a speaker that gives transit passes on of a route's attributes,
//! those that it does not know among them.

mod support;

use std::net::Ipv4Addr;

use anyhow::{Context, Result, ensure};
use interop_tests::raw::{BOTH_FAMILIES, RawPeer};
use interop_tests::{Kind, Lab, Need, Neighbour, Speaker, Subject, run};
use support::SOON;
use support::octets::{OPTIONAL, PARTIAL, TRANSITIVE, attribute, await_ipv4, basics, ipv4};
use support::segment::{Segment, v4};

const PREFIX: [u8; 3] = [198, 51, 100];

#[test]
fn transit_attributes_are_propagated() {
    transit(Kind::Routelet);
}

#[test]
fn the_lab_holds_for_bird2() {
    transit(Kind::Bird2);
}

#[test]
fn the_lab_holds_for_frr8() {
    transit(Kind::Frr8);
}

fn transit(kind: Kind) {
    run(&[Need::Speaker(kind)], |lab| scenario(lab, kind));
}

fn scenario(lab: &Lab, kind: Kind) -> Result<()> {
    let segment = Segment::new(lab)?;
    let subject = Speaker::new(64501, &v4(1))
        .neighbour(Neighbour::new(&v4(2), 64502).passive())
        .neighbour(Neighbour::new(&v4(3), 64503).passive());
    let (from, to) = (segment.host("from", 2)?, segment.host("to", 3)?);
    let _subject = Subject::start(lab, kind, &segment.host("subject", 1)?, subject)?;
    let connect = |namespace, asn, n| -> Result<RawPeer> {
        let mut peer = RawPeer::connect(namespace, &v4(1))?;
        peer.handshake(asn, Ipv4Addr::new(10, 0, 0, n), 90, &BOTH_FAMILIES)?;
        Ok(peer)
    };
    let mut sender = connect(&from, 64502, 2)?;
    let mut receiver = connect(&to, 64503, 3)?;

    let long = vec![7; 300];
    let aggregator = [0, 0, 0xfb, 0xf6, 192, 0, 2, 1];
    let attributes = [
        basics(&[64502, 64510]),
        attribute(OPTIONAL, 4, &[0, 0, 0, 9]),
        attribute(TRANSITIVE, 6, &[]),
        attribute(OPTIONAL | TRANSITIVE, 7, &aggregator),
        attribute(OPTIONAL | TRANSITIVE, 250, &[1, 2, 3]),
        attribute(OPTIONAL | TRANSITIVE | PARTIAL, 251, &long),
        attribute(OPTIONAL, 252, &[4, 5]),
    ];
    sender.send(&ipv4(
        PREFIX,
        Ipv4Addr::new(10, 0, 0, 2),
        &attributes.concat(),
    ))?;
    let passed = await_ipv4(&mut receiver, PREFIX, SOON)?;
    let expect = |code: u8, flags: u8, value: &[u8]| -> Result<()> {
        let found = passed
            .get(&code)
            .with_context(|| format!("attribute {code} is missing: {passed:?}"))?;
        ensure!(
            *found == (flags, value.to_vec()),
            "attribute {code}: flags {flags:#x}, value {value:?} expected, got {found:?}"
        );
        Ok(())
    };
    expect(1, TRANSITIVE, &[0])?;
    let path: Vec<u8> = [vec![2, 3]]
        .into_iter()
        .chain([64501_u32, 64502, 64510].map(|asn| asn.to_be_bytes().to_vec()))
        .flatten()
        .collect();
    expect(2, TRANSITIVE, &path)?;
    expect(6, TRANSITIVE, &[])?;
    expect(7, OPTIONAL | TRANSITIVE, &aggregator)?;
    // Unknown ones (section 5): passed on with the partial bit if transitive, else dropped.
    expect(250, OPTIONAL | TRANSITIVE | PARTIAL, &[1, 2, 3])?;
    expect(251, OPTIONAL | TRANSITIVE | PARTIAL, &long)?;
    ensure!(
        !passed.contains_key(&252),
        "attribute 252 is not transitive"
    );
    // A MED of another AS stays at home (5.1.4), and LOCAL_PREF in its own AS (5.1.5).
    ensure!(!passed.contains_key(&4), "MED was passed on: {passed:?}");
    ensure!(!passed.contains_key(&5), "LOCAL_PREF crossed: {passed:?}");
    Ok(())
}
