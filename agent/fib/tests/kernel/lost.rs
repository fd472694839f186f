//! Routers that are lost: one message, however many routes use them.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use ipnet::IpNet;
use routelet_fib::kernel::event::{Event, Presence};
use routelet_fib::kernel::netlink::Monitor;
use routelet_fib::{FibChange, FibRouteState, Stop};

use crate::namespace::*;

#[test]
fn losing_a_router_is_one_message_however_many_routes_use_it() {
    in_namespace(|| {
        let fib = start();
        let both = || hops(&[("192.0.2.2", "va", 1), ("198.18.0.2", "wa", 1)]);
        let prefixes = || {
            (0..20_000u32).map(|i| {
                IpNet::new(IpAddr::from((0x0b00_0000 + (i << 8)).to_be_bytes()), 24).unwrap()
            })
        };
        fib.submit(prefixes().map(|p| FibChange::install(p, both())));
        settle(&fib);
        assert_eq!(ours().len(), 20_000);

        // The RIB's word ahead of its changes.
        let before = fib.counters().operations;
        fib.set_nexthops_down(&[("192.0.2.2".parse().unwrap(), index("va"))], true);
        settle(&fib);
        assert_eq!(fib.counters().operations - before, 1);
        assert!(ours().iter().all(|r| r.ends_with(" 198.18.0.2@wa")));

        // The changes themselves, prefix by prefix, find everything in place.
        fib.submit(prefixes().map(|p| FibChange::install(p, hops(&[("198.18.0.2", "wa", 1)]))));
        settle(&fib);
        assert_eq!(fib.counters().operations - before, 1);
        assert!(
            fib.snapshot(|_| true)
                .iter()
                .all(|r| r.state == FibRouteState::Installed)
        );
        fib.stop(Stop::Withdraw(PATIENCE));
        assert_eq!((ours().len(), our_nexthops()), (0, 0));
    });
}

#[test]
fn the_loss_of_a_router_overtakes_routes_that_wait() {
    in_namespace(|| {
        let (fib, brake) = with_brake();
        let both = || hops(&[("192.0.2.2", "va", 1), ("198.18.0.2", "wa", 1)]);
        fib.submit([install("203.0.113.0/24", both())]);
        settle(&fib);

        let held = brake.hold();
        let mut monitor = Monitor::open(&[]).unwrap();
        let prefix = |i: u32| IpAddr::from((0x0b00_0000 + (i << 8)).to_be_bytes());
        fib.submit((0..10_000).map(|i| {
            FibChange::install(
                IpNet::new(prefix(i), 24).unwrap(),
                hops(&[("192.0.2.3", "va", 1)]),
            )
        }));
        fib.set_nexthops_down(&[("192.0.2.2".parse().unwrap(), index("va"))], true);
        drop(held);
        settle(&fib);

        let events = heard(&mut monitor);
        assert!(
            matches!(&events[0], Event::Nexthop(Presence::Gone, _)),
            "{:?}",
            &events[..5]
        );
        let routes = events.iter().filter(|e| matches!(e, Event::Route(..)));
        assert_eq!(routes.count(), 10_000);
        assert!(ours().contains(&"203.0.113.0/24 198.18.0.2@wa".to_owned()));
        fib.stop(Stop::Withdraw(PATIENCE));
    });
}

/// Looks without waiting for the FIB thread.
fn soon(mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline);
        std::thread::yield_now();
    }
}

/// A listing of a large kernel takes a second or more, for which traffic does not wait.
#[test]
fn a_router_that_is_lost_while_everything_is_listed_is_cut_before_that_ends() {
    in_namespace(|| {
        let fib = start();
        fib.converged();
        let both = || hops(&[("192.0.2.2", "va", 1), ("198.18.0.2", "wa", 1)]);
        fib.submit([install("203.0.113.0/24", both())]);
        let lines: String = (0..60_000u32)
            .map(|i| {
                let net = Ipv4Addr::from(0x0c00_0000 + (i << 8));
                format!("route add {net}/24 via 192.0.2.9\n")
            })
            .collect();
        let batch = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(batch.path(), lines).unwrap();
        ip(&format!("-batch {}", batch.path().display()));
        settle(&fib);
        let router = [("192.0.2.2".parse().unwrap(), index("va"))];
        let is_cut_while_listing = |n: u8| {
            let mut monitor = Monitor::open(&[]).unwrap();
            // Somebody has the place of a route.
            let taken = format!("198.51.{n}.0/24");
            ip(&format!("route add {taken} via 192.0.2.9 metric 1790"));
            settle(&fib);
            let before = fib.counters().resyncs;
            fib.submit([install(&taken, both())]);
            soon(|| fib.counters().resyncs > before);
            let view = fib.view().generation();
            fib.set_nexthops_down(&router, true);
            soon(|| {
                let gone = |event: &Event| matches!(event, Event::Nexthop(Presence::Gone, _));
                heard(&mut monitor).iter().any(gone)
            });
            let was_listing = fib.view().generation() == view;
            fib.set_nexthops_down(&router, false);
            fib.submit([FibChange::remove(net(&taken))]);
            settle(&fib);
            was_listing
        };
        // It may have ended before the router was lost.
        assert!((0..10).any(is_cut_while_listing));
        fib.stop(Stop::Withdraw(PATIENCE));
    });
}

#[test]
fn routers_are_lost_one_after_the_other_and_return_and_every_route_stays() {
    in_namespace(|| {
        const A: (&str, &str, u8) = ("192.0.2.2", "va", 1);
        const B: (&str, &str, u8) = ("198.18.0.2", "wa", 1);
        const C: (&str, &str, u8) = ("192.0.2.3", "va", 1);
        let fib = start();
        fib.converged();
        let want = |all: &[(&str, &str, u8)], few: &[(&str, &str, u8)]| {
            fib.submit([
                install("203.0.113.0/24", hops(all)),
                install("203.0.114.0/24", hops(few)),
            ]);
            settle(&fib);
        };
        let tell = |(gateway, dev, _): (&str, &str, u8), down| {
            fib.set_nexthops_down(&[(gateway.parse().unwrap(), index(dev))], down);
            settle(&fib);
        };
        let lead = |all: &str, few: &str| {
            let lines = [
                format!("203.0.113.0/24 {all}"),
                format!("203.0.114.0/24 {few}"),
            ];
            assert_eq!(ours(), lines);
        };
        want(&[A, B, C], &[A, B]);
        let three = "192.0.2.2@va*1 192.0.2.3@va*1 198.18.0.2@wa*1";
        lead(three, "192.0.2.2@va*1 198.18.0.2@wa*1");

        // One message, though they are in two groups.
        let before = fib.counters().operations;
        tell(A, true);
        assert_eq!(fib.counters().operations - before, 1);
        lead("192.0.2.3@va*1 198.18.0.2@wa*1", "198.18.0.2@wa");

        // The last one of a group stays, or its routes would go with it.
        tell(B, true);
        lead("192.0.2.3@va", "198.18.0.2@wa");
        // The RIB's word on the prefixes, over a router that is not lost.
        want(&[C], &[C]);
        lead("192.0.2.3@va", "192.0.2.3@va");

        // They are back, and so are the paths over them.
        tell(A, false);
        tell(B, false);
        want(&[A, B, C], &[A, B]);
        lead(three, "192.0.2.2@va*1 198.18.0.2@wa*1");

        // While one is lost somebody deletes the other: its group vanishes with the routes, and is made again.
        tell(A, true);
        let other = ip_json("nexthop show proto 179")
            .iter()
            .filter(|n| n["gateway"] == "198.18.0.2")
            .map(|n| n["id"].as_u64().unwrap())
            .collect::<Vec<_>>();
        for id in other {
            ip(&format!("nexthop del id {id}"));
        }
        until(&fib, "a nexthop deleted by somebody else", || {
            ours()
                == [
                    "203.0.113.0/24 192.0.2.3@va*1 198.18.0.2@wa*1",
                    "203.0.114.0/24 198.18.0.2@wa",
                ]
        });
        tell(A, false);
        lead(three, "192.0.2.2@va*1 198.18.0.2@wa*1");
        assert_eq!(fib.counters().errors, 0);
        fib.stop(Stop::Withdraw(PATIENCE));
        assert_eq!((ours().len(), our_nexthops()), (0, 0));
    });
}
