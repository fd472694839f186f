//! Path attributes as manifests name them.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use bgp::wire::attribute::AttributeCode;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A path attribute: its type code, or its name in IANA's registry. Upper and lower case, hyphens and underscores make no
/// difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttributeName(pub AttributeCode);

/// By code; IANA's registry of BGP path attributes without those that were never used.
const NAMES: [(u8, &str); 34] = [
    (1, "Origin"),
    (2, "ASPath"),
    (3, "NextHop"),
    (4, "MultiExitDisc"),
    (5, "LocalPref"),
    (6, "AtomicAggregate"),
    (7, "Aggregator"),
    (8, "Communities"),
    (9, "OriginatorID"),
    (10, "ClusterList"),
    (14, "MPReachNLRI"),
    (15, "MPUnreachNLRI"),
    (16, "ExtendedCommunities"),
    (17, "AS4Path"),
    (18, "AS4Aggregator"),
    (22, "PMSITunnel"),
    (23, "TunnelEncapsulation"),
    (24, "TrafficEngineering"),
    (25, "IPv6ExtendedCommunities"),
    (26, "AIGP"),
    (27, "PEDistinguisherLabels"),
    (28, "EntropyLabelCapability"),
    (29, "BGPLS"),
    (32, "LargeCommunities"),
    (33, "BGPsecPath"),
    (34, "CommunityContainer"),
    (35, "OnlyToCustomer"),
    (36, "DPath"),
    (37, "SFP"),
    (38, "BFDDiscriminator"),
    (39, "RouterCapabilities"),
    (40, "PrefixSID"),
    (128, "AttrSet"),
    (255, "Development"),
];

/// Other names of the same, as registries and other speakers have them; in small letters without anything between.
const ALIASES: [(u8, &str); 9] = [
    (4, "med"),
    (8, "community"),
    (16, "extendedcommunity"),
    (25, "ipv6addressspecificextendedcommunity"),
    (29, "bgplsattribute"),
    (32, "largecommunity"),
    (35, "otc"),
    (36, "bgpdomainpath"),
    (40, "bgpprefixsid"),
];

/// All names, as errors and documentation list them.
pub(crate) fn names() -> String {
    let names: Vec<&str> = NAMES.iter().map(|(_, name)| *name).collect();
    names.join(", ")
}

/// A text that names no path attribute.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is no path attribute: expected a type code from 1 to 255, or one of {names}",
    names = names()
)]
pub struct ParseAttributeNameError(String);

impl fmt::Display for AttributeName {
    /// The name, or the code where there is none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(code, _)| *code == self.0.0) {
            Some((_, name)) => f.write_str(name),
            None => self.0.0.fmt(f),
        }
    }
}

fn plain(name: &str) -> String {
    let letters = name.chars().filter(char::is_ascii_alphanumeric);
    letters.map(|letter| letter.to_ascii_lowercase()).collect()
}

impl FromStr for AttributeName {
    type Err = ParseAttributeNameError;

    fn from_str(text: &str) -> Result<Self, ParseAttributeNameError> {
        let number = text.parse::<u8>().ok().filter(|code| *code != 0);
        let wanted = plain(text);
        let named = || {
            let names = NAMES.iter().map(|(code, name)| (*code, plain(name)));
            let aliases = ALIASES.iter().map(|(code, name)| (*code, plain(name)));
            let mut all = names.chain(aliases);
            all.find(|(_, name)| *name == wanted).map(|(code, _)| code)
        };
        number
            .or_else(named)
            .map(|code| Self(AttributeCode(code)))
            .ok_or_else(|| ParseAttributeNameError(text.to_owned()))
    }
}

impl Serialize for AttributeName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match NAMES.iter().find(|(code, _)| *code == self.0.0) {
            Some((_, name)) => serializer.serialize_str(name),
            None => serializer.serialize_u8(self.0.0),
        }
    }
}

impl<'de> Deserialize<'de> for AttributeName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = AttributeName;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a path attribute: its type code from 1 to 255, or its name")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<AttributeName, E> {
                number.to_string().parse().map_err(E::custom)
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<AttributeName, E> {
                number.to_string().parse().map_err(E::custom)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<AttributeName, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for AttributeName {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "AttributeName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "minimum": 1,
            "maximum": 255,
            "description": "A path attribute: its type code from 1 to 255, or its name, such as PrefixSID.",
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_attribute_is_read_by_code_and_by_name_and_written_by_name() {
        for (text, code) in [
            ("40", 40),
            ("PrefixSID", 40),
            ("prefix-sid", 40),
            ("BGP Prefix-SID", 40),
            ("AIGP", 26),
            ("BGP-LS", 29),
            ("OTC", 35),
            ("LARGE_COMMUNITY", 32),
            ("99", 99),
        ] {
            let read: AttributeName = text.parse().unwrap();
            assert_eq!(read.0.0, code, "{text}");
            let json: AttributeName = serde_json::from_value(text.into()).unwrap();
            assert_eq!(json, read);
        }
        assert_eq!(AttributeName(AttributeCode(40)).to_string(), "PrefixSID");
        let number: AttributeName = serde_json::from_str("40").unwrap();
        assert_eq!(serde_json::to_string(&number).unwrap(), "\"PrefixSID\"");
        let unnamed: AttributeName = serde_json::from_str("99").unwrap();
        assert_eq!(serde_json::to_string(&unnamed).unwrap(), "99");
        for (code, name) in NAMES.into_iter().chain(ALIASES) {
            assert_eq!(name.parse(), Ok(AttributeName(AttributeCode(code))));
        }
    }

    #[test]
    fn what_is_no_attribute_is_refused_with_the_names_that_there_are() {
        for text in ["0", "256", "-1", "PrefixSit", "", "-"] {
            let error = text.parse::<AttributeName>().unwrap_err().to_string();
            assert!(
                error.contains("PrefixSID") && error.contains("1 to 255"),
                "{error}"
            );
        }
        let error = serde_json::from_str::<AttributeName>("300").unwrap_err();
        assert!(error.to_string().contains("\"300\" is no path attribute"));
        assert!(serde_json::from_str::<AttributeName>("1.5").is_err());
    }
}
