//! What is done within a listing.
#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use super::super::requests::carry_out;
use super::super::urgent::Early;
use super::*;
use crate::FibConfig;
use crate::kernel::event::{Hop, Link, NexthopKind, RouteKind};
use crate::kernel::{Heard, Refusal};
use crate::plan::{Object, Op};
use crate::types::{FibChange, FibNexthop, FibRoute, KernelError, MAIN_TABLE, ROUTE_PROTOCOL};

/// Of the kernel, nexthop objects and groups.
#[derive(Default)]
struct Nexthops {
    objects: BTreeMap<u32, Object>,
    groups: BTreeMap<u32, Vec<(u32, u8)>>,
    /// So many are not removed.
    refuses: usize,
    removed: Vec<u32>,
    listings: usize,
    /// This one goes as soon as it was listed.
    goes: Option<u32>,
    /// What it says.
    says: Rc<RefCell<Vec<Event>>>,
}

impl Nexthops {
    fn remove(&mut self, id: u32) {
        self.objects.remove(&id);
        self.groups.remove(&id);
        for members in self.groups.values_mut() {
            members.retain(|member| member.0 != id);
        }
        self.groups.retain(|_, members| !members.is_empty());
    }

    fn list(&self) -> Vec<Nexthop> {
        let nexthop = |id, kind| Nexthop {
            id,
            protocol: ROUTE_PROTOCOL,
            kind,
        };
        let objects = self.objects.iter().map(|(&id, object)| {
            let hop = Hop {
                gateway: object.gateway,
                ifindex: object.ifindex,
                onlink: object.onlink,
            };
            let family = libc::AF_INET as u8;
            nexthop(id, NexthopKind::Single { family, hop })
        });
        let groups = self.groups.iter().map(|(&id, members)| {
            let members = members.iter().map(|&(id, weight)| (id, weight.into()));
            nexthop(id, NexthopKind::Group(members.collect()))
        });
        objects.chain(groups).collect()
    }

    /// The object that leads to a router.
    fn object_to(&self, router: IpAddr) -> Option<u32> {
        let mut objects = self.objects.iter();
        let to = objects.find(|(_, object)| object.gateway == Some(router));
        to.map(|(&id, _)| id)
    }
}

impl Kernel for Nexthops {
    fn execute(&mut self, ops: &[Op], refusals: &mut Vec<Refusal>) -> Result<(), ChannelError> {
        for (index, op) in ops.iter().enumerate() {
            match op {
                Op::AddObject { id, object } => {
                    self.objects.insert(*id, *object);
                }
                Op::AddGroup { id, members } | Op::ReplaceGroup { id, members } => {
                    self.groups.insert(*id, members.clone());
                }
                Op::DeleteNexthop { .. } if self.refuses > 0 => {
                    self.refuses -= 1;
                    let error = KernelError::from_errno(libc::ENOMEM);
                    refusals.push(Refusal { index, error });
                }
                Op::DeleteNexthop { id } => {
                    self.removed.push(*id);
                    self.remove(*id);
                }
                Op::Route(_) | Op::Refuse(_) | Op::Rule(..) => {}
            }
        }
        Ok(())
    }

    fn dump(&mut self, what: DumpKind, each: &mut dyn FnMut(Listed)) -> Result<(), ChannelError> {
        assert_eq!(what, DumpKind::Nexthops);
        self.listings += 1;
        each(Listed::Begin);
        for nexthop in self.list() {
            each(Listed::Item(Event::Nexthop(Presence::Present, nexthop)));
        }
        if let Some(id) = self.goes.take() {
            let gone = self.list().into_iter().find(|one| one.id == id).unwrap();
            self.remove(id);
            let gone = Event::Nexthop(Presence::Gone, gone);
            self.says.borrow_mut().push(gone);
        }
        Ok(())
    }
}

/// What it says.
impl Ears for &RefCell<Vec<Event>> {
    fn hear(&mut self, each: &mut dyn FnMut(Event)) -> Result<Heard, ChannelError> {
        self.take().into_iter().for_each(each);
        Ok(Heard::Everything)
    }
}

fn route(n: u32) -> Route {
    let address = std::net::Ipv4Addr::from_bits(0x0c00_0000 + (n << 8));
    Route {
        prefix: ipnet::IpNet::new(address.into(), 24).unwrap(),
        table: MAIN_TABLE,
        protocol: 4,
        metric: 20,
        kind: RouteKind::Unicast,
        replaces: false,
        special: false,
        nexthop_id: None,
        hops: smallvec::SmallVec::new(),
    }
}

/// A route over some routers, in the kernel.
struct World {
    shared: Shared,
    kernel: Nexthops,
    routers: Vec<IpAddr>,
    early: Early,
}

impl World {
    fn over(routers: u8) -> Self {
        let (wake, _woken) = UnixStream::pair().unwrap();
        let shared = Shared::new(&FibConfig::default(), wake);
        let mut kernel = Nexthops::default();
        let routers: Vec<IpAddr> = (1..=routers).map(|n| [192, 0, 2, n].into()).collect();
        let ways = routers.iter().map(|router| FibNexthop::via(*router, 2));
        let nexthops = ways.collect();
        let prefix = "203.0.113.0/24".parse().unwrap();
        let change = FibChange::install(prefix, FibRoute { nexthops });
        shared.plan.hold(Holder::Rib).submit_all(vec![change]);
        loop {
            let mut plan = shared.plan.hold(Holder::Fib);
            let ops = plan.next_batch(Instant::now(), BATCH);
            if ops.is_empty() && !plan.is_walking() {
                break;
            }
            drop(plan);
            carry_out(&shared, &mut kernel, &ops).unwrap();
        }
        assert_eq!(kernel.groups.len(), 1);
        Self {
            shared,
            kernel,
            routers,
            early: Early::default(),
        }
    }

    /// Lists many routes, and in the middle of that, the first router is lost, and the kernel says this. What is seen is what was
    /// done by the end of the listing.
    fn list_and_lose(&mut self, said: Vec<Event>) {
        let monitor = Rc::clone(&self.kernel.says);
        let mut ears = &*monitor;
        let urgent = Urgent::new(&self.shared, &mut self.kernel, &mut ears, &mut self.early);
        let mut listing = Listing::new(urgent);
        listing.begin();
        (0..1000).for_each(|n| listing.take(route(n)));
        let mut plan = self.shared.plan.hold(Holder::Rib);
        plan.set_nexthop_down(self.routers[0], 2, true);
        drop(plan);
        monitor.replace(said);
        (1000..2000).for_each(|n| listing.take(route(n)));
        // It has not ended and holds no route of ours: nothing else is done before that.
        listing.urgent.end().unwrap();
    }

    fn members(&self) -> Vec<usize> {
        let groups = self.kernel.groups.values();
        groups.map(Vec::len).collect()
    }
}

#[test]
fn a_lost_router_is_cut_while_routes_are_listed() {
    let mut world = World::over(2);
    let lost = world.kernel.object_to(world.routers[0]).unwrap();
    world.list_and_lose(Vec::new());
    assert_eq!(world.kernel.removed, [lost]);
    assert_eq!(world.members(), [1]);
    assert_eq!(world.kernel.listings, 0, "nothing was in doubt");
}

/// Somebody removes the object of one of the others, or the kernel does, with its interface: after nexthop objects were listed.
fn removed_meanwhile(routers: u8, tells: impl Fn(Nexthop) -> Event) -> World {
    let mut world = World::over(routers);
    let other = world.kernel.object_to(world.routers[1]).unwrap();
    let nexthops = world.kernel.list();
    let nexthop = nexthops.into_iter().find(|one| one.id == other).unwrap();
    world.kernel.remove(other);
    world.list_and_lose(vec![tells(nexthop)]);
    world
}

fn gone(nexthop: Nexthop) -> Event {
    Event::Nexthop(Presence::Gone, nexthop)
}

fn link_down(_: Nexthop) -> Event {
    let link = Link {
        ifindex: 2,
        name: "eth0".to_owned(),
        admin_up: true,
        up: false,
        loopback: false,
    };
    Event::Link(Presence::Present, link)
}

#[test]
fn a_lost_router_that_is_alone_in_its_group_by_now_is_not_cut_within_a_listing() {
    for tells in [gone, link_down] {
        let world = removed_meanwhile(2, tells);
        assert_eq!(world.kernel.removed, [0; 0]);
        assert_eq!(world.members(), [1], "the route is there");
        assert_eq!(world.kernel.listings, 1);
    }
}

/// Nexthop objects were listed because of something else, and the kernel has removed one since: what it said of that is heard first.
#[test]
fn what_goes_while_nexthop_objects_are_listed_is_heard_before_a_router_is_cut() {
    let mut world = World::over(2);
    world.kernel.goes = world.kernel.object_to(world.routers[1]);
    let Event::Link(presence, link) = link_down(world.kernel.list().remove(0)) else {
        unreachable!()
    };
    let other = Event::Link(presence, Link { ifindex: 3, ..link });
    world.list_and_lose(vec![other]);
    assert_eq!(world.kernel.removed, [0; 0]);
    assert_eq!(world.members(), [1], "the route is there");
}

/// As much as the kernel would keep is kept, and more is listed again.
#[test]
fn what_is_heard_before_its_time_is_bounded() {
    let mut world = World::over(2);
    let others = |n: u32| (0..n).map(|n| Event::Route(Presence::Present, route(n)));
    world.list_and_lose(others(1 << 16).collect());
    let mut heard = 0;
    assert_eq!(world.early.take(&mut |_| heard += 1), Heard::Everything);
    assert_eq!(heard, 1 << 16);
    let mut world = World::over(2);
    world.list_and_lose(others((1 << 16) + 1).collect());
    assert_eq!(world.early.take(&mut |_| ()), Heard::SomeLost);
    assert_eq!(world.kernel.removed.len(), 1);
}

#[test]
fn a_lost_router_is_cut_within_a_listing_although_another_one_was_removed() {
    for tells in [gone, link_down] {
        let mut world = removed_meanwhile(3, tells);
        assert_eq!(world.kernel.removed.len(), 1);
        assert_eq!(world.members(), [1]);
        assert_eq!(world.kernel.object_to(world.routers[0]), None);
        // What was heard counts for the view as well, and for routes.
        let mut later = 0;
        world.early.take(&mut |_| later += 1);
        assert_eq!(later, 1);
    }
}

/// The routes that a listing did not hold are looked for in parts, of which each can take long.
#[test]
fn a_lost_router_is_cut_while_a_listing_ends() {
    let mut world = World::over(2);
    let monitor = RefCell::new(Vec::new());
    let mut ears = &monitor;
    let urgent = Urgent::new(
        &world.shared,
        &mut world.kernel,
        &mut ears,
        &mut world.early,
    );
    let mut listing = Listing::new(urgent);
    listing.begin();
    let mut plan = world.shared.plan.hold(Holder::Rib);
    plan.set_nexthop_down(world.routers[0], 2, true);
    drop(plan);
    listing.end().unwrap();
    assert_eq!(world.kernel.removed.len(), 1);
}

#[test]
fn a_cut_that_the_kernel_refuses_is_tried_again_within_the_listing() {
    let mut world = World::over(2);
    world.kernel.refuses = 1;
    world.list_and_lose(Vec::new());
    assert_eq!(world.kernel.removed.len(), 1);
    assert_eq!((world.members(), world.kernel.listings), (vec![1], 1));
}
