//! Comparing with the kernel. The plan is held for a part of its tables, or a few hundred routes, at a time: the RIB's thread waits for
//! it. Between these parts traffic is moved off routers that are lost, since a listing of a million routes takes a second or two.

use std::time::Instant;

use super::super::handle::Shared;
use super::super::kernel::event::{Event, Nexthop, Presence, Route};
use super::super::kernel::netlink::Netlink;
use super::super::kernel::{ChannelError, DumpKind, Kernel, Listed};
use super::super::plan::{Plan, Resync};
use super::super::refusal::Rule;
use super::super::view::KernelView;
use super::{BATCH, Channel, Worker, carry_out};
use crate::timing::Holder;

impl Worker {
    /// Lists what is in doubt and corrects the plan and the view.
    pub(super) fn resync(&mut self, what: Resync) -> Result<(), ChannelError> {
        let started = Instant::now();
        let nexthops = list_nexthops(&mut self.channel.kernel)?;
        if what == Resync::Nexthops {
            take_nexthops(&self.shared, nexthops);
        } else {
            let view = self.compare_everything(nexthops, started)?;
            self.master = view;
            self.view_changed = true;
        }
        let took = started.elapsed();
        self.doubt.listed(what, took, Instant::now());
        tracing::debug!(?what, ?took, "compared with the kernel");
        Ok(())
    }

    /// Lists everything else as well. Returns the view of it.
    fn compare_everything(
        &mut self,
        nexthops: Vec<Nexthop>,
        started: Instant,
    ) -> Result<KernelView, ChannelError> {
        let Channel { kernel, urgent, .. } = &mut self.channel;
        let shared = &*self.shared;
        let table = shared.plan.hold(Holder::Fib).space().table;
        let mut view = KernelView::new(table, self.master.generation());
        for nexthop in &nexthops {
            view.apply(Event::Nexthop(Presence::Present, nexthop.clone()));
        }
        take_nexthops(shared, nexthops);
        for kind in [DumpKind::Links, DumpKind::Addresses] {
            kernel.dump(kind, &mut |listed| {
                if let Listed::Item(event) = listed {
                    view.apply(event);
                }
            })?;
        }
        let down = view.links().filter(|link| !link.up);
        let down: Vec<u32> = down.map(|link| link.ifindex).collect();
        let there = view.links().map(|link| link.ifindex).collect();
        let mut plan = shared.plan.hold(Holder::Fib);
        plan.links_listed(there, down, started);
        drop(plan);
        let mut listing = Listing::new(shared, urgent);
        kernel.dump(DumpKind::Routes, &mut |listed| match listed {
            Listed::Begin => {
                view.forget_routes();
                listing.begin();
            }
            Listed::Item(event) => {
                if let Event::Route(_, route) = &event {
                    listing.take(route.clone());
                }
                view.apply(event);
            }
        })?;
        listing.hand_over();
        listing.broken.map_or(Ok(()), Err)?;
        let rules = list_rules(kernel)?;
        for part in 0..Plan::PARTS {
            shared.plan.hold(Holder::Fib).resync_part_ends(part);
        }
        let mut plan = shared.plan.hold(Holder::Fib);
        plan.resync_routes_end();
        plan.resync_rules(rules);
        Ok(view)
    }
}

/// Routes of a listing, handed over some at a time.
struct Listing<'a, K> {
    shared: &'a Shared,
    /// Not the channel that lists: what is asked on that is answered behind the listing.
    urgent: &'a mut K,
    routes: Vec<Route>,
    /// Why the channel for what is urgent broke.
    broken: Option<ChannelError>,
}

impl<'a, K: Kernel> Listing<'a, K> {
    fn new(shared: &'a Shared, urgent: &'a mut K) -> Self {
        Self {
            shared,
            urgent,
            routes: Vec::with_capacity(BATCH),
            broken: None,
        }
    }

    fn begin(&mut self) {
        self.routes.clear();
        let plan = &self.shared.plan;
        plan.hold(Holder::Fib).resync_routes_begin();
        for part in 0..Plan::PARTS {
            plan.hold(Holder::Fib).resync_part_begins(part);
        }
    }

    fn take(&mut self, route: Route) {
        self.routes.push(route);
        if self.routes.len() == BATCH {
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        let mut plan = self.shared.plan.hold(Holder::Fib);
        for route in &self.routes {
            plan.resync_route(route);
        }
        let cuts = plan.next_cuts(Instant::now(), BATCH);
        drop(plan);
        self.routes.clear();
        if !cuts.is_empty() && self.broken.is_none() {
            self.broken = carry_out(self.shared, self.urgent, &cuts).err();
        }
    }
}

fn take_nexthops(shared: &Shared, nexthops: Vec<Nexthop>) {
    let mut is_over = shared.plan.hold(Holder::Fib).take_nexthops(nexthops);
    while !is_over {
        is_over = shared.plan.hold(Holder::Fib).lose_some();
    }
}

fn list_nexthops(kernel: &mut Netlink) -> Result<Vec<Nexthop>, ChannelError> {
    let mut nexthops = Vec::new();
    kernel.dump(DumpKind::Nexthops, &mut |listed| match listed {
        Listed::Begin => nexthops.clear(),
        Listed::Item(Event::Nexthop(_, nexthop)) => nexthops.push(nexthop),
        Listed::Item(_) => {}
    })?;
    Ok(nexthops)
}

/// All rules in shapes that we make. A kernel without them (`CONFIG_IP_MULTIPLE_TABLES`) has none, and refuses those that are added.
fn list_rules(kernel: &mut Netlink) -> Result<Vec<Rule>, ChannelError> {
    let mut rules = Vec::new();
    let listed = kernel.dump(DumpKind::Rules, &mut |listed| match listed {
        Listed::Begin => rules.clear(),
        Listed::Item(Event::Rule(_, rule)) => rules.push(rule),
        Listed::Item(_) => {}
    });
    match listed {
        Err(ChannelError::Dump { error, .. }) if error.errno == libc::EOPNOTSUPP => Ok(Vec::new()),
        other => other.map(|()| rules),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::net::UnixStream;

    use super::super::super::kernel::Refusal;
    use super::super::super::plan::Op;
    use super::super::super::types::{FibChange, FibNexthop, FibRoute};
    use super::super::super::{FibConfig, kernel::event::RouteKind};
    use super::*;

    /// Does everything, and remembers what.
    #[derive(Default)]
    struct Willing(Vec<Op>);

    impl Kernel for Willing {
        fn execute(&mut self, ops: &[Op], _: &mut Vec<Refusal>) -> Result<(), ChannelError> {
            self.0.extend(ops.iter().cloned());
            Ok(())
        }

        fn dump(&mut self, _: DumpKind, _: &mut dyn FnMut(Listed)) -> Result<(), ChannelError> {
            Ok(())
        }
    }

    fn route(n: u32) -> Route {
        Route {
            prefix: ipnet::IpNet::new(
                std::net::Ipv4Addr::from_bits(0x0c00_0000 + (n << 8)).into(),
                24,
            )
            .unwrap(),
            table: 254,
            protocol: 4,
            metric: 20,
            kind: RouteKind::Unicast,
            replaces: false,
            special: false,
            nexthop_id: None,
            hops: smallvec::SmallVec::new(),
        }
    }

    #[test]
    fn a_lost_router_is_cut_while_routes_are_listed() {
        let (wake, _woken) = UnixStream::pair().unwrap();
        let shared = Shared::new(&FibConfig::default(), wake);
        let mut kernel = Willing::default();
        let gateways = ["192.0.2.1", "192.0.2.2"].map(|gateway| gateway.parse().unwrap());
        let ways = gateways.map(|gateway| FibNexthop::via(gateway, 2));
        let both = FibRoute {
            nexthops: ways.into_iter().collect(),
        };
        let prefix = "203.0.113.0/24".parse().unwrap();
        let change = FibChange::install(prefix, both);
        shared.plan.hold(Holder::Rib).submit_all(vec![change]);
        loop {
            let ops = shared
                .plan
                .hold(Holder::Fib)
                .next_batch(Instant::now(), BATCH);
            if ops.is_empty() {
                break;
            }
            carry_out(&shared, &mut kernel, &ops).unwrap();
        }
        kernel.0.clear();

        let mut listing = Listing::new(&shared, &mut kernel);
        listing.begin();
        (0..1000).for_each(|n| listing.take(route(n)));
        shared
            .plan
            .hold(Holder::Rib)
            .set_nexthop_down(gateways[0], 2, true);
        (1000..2000).for_each(|n| listing.take(route(n)));
        // The listing has not ended and holds no route of ours: nothing else is done before that.
        assert!(
            matches!(kernel.0.as_slice(), [Op::DeleteNexthop { .. }]),
            "{:?}",
            kernel.0
        );
    }
}
