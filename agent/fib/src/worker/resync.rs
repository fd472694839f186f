//! Comparing with the kernel. The plan is held for a part of its tables, or a few hundred routes, at a time: others wait for
//! it. Between these parts traffic is moved off routers that are lost, since a listing of a million routes takes a second or two.

use std::time::Instant;

use routelet_base::timing::Holder;

use super::requests::{BATCH, list_nexthops, list_rules};
use super::urgent::Urgent;
use super::{Channel, Worker};
use crate::kernel::event::{Event, Nexthop, Presence, Route};
use crate::kernel::{ChannelError, DumpKind, Ears, Kernel, Listed};
use crate::plan::{Plan, Resync};
use crate::shared::Shared;
use crate::view::KernelView;

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
        let Channel {
            kernel,
            urgent,
            monitor,
        } = &mut self.channel;
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
        let mut listing = Listing::new(Urgent::new(shared, urgent, monitor, &mut self.early));
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
        let rules = list_rules(kernel)?;
        listing.end()?;
        let mut plan = shared.plan.hold(Holder::Fib);
        plan.resync_routes_end();
        plan.resync_rules(rules);
        Ok(view)
    }
}

/// Routes of a listing, handed over some at a time.
struct Listing<'a, K, E> {
    urgent: Urgent<'a, K, E>,
    routes: Vec<Route>,
}

impl<'a, K: Kernel, E: Ears> Listing<'a, K, E> {
    fn new(urgent: Urgent<'a, K, E>) -> Self {
        Self {
            urgent,
            routes: Vec::with_capacity(BATCH),
        }
    }

    fn begin(&mut self) {
        self.routes.clear();
        let plan = &self.urgent.shared.plan;
        plan.hold(Holder::Fib).resync_routes_begin();
        for part in 0..Plan::PARTS {
            plan.hold(Holder::Fib).resync_part_begins(part);
        }
    }

    /// All routes have been listed.
    fn end(mut self) -> Result<(), ChannelError> {
        for part in 0..Plan::PARTS {
            let mut plan = self.urgent.shared.plan.hold(Holder::Fib);
            plan.resync_part_ends(part);
            let may_cut = plan.may_cut();
            drop(plan);
            if may_cut {
                self.urgent.cut();
            }
        }
        self.urgent.end()
    }

    fn take(&mut self, route: Route) {
        self.routes.push(route);
        if self.routes.len() == BATCH {
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        let mut plan = self.urgent.shared.plan.hold(Holder::Fib);
        for route in &self.routes {
            plan.resync_route(route);
        }
        let may_cut = plan.may_cut();
        drop(plan);
        self.routes.clear();
        if may_cut {
            self.urgent.cut();
        }
    }
}

fn take_nexthops(shared: &Shared, nexthops: Vec<Nexthop>) {
    let listed = nexthops.into_iter().collect();
    let mut is_over = shared.plan.hold(Holder::Fib).take_nexthops(listed);
    while !is_over {
        is_over = shared.plan.hold(Holder::Fib).take_more_nexthops();
    }
}

#[cfg(test)]
mod tests;
