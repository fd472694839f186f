//! How long the plan of the FIB is held, and how long the thread that writes to the kernel works in one go, where there is much to do:
//! `cargo bench -p routelet-fib --bench fib`, with a number for other than 500,000 routes (`-- 100000`), or a part of a case's name. What is
//! measured are single calls, as [`routelet_fib`]'s thread and handle make them; none that holds the plan should take more than 2 ms,
//! since the thread of the RIB waits for it. Times are CPU time, so that other load on the machine does not count.

#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use ipnet::IpNet;
use nix::time::ClockId;
use routelet_fib::kernel::event::{
    Event, Hop, Link, Nexthop, NexthopKind, Presence, Route, RouteKind,
};
use routelet_fib::plan::{Op, Plan, RouteAction, Target};
use routelet_fib::types::{MAIN_TABLE, ROUTE_PROTOCOL};
use routelet_fib::{
    FibChange, FibNexthop, FibRoute, GuardRails, KernelView, Refusal, RouteSpace, refusal,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What a call should take at most.
const LONG: Duration = Duration::from_millis(2);
const BATCH: usize = 256;
const ROUTERS: u32 = 64;
const SETS: u32 = 4_000;
const LINK: u32 = 2;

/// Calls of one case.
#[derive(Default)]
struct Calls {
    count: usize,
    all: Duration,
    longest: Duration,
    /// How many are longer than they should be.
    too_long: usize,
    /// Which one that was.
    which: (&'static str, usize),
}

impl Calls {
    fn call<T>(&mut self, what: &'static str, work: impl FnOnce() -> T) -> T {
        let started = cpu_time();
        let done = work();
        let took = cpu_time() - started;
        self.count += 1;
        self.all += took;
        self.too_long += usize::from(took > LONG);
        if took > self.longest {
            (self.longest, self.which) = (took, (what, self.count));
        }
        done
    }
}

fn cpu_time() -> Duration {
    ClockId::CLOCK_THREAD_CPUTIME_ID.now().unwrap().into()
}

/// A plan, and a kernel that does everything it is asked for.
struct World {
    plan: Plan,
    nexthops: HashMap<u32, Nexthop>,
    /// By prefix and metric.
    routes: HashMap<(IpNet, u32), u32>,
    now: Instant,
}

fn new_plan() -> Plan {
    Plan::new(
        RouteSpace::default(),
        refusal::DEFAULT_TABLE,
        GuardRails::default(),
    )
}

fn prefix(n: u32) -> IpNet {
    let address = Ipv4Addr::from_bits(0x0b00_0000 + (n << 8));
    IpNet::new(address.into(), 24).unwrap()
}

fn router(n: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x0a00_0000 + n).into()
}

/// Some of the routers: no two sets are equal.
fn set(n: u32) -> FibRoute {
    let others = (0..12).filter(|bit| n >> bit & 1 == 1);
    let others = others.map(|bit| 4 * bit + 1 + n % 4);
    let ways = std::iter::once(0).chain(others);
    let ways = ways.map(|n| FibNexthop::via(router(n % ROUTERS), LINK));
    FibRoute {
        nexthops: ways.collect(),
    }
}

/// A next hop of its own.
fn alone(n: u32) -> FibRoute {
    FibRoute::via(router(1000 + n), LINK)
}

impl World {
    fn new() -> Self {
        let mut plan = new_plan();
        plan.converged();
        Self {
            plan,
            nexthops: HashMap::new(),
            routes: HashMap::new(),
            now: Instant::now(),
        }
    }

    /// With so many routes, over so many sets.
    fn filled(routes: u32, set: fn(u32) -> FibRoute) -> Self {
        let mut world = Self::new();
        world.submit(routes, set, &mut Calls::default());
        world
    }

    fn submit(&mut self, routes: u32, set: fn(u32) -> FibRoute, calls: &mut Calls) {
        for first in (0..routes).step_by(1024) {
            let some = first..routes.min(first + 1024);
            let changes = some.map(|n| FibChange::install(prefix(n), set(n % SETS)));
            let changes: Vec<FibChange> = changes.collect();
            calls.call("wishes", || self.plan.submit_all(changes));
            self.step(calls);
        }
        self.rest(calls);
    }

    /// Whether there is more to do.
    fn step(&mut self, calls: &mut Calls) -> bool {
        let plan = &mut self.plan;
        let ops = calls.call("batch", || plan.next_batch(self.now, BATCH));
        if ops.is_empty() {
            return plan.is_walking() && !plan.is_in_doubt();
        }
        self.carry_out(&ops);
        calls.call("carried out", || self.plan.carried_out(&ops));
        true
    }

    fn rest(&mut self, calls: &mut Calls) {
        while self.step(calls) {}
    }

    fn carry_out(&mut self, ops: &[Op]) {
        let protocol = ROUTE_PROTOCOL;
        for op in ops {
            let (id, kind) = match op {
                Op::AddObject { id, object } => {
                    let hop = Hop {
                        gateway: object.gateway,
                        ifindex: object.ifindex,
                        onlink: object.onlink,
                    };
                    let family = libc::AF_INET as u8;
                    (*id, NexthopKind::Single { family, hop })
                }
                Op::AddGroup { id, members } | Op::ReplaceGroup { id, members } => {
                    let members = members.iter().map(|&(id, w)| (id, w.into()));
                    (*id, NexthopKind::Group(members.collect()))
                }
                Op::DeleteNexthop { id } => {
                    self.nexthops.remove(id);
                    for nexthop in self.nexthops.values_mut() {
                        if let NexthopKind::Group(members) = &mut nexthop.kind {
                            members.retain(|member| member.0 != *id);
                        }
                    }
                    continue;
                }
                Op::Route(op) => {
                    let key = (op.prefix, op.metric);
                    match op.action {
                        RouteAction::Add(Target::Group(id))
                        | RouteAction::Replace(Target::Group(id)) => self.routes.insert(key, id),
                        _ => self.routes.remove(&key),
                    };
                    continue;
                }
                Op::Refuse(_) | Op::Rule(..) => continue,
            };
            self.nexthops.insert(id, Nexthop { id, protocol, kind });
        }
    }

    /// As a listing of them is taken in.
    fn list_nexthops(&mut self, nexthops: Vec<Nexthop>, calls: &mut Calls) {
        let plan = &mut self.plan;
        let listed = nexthops.into_iter().collect();
        let mut is_over = calls.call("nexthops", || plan.take_nexthops(listed));
        while !is_over {
            is_over = calls.call("nexthops, a part", || plan.take_more_nexthops());
        }
    }

    fn list_everything(&mut self, others: &[Route], calls: &mut Calls) {
        let nexthops = self.nexthops.values().cloned().collect();
        self.list_nexthops(nexthops, calls);
        let ours = self.routes.iter().map(|(&(prefix, metric), &id)| Route {
            metric,
            protocol: ROUTE_PROTOCOL,
            nexthop_id: Some(id),
            hops: smallvec::SmallVec::new(),
            ..foreign(prefix)
        });
        let routes: Vec<Route> = ours.chain(others.iter().cloned()).collect();
        let plan = &mut self.plan;
        calls.call("routes begin", || plan.resync_routes_begin());
        for part in 0..Plan::PARTS {
            calls.call("a part begins", || plan.resync_part_begins(part));
        }
        for some in routes.chunks(BATCH) {
            calls.call("some routes", || {
                some.iter().for_each(|route| plan.resync_route(route));
            });
        }
        for part in 0..Plan::PARTS {
            calls.call("a part ends", || plan.resync_part_ends(part));
        }
        calls.call("routes end", || plan.resync_routes_end());
        calls.call("rules", || plan.resync_rules([]));
    }

    fn set_down(&mut self, routers: std::ops::Range<u32>, down: bool, calls: &mut Calls) {
        calls.call("routers are lost", || {
            for n in routers {
                self.plan.set_nexthop_down(router(n), LINK, down);
            }
        });
        self.rest(calls);
    }

    fn link(&mut self, up: bool, calls: &mut Calls) {
        let (plan, now) = (&mut self.plan, self.now);
        calls.call("link state", || plan.link_state(LINK, up, now));
        calls.call("link event", || plan.link_event(LINK, now));
        if !up {
            self.nexthops.clear();
            self.routes.clear();
        }
        let nexthops = self.nexthops.values().cloned().collect();
        self.list_nexthops(nexthops, calls);
        self.rest(calls);
    }
}

/// A route of another program.
fn foreign(prefix: IpNet) -> Route {
    let hop = Hop {
        gateway: Some(router(1)),
        ifindex: LINK,
        onlink: false,
    };
    Route {
        prefix,
        table: MAIN_TABLE,
        protocol: 186,
        metric: 20,
        kind: RouteKind::Unicast,
        replaces: false,
        special: false,
        nexthop_id: None,
        hops: smallvec::smallvec![hop],
    }
}

type Case = (&'static str, fn(u32, &mut Calls));

const CASES: &[Case] = &[
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

/// A prefix of another program.
fn other(n: u32, length: u8) -> IpNet {
    let bits = match length {
        24 => 0x1400_0000 + (n << 8),
        _ => 0x6400_0000 + n,
    };
    IpNet::new(Ipv4Addr::from_bits(bits).into(), length).unwrap()
}

fn link(up: bool) -> Link {
    Link {
        ifindex: LINK,
        name: "eth0".to_owned(),
        admin_up: up,
        up,
        loopback: false,
    }
}

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

fn main() {
    let mut routes = 500_000;
    let mut wanted = None;
    for word in std::env::args().skip(1).filter(|word| word != "--bench") {
        match word.parse() {
            Ok(number) => routes = number,
            Err(_) => wanted = Some(word),
        }
    }
    println!("{routes} routes: longest call, all calls, how many, how many above {LONG:?}");
    for (name, run) in CASES {
        let is_other = |wanted: &String| !name.contains(wanted.as_str());
        if wanted.as_ref().is_some_and(is_other) {
            continue;
        }
        let mut calls = Calls::default();
        run(routes, &mut calls);
        let Calls {
            count,
            all,
            longest,
            too_long,
            which: (what, number),
        } = calls;
        println!(
            "{name:45} {longest:>10.2?} ({what}, call {number}), {all:>8.2?}, {count}, {too_long}"
        );
    }
}
