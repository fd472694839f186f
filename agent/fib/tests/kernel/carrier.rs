//! Interfaces that lose their carrier: their routers leave all groups before the RIB says a word.

use routelet_fib::kernel::Ears;
use routelet_fib::kernel::event::Event;
use routelet_fib::kernel::netlink::Monitor;
use routelet_fib::types::ROUTE_PROTOCOL;
use routelet_fib::{FibRouteState, Stop};

use crate::namespace::*;

/// What the plan relies on: no kernel that has nexthop objects leaves this to us.
#[test]
fn the_kernel_takes_an_interface_without_a_carrier_out_of_groups_before_it_reports_it() {
    in_namespace(|| {
        for command in [
            "nexthop add id 101 via 192.0.2.2 dev va",
            "nexthop add id 102 via 198.18.0.2 dev wa",
            "nexthop add id 103 via 192.0.2.2 dev va",
            "nexthop add id 201 group 101/102",
            "nexthop add id 202 group 103",
            "route add 203.0.113.0/24 nhid 201",
            "route add 203.0.114.0/24 nhid 202",
        ] {
            ip(command);
        }
        let mut monitor = Monitor::open(&[]).unwrap();
        ip("link set vb down");
        let started = std::time::Instant::now();
        let mut is_reported = false;
        while !is_reported {
            assert!(started.elapsed() < PATIENCE, "the carrier is still there");
            let mut seen = |event| {
                is_reported |=
                    matches!(event, Event::Link(_, link) if link.name == "va" && !link.up);
            };
            monitor.hear(&mut seen).unwrap();
        }
        let ids = |rows: Vec<serde_json::Value>| -> Vec<u64> {
            rows.iter().filter_map(|row| row["id"].as_u64()).collect()
        };
        assert_eq!(ids(ip_json("nexthop show")), [102, 201]);
        let routes = ip("route show");
        assert!(routes.contains("203.0.113.0/24"), "{routes}");
        assert!(!routes.contains("203.0.114.0/24"), "{routes}");
    });
}

#[test]
fn a_lost_carrier_costs_no_message_and_one_that_is_back_its_objects_groups_and_lost_routes() {
    in_namespace(|| {
        let fib = start();
        fib.converged();
        fib.submit(dual());
        settle(&fib);
        let before = fib.counters();
        for round in 0..3 {
            ip("link set vb down");
            until(&fib, "only the other way is left", || {
                ours()
                    == [
                        "2001:db8:f::/48 2001:db8:2::2@wa*1",
                        "203.0.113.0/24 198.18.0.2@wa",
                        "203.0.116.0/24 198.18.0.2@wa",
                    ]
            });
            until(&fib, "it is known", || {
                let state = |prefix| fib.route(net(prefix)).unwrap().state;
                let failed = matches!(state("203.0.114.0/24"), FibRouteState::Failed { .. });
                failed && state("203.0.113.0/24") == FibRouteState::Degraded
            });
            ip("link set vb up");
            until(&fib, "all is back", || ours() == DUAL);
            until(&fib, "all is well", || {
                let all = fib.snapshot(|_| true);
                all.iter().all(|r| r.state == FibRouteState::Installed)
            });
            let after = fib.counters();
            assert_eq!(
                after.errors, before.errors,
                "round {round}: a message in vain"
            );
            assert_eq!((after.failed, after.pending), (0, 0));
        }
        fib.stop(Stop::Withdraw(PATIENCE));
        assert_eq!((ours().len(), our_nexthops()), (0, 0));
    });
}

/// The kernel keeps what leads over an interface that has a carrier and may not be used (RFC 2863: dormant).
#[test]
fn an_interface_that_is_dormant_leaves_its_groups_by_one_message() {
    in_namespace(|| {
        let fib = start();
        fib.converged();
        let both = || hops(&[("192.0.2.2", "va", 1), ("198.18.0.2", "wa", 1)]);
        fib.submit((0..500).map(|i| {
            let prefix = format!("11.{}.{}.0/24", i / 250, i % 250);
            install(&prefix, both())
        }));
        settle(&fib);
        let before = fib.counters();
        ip("link set dev va state dormant");
        until(&fib, "its router is left", || {
            ours().iter().all(|route| route.ends_with(" 198.18.0.2@wa"))
        });
        settle(&fib);
        let after = fib.counters();
        assert_eq!(after.operations - before.operations, 1);
        assert_eq!((after.errors, after.failed), (before.errors, 0));
        ip("link set dev va state up");
        until(&fib, "its router is back", || {
            ours().iter().all(|route| route.contains("192.0.2.2@va"))
        });
        settle(&fib);
        // An object, and the group.
        assert_eq!(fib.counters().operations - before.operations, 3);
        fib.stop(Stop::Withdraw(PATIENCE));
    });
}

/// Pods come and go all the time, and each has an interface.
#[test]
fn an_interface_that_no_route_uses_may_come_lose_its_carrier_and_go_without_a_message() {
    in_namespace(|| {
        let fib = start();
        fib.converged();
        fib.submit(dual());
        settle(&fib);
        let before = fib.counters();
        let mut monitor = Monitor::open(&[]).unwrap();
        let is_up = |fib: &routelet_fib::FibHandle| {
            let view = fib.view();
            let mut links = view.links();
            links.find(|link| link.name == "xa").map(|link| link.up)
        };
        for _ in 0..3 {
            ip("link add xa type veth peer name xb");
            ip("link set xa up");
            ip("link set xb up");
            ip("addr add 100.64.0.1/24 dev xa");
            until(&fib, "it has a carrier", || is_up(&fib) == Some(true));
            ip("link set xb down");
            until(&fib, "it has none", || is_up(&fib) == Some(false));
            ip("link del xa");
            until(&fib, "it is gone", || is_up(&fib).is_none());
        }
        settle(&fib);
        let of_ours = |event: &Event| match event {
            Event::Route(_, route) => route.protocol == ROUTE_PROTOCOL,
            Event::Nexthop(..) => true,
            _ => false,
        };
        let events = heard(&mut monitor);
        assert!(!events.iter().any(of_ours), "{events:?}");
        let after = fib.counters();
        assert_eq!(after.operations, before.operations);
        assert_eq!(ours(), DUAL);
        fib.stop(Stop::Withdraw(PATIENCE));
    });
}
