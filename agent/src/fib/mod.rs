//! The forwarding table: from what the RIB wants to what the kernel does.
//!
//! - [`types`]: what is asked ([`FibChange`]) and what is shown.
//! - [`guard`]: what may never enter the kernel. Pure.
//! - [`view`]: interfaces, addresses and foreign routes, for next-hop tracking. Pure; fed by the kernel's events.
//! - [`plan`]: the difference between what is wanted and what is installed, as netlink messages to be sent. Pure.
//! - [`refusal`]: which of the traffic that the node attracts is refused, and by which rules.
//! - [`owner`]: which agent of a network namespace writes.
//! - [`kernel`]: the seam to the machine, and netlink.
//! - [`FibHandle`] and [`spawn`]: the thread that carries the plan out, and how to talk to it.
//!
//! Our routes are known by their protocol number ([`types::ROUTE_PROTOCOL`]), live in one table and have one metric. What a
//! predecessor left is adopted: unchanged routes are not touched, and the rest goes once the RIB has converged.

mod doubt;
pub mod guard;
mod handle;
pub mod kernel;
pub mod owner;
pub mod plan;
mod plan_lock;
pub mod refusal;
pub mod types;
pub mod view;
mod worker;

pub use guard::{GuardRails, Rejection};
pub(crate) use handle::PATIENCE;
pub use handle::{FibConfig, FibHandle, FibStatus, Stop, ViewCallback};
pub use plan::{FibNexthopStatus, RefusalStatus, RouteSpace};
pub use refusal::{Refusal, RefusalChange};
pub use types::{
    FibAction, FibChange, FibCounters, FibNexthop, FibRoute, FibRouteState, FibRouteStatus,
};
pub use view::{ForeignRoute, KernelView, Resolved};
pub use worker::spawn;

// Keyed by what peers and other daemons choose, so the hash is seeded at random.
type HashMap<K, V> = hashbrown::HashMap<K, V, foldhash::fast::RandomState>;
type HashSet<K> = hashbrown::HashSet<K, foldhash::fast::RandomState>;
