//! How to reach a peer: what its sockets look like, beside what its state machine needs.

use std::fmt;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::str::FromStr;

use crate::fsm::Config;
use crate::wire::attribute::AttributeFilter;

/// A peer as the session driver knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerSettings {
    /// The peer's address. Connections from it are the peer's; it is what is dialled.
    pub remote: IpAddr,
    /// The port to dial; connections from the peer may come from any port.
    pub port: u16,
    /// The interface that a link-local `remote` is on. Needed for such addresses, ignored for others.
    pub scope: Option<Scope>,
    /// The source address of what is dialled; `None` lets the kernel choose.
    pub local: Option<IpAddr>,
    /// The interface to bind to (SO_BINDTODEVICE), by name; `None` lets routes decide.
    pub device: Option<String>,
    /// Which TTL or hop limit to send and to accept.
    pub ttl: Ttl,
    /// TCP MD5 signature (RFC 2385).
    pub password: Option<Password>,
    /// Which attributes of the peer's UPDATEs are not used. A change counts for what the peer sends from then on, and it is
    /// asked to send everything again; the session stays.
    pub attribute_filter: AttributeFilter,
    /// Families, timers, capabilities and the rest that the protocol knows.
    pub protocol: Config,
}

impl PeerSettings {
    /// A peer on port 179, with the kernel's TTL, no password and no fixed source.
    pub fn new(remote: IpAddr, protocol: Config) -> Self {
        Self {
            remote,
            port: 179,
            scope: None,
            local: None,
            device: None,
            ttl: Ttl::System,
            password: None,
            attribute_filter: AttributeFilter::DEFAULT,
            protocol,
        }
    }

    /// Whether going over to `new` ends a session: another address, AS, password or capability does; timers do not.
    pub fn needs_reset(&self, new: &Self) -> bool {
        let transport = |settings: &Self| {
            (
                settings.remote,
                settings.port,
                settings.scope,
                settings.local,
                settings.device.clone(),
                settings.ttl,
                settings.password.clone(),
            )
        };
        transport(self) != transport(new) || self.protocol.needs_reset(&new.protocol)
    }

    /// The socket address to dial.
    pub fn remote_socket(&self) -> SocketAddr {
        match self.remote {
            IpAddr::V6(address) if address.is_unicast_link_local() => {
                let scope = self.scope.map_or(0, |scope| scope.0);
                SocketAddrV6::new(address, self.port, 0, scope).into()
            }
            address => (address, self.port).into(),
        }
    }
}

/// An interface by its kernel index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope(pub u32);

/// TTL (IPv4) or hop limit (IPv6) of a peer's packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ttl {
    /// Whatever the kernel uses, usually 64. For iBGP.
    System,
    /// Sent with this TTL. 1 is eBGP between direct neighbours, more is multihop.
    Hops(u8),
    /// Sent with 255, and accepted only from at most this many hops away: 1 is a direct neighbour (GTSM, RFC 5082).
    Security {
        /// The most hops, at least 1.
        hops: u8,
    },
}

/// A TCP MD5 key. Its text never appears in logs.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Box<str>);

/// Linux takes keys up to this many octets (TCP_MD5SIG_MAXKEYLEN).
const MAX_PASSWORD: usize = 80;

impl Password {
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// A text that cannot be a TCP MD5 key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a password of {0} octets; TCP MD5 takes 1 to 80")]
pub struct PasswordError(usize);

impl FromStr for Password {
    type Err = PasswordError;

    fn from_str(text: &str) -> Result<Self, PasswordError> {
        match text.len() {
            1..=MAX_PASSWORD => Ok(Self(text.into())),
            length => Err(PasswordError(length)),
        }
    }
}
