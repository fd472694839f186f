//! The gateways that next hops resolve to, and which of them were lost or are used again.

use std::net::IpAddr;

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};

use super::{NextHops, Place, Resolution};

/// A way out of the node: a router on the link, and the interface.
pub(super) type Way = (IpAddr, u32);

/// Ways that are another thing than was told last: what is lost and regained between two tellings is neither.
#[derive(Default)]
pub(super) struct Untold {
    pub(super) lost: HashSet<Way, RandomState>,
    pub(super) regained: HashSet<Way, RandomState>,
}

impl Untold {
    pub(super) fn is_lost(&mut self, way: Way) {
        if !self.regained.remove(&way) {
            self.lost.insert(way);
        }
    }

    pub(super) fn is_regained(&mut self, way: Way) {
        if !self.lost.remove(&way) {
            self.regained.insert(way);
        }
    }
}

pub(super) fn way(resolution: &Resolution) -> Way {
    (resolution.gateway, resolution.ifindex)
}

/// A next hop less leads over a way. Whether it was the last.
pub(super) fn leave(ways: &mut HashMap<Way, u32, RandomState>, way: Way) -> bool {
    let Some(count) = ways.get_mut(&way) else {
        return false;
    };
    *count -= 1;
    let was_last = *count == 0;
    if was_last {
        ways.remove(&way);
    }
    was_last
}

impl NextHops {
    /// Whether a next hop that is in no set any more was lost with a peer, and not looked at since: the tables let go
    /// of it first.
    pub(super) fn is_lost_with_peer(&self, place: &Place, which: (u32, Option<u32>)) -> bool {
        let mut bringers = place.bringers.iter();
        self.is_losing() && bringers.any(|peer| !self.brings(*peer, which))
    }

    pub(super) fn regain(&mut self, way: Way) {
        if self.lost.remove(&way) {
            self.untold.is_regained(way);
        }
    }

    /// Ways that were lost and that paths lead over again. Asking clears them.
    pub(crate) fn take_regained(&mut self) -> Vec<(IpAddr, u32)> {
        self.untold.regained.drain().collect()
    }

    /// No route is left that could use a lost way: whatever uses one from now on is new.
    pub(crate) fn forget_lost(&mut self) {
        for way in self.lost.drain() {
            self.untold.is_regained(way);
        }
    }
}
