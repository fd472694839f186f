//! Next hops as attributes carry them, for both families and for IPv4 over IPv6 (RFC 8950).

use std::fmt;
use std::net::{AddrParseError, IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::text::serde_as_text;

/// The next hop of a route. As text, and in JSON, an address, or two: `2001:db8::1 (fe80::1)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NextHop {
    /// NEXT_HOP, or an IPv4 address in MP_REACH_NLRI.
    Ipv4(Ipv4Addr),
    /// One IPv6 address in MP_REACH_NLRI. It may be link-local, as on unnumbered links.
    Ipv6(Ipv6Addr),
    /// A global IPv6 address followed by the link-local one of the same router (RFC 2545 section 3).
    Ipv6WithLinkLocal {
        /// The global address; unspecified (`::`) from some speakers on unnumbered links.
        global: Ipv6Addr,
        /// The link-local address, meaningful on the link of the session only.
        link_local: Ipv6Addr,
    },
}

impl NextHop {
    /// The address that resolution and comparison use: the global one where there are two and it is specified.
    pub fn address(&self) -> IpAddr {
        match *self {
            Self::Ipv4(a) => a.into(),
            Self::Ipv6(a) => a.into(),
            Self::Ipv6WithLinkLocal { global, link_local } if global.is_unspecified() => {
                link_local.into()
            }
            Self::Ipv6WithLinkLocal { global, .. } => global.into(),
        }
    }

    /// The link-local address, if there is one.
    pub fn link_local(&self) -> Option<Ipv6Addr> {
        match *self {
            Self::Ipv4(_) => None,
            Self::Ipv6(a) => a.is_unicast_link_local().then_some(a),
            Self::Ipv6WithLinkLocal { link_local, .. } => Some(link_local),
        }
    }

    /// Whether two links may both have such a next hop: it has a link-local address, of IPv4 (169.254.0.0/16, RFC 3927) or
    /// of IPv6.
    pub fn is_of_a_link(&self) -> bool {
        match self {
            Self::Ipv4(address) => address.is_link_local(),
            Self::Ipv6(_) | Self::Ipv6WithLinkLocal { .. } => self.link_local().is_some(),
        }
    }
}

impl From<IpAddr> for NextHop {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(a) => Self::Ipv4(a),
            IpAddr::V6(a) => Self::Ipv6(a),
        }
    }
}

impl fmt::Display for NextHop {
    /// The address; where there are two, the link-local one follows in parentheses.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ipv4(address) => address.fmt(f),
            Self::Ipv6(address) => address.fmt(f),
            Self::Ipv6WithLinkLocal { global, link_local } => write!(f, "{global} ({link_local})"),
        }
    }
}

/// Text that is no next hop.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a next hop: expected an IPv4 or IPv6 address, or 2001:db8::1 (fe80::1)")]
pub struct ParseNextHopError(String);

impl FromStr for NextHop {
    type Err = ParseNextHopError;

    /// Reads what `Display` writes.
    fn from_str(s: &str) -> Result<Self, ParseNextHopError> {
        let parsed = || -> Result<Self, AddrParseError> {
            match s.split_once(" (") {
                None => Ok(s.parse::<IpAddr>()?.into()),
                Some((global, rest)) => Ok(Self::Ipv6WithLinkLocal {
                    global: global.parse()?,
                    link_local: rest.strip_suffix(')').unwrap_or("").parse()?,
                }),
            }
        };
        parsed().map_err(|_| ParseNextHopError(s.to_owned()))
    }
}

serde_as_text!(NextHop);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn next_hops_are_read_as_they_are_written() {
        for text in [
            "192.0.2.1",
            "2001:db8::1",
            "fe80::1",
            "2001:db8::1 (fe80::1)",
            ":: (fe80::1)",
        ] {
            assert_eq!(text.parse::<NextHop>().unwrap().to_string(), text);
        }
        for text in ["", "192.0.2", "2001:db8::1 (fe80::1", "192.0.2.1 (fe80::1)"] {
            assert!(text.parse::<NextHop>().is_err(), "{text}");
        }
    }

    #[test]
    fn resolution_uses_the_link_local_address_where_the_global_one_is_unspecified() {
        let unnumbered: NextHop = ":: (fe80::1)".parse().unwrap();
        assert_eq!(unnumbered.address(), "fe80::1".parse::<IpAddr>().unwrap());
        let numbered: NextHop = "2001:db8::1 (fe80::1)".parse().unwrap();
        assert_eq!(numbered.address(), "2001:db8::1".parse::<IpAddr>().unwrap());
    }
}
