//! Communities of all kinds as text.

use std::borrow::Cow;
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use bgp::types::{Community, ExtendedCommunity, LargeCommunity};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{ParseTextError, as_text, not};
use crate::{meant, text_schema};

/// A community of any kind, told apart by its form: `64512:100` or a well-known name (RFC 1997), `64512:1:2` (large,
/// RFC 8092), `rt:64512:100` or `ro:192.0.2.1:7` (extended, RFC 4360: route target and route origin).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CommunityText {
    /// RFC 1997.
    Standard(Community),
    /// RFC 8092.
    Large(LargeCommunity),
    /// RFC 4360.
    Extended(ExtendedCommunity),
}

/// Route target and route origin: the subtypes of RFC 4360 sections 4 and 5.
const EXTENDED_NAMES: [(&str, u8); 2] = [("rt", 2), ("ro", 3)];

impl fmt::Display for CommunityText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = match self {
            Self::Standard(c) => return c.fmt(f),
            Self::Large(c) => return c.fmt(f),
            Self::Extended(ExtendedCommunity(bytes)) => *bytes,
        };
        let [kind, subtype, a, b, c, d, e, g] = bytes;
        let name = EXTENDED_NAMES
            .iter()
            .find(|(_, code)| *code == subtype)
            .map_or("ext", |(name, _)| *name);
        match kind {
            0 => write!(
                f,
                "{name}:{}:{}",
                u16::from_be_bytes([a, b]),
                u32::from_be_bytes([c, d, e, g])
            ),
            1 => write!(f, "{name}:{a}.{b}.{c}.{d}:{}", u16::from_be_bytes([e, g])),
            _ => write!(
                f,
                "{name}:{}:{}",
                u32::from_be_bytes([a, b, c, d]),
                u16::from_be_bytes([e, g])
            ),
        }
    }
}

fn extended(subtype: u8, value: &str) -> Option<ExtendedCommunity> {
    let (administrator, number) = value.split_once(':')?;
    let mut bytes = [0, subtype, 0, 0, 0, 0, 0, 0];
    if let Ok(address) = administrator.parse::<Ipv4Addr>() {
        bytes[0] = 1;
        bytes[2..6].copy_from_slice(&address.octets());
        bytes[6..].copy_from_slice(&number.parse::<u16>().ok()?.to_be_bytes());
    } else if let Ok(asn) = administrator.parse::<u16>() {
        bytes[2..4].copy_from_slice(&asn.to_be_bytes());
        bytes[4..].copy_from_slice(&number.parse::<u32>().ok()?.to_be_bytes());
    } else {
        // RFC 5668: four-octet AS number, two octets of local value.
        bytes[0] = 2;
        bytes[2..6].copy_from_slice(&administrator.parse::<u32>().ok()?.to_be_bytes());
        bytes[6..].copy_from_slice(&number.parse::<u16>().ok()?.to_be_bytes());
    }
    Some(ExtendedCommunity(bytes))
}

impl FromStr for CommunityText {
    type Err = ParseTextError;

    fn from_str(text: &str) -> Result<Self, ParseTextError> {
        let wrong = || {
            not(
                text,
                "a community: expected 64512:100, 64512:1:2 (large), rt:64512:100 (extended) or a well-known name such \
                 as no-export",
            )
            .meant(meant::community(text))
        };
        if let Some((name, value)) = text.split_once(':')
            && let Some((_, subtype)) = EXTENDED_NAMES.iter().find(|(n, _)| *n == name)
        {
            return extended(*subtype, value)
                .map(Self::Extended)
                .ok_or_else(wrong);
        }
        match text.matches(':').count() {
            2 => text.parse().map(Self::Large).map_err(|_| wrong()),
            _ => text.parse().map(Self::Standard).map_err(|_| wrong()),
        }
    }
}

as_text!(CommunityText, "Community", text_schema::community());
