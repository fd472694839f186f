//! What others do to the kernel is heard later than it happens: between a look at the plan and its messages, within a listing.
#![allow(clippy::unwrap_used)]

use super::*;

/// What somebody does.
#[derive(Clone, Copy, Debug)]
enum Change {
    Link(u32, bool),
    DeleteNexthop(usize),
    DeleteRoute(usize),
    /// The interface goes.
    RemoveLink(u32),
    /// A route of somebody else takes the place of the nth prefix, or leaves it.
    Foreign(usize, bool),
}

/// What the kernel says of it.
#[derive(Debug)]
enum Event {
    Link(u32, bool),
    LinkGone(u32),
    Nexthop(Nexthop),
    Route(Presence, Route),
}

#[derive(Clone, Debug)]
enum Late {
    Step(Step),
    Change(Change),
    /// A turn of the thread.
    Turn {
        hears: bool,
        /// While it lists, behind the nexthop objects.
        listing: Option<Change>,
        /// Before the nth message of its batch.
        batch: Option<(usize, Change)>,
    },
}

fn a_change_of_others() -> impl Strategy<Value = Change> {
    prop_oneof![
        2 => (2..4u32, any::<bool>()).prop_map(|(i, up)| Change::Link(i, up)),
        2 => (0..8usize).prop_map(Change::DeleteNexthop),
        2 => (0..8usize).prop_map(Change::DeleteRoute),
        1 => (2..4u32).prop_map(Change::RemoveLink),
        1 => (0..PREFIXES.len(), any::<bool>()).prop_map(|(i, there)| Change::Foreign(i, there)),
    ]
}

fn a_late_step() -> impl Strategy<Value = Late> {
    let step = prop_oneof![
        12 => a_change().prop_map(Step::Submit),
        2 => (0..4usize, any::<bool>()).prop_map(|(i, d)| Step::Down(i, d)),
        1 => (1..12usize).prop_map(Step::Refuse),
        1 => Just(Step::Converged),
        1 => Just(Step::ConvergesAgain),
        1 => Just(Step::Wait),
        1 => a_space().prop_map(Step::Space),
        1 => any::<bool>().prop_map(Step::Aside),
    ];
    let rare = || prop::option::weighted(0.3, a_change_of_others());
    let in_batch = prop::option::weighted(0.4, (0..3usize, a_change_of_others()));
    prop_oneof![
        6 => step.prop_map(Late::Step),
        2 => a_change_of_others().prop_map(Late::Change),
        6 => (any::<bool>(), rare(), in_batch).prop_map(|(hears, listing, batch)| Late::Turn { hears, listing, batch }),
    ]
}

struct LateWorld {
    world: World,
    unheard: Vec<Event>,
    links_gone: BTreeSet<u32>,
}

impl LateWorld {
    fn change(&mut self, change: Change) {
        let kernel = &mut self.world.kernel;
        let before = kernel.list_routes();
        let ours = |r: &&Route| r.protocol == ROUTE_PROTOCOL;
        match change {
            Change::Link(ifindex, up) => {
                self.links_gone.remove(&ifindex);
                kernel.set_link(ifindex, up);
            }
            Change::RemoveLink(ifindex) => {
                self.links_gone.insert(ifindex);
                kernel.set_link(ifindex, false);
            }
            Change::Foreign(number, there) => return self.change_foreign(number, there),
            Change::DeleteNexthop(n) => {
                let nexthops = kernel.list_nexthops();
                let mut of_ours = nexthops.iter().filter(|n| n.protocol == ROUTE_PROTOCOL);
                let Some(nexthop) = of_ours.nth(n) else {
                    return;
                };
                kernel.delete_nexthop(nexthop.id);
                self.unheard.push(Event::Nexthop(nexthop.clone()));
            }
            Change::DeleteRoute(n) => {
                let Some(route) = before.iter().filter(ours).nth(n) else {
                    return;
                };
                kernel
                    .routes
                    .remove(&(route.prefix, route.table, route.metric));
                self.unheard
                    .push(Event::Route(Presence::Gone, route.clone()));
                return;
            }
        }
        // Of IPv6 routes that go with a group the kernel speaks.
        let place = |r: &Route| (r.prefix, r.table, r.metric);
        for route in before {
            let is_gone = !kernel.routes.contains_key(&place(&route));
            if is_gone && matches!(route.prefix, IpNet::V6(_)) {
                self.unheard.push(Event::Route(Presence::Gone, route));
            }
        }
        match change {
            Change::Link(ifindex, up) => self.unheard.push(Event::Link(ifindex, up)),
            Change::RemoveLink(ifindex) => self.unheard.push(Event::LinkGone(ifindex)),
            _ => {}
        }
    }

    /// Somebody else adds or removes a route to a prefix that is wanted, too.
    fn change_foreign(&mut self, number: usize, there: bool) {
        let kernel = &mut self.world.kernel;
        let before = kernel.list_routes();
        let (prefix, place) = (net(PREFIXES[number]), (254, DEFAULT_METRIC));
        // One has its place for good.
        if number == 3 {
            return;
        }
        let id = (prefix, place.0, place.1);
        let is_foreign = kernel.routes.get(&id).is_some_and(|r| r.protocol == 4);
        let find = |routes: Vec<Route>| {
            let mut routes = routes.into_iter();
            routes.find(|r| (r.prefix, r.table, r.metric) == id)
        };
        match (is_foreign, there) {
            (false, true) => {
                let target = Target::Unreachable;
                let route = FakeRoute {
                    protocol: 4,
                    target,
                };
                kernel.routes.insert(id, route);
                let replaces = find(before).is_some();
                let new = find(kernel.list_routes()).unwrap();
                let new = Route { replaces, ..new };
                self.unheard.push(Event::Route(Presence::Present, new));
            }
            (true, false) => {
                let old = find(before).unwrap();
                kernel.routes.remove(&id);
                self.unheard.push(Event::Route(Presence::Gone, old));
            }
            _ => {}
        }
    }

    fn hear(&mut self) {
        let (plan, now) = (&mut self.world.plan, self.world.now);
        for event in self.unheard.drain(..) {
            match event {
                Event::Link(ifindex, up) => {
                    plan.link_state(ifindex, up, now);
                    plan.link_event(ifindex, now);
                }
                Event::Nexthop(nexthop) => plan.nexthop_event(&nexthop),
                Event::LinkGone(ifindex) => {
                    plan.link_gone(ifindex, now);
                    plan.link_event(ifindex, now);
                }
                Event::Route(presence, route) => plan.route_event(presence, &route),
            }
        }
    }

    /// As `Worker::turn` does it.
    fn list(&mut self, meanwhile: Option<Change>) {
        let what = self.world.plan.take_resync();
        if what == Resync::None {
            return;
        }
        let listed = self.world.kernel.list_nexthops();
        self.world.plan.resync_nexthops(listed);
        meanwhile.into_iter().for_each(|change| self.change(change));
        if what == Resync::Everything {
            let World {
                plan, kernel, now, ..
            } = &mut self.world;
            let there = [2, 3].into_iter();
            let there = there.filter(|ifindex| !self.links_gone.contains(ifindex));
            let down = kernel.links_down.difference(&self.links_gone);
            plan.links_listed(there.collect(), down.copied(), *now);
            begin_routes(plan);
            for route in kernel.list_routes() {
                plan.resync_route(&route);
            }
            end_routes(plan);
            plan.resync_rules(kernel.rules.clone());
        }
        self.hear();
    }

    fn turn(&mut self, hears: bool, listing: Option<Change>, batch: Option<(usize, Change)>) {
        if hears {
            self.hear();
            self.list(listing);
        }
        let ops = self.world.plan.next_batch(self.world.now, 3);
        for (number, op) in ops.iter().enumerate() {
            if let Some((_, change)) = batch.filter(|(at, _)| *at == number) {
                self.change(change);
            }
            let World {
                plan, kernel, now, ..
            } = &mut self.world;
            if let Err(errno) = kernel.apply(op) {
                plan.refused(*now, op, KernelError::from_errno(errno));
            }
        }
        self.world.plan.carried_out(&ops);
    }
}

proptest! {
    #![proptest_config(crate::soak::cases(512))]

    /// A route that was removed and put back since is not taken for gone, nor are its group's other routes led elsewhere with it.
    #[test]
    fn whatever_is_heard_late_the_kernel_ends_up_with_what_is_wanted(
        steps in prop::collection::vec(a_late_step(), 0..80),
    ) {
        let mut late = LateWorld { world: World::new(), unheard: Vec::new(), links_gone: BTreeSet::new() };
        late.world.kernel.tells_late = true;
        let foreign = late.world.kernel.foreign();
        for step in steps {
            match step {
                Late::Step(step) => late.world.step(step),
                Late::Change(change) => late.change(change),
                Late::Turn { hears, listing, batch } => late.turn(hears, listing, batch),
            }
            prop_assert!(late.world.plan.records_are_in_order());
        }
        for number in 0..PREFIXES.len() {
            late.change(Change::Foreign(number, false));
        }
        late.hear();
        let mut world = late.world;
        world.step(Step::Drive);
        world.rest();
        prop_assert_eq!(world.kernel.ours(), world.expected());
        prop_assert_eq!(world.kernel.foreign(), foreign);
        for status in statuses(&world.plan, world.now, |p| p != net(PREFIXES[3])) {
            prop_assert_eq!(&status.state, &FibRouteState::Installed, "{:?}", status);
        }
        let contents: BTreeSet<_> = world.kernel.groups.values().map(|members| world.kernel.content(members)).collect();
        prop_assert_eq!(contents.len(), world.kernel.groups.len(), "equal groups: {:?}", world.kernel.groups);
    }
}
