//! Somebody removes our nexthop objects, and the kernel the routes with them: all are back at once, without a message that fails.

use std::net::IpAddr;
use std::time::Instant;

use ipnet::IpNet;
use routelet_fib::kernel::event::Event;
use routelet_fib::kernel::netlink::Monitor;
use routelet_fib::types::ROUTE_PROTOCOL;
use routelet_fib::{FibChange, FibRoute, Stop};

use crate::namespace::*;

const IPV4: u32 = 20_000;
const IPV6: u32 = 5_000;

fn table(a: &FibRoute, b: &FibRoute, v6: &FibRoute) -> Vec<FibChange> {
    let v4 = (0..IPV4).map(|i| {
        let address = IpAddr::from((0x0b00_0000 + (i << 8)).to_be_bytes());
        let route = if i % 4 == 0 { a } else { b };
        FibChange::install(IpNet::new(address, 24).unwrap(), route.clone())
    });
    let v6 = (0..IPV6).map(|i| {
        let address = IpAddr::from((0x2a00_u128 << 112 | u128::from(i) << 80).to_be_bytes());
        FibChange::install(IpNet::new(address, 48).unwrap(), v6.clone())
    });
    v4.chain(v6).collect()
}

#[test]
fn after_a_flush_of_nexthops_every_route_is_back_at_once_and_no_message_was_in_vain() {
    in_namespace(|| {
        let one = hops(&[("192.0.2.2", "va", 1)]);
        let both = hops(&[("192.0.2.2", "va", 1), ("198.18.0.2", "wa", 1)]);
        let v6 = hops(&[("2001:db8:1::2", "va", 1), ("2001:db8:2::2", "wa", 1)]);
        let fib = start();
        fib.submit(table(&one, &both, &v6));
        settle(&fib);
        fib.stop(Stop::KeepRoutes);
        // The next one has just listed all of it, which it does not do again at once.
        let fib = start();
        fib.submit(table(&one, &both, &v6));
        fib.converged();
        settle(&fib);
        let all = (IPV4 + IPV6) as usize;
        assert_eq!(ours().len(), all);

        for _ in 0..3 {
            let before = fib.counters();
            let started = Instant::now();
            ip("nexthop flush");
            until(&fib, "all are back", || ours().len() == all);
            let took = started.elapsed();
            settle(&fib);
            let after = fib.counters();
            let sent = after.operations - before.operations;
            let errors = after.errors - before.errors;
            println!("{all} routes back after {took:?}: {sent} messages, {errors} of them refused");
            assert_eq!(errors, 0);
            // Each route once, and once more where the flush, which is not one step, took the new ones as well.
            assert!(sent < 2 * all as u64, "{sent} messages for {all} routes");
            assert_eq!((after.failed, after.pending), (0, 0));
        }
        fib.stop(Stop::Withdraw(PATIENCE));
        assert_eq!((ours().len(), our_nexthops()), (0, 0));
    });
}

#[test]
fn a_flush_of_nexthops_of_others_costs_ours_no_message() {
    in_namespace(|| {
        let fib = start();
        fib.converged();
        fib.submit(dual());
        settle(&fib);
        let before = fib.counters();
        let mut monitor = Monitor::open(&[]).unwrap();
        for command in [
            "nexthop add id 101 via 192.0.2.9 dev va",
            "nexthop add id 102 via 198.18.0.9 dev wa",
            "nexthop add id 201 group 101/102",
            "route add 203.0.117.0/24 nhid 201",
            "nexthop flush proto 4",
            "nexthop flush proto 3",
        ] {
            ip(command);
        }
        settle(&fib);
        let theirs = [101, 102, 201];
        let of_ours = |event: &Event| match event {
            Event::Route(_, route) => route.protocol == ROUTE_PROTOCOL,
            Event::Nexthop(_, nexthop) => !theirs.contains(&nexthop.id),
            _ => false,
        };
        let events = heard(&mut monitor);
        assert!(
            events.len() > theirs.len(),
            "the flush was not heard: {events:?}"
        );
        assert!(!events.iter().any(of_ours), "{events:?}");
        assert_eq!(fib.counters().operations, before.operations);
        assert_eq!(ours(), DUAL);
        fib.stop(Stop::Withdraw(PATIENCE));
    });
}
