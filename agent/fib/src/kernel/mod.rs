//! The kernel as the FIB sees it: what can be asked of it, and what it tells.
//!
//! [`Kernel`] is the seam between the plan and the machine. The real one is [`netlink::Netlink`]: a blocking socket for
//! requests and a second one for notifications. Tests of the plan use one made of maps.

pub mod event;
#[cfg(feature = "netlink")]
#[allow(clippy::disallowed_methods)] // How long a listing takes.
pub mod netlink;
pub(super) mod op;
#[cfg(feature = "netlink")]
pub(super) mod socket;
#[cfg(feature = "netlink")]
mod wire;

use crate::types::KernelError;
use bgp::os_error::OsError;
pub use event::Event;
use op::Op;

/// What to list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DumpKind {
    /// Every interface.
    Links,
    /// Every address on them.
    Addresses,
    /// Every nexthop object and group, whoever made it.
    Nexthops,
    /// Every route of every table, whoever made it.
    Routes,
    /// Every routing rule, each family's in the order in which they are consulted.
    Rules,
}

/// A part of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listed {
    /// It begins, perhaps for another time: forget what came before.
    Begin,
    /// There is this.
    Item(Event),
}

/// The operation at this place of a batch was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Index into the operations of the batch.
    pub index: usize,
    /// What the kernel said.
    pub error: KernelError,
}

/// The way to the kernel is broken, as opposed to the kernel refusing one thing. The caller opens a new one and compares
/// everything.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// A system call failed.
    #[error("netlink {call}: {source}")]
    Io {
        /// Which one.
        call: &'static str,
        /// Why.
        source: OsError,
    },
    /// The kernel did not answer in time.
    #[error("netlink: the kernel has not answered a {what} for {seconds} s")]
    Timeout {
        /// Which request.
        what: &'static str,
        /// How long was waited.
        seconds: u64,
    },
    /// The kernel refused a listing.
    #[error("netlink: listing {what:?} failed: {error}")]
    Dump {
        /// What was listed.
        what: DumpKind,
        /// What the kernel said.
        error: KernelError,
    },
    /// The kernel has no nexthop objects (before Linux 5.3).
    #[error(
        "this kernel has no nexthop objects ({error}): routes are installed through them, so Linux 5.3 or later is needed; \
         run without a FIB (fib.enabled: false) or update the kernel"
    )]
    NoNexthopObjects {
        /// What the kernel said.
        error: KernelError,
    },
    /// The process may not change routes.
    #[error(
        "not allowed to change routes ({error}): CAP_NET_ADMIN is needed in the network namespace; give the container \
         `capabilities: {{add: [NET_ADMIN]}}`, or start as root"
    )]
    NotPermitted {
        /// What the kernel said.
        error: KernelError,
    },
}

/// What others do to the kernel, as it says.
pub trait Ears {
    /// Everything that is there to be heard, without waiting.
    ///
    /// # Errors
    /// The channel is broken.
    fn hear(&mut self, each: &mut dyn FnMut(Event)) -> Result<Heard, ChannelError>;
}

/// Whether what was heard is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Everything since the last time.
    Everything,
    /// Some were lost because the buffer was full: everything has to be listed.
    SomeLost,
}

/// A way to the kernel's routes.
pub trait Kernel {
    /// Carries out `ops` in order and adds the refused ones to `refusals`. A refused one does not stop the others.
    ///
    /// # Errors
    /// The channel is broken; some of the operations may have been carried out.
    fn execute(&mut self, ops: &[Op], refusals: &mut Vec<Refusal>) -> Result<(), ChannelError>;

    /// Lists what there is. If something changed meanwhile the listing begins anew, and says so.
    ///
    /// # Errors
    /// The channel is broken, or the kernel refuses.
    fn dump(&mut self, what: DumpKind, each: &mut dyn FnMut(Listed)) -> Result<(), ChannelError>;
}
