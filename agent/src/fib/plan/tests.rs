//! The plan against a kernel made of maps, with the real one's rules: what it refuses, and what it drops without a word.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use proptest::prelude::*;

mod guard;
mod restart;

use super::super::kernel::event::{Hop, Nexthop, NexthopKind, Presence, Route, RouteKind};
use super::super::types::{FibRouteState, NEXTHOP_ID_FIRST, ROUTE_PROTOCOL};
use super::*;

/// A route's identity in the kernel.
type Id = (IpNet, u32, u32);

#[derive(Clone, Debug, PartialEq, Eq)]
struct FakeRoute {
    protocol: u8,
    target: Target,
}

#[derive(Clone, Debug, Default)]
struct FakeKernel {
    objects: BTreeMap<u32, (u8, Object)>,
    groups: BTreeMap<u32, Vec<(u32, u8)>>,
    routes: BTreeMap<Id, FakeRoute>,
    links_down: BTreeSet<u32>,
    /// Prefixes that had a route of ours taken away, in the course of things.
    removed: Vec<IpNet>,
    messages: usize,
    /// Which of the next messages are refused for no reason of theirs, by their number.
    refuse: BTreeSet<usize>,
    /// Everywhere that packets for a prefix went, in the course of things.
    led: BTreeMap<IpNet, BTreeSet<Vec<(Object, u8)>>>,
}

const EEXIST: i32 = libc::EEXIST;
const ENOENT: i32 = libc::ENOENT;
const EINVAL: i32 = libc::EINVAL;

impl FakeKernel {
    fn apply(&mut self, op: &Op) -> Result<(), i32> {
        self.messages += 1;
        if self.refuse.remove(&self.messages) {
            return Err(libc::ENOMEM);
        }
        self.carry_out(op)?;
        for (prefix, way) in self.ours() {
            self.led.entry(prefix).or_default().insert(way);
        }
        Ok(())
    }

    fn carry_out(&mut self, op: &Op) -> Result<(), i32> {
        match op {
            Op::AddObject { id, object } => {
                if self.objects.contains_key(id) || self.groups.contains_key(id) {
                    return Err(EEXIST);
                }
                if self.links_down.contains(&object.ifindex) {
                    return Err(libc::ENETDOWN);
                }
                self.objects.insert(*id, (ROUTE_PROTOCOL, *object));
            }
            Op::AddGroup { id, members } => {
                if self.objects.contains_key(id) || self.groups.contains_key(id) {
                    return Err(EEXIST);
                }
                self.check_members(members)?;
                self.groups.insert(*id, members.clone());
            }
            Op::ReplaceGroup { id, members } => {
                if !self.groups.contains_key(id) {
                    return Err(ENOENT);
                }
                self.check_members(members)?;
                self.groups.insert(*id, members.clone());
            }
            Op::DeleteNexthop { id } => {
                if self.objects.get(id).is_some_and(|o| o.0 != ROUTE_PROTOCOL) {
                    panic!("nexthop {id} of somebody else was deleted");
                }
                if !self.delete_nexthop(*id) {
                    return Err(ENOENT);
                }
            }
            Op::Route(op) => self.route(op)?,
        }
        Ok(())
    }

    fn check_members(&self, members: &[(u32, u8)]) -> Result<(), i32> {
        let ids: BTreeSet<u32> = members.iter().map(|m| m.0).collect();
        let fine = !members.is_empty()
            && ids.len() == members.len()
            && ids.iter().all(|id| self.objects.contains_key(id))
            && members.iter().all(|m| m.1 > 0);
        if fine { Ok(()) } else { Err(EINVAL) }
    }

    fn route(&mut self, op: &RouteOp) -> Result<(), i32> {
        let id = (op.prefix, op.table, op.metric);
        let present = self.routes.get(&id);
        match op.action {
            RouteAction::Add(_) if present.is_some() => return Err(EEXIST),
            RouteAction::Replace(_) if present.is_none() => return Err(ENOENT),
            RouteAction::Delete if present.is_none_or(|r| r.protocol != ROUTE_PROTOCOL) => {
                return Err(libc::ESRCH);
            }
            RouteAction::Replace(_) if present.is_some_and(|r| r.protocol != ROUTE_PROTOCOL) => {
                panic!("{op:?} takes the place of a foreign route");
            }
            RouteAction::Delete => {
                self.removed.push(op.prefix);
                self.routes.remove(&id);
            }
            RouteAction::Add(target) | RouteAction::Replace(target) => {
                if let Target::Group(group) = target {
                    let members = self.groups.get(&group).ok_or(EINVAL)?;
                    let v4 = |m: &(u32, u8)| !self.objects[&m.0].1.ipv6;
                    if matches!(op.prefix, IpNet::V6(_)) && members.iter().any(v4) {
                        return Err(EINVAL);
                    }
                }
                let protocol = ROUTE_PROTOCOL;
                self.routes.insert(id, FakeRoute { protocol, target });
            }
        }
        Ok(())
    }

    /// Removes an object from its groups, empty groups, and routes over those: silently.
    fn delete_nexthop(&mut self, id: u32) -> bool {
        let known = self.objects.remove(&id).is_some() | self.groups.remove(&id).is_some();
        for members in self.groups.values_mut() {
            members.retain(|m| m.0 != id);
        }
        self.groups.retain(|_, members| !members.is_empty());
        let groups = &self.groups;
        let removed = &mut self.removed;
        self.routes.retain(|key, r| match r.target {
            Target::Group(g) if !groups.contains_key(&g) => {
                removed.push(key.0);
                false
            }
            _ => true,
        });
        known
    }

    fn set_link(&mut self, ifindex: u32, up: bool) {
        if up {
            self.links_down.remove(&ifindex);
            return;
        }
        self.links_down.insert(ifindex);
        let over: Vec<u32> = self
            .objects
            .iter()
            .filter(|(_, o)| o.1.ifindex == ifindex)
            .map(|(&id, _)| id)
            .collect();
        for id in over {
            self.delete_nexthop(id);
        }
    }

    fn list_nexthops(&self) -> Vec<Nexthop> {
        let singles = self.objects.iter().map(|(&id, &(protocol, o))| Nexthop {
            id,
            protocol,
            kind: NexthopKind::Single {
                family: if o.ipv6 {
                    libc::AF_INET6
                } else {
                    libc::AF_INET
                } as u8,
                hop: Hop {
                    gateway: o.gateway,
                    ifindex: o.ifindex,
                },
                onlink: o.onlink,
            },
        });
        let groups = self.groups.iter().map(|(&id, members)| Nexthop {
            id,
            protocol: ROUTE_PROTOCOL,
            kind: NexthopKind::Group(members.iter().map(|&(id, w)| (id, w.into())).collect()),
        });
        singles.chain(groups).collect()
    }

    fn list_routes(&self) -> Vec<Route> {
        let route = |(&(prefix, table, metric), r): (&Id, &FakeRoute)| Route {
            prefix,
            table,
            protocol: r.protocol,
            metric,
            kind: match r.target {
                Target::Group(_) => RouteKind::Unicast,
                Target::Blackhole => RouteKind::Blackhole,
            },
            replaces: false,
            special: false,
            nexthop_id: match r.target {
                Target::Group(id) => Some(id),
                Target::Blackhole => None,
            },
            hops: smallvec::SmallVec::new(),
        };
        self.routes.iter().map(route).collect()
    }

    /// Our routes in words: prefix and where packets go.
    fn ours(&self) -> BTreeMap<IpNet, Vec<(Object, u8)>> {
        let where_to = |r: &FakeRoute| match r.target {
            Target::Blackhole => Vec::new(),
            Target::Group(id) => {
                let mut out: Vec<(Object, u8)> = self.groups[&id]
                    .iter()
                    .map(|&(o, w)| (self.objects[&o].1, w))
                    .collect();
                out.sort_unstable();
                if let [(_, weight)] = out.as_mut_slice() {
                    *weight = 1;
                }
                out
            }
        };
        self.routes
            .iter()
            .filter(|(_, r)| r.protocol == ROUTE_PROTOCOL)
            .map(|(&(prefix, ..), r)| (prefix, where_to(r)))
            .collect()
    }

    fn foreign(&self) -> Vec<(Id, FakeRoute)> {
        self.routes
            .iter()
            .filter(|(_, r)| r.protocol != ROUTE_PROTOCOL)
            .map(|(id, r)| (*id, r.clone()))
            .collect()
    }
}

/// Drives a plan against the fake until it rests, or until so many messages have been sent (a crash).
fn drive(plan: &mut Plan, kernel: &mut FakeKernel, now: Instant, mut budget: usize) -> bool {
    for _ in 0..10_000 {
        match plan.take_resync() {
            Resync::None => {}
            Resync::Nexthops => plan.resync_nexthops(kernel.list_nexthops()),
            Resync::Everything => adopt(plan, kernel),
        }
        let ops = plan.next_batch(now, 3);
        if ops.is_empty() {
            if plan.resync == Resync::None {
                return true;
            }
            continue;
        }
        for op in &ops {
            if budget == 0 {
                return false;
            }
            budget -= 1;
            if let Err(errno) = kernel.apply(op) {
                plan.refused(now, op, KernelError::from_errno(errno));
            }
        }
        plan.carried_out(&ops);
    }
    panic!("the plan never rests: {:?}", plan.next_batch(now, 3));
}

fn adopt(plan: &mut Plan, kernel: &FakeKernel) {
    plan.resync_nexthops(kernel.list_nexthops());
    plan.resync_routes_begin();
    for route in kernel.list_routes() {
        plan.resync_route(&route);
    }
    plan.resync_routes_end();
}

fn new_plan() -> Plan {
    Plan::new(RouteSpace::default(), GuardRails::default())
}

fn net(s: &str) -> IpNet {
    s.parse().unwrap()
}

const PREFIXES: [&str; 8] = [
    "203.0.113.0/24",
    "203.0.113.0/25",
    "203.0.114.0/24",
    "203.0.115.0/24",
    "198.51.100.7/32",
    "2001:db8:a::/48",
    "2001:db8:a:1::/64",
    "2001:db8:b::/48",
];

/// Ways out: the first two are IPv4, the others IPv6; two interfaces.
fn way(i: usize, weight: u8) -> FibNexthop {
    let (gateway, ifindex) = [
        ("192.0.2.1", 2),
        ("198.18.0.1", 3),
        ("fe80::1", 2),
        ("fe80::2", 3),
    ][i];
    FibNexthop {
        weight: std::num::NonZeroU8::new(weight).unwrap(),
        ..FibNexthop::via(gateway.parse().unwrap(), ifindex)
    }
}

fn route_to(ways: &[(usize, u8)]) -> FibRoute {
    FibRoute::Unicast(ways.iter().map(|&(i, w)| way(i, w)).collect())
}

#[derive(Clone, Debug)]
enum Step {
    Submit(FibChange),
    Drive,
    Link(u32, bool),
    Down(usize, bool),
    /// Somebody deletes the nth of our nexthop objects or groups; the kernel tells.
    DeleteNexthop(usize),
    /// Somebody deletes the nth of our routes; the kernel tells.
    DeleteRoute(usize),
    /// The kernel refuses the nth message from now.
    Refuse(usize),
    Converged,
    Wait,
}

fn a_route(v6: bool) -> impl Strategy<Value = FibRoute> {
    let first = if v6 { 2 } else { 0 };
    let members = prop::collection::vec((first..4usize, 1..4u8), 1..4);
    prop_oneof![
        6 => members.prop_map(|ways| route_to(&ways)),
        1 => Just(FibRoute::Blackhole),
    ]
}

fn a_change() -> impl Strategy<Value = FibChange> {
    (0..PREFIXES.len()).prop_flat_map(|i| {
        let prefix = net(PREFIXES[i]);
        prop_oneof![
            4 => a_route(matches!(prefix, IpNet::V6(_))).prop_map(move |r| FibChange::install(prefix, r)),
            1 => Just(FibChange::remove(prefix)),
        ]
    })
}

fn a_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => a_change().prop_map(Step::Submit),
        6 => Just(Step::Drive),
        2 => (2..4u32, any::<bool>()).prop_map(|(i, up)| Step::Link(i, up)),
        2 => (0..4usize, any::<bool>()).prop_map(|(i, d)| Step::Down(i, d)),
        1 => (0..8usize).prop_map(Step::DeleteNexthop),
        1 => (0..8usize).prop_map(Step::DeleteRoute),
        2 => (1..12usize).prop_map(Step::Refuse),
        1 => Just(Step::Converged),
        1 => Just(Step::Wait),
    ]
}

/// A plan, its kernel, what is wanted, and the time.
struct World {
    plan: Plan,
    kernel: FakeKernel,
    wanted: BTreeMap<IpNet, FibRoute>,
    down: [bool; 4],
    now: Instant,
}

impl World {
    fn new() -> Self {
        let mut kernel = FakeKernel::default();
        let foreign = |target| FakeRoute {
            protocol: 4,
            target,
        };
        // Somebody's routes: the same prefix at another metric, and one that has our place.
        kernel
            .routes
            .insert((net(PREFIXES[0]), 254, 20), foreign(Target::Blackhole));
        kernel
            .routes
            .insert((net(PREFIXES[3]), 254, 1024), foreign(Target::Blackhole));
        // And an object in the middle of our ids.
        let object = Object {
            ipv6: false,
            gateway: None,
            ifindex: 9,
            onlink: false,
        };
        kernel.objects.insert(NEXTHOP_ID_FIRST + 2, (4, object));
        let mut plan = new_plan();
        adopt(&mut plan, &kernel);
        Self {
            plan,
            kernel,
            wanted: BTreeMap::new(),
            down: [false; 4],
            now: Instant::now(),
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Submit(change) => {
                match &change.action {
                    FibAction::Install(route) => self.wanted.insert(change.prefix, route.clone()),
                    FibAction::Remove => self.wanted.remove(&change.prefix),
                };
                self.plan.submit(change);
            }
            Step::Drive => {
                drive(&mut self.plan, &mut self.kernel, self.now, usize::MAX);
            }
            Step::Link(ifindex, up) => {
                self.kernel.set_link(ifindex, up);
                self.plan.link_event(ifindex, self.now);
            }
            Step::Down(i, down) => {
                self.down[i] = down;
                let way = way(i, 1);
                self.plan
                    .set_nexthop_down(way.gateway.unwrap(), way.ifindex, down);
            }
            Step::DeleteNexthop(n) => {
                let nexthops = self.kernel.list_nexthops();
                if let Some(nexthop) = nexthops
                    .iter()
                    .filter(|n| n.protocol == ROUTE_PROTOCOL)
                    .nth(n)
                {
                    self.kernel.delete_nexthop(nexthop.id);
                    self.plan.nexthop_event(nexthop);
                }
            }
            Step::DeleteRoute(n) => {
                let routes = self.kernel.list_routes();
                if let Some(route) = routes
                    .iter()
                    .filter(|r| r.protocol == ROUTE_PROTOCOL)
                    .nth(n)
                {
                    self.kernel
                        .routes
                        .remove(&(route.prefix, route.table, route.metric));
                    self.plan.route_event(Presence::Gone, route);
                }
            }
            Step::Refuse(n) => {
                self.kernel.refuse.insert(self.kernel.messages + n);
            }
            Step::Converged => self.plan.converged(),
            Step::Wait => self.now += Duration::from_secs(61),
        }
    }

    /// The agent dies, and another one starts, is told the same, and converges.
    fn restart(&mut self) {
        self.plan = new_plan();
        self.down = [false; 4];
        adopt(&mut self.plan, &self.kernel);
        for (&prefix, route) in &self.wanted {
            self.plan.submit(FibChange::install(prefix, route.clone()));
        }
    }

    /// Everything comes up, every wait ends, everything is swept.
    fn rest(&mut self) {
        for i in 0..4 {
            self.step(Step::Down(i, false));
        }
        self.kernel.refuse.clear();
        for ifindex in [2, 3] {
            self.step(Step::Link(ifindex, true));
        }
        self.plan.converged();
        self.step(Step::Drive);
        self.step(Step::Wait);
        self.step(Step::Drive);
    }

    /// Whether packets go by what is wanted and not down; by some of what is wanted where all of it is down.
    fn avoids_the_lost(&self) -> bool {
        let ours = self.kernel.ours();
        let down = |o: &Object| {
            let is = |i: &usize| {
                let way = way(*i, 1);
                (way.gateway, way.ifindex) == (o.gateway, o.ifindex)
            };
            self.down[(0..4).find(is).unwrap()]
        };
        self.expected().iter().all(|(prefix, wanted)| {
            let mut up: Vec<_> = wanted.iter().filter(|m| !down(&m.0)).copied().collect();
            if let [(_, weight)] = up.as_mut_slice() {
                *weight = 1;
            }
            match ours.get(prefix) {
                Some(way) if up.is_empty() => {
                    way.is_empty() == wanted.is_empty()
                        && way.iter().all(|m| wanted.iter().any(|w| w.0 == m.0))
                }
                Some(way) => *way == up,
                None => false,
            }
        })
    }

    fn expected(&self) -> BTreeMap<IpNet, Vec<(Object, u8)>> {
        self.wanted
            .iter()
            .filter(|(prefix, _)| **prefix != net(PREFIXES[3]))
            .map(|(&prefix, route)| (prefix, expected(prefix, route)))
            .collect()
    }
}

/// What a route should be, computed the simple way.
fn expected(prefix: IpNet, route: &FibRoute) -> Vec<(Object, u8)> {
    let FibRoute::Unicast(nexthops) = route else {
        return Vec::new();
    };
    let mut members: BTreeMap<Object, u8> = BTreeMap::new();
    for n in nexthops {
        let object = Object {
            ipv6: n
                .gateway
                .map_or(matches!(prefix, IpNet::V6(_)), |g| g.is_ipv6()),
            gateway: n.gateway,
            ifindex: n.ifindex,
            onlink: n.onlink,
        };
        let weight = members.entry(object).or_default();
        *weight = weight.saturating_add(n.weight.get());
    }
    let mut out: Vec<(Object, u8)> = members.into_iter().collect();
    if let [(_, weight)] = out.as_mut_slice() {
        *weight = 1;
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// Whatever happened, the kernel ends up with exactly what is wanted, nothing of ours is left over, nothing of others
    /// is touched, and there is nothing more to say.
    #[test]
    fn whatever_happens_the_kernel_ends_up_with_what_is_wanted_and_the_plan_falls_silent(
        steps in prop::collection::vec(a_step(), 0..60),
    ) {
        let mut world = World::new();
        let foreign = world.kernel.foreign();
        for step in steps {
            world.step(step);
        }
        world.rest();
        prop_assert_eq!(world.kernel.ours(), world.expected());
        prop_assert_eq!(world.kernel.foreign(), foreign);
        for status in world.plan.routes(world.now, |p| p != net(PREFIXES[3])) {
            prop_assert_eq!(&status.state, &FibRouteState::Installed, "{:?}", status);
        }
        // What the refused route of the taken prefix wants is there as well.
        let mut wanted = world.expected();
        wanted.extend(world.wanted.get(&net(PREFIXES[3])).map(|r| (net(PREFIXES[3]), expected(net(PREFIXES[3]), r))));
        let used: BTreeSet<Object> = wanted.into_values().flatten().map(|m| m.0).collect();
        let of_groups: BTreeSet<u32> = world.kernel.groups.values().flatten().map(|m| m.0).collect();
        for (id, (_, object)) in world.kernel.objects.iter().filter(|(_, o)| o.0 == ROUTE_PROTOCOL) {
            prop_assert!(used.contains(object) && of_groups.contains(id), "{} {:?} is of no use", id, object);
        }
        let sent = world.kernel.messages;
        world.step(Step::Drive);
        prop_assert_eq!(world.kernel.messages, sent);
    }

    /// Killed after any message, a new agent that is told the same comes to the same end.
    #[test]
    fn killed_at_any_point_a_successor_comes_to_the_same_end(
        before in prop::collection::vec(a_step(), 0..30),
        changes in prop::collection::vec(a_change(), 1..12),
        budget in 0..40usize,
        after in prop::collection::vec(a_step(), 0..12),
    ) {
        let mut world = World::new();
        let foreign = world.kernel.foreign();
        for step in before {
            world.step(step);
        }
        world.step(Step::Drive);
        for change in changes {
            world.step(Step::Submit(change));
        }
        drive(&mut world.plan, &mut world.kernel, world.now, budget);
        world.restart();
        for step in after {
            world.step(step);
        }
        world.rest();
        prop_assert_eq!(world.kernel.ours(), world.expected());
        prop_assert_eq!(world.kernel.foreign(), foreign);
    }

    /// A prefix that is wanted before and after is there at every moment in between, and leads nowhere but where it led
    /// before or is to lead.
    #[test]
    fn a_prefix_that_only_changes_its_way_is_never_without_a_route_nor_led_astray(
        rounds in prop::collection::vec(prop::collection::vec(a_change(), 1..8), 1..12),
    ) {
        let mut world = World::new();
        for changes in rounds {
            let before = world.kernel.ours();
            world.kernel.removed.clear();
            world.kernel.led.clear();
            let mut unwanted = BTreeSet::new();
            for change in changes {
                if change.action == FibAction::Remove {
                    unwanted.insert(change.prefix);
                } else {
                    unwanted.remove(&change.prefix);
                }
                world.step(Step::Submit(change));
            }
            world.step(Step::Drive);
            let removed: BTreeSet<IpNet> = world.kernel.removed.iter().copied().collect();
            prop_assert!(removed.is_subset(&unwanted), "{:?} of {:?} were removed", removed, before);
            let after = world.expected();
            for (prefix, ways) in &world.kernel.led {
                for way in ways {
                    let fine = before.get(prefix) == Some(way) || after.get(prefix) == Some(way);
                    prop_assert!(fine, "{} led to {:?}", prefix, way);
                }
            }
        }
    }

    /// Routers that are lost carry nothing that has another way, no route goes for it, and only routes of groups without
    /// another member wait for the RIB's changes.
    #[test]
    fn lost_routers_leave_every_route_that_has_another_way_and_no_route_goes(
        changes in prop::collection::vec(a_change(), 0..30),
        lost in prop::collection::vec((0..4usize, any::<bool>()), 1..6),
        more in prop::collection::vec(a_change(), 0..6),
    ) {
        let mut world = World::new();
        for change in changes {
            world.step(Step::Submit(change));
        }
        world.rest();
        for (i, down) in lost {
            world.kernel.removed.clear();
            world.step(Step::Down(i, down));
            world.step(Step::Drive);
            prop_assert_eq!(&world.kernel.removed, &Vec::<IpNet>::new());
            prop_assert!(world.avoids_the_lost(), "{:?}", world.kernel.ours());
        }
        for change in more {
            world.step(Step::Submit(change));
        }
        world.step(Step::Drive);
        prop_assert!(world.avoids_the_lost(), "{:?}", world.kernel.ours());
        world.rest();
        prop_assert_eq!(world.kernel.ours(), world.expected());
    }

    /// A successor that wants the same has nothing to say.
    #[test]
    fn adopting_what_is_wanted_sends_nothing(changes in prop::collection::vec(a_change(), 0..30)) {
        let mut world = World::new();
        for change in changes {
            world.step(Step::Submit(change));
        }
        world.rest();
        // The prefix whose place is taken would be tried again.
        world.wanted.remove(&net(PREFIXES[3]));
        world.step(Step::Submit(FibChange::remove(net(PREFIXES[3]))));
        world.rest();
        let sent = world.kernel.messages;
        world.restart();
        world.step(Step::Drive);
        world.plan.converged();
        world.step(Step::Drive);
        prop_assert_eq!(world.kernel.messages, sent);
    }
}

fn many(n: u32) -> impl Iterator<Item = IpNet> {
    (0..n).map(|i| IpNet::new(IpAddr::from((0x0b00_0000 + (i << 8)).to_be_bytes()), 24).unwrap())
}

fn messages(world: &mut World) -> usize {
    let before = world.kernel.messages;
    world.step(Step::Drive);
    world.kernel.messages - before
}

#[test]
fn moving_all_routes_of_a_group_is_one_message_whether_they_had_one_way_or_many() {
    let mut world = World::new();
    world.plan.converged();
    let go = |world: &mut World, ways: &[(usize, u8)]| {
        for prefix in many(500) {
            world
                .plan
                .submit(FibChange::install(prefix, route_to(ways)));
        }
        messages(world)
    };
    assert_eq!(go(&mut world, &[(0, 1), (1, 1)]), 500 + 3);
    // Besides one message for the group, the objects for groups of one and of several come and go.
    assert_eq!(go(&mut world, &[(1, 1)]), 1 + 3);
    assert_eq!(go(&mut world, &[(0, 1)]), 1 + 2);
    assert_eq!(go(&mut world, &[(0, 1), (1, 1)]), 1 + 3);
    assert_eq!(world.kernel.ours().len(), 500);
}

#[test]
fn a_router_told_to_be_down_leaves_its_groups_at_once_and_the_ribs_changes_find_nothing_to_do() {
    let mut world = World::new();
    for prefix in many(500) {
        world
            .plan
            .submit(FibChange::install(prefix, route_to(&[(0, 1), (1, 1)])));
    }
    let only = net("203.0.113.0/24");
    world
        .plan
        .submit(FibChange::install(only, route_to(&[(0, 1)])));
    world.step(Step::Drive);

    world.step(Step::Down(0, true));
    assert_eq!(messages(&mut world), 1);
    let ours = world.kernel.ours();
    assert!(many(500).all(|p| ours[&p] == expected(p, &route_to(&[(1, 1)]))));
    assert_eq!(
        ours[&only],
        expected(only, &route_to(&[(0, 1)])),
        "no other way: it stays"
    );

    for prefix in many(500) {
        world
            .plan
            .submit(FibChange::install(prefix, route_to(&[(1, 1)])));
    }
    assert_eq!(messages(&mut world), 0);

    // It comes back, and so do its paths: its object, and the group with it.
    world.step(Step::Down(0, false));
    for prefix in many(500) {
        world
            .plan
            .submit(FibChange::install(prefix, route_to(&[(0, 1), (1, 1)])));
    }
    assert_eq!(messages(&mut world), 2);
    assert_eq!(world.kernel.removed, []);
    let ours = world.kernel.ours();
    assert!(many(500).all(|p| ours[&p] == expected(p, &route_to(&[(0, 1), (1, 1)]))));
}

/// Routes by prefix with their ways, and the router whose loss is then told: what the kernel is asked to do.
fn lose(routes: &[(&str, &[(usize, u8)])], lost: &[usize]) -> (World, usize) {
    let mut world = World::new();
    for (prefix, ways) in routes {
        world.step(Step::Submit(FibChange::install(
            net(prefix),
            route_to(ways),
        )));
    }
    world.rest();
    for &router in lost {
        world.step(Step::Down(router, true));
    }
    let asked = messages(&mut world);
    assert!(world.avoids_the_lost());
    assert_eq!(world.kernel.removed, []);
    (world, asked)
}

#[test]
fn a_lost_router_leaves_all_groups_of_several_by_one_message_whoever_else_is_in_them() {
    let routes: [(&str, &[(usize, u8)]); 4] = [
        (PREFIXES[0], &[(0, 1), (1, 2), (2, 3)]),
        (PREFIXES[1], &[(0, 1), (2, 1)]),
        (PREFIXES[2], &[(0, 1)]),
        (PREFIXES[4], &[(1, 1), (3, 1)]),
    ];
    let (mut world, asked) = lose(&routes, &[0]);
    assert_eq!(asked, 1);
    // It is back before the RIB has said a word about a prefix.
    world.step(Step::Down(0, false));
    world.step(Step::Drive);
    assert_eq!(world.kernel.removed, []);
    assert_eq!(world.kernel.ours(), world.expected());
}

#[test]
fn of_a_group_whose_routers_are_all_lost_one_stays_until_the_routes_are_changed() {
    let routes: [(&str, &[(usize, u8)]); 2] = [
        (PREFIXES[0], &[(0, 1), (1, 1)]),
        (PREFIXES[1], &[(0, 1), (1, 1), (2, 1)]),
    ];
    let (mut world, _) = lose(&routes, &[0, 1]);
    for prefix in [PREFIXES[0], PREFIXES[1]] {
        world.step(Step::Submit(FibChange::install(
            net(prefix),
            route_to(&[(2, 1)]),
        )));
    }
    world.step(Step::Drive);
    assert_eq!(world.kernel.removed, []);
    assert_eq!(world.kernel.ours(), world.expected());
}

#[test]
fn the_last_router_of_a_group_that_lost_the_others_is_not_taken_from_it() {
    let (mut world, _) = lose(&[(PREFIXES[0], &[(0, 1), (1, 1)])], &[0]);
    world.step(Step::Submit(FibChange::install(
        net(PREFIXES[1]),
        route_to(&[(1, 1), (2, 1)]),
    )));
    world.step(Step::Drive);
    // Its object is the one in both groups, and one of them would vanish with it.
    world.step(Step::Down(1, true));
    world.step(Step::Drive);
    assert!(world.avoids_the_lost());
    assert_eq!(world.kernel.removed, []);
}

#[test]
fn a_route_that_was_right_on_the_group_of_another_set_moves_when_the_sets_differ_again() {
    let mut world = World::new();
    let (both, one) = (route_to(&[(2, 3), (3, 3)]), route_to(&[(3, 1)]));
    let [keeps_both, keeps_one, moves] = [PREFIXES[4], PREFIXES[0], PREFIXES[6]].map(net);
    for (prefix, route) in [(keeps_both, &both), (keeps_one, &one), (moves, &one)] {
        world.step(Step::Submit(FibChange::install(prefix, route.clone())));
    }
    world.step(Step::Drive);
    // While one way is gone, both sets come to the same, and nothing has to be done for the route that changes sets.
    world.step(Step::Link(2, false));
    world.step(Step::Submit(FibChange::install(moves, both)));
    world.step(Step::Drive);
    world.rest();
    assert_eq!(world.kernel.ours(), world.expected());
}

#[test]
fn of_many_wishes_for_one_prefix_only_the_last_reaches_the_kernel() {
    let mut world = World::new();
    let prefix = net("203.0.113.0/24");
    for i in [0, 1, 0, 1] {
        world
            .plan
            .submit(FibChange::install(prefix, route_to(&[(i, 1)])));
    }
    world.plan.submit(FibChange::remove(prefix));
    assert_eq!(messages(&mut world), 0);
    world
        .plan
        .submit(FibChange::install(prefix, route_to(&[(0, 1)])));
    assert_eq!(messages(&mut world), 3);
}

#[test]
fn a_refused_route_is_shown_with_the_kernels_words_and_tried_again_later_and_later() {
    let mut world = World::new();
    let taken = net(PREFIXES[3]);
    world
        .plan
        .submit(FibChange::install(taken, route_to(&[(0, 1)])));
    world.step(Step::Drive);
    let since = world.now;
    let mut waits = Vec::new();
    for _ in 0..10 {
        let retry = world.plan.next_retry().unwrap();
        waits.push(retry - world.now);
        world.now = retry;
        assert_eq!(messages(&mut world), 1);
        let Some(status) = world.plan.route(taken, world.now) else {
            panic!("it is wanted")
        };
        let FibRouteState::Failed {
            error, failing_for, ..
        } = status.state
        else {
            panic!("{status:?}")
        };
        assert_eq!((error.errno, failing_for), (EEXIST, world.now - since));
    }
    assert_eq!(waits[0], Duration::from_millis(250));
    assert_eq!(*waits.last().unwrap(), Duration::from_secs(60));
    assert!(waits.is_sorted());

    world.kernel.routes.remove(&(taken, 254, 1024));
    world.now += Duration::from_secs(60);
    world.step(Step::Drive);
    assert_eq!(
        world.plan.route(taken, world.now).unwrap().state,
        FibRouteState::Installed
    );
    assert_eq!(world.plan.counters().failed, 0);
}

#[test]
fn an_ipv6_route_over_an_ipv4_gateway_is_a_visible_failure_and_sends_nothing() {
    let mut world = World::new();
    let prefix = net("2001:db8:a::/48");
    world
        .plan
        .submit(FibChange::install(prefix, route_to(&[(0, 1)])));
    assert_eq!(messages(&mut world), 0);
    let state = world.plan.route(prefix, world.now).unwrap().state;
    assert!(matches!(state, FibRouteState::Failed { .. }), "{state:?}");
}
