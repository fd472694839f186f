//! RFC 7911: a peer that sends several paths for a prefix has all of them in the subject's table, each with its
//! identifier, and one is withdrawn without the others.

mod support;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};
use interop_tests::{
    AddPath, Family, Kind, Lab, Neighbour, Origination, Route, Speaker, Subject, eventually, pairs,
};
use support::SOON;
use support::segment::{Segment, v4, v6};

pairs!(several_paths_arrive: over_ipv4, [routelet]);
pairs!(several_paths_arrive_for_ipv6: over_ipv6, [routelet], [bird2 bird3 frr8 frr10 openbgpd]);
// BIRD does not show the identifiers that it received.
pairs!(the_lab_holds: over_ipv4, [frr8], [bird2]);
pairs!(the_lab_holds_for_ipv6: over_ipv6, [frr8], [bird2]);

fn over_ipv4(lab: &Lab, subject: Kind, peer: Kind) -> Result<()> {
    scenario(lab, subject, peer, Family::Ipv4)
}

fn over_ipv6(lab: &Lab, subject: Kind, peer: Kind) -> Result<()> {
    scenario(lab, subject, peer, Family::Ipv6)
}

/// Two routers originate one prefix; the peer learns both and sends both.
fn scenario(lab: &Lab, subject: Kind, peer: Kind, family: Family) -> Result<()> {
    let (at, prefix): (fn(u8) -> String, &str) = match family {
        Family::Ipv4 => (v4, "198.51.100.0/24"),
        Family::Ipv6 => (v6, "2001:db8:100::/48"),
    };
    let describe = |n: u8| Speaker::new(64500 + u32::from(n), &v4(n));
    let to = |n: u8| Neighbour::new(&at(n), 64500 + u32::from(n)).families(&[family]);
    let segment = Segment::new(lab)?;
    let mut sources = Vec::new();
    for n in [3, 4] {
        let source = describe(n)
            .neighbour(to(2))
            .originate(Origination::new(prefix).med(u32::from(n)));
        let namespace = segment.host(&format!("source{n}"), n)?;
        sources.push(Subject::start(lab, Kind::Bird2, &namespace, source)?);
    }
    let middle = describe(2)
        .neighbour(to(3))
        .neighbour(to(4))
        .neighbour(to(1).add_path(AddPath::Both));
    let _middle = Subject::start(lab, peer, &segment.host("peer", 2)?, middle)?;
    let ours = describe(1).neighbour(to(2).add_path(AddPath::Receive));
    let subject = Subject::start(lab, subject, &segment.host("subject", 1)?, ours)?;

    let both = eventually(SOON * 2, "two paths", || {
        let paths = paths(&subject, family, prefix)?;
        let seen: BTreeSet<&str> = paths.values().map(|route| route.as_path.as_str()).collect();
        ensure!(
            seen == BTreeSet::from(["64502 64503", "64502 64504"]),
            "{paths:?}"
        );
        one_is_best(&paths)?;
        Ok(paths)
    })?;
    sources[1].stop()?;
    let left = eventually(SOON, "one path", || {
        let paths = paths(&subject, family, prefix)?;
        ensure!(paths.len() == 1, "{paths:?}");
        one_is_best(&paths)?;
        Ok(paths)
    })?;
    for (id, route) in &left {
        ensure!(route.as_path == "64502 64503", "{route:?}");
        let before = both.get(id).map(|route| route.as_path.as_str());
        ensure!(
            before == Some("64502 64503"),
            "another identifier than before: {both:?}, then {left:?}"
        );
    }
    Ok(())
}

/// One of the paths was decided for. FRR shows paths before it has resolved their next hops, and then none is the best.
fn one_is_best(paths: &BTreeMap<u32, Route>) -> Result<()> {
    let best = paths.values().filter(|route| route.best).count();
    ensure!(best == 1, "{best} of them are the best: {paths:?}");
    Ok(())
}

/// The paths of a prefix by identifier.
fn paths(subject: &Subject, family: Family, prefix: &str) -> Result<BTreeMap<u32, Route>> {
    let routes = subject.routes(family)?;
    let of_prefix = routes
        .into_iter()
        .filter(|route| route.prefix.to_string() == prefix);
    let mut found = BTreeMap::new();
    for route in of_prefix {
        let Some(id) = route.path_id else {
            anyhow::bail!("no identifier: {route:?}");
        };
        let double = found.insert(id, route);
        ensure!(double.is_none(), "two paths with identifier {id}");
    }
    Ok(found)
}
