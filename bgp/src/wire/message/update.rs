//! UPDATE (RFC 4271 section 4.3, RFC 4760), with the revised error handling of RFC 7606.

use smallvec::SmallVec;

use crate::types::{Family, NextHop, NlriList};
use crate::wire::{AttributeSet, Fault, Notification, Outcome};

/// What a message announces: nearly always one entry, which is then not on the heap.
pub type ReachList = SmallVec<[Reach; 1]>;

/// What a message withdraws: nearly always one entry, which is then not on the heap.
pub type UnreachList = SmallVec<[NlriList; 1]>;

/// A decoded UPDATE: what can be used of it, and what was wrong with it.
///
/// Classic IPv4 fields and MP attributes look alike here. Treat-as-withdraw (RFC 7606) is already applied: the
/// prefixes concerned stand in `unreach` and not in `reach`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Update {
    /// The path attributes that all of `reach` share. Without NEXT_HOP, MP_REACH_NLRI and MP_UNREACH_NLRI. Empty if
    /// `reach` is.
    pub attributes: AttributeSet,
    /// What is announced: at most one entry per place in the message (NLRI field, MP_REACH_NLRI).
    pub reach: ReachList,
    /// What is withdrawn. It is applied before `reach`: a prefix in both is announced (RFC 4271 section 4.3).
    pub unreach: UnreachList,
    /// The family whose initial dump or refresh this message ends (RFC 4724 section 2), if it is an End-of-RIB.
    pub end_of_rib: Option<Family>,
    /// What was wrong, in the order found. The strongest outcome has been applied.
    pub faults: Vec<Fault>,
    /// How many attributes the peer's filter was applied to.
    pub filtered: u32,
}

impl Update {
    /// The NOTIFICATION that ends the session, if a fault demands it. Nothing else of the message is then used.
    pub fn reset(&self) -> Option<Notification> {
        self.faults
            .iter()
            .find(|fault| fault.outcome == Outcome::SessionReset)
            .map(Fault::notification)
    }

    /// What the faults led to, if there are any: the strongest of their outcomes.
    pub fn outcome(&self) -> Option<Outcome> {
        self.faults.iter().map(|fault| fault.outcome).max()
    }
}

/// Prefixes announced with one next hop.
#[derive(Clone, Debug, PartialEq)]
pub struct Reach {
    /// Where to send packets.
    pub next_hop: NextHop,
    /// The prefixes of one family.
    pub nlri: NlriList,
}
