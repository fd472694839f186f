//! What is not as the operator may think, as an intent says it of objects.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::cluster::ObjectRef;

/// Something that is not as the operator may think.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Warning {
    /// The object that it is about.
    pub object: ObjectRef,
    /// What it is.
    pub kind: WarningKind,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.object, self.kind)
    }
}

/// What is not as the operator may think.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum WarningKind {
    /// There is no Node object of the name that we run under.
    #[error("there is no Node object of this name; pod CIDRs, labels and addresses are unknown")]
    NoNode,
    /// Several Routers select the node.
    #[error(
        "Router {chosen} selects the same node and is used instead: it {}",
        if *.more_specific { "is more specific" } else { "is first by name" }
    )]
    RouterNotUsed {
        /// The Router in use.
        chosen: String,
        /// Whether it has more conditions, or only the lesser name.
        more_specific: bool,
    },
    /// A label or annotation that a value is to be taken from is missing.
    #[error("{field} refers to {what}, which node {node} does not have; {consequence}")]
    ValueMissing {
        /// The field.
        field: &'static str,
        /// `label KEY` or `annotation KEY`.
        what: String,
        /// The node.
        node: String,
        /// What follows.
        consequence: Consequence,
    },
    /// A label or annotation has a value that cannot be used.
    #[error(
        "{field} takes \"{value}\" from {what} of node {node}, which is not {expected}; {consequence}"
    )]
    ValueUnusable {
        /// The field.
        field: &'static str,
        /// `label KEY` or `annotation KEY`.
        what: String,
        /// The value found.
        value: String,
        /// The node.
        node: String,
        /// What would be right.
        expected: &'static str,
        /// What follows.
        consequence: Consequence,
    },
    /// A Peer has the address of the node that it selects.
    #[error("{0} is an address of the node itself, so it needs no session")]
    OwnAddress(IpAddr),
    /// The node has no default gateway of a family.
    #[error("the node has no {0} default gateway; the peer is started when it has one")]
    NoGateway(routelet_api::IpFamily),
    /// Two nodes that should peer have no addresses in common.
    #[error("node {0} and this node have no InternalIPs of one family; they cannot have a session")]
    NoCommonFamily(String),
    /// Two nodes that should peer both do not listen.
    #[error("neither this node nor node {0} listens; they cannot have a session")]
    NobodyListens(String),
    /// A policy is missing.
    #[error(
        "{field} names RoutePolicy {name}, which does not exist; every route is rejected until it does"
    )]
    PolicyMissing {
        /// `import` or `export`.
        field: &'static str,
        /// Its name.
        name: String,
    },
    /// Another Peer has the session that this one asks for.
    #[error(
        "duplicates {used}, which is used for {what} because {precedence}. Change the address or nodeSelector of \
         one, or delete it"
    )]
    PeerTwice {
        /// The addresses, interfaces, ranges and nodes, in words.
        what: String,
        /// The object that is used instead.
        used: ObjectRef,
        /// Why that one.
        precedence: Precedence,
        /// Whether the object has other sessions on the node.
        has_others: bool,
    },
    /// No Advertisement selects a peer, and the default one is disabled.
    #[error(
        "nothing is advertised to it: no Advertisement of this node selects it, and the Router disables defaultAdvertisement"
    )]
    NothingAdvertised,
    /// A field that has no effect in the combination given.
    #[error("{field} has no effect: {why}")]
    NoEffect {
        /// The field.
        field: &'static str,
        /// Why.
        why: &'static str,
    },
    /// The object cannot be used at all.
    #[error("cannot be used: {0}")]
    Unusable(String),
    /// An interface that an Advertisement names is not there.
    #[error("interface {0} does not exist on this node or has no global address")]
    NoInterfaceAddress(String),
    /// Two nodes have the same pod CIDR.
    #[error("pod CIDR {cidr} is also that of node {node}")]
    PodCidrShared {
        /// The pod CIDR.
        cidr: IpNet,
        /// The other node.
        node: String,
    },
}

/// Why one of two objects that ask for the same is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Precedence {
    /// Nothing else tells them apart.
    #[error("it is first by name")]
    Name,
    /// It names the address, the other gets it from a Node.
    #[error("Peers with an address have precedence over those with nodes")]
    Explicit,
}

/// What is done without a value of a Node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Consequence {
    /// The Peer has no session.
    #[error("the peer is left out")]
    PeerLeftOut,
    /// The AS of before.
    #[error("the AS in use stays")]
    SameAs,
    /// No AS is known, and with none there are no sessions.
    #[error("the node has no sessions until it has one")]
    NoAs,
    /// The BGP identifier of before.
    #[error("the identifier in use stays")]
    SameIdentifier,
    /// The default BGP identifier.
    #[error("the default is used")]
    DefaultIdentifier,
}

impl WarningKind {
    /// Whether the node does not do what the object asks for because of a mistake in objects: such a warning comes first.
    pub const fn is_unused(&self) -> bool {
        match self {
            Self::RouterNotUsed { more_specific, .. } => !*more_specific,
            Self::PeerTwice { has_others, .. } => !*has_others,
            Self::Unusable(_) => true,
            Self::ValueMissing { consequence, .. } | Self::ValueUnusable { consequence, .. } => {
                matches!(consequence, Consequence::PeerLeftOut)
            }
            Self::NoNode
            | Self::OwnAddress(_)
            | Self::NoGateway(_)
            | Self::NoCommonFamily(_)
            | Self::NobodyListens(_)
            | Self::PolicyMissing { .. }
            | Self::NothingAdvertised
            | Self::NoEffect { .. }
            | Self::NoInterfaceAddress(_)
            | Self::PodCidrShared { .. } => false,
        }
    }

    /// The object that is used instead.
    pub fn used_instead(&self) -> Option<ObjectRef> {
        match self {
            Self::PeerTwice { used, .. } => Some(used.clone()),
            Self::RouterNotUsed { chosen, .. } => Some(ObjectRef::cluster("Router", chosen)),
            _ => None,
        }
    }
}
