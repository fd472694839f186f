//! Extended communities: RFC 4360 with AS (RFC 5668) and IPv4 administrators, and IPv6-address-specific (RFC 5701).
//!
//! Route targets and route origins have a notation, `rt:64512:1` and `soo:192.0.2.1:1`; any other value is written as
//! its octets in hexadecimal, `0x4300000000000064`. In JSON and YAML they are strings in that notation.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::Asn;
use super::community::ParseCommunityError;
use super::text::serde_as_text;

/// The subtypes that have a name, the same for every administrator type (RFC 4360 sections 4 and 5).
const SUBTYPES: [(u8, &str); 2] = [(0x02, "rt"), (0x03, "soo")];

fn subtype_name(subtype: u8) -> Option<&'static str> {
    SUBTYPES
        .iter()
        .find(|row| row.0 == subtype)
        .map(|row| row.1)
}

fn subtype_code(name: &str) -> Option<u8> {
    SUBTYPES.iter().find(|row| row.1 == name).map(|row| row.0)
}

/// Number parsers would also take a sign.
fn is_hexadecimal(digits: &str) -> bool {
    digits.bytes().all(|digit| digit.is_ascii_hexdigit())
}

/// An extended community (RFC 4360): type, subtype and value, eight octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExtendedCommunity(pub [u8; 8]);

impl ExtendedCommunity {
    /// Type: transitive, two-octet AS administrator.
    const TWO_OCTET_AS: u8 = 0x00;
    /// Type: transitive, IPv4 address administrator.
    const IPV4_ADDRESS: u8 = 0x01;
    /// Type: transitive, four-octet AS administrator (RFC 5668).
    const FOUR_OCTET_AS: u8 = 0x02;

    /// Whether it may cross an AS border: bit 0x40 of the type is clear (RFC 4360 section 2).
    pub const fn is_transitive(self) -> bool {
        self.0[0] & 0x40 == 0
    }

    /// With an AS as the administrator: two octets of it where they suffice and four octets are left for `local`,
    /// else the form of RFC 5668. `None` if the AS needs four octets and `local` does not fit in the other two.
    fn with_as(subtype: u8, asn: Asn, local: u32) -> Option<Self> {
        let mut octets = [0; 8];
        octets[1] = subtype;
        if let Ok(short) = u16::try_from(asn.0) {
            octets[0] = Self::TWO_OCTET_AS;
            octets[2..4].copy_from_slice(&short.to_be_bytes());
            octets[4..].copy_from_slice(&local.to_be_bytes());
        } else {
            octets[0] = Self::FOUR_OCTET_AS;
            octets[2..6].copy_from_slice(&asn.0.to_be_bytes());
            octets[6..].copy_from_slice(&u16::try_from(local).ok()?.to_be_bytes());
        }
        Some(Self(octets))
    }

    fn with_address(subtype: u8, address: Ipv4Addr, local: u16) -> Self {
        let [a, b, c, d] = address.octets();
        let [high, low] = local.to_be_bytes();
        Self([Self::IPV4_ADDRESS, subtype, a, b, c, d, high, low])
    }
}

impl fmt::Display for ExtendedCommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [kind, subtype, a, b, c, d, e, g] = self.0;
        match (kind, subtype_name(subtype)) {
            (Self::TWO_OCTET_AS, Some(name)) => {
                let asn = u16::from_be_bytes([a, b]);
                write!(f, "{name}:{asn}:{}", u32::from_be_bytes([c, d, e, g]))
            }
            (Self::IPV4_ADDRESS, Some(name)) => {
                let address = Ipv4Addr::new(a, b, c, d);
                write!(f, "{name}:{address}:{}", u16::from_be_bytes([e, g]))
            }
            // RFC 5668 allows small numbers here too; without a form of their own they would read as the other type.
            (Self::FOUR_OCTET_AS, Some(name)) if (a, b) != (0, 0) => {
                let asn = u32::from_be_bytes([a, b, c, d]);
                write!(f, "{name}:{asn}:{}", u16::from_be_bytes([e, g]))
            }
            _ => write!(f, "0x{:016x}", u64::from_be_bytes(self.0)),
        }
    }
}

impl FromStr for ExtendedCommunity {
    type Err = ParseCommunityError;

    /// Reads `rt:64512:1`, `soo:64512:1`, the same with an IPv4 address or a four-octet AS, or `0x` and 16 digits.
    fn from_str(s: &str) -> Result<Self, ParseCommunityError> {
        let parsed = || -> Option<Self> {
            if let Some(digits) = s.strip_prefix("0x").filter(|digits| is_hexadecimal(digits)) {
                let value = u64::from_str_radix(digits, 16).ok()?;
                return (digits.len() == 16).then_some(Self(value.to_be_bytes()));
            }
            let (name, rest) = s.split_once(':')?;
            let (administrator, local) = rest.rsplit_once(':')?;
            let subtype = subtype_code(name)?;
            match administrator.parse::<Ipv4Addr>() {
                Ok(address) => Some(Self::with_address(subtype, address, local.parse().ok()?)),
                Err(_) => Self::with_as(
                    subtype,
                    Asn(administrator.parse().ok()?),
                    local.parse().ok()?,
                ),
            }
        };
        parsed().ok_or_else(|| ParseCommunityError {
            text: s.to_owned(),
            expected: "extended community: expected rt:64512:1, soo:192.0.2.1:1, or 0x and sixteen hexadecimal digits",
        })
    }
}

/// An IPv6-address-specific extended community (RFC 5701): twenty octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ipv6ExtendedCommunity(pub [u8; 20]);

impl Ipv6ExtendedCommunity {
    /// Type: transitive.
    const TRANSITIVE: u8 = 0x00;

    /// Whether it may cross an AS border: bit 0x40 of the type is clear (RFC 5701 section 2).
    pub const fn is_transitive(self) -> bool {
        self.0[0] & 0x40 == 0
    }
}

impl fmt::Display for Ipv6ExtendedCommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (head, address, local) = (&self.0[..2], &self.0[2..18], &self.0[18..]);
        match (
            head[0],
            subtype_name(head[1]),
            <[u8; 16]>::try_from(address),
        ) {
            (Self::TRANSITIVE, Some(name), Ok(address)) => {
                let local = u16::from_be_bytes([local[0], local[1]]);
                write!(f, "{name}:[{}]:{local}", Ipv6Addr::from(address))
            }
            _ => {
                f.write_str("0x")?;
                self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
            }
        }
    }
}

impl FromStr for Ipv6ExtendedCommunity {
    type Err = ParseCommunityError;

    /// Reads `rt:[2001:db8::1]:1`, `soo:[2001:db8::1]:1`, or `0x` and 40 digits.
    fn from_str(s: &str) -> Result<Self, ParseCommunityError> {
        let parsed = || -> Option<Self> {
            let mut octets = [0; 20];
            if let Some(digits) = s.strip_prefix("0x") {
                if digits.len() != 40 || !is_hexadecimal(digits) {
                    return None;
                }
                for (octet, at) in octets.iter_mut().zip((0..40).step_by(2)) {
                    *octet = u8::from_str_radix(&digits[at..at + 2], 16).ok()?;
                }
                return Some(Self(octets));
            }
            let (name, rest) = s.split_once(":[")?;
            let (address, local) = rest.split_once("]:")?;
            octets[0] = Self::TRANSITIVE;
            octets[1] = subtype_code(name)?;
            octets[2..18].copy_from_slice(&address.parse::<Ipv6Addr>().ok()?.octets());
            octets[18..].copy_from_slice(&local.parse::<u16>().ok()?.to_be_bytes());
            Some(Self(octets))
        };
        parsed().ok_or_else(|| ParseCommunityError {
            text: s.to_owned(),
            expected: "IPv6 extended community: expected rt:[2001:db8::1]:1, or 0x and forty hexadecimal digits",
        })
    }
}

serde_as_text!(ExtendedCommunity, Ipv6ExtendedCommunity);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn notation_and_octets_agree_rfc_4360_and_rfc_5668() {
        for (text, octets) in [
            ("rt:64512:1", [0, 2, 0xfc, 0, 0, 0, 0, 1]),
            ("soo:64512:4294967295", [0, 3, 0xfc, 0, 255, 255, 255, 255]),
            ("rt:192.0.2.1:7", [1, 2, 192, 0, 2, 1, 0, 7]),
            ("rt:4200000000:7", [2, 2, 0xfa, 0x56, 0xea, 0, 0, 7]),
            ("0x4300000000000064", [0x43, 0, 0, 0, 0, 0, 0, 0x64]),
            ("0x0202000000010007", [2, 2, 0, 0, 0, 1, 0, 7]),
        ] {
            let parsed: ExtendedCommunity = text.parse().unwrap();
            assert_eq!(parsed, ExtendedCommunity(octets));
            assert_eq!(parsed.to_string(), text);
        }
        for text in [
            "",
            "rt:1",
            "rt:4200000000:65536",
            "xx:1:1",
            "0x12",
            "0x+300000000000064",
            "0x+30000000000006",
        ] {
            assert!(text.parse::<ExtendedCommunity>().is_err(), "{text}");
        }
    }

    #[test]
    fn notation_and_octets_agree_rfc_5701() {
        for text in [
            "rt:[2001:db8::1]:7",
            "soo:[::]:65535",
            "0x400220010db8000000000000000000000001ffff",
        ] {
            assert_eq!(
                text.parse::<Ipv6ExtendedCommunity>().unwrap().to_string(),
                text
            );
        }
        for text in ["rt:2001:db8::1:7", "rt:[1.2.3.4]:7", "0x00", "0x\u{e9}"] {
            assert!(text.parse::<Ipv6ExtendedCommunity>().is_err(), "{text}");
        }
    }
}
