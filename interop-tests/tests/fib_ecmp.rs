//! What a node learns from two routers is in its kernel, over both of them; what others put there stays as it is.

mod support;

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use interop_tests::probe::kernel::{self, Monitor};
use interop_tests::probe::ping::Ping;
use interop_tests::{Family, eventually, run};
use support::SOON;
use support::rack::{HOSTS, METRIC, NEEDS, NETWORKS, PROTOCOL, Rack, speaker};

/// How long traffic may stop when a router dies that said nothing: its kernel still tells by closing the connection.
const OUTAGE: Duration = Duration::from_secs(3);

#[test]
fn ecmp_routes_survive_the_loss_of_either_router() {
    run(&NEEDS, |lab| {
        let mut rack = Rack::start_abrupt(lab)?;
        rack.wait_ways(&["eth2", "eth3"])?;
        for prefix in NETWORKS {
            let route = rack.own_route(prefix)?;
            ensure!(route.metric == METRIC, "{route:?}");
            ensure!(route.nexthop_id.is_some(), "no nexthop object: {route:?}");
            ensure!(
                route.paths.iter().all(|path| path.weight == 1),
                "unequal weights: {route:?}"
            );
        }
        for (dying, other) in [(0, "eth3"), (1, "eth2")] {
            let changes = Monitor::start(rack.kernel())?;
            let pings = HOSTS
                .iter()
                .map(|host| Ping::start(rack.kernel(), host, None))
                .collect::<Result<Vec<_>>>()?;
            rack.routers[dying].kill()?;
            rack.wait_ways(&[other])?;
            for ping in pings {
                let loss = ping.stop()?;
                ensure!(loss.longest_gap < OUTAGE, "traffic stopped: {loss:?}");
            }
            let lost: Vec<String> = changes
                .lines()?
                .into_iter()
                .filter(|line| {
                    line.starts_with("Deleted") && NETWORKS.iter().any(|net| line.contains(net))
                })
                .collect();
            ensure!(lost.is_empty(), "routes went away in between: {lost:?}");
            rack.routers[dying].launch()?;
            rack.wait_ways(&["eth2", "eth3"])?;
        }
        Ok(())
    });
}

#[test]
fn traffic_leaves_a_router_whose_link_is_down_and_returns() {
    run(&NEEDS, |lab| {
        let rack = Rack::start(lab)?;
        rack.wait_ways(&["eth2", "eth3"])?;
        let pings = HOSTS
            .iter()
            .map(|host| Ping::start(rack.kernel(), host, None))
            .collect::<Result<Vec<_>>>()?;
        for (router, other) in [(0, "eth3"), (1, "eth2")] {
            let far = rack.routers[router].namespace();
            // Its addresses outlive the cable; its routes come back in one go, since the node uses it again at once.
            far.sysctl("net.ipv6.conf.all.keep_addr_on_down", "1")?;
            far.sysctl("net.ipv6.conf.eth0.keep_addr_on_down", "1")?;
            // The carrier goes: long before a hold timer could tell.
            far.ip("link set eth0 down")?;
            rack.wait_usable_ways(&[other])?;
            let number = router + 2;
            let back = format!(
                "ip link set eth0 up && ip route replace 10.0.0.0/16 via 10.0.{number}.1 \
                 && ip -6 route replace fd00::/16 via fd00:{number}::1"
            );
            far.run(&["sh", "-c", &back])?;
            rack.wait_usable_ways(&["eth2", "eth3"])?;
        }
        for ping in pings {
            let loss = ping.stop()?;
            ensure!(loss.longest_gap < OUTAGE, "traffic stopped: {loss:?}");
        }
        no_false_alarm(&rack)
    });
}

/// Nothing was written that the kernel had to refuse, and nothing of the kind was logged.
fn no_false_alarm(rack: &Rack) -> Result<()> {
    let log = rack.node.log();
    for alarm in ["the kernel rejects routes", "Some("] {
        let line = log.lines().find(|line| line.contains(alarm));
        ensure!(line.is_none(), "{line:?}");
    }
    let metrics = rack.node.ask(&["status"])?;
    ensure!(metrics["fib"]["errors"] == 0, "{}", metrics["fib"]);
    Ok(())
}

#[test]
fn routes_return_after_an_interface_was_set_down_and_up() {
    run(&NEEDS, |lab| {
        let rack = Rack::start(lab)?;
        rack.wait_ways(&["eth2", "eth3"])?;
        for interface in ["eth2", "eth3"] {
            let number = &interface[3..];
            rack.kernel().ip(&format!("link set {interface} down"))?;
            let other = if interface == "eth2" { "eth3" } else { "eth2" };
            rack.wait_usable_ways(&[other])?;
            rack.kernel().ip(&format!("link set {interface} up"))?;
            rack.kernel()
                .address(interface, &format!("fd00:{number}::1/64"))?;
            rack.wait_usable_ways(&["eth2", "eth3"])?;
        }
        // Both at once: the kernel drops the routes themselves.
        for interface in ["eth2", "eth3"] {
            rack.kernel().ip(&format!("link set {interface} down"))?;
        }
        for interface in ["eth2", "eth3"] {
            let number = &interface[3..];
            rack.kernel().ip(&format!("link set {interface} up"))?;
            rack.kernel()
                .address(interface, &format!("fd00:{number}::1/64"))?;
        }
        rack.wait_usable_ways(&["eth2", "eth3"])?;
        no_false_alarm(&rack)
    });
}

#[test]
fn routes_of_others_with_the_same_prefix_stay_untouched() {
    run(&NEEDS, |lab| {
        let mut rack = Rack::start(lab)?;
        rack.wait_ways(&["eth2", "eth3"])?;
        let foreign = [
            // Better, worse, and of the very metric that the agent uses, for a network that comes later.
            "route add 198.51.100.0/24 via 10.0.2.2 metric 50 proto static",
            "route add 198.51.100.0/24 via 10.0.2.2 metric 5000 proto static",
            "-6 route add 2001:db8:100::/48 via fd00:2::2 metric 50 proto static",
            "route add 198.51.101.0/24 via 10.0.3.2 metric 1790 proto static",
            "-6 route add 2001:db8:101::/48 via fd00:3::2 metric 1790 proto static",
        ];
        for route in foreign {
            rack.kernel().ip(route)?;
        }
        let before = foreign_routes(&rack)?;
        ensure!(before.len() == foreign.len(), "{before:?}");
        let late = ["198.51.101.0/24", "2001:db8:101::/48"]
            .iter()
            .fold(speaker(2), |speaker, prefix| {
                speaker.originate(interop_tests::Origination::new(prefix))
            });
        rack.routers[0].reconfigure(late)?;
        // The place is taken in IPv4: the agent says so, and stands back.
        let entry = eventually(SOON, "the agent tells of the taken place", || {
            let fib = rack.node.ask(&["fib", "--prefix", "198.51.101.0/24"])?;
            ensure!(
                fib[0]["state"] == "failed" || fib[0]["state"] == "foreign",
                "{fib}"
            );
            Ok(fib[0].clone())
        })?;
        ensure!(!entry["reason"].is_null(), "no reason: {entry}");
        ensure!(foreign_routes(&rack)? == before, "before: {before:?}");
        // Gone again at the routers: the agent's go, the others stay.
        for (router, number) in rack.routers.iter_mut().zip([2, 3]) {
            let mut nothing = speaker(number);
            nothing.originate.clear();
            router.reconfigure(nothing)?;
        }
        for prefix in NETWORKS {
            rack.wait_no_way_to(prefix)?;
        }
        ensure!(foreign_routes(&rack)? == before, "before: {before:?}");
        rack.node.end(interop_tests::Signal::SIGTERM)?;
        ensure!(foreign_routes(&rack)? == before, "before: {before:?}");
        Ok(())
    });
}

fn foreign_routes(rack: &Rack) -> Result<Vec<kernel::KernelRoute>> {
    let mut all = Vec::new();
    for family in Family::ALL {
        let routes = kernel::routes(rack.kernel(), family)?;
        all.extend(
            routes
                .into_iter()
                .filter(|route| route.protocol == "static"),
        );
    }
    Ok(all)
}

#[test]
fn a_route_or_nexthop_that_somebody_deletes_is_put_back() {
    run(&NEEDS, |lab| {
        let rack = Rack::start(lab)?;
        rack.wait_ways(&["eth2", "eth3"])?;
        for (option, prefix) in ["-4", "-6"].iter().zip(NETWORKS) {
            rack.kernel()
                .ip(&format!("{option} route del {prefix} proto {PROTOCOL}"))?;
        }
        rack.wait_ways(&["eth2", "eth3"])?;
        // Every object at once, groups and members: with them go the routes.
        rack.kernel().ip("nexthop flush")?;
        rack.wait_ways(&["eth2", "eth3"])?;
        // Somebody replaces the agent's route by one of their own making in its place.
        rack.kernel().ip(&format!(
            "route replace 198.51.100.0/24 via 10.0.2.2 metric {METRIC} proto {PROTOCOL}"
        ))?;
        rack.wait_ways(&["eth2", "eth3"])
    });
}

/// By hand, or by another program that takes the same ids: under its own protocol number, or under ours.
#[test]
fn a_nexthop_object_that_somebody_replaces_is_put_right() {
    run(&NEEDS, |lab| {
        let rack = Rack::start(lab)?;
        rack.wait_ways(&["eth2", "eth3"])?;
        let paths = || -> Result<Vec<_>> {
            let routes = NETWORKS.iter().map(|prefix| rack.own_route(prefix));
            routes.map(|route| Ok(route?.paths)).collect()
        };
        let wanted = paths()?;
        let right = || -> Result<()> {
            let found = paths()?;
            ensure!(found == wanted, "{found:?}");
            Ok(())
        };
        right()?;
        for protocol in ["static", PROTOCOL] {
            let objects = kernel::nexthops(rack.kernel())?;
            let singles = objects.iter().filter(|object| {
                object.group.is_empty() && object.protocol.as_deref() == Some(PROTOCOL)
            });
            for object in singles.clone() {
                let (gateway, device) = match object.gateway.context("no gateway")? {
                    IpAddr::V4(_) => ("10.0.2.77", "eth2"),
                    IpAddr::V6(_) => ("fd00:2::77", "eth2"),
                };
                rack.kernel().ip(&format!(
                    "nexthop replace id {} via {gateway} dev {device} proto {protocol}",
                    object.id
                ))?;
            }
            eventually(SOON, "the ways are right again", right)?;
            // And a group, by one of its members.
            let objects = kernel::nexthops(rack.kernel())?;
            let groups = objects.iter().filter(|object| object.group.len() > 1);
            for group in groups.clone() {
                rack.kernel().ip(&format!(
                    "nexthop replace id {} group {} proto {protocol}",
                    group.id, group.group[0].id
                ))?;
            }
            eventually(SOON, "the groups are right again", right)?;
        }
        eventually(SOON, "it is reported", || {
            let log = rack.node.log();
            ensure!(
                log.contains("nexthop objects of Routelet were replaced"),
                "{log}"
            );
            Ok(())
        })
    });
}

/// By hand, or by a program that removes what it did not make (systemd-networkd does).
#[test]
fn nexthop_objects_that_somebody_flushes_are_back_with_their_routes_and_nothing_is_refused() {
    run(&NEEDS, |lab| {
        let rack = Rack::start(lab)?;
        rack.wait_ways(&["eth2", "eth3"])?;
        for _ in 0..3 {
            rack.kernel().ip("nexthop flush")?;
            rack.wait_ways(&["eth2", "eth3"])?;
        }
        no_false_alarm(&rack)?;
        // What is not ours may go, and ours says nothing.
        let changes = Monitor::start(rack.kernel())?;
        rack.kernel()
            .ip("nexthop add id 101 via 10.0.2.77 dev eth2 proto 4")?;
        rack.kernel().ip("nexthop flush proto 4")?;
        rack.kernel().ip("route add 192.0.2.0/24 via 10.0.2.77")?;
        eventually(SOON, "the route of others is seen", || {
            let lines = changes.lines()?;
            ensure!(lines.iter().any(|line| line.contains("192.0.2.0/24")));
            Ok(())
        })?;
        let of_ours = |line: &String| NETWORKS.iter().any(|net| line.contains(net));
        let lines = changes.lines()?;
        ensure!(!lines.iter().any(of_ours), "{lines:?}");
        Ok(())
    });
}
