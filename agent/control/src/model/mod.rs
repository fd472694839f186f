//! What the agent shows of itself. JSON names are camelCase; times are whole seconds and say so in their name
//! (`uptimeSeconds`); absent values are left out; addresses, prefixes and communities are text in the field's notation.

mod bfd;
mod explain;
mod fib;
mod peer;
mod query;
mod route;
mod session;
mod status;
mod words;

pub use bfd::{BfdSession, BfdSessionState};
pub use explain::{
    Assignment, Endpoints, ExplainPrefix, ExplainService, KernelLookup, OriginatedFact,
    PeerAdvertisement, ServiceAddress, ServiceAddressKind, TrafficPolicy,
};
pub use fib::{FibEntry, FibNexthopEntry, FibRefusal, FibState};
pub use peer::{IdleHold, Peer, PeerFamily, PeerKind, PeerRole};
pub use query::{DrainOrder, FibQuery, Match, PrefixFilter, ResetKind, RouteQuery, RouteView};
pub use route::{Route, RouteOrigin, RouteState};
pub use routelet_api::reason::{ProblemReason, Reason, ReasonCode};
pub use session::{
    CapabilityState, Direction, DownClass, DownCount, MessageCounts, RestartFamily, RestartState,
    SessionError, SessionState,
};
pub use status::{
    ConnectionCounts, ConnectionRefusal, Convergence, Drain, DrainStage, FamilyCounts, FibSummary,
    Gate, GateName, PeerCounts, Problem, RangeCounts, Readiness, RefreshesLimited,
    RefusedAnnouncement, RefusedCount, Severity, Status, Watch,
};
pub use words::{FamilyName, ParseFamilyError};
