//! Interfaces that carry nothing: set down, without a carrier, or removed.
//!
//! The kernel removes the nexthop objects over such an interface, without a notification, from all groups, and groups without members
//! with their routes. It takes no new ones. So an object over it is treated as one that is lost: it leaves its groups before the
//! RIB is asked, should the kernel not have removed it, and is not made again before the interface is back. What is wanted
//! then is the RIB's to say.

use std::collections::BTreeSet;
use std::time::Instant;

use super::super::failure::Failure;
use super::Nexthops;
use crate::hash::{HashMap, HashSet};
use crate::types::KernelError;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// Those that carry nothing, and since when that is known.
    down: HashMap<u32, Instant>,
    /// Those of them that were removed: nobody reports anything of them any more, so they are forgotten with the last object.
    gone: HashSet<u32>,
}

impl Links {
    pub(super) fn is_down(&self, ifindex: u32) -> bool {
        self.down.contains_key(&ifindex)
    }

    /// Why no object is made over an interface: the kernel would say so, and is not asked before that is over.
    pub(super) fn failure(&self, ifindex: u32) -> Option<Failure> {
        let since = self.down.get(&ifindex)?;
        let error = KernelError::from_errno(libc::ENETDOWN);
        Some(Failure::record(None, error, *since))
    }
}

impl Nexthops {
    /// An interface carries packets, or none any more, for the objects over it now and those that will be.
    pub(in super::super) fn set_link(&mut self, ifindex: u32, down: bool, now: Instant) {
        self.links.gone.remove(&ifindex);
        let changed = if down {
            self.links.down.insert(ifindex, now).is_none()
        } else {
            self.links.down.remove(&ifindex).is_some()
        };
        if !changed {
            return;
        }
        let objects = self.object_index.iter();
        let over = objects.filter(|(object, _)| object.ifindex == ifindex);
        let mut over: Vec<u32> = over.map(|(_, &i)| i).collect();
        over.sort_unstable();
        for i in over {
            let failure = self.links.failure(ifindex);
            let state = &mut self.objects[i as usize];
            state.link_down = down;
            state.failure = failure;
            self.object_changed(i);
        }
    }

    /// An interface was removed.
    pub(in super::super) fn link_gone(&mut self, ifindex: u32, now: Instant) {
        self.set_link(ifindex, true, now);
        self.links.gone.insert(ifindex);
        self.forget_gone_links();
    }

    /// Forgets interfaces that were removed and have no object any more.
    fn forget_gone_links(&mut self) {
        let used: HashSet<u32> = self.object_index.keys().map(|o| o.ifindex).collect();
        let links = &mut self.links;
        let (down, gone) = (&mut links.down, &mut links.gone);
        gone.retain(|ifindex| {
            let is_used = used.contains(ifindex);
            if !is_used {
                down.remove(ifindex);
            }
            is_used
        });
    }

    /// These interfaces are there, and of them, these carry nothing. One that was removed carries nothing either.
    pub(in super::super) fn set_links_down(
        &mut self,
        there: &BTreeSet<u32>,
        down: &HashSet<u32>,
        now: Instant,
    ) {
        let known = self.links.down.keys();
        let up: Vec<u32> = known
            .filter(|i| there.contains(*i) && !down.contains(*i))
            .copied()
            .collect();
        for ifindex in up {
            self.set_link(ifindex, false, now);
        }
        let used = self.object_index.keys().map(|object| object.ifindex);
        let gone: BTreeSet<u32> = used.filter(|ifindex| !there.contains(ifindex)).collect();
        for ifindex in gone {
            self.set_link(ifindex, true, now);
            self.links.gone.insert(ifindex);
        }
        self.forget_gone_links();
        for &ifindex in down {
            self.set_link(ifindex, true, now);
        }
    }
}
