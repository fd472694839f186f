//! `RoutePolicy`: ordered match/action rules that peers name for import and export.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::status::ObjectStatus;
use super::text::{Cidr, CommunityText};

/// Ordered rules. The first rule that matches and is final decides; a route that no rule decides is accepted.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "routelet.dev",
    version = "v1alpha1",
    kind = "RoutePolicy",
    plural = "routepolicies",
    derive = "PartialEq",
    status = "ObjectStatus",
    shortname = "rpol",
    category = "routelet",
    doc = "Ordered match/action rules that peers refer to for import and export.",
    printcolumn(
        name = "Accepted",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Accepted\")].status"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct RoutePolicySpec {
    /// The rules, in order.
    #[serde(default)]
    #[schemars(length(max = 128))]
    pub rules: Vec<RuleSpec>,
}

/// One rule: conditions, changes, and action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuleSpec {
    /// Its name, for the output of commands. Default: its place in the list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The conditions. All that are set must match; none matches everything.
    #[serde(default, rename = "match")]
    pub matches: MatchSpec,
    /// The action on a match.
    pub action: ActionSpec,
    /// The changes on a match.
    #[serde(default)]
    pub set: SetSpec,
}

/// The action on a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ActionSpec {
    /// The route is used; no further rule is evaluated.
    Accept,
    /// The route is not used.
    Reject,
    /// The next rule is evaluated.
    Continue,
}

/// Conditions. Within a list, one match suffices.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct MatchSpec {
    /// Prefixes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 512))]
    pub prefixes: Vec<PrefixMatch>,
    /// Communities of all kinds. Within one kind, one match suffices; of two kinds, both must match.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "super::text_schema::listed_communities")]
    pub communities: Vec<CommunityText>,
    /// AS numbers of which one occurs in the AS_PATH.
    #[serde(rename = "asPathContains", skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "super::text::asns_schema")]
    pub as_path_contains: Vec<u32>,
    /// AS numbers of which one originated the route: the last in the AS_PATH.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "super::text::asns_schema")]
    pub origin_asns: Vec<u32>,
    /// AS numbers of which one is the neighbouring AS: the first in the AS_PATH.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "super::text::asns_schema")]
    pub neighbour_asns: Vec<u32>,
    /// Bounds of the length of the AS_PATH.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_path_length: Option<LengthRange>,
    /// Prefixes of which one contains the next hop.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "super::text_schema::listed_prefixes")]
    pub next_hops: Vec<Cidr>,
    /// Values of ORIGIN.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub origins: Vec<OriginSpec>,
}

/// A prefix, and which more specific ones match with it. Default: exactly this one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = super::rules::prefix_match()))]
pub struct PrefixMatch {
    /// The prefix.
    #[schemars(schema_with = "super::text_schema::listed_prefix")]
    pub cidr: Cidr,
    /// Whether all more specific ones match too.
    #[serde(default)]
    pub or_longer: bool,
    /// The shortest length that matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_length: Option<u8>,
    /// The longest length that matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_length: Option<u8>,
}

/// Bounds, inclusive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = super::rules::length_range()))]
pub struct LengthRange {
    /// The lower bound. Default 0.
    pub min: u32,
    /// The upper bound. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
}

/// ORIGIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OriginSpec {
    /// Interior.
    #[serde(rename = "IGP")]
    Igp,
    /// EGP.
    #[serde(rename = "EGP")]
    Egp,
    /// By other means.
    Incomplete,
}

/// Changes to a route.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = super::rules::set()))]
pub struct SetSpec {
    /// LOCAL_PREF.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub local_preference: Option<u32>,
    /// MULTI_EXIT_DISC.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub med: Option<u32>,
    /// Communities of all kinds to add.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "super::text_schema::listed_communities")]
    pub add_communities: Vec<CommunityText>,
    /// Standard and large communities to remove.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        schema_with = "super::text_schema::listed_communities",
        length(max = 128)
    )]
    pub remove_communities: Vec<CommunityText>,
    /// Remove every standard and large community before adding.
    pub clear_communities: bool,
    /// How often our AS is prepended, 0 to 32.
    #[schemars(range(min = 0, max = 32))]
    pub prepend: u8,
    /// Weight among equal paths in the kernel, 1 to 256. Import only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 256))]
    pub weight: Option<u16>,
}
