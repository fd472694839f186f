//! Values that manifests hold as text: each newtype knows its format, and says in its errors what it expected.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{meant, text_schema};

mod asn;
mod community;
#[cfg(test)]
mod tests;

pub use asn::PeerAs;
pub(crate) use asn::{asns_schema, optional_asn_schema};
pub use community::CommunityText;

/// Serde as text by `Display` and `FromStr`, and a schema of `text_schema`.
macro_rules! as_text {
    ($type:ident, $name:literal, $schema:expr) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(crate::of_text::OfText::new(|| $schema))
            }
        }

        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    };
}

pub(super) use as_text;

/// Text that is not what a field wants.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is not {expected}{meant}")]
pub struct ParseTextError {
    text: String,
    expected: &'static str,
    /// Empty, or a sentence with what divides it from the one before.
    meant: String,
}

impl ParseTextError {
    /// With what may have been meant.
    pub(super) fn meant(self, meant: Option<String>) -> Self {
        let meant = meant.map_or_else(String::new, |meant| format!(". {meant}"));
        Self { meant, ..self }
    }
}

pub(super) fn not(text: &str, expected: &'static str) -> ParseTextError {
    ParseTextError {
        text: text.to_owned(),
        expected,
        meant: String::new(),
    }
}

/// An IPv4 or IPv6 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(pub IpAddr);

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Address {
    type Err = ParseTextError;

    fn from_str(text: &str) -> Result<Self, ParseTextError> {
        // An IPv4 address written as one of IPv6 is the same address, and would else be another one to compare with.
        text.parse::<IpAddr>()
            .map(|address| Self(address.to_canonical()))
            .map_err(|_| {
                not(
                    text,
                    "an address: expected one such as 192.0.2.1 or 2001:db8::1",
                )
                .meant(meant::address(text))
            })
    }
}

as_text!(Address, "Address", text_schema::address());

/// A prefix as typed; host bits may be set, which the validation reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr(pub IpNet);

impl Cidr {
    /// The prefix with its host bits cleared.
    pub fn net(self) -> IpNet {
        self.0.trunc()
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A prefix of IPv4 that is written as one of IPv6 (`::ffff:192.0.2.0/120`) as what it is.
fn canonical(prefix: IpNet) -> IpNet {
    let mapped = match prefix {
        IpNet::V6(prefix) => prefix.addr().to_ipv4_mapped(),
        IpNet::V4(_) => None,
    };
    let length = prefix.prefix_len().checked_sub(96);
    match (mapped, length) {
        (Some(address), Some(length)) => Ipv4Net::new(address, length).map_or(prefix, IpNet::from),
        _ => prefix,
    }
}

/// A prefix as text, if it is one. Numbers with leading zeros are none, neither in the address nor as the length: readers
/// disagree about what they mean.
pub(super) fn prefix(text: &str) -> Option<IpNet> {
    let (address, length) = text.split_once('/')?;
    let is_number = length.bytes().all(|octet| octet.is_ascii_digit());
    let is_plain = is_number && (length == "0" || !length.starts_with('0'));
    let length = length.parse().ok().filter(|_| is_plain)?;
    IpNet::new(address.parse().ok()?, length).ok()
}

impl FromStr for Cidr {
    type Err = ParseTextError;

    fn from_str(text: &str) -> Result<Self, ParseTextError> {
        prefix(text).map(canonical).map(Self).ok_or_else(|| {
            not(
                text,
                "a prefix: expected one such as 198.51.100.0/24 or 2001:db8::/32",
            )
            .meant(meant::cidr(text))
        })
    }
}

as_text!(Cidr, "Cidr", text_schema::prefix());

/// A span of time, written with units: `90s`, `300ms`, `1m30s`, `2h`; a bare `0` is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lapse(pub Duration);

impl Lapse {
    /// So many seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }
}

impl fmt::Display for Lapse {
    /// The shortest exact form in one unit.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        match millis {
            0 => f.write_str("0s"),
            _ if !millis.is_multiple_of(1000) => write!(f, "{millis}ms"),
            _ if millis.is_multiple_of(3_600_000) => write!(f, "{}h", millis / 3_600_000),
            _ => write!(f, "{}s", millis / 1000),
        }
    }
}

impl FromStr for Lapse {
    type Err = ParseTextError;

    fn from_str(text: &str) -> Result<Self, ParseTextError> {
        let wrong = || {
            not(
                text,
                "a duration: expected a number with a unit (ms, s, m or h), such as 90s, 300ms or 1m30s",
            )
            .meant(meant::duration(text))
        };
        if text == "0" {
            return Ok(Self(Duration::ZERO));
        }
        let mut total: u64 = 0;
        let mut rest = text;
        while !rest.is_empty() || text.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
            let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
            let tail = &rest[digits..];
            let letters = tail
                .find(|c: char| c.is_ascii_digit())
                .unwrap_or(tail.len());
            let unit = match &tail[..letters] {
                "ms" => 1,
                "s" => 1000,
                "m" => 60_000,
                "h" => 3_600_000,
                _ => return Err(wrong()),
            };
            total = number
                .checked_mul(unit)
                .and_then(|millis| total.checked_add(millis))
                .ok_or_else(wrong)?;
            rest = &tail[letters..];
        }
        Ok(Self(Duration::from_millis(total)))
    }
}

as_text!(Lapse, "Duration", text_schema::duration());

/// When to meet a peer again: after a time, or not before somebody intervenes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RestartAfter {
    /// So long afterwards.
    After(Lapse),
    /// Not by itself.
    Never,
}

impl Default for RestartAfter {
    /// Long enough that a full table which comes again and again is no load, short enough to need nobody at night.
    fn default() -> Self {
        Self::After(Lapse::seconds(300))
    }
}

impl fmt::Display for RestartAfter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::After(time) => time.fmt(f),
            Self::Never => f.write_str("never"),
        }
    }
}

impl FromStr for RestartAfter {
    type Err = ParseTextError;

    fn from_str(text: &str) -> Result<Self, ParseTextError> {
        match text {
            "never" => Ok(Self::Never),
            _ => text.parse().map(Self::After).map_err(|_| {
                not(
                    text,
                    "a time to restart after: expected a duration such as 5m or 90s, or never",
                )
                .meant(meant::duration(text))
            }),
        }
    }
}

as_text!(RestartAfter, "RestartAfter", text_schema::restart_after());

/// Reads a number that is written like an IPv4 address.
pub(super) fn identifier<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Ipv4Addr>, D::Error> {
    const EXPECTED: &str =
        "an identifier: expected one written like an IPv4 address, such as 192.0.2.1";
    let text = Option::<Cow<'de, str>>::deserialize(deserializer)?;
    let parsed = text.map(|text| {
        let wrong = |_| not(&text, EXPECTED).meant(meant::address(&text));
        text.parse().map_err(wrong)
    });
    parsed.transpose().map_err(de::Error::custom)
}
