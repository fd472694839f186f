//! Next hops as attributes carry them, for both families and for IPv4 over IPv6 (RFC 8950).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// The next hop of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address().fmt(f)
    }
}
