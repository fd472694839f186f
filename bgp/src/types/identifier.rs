//! BGP identifiers (RFC 6286): four octets, unique within an AS, written like an IPv4 address.

use std::fmt;
use std::net::{AddrParseError, Ipv4Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A BGP identifier. Also the form of ORIGINATOR_ID and of a cluster ID (RFC 4456).
///
/// Ordered as an unsigned integer in network order, as tie-breaks and collision detection compare it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "Ipv4Addr", into = "Ipv4Addr")]
pub struct BgpIdentifier(pub u32);

impl BgpIdentifier {
    /// Zero is not a valid identifier in an OPEN (RFC 6286 section 2.1).
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl From<Ipv4Addr> for BgpIdentifier {
    fn from(address: Ipv4Addr) -> Self {
        Self(address.to_bits())
    }
}

impl From<BgpIdentifier> for Ipv4Addr {
    fn from(id: BgpIdentifier) -> Self {
        Self::from_bits(id.0)
    }
}

impl fmt::Display for BgpIdentifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ipv4Addr::from(*self).fmt(f)
    }
}

impl FromStr for BgpIdentifier {
    type Err = AddrParseError;

    /// Reads the dotted form.
    fn from_str(s: &str) -> Result<Self, AddrParseError> {
        s.parse::<Ipv4Addr>().map(Self::from)
    }
}
