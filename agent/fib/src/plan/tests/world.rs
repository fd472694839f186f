//! A plan and its kernel, what may happen to them, and what should come of it.
#![allow(clippy::unwrap_used)]

use super::*;

/// Drives a plan against the fake until it rests, or until so many messages have been sent (a crash).
pub(super) fn drive(
    plan: &mut Plan,
    kernel: &mut FakeKernel,
    now: Instant,
    mut budget: usize,
) -> bool {
    for _ in 0..10_000 {
        match plan.take_resync() {
            Resync::None => {}
            Resync::Nexthops => plan.resync_nexthops(kernel.list_nexthops()),
            Resync::Everything => adopt(plan, kernel),
        }
        let ops = plan.next_batch(now, 3);
        if ops.is_empty() {
            if plan.resync == Resync::None && !plan.is_walking() {
                return true;
            }
            continue;
        }
        for op in &ops {
            assert_in_place(plan, op);
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

/// Learned routes are written where they belong, or nowhere; elsewhere they are removed at most.
fn assert_in_place(plan: &Plan, op: &Op) {
    if let Op::Route(op) = op
        && op.action != RouteAction::Delete
    {
        let RouteSpace { table, metric } = plan.space();
        assert!(plan.installs(), "{op:?}");
        assert_eq!((op.table, op.metric), (table, metric), "{op:?}");
    }
}

pub(super) fn begin_routes(plan: &mut Plan) {
    plan.resync_routes_begin();
    (0..Plan::PARTS).for_each(|part| plan.resync_part_begins(part));
}

pub(super) fn end_routes(plan: &mut Plan) {
    (0..Plan::PARTS).for_each(|part| plan.resync_part_ends(part));
    plan.resync_routes_end();
}

pub(super) fn adopt(plan: &mut Plan, kernel: &FakeKernel) {
    plan.resync_nexthops(kernel.list_nexthops());
    plan.links_listed([2, 3].into(), kernel.links_down.clone(), Instant::now());
    begin_routes(plan);
    for route in kernel.list_routes() {
        plan.resync_route(&route);
    }
    end_routes(plan);
    plan.resync_rules(kernel.rules.clone());
}

pub(super) fn new_plan() -> Plan {
    Plan::new(
        RouteSpace::default(),
        refusal::DEFAULT_TABLE,
        GuardRails::default(),
    )
}

pub(super) fn net(s: &str) -> IpNet {
    s.parse().unwrap()
}

pub(super) const PREFIXES: [&str; 8] = [
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
pub(super) fn way(i: usize, weight: u8) -> FibNexthop {
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

pub(super) fn route_to(ways: &[(usize, u8)]) -> FibRoute {
    FibRoute {
        nexthops: ways.iter().map(|&(i, w)| way(i, w)).collect(),
    }
}

/// A plan, its kernel, what is wanted, and the time.
pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) kernel: FakeKernel,
    pub(super) wanted: BTreeMap<IpNet, FibRoute>,
    pub(super) down: [bool; 4],
    pub(super) now: Instant,
}

impl World {
    pub(super) fn new() -> Self {
        let mut kernel = FakeKernel::default();
        let foreign = |target| FakeRoute {
            protocol: 4,
            target,
        };
        // Somebody's routes: the same prefix at another metric, and one that has our place.
        kernel
            .routes
            .insert((net(PREFIXES[0]), 254, 20), foreign(Target::Unreachable));
        kernel.routes.insert(
            (net(PREFIXES[3]), 254, DEFAULT_METRIC),
            foreign(Target::Unreachable),
        );
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

    /// Begins with an agent of another metric; the next one has the default.
    pub(super) fn begin_with_metric(&mut self, metric: u32) {
        let space = RouteSpace {
            metric,
            ..RouteSpace::default()
        };
        self.plan = Plan::new(space, refusal::DEFAULT_TABLE, GuardRails::default());
        adopt(&mut self.plan, &self.kernel);
    }

    pub(super) fn step(&mut self, step: Step) {
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
                self.nothing_was_overlooked();
            }
            Step::Link(ifindex, up) => {
                self.kernel.set_link(ifindex, up);
                self.plan.link_state(ifindex, up, self.now);
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
            Step::ConvergesAgain => self.plan.converges_again(),
            Step::Space(space) => {
                let opens = space.is_some() && !self.plan.installs();
                self.plan.set_space(space);
                // The RIB submits everything to a FIB that opens.
                for (&prefix, route) in self.wanted.iter().filter(|_| opens) {
                    self.plan.submit(FibChange::install(prefix, route.clone()));
                }
            }
            Step::Aside(aside) => {
                self.plan.set_aside(aside);
            }
            Step::Wait => self.now += Duration::from_secs(61),
        }
    }

    /// The plan looks only at what changed: a look at everything finds nothing more to do. Nor is there anything that its thread would
    /// be woken for at once, and again and again.
    fn nothing_was_overlooked(&mut self) {
        let retry = self.plan.next_retry();
        assert!(
            retry.is_none_or(|at| at > self.now),
            "nothing is waited for"
        );
        self.plan.nexthops.dirty = true;
        self.plan.nexthops.untidy = true;
        let ops = self.plan.next_batch(self.now, usize::MAX);
        assert_eq!(ops, [], "a change was overlooked");
    }

    /// The agent dies, and another one starts, is told the same, and converges.
    pub(super) fn restart(&mut self) {
        self.plan = new_plan();
        self.down = [false; 4];
        adopt(&mut self.plan, &self.kernel);
        for (&prefix, route) in &self.wanted {
            self.plan.submit(FibChange::install(prefix, route.clone()));
        }
    }

    /// Everything comes up, every wait ends, everything is swept.
    pub(super) fn rest(&mut self) {
        for i in 0..4 {
            self.step(Step::Down(i, false));
        }
        self.kernel.refuse.clear();
        self.step(Step::Aside(false));
        self.step(Step::Space(Some(RouteSpace::default())));
        for ifindex in [2, 3] {
            self.step(Step::Link(ifindex, true));
        }
        self.plan.converged();
        for _ in 0..3 {
            self.step(Step::Drive);
            self.step(Step::Wait);
        }
        self.step(Step::Drive);
    }

    /// Whether packets go by what is wanted and not down; by some of what is wanted where all of it is down.
    pub(super) fn avoids_the_lost(&self) -> bool {
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

    pub(super) fn expected(&self) -> BTreeMap<IpNet, Vec<(Object, u8)>> {
        self.wanted
            .iter()
            .filter(|(prefix, _)| **prefix != net(PREFIXES[3]))
            .map(|(&prefix, route)| (prefix, expected(prefix, route)))
            .collect()
    }
}

/// What a route should be, computed the simple way.
pub(super) fn expected(prefix: IpNet, route: &FibRoute) -> Vec<(Object, u8)> {
    let nexthops = &route.nexthops;
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

pub(super) fn many(n: u32) -> impl Iterator<Item = IpNet> {
    (0..n).map(|i| IpNet::new(IpAddr::from((0x0b00_0000 + (i << 8)).to_be_bytes()), 24).unwrap())
}

pub(super) fn messages(world: &mut World) -> usize {
    let before = world.kernel.messages;
    world.step(Step::Drive);
    world.kernel.messages - before
}

/// The prefixes that `filter` lets through, as they are shown.
pub(super) fn statuses(
    plan: &Plan,
    now: Instant,
    mut filter: impl FnMut(IpNet) -> bool,
) -> Vec<crate::FibRouteStatus> {
    let mut prefixes = Vec::new();
    for part in 0..Plan::PARTS {
        plan.prefixes(part, &mut filter, &mut prefixes);
    }
    let statuses = prefixes.into_iter();
    statuses
        .filter_map(|prefix| plan.route(prefix, now))
        .collect()
}
