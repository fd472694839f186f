//! The forwarding table: from what the RIB wants to what the kernel does.
//!
//! - [`types`]: what is asked ([`FibChange`]) and what is shown.
//! - [`guard`]: what may never enter the kernel. Pure.
//! - [`view`]: interfaces, addresses and foreign routes, for next-hop tracking. Pure; fed by the kernel's events.
//! - [`plan`]: the difference between what is wanted and what is installed, as netlink messages to be sent. Pure.
//! - [`refusal`]: which of the traffic that the node attracts is refused, and by which rules.
//! - [`kernel`]: the seam to the machine, and netlink.
//! - `FibHandle` and `spawn` (feature `netlink`): the thread that carries the plan out, and how to talk to it.
//!
//! Our routes are known by their protocol number ([`types::ROUTE_PROTOCOL`]), live in one table and have one metric. What a
//! predecessor left is adopted: unchanged routes are not touched, and the rest goes once the RIB has converged.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

#[cfg(feature = "netlink")]
mod doubt;
pub mod guard;
#[cfg(feature = "netlink")]
#[allow(clippy::disallowed_methods)] // Questions are asked at a moment.
mod handle;
mod hash;
pub mod kernel;
#[cfg(feature = "netlink")]
mod mailbox;
pub mod plan;
#[cfg(feature = "netlink")]
#[allow(clippy::disallowed_methods)] // How long it is held.
mod plan_lock;
pub mod refusal;
#[cfg(feature = "netlink")]
#[allow(clippy::disallowed_methods)] // The thread is waited for.
mod shared;
#[cfg(test)]
mod soak;
pub mod types;
pub mod view;
#[cfg(feature = "netlink")]
#[allow(clippy::disallowed_methods)] // The thread, and its clock.
mod worker;

pub use guard::GuardRails;
#[cfg(feature = "netlink")]
pub use handle::{FibHandle, FibStatus, PATIENCE, spawn};
pub use plan::{FibNexthopStatus, RefusalStatus};
pub use refusal::{Refusal, RefusalChange};
#[cfg(feature = "netlink")]
pub use shared::{FibConfig, Stop, ViewCallback};
pub use types::{
    FibAction, FibChange, FibCounters, FibNexthop, FibRoute, FibRouteState, FibRouteStatus,
    Rejection, RouteSpace,
};
pub use view::{ForeignRoute, KernelView, Resolved};
