//! What the RIB's thread and BFD's hand over, until the plan takes it in.
//!
//! The RIB's thread must not wait for the plan: whoever holds it may be interrupted for milliseconds, as by the kernel, which frees
//! what was written before. It leaves its messages here, and whoever holds the plan next takes them in first: the RIB's thread
//! itself, if the plan is free. BFD's thread, which has real-time priority, leaves its messages here and takes none in.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::hash::HashMap;
use crate::plan::Plan;
use crate::types::FibChange;

/// With so many there is no room for a further portion of changes; with that one they take some 0.5 ms to be taken in. Routers that are
/// lost or back are never refused: there are as many as peers have next hops.
const CAPACITY: usize = 1024;

/// So many routers are noted without more memory.
const ROUTERS: usize = 1024;

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
#[derive(Debug)]
pub(super) struct Mailbox {
    /// In the order that they came. Held for a push, or to take them all: nanoseconds.
    messages: Mutex<VecDeque<Message>>,
    /// Changes and routers in them.
    waiting: AtomicUsize,
    /// Whether BFD has lost each router: the latest state of each, so that it is never full. A router without an
    /// interface is meant via every one. Held to note one, or to take them all.
    bfd: Mutex<HashMap<(IpAddr, Option<u32>), bool>>,
    /// Whether there are any.
    bfd_waits: AtomicBool,
}

impl Default for Mailbox {
    fn default() -> Self {
        let mut bfd = HashMap::default();
        bfd.reserve(ROUTERS);
        Self {
            messages: Mutex::default(),
            waiting: AtomicUsize::new(0),
            bfd: Mutex::new(bfd),
            bfd_waits: AtomicBool::new(false),
        }
    }
}

impl Mailbox {
    pub(super) fn push(&self, message: Message) {
        let mut messages = lock(&self.messages);
        self.waiting.fetch_add(message.len(), Ordering::SeqCst);
        messages.push_back(message);
    }

    /// BFD has lost a router, or has it back.
    pub(super) fn note_bfd(&self, gateway: IpAddr, ifindex: Option<u32>, down: bool) {
        lock(&self.bfd).insert((gateway, ifindex), down);
        self.bfd_waits.store(true, Ordering::SeqCst);
    }

    /// Whether a router of BFD waits.
    #[cfg(test)]
    pub(super) fn bfd_waits(&self) -> bool {
        self.bfd_waits.load(Ordering::SeqCst)
    }

    /// Whether more changes may be pushed.
    pub(super) fn has_room(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) < CAPACITY
    }

    /// Takes in what waits, routers of BFD first, the rest in its order; what comes meanwhile is for the next. Returns
    /// whether there was anything.
    pub(super) fn empty_into(&self, plan: &mut Plan) -> bool {
        let bfd = self.bfd_waits.swap(false, Ordering::SeqCst);
        if bfd {
            // Not applied while BFD's thread may wait for it.
            let routers: Vec<_> = lock(&self.bfd).drain().collect();
            for ((gateway, ifindex), down) in routers {
                plan.set_bfd_down(gateway, ifindex, down);
            }
        }
        if self.waiting.load(Ordering::SeqCst) == 0 {
            return bfd;
        }
        let mut messages = lock(&self.messages);
        let taken = std::mem::take(&mut *messages);
        self.waiting.store(0, Ordering::SeqCst);
        drop(messages);
        taken.into_iter().for_each(|message| message.apply(plan));
        true
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere is no reason to stop forwarding.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
