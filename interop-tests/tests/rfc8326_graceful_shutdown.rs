//! RFC 8326 section 4.2: a router that is about to shut down marks its routes with the community GRACEFUL_SHUTDOWN. Who
//! hears of them from another AS prefers every other path, and so does everybody inside the AS to whom it passes them
//! on.

mod support;

use anyhow::{Result, ensure};
use interop_tests::{Community, Kind, Lab, Need, Neighbour, Origination, Speaker, Subject, run};
use serde_json::json;
use support::SOON;
use support::segment::{Segment, v4};

const LEAVING: &str = "198.51.100.0/24";
const STAYING: &str = "203.0.113.0/24";
const GRACEFUL_SHUTDOWN: Community = Community(65535, 0);

#[test]
fn routelet_passes_a_route_of_a_bird_that_shuts_down_on_with_local_preference_0() {
    graceful_shutdown(Kind::Routelet, Kind::Bird2);
}

#[test]
fn routelet_passes_a_route_of_a_gobgp_that_shuts_down_on_with_local_preference_0() {
    graceful_shutdown(Kind::Routelet, Kind::GoBgp);
}

/// FRR does so by itself, too.
#[test]
fn the_lab_holds_for_frr8() {
    graceful_shutdown(Kind::Frr8, Kind::Bird2);
}

fn graceful_shutdown(subject: Kind, sender: Kind) {
    let needs = [subject, sender, Kind::Bird2].map(Need::Speaker);
    run(&needs, |lab| scenario(lab, subject, sender));
}

fn scenario(lab: &Lab, subject: Kind, sender: Kind) -> Result<()> {
    let segment = Segment::new(lab)?;
    let plain = || Speaker::new(64500, &v4(2)).neighbour(Neighbour::new(&v4(1), 64512));
    let leaving = Origination::new(LEAVING).community(65535, 0);
    let _from = Subject::start(
        lab,
        sender,
        &segment.host("from", 2)?,
        plain()
            .originate(leaving)
            .originate(Origination::new(STAYING)),
    )?;
    let internal = Subject::start(
        lab,
        Kind::Bird2,
        &segment.host("internal", 3)?,
        Speaker::new(64512, &v4(3)).neighbour(Neighbour::new(&v4(1), 64512)),
    )?;
    let described = Speaker::new(64512, &v4(1))
        .neighbour(Neighbour::new(&v4(2), 64500))
        .neighbour(Neighbour::new(&v4(3), 64512));
    let subject = Subject::start(lab, subject, &segment.host("subject", 1)?, described)?;
    for (prefix, expected) in [(LEAVING, 0), (STAYING, 100)] {
        let passed_on = internal.wait_route(prefix, SOON)?;
        ensure!(
            passed_on.local_pref == Some(expected),
            "{prefix} passed on: {passed_on:?}"
        );
        let marked = passed_on.communities.contains(&GRACEFUL_SHUTDOWN);
        ensure!(marked == (prefix == LEAVING), "{passed_on:?}");
    }
    if subject.kind() == Kind::Routelet {
        // What is shown is what was compared.
        let shown = subject.query(&["explain", "prefix", LEAVING])?;
        let used = &shown["paths"][0]["localPreference"];
        ensure!(*used == json!(0), "{shown}");
    }
    Ok(())
}
