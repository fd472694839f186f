//! What cannot wait for the end of a listing of routes: a router that is lost is cut from its groups.
//!
//! A group without members vanishes, and its routes with it. So what the groups have is known as of now before one is cut: what the
//! kernel has said so far is heard, and if that is of nexthop objects, or of an interface that it took them from, they are listed
//! again, as they are when it refuses a cut. That is not often, however it goes on: see [`Doubt`].

use std::time::Instant;

use routelet_base::timing::Holder;

use super::requests::{BATCH, carry_out, list_nexthops};
use crate::doubt::Doubt;
use crate::kernel::event::{Event, Presence};
use crate::kernel::{ChannelError, Ears, Heard, Kernel};
use crate::plan::Resync;
use crate::shared::Shared;

/// How much of that is kept: more than the kernel would keep for us.
const MOST_EARLY: usize = 1 << 16;

/// What was heard before its time.
#[derive(Debug, Default)]
pub(super) struct Early {
    events: Vec<Event>,
    some_lost: bool,
}

impl Early {
    /// What is too much is listed again, as when the kernel has lost some. All of it, so that what is left follows without a gap: the
    /// news that a link went down, without those of its routes that came again, would forget the routes for good.
    fn bound(&mut self) {
        if self.events.len() > MOST_EARLY {
            *self = Self {
                events: Vec::new(),
                some_lost: true,
            };
        }
    }

    /// Hands over what was heard, in its order. Returns whether that is everything.
    pub(super) fn take(&mut self, each: &mut dyn FnMut(Event)) -> Heard {
        let Self { events, some_lost } = std::mem::take(self);
        events.into_iter().for_each(each);
        match some_lost {
            true => Heard::SomeLost,
            false => Heard::Everything,
        }
    }
}

/// See the module.
pub(super) struct Urgent<'a, K, E> {
    pub(super) shared: &'a Shared,
    /// Not the channel that lists: what is asked on that is answered behind the listing.
    kernel: &'a mut K,
    monitor: &'a mut E,
    early: &'a mut Early,
    doubt: Doubt,
    /// Why a channel broke.
    broken: Option<ChannelError>,
}

impl<'a, K: Kernel, E: Ears> Urgent<'a, K, E> {
    pub(super) fn new(
        shared: &'a Shared,
        kernel: &'a mut K,
        monitor: &'a mut E,
        early: &'a mut Early,
    ) -> Self {
        Self {
            shared,
            kernel,
            monitor,
            early,
            doubt: Doubt::new(Instant::now()),
            broken: None,
        }
    }

    /// Cuts what is lost.
    pub(super) fn cut(&mut self) {
        while self.broken.is_none() {
            match self.try_to_cut() {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => self.broken = Some(error),
            }
        }
    }

    /// Whether it is to be tried again at once: the kernel may not have done all of it.
    fn try_to_cut(&mut self) -> Result<bool, ChannelError> {
        self.hear()?;
        if self.shared.plan.hold(Holder::Fib).is_in_doubt() {
            // What was said while they were listed is heard before anything is cut.
            return self.list();
        }
        let mut plan = self.shared.plan.hold(Holder::Fib);
        let cuts = plan.next_cuts(Instant::now(), BATCH);
        drop(plan);
        if cuts.is_empty() {
            return Ok(false);
        }
        carry_out(self.shared, self.kernel, &cuts)?;
        Ok(self.shared.plan.hold(Holder::Fib).is_in_doubt())
    }

    /// Lists nexthop objects, if it is not too soon.
    fn list(&mut self) -> Result<bool, ChannelError> {
        let started = Instant::now();
        self.doubt.add(Resync::Nexthops, true);
        if self.doubt.due(started) == Resync::None {
            return Ok(false);
        }
        let listed = list_nexthops(self.kernel)?.into_iter().collect();
        let plan = &self.shared.plan;
        let mut is_over = plan.hold(Holder::Fib).take_nexthops_within(listed);
        while !is_over {
            is_over = plan.hold(Holder::Fib).take_more_nexthops();
        }
        let now = Instant::now();
        self.doubt.listed(Resync::Nexthops, now - started, now);
        Ok(true)
    }

    /// Hears whether groups may have lost members. All of it is kept for the end of the listing.
    fn hear(&mut self) -> Result<(), ChannelError> {
        let before = self.early.events.len();
        let events = &mut self.early.events;
        let heard = self.monitor.hear(&mut |event| events.push(event))?;
        let some_lost = heard == Heard::SomeLost;
        self.early.some_lost |= some_lost;
        let news = &self.early.events[before..];
        if news.is_empty() && !some_lost {
            return Ok(());
        }
        let mut plan = self.shared.plan.hold(Holder::Fib);
        if some_lost {
            plan.doubt_nexthops();
        }
        for event in news {
            match event {
                Event::Nexthop(_, nexthop) => plan.nexthop_event(nexthop),
                Event::Link(Presence::Present, link) if link.up => {}
                // The kernel has removed what there was over it.
                Event::Link(..) => plan.doubt_nexthops(),
                Event::Route(..) | Event::Address(..) | Event::Rule(..) => {}
            }
        }
        drop(plan);
        self.early.bound();
        Ok(())
    }

    /// The listing has ended.
    pub(super) fn end(self) -> Result<(), ChannelError> {
        self.broken.map_or(Ok(()), Err)
    }
}
