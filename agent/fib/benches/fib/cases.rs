//! What is measured.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use ipnet::IpNet;
use routelet_fib::kernel::event::{Event, Link, Presence, Route};
use routelet_fib::types::MAIN_TABLE;
use routelet_fib::{FibChange, GuardRails, KernelView, Refusal, RouteSpace};

use super::Calls;
use super::world::{
    LINK, ROUTERS, World, alone, foreign, link, new_plan, other, prefix, router, set,
};

pub(crate) type Case = (&'static str, fn(u32, &mut Calls));

pub(crate) const CASES: &[Case] = &[
    ("routes over 4,000 sets of 64 routers", |routes, calls| {
        World::new().submit(routes, set, calls);
    }),
    ("routes over one next hop", |routes, calls| {
        World::new().submit(routes, |_| alone(0), calls);
    }),
    ("routes over 4,000 next hops", |routes, calls| {
        World::new().submit(routes, alone, calls);
    }),
    (
        "all routers but one are lost, and return",
        |routes, calls| {
            let mut world = World::filled(routes, set);
            world.set_down(1..ROUTERS, true, calls);
            world.set_down(1..ROUTERS, false, calls);
        },
    ),
    (
        "BFD loses all routers but one, via any interface, and has them back",
        |routes, calls| {
            let mut world = World::filled(routes, set);
            world.set_bfd_down(1..ROUTERS, true, calls);
            world.set_bfd_down(1..ROUTERS, false, calls);
        },
    ),
    ("everything is listed, and as it was", |routes, calls| {
        let mut world = World::filled(routes, set);
        world.list_everything(&[], calls);
        world.rest(calls);
    }),
    ("4,000 next hops are listed", |routes, calls| {
        let mut world = World::filled(routes, alone);
        world.list_everything(&[], calls);
        world.rest(calls);
    }),
    ("all nexthop objects are gone", |routes, calls| {
        let mut world = World::filled(routes, set);
        world.nexthops.clear();
        world.routes.clear();
        world.list_nexthops(Vec::new(), calls);
        world.rest(calls);
    }),
    ("what a predecessor left is adopted", |routes, calls| {
        let mut world = World::filled(routes, set);
        world.plan = new_plan();
        world.list_everything(&[], calls);
        world.submit(routes, set, calls);
        calls.call("converged", || world.plan.converged());
        world.rest(calls);
    }),
    ("another metric", |routes, calls| {
        let mut world = World::filled(routes, set);
        let space = RouteSpace {
            metric: 99,
            ..RouteSpace::default()
        };
        calls.call("another metric", || world.plan.set_space(Some(space)));
        world.list_everything(&[], calls);
        // Once more, with all of them in the old place.
        world.list_everything(&[], calls);
        // And those go with their groups.
        world.nexthops.clear();
        world.routes.clear();
        world.list_nexthops(Vec::new(), calls);
        world.rest(calls);
    }),
    ("disabled, and enabled again at once", |routes, calls| {
        let mut world = World::filled(routes, set);
        let space = Some(RouteSpace::default());
        calls.call("disabled", || world.plan.set_space(None));
        world.step(calls);
        while calls.call("wishes end", || !world.plan.finish_walk()) {}
        calls.call("enabled", || world.plan.set_space(space));
        world.submit(routes, set, calls);
    }),
    ("the link of 4,000 next hops", |routes, calls| {
        let mut world = World::filled(routes, alone);
        world.link(false, calls);
        world.link(true, calls);
    }),
    (
        "the interface of 4,000 next hops is gone",
        |routes, calls| {
            let mut world = World::filled(routes, alone);
            let plan = &mut world.plan;
            calls.call("gone", || plan.link_gone(LINK, world.now));
            calls.call("link event", || plan.link_event(LINK, world.now));
            world.rest(calls);
        },
    ),
    ("20,000 addresses are refused", |_, calls| {
        let mut world = World::filled(1000, set);
        let service = |n: u32| {
            let address = IpAddr::from(Ipv4Addr::from_bits(0xcb00_7100 + n));
            (IpNet::from(address), Refusal::Service)
        };
        let services: Vec<(IpNet, Refusal)> = (0..20_000).map(service).collect();
        // As the handle does it before it takes the plan.
        let services = services.into_iter().collect();
        calls.call("refused", || world.plan.replace_refused(None, services));
        world.rest(calls);
        world.list_everything(&[], calls);
        world.rest(calls);
    }),
    ("groups become equal", |routes, calls| {
        let mut world = World::filled(routes, set);
        world.set_down(1..ROUTERS, true, calls);
        for n in 0..ROUTERS {
            let change = FibChange::install(prefix(n), set(0));
            world.plan.submit(change);
        }
        world.rest(calls);
        for _ in 0..3 {
            world.now += Duration::from_secs(11);
            world.rest(calls);
        }
    }),
    ("a million routes of others, the plan", |routes, calls| {
        let mut world = World::filled(routes, set);
        let others: Vec<Route> = (0..1_000_000).map(|n| foreign(other(n, 24))).collect();
        world.list_everything(&others, calls);
        for route in &others[..10_000] {
            calls.call("a route goes", || {
                world.plan.route_event(Presence::Gone, route);
            });
            calls.call("a route comes", || {
                world.plan.route_event(Presence::Present, route);
            });
        }
        calls.call("link event", || world.plan.link_event(LINK, world.now));
        world.list_everything(&others, calls);
    }),
    (
        "a million host routes of others, the plan",
        |routes, calls| {
            let mut world = World::filled(routes, set);
            let service = |n: u32| (IpNet::from(router(n)), Refusal::Service);
            world.plan.set_refused(None, (0..100).map(service));
            world.rest(calls);
            let others: Vec<Route> = (0..1_000_000).map(|n| foreign(other(n, 32))).collect();
            world.list_everything(&others, calls);
            for route in &others {
                calls.call("a route comes", || {
                    world.plan.route_event(Presence::Present, route);
                });
            }
            calls.call("link event", || world.plan.link_event(LINK, world.now));
            world.list_everything(&others, calls);
        },
    ),
    ("a million routes of others, the view", |_, calls| {
        view(calls);
    }),
    ("100,000 on-link routes of others", |routes, calls| {
        let mut world = World::filled(routes, set);
        let mut view = KernelView::new(MAIN_TABLE, 0);
        let link = link(true);
        view.apply(Event::Link(Presence::Present, link));
        for n in 0..100_000 {
            let mut route = foreign(other(n, 24));
            route.hops[0].gateway = None;
            view.apply(Event::Route(Presence::Present, route));
        }
        for n in 0..10 {
            let mut route = foreign(other(200_000 + n, 24));
            route.hops[0].gateway = None;
            view.apply(Event::Route(Presence::Present, route));
            let connected = view.connected();
            let on_link = view.on_link(&connected);
            let guard = GuardRails {
                foreign: on_link,
                ..GuardRails::default()
            };
            calls.call("guard rails", || world.plan.set_guard_rails(guard));
            world.rest(calls);
        }
    }),
];

/// What the thread does with its view of so many routes: without the plan, but nothing else happens meanwhile.
fn view(calls: &mut Calls) {
    let mut view = KernelView::new(MAIN_TABLE, 0);
    for ifindex in [LINK, LINK + 1] {
        let link = Link {
            ifindex,
            ..link(true)
        };
        view.apply(Event::Link(Presence::Present, link));
    }
    let route = |n| {
        let route = foreign(other(n, 24));
        Event::Route(Presence::Present, route)
    };
    for n in 0..1_000_000 {
        let route = route(n);
        calls.call("a route of a listing", || view.apply(route));
    }
    let mut handed_out = Vec::new();
    for n in 0..1000 {
        let route = route(n + 1_000_000);
        calls.call("a route comes", || view.apply(route));
        let copy = calls.call("handed out", || view.clone());
        let connected = calls.call("connected", || copy.connected());
        calls.call("on a link", || copy.on_link(&connected));
        let far = "198.51.100.1".parse().unwrap();
        calls.call("a next hop", || copy.resolve(far, None));
        handed_out.push(copy);
    }
    calls.call("old ones end", || handed_out.clear());
    let other = Link {
        ifindex: LINK + 1,
        ..link(false)
    };
    let event = Event::Link(Presence::Present, other);
    calls.call("a link without routes goes", || view.apply(event));
    let event = Event::Link(Presence::Present, link(false));
    calls.call("the link of all of them goes", || view.apply(event));
}
