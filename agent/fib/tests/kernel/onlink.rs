//! Gateways that no connected network has.

use routelet_fib::{FibNexthop, FibRouteState, Resolved, Stop};

use crate::namespace::*;

/// What the node knows of routes, as `ip route` arguments, and a next hop that the route leads to.
const ROUTES: [(&str, &str, &str); 6] = [
    // A node with an address alone, as some clouds give it out.
    ("-4", "default via 172.31.1.1 dev va onlink", "198.51.100.1"),
    (
        "-6",
        "default via 2001:db8:ffff::1 dev va onlink",
        "2001:db8:8::1",
    ),
    // Overlays.
    (
        "-4",
        "10.244.2.0/24 via 10.244.2.0 dev wa onlink",
        "10.244.2.9",
    ),
    (
        "-6",
        "fd00:244:2::/64 via fd00:244:2:: dev wa onlink",
        "fd00:244:2::9",
    ),
    (
        "-4",
        "10.244.3.0/24 nexthop via 10.244.3.0 dev va onlink nexthop via 10.244.3.1 dev wa onlink",
        "10.244.3.9",
    ),
    (
        "-6",
        "fd00:244:3::/64 nexthop via fd00:244:3:: dev va onlink nexthop via fd00:244:3::1 dev wa onlink",
        "fd00:244:3::9",
    ),
];

/// A route of ours over what a next hop is resolved to.
fn over(resolved: Resolved) -> routelet_fib::FibRoute {
    routelet_fib::FibRoute {
        nexthops: [FibNexthop {
            onlink: resolved.onlink,
            ..FibNexthop::via(resolved.gateway, resolved.ifindex)
        }]
        .into_iter()
        .collect(),
    }
}

#[test]
fn a_next_hop_through_an_onlink_route_is_installed_onlink_and_adopted_as_it_is() {
    in_namespace(|| {
        for (family, route, _) in ROUTES {
            ip(&format!("{family} route add {route}"));
        }
        // And one over a nexthop object of somebody else.
        ip("nexthop add id 5 via 10.244.4.0 dev wa onlink");
        ip("route add 10.244.4.0/24 nhid 5");
        let all = || {
            ROUTES
                .into_iter()
                .map(|(_, _, hop)| hop)
                .chain(["10.244.4.9"])
        };
        let fib = start();
        let mut wanted = Vec::new();
        for (n, next_hop) in all().enumerate() {
            let resolved = fib.view().resolve(next_hop.parse().unwrap(), None).unwrap();
            assert!(
                resolved.onlink && !resolved.connected,
                "{next_hop}: {resolved:?}"
            );
            let prefix = match next_hop.contains(':') {
                true => format!("2001:db8:f{n}::/48"),
                false => format!("203.0.{n}.0/24"),
            };
            wanted.push(install(&prefix, over(resolved)));
            // The gateway itself is a neighbour.
            let gateway = fib.view().resolve(resolved.gateway, None).unwrap();
            assert!(
                gateway.connected && gateway.onlink && !gateway.by_default,
                "{gateway:?}"
            );
        }
        fib.submit(wanted.clone());
        settle(&fib);
        for status in fib.snapshot(|_| true) {
            assert_eq!(status.state, FibRouteState::Installed, "{status:?}");
        }
        assert_eq!(fib.counters().errors, 0);
        assert_eq!(ours().len(), all().count());
        // The routers are lost, and return, like any others.
        let gateways: Vec<_> = wanted
            .iter()
            .map(|change| match &change.action {
                routelet_fib::FibAction::Install(route) => (
                    route.nexthops[0].gateway.unwrap(),
                    route.nexthops[0].ifindex,
                ),
                routelet_fib::FibAction::Remove => unreachable!(),
            })
            .collect();
        let before = (ours(), ip("nexthop show proto 179"));
        for down in [true, false] {
            fib.set_nexthops_down(&gateways, down);
            settle(&fib);
        }
        assert_eq!(ours(), before.0, "each is the only way of its route");
        fib.stop(Stop::KeepRoutes);

        let before = ip("nexthop show proto 179");
        let mut monitor = routelet_fib::kernel::netlink::Monitor::open(&[]).unwrap();
        let fib = start();
        fib.submit(wanted);
        fib.converged();
        settle(&fib);
        assert_eq!(heard(&mut monitor), []);
        assert_eq!(ip("nexthop show proto 179"), before);
        fib.stop(Stop::Withdraw(PATIENCE));
    });
}
