//! Values that manifests hold as text: each newtype knows its format, and says in its errors what it expected.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;
use std::time::Duration;

use bgp::types::{Asn, Community, ExtendedCommunity, LargeCommunity};
use ipnet::{IpNet, Ipv4Net};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{meant, rules, text_schema};

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

/// What a peer's AS must be: a number, or how it relates to ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PeerAs {
    /// This AS.
    Number(Asn),
    /// Our own AS: iBGP.
    Internal,
    /// Any AS but our own: eBGP.
    External,
}

impl fmt::Display for PeerAs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(asn) => asn.fmt(f),
            Self::Internal => f.write_str("internal"),
            Self::External => f.write_str("external"),
        }
    }
}

impl FromStr for PeerAs {
    type Err = ParseTextError;

    fn from_str(text: &str) -> Result<Self, ParseTextError> {
        match text {
            "internal" => Ok(Self::Internal),
            "external" => Ok(Self::External),
            _ => text.parse().map(Self::Number).map_err(|_| {
                not(
                    text,
                    "an AS: expected a number from 1 to 4294967295, internal or external",
                )
                .meant(meant::asn(text))
            }),
        }
    }
}

impl Serialize for PeerAs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(asn) => serializer.serialize_u32(asn.0),
            Self::Internal | Self::External => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for PeerAs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = PeerAs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an AS number from 1 to 4294967295, internal or external")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<PeerAs, E> {
                u32::try_from(number)
                    .map(|asn| PeerAs::Number(Asn(asn)))
                    .map_err(|_| E::invalid_value(de::Unexpected::Unsigned(number), &self))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<PeerAs, E> {
                u64::try_from(number)
                    .map_err(|_| E::invalid_value(de::Unexpected::Signed(number), &self))
                    .and_then(|number| self.visit_u64(number))
            }

            /// The form of RFC 5396 for numbers of four octets, without quotes: 1.10 is 1.1 for YAML.
            fn visit_f64<E: de::Error>(self, _: f64) -> Result<PeerAs, E> {
                Err(E::custom(
                    "found a number with a point, which is read as a fraction: write the AS as one number, or put it in quotes",
                ))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<PeerAs, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for PeerAs {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "PeerAs".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "description": "An AS number from 1 to 4294967295, internal (our own AS) or external (any other).",
            "minimum": 1,
            "maximum": 4_294_967_295_u32,
            "pattern": "^(internal|external|(AS|as)?[0-9]{1,10}(\\.[0-9]{1,5})?)$",
            "x-kubernetes-validations": rules::peer_as(),
        })
    }
}

/// The schema of a list of AS numbers.
pub(crate) fn asns_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": {"type": "integer", "format": "int64", "minimum": 1, "maximum": 4_294_967_295_u32}
    })
}

/// The schema of an optional AS number: 64 bits wide, because half of them do not fit the int32 that is assumed else.
pub(crate) fn optional_asn_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "integer", "format": "int64", "minimum": 1, "maximum": 4_294_967_295_u32, "nullable": true,
        "x-kubernetes-validations": rules::asn()
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_ipv4_address_in_ipv6_notation_is_the_same_address() {
        let address = |text: &str| text.parse::<Address>().unwrap();
        assert_eq!(address("::ffff:192.0.2.1"), address("192.0.2.1"));
        assert_ne!(address("::192.0.2.1"), address("192.0.2.1"));
        let prefix = |text: &str| text.parse::<Cidr>().unwrap();
        assert_eq!(prefix("::ffff:192.0.2.0/120"), prefix("192.0.2.0/24"));
        assert_eq!(prefix("::ffff:0:0/90").0.prefix_len(), 90);
    }

    #[test]
    fn numbers_with_leading_zeros_are_no_addresses_and_no_prefixes() {
        for text in ["010.0.0.1", "10.0.00.1", "::ffff:010.0.0.1"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
            let prefix = format!("{text}/32");
            assert!(prefix.parse::<Cidr>().is_err(), "{prefix}");
        }
        for text in [
            "10.0.0.0/08",
            "10.0.0.0/+8",
            "10.0.0.0/",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0",
        ] {
            assert!(text.parse::<Cidr>().is_err(), "{text}");
        }
        for text in ["0.0.0.0/0", "10.0.0.0/8", "::/0", "2001:db8::/32"] {
            assert_eq!(text.parse::<Cidr>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn durations_are_read_with_units_and_only_with_units() {
        for (text, millis) in [
            ("90s", 90_000),
            ("300ms", 300),
            ("1m30s", 90_000),
            ("2h", 7_200_000),
            ("0", 0),
            ("0s", 0),
        ] {
            assert_eq!(text.parse::<Lapse>().unwrap().0.as_millis(), millis);
        }
        for text in [
            "",
            "90",
            "s",
            "-3s",
            "1.5s",
            "3d",
            "99999999999999999999s",
            "3 s",
        ] {
            assert!(text.parse::<Lapse>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn communities_of_all_kinds_are_told_apart_and_written_back_as_read() {
        for text in [
            "64512:100",
            "no-export",
            "64512:1:2",
            "4200000000:1:2",
            "rt:64512:100000",
            "rt:4200000000:7",
            "ro:192.0.2.1:7",
        ] {
            assert_eq!(text.parse::<CommunityText>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "64512",
            "70000:1",
            "1:2:3:4",
            "rt:1",
            "rt:192.0.2.1:70000",
            "no-exports",
        ] {
            assert!(text.parse::<CommunityText>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn route_targets_have_the_bytes_of_rfc_4360() {
        let CommunityText::Extended(c) = "rt:64512:100".parse().unwrap() else {
            panic!("not extended");
        };
        assert_eq!(c.0, [0, 2, 0xfc, 0, 0, 0, 0, 100]);
    }
}
