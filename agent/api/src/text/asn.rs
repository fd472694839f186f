//! AS numbers, and what the AS of a peer must be.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use bgp::types::Asn;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{ParseTextError, not};
use crate::{meant, rules};

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
