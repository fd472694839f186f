//! Routes, addresses and metrics of other software beside ours, on the real kernel.

use routelet_fib::kernel::event::{Event, Presence};
use routelet_fib::kernel::netlink::Monitor;
use routelet_fib::{
    FibChange, FibConfig, FibHandle, FibRouteState, Rejection, RouteSpace, Stop, spawn,
};

use crate::namespace::*;

/// Which rule keeps the prefix out.
fn refused(fib: &FibHandle, prefix: &str) -> Option<Rejection> {
    match fib.route(net(prefix))?.state {
        FibRouteState::Refused { reason } => Some(reason),
        _ => None,
    }
}

#[test]
fn an_on_link_route_of_others_refuses_the_equal_prefix_and_nothing_inside_it() {
    in_namespace(|| {
        let fib = start();
        fib.converged();
        fib.submit(dual());
        settle(&fib);
        assert_eq!(ours(), DUAL);
        let mut monitor = Monitor::open(&[]).unwrap();

        // What VPNs add: all addresses in two halves, private ones, and their like of IPv6.
        let tunnel = [
            ("0.0.0.0/1", "4"),
            ("128.0.0.0/1", "4"),
            ("203.0.112.0/20", "4"),
            ("::/1", "6"),
            ("2000::/3", "6"),
            ("2001:db8::/32", "6"),
        ];
        for (prefix, family) in tunnel {
            ip(&format!("-{family} route add {prefix} dev wa"));
        }
        until(&fib, "the view has all", || {
            fib.view()
                .resolve("2a00::1".parse().unwrap(), None)
                .is_some()
        });
        for (prefix, family) in tunnel {
            ip(&format!("-{family} route del {prefix} dev wa"));
        }
        until(&fib, "the view has none", || {
            fib.view()
                .resolve("2a00::1".parse().unwrap(), None)
                .is_none()
        });
        assert_eq!(ours(), DUAL);
        let of_ours = |event: &Event| match event {
            Event::Route(_, route) => route.protocol == routelet_fib::types::ROUTE_PROTOCOL,
            Event::Nexthop(..) => true,
            _ => false,
        };
        let events = heard(&mut monitor);
        assert!(!events.iter().any(of_ours), "{events:?}");

        // The same prefix: theirs stays alone, whichever metric it has, and ours is back when theirs goes.
        for (prefix, add, metric) in [
            ("203.0.113.0/24", "-4", ""),
            ("203.0.114.0/24", "-4", "metric 4000000"),
            ("2001:db8:f::/48", "-6", "metric 20"),
        ] {
            let foreign = format!("{prefix} dev wa {metric}");
            ip(&format!("{add} route add {}", foreign.trim_end()));
            let rule = Some(Rejection::ForeignRoute(net(prefix)));
            until(&fib, prefix, || refused(&fib, prefix) == rule);
            until(&fib, "it left the kernel", || {
                !ours().iter().any(|route| route.starts_with(prefix))
            });
            assert_eq!(ours().len(), 4, "one alone");
            ip(&format!("{add} route del {}", foreign.trim_end()));
            until(&fib, "ours is back", || ours() == DUAL);
        }
        fib.stop(Stop::Withdraw(PATIENCE));
    });
}

#[test]
fn networks_of_addresses_are_guarded_also_those_of_the_other_end() {
    in_namespace(|| {
        let fib = start();
        fib.converged();
        let via = || hops(&[("192.0.2.2", "va", 1)]);
        let of_ipv6 = || hops(&[("2001:db8:1::2", "va", 1)]);
        let inside = [
            "10.9.0.1/32",
            "10.9.0.2/32",
            "10.9.8.128/25",
            "fd00:9::2/128",
            "100.64.0.0/24",
        ];
        let of = |prefix: &&str| match prefix.contains(':') {
            true => install(prefix, of_ipv6()),
            false => install(prefix, via()),
        };
        fib.submit(inside.iter().map(of));
        settle(&fib);
        assert_eq!(ours().len(), inside.len());
        for (address, guards) in [
            ("addr add 10.9.0.1 peer 10.9.0.2/32 dev wa", 2),
            // The other end has a network, of which this end is no part.
            ("addr add 10.9.1.1 peer 10.9.8.0/24 dev wa", 1),
            ("addr add fd00:9::1 peer fd00:9::2/128 dev wa nodad", 1),
            ("addr add 100.64.0.9/10 dev wa noprefixroute", 1),
        ] {
            let before = ours().len();
            ip(address);
            until(&fib, address, || ours().len() == before - guards);
            ip(&address
                .replace("addr add", "addr del")
                .replace(" nodad", "")
                .replace(" noprefixroute", ""));
            until(&fib, "the address is gone", || ours().len() == before);
        }
        // No link has a network of half of all addresses, and the kernel makes no route for it: the address alone is guarded.
        ip("addr add 10.9.0.2/1 dev wa");
        until(&fib, "10.9.0.2", || {
            refused(&fib, "10.9.0.2/32") == Some(Rejection::Connected(net("10.9.0.2/32")))
        });
        assert_eq!(ours().len(), inside.len() - 1);
        fib.stop(Stop::Withdraw(PATIENCE));
    });
}

#[test]
fn routes_without_a_metric_and_those_of_calico_stand_beside_ours_whoever_was_first() {
    /// Adding and removing routes of others, as they do it themselves: the kernel makes 1024 of no metric for IPv6.
    const OTHERS: [(&str, &str, &str); 5] = [
        ("-6", "add", "2001:db8:f::/48 via 2001:db8:1::9"),
        ("-6", "append", "2001:db8:f::/48 via 2001:db8:1::9 proto 80"),
        (
            "-6",
            "replace",
            "2001:db8:f::/48 via 2001:db8:1::9 proto 80",
        ),
        (
            "-4",
            "replace",
            "203.0.113.0/24 via 192.0.2.9 metric 1024 proto 80",
        ),
        (
            "-6",
            "replace",
            "2001:db8:f::/48 via 2001:db8:1::9 metric 1024 proto ra",
        ),
    ];
    in_namespace(|| {
        let fib = start();
        fib.converged();
        fib.submit(dual());
        settle(&fib);
        assert_eq!(ours(), DUAL);
        let mut monitor = Monitor::open(&[]).unwrap();
        let is_ours = |event: &Event| match event {
            Event::Route(_, route) => route.protocol == routelet_fib::types::ROUTE_PROTOCOL,
            Event::Nexthop(..) => true,
            _ => false,
        };
        for (family, verb, route) in OTHERS {
            ip(&format!("{family} route {verb} {route}"));
            settle(&fib);
            assert_eq!(ours(), DUAL, "{verb} {route}");
            ip(&format!("{family} route del {route}"));
            settle(&fib);
            assert_eq!(ours(), DUAL, "{verb} {route}");
        }
        let events = heard(&mut monitor);
        assert_eq!(events.len(), 2 * OTHERS.len(), "{events:?}");
        assert!(!events.iter().any(is_ours), "{events:?}");

        // Theirs first.
        fib.submit(dual().map(|change| FibChange::remove(change.prefix)));
        settle(&fib);
        for (family, verb, route) in OTHERS {
            ip(&format!("{family} route {verb} {route}"));
            let prefix = route.split(' ').next().unwrap();
            let theirs = || ip(&format!("{family} route show {prefix} metric 1024"));
            let before = theirs();
            fib.submit(dual());
            settle(&fib);
            assert_eq!(ours(), DUAL, "{verb} {route}");
            assert_eq!(theirs(), before);
            assert_eq!(before.lines().count(), 1, "{before}");
            fib.submit(dual().map(|change| FibChange::remove(change.prefix)));
            settle(&fib);
            assert_eq!(theirs(), before);
            ip(&format!("{family} route del {route}"));
        }
        assert_eq!(fib.counters().errors, 0);
        fib.stop(Stop::Withdraw(PATIENCE));
    });
}

#[test]
fn routes_of_an_earlier_version_are_moved_to_the_metric_of_this_one_without_a_gap() {
    in_namespace(|| {
        let earlier = RouteSpace {
            metric: 1024,
            ..RouteSpace::default()
        };
        let fib = spawn(FibConfig {
            space: earlier,
            ..FibConfig::default()
        });
        let fib = fib.unwrap();
        fib.submit(dual());
        settle(&fib);
        fib.stop(Stop::KeepRoutes);

        let mut monitor = Monitor::open(&[]).unwrap();
        let fib = start();
        assert_eq!(fib.counters().stale, 5);
        // Before convergence, as soon as the routes are known; of one nobody says anything.
        let said = || dual().into_iter().skip(1);
        fib.submit(said());
        settle(&fib);
        assert_eq!(ours(), DUAL);
        let mut metrics = std::collections::HashMap::new();
        for event in heard(&mut monitor) {
            let Event::Route(presence, route) = event else {
                continue;
            };
            // The kernel's own, which comes when the link has found its address to be nobody else's.
            if matches!(route.prefix, ipnet::IpNet::V6(net) if net.addr().is_unicast_link_local()) {
                continue;
            }
            let all: &mut Vec<(Presence, u32)> = metrics.entry(route.prefix).or_default();
            all.push((presence, route.metric));
        }
        let moved = [(Presence::Present, 1790), (Presence::Gone, 1024)];
        let want = said().map(|change| (change.prefix, moved.to_vec()));
        assert_eq!(metrics, want.collect());
        fib.converged();
        settle(&fib);
        assert_eq!(ours(), [DUAL[0], DUAL[2], DUAL[3], DUAL[4]]);
        assert_eq!(fib.counters().stale, 0);
        fib.stop(Stop::Withdraw(PATIENCE));
        assert_eq!((ours().len(), our_nexthops()), (0, 0));
    });
}
