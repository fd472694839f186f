//! The forwarding table: from what the RIB wants to what the kernel does.
//!
//! - [`types`]: what is asked ([`FibChange`]) and what is shown.
//! - [`guard`]: what may never enter the kernel. Pure.
//! - [`view`]: interfaces, addresses and foreign routes, for next-hop tracking. Pure; fed by the kernel's events.
//! - [`kernel`]: the seam to the machine.

pub mod guard;
pub mod kernel;
pub mod types;
pub mod view;

pub use guard::{GuardRails, Rejection};
pub use types::{
    FibAction, FibChange, FibCounters, FibNexthop, FibRoute, FibRouteState, FibRouteStatus,
};
pub use view::{KernelView, Resolved};

// Keyed by what peers and other daemons choose, so the hash is seeded at random.
type HashMap<K, V> = hashbrown::HashMap<K, V, foldhash::fast::RandomState>;
type HashSet<K> = hashbrown::HashSet<K, foldhash::fast::RandomState>;
