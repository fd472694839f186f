//! Routers that are lost, and who says so.
//!
//! The RIB loses a router with the last peer that has a next hop via it; BFD loses it when its path fails. A router is reachable
//! again when nobody says that it is lost: what one of them takes back says nothing about the other.

use std::net::IpAddr;

use super::Nexthops;
use crate::hash::{HashMap, HashSet};
use crate::kernel::op::Object;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Lost {
    rib: HashSet<(IpAddr, u32)>,
    /// Without an interface (multihop): via every interface.
    bfd: HashSet<(IpAddr, Option<u32>)>,
    /// How many objects there are via each interface: a router that is lost via all of them is looked up via each.
    interfaces: HashMap<u32, u32>,
}

impl Lost {
    pub(super) fn is_lost(&self, gateway: IpAddr, ifindex: u32) -> bool {
        self.rib.contains(&(gateway, ifindex))
            || self.bfd.contains(&(gateway, Some(ifindex)))
            || self.bfd.contains(&(gateway, None))
    }

    /// There is one object more via this interface.
    pub(super) fn object_added(&mut self, ifindex: u32) {
        *self.interfaces.entry(ifindex).or_default() += 1;
    }

    /// There is one object less via this interface.
    pub(super) fn object_removed(&mut self, ifindex: u32) {
        if let Some(objects) = self.interfaces.get_mut(&ifindex) {
            *objects -= 1;
            if *objects == 0 {
                self.interfaces.remove(&ifindex);
            }
        }
    }
}

impl Nexthops {
    /// A router is lost via an interface, or no more, as far as the RIB knows.
    pub(in super::super) fn set_lost_by_rib(&mut self, gateway: IpAddr, ifindex: u32, lost: bool) {
        note(&mut self.lost.rib, (gateway, ifindex), lost);
        self.router_changed(gateway, ifindex);
    }

    /// A router is lost via an interface, or via every one (`None`), or no more, as far as BFD knows.
    pub(in super::super) fn set_lost_by_bfd(
        &mut self,
        gateway: IpAddr,
        ifindex: Option<u32>,
        lost: bool,
    ) {
        note(&mut self.lost.bfd, (gateway, ifindex), lost);
        match ifindex {
            Some(ifindex) => self.router_changed(gateway, ifindex),
            None => {
                let mut all: Vec<u32> = self.lost.interfaces.keys().copied().collect();
                all.sort_unstable();
                for ifindex in all {
                    self.router_changed(gateway, ifindex);
                }
            }
        }
    }

    /// The objects that lead to a router via an interface follow what is known of it.
    fn router_changed(&mut self, gateway: IpAddr, ifindex: u32) {
        let down = self.lost.is_lost(gateway, ifindex);
        let ipv6 = gateway.is_ipv6();
        for onlink in [false, true] {
            let object = Object {
                ipv6,
                gateway: Some(gateway),
                ifindex,
                onlink,
            };
            if let Some(&i) = self.object_index.get(&object)
                && std::mem::replace(&mut self.objects[i as usize].down, down) != down
            {
                self.object_changed(i);
            }
        }
    }
}

fn note<K: Eq + std::hash::Hash>(lost: &mut HashSet<K>, router: K, is_lost: bool) {
    if is_lost {
        lost.insert(router);
    } else {
        lost.remove(&router);
    }
}
