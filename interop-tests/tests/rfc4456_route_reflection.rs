//! RFC 4456: the subject as a route reflector. Routes of clients go to all, those of others to clients only; they keep
//! their next hop, and carry who brought them into the AS and which clusters they crossed.

mod support;

use anyhow::{Result, ensure};
use interop_tests::{Family, Kind, Lab, Neighbour, Route, Speaker, Subject, pairs};
use support::segment::{Segment, v4, v6};
use support::{SOON, check_attributes, decorated};

pairs!(routes_are_reflected: reflect, [routelet]);
pairs!(the_lab_holds: reflect, [bird2], [frr8]);

const AS: u32 = 64500;

fn reflect(lab: &Lab, subject: Kind, client: Kind) -> Result<()> {
    let segment = Segment::new(lab)?;
    let mut reflector = Speaker::new(AS, &v4(1));
    for n in [2, 3] {
        reflector = reflector.neighbour(Neighbour::new(&v4(n), AS).route_reflector_client());
    }
    for n in [4, 5] {
        reflector = reflector.neighbour(Neighbour::new(&v4(n), AS));
    }
    let start = |label: &str, n: u8, kind: Kind| {
        let mut speaker = Speaker::new(AS, &v4(n)).neighbour(Neighbour::new(&v4(1), AS));
        speaker.originate = decorated(u32::from(n)).into();
        Subject::start(lab, kind, &segment.host(label, n)?, speaker)
    };
    let first = start("first", 2, client)?;
    let second = start("second", 3, client)?;
    let other = start("other", 4, Kind::Bird2)?;
    let fourth = start("fourth", 5, Kind::Bird2)?;
    let _reflector = Subject::start(lab, subject, &segment.host("subject", 1)?, reflector)?;

    for (at, from) in [
        (&second, 2),
        (&other, 2),
        (&fourth, 3),
        (&first, 4),
        (&second, 5),
    ] {
        for sent in decorated(u32::from(from)) {
            let route = at.wait_route(&sent.prefix.to_string(), SOON * 2)?;
            check_attributes(&route, &sent)?;
            ensure!(route.local_pref == sent.local_pref, "{at}: {route:?}");
            ensure!(route.as_path.is_empty(), "{at}: {route:?}");
            check_reflected(&route, from)?;
        }
    }
    // The clients have what each of them told, so the reflector had it to tell.
    for (at, from) in [(&other, 5), (&fourth, 4)] {
        for family in Family::ALL {
            let routes = at.routes(family)?;
            let none = decorated(from).map(|sent| sent.prefix);
            ensure!(
                routes.iter().all(|route| !none.contains(&route.prefix)),
                "a route of one non-client at another: {routes:?}"
            );
        }
    }
    Ok(())
}

fn check_reflected(route: &Route, from: u8) -> Result<()> {
    let originator = v4(from).parse()?;
    ensure!(
        route.originator_id == Some(originator),
        "ORIGINATOR_ID {originator} expected: {route:?}"
    );
    ensure!(
        route.cluster_list == [v4(1).parse::<std::net::IpAddr>()?],
        "CLUSTER_LIST of the reflector expected: {route:?}"
    );
    let next_hop = match Family::of(route.prefix) {
        Family::Ipv4 => v4(from),
        Family::Ipv6 => v6(from),
    };
    ensure!(
        route.next_hops.contains(&next_hop.parse()?),
        "next hop {next_hop} expected: {route:?}"
    );
    Ok(())
}
