//! The way from the RIB to the FIB, with a gate: a node whose Router says so installs nothing.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use routelet_fib::{FibChange, FibHandle};

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

    /// Opens or closes it. Whether it was closed or open before: then the RIB has to hear of it, which sends everything again
    /// to a sink that opens.
    pub(crate) fn set_enabled(&self, enabled: bool) -> bool {
        self.enabled.swap(enabled, Ordering::SeqCst) != enabled
    }

    /// Whether learned routes are installed.
    pub(crate) fn is_enabled(&self) -> bool {
        self.enabled.load(Ordering::SeqCst)
    }

    /// Passes changes on. Blocks for no longer than it takes to note them.
    pub(crate) fn submit(&self, changes: Vec<FibChange>) {
        if self.is_enabled() {
            self.handle.submit(changes);
        }
    }

    /// Passes on that routers are lost (`down`) or used again, each with its interface. Overtakes changes that wait. Also
    /// where nothing is installed any more: then it is nobody's loss.
    pub(crate) fn set_nexthops_down(&self, routers: &[(IpAddr, u32)], down: bool) {
        self.handle.set_nexthops_down(routers, down);
    }
}
