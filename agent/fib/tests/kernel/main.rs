//! The FIB on the real kernel, in network namespaces that each test makes for itself. Needs root and iproute2; without
//! them every test skips and says so.
#![allow(clippy::unwrap_used, missing_docs)]

mod carrier;
mod flushed;
mod foreign;
mod lost;
mod namespace;
mod onlink;
mod refusing;
mod repairs;

use std::net::IpAddr;
use std::time::Instant;

use ipnet::IpNet;
use routelet_fib::kernel::event::{Event, Presence};
use routelet_fib::kernel::netlink::Monitor;
use routelet_fib::{
    FibChange, FibConfig, FibHandle, FibRouteState, GuardRails, RouteSpace, Stop, spawn,
};

use namespace::*;

#[test]
fn both_families_multipath_with_weights_and_ipv4_over_ipv6_are_installed_replaced_and_removed() {
    in_namespace(|| {
        let fib = start();
        fib.submit(dual());
        settle(&fib);
        assert_eq!(ours(), DUAL);
        assert!(
            fib.snapshot(|_| true)
                .iter()
                .all(|r| r.state == FibRouteState::Installed)
        );
        let counters = fib.counters();
        assert_eq!((counters.installed_ipv4, counters.installed_ipv6), (4, 1));
        assert_eq!(
            (counters.errors, counters.pending, counters.failed),
            (0, 0, 0)
        );

        // Each kind becomes another kind, without a moment in which there is none.
        let mut monitor = Monitor::open(&[]).unwrap();
        fib.submit([
            install("203.0.113.0/24", hops(&[("2001:db8:1::2", "va", 1)])),
            install(
                "203.0.116.0/24",
                hops(&[("192.0.2.2", "va", 1), ("198.18.0.2", "wa", 3)]),
            ),
            install("2001:db8:f::/48", hops(&[("2001:db8:2::2", "wa", 1)])),
        ]);
        settle(&fib);
        assert_eq!(
            ours(),
            [
                "2001:db8:f::/48 2001:db8:2::2@wa*1",
                "203.0.113.0/24 2001:db8:1::2@va",
                "203.0.114.0/24 192.0.2.2@va",
                "203.0.115.0/24 2001:db8:1::2@va",
                "203.0.116.0/24 192.0.2.2@va*1 198.18.0.2@wa*3",
            ]
        );
        let gone = |e: &Event| matches!(e, Event::Route(Presence::Gone, _));
        let events = heard(&mut monitor);
        assert!(!events.is_empty() && !events.iter().any(gone), "{events:?}");

        fib.converged();
        fib.submit(dual().map(|c| FibChange::remove(c.prefix)));
        settle(&fib);
        assert_eq!(ours(), [""; 0]);
        assert_eq!(our_nexthops(), 0);
        fib.stop(Stop::KeepRoutes);
    });
}

#[test]
fn a_new_agent_adopts_what_is_wanted_in_silence_and_sweeps_the_rest_after_convergence() {
    in_namespace(|| {
        let fib = start();
        fib.submit(dual());
        settle(&fib);
        fib.stop(Stop::KeepRoutes);
        // A predecessor of another configuration left this.
        ip("route add 203.0.120.0/24 via 192.0.2.9 metric 77 proto 179");

        let mut monitor = Monitor::open(&[]).unwrap();
        let fib = start();
        assert_eq!(fib.counters().stale, 6);
        let wanted = dual().into_iter().skip(1);
        fib.submit(wanted);
        settle(&fib);
        assert_eq!(
            heard(&mut monitor),
            [],
            "nothing is sent for what is there already"
        );
        assert_eq!(
            ours().len(),
            6,
            "what nobody has asked for forwards until convergence"
        );
        assert_eq!(
            fib.route(net("203.0.113.0/24")).unwrap().state,
            FibRouteState::Stale
        );

        fib.converged();
        settle(&fib);
        assert_eq!(ours(), [DUAL[0], DUAL[2], DUAL[3], DUAL[4]]);
        let mut gone: Vec<IpNet> = heard(&mut monitor)
            .iter()
            .filter_map(|e| match e {
                Event::Route(Presence::Gone, r) => Some(r.prefix),
                Event::Route(Presence::Present, r) => panic!("{r:?}"),
                _ => None,
            })
            .collect();
        gone.sort();
        assert_eq!(gone, [net("203.0.113.0/24"), net("203.0.120.0/24")]);
        assert_eq!(fib.counters().stale, 0);
        fib.stop(Stop::KeepRoutes);
    });
}

#[test]
fn withdrawing_removes_all_of_ours_and_nothing_else() {
    in_namespace(|| {
        ip("route add 203.0.114.0/24 via 198.18.0.9");
        ip("-6 route add 2001:db8:f::/48 via 2001:db8:2::9 metric 50");
        let before = (ip("route show"), ip("-6 route show"), ip("nexthop show"));
        let fib = start();
        fib.submit(dual());
        settle(&fib);
        assert_eq!(ours().len(), 5);
        fib.stop(Stop::Withdraw(PATIENCE));
        assert_eq!(
            (ip("route show"), ip("-6 route show"), ip("nexthop show")),
            before
        );
    });
}

#[test]
fn foreign_routes_with_the_same_prefix_survive_and_one_with_our_metric_makes_a_visible_failure() {
    in_namespace(|| {
        let foreign = [
            "203.0.113.0/24 via 192.0.2.9 dev va proto bird metric 32",
            "203.0.113.0/24 via 198.18.0.9 dev wa",
            "203.0.114.0/24 via 192.0.2.9 dev va proto static metric 1790",
            "2001:db8:f::/48 via 2001:db8:1::9 dev va proto static metric 1790 pref medium",
        ];
        for route in foreign {
            ip(&format!(
                "route add {}",
                route.trim_end_matches(" pref medium")
            ));
        }
        let intact = || {
            let all = ip("route show") + &ip("-6 route show");
            for route in foreign {
                assert!(all.contains(route), "{route} is missing in:\n{all}");
            }
        };
        let fib = start();
        fib.submit(dual());
        settle(&fib);
        intact();
        assert_eq!(ours(), [DUAL[1], DUAL[3], DUAL[4]]);
        for prefix in ["203.0.114.0/24", "2001:db8:f::/48"] {
            let FibRouteState::Failed { error, .. } = fib.route(net(prefix)).unwrap().state else {
                panic!("{:?}", fib.route(net(prefix)))
            };
            assert_eq!(error.errno, libc::EEXIST);
        }
        assert_eq!(fib.counters().failed, 2);

        // It goes in when the other one goes.
        ip("route del 203.0.114.0/24 proto static metric 1790");
        until(&fib, "installed by a retry", || {
            ours().contains(&DUAL[2].to_owned())
        });
        assert_eq!(fib.counters().failed, 1);

        fib.converged();
        fib.submit(dual().map(|c| FibChange::remove(c.prefix)));
        settle(&fib);
        assert_eq!(ours(), [""; 0]);
        let all = ip("route show") + &ip("-6 route show");
        for route in [foreign[0], foreign[1], foreign[3]] {
            assert!(all.contains(route), "{route} is missing in:\n{all}");
        }
        fib.stop(Stop::KeepRoutes);
    });
}

#[test]
fn connected_networks_and_limits_keep_routes_out_and_let_them_in_when_that_changes() {
    in_namespace(|| {
        let fib = start();
        let via = || hops(&[("192.0.2.2", "va", 1)]);
        fib.submit([
            install("198.18.0.128/25", via()),
            install("203.0.113.0/24", via()),
            install("203.0.114.0/24", via()),
            install("0.0.0.0/0", via()),
        ]);
        settle(&fib);
        assert_eq!(
            ours(),
            ["203.0.113.0/24 192.0.2.2@va", "203.0.114.0/24 192.0.2.2@va"]
        );
        assert_eq!(fib.counters().refused, 2);

        ip("addr del 198.18.0.1/24 dev wa");
        until(&fib, "the network is not connected any more", || {
            ours().len() == 3
        });

        fib.set_guard_rails(GuardRails {
            accept_default_route: true,
            pod_cidrs: vec![net("203.0.112.0/21")],
            max_routes: Some(1),
            ..GuardRails::default()
        });
        settle(&fib);
        // Whichever stays, the other comes in when it leaves.
        let [of_subnet, default] = ["198.18.0.128/25 192.0.2.2@va", "default 192.0.2.2@va"];
        let (leaves, comes) = match ours()[..] == [of_subnet] {
            true => ("198.18.0.128/25", default),
            false => ("0.0.0.0/0", of_subnet),
        };
        assert_eq!(ours().len(), 1);
        assert_eq!(fib.counters().over_limit, 1);
        fib.submit([FibChange::remove(net(leaves))]);
        settle(&fib);
        assert_eq!(ours(), [comes]);
        fib.stop(Stop::Withdraw(PATIENCE));
    });
}

#[test]
fn the_view_resolves_next_hops_and_follows_links_addresses_and_foreign_routes() {
    in_namespace(|| {
        let fib = start();
        let view = fib.view();
        assert_eq!(view.ifindex("va"), Some(index("va")));
        let resolve = |fib: &FibHandle, a: &str| fib.view().resolve(a.parse().unwrap(), None);
        let connected = resolve(&fib, "192.0.2.7").unwrap();
        assert_eq!(
            (connected.ifindex, connected.connected),
            (index("va"), true)
        );
        assert!(view.is_local("2001:db8:2::1".parse().unwrap(), None));
        assert_eq!(resolve(&fib, "203.0.113.1"), None);

        ip("route add 203.0.113.0/24 via 198.18.0.9 metric 20");
        until(&fib, "a foreign route resolves", || {
            resolve(&fib, "203.0.113.1").is_some()
        });
        let distant = resolve(&fib, "203.0.113.1").unwrap();
        assert_eq!(
            (distant.gateway.to_string(), distant.metric),
            ("198.18.0.9".to_owned(), 20)
        );

        // Ours is more specific, and must not count.
        fib.submit([install("203.0.113.0/25", hops(&[("192.0.2.2", "va", 1)]))]);
        settle(&fib);
        assert_eq!(resolve(&fib, "203.0.113.1"), Some(distant));

        ip("link set wa down");
        until(&fib, "not over a link that is down", || {
            resolve(&fib, "203.0.113.1").is_none()
        });
        ip("link add xa type veth peer name xb");
        until(&fib, "a new link is known", || {
            fib.view().ifindex("xa").is_some()
        });
        ip("addr add 192.0.2.77/32 dev va");
        until(&fib, "a new address is known", || {
            fib.view().is_local("192.0.2.77".parse().unwrap(), None)
        });
        fib.stop(Stop::KeepRoutes);
    });
}

#[test]
fn another_table_and_metric_can_be_configured_and_the_old_place_is_swept() {
    in_namespace(|| {
        let fib = start();
        fib.submit(dual());
        settle(&fib);
        fib.stop(Stop::KeepRoutes);
        let config = FibConfig {
            space: RouteSpace {
                table: 1000,
                metric: 7,
            },
            ..FibConfig::default()
        };
        let fib = spawn(config).unwrap();
        fib.submit(dual());
        settle(&fib);
        assert_eq!(ours().len(), 10);
        fib.converged();
        settle(&fib);
        assert_eq!(ours(), DUAL);
        assert_eq!(ip_json("route show table 1000").len(), 4);
        fib.stop(Stop::Withdraw(PATIENCE));
        assert_eq!((ours().len(), our_nexthops()), (0, 0));
    });
}

#[test]
fn without_the_capability_the_error_says_what_to_do() {
    in_namespace(|| {
        // SAFETY: a plain system call; it changes the identity of this thread alone, which ends with the test.
        #[allow(unsafe_code)]
        let rc = unsafe { libc::syscall(libc::SYS_setresuid, 65534, 65534, 65534) };
        assert_eq!(rc, 0);
        let Err(error) = spawn(FibConfig::default()) else {
            panic!("an unprivileged process must not get this far")
        };
        let text = error.to_string();
        assert!(
            text.contains("CAP_NET_ADMIN") && text.contains("EPERM"),
            "{text}"
        );
    });
}

#[test]
fn a_hundred_thousand_routes_of_both_families_go_in_and_out() {
    in_namespace(|| {
        let fib = start();
        fib.converged();
        let v4 = (0..50_000u32)
            .map(|i| IpNet::new(IpAddr::from((0x0b00_0000 + (i << 8)).to_be_bytes()), 24).unwrap());
        let v6 = (0..50_000u128).map(|i| {
            IpNet::new(
                IpAddr::from((0x2a00_u128 << 112 | i << 80).to_be_bytes()),
                48,
            )
            .unwrap()
        });
        let started = Instant::now();
        fib.submit(
            v4.clone()
                .map(|p| FibChange::install(p, hops(&[("192.0.2.2", "va", 1)]))),
        );
        fib.submit(
            v6.clone()
                .map(|p| FibChange::install(p, hops(&[("2001:db8:1::2", "va", 1)]))),
        );
        settle(&fib);
        let c = fib.counters();
        assert_eq!(
            (c.installed_ipv4, c.installed_ipv6, c.errors),
            (50_000, 50_000, 0)
        );
        println!("in: {:?}", started.elapsed());
        assert_eq!(ours().len(), 100_000);

        let started = Instant::now();
        fib.submit(v4.chain(v6).map(FibChange::remove));
        settle(&fib);
        println!("out: {:?}", started.elapsed());
        assert_eq!(
            (ours().len(), our_nexthops(), fib.counters().errors),
            (0, 0, 0)
        );
        fib.stop(Stop::KeepRoutes);
    });
}
