//! What the plan asks of the kernel. Each operation is one netlink message.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::refusal::Rule;
use crate::types::{NEXTHOP_ID_FIRST, RouteSpace};

/// One change to the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Make a nexthop object (`NLM_F_CREATE | NLM_F_EXCL`).
    AddObject {
        /// Its id, from our range.
        id: u32,
        /// What it is.
        object: Object,
    },
    /// Make a group (`NLM_F_CREATE | NLM_F_EXCL`).
    AddGroup {
        /// Its id, from our range.
        id: u32,
        /// Ids of objects, with weights.
        members: Vec<(u32, u8)>,
    },
    /// Change a group in place, with all the routes that use it (`NLM_F_REPLACE`).
    ReplaceGroup {
        /// Its id.
        id: u32,
        /// Its new members.
        members: Vec<(u32, u8)>,
    },
    /// Remove an object or group of ours that nothing uses, or an object that is to leave its groups, which all have other
    /// members.
    DeleteNexthop {
        /// Its id.
        id: u32,
    },
    /// Change a route of ours.
    Route(RouteOp),
    /// Change a route of the table that refuses.
    Refuse(RouteOp),
    /// Change a rule of ours.
    Rule(RuleAction, Rule),
}

/// What to do with a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleAction {
    /// Make it, behind all of its priority; fail if there is one like it (`NLM_F_EXCL`).
    Add,
    /// Remove it.
    Delete,
}

/// One change of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteOp {
    /// The destination.
    pub prefix: IpNet,
    /// The table.
    pub table: u32,
    /// The metric.
    pub metric: u32,
    /// What to do.
    pub action: RouteAction,
    /// What the plan took the route to be before.
    pub(crate) previous: Slot,
}

impl RouteOp {
    /// An operation on a route of which nothing is known, for programs that write to the kernel without a plan.
    pub fn new(prefix: IpNet, space: RouteSpace, action: RouteAction) -> Self {
        Self {
            prefix,
            table: space.table,
            metric: space.metric,
            action,
            previous: Slot::NONE,
        }
    }
}

/// What the kernel holds of ours for a prefix, packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Slot(u32);

impl Slot {
    pub(crate) const NONE: Self = Self(0);
    /// A route of ours in a shape that we never make; it is replaced as soon as something is wanted.
    pub(crate) const OTHER: Self = Self(1);

    /// A route over this nexthop id. Ids outside our range are not ours, and the route is of another shape.
    pub(crate) fn group(id: u32) -> Self {
        if id >= NEXTHOP_ID_FIRST {
            Self(id)
        } else {
            Self::OTHER
        }
    }

    /// The nexthop id, if it has one.
    pub(crate) fn as_group(self) -> Option<u32> {
        (self.0 >= NEXTHOP_ID_FIRST).then_some(self.0)
    }
}

/// What to do with a route. It is identified by prefix, table, metric and our protocol number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteAction {
    /// Make it; fail if there is one with the same prefix, table and metric, whoever made it (`NLM_F_EXCL`).
    Add(Target),
    /// Change ours in place, so that there is a route at every moment (`NLM_F_REPLACE`).
    Replace(Target),
    /// Remove ours.
    Delete,
}

/// Where a route leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A nexthop group of ours.
    Group(u32),
    /// Nowhere: the sender gets an ICMP error.
    Unreachable,
}

/// A way out: what the kernel calls a nexthop object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Object {
    /// Whether it is an IPv6 object: the gateway's family, or without a gateway the family of the routes that use it.
    pub ipv6: bool,
    /// The router; `None` if destinations are on the link.
    pub gateway: Option<IpAddr>,
    /// The interface.
    pub ifindex: u32,
    /// `RTNH_F_ONLINK`.
    pub onlink: bool,
}
