//! RFC 6793: AS numbers of four octets, also through a peer that knows only two.

mod support;

use std::net::Ipv4Addr;

use anyhow::{Result, ensure};
use interop_tests::raw::{self, RawPeer};
use interop_tests::{
    Family, Kind, Lab, Need, Neighbour, Origination, Speaker, Subject, eventually, pairs, run,
};
use support::SOON;
use support::octets::{TRANSITIVE, attribute, await_ipv4, ipv4};
use support::segment::{Segment, v4};

pairs!(large_numbers_cross_both_ways: large_numbers, [routelet]);
pairs!(paths_survive_a_peer_that_knows_two_octets: two_octets, [routelet], [bird2 bird3 openbgpd]);
pairs!(the_lab_holds_for_large_numbers: large_numbers, [bird2], [frr8]);
pairs!(the_lab_holds_for_two_octets: two_octets, [frr8], [bird2]);

const SUBJECT: u32 = 4_200_000_001;
const FAR: u32 = 4_294_967_294;
const NEAR: u32 = 4_200_000_009;

/// `<n>.0/24` of a documentation network.
fn prefix(n: u8) -> String {
    format!("198.51.{n}.0/24")
}

fn large_numbers(lab: &Lab, subject: Kind, peer: Kind) -> Result<()> {
    let (left, right) = lab.pair(("subject", &["10.0.0.1/24"]), ("peer", &["10.0.0.2/24"]))?;
    let ours = Speaker::new(SUBJECT, &v4(1))
        .neighbour(Neighbour::new(&v4(2), FAR))
        .originate(Origination::new(&prefix(1)));
    let theirs = Speaker::new(FAR, &v4(2))
        .neighbour(Neighbour::new(&v4(1), SUBJECT))
        .originate(Origination::new(&prefix(2)));
    let subject = Subject::start(lab, subject, &left, ours)?;
    let peer = Subject::start(lab, peer, &right, theirs)?;
    let route = subject.wait_route(&prefix(2), SOON * 2)?;
    ensure!(route.as_path == FAR.to_string(), "{route:?}");
    let route = peer.wait_route(&prefix(1), SOON)?;
    ensure!(route.as_path == SUBJECT.to_string(), "{route:?}");
    ensure!(subject.session(&v4(2))?.asn == Some(FAR), "AS of the peer");
    Ok(())
}

/// near (four octets) - subject (four) - old (two) - far (four): each end has the whole path of the other.
fn two_octets(lab: &Lab, subject: Kind, old: Kind) -> Result<()> {
    const OLD: u32 = 64502;
    // BIRD compares the number in the capability all the same, but cannot be told to expect one of four octets.
    let (own, lines) = match old {
        Kind::Bird2 | Kind::Bird3 => (64501, "  enable as4 off;\n"),
        Kind::OpenBgpd => (SUBJECT, "  announce as-4byte no\n"),
        other => anyhow::bail!("{other} cannot be told to know two octets only"),
    };
    let to = |n: u8, asn: u32| Neighbour::new(&v4(n), asn).families(&[Family::Ipv4]);
    let segment = Segment::new(lab)?;
    let end = |label: &str, n: u8, asn: u32, neighbour: Neighbour| {
        let speaker = Speaker::new(asn, &v4(n))
            .neighbour(neighbour)
            .originate(Origination::new(&prefix(n)));
        Subject::start(lab, Kind::Bird2, &segment.host(label, n)?, speaker)
    };
    let near = end("near", 3, NEAR, to(1, own))?;
    let far = end("far", 4, FAR, to(2, OLD))?;
    let middle = Speaker::new(OLD, &v4(2))
        .neighbour(to(1, own).extra(lines))
        .neighbour(to(4, FAR));
    let _middle = Subject::start(lab, old, &segment.host("old", 2)?, middle)?;
    let ours = Speaker::new(own, &v4(1))
        .neighbour(to(2, OLD))
        .neighbour(to(3, NEAR))
        .originate(Origination::new(&prefix(1)));
    let subject = Subject::start(lab, subject, &segment.host("subject", 1)?, ours)?;

    for (at, wanted, path) in [
        (&subject, 4, format!("{OLD} {FAR}")),
        (&near, 4, format!("{own} {OLD} {FAR}")),
        (&far, 3, format!("{OLD} {own} {NEAR}")),
        (&far, 1, format!("{OLD} {own}")),
    ] {
        eventually(SOON * 2, &format!("the path {path} at {at}"), || {
            let route = at.route(&prefix(wanted))?;
            ensure!(route.as_path == path, "{route:?}");
            Ok(())
        })?;
    }
    Ok(())
}

#[test]
fn a_peer_without_any_capability_exchanges_ipv4_routes() {
    no_capability(Kind::Routelet);
}

#[test]
fn the_lab_holds_for_a_peer_without_any_capability() {
    no_capability(Kind::Bird2);
}

/// A speaker of 1995: its OPEN has no parameters, and its AS_PATHs have two octets for each AS.
fn no_capability(kind: Kind) {
    run(&[Need::Speaker(kind)], |lab| {
        let (left, right) = lab.pair(("subject", &["10.0.0.1/24"]), ("raw", &["10.0.0.2/24"]))?;
        let ours = Speaker::new(64501, &v4(1))
            .neighbour(Neighbour::new(&v4(2), 64502).passive())
            .originate(Origination::new(&prefix(1)));
        let subject = Subject::start(lab, kind, &left, ours)?;
        let mut peer = RawPeer::connect(&right, &v4(1))?;
        let [high, low] = 64502_u16.to_be_bytes();
        peer.send(&raw::encode::message(
            raw::OPEN,
            &[4, high, low, 0, 90, 10, 0, 0, 2, 0],
        ))?;
        peer.send(&raw::encode::message(raw::KEEPALIVE, &[]))?;
        let path = [TRANSITIVE, 2, 4, 2, 1, high, low];
        let attributes = [&attribute(TRANSITIVE, 1, &[0])[..], &path].concat();
        peer.send(&ipv4([198, 51, 2], Ipv4Addr::new(10, 0, 0, 2), &attributes))?;
        let route = subject.wait_route(&prefix(2), SOON)?;
        ensure!(route.as_path == "64502", "{route:?}");
        let told = await_ipv4(&mut peer, [198, 51, 1], SOON)?;
        let [high, low] = 64501_u16.to_be_bytes();
        let path = (TRANSITIVE, vec![2, 1, high, low]);
        ensure!(told.get(&2) == Some(&path), "AS_PATH: {told:?}");
        Ok(())
    });
}
