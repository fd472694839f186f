//! Where an agent stands between its start and its end, and what it advertises by that.
//!
//! | phase | advertised |
//! |---|---|
//! | kube-proxy was not healthy yet | everything but Services and their aggregates: their traffic would be dropped |
//! | [`Leaving::No`] | everything |
//! | [`Leaving::Drained`] | everything, with the community graceful-shutdown and local preference 0 (RFC 8326) |
//! | [`Leaving::WithoutServices`] | pod CIDRs |
//! | [`Leaving::WithoutPods`] | nothing |
//! | [`Leaving::Gone`] | nothing, and there are no peers any more |
//!
//! An update of the agent goes through none of these: its successor is there in a moment, and peers keep the routes that long
//! (RFC 4724). A node that goes away goes through all of them, one after the other: [`Presence`] says when.

mod departure;
mod presence;
mod reason;

use departure::Departure;
pub use departure::STEP as LEAVE_STEP;
pub use presence::Presence;
pub use reason::DrainReason;
use reason::leaves_when_stopped;

/// See the module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phase {
    /// Whether kube-proxy is waited for before Services are advertised.
    pub services_wait: bool,
    /// How far this node has left.
    pub leaving: Leaving,
}

/// How far a node has left, in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Leaving {
    /// It stays.
    #[default]
    No,
    /// Peers are asked to move its traffic elsewhere.
    Drained,
    /// What leads traffic to it from outside is withdrawn: Services, static prefixes, interface addresses.
    WithoutServices,
    /// So are its pod CIDRs.
    WithoutPods,
    /// Its sessions are closed.
    Gone,
}

impl Leaving {
    /// The step after this one.
    const fn next(self) -> Self {
        match self {
            Self::No => Self::Drained,
            Self::Drained => Self::WithoutServices,
            Self::WithoutServices => Self::WithoutPods,
            Self::WithoutPods | Self::Gone => Self::Gone,
        }
    }
}
