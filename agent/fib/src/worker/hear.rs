//! What the kernel says on its own, for the plan and for the view.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use routelet_base::timing::Holder;

use super::Worker;
use super::requests::BATCH;
use crate::kernel::event::{Event, Presence};
use crate::kernel::{ChannelError, Ears, Heard};
use crate::plan::Plan;

impl Worker {
    /// Takes in everything that there is to be heard.
    pub(super) fn hear(&mut self, now: Instant) -> Result<(), ChannelError> {
        let (master, view_changed) = (&mut self.master, &mut self.view_changed);
        let plan = &self.shared.plan;
        let mut links = BTreeSet::new();
        // Somebody may be waiting for the plan: not while it is read, nor while the view changes.
        let mut take = |events: &mut Vec<Event>| {
            let mut plan = plan.hold(Holder::Fib);
            events
                .iter()
                .for_each(|event| tell(&mut plan, event, &mut links, now));
            drop(plan);
            for event in events.drain(..) {
                *view_changed |= master.apply(event);
            }
        };
        let mut events = Vec::new();
        let mut hear = |event| {
            events.push(event);
            if events.len() == BATCH {
                take(&mut events);
            }
        };
        let early = self.early.take(&mut hear);
        let heard = self.channel.monitor.hear(&mut hear);
        if !events.is_empty() {
            take(&mut events);
        }
        for ifindex in links {
            plan.hold(Holder::Fib).link_event(ifindex, now);
        }
        let heard = heard?;
        if early == Heard::SomeLost || heard == Heard::SomeLost {
            tracing::info!("notifications were lost; listing the kernel's routes");
            plan.hold(Holder::Fib).doubt_everything();
        }
        Ok(())
    }

    /// Hands out a view of what changed, if it is time for one.
    pub(super) fn publish_view(&mut self, now: Instant) {
        self.handed_out.retain(|view| Arc::strong_count(view) > 1);
        if !self.view_changed || now < self.view_not_before {
            return;
        }
        let started = Instant::now();
        self.view_changed = false;
        self.master.set_generation(self.master.generation() + 1);
        let view = Arc::new(self.master.clone());
        self.shared.view.store(Arc::clone(&view));
        self.handed_out.push(Arc::clone(&view));
        self.shared.apply_guard_rails();
        // Guard rails look at all routes that may be on a link: about a twentieth of the time may go into it, and more rather than
        // next hops being a second old.
        self.view_not_before =
            Instant::now() + (started.elapsed() * 20).min(Duration::from_secs(1));
        if let Some(callback) = &self.on_view {
            callback(&view);
        }
    }
}

/// Tells the plan what happened, and notes the interfaces that it happened to: each is looked at once.
fn tell(plan: &mut Plan, event: &Event, links: &mut BTreeSet<u32>, now: Instant) {
    match event {
        Event::Link(presence, link) => {
            match presence {
                Presence::Present => plan.link_state(link.ifindex, link.up, now),
                Presence::Gone => plan.link_gone(link.ifindex, now),
            }
            links.insert(link.ifindex);
        }
        Event::Route(presence, route) => plan.route_event(*presence, route),
        Event::Nexthop(_, nexthop) => plan.nexthop_event(nexthop),
        Event::Rule(presence, rule) => plan.rule_event(*presence, rule),
        Event::Address(Presence::Present, address) => {
            // It can make a gateway reachable.
            links.insert(address.ifindex);
        }
        Event::Address(Presence::Gone, _) => {}
    }
}
