//! Path attributes as a structured value.

use serde::Serialize;

use super::{Aggregator, AsPath, AttributeCode, Origin, UnknownAttribute};
use crate::types::{
    Asn, BgpIdentifier, Community, ExtendedCommunity, Ipv6ExtendedCommunity, LargeCommunity,
};

/// Path attributes as a structured value. `None` or empty is absent.
///
/// In JSON the names are in camel case, absent attributes are left out, and AS path and communities are strings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PathAttributes {
    /// ORIGIN.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// AS_PATH (empty on locally originated routes), AS4_PATH merged.
    pub as_path: AsPath,
    /// MULTI_EXIT_DISC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub med: Option<u32>,
    /// LOCAL_PREF.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_pref: Option<u32>,
    /// ATOMIC_AGGREGATE.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub atomic_aggregate: bool,
    /// AGGREGATOR, AS4_AGGREGATOR merged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aggregator: Option<Aggregator>,
    /// COMMUNITIES, sorted, each once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub communities: Vec<Community>,
    /// EXTENDED COMMUNITIES, sorted, each once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extended_communities: Vec<ExtendedCommunity>,
    /// IPv6-address-specific extended communities, sorted, each once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ipv6_extended_communities: Vec<Ipv6ExtendedCommunity>,
    /// LARGE_COMMUNITY, sorted, each once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub large_communities: Vec<LargeCommunity>,
    /// ORIGINATOR_ID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub originator_id: Option<BgpIdentifier>,
    /// CLUSTER_LIST, nearest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cluster_list: Vec<BgpIdentifier>,
    /// Only to Customer (RFC 9234).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub only_to_customer: Option<Asn>,
    /// Attributes that this speaker does not interpret, ascending by type code.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<UnknownAttribute>,
    /// Which of the optional transitive attributes above came with the partial bit: it is never cleared again (RFC 4271
    /// section 5).
    #[serde(skip)]
    pub partial: PartialCodes,
}

/// A set of type codes of known attributes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PartialCodes(u64);

impl PartialCodes {
    /// Adds a code. Codes over 63 belong to no attribute that is known here, and are not kept.
    pub const fn insert(&mut self, code: AttributeCode) {
        if code.0 < 64 {
            self.0 |= 1 << code.0;
        }
    }

    /// Whether the code is in the set.
    pub const fn contains(self, code: AttributeCode) -> bool {
        code.0 < 64 && self.0 & (1 << code.0) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_codes_holds_those_of_known_attributes_and_ignores_others() {
        let all = || (0..=u8::MAX).map(AttributeCode);
        for code in all() {
            let mut one = PartialCodes::default();
            one.insert(code);
            for other in all() {
                let kept = other == code && code.0 < 64;
                assert_eq!(one.contains(other), kept, "{other:?} of {code:?}");
            }
        }
        let mut codes = PartialCodes::default();
        codes.insert(AttributeCode::COMMUNITIES);
        codes.insert(AttributeCode::COMMUNITIES);
        codes.insert(AttributeCode::ONLY_TO_CUSTOMER);
        assert!(codes.contains(AttributeCode::COMMUNITIES));
        assert!(codes.contains(AttributeCode::ONLY_TO_CUSTOMER));
    }
}
