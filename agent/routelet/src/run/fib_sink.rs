//! The way from the RIB to the FIB, with a gate: a node whose Router says so installs nothing.

use std::net::IpAddr;
use std::num::NonZeroU8;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use routelet_fib::{FibChange, FibHandle, FibNexthop, FibRoute};

/// Where the RIB's thread puts what the kernel should hold.
#[derive(Clone)]
pub(crate) struct FibSink {
    handle: FibHandle,
    enabled: Arc<AtomicBool>,
}

impl FibSink {
    /// A closed sink.
    pub(crate) fn new(handle: FibHandle) -> Self {
        Self {
            handle,
            enabled: Arc::new(AtomicBool::new(false)),
        }
    }

    /// Opens or closes it. Whether it was closed or open before: then the RIB has to hear of it, which sends everything
    /// again to a sink that opens.
    pub(crate) fn set_enabled(&self, enabled: bool) -> bool {
        self.enabled.swap(enabled, Ordering::SeqCst) != enabled
    }

    /// Whether learned routes are installed.
    pub(crate) fn is_enabled(&self) -> bool {
        self.enabled.load(Ordering::SeqCst)
    }

    /// Whether more changes may be passed on.
    pub(crate) fn has_room(&self) -> bool {
        self.handle.has_room()
    }

    /// Passes changes on, without waiting: some thousand at most, and where [`Self::has_room`].
    pub(crate) fn hand_over(&self, changes: Vec<FibChange>) {
        if self.is_enabled() {
            self.handle.hand_over(changes);
        }
    }

    /// Passes on that routers are lost (`down`) or used again, each with its interface. Overtakes changes that wait.
    /// Also where nothing is installed any more: then it is nobody's loss.
    pub(crate) fn set_nexthops_down(&self, routers: &[(IpAddr, u32)], down: bool) {
        self.handle.set_nexthops_down(routers, down);
    }
}

/// The RIB's choice in the FIB's terms.
pub(super) fn fib_route(route: &rib::FibRoute) -> FibRoute {
    let next_hops = route.next_hops.iter();
    let nexthops = next_hops.map(|next_hop| FibNexthop {
        gateway: Some(next_hop.gateway),
        ifindex: next_hop.ifindex,
        weight: u8::try_from(next_hop.weight)
            .ok()
            .and_then(NonZeroU8::new)
            .unwrap_or(NonZeroU8::MAX),
        onlink: next_hop.onlink,
    });
    FibRoute {
        nexthops: nexthops.collect(),
    }
}
