//! RFC 4271, with RFC 4760, 1997, 4360 and 8092: routes of both families cross a session with all their attributes,
//! both ways, over IPv4 and IPv6 transport, between ASes and inside one. Both sides are asked by their own tools.

mod support;

use anyhow::{Result, ensure};
use interop_tests::{Family, Kind, Lab, Origin, Origination, Route, Session, Subject, pairs};
use support::{PEER, Pair, SOON, SUBJECT, check_attributes, decorated, speaker};

pairs!(attributes_cross_an_ebgp_session_both_ways: ebgp_over_ipv4, [routelet]);
pairs!(attributes_cross_an_ebgp_session_over_ipv6: ebgp_over_ipv6, [routelet]);
pairs!(local_preference_crosses_an_ibgp_session: ibgp, [routelet]);
pairs!(local_preference_crosses_an_ibgp_session_over_ipv6: ibgp_over_ipv6, [routelet]);
pairs!(the_lab_holds_for_ebgp: ebgp_over_ipv4, [bird2], [frr8]);
pairs!(the_lab_holds_for_ebgp_over_ipv6: ebgp_over_ipv6, [bird2], [frr8]);
pairs!(the_lab_holds_for_ibgp: ibgp, [bird2], [frr8]);
pairs!(the_lab_holds_for_ibgp_over_ipv6: ibgp_over_ipv6, [bird2], [frr8]);

fn ebgp_over_ipv4(lab: &Lab, subject: Kind, peer: Kind) -> Result<()> {
    exchange(lab, 0, (subject, 1), (peer, 2))
}

fn ebgp_over_ipv6(lab: &Lab, subject: Kind, peer: Kind) -> Result<()> {
    exchange(lab, 1, (subject, 1), (peer, 2))
}

fn ibgp(lab: &Lab, subject: Kind, peer: Kind) -> Result<()> {
    exchange(lab, 0, (subject, 1), (peer, 1))
}

fn ibgp_over_ipv6(lab: &Lab, subject: Kind, peer: Kind) -> Result<()> {
    exchange(lab, 1, (subject, 1), (peer, 1))
}

/// Each side originates a prefix of either family; each has to find the other's, as it was sent.
fn exchange(lab: &Lab, transport: usize, subject: (Kind, u32), peer: (Kind, u32)) -> Result<()> {
    let describe = |asn: u32, other: u32, at: &str, router_id: &str, n: u32| {
        let mut described = speaker(asn, other, at);
        described.router_id = router_id.parse()?;
        described.originate = decorated(n).into();
        Ok::<_, anyhow::Error>(described)
    };
    let pair = Pair::start(
        lab,
        transport,
        (
            subject.0,
            describe(subject.1, peer.1, PEER[transport], "10.0.0.1", 1)?,
        ),
        (
            peer.0,
            describe(peer.1, subject.1, SUBJECT[transport], "10.0.0.2", 2)?,
        ),
    )?;
    let internal = subject.1 == peer.1;
    for (at, from, from_asn, n) in [
        (&pair.subject, PEER, peer.1, 2),
        (&pair.peer, SUBJECT, subject.1, 1),
    ] {
        for sent in decorated(n) {
            let route = at.wait_route(&sent.prefix.to_string(), SOON)?;
            check_attributes(&route, &sent)?;
            check_path(&route, &sent, internal, 64500 + from_asn)?;
            check_next_hop(at, &route, &sent, from)?;
        }
        check_session(&at.session(from[transport])?, 64500 + from_asn)?;
    }
    Ok(())
}

fn check_path(route: &Route, sent: &Origination, internal: bool, from_asn: u32) -> Result<()> {
    ensure!(route.origin == Some(Origin::Igp), "ORIGIN: {route:?}");
    if internal {
        ensure!(route.as_path.is_empty(), "AS_PATH inside an AS: {route:?}");
        ensure!(route.local_pref == sent.local_pref, "LOCAL_PREF: {route:?}");
    } else {
        ensure!(route.as_path == from_asn.to_string(), "AS_PATH: {route:?}");
        // LOCAL_PREF does not leave an AS (RFC 4271 5.1.5): what is shown is the receiver's own.
        ensure!(route.local_pref != sent.local_pref, "LOCAL_PREF: {route:?}");
    }
    Ok(())
}

fn check_next_hop(at: &Subject, route: &Route, sent: &Origination, from: [&str; 2]) -> Result<()> {
    let expected = match Family::of(sent.prefix) {
        Family::Ipv4 => from[0].parse()?,
        Family::Ipv6 => from[1].parse()?,
    };
    ensure!(
        route.next_hops.contains(&expected),
        "{at}: next hop {expected} expected: {route:?}"
    );
    Ok(())
}

fn check_session(session: &Session, asn: u32) -> Result<()> {
    ensure!(session.asn == Some(asn), "AS: {session:?}");
    ensure!(session.families == Family::ALL, "families: {session:?}");
    // FRR tells a neighbour its own routes again, which some count before they refuse them.
    ensure!(session.received >= Some(2), "received: {session:?}");
    ensure!(session.uptime.is_some(), "uptime: {session:?}");
    Ok(())
}
