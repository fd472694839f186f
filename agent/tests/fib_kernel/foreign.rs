//! Routes, addresses and metrics of other software beside ours, on the real kernel.

use agent::fib::kernel::event::Event;
use agent::fib::kernel::netlink::Monitor;
use agent::fib::{FibHandle, FibRouteState, Rejection, Stop};

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
        let mut monitor = Monitor::open(u32::MAX).unwrap();

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
            Event::Route(_, route) => route.protocol == agent::fib::types::ROUTE_PROTOCOL,
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
