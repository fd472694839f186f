//! Why a connection is refused.

use std::fmt;

/// Why a connection was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No peer or listen range has its address.
    Stranger,
    /// A peer or range is configured there, and cannot be started: its key or its password is missing.
    Blocked,
    /// It is not signed, or with a password that has been replaced, and there is one.
    Unsigned,
    /// It is from farther away than TTL security allows (RFC 5082), or the distance is unknown.
    TooFar,
    /// It is to another address of ours than the peer's local address.
    LocalAddress,
    /// It came in by another interface than the peer's.
    Interface,
    /// Its sender connects more often than anybody needs to.
    TooOften,
    /// New peers of listen ranges connect faster than they are accepted.
    Pace,
    /// Too many connections have not sent an OPEN yet.
    WithoutOpen,
    /// New peers of listen ranges wait, and the owner does not take them.
    QueueFull,
    /// The listen range has as many peers as it may have.
    RangeFull,
    /// Its peer is held Idle (RFC 4271 section 8.1.1, DampPeerOscillations).
    Held,
}

impl Refusal {
    /// Every one, in the order of the counters.
    pub const ALL: [Self; 12] = [
        Self::Stranger,
        Self::Blocked,
        Self::Unsigned,
        Self::TooFar,
        Self::LocalAddress,
        Self::Interface,
        Self::TooOften,
        Self::Pace,
        Self::WithoutOpen,
        Self::QueueFull,
        Self::RangeFull,
        Self::Held,
    ];

    /// One word for metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Stranger => "stranger",
            Self::Blocked => "blocked",
            Self::Unsigned => "unsigned",
            Self::TooFar => "ttl",
            Self::LocalAddress => "local_address",
            Self::Interface => "interface",
            Self::TooOften => "too_often",
            Self::Pace => "pace",
            Self::WithoutOpen => "without_open",
            Self::QueueFull => "queue_full",
            Self::RangeFull => "range_full",
            Self::Held => "held",
        }
    }

    /// Whether the sender gets Cease/Connection Rejected: it has no business here, now or later.
    /// DEVIATION(RFC 4486 4): the others get none, since it would end graceful restart there.
    #[cfg(feature = "net")]
    pub(crate) const fn is_answered(self) -> bool {
        match self {
            Self::Stranger | Self::LocalAddress | Self::Interface | Self::RangeFull => true,
            Self::Blocked
            | Self::Unsigned
            | Self::TooFar
            | Self::TooOften
            | Self::Pace
            | Self::WithoutOpen
            | Self::QueueFull
            | Self::Held => false,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stranger => "no peer or listen range has its address",
            Self::Blocked => "the peer or listen range at its address is blocked",
            Self::Unsigned => "it is not signed with the password configured for its address",
            Self::TooFar => "it comes from more hops away than ttlSecurity allows",
            Self::LocalAddress => "it is to another address than the peer's localAddress",
            Self::Interface => "it came in by another interface than the peer's sourceInterface",
            Self::TooOften => "its sender connects too often",
            Self::Pace => "too many new peers connect at once",
            Self::WithoutOpen => "too many connections have not sent an OPEN",
            Self::QueueFull => "too many new peers wait to be looked at",
            Self::RangeFull => "its listen range has as many peers as maxPeers allows",
            Self::Held => "its peer is held Idle",
        })
    }
}
