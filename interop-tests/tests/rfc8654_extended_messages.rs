//! RFC 8654: an UPDATE of more than 4,096 octets crosses where both sides can take it; where one cannot, its route is
//! not told, and nothing else suffers.

mod support;

use anyhow::{Context, Result, ensure};
use interop_tests::{Kind, Lab, Origination, Speaker, pairs};
use support::{PEER, Pair, SOON, SUBJECT, check_attributes, speaker};

pairs!(a_long_update_crosses_both_ways: both_can, [routelet], [bird2 bird3]);
pairs!(a_long_update_is_told: peer_can, [routelet], [frr8 frr10]);
pairs!(a_route_that_became_too_long_is_withdrawn: peer_cannot, [routelet], [bird2 bird3 openbgpd]);
pairs!(the_lab_holds: both_can, [bird2], [bird3]);

const GROWING: &str = "198.51.100.0/24";
const SMALL: &str = "198.51.101.0/24";

/// 4,800 octets of large communities.
fn long(prefix: &str) -> Origination {
    (0..400).fold(Origination::new(prefix), |origination, n| {
        origination.large_community(64500, 1, n)
    })
}

/// BIRD has to be asked for long messages, and only there is it a choice.
fn told_of(kind: Kind, mut speaker: Speaker) -> Speaker {
    if matches!(kind, Kind::Bird2 | Kind::Bird3) {
        speaker.neighbours[0].extra = "  enable extended messages on;\n".to_owned();
    }
    speaker
}

fn both_can(lab: &Lab, subject: Kind, peer: Kind) -> Result<()> {
    let ours = speaker(1, 2, PEER[0]).originate(long(GROWING));
    let theirs = speaker(2, 1, SUBJECT[0]).originate(long(SMALL));
    let pair = Pair::start(
        lab,
        0,
        (subject, told_of(subject, ours)),
        (peer, told_of(peer, theirs)),
    )?;
    for (at, sent) in [(&pair.peer, GROWING), (&pair.subject, SMALL)] {
        let route = at.wait_route(sent, SOON)?;
        match at.kind() {
            // It cuts what it shows off after some 80 of them.
            Kind::Bird2 | Kind::Bird3 => ensure!(
                route.large_communities.len() > 10,
                "large communities: {route:?}"
            ),
            _ => check_attributes(&route, &long(sent))?,
        }
    }
    Ok(())
}

fn peer_can(lab: &Lab, subject: Kind, peer: Kind) -> Result<()> {
    let ours = speaker(1, 2, PEER[0]).originate(long(GROWING));
    let theirs = speaker(2, 1, SUBJECT[0]);
    let pair = Pair::start(lab, 0, (subject, ours), (peer, theirs))?;
    let route = pair.peer.wait_route(GROWING, SOON)?;
    ensure!(
        route.large_communities.len() == 400,
        "{} of 400",
        route.large_communities.len()
    );
    Ok(())
}

fn peer_cannot(lab: &Lab, subject: Kind, peer: Kind) -> Result<()> {
    let plain = speaker(1, 2, PEER[0]);
    let ours = plain.clone().originate(Origination::new(GROWING));
    let mut pair = Pair::start(lab, 0, (subject, ours), (peer, speaker(2, 1, SUBJECT[0])))?;
    pair.peer.wait_route(GROWING, SOON)?;
    let before = pair.settled()?;
    pair.subject.reconfigure(
        plain
            .originate(long(GROWING))
            .originate(Origination::new(SMALL)),
    )?;
    pair.peer.wait_route(SMALL, SOON)?;
    pair.peer.wait_no_route(GROWING, SOON)?;
    if subject == Kind::Routelet {
        let advertised = pair.subject.query(&["routes", "advertised"])?;
        let shown = advertised
            .as_array()
            .and_then(|all| all.iter().find(|route| route["prefix"] == GROWING))
            .with_context(|| format!("nothing is said of {GROWING}: {advertised}"))?;
        ensure!(
            shown["state"] == "notAdvertised" && shown["reason"]["code"] == "tooLarge",
            "{shown}"
        );
    }
    let after = pair.connections()?;
    ensure!(before == after, "reset: {before:?}, then {after:?}");
    Ok(())
}
