//! How to reach a peer: what its sockets look like, beside what its state machine needs.

use std::fmt;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::str::FromStr;

use crate::fsm::Config;
use crate::wire::attribute::AttributeFilter;

/// A peer as the session driver knows it: what is configured, and where the peer is at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerSettings {
    /// The peer's address. Connections from it belong to the peer, and connections to the peer go to it.
    pub remote: IpAddr,
    /// The interface that a link-local `remote` is on. Needed for such addresses, ignored for others.
    pub scope: Option<Scope>,
    /// The kernel index of [`Transport::device`] now. One that was deleted and created again has another: a connection that
    /// was bound to the old one no longer sends or receives.
    pub device_index: Option<u32>,
    /// TCP MD5 signature (RFC 2385).
    pub password: Option<Password>,
    /// What is configured of its session.
    pub session: SessionConfig,
}

/// What is configured of a session, wherever its peer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionConfig {
    /// The port to connect to; connections from the peer may be from any port.
    pub port: u16,
    /// How its connections are made, and what is asked of those that are accepted.
    pub transport: Transport,
    /// Which attributes of the peer's UPDATEs are not used. A change counts for what the peer sends from then on, and it
    /// is asked to send everything again; the session stays.
    pub attribute_filter: AttributeFilter,
    /// Families, timers, capabilities and the rest that the protocol knows.
    pub protocol: Config,
}

/// How connections are made, and what is asked of those that are accepted, beside their password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transport {
    /// Which TTL or hop limit to send and to accept.
    pub ttl: Ttl,
    /// The source address of what is dialled, and what must be dialled; `None`: the kernel chooses, and any is accepted.
    pub local: Option<IpAddr>,
    /// The interface to bind to (SO_BINDTODEVICE), by name, and by which connections must come in, or the VRF or bridge
    /// above that; `None`: routes decide, and any is accepted.
    pub device: Option<String>,
}

impl Default for Transport {
    fn default() -> Self {
        Self {
            ttl: Ttl::System,
            local: None,
            device: None,
        }
    }
}

impl SessionConfig {
    /// A session to port 179, with the kernel's TTL and no fixed source.
    pub fn new(protocol: Config) -> Self {
        Self {
            port: 179,
            transport: Transport::default(),
            attribute_filter: AttributeFilter::DEFAULT,
            protocol,
        }
    }
}

impl PeerSettings {
    /// A peer on port 179, with the kernel's TTL, no password and no fixed source.
    pub fn new(remote: IpAddr, protocol: Config) -> Self {
        Self {
            remote,
            scope: None,
            device_index: None,
            password: None,
            session: SessionConfig::new(protocol),
        }
    }

    /// Whether going over to `new` ends a session: another address, AS, password or capability does; timers do not.
    pub fn needs_reset(&self, new: &Self) -> bool {
        let sockets = |settings: &Self| {
            (
                settings.remote,
                settings.scope,
                settings.device_index,
                settings.password.clone(),
                settings.session.port,
                settings.session.transport.clone(),
            )
        };
        let protocol = &self.session.protocol;
        sockets(self) != sockets(new) || protocol.needs_reset(&new.session.protocol)
    }

    /// The socket address to dial.
    pub fn remote_socket(&self) -> SocketAddr {
        match self.remote {
            IpAddr::V6(address) if address.is_unicast_link_local() => {
                let scope = self.scope.map_or(0, |scope| scope.0);
                SocketAddrV6::new(address, self.session.port, 0, scope).into()
            }
            address => (address, self.session.port).into(),
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
    /// The key as it is.
    pub fn as_bytes(&self) -> &[u8] {
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::fsm::RemoteAsn;
    use crate::types::{Asn, BgpIdentifier};
    use crate::wire::attribute::{AttributeCode, AttributeCodes};

    fn settings(remote: &str) -> PeerSettings {
        let config = Config::new(Asn(1), BgpIdentifier(1), RemoteAsn::Any, 1);
        PeerSettings::new(remote.parse().unwrap(), config)
    }

    #[test]
    fn what_a_session_was_made_with_needs_a_reset_and_nothing_else_does() {
        type Change = fn(&mut PeerSettings);
        let cases: [(&str, bool, Change); 13] = [
            ("nothing", false, |_| {}),
            ("address", true, |new| new.remote = [192, 0, 2, 2].into()),
            ("port", true, |new| new.session.port = 1179),
            ("scope", true, |new| new.scope = Some(Scope(2))),
            ("local", true, |new| {
                new.session.transport.local = Some([192, 0, 2, 3].into());
            }),
            ("device", true, |new| {
                new.session.transport.device = Some("eth0".to_owned());
            }),
            ("device made again", true, |new| new.device_index = Some(7)),
            ("ttl", true, |new| {
                new.session.transport.ttl = Ttl::Security { hops: 1 }
            }),
            ("password", true, |new| {
                new.password = Some("secret".parse().unwrap());
            }),
            ("AS", true, |new| new.session.protocol.local_asn = Asn(2)),
            ("AS and port", true, |new| {
                new.session.protocol.local_asn = Asn(2);
                new.session.port = 1179;
            }),
            ("timer", false, |new| {
                new.session.protocol.connect_retry *= 2;
            }),
            ("filter", false, |new| {
                new.session.attribute_filter.discard = AttributeCodes::of(&[AttributeCode(99)]);
            }),
        ];
        for (name, reset, change) in cases {
            let old = settings("192.0.2.1");
            let mut new = old.clone();
            change(&mut new);
            assert_eq!(old.needs_reset(&new), reset, "{name}");
            assert_eq!(new.needs_reset(&old), reset, "{name}, and back");
        }
    }

    #[test]
    fn a_scope_counts_for_link_local_addresses_alone() {
        for (remote, expected) in [
            ("fe80::1", "[fe80::1%5]:179"),
            ("febf::1", "[febf::1%5]:179"),
            ("fec0::1", "[fec0::1]:179"),
            ("2001:db8::1", "[2001:db8::1]:179"),
            ("169.254.0.1", "169.254.0.1:179"),
        ] {
            let mut settings = settings(remote);
            settings.scope = Some(Scope(5));
            assert_eq!(settings.remote_socket().to_string(), expected);
        }
        let unscoped = settings("fe80::1").remote_socket();
        assert_eq!(unscoped.to_string(), "[fe80::1]:179");
    }

    #[test]
    fn the_text_of_a_password_is_not_shown() {
        let mut settings = settings("192.0.2.1");
        settings.password = Some("secret".parse().unwrap());
        let shown = format!("{settings:?}");
        assert!(shown.contains("Password(..)"), "{shown}");
        assert!(!shown.contains("secret"), "{shown}");
    }

    #[test]
    fn rfc_2385_a_password_has_1_to_80_octets() {
        for (octets, is_taken) in [(0, false), (1, true), (80, true), (81, false)] {
            let result = "x".repeat(octets).parse::<Password>();
            let expected = if is_taken {
                Ok(octets)
            } else {
                Err(PasswordError(octets))
            };
            let found = result.map(|password| password.as_bytes().len());
            assert_eq!(found, expected, "{octets} octets");
        }
    }
}
