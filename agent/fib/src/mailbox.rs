//! What the RIB's thread hands over, until the plan takes it in.
//!
//! The RIB's thread must not wait for the plan: whoever holds it may be interrupted for milliseconds, as by the kernel, which frees
//! what was written before. It leaves its messages here, and whoever holds the plan next takes them in first: the RIB's thread
//! itself, if the plan is free.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::plan::Plan;
use crate::types::FibChange;

/// With so many there is no room for a further portion of changes; with that one they take some 0.5 ms to be taken in. Routers that are
/// lost or back are never refused: there are as many as peers have next hops.
const CAPACITY: usize = 2048;

#[derive(Debug)]
pub(super) enum Message {
    /// The latest change of a prefix wins.
    Changes(Vec<FibChange>),
    /// Routers, each with the interface to it, are unreachable (`down`) or reachable again.
    NextHops {
        routers: Vec<(IpAddr, u32)>,
        down: bool,
    },
}

impl Message {
    const fn len(&self) -> usize {
        match self {
            Self::Changes(changes) => changes.len(),
            Self::NextHops { routers, .. } => routers.len(),
        }
    }

    fn apply(self, plan: &mut Plan) {
        match self {
            Self::Changes(changes) => plan.submit_all(changes),
            Self::NextHops { routers, down } => {
                for (gateway, ifindex) in routers {
                    plan.set_nexthop_down(gateway, ifindex, down);
                }
            }
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    /// In the order that they came. Held for a push, or to take them all: nanoseconds.
    messages: Mutex<VecDeque<Message>>,
    /// Changes and routers in them.
    waiting: AtomicUsize,
}

impl Mailbox {
    pub(super) fn push(&self, message: Message) {
        let mut messages = self.lock();
        self.waiting.fetch_add(message.len(), Ordering::SeqCst);
        messages.push_back(message);
    }

    /// Whether more changes may be pushed.
    pub(super) fn has_room(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) < CAPACITY
    }

    /// Takes in what waits, in its order; what comes meanwhile is for the next. Returns whether there was anything.
    pub(super) fn empty_into(&self, plan: &mut Plan) -> bool {
        if self.waiting.load(Ordering::SeqCst) == 0 {
            return false;
        }
        let mut messages = self.lock();
        let taken = std::mem::take(&mut *messages);
        self.waiting.store(0, Ordering::SeqCst);
        drop(messages);
        taken.into_iter().for_each(|message| message.apply(plan));
        true
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Message>> {
        // A panic elsewhere is no reason to stop forwarding.
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
