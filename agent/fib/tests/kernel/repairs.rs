//! What others remove or change is put right, as is what goes with a link.

use routelet_fib::{FibRouteState, Stop};

use crate::namespace::*;

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
                    "203.0.116.0/24 198.18.0.2@wa",
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
            "route replace 203.0.116.0/24 via 192.0.2.9 metric 1790 proto 179",
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
        ip("route add 203.0.119.0/24 via 192.0.2.9 metric 1790 proto 179");
        until(&fib, "an unknown route of our protocol", || ours() == DUAL);
        assert!(fib.counters().repairs >= 6);
        fib.stop(Stop::KeepRoutes);
    });
}

#[test]
fn when_notifications_are_lost_everything_is_compared_and_nothing_stays_wrong() {
    in_namespace(|| {
        let (fib, brake) = with_brake();
        fib.converged();
        fib.submit(dual());
        settle(&fib);
        assert_eq!(ours(), DUAL);
        let resyncs = fib.counters().resyncs;

        let held = brake.hold();
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
        drop(held);

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
