//! BGP role (RFC 9234 section 4.1): what the sender is to its peer.

use std::fmt;

use super::{Capability, Malformed, Repeats, Row};

/// The role of the sender towards its peer (RFC 9234 section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The sender is a transit provider.
    Provider,
    /// The sender is a route server.
    RouteServer,
    /// The sender is a route server's client.
    RouteServerClient,
    /// The sender is a customer.
    Customer,
    /// The sender is a lateral peer.
    Peer,
    /// A value that is not assigned; it belongs to no other role.
    Unknown(u8),
}

impl Role {
    /// The role that the other side must have (RFC 9234 section 4.2); `None` for an unknown one.
    pub const fn counterpart(self) -> Option<Self> {
        Some(match self {
            Self::Provider => Self::Customer,
            Self::Customer => Self::Provider,
            Self::RouteServer => Self::RouteServerClient,
            Self::RouteServerClient => Self::RouteServer,
            Self::Peer => Self::Peer,
            Self::Unknown(_) => return None,
        })
    }

    const fn octet(self) -> u8 {
        match self {
            Self::Provider => 0,
            Self::RouteServer => 1,
            Self::RouteServerClient => 2,
            Self::Customer => 3,
            Self::Peer => 4,
            Self::Unknown(octet) => octet,
        }
    }

    const fn from_octet(octet: u8) -> Self {
        match octet {
            0 => Self::Provider,
            1 => Self::RouteServer,
            2 => Self::RouteServerClient,
            3 => Self::Customer,
            4 => Self::Peer,
            _ => Self::Unknown(octet),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Provider => f.pad("provider"),
            Self::RouteServer => f.pad("rs-server"),
            Self::RouteServerClient => f.pad("rs-client"),
            Self::Customer => f.pad("customer"),
            Self::Peer => f.pad("peer"),
            Self::Unknown(octet) => write!(f, "role {octet}"),
        }
    }
}

pub(super) const ROW: Row = Row {
    code: 9,
    name: "role",
    expected: "1 octet",
    // RFC 9234 section 4.2: several that differ are a Role Mismatch between external peers, which the negotiation finds.
    repeats: Repeats::Each,
    malformed: Malformed::Reject,
    decode,
};

fn decode(value: &[u8]) -> Option<Capability> {
    let &[octet] = value else { return None };
    Some(Capability::Role(Role::from_octet(octet)))
}

pub(super) fn encode(role: Role, out: &mut Vec<u8>) {
    out.push(role.octet());
}
