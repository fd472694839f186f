//! A run of addresses as an AddressPool names it: a prefix, a range or a single address.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::IpNet;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::IpFamily;
use super::meant;
use super::text::{ParseTextError, as_text, not, prefix};
use super::text_schema;

/// A run of addresses of one family. Never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddressBlock {
    /// All addresses of a prefix; host bits may be set as typed, which the validation reports.
    Prefix(IpNet),
    /// From the first to the last, both included; of one family, and not descending.
    Range(IpAddr, IpAddr),
    /// One address.
    Single(IpAddr),
}

impl AddressBlock {
    /// The family of its addresses.
    pub fn family(self) -> IpFamily {
        IpFamily::of(self.first())
    }

    /// Its first address.
    pub fn first(self) -> IpAddr {
        match self {
            Self::Prefix(net) => net.network(),
            Self::Range(first, _) => first,
            Self::Single(address) => address,
        }
    }

    /// Its last address.
    pub fn last(self) -> IpAddr {
        match self {
            Self::Prefix(net) => net.broadcast(),
            Self::Range(_, last) => last,
            Self::Single(address) => address,
        }
    }
}

/// An address as a number: of 32 or of 128 bits.
pub fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// The address of a number; of an IPv4 one, the lower 32 bits count.
pub fn address(family: IpFamily, number: u128) -> IpAddr {
    match family {
        IpFamily::Ipv4 => Ipv4Addr::from_bits(number as u32).into(),
        IpFamily::Ipv6 => Ipv6Addr::from_bits(number).into(),
    }
}

impl fmt::Display for AddressBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix(net) => net.fmt(f),
            Self::Range(first, last) => write!(f, "{first}-{last}"),
            Self::Single(address) => address.fmt(f),
        }
    }
}

impl FromStr for AddressBlock {
    type Err = ParseTextError;

    fn from_str(text: &str) -> Result<Self, ParseTextError> {
        let parsed = if let Some((first, last)) = text.split_once('-') {
            let ends = (first.trim().parse(), last.trim().parse());
            let (Ok(first), Ok(last)) = ends else {
                let both = "a range of addresses: expected two complete addresses, such as 198.51.100.10-198.51.100.20";
                return Err(not(text, both));
            };
            if IpFamily::of(first) != IpFamily::of(last) {
                return Err(not(text, "a range: its ends are of different families"));
            }
            if first > last {
                return Err(not(text, "a range: its last address is before its first"));
            }
            Some(Self::Range(first, last))
        } else if text.contains('/') {
            prefix(text).map(Self::Prefix)
        } else {
            text.parse().ok().map(Self::Single)
        };
        parsed.ok_or_else(|| {
            not(
                text,
                "a prefix, a range or an address: expected one such as 203.0.113.0/24, 198.51.100.10-198.51.100.20 or \
                 2001:db8::1",
            )
            .meant(meant::cidr(text))
        })
    }
}

as_text!(AddressBlock, "AddressBlock", text_schema::address_block());

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn blocks_are_read_and_written_back_as_typed() {
        for (text, first, last) in [
            ("203.0.113.0/24", "203.0.113.0", "203.0.113.255"),
            ("203.0.113.7", "203.0.113.7", "203.0.113.7"),
            (
                "198.51.100.10-198.51.100.20",
                "198.51.100.10",
                "198.51.100.20",
            ),
            ("2001:db8:f::/112", "2001:db8:f::", "2001:db8:f::ffff"),
            ("2001:db8::1-2001:db8::1", "2001:db8::1", "2001:db8::1"),
        ] {
            let block: AddressBlock = text.parse().unwrap();
            assert_eq!(block.to_string(), text);
            assert_eq!(block.first(), first.parse::<IpAddr>().unwrap());
            assert_eq!(block.last(), last.parse::<IpAddr>().unwrap());
            assert_eq!(address(block.family(), number(block.last())), block.last());
        }
    }

    #[test]
    fn what_is_no_block_is_refused_with_the_reason() {
        for (text, reason) in [
            ("203.0.113.0/33", "expected one such as"),
            ("203.0.113", "expected one such as"),
            ("203.0.113.00/24", "expected one such as"),
            ("", "expected one such as"),
            ("198.51.100.20-198.51.100.10", "before its first"),
            ("198.51.100.20-2001:db8::1", "different families"),
            ("198.51.100.20-30", "expected two complete addresses"),
        ] {
            let error = text.parse::<AddressBlock>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
