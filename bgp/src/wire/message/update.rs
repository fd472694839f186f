//! UPDATE (RFC 4271 section 4.3, RFC 4760), with the revised error handling of RFC 7606.

use crate::types::{Family, NextHop, NlriList};
use crate::wire::{AttributeSet, Fault};

/// A decoded UPDATE: what can be used of it, and what was wrong with it.
///
/// Classic IPv4 fields and MP attributes look alike here. Treat-as-withdraw (RFC 7606) is already applied: the
/// prefixes concerned stand in `unreach` and not in `reach`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Update {
    /// The path attributes that all of `reach` share. Without NEXT_HOP, MP_REACH_NLRI and MP_UNREACH_NLRI.
    pub attributes: AttributeSet,
    /// What is announced: at most one entry per place in the message (NLRI field, MP_REACH_NLRI).
    pub reach: Vec<Reach>,
    /// What is withdrawn.
    pub unreach: Vec<NlriList>,
    /// The family whose initial dump or refresh this message ends (RFC 4724 section 2), if it is an End-of-RIB.
    pub end_of_rib: Option<Family>,
    /// What was wrong, in the order found. The strongest outcome has been applied.
    pub faults: Vec<Fault>,
}

/// Prefixes announced with one next hop.
#[derive(Clone, Debug, PartialEq)]
pub struct Reach {
    /// Where to send packets.
    pub next_hop: NextHop,
    /// The prefixes of one family.
    pub nlri: NlriList,
}
