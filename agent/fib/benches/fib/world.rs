//! A plan, and what happens to it: each call that holds it is measured.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use ipnet::IpNet;
use routelet_fib::kernel::event::{Hop, Link, Nexthop, NexthopKind, Route, RouteKind};
use routelet_fib::plan::{Op, Plan, RouteAction, Target};
use routelet_fib::types::{MAIN_TABLE, ROUTE_PROTOCOL};
use routelet_fib::{FibChange, FibNexthop, FibRoute, GuardRails, RouteSpace, refusal};

use super::Calls;

pub(crate) const BATCH: usize = 256;
pub(crate) const ROUTERS: u32 = 64;
pub(crate) const SETS: u32 = 4_000;
pub(crate) const LINK: u32 = 2;

/// A plan, and a kernel that does everything it is asked for.
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) nexthops: HashMap<u32, Nexthop>,
    /// By prefix and metric.
    pub(crate) routes: HashMap<(IpNet, u32), u32>,
    pub(crate) now: Instant,
}

pub(crate) fn new_plan() -> Plan {
    Plan::new(
        RouteSpace::default(),
        refusal::DEFAULT_TABLE,
        GuardRails::default(),
    )
}

pub(crate) fn prefix(n: u32) -> IpNet {
    let address = Ipv4Addr::from_bits(0x0b00_0000 + (n << 8));
    IpNet::new(address.into(), 24).unwrap()
}

pub(crate) fn router(n: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x0a00_0000 + n).into()
}

/// Some of the routers: no two sets are equal.
pub(crate) fn set(n: u32) -> FibRoute {
    let others = (0..12).filter(|bit| n >> bit & 1 == 1);
    let others = others.map(|bit| 4 * bit + 1 + n % 4);
    let ways = std::iter::once(0).chain(others);
    let ways = ways.map(|n| FibNexthop::via(router(n % ROUTERS), LINK));
    FibRoute {
        nexthops: ways.collect(),
    }
}

/// A next hop of its own.
pub(crate) fn alone(n: u32) -> FibRoute {
    FibRoute::via(router(1000 + n), LINK)
}

impl World {
    pub(crate) fn new() -> Self {
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
    pub(crate) fn filled(routes: u32, set: fn(u32) -> FibRoute) -> Self {
        let mut world = Self::new();
        world.submit(routes, set, &mut Calls::default());
        world
    }

    pub(crate) fn submit(&mut self, routes: u32, set: fn(u32) -> FibRoute, calls: &mut Calls) {
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
    pub(crate) fn step(&mut self, calls: &mut Calls) -> bool {
        let plan = &mut self.plan;
        let ops = calls.call("batch", || plan.next_batch(self.now, BATCH));
        if ops.is_empty() {
            return plan.is_walking() && !plan.is_in_doubt();
        }
        self.carry_out(&ops);
        calls.call("carried out", || self.plan.carried_out(&ops));
        true
    }

    pub(crate) fn rest(&mut self, calls: &mut Calls) {
        while self.step(calls) {}
    }

    pub(crate) fn carry_out(&mut self, ops: &[Op]) {
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
    pub(crate) fn list_nexthops(&mut self, nexthops: Vec<Nexthop>, calls: &mut Calls) {
        let plan = &mut self.plan;
        let listed = nexthops.into_iter().collect();
        let mut is_over = calls.call("nexthops", || plan.take_nexthops(listed));
        while !is_over {
            is_over = calls.call("nexthops, a part", || plan.take_more_nexthops());
        }
    }

    pub(crate) fn list_everything(&mut self, others: &[Route], calls: &mut Calls) {
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

    pub(crate) fn set_down(
        &mut self,
        routers: std::ops::Range<u32>,
        down: bool,
        calls: &mut Calls,
    ) {
        calls.call("routers are lost", || {
            for n in routers {
                self.plan.set_nexthop_down(router(n), LINK, down);
            }
        });
        self.rest(calls);
    }

    pub(crate) fn set_bfd_down(
        &mut self,
        routers: std::ops::Range<u32>,
        down: bool,
        calls: &mut Calls,
    ) {
        calls.call("routers are lost by BFD", || {
            for n in routers {
                self.plan.set_bfd_down(router(n), None, down);
            }
        });
        self.rest(calls);
    }

    pub(crate) fn link(&mut self, up: bool, calls: &mut Calls) {
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
pub(crate) fn foreign(prefix: IpNet) -> Route {
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

/// A prefix of another program.
pub(crate) fn other(n: u32, length: u8) -> IpNet {
    let bits = match length {
        24 => 0x1400_0000 + (n << 8),
        _ => 0x6400_0000 + n,
    };
    IpNet::new(Ipv4Addr::from_bits(bits).into(), length).unwrap()
}

pub(crate) fn link(up: bool) -> Link {
    Link {
        ifindex: LINK,
        name: "eth0".to_owned(),
        admin_up: up,
        up,
        loopback: false,
    }
}
