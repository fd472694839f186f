//! The gateways that next hops resolve to, and which of them were lost or are used again.

use std::net::IpAddr;

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};

use super::{NextHops, Place, Resolution};

/// A router on the link, and the interface.
pub(super) type Gateway = (IpAddr, u32);

/// Gateways whose state differs from the one reported last: one that is lost and regained between two reports is in neither set.
#[derive(Default)]
pub(super) struct Unreported {
    pub(super) lost: HashSet<Gateway, RandomState>,
    pub(super) regained: HashSet<Gateway, RandomState>,
}

impl Unreported {
    pub(super) fn is_lost(&mut self, gateway: Gateway) {
        if !self.regained.remove(&gateway) {
            self.lost.insert(gateway);
        }
    }

    pub(super) fn is_regained(&mut self, gateway: Gateway) {
        if !self.lost.remove(&gateway) {
            self.regained.insert(gateway);
        }
    }
}

pub(super) fn gateway(resolution: &Resolution) -> Gateway {
    (resolution.gateway, resolution.ifindex)
}

/// Counts one next hop less for a gateway. Returns whether it was the last.
pub(super) fn leave(gateways: &mut HashMap<Gateway, u32, RandomState>, gateway: Gateway) -> bool {
    let Some(count) = gateways.get_mut(&gateway) else {
        return false;
    };
    *count -= 1;
    let was_last = *count == 0;
    if was_last {
        gateways.remove(&gateway);
    }
    was_last
}

impl NextHops {
    /// Whether a next hop that no set has any more was lost with a peer and is not processed yet: the tables released
    /// it first.
    pub(super) fn is_lost_with_peer(&self, place: &Place, which: (u32, Option<u32>)) -> bool {
        let mut peers = place.peers.iter();
        self.is_losing() && peers.any(|peer| !self.brings(*peer, which))
    }

    pub(super) fn regain(&mut self, gateway: Gateway) {
        if self.lost.remove(&gateway) {
            self.unreported.is_regained(gateway);
        }
    }

    /// Gateways that were lost and that paths lead over again. Asking clears them.
    pub(crate) fn take_regained(&mut self) -> Vec<(IpAddr, u32)> {
        self.unreported.regained.drain().collect()
    }

    /// No route uses a lost gateway any more.
    pub(crate) fn forget_lost(&mut self) {
        for gateway in self.lost.drain() {
            self.unreported.is_regained(gateway);
        }
    }
}
