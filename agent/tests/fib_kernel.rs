//! The FIB on the real kernel, in network namespaces that each test makes for itself. Needs root and iproute2; without
//! them every test skips and says so.
#![allow(clippy::unwrap_used, missing_docs)]

use std::net::IpAddr;
use std::num::NonZeroU8;
use std::process::Command;
use std::time::{Duration, Instant};

use agent::fib::kernel::event::{Event, Presence};
use agent::fib::kernel::netlink::Monitor;
use agent::fib::{
    FibChange, FibConfig, FibHandle, FibNexthop, FibRoute, FibRouteState, GuardRails, RouteSpace,
    Stop, spawn,
};
use ipnet::IpNet;
use nix::sched::{CloneFlags, unshare};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(20);

/// Runs a test in a thread with a network namespace of its own: two links, `va` and `wa`, whose other ends are here too.
fn in_namespace(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::spawn(|| {
        if let Err(e) = unshare(CloneFlags::CLONE_NEWNET) {
            println!("SKIPPED: a network namespace of its own needs root ({e})");
            return;
        }
        if Command::new("ip").arg("-V").output().is_err() {
            println!("SKIPPED: the command `ip` (iproute2) is not installed");
            return;
        }
        for command in [
            "link set lo up",
            "link add va type veth peer name vb",
            "link add wa type veth peer name wb",
            "link set va up",
            "link set vb up",
            "link set wa up",
            "link set wb up",
            "addr add 192.0.2.1/24 dev va",
            "addr add 198.18.0.1/24 dev wa",
            "addr add 2001:db8:1::1/64 dev va nodad",
            "addr add 2001:db8:2::1/64 dev wa nodad",
        ] {
            ip(command);
        }
        test();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn ip(arguments: &str) -> String {
    let out = Command::new("ip")
        .args(arguments.split(' '))
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "ip {arguments}: {stderr}");
    String::from_utf8(out.stdout).unwrap()
}

fn ip_json(arguments: &str) -> Vec<Value> {
    let text = ip(&format!("-N -j {arguments}"));
    if text.trim().is_empty() {
        return Vec::new();
    }
    let Value::Array(rows) = serde_json::from_str(&text).unwrap() else {
        panic!("no list: {text}")
    };
    rows.into_iter()
        .filter(|r| r.as_object().is_some_and(|o| !o.is_empty()))
        .collect()
}

/// Our routes, one per line, as `ip route` tells them: destination, type, ways out.
fn ours() -> Vec<String> {
    let mut out: Vec<String> = [4, 6]
        .iter()
        .flat_map(|family| ip_json(&format!("-{family} route show table all proto 179")))
        .map(|r| describe(&r))
        .collect();
    out.sort();
    out
}

fn describe(route: &Value) -> String {
    let hop = |h: &Value| {
        let via = h["gateway"]
            .as_str()
            .or_else(|| h["via"]["host"].as_str())
            .unwrap_or("link");
        let weight = h["weight"]
            .as_u64()
            .map_or(String::new(), |w| format!("*{w}"));
        format!("{via}@{}{weight}", h["dev"].as_str().unwrap_or("?"))
    };
    let mut hops: Vec<String> = match route["nexthops"].as_array() {
        Some(hops) => hops.iter().map(hop).collect(),
        // RTN_BLACKHOLE, with numbers for names.
        None if route["type"].as_str() == Some("6") => vec!["blackhole".to_owned()],
        None => vec![hop(route)],
    };
    hops.sort();
    format!("{} {}", route["dst"].as_str().unwrap(), hops.join(" "))
}

fn our_nexthops() -> usize {
    ip_json("nexthop show proto 179").len()
}

fn index(name: &str) -> u32 {
    nix::net::if_::if_nametoindex(name).unwrap()
}

fn net(s: &str) -> IpNet {
    s.parse().unwrap()
}

fn hop(gateway: &str, dev: &str) -> FibNexthop {
    FibNexthop::via(gateway.parse().unwrap(), index(dev))
}

fn hops(of: &[(&str, &str, u8)]) -> FibRoute {
    let weighted = |&(gateway, dev, weight): &(&str, &str, u8)| FibNexthop {
        weight: NonZeroU8::new(weight).unwrap(),
        ..hop(gateway, dev)
    };
    FibRoute::Unicast(of.iter().map(weighted).collect())
}

fn install(prefix: &str, route: FibRoute) -> FibChange {
    FibChange::install(net(prefix), route)
}

fn start() -> FibHandle {
    spawn(FibConfig::default()).unwrap()
}

fn settle(fib: &FibHandle) {
    assert!(fib.flush(PATIENCE), "{:?}", fib.counters());
}

/// Looks again after every turn of the FIB thread until it holds.
fn until(fib: &FibHandle, what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(
            Instant::now() < deadline,
            "{what}: {:?} {:#?}",
            ours(),
            fib.snapshot(|_| true)
        );
        fib.flush(PATIENCE);
    }
}

/// Everything that happened to routes and nexthops since the monitor was opened or asked last.
fn heard(monitor: &mut Monitor) -> Vec<Event> {
    let mut events = Vec::new();
    monitor
        .hear(&mut |event| {
            if matches!(event, Event::Route(..) | Event::Nexthop(..)) {
                events.push(event);
            }
        })
        .unwrap();
    events
}

fn dual() -> [FibChange; 5] {
    [
        install(
            "203.0.113.0/24",
            hops(&[("192.0.2.2", "va", 1), ("198.18.0.2", "wa", 3)]),
        ),
        install("203.0.114.0/24", hops(&[("192.0.2.2", "va", 1)])),
        install("203.0.115.0/24", hops(&[("2001:db8:1::2", "va", 1)])),
        install(
            "2001:db8:f::/48",
            hops(&[("2001:db8:1::2", "va", 1), ("2001:db8:2::2", "wa", 1)]),
        ),
        install("203.0.116.0/24", FibRoute::Blackhole),
    ]
}

const DUAL: [&str; 5] = [
    "2001:db8:f::/48 2001:db8:1::2@va*1 2001:db8:2::2@wa*1",
    "203.0.113.0/24 192.0.2.2@va*1 198.18.0.2@wa*3",
    "203.0.114.0/24 192.0.2.2@va",
    "203.0.115.0/24 2001:db8:1::2@va",
    "203.0.116.0/24 blackhole",
];

#[test]
fn both_families_multipath_with_weights_ipv4_over_ipv6_and_blackholes_are_installed_replaced_and_removed()
 {
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
        let mut monitor = Monitor::open(u32::MAX).unwrap();
        fib.submit([
            install("203.0.113.0/24", FibRoute::Blackhole),
            install("203.0.116.0/24", hops(&[("198.18.0.2", "wa", 1)])),
            install("2001:db8:f::/48", FibRoute::Blackhole),
        ]);
        settle(&fib);
        assert_eq!(
            ours(),
            [
                "2001:db8:f::/48 blackhole",
                "203.0.113.0/24 blackhole",
                "203.0.114.0/24 192.0.2.2@va",
                "203.0.115.0/24 2001:db8:1::2@va",
                "203.0.116.0/24 198.18.0.2@wa",
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

        let mut monitor = Monitor::open(u32::MAX).unwrap();
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
            "203.0.114.0/24 via 192.0.2.9 dev va proto static metric 1024",
            "2001:db8:f::/48 via 2001:db8:1::9 dev va proto static metric 1024 pref medium",
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
        ip("route del 203.0.114.0/24 proto static metric 1024");
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
fn a_link_that_goes_down_shrinks_groups_and_coming_up_repairs_all_that_the_kernel_dropped() {
    in_namespace(|| {
        let fib = start();
        fib.submit(dual());
        settle(&fib);

        ip("link set va down");
        until(&fib, "only the other way is left", || {
            ours()
                == [
                    "2001:db8:f::/48 2001:db8:2::2@wa*1",
                    "203.0.113.0/24 198.18.0.2@wa",
                    "203.0.116.0/24 blackhole",
                ]
        });
        until(&fib, "the failure is shown", || {
            matches!(
                fib.route(net("203.0.114.0/24")).unwrap().state,
                FibRouteState::Failed { .. }
            )
        });
        until(&fib, "degraded is shown", || {
            fib.route(net("203.0.113.0/24")).unwrap().state == FibRouteState::Degraded
        });

        ip("link set va up");
        // Going down, the interface lost its IPv6 address, as interfaces do.
        ip("addr add 2001:db8:1::1/64 dev va nodad");
        until(&fib, "all is back", || ours() == DUAL);
        until(&fib, "all is well", || {
            fib.snapshot(|_| true)
                .iter()
                .all(|r| r.state == FibRouteState::Installed)
        });
        fib.stop(Stop::KeepRoutes);
    });
}

#[test]
fn routes_and_nexthops_that_somebody_else_deletes_or_changes_are_repaired() {
    in_namespace(|| {
        let fib = start();
        fib.converged();
        fib.submit(dual());
        settle(&fib);
        for vandalism in [
            "route del 203.0.113.0/24 proto 179",
            "-6 route del 2001:db8:f::/48 proto 179",
            "route replace 203.0.116.0/24 via 192.0.2.9 metric 1024 proto 179",
            "nexthop flush proto 179",
        ] {
            ip(vandalism);
            until(&fib, vandalism, || ours() == DUAL);
        }
        // One object only: what systemd-networkd does. Groups lose a member, or vanish with their routes.
        let ids = || {
            ip_json("nexthop show proto 179")
                .iter()
                .map(|n| n["id"].as_u64().unwrap())
                .collect::<Vec<_>>()
        };
        for id in ids() {
            if ids().contains(&id) {
                ip(&format!("nexthop del id {id}"));
                until(&fib, "a nexthop deleted by somebody else", || {
                    ours() == DUAL
                });
            }
        }
        // A route in our name that we know nothing of.
        ip("route add 203.0.119.0/24 via 192.0.2.9 metric 1024 proto 179");
        until(&fib, "an unknown route of our protocol", || ours() == DUAL);
        assert!(fib.counters().repairs >= 6);
        fib.stop(Stop::KeepRoutes);
    });
}

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
        // The thread tells about a new view and waits to be let go on: meanwhile it does nothing.
        let (told, hold) = (std::sync::mpsc::channel(), std::sync::mpsc::channel::<()>());
        let (tell, go_on) = (told.0, std::sync::Mutex::new(hold.1));
        let fib = spawn(FibConfig {
            on_view: Some(Box::new(move |view| {
                // The first view comes while the FIB starts.
                if view.generation() > 1 {
                    let _ = tell.send(view.generation());
                    let _ = go_on.lock().unwrap().recv();
                }
            })),
            ..FibConfig::default()
        })
        .unwrap();
        let both = || hops(&[("192.0.2.2", "va", 1), ("198.18.0.2", "wa", 1)]);
        fib.submit([install("203.0.113.0/24", both())]);
        settle(&fib);

        ip("link add xa type veth peer name xb");
        told.1.recv_timeout(PATIENCE).unwrap();
        let mut monitor = Monitor::open(0).unwrap();
        let prefix = |i: u32| IpAddr::from((0x0b00_0000 + (i << 8)).to_be_bytes());
        fib.submit((0..10_000).map(|i| {
            FibChange::install(
                IpNet::new(prefix(i), 24).unwrap(),
                hops(&[("192.0.2.3", "va", 1)]),
            )
        }));
        fib.set_nexthops_down(&[("192.0.2.2".parse().unwrap(), index("va"))], true);
        drop(hold.0);
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
        assert_eq!(ours(), ["198.18.0.128/25 192.0.2.2@va"]);
        assert_eq!(fib.counters().over_limit, 1);
        fib.submit([FibChange::remove(net("198.18.0.128/25"))]);
        settle(&fib);
        assert_eq!(ours(), ["default 192.0.2.2@va"]);
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
        assert!(view.is_local("2001:db8:2::1".parse().unwrap()));
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
            fib.view().is_local("192.0.2.77".parse().unwrap())
        });
        fib.stop(Stop::KeepRoutes);
    });
}

#[test]
fn when_notifications_are_lost_everything_is_compared_and_nothing_stays_wrong() {
    in_namespace(|| {
        // The thread tells about a new view and waits to be let go on: meanwhile it hears nothing.
        let (told, hold) = (std::sync::mpsc::channel(), std::sync::mpsc::channel::<()>());
        let (tell, go_on) = (told.0, std::sync::Mutex::new(hold.1));
        let fib = spawn(FibConfig {
            on_view: Some(Box::new(move |view| {
                // The first view comes while the FIB starts.
                if view.generation() > 1 {
                    let _ = tell.send(view.generation());
                    let _ = go_on.lock().unwrap().recv();
                }
            })),
            ..FibConfig::default()
        })
        .unwrap();
        fib.converged();
        fib.submit(dual());
        settle(&fib);
        assert_eq!(ours(), DUAL);
        let resyncs = fib.counters().resyncs;

        ip("link add xa type veth peer name xb");
        told.1.recv_timeout(PATIENCE).unwrap();
        // More than the receive buffer holds, and then what must not be missed.
        let batch = tempfile::NamedTempFile::new().unwrap();
        let lines: String = (0..60_000u32)
            .map(|i| {
                format!(
                    "route add {}/24 via 192.0.2.9\n",
                    std::net::Ipv4Addr::from(0x0c00_0000 + (i << 8))
                )
            })
            .collect();
        std::fs::write(batch.path(), lines).unwrap();
        ip(&format!("-batch {}", batch.path().display()));
        ip("route del 203.0.113.0/24 proto 179");
        ip("nexthop flush proto 179");
        ip("route add 203.0.118.0/24 via 198.18.0.9");
        drop(hold.0);

        until(&fib, "all is back", || ours() == DUAL);
        until(&fib, "the view is whole", || {
            ["203.0.118.1", "12.0.0.1", "12.234.95.1"]
                .iter()
                .all(|a| fib.view().resolve(a.parse().unwrap(), None).is_some())
        });
        assert!(fib.counters().resyncs > resyncs);
        fib.stop(Stop::Withdraw(PATIENCE));
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
