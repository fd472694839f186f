//! The words for what became of a path: the rule that decided, or the reason that kept it out.

use std::fmt;

/// The step of the decision process that separated a path from better ones, in the order of the steps.
///
/// Kept with each prefix: the latest step that a candidate of the best path fell at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Rule {
    /// There is no other usable path.
    OnlyPath,
    /// This node originates the prefix.
    LocalRoute,
    /// Not stale under long-lived graceful restart (RFC 9494 section 4.3).
    NotLongLivedStale,
    /// Higher LOCAL_PREF (RFC 4271 9.1.1).
    LocalPref,
    /// Shorter AS_PATH (RFC 4271 9.1.2.2 a).
    AsPathLength,
    /// Lower ORIGIN (9.1.2.2 b).
    Origin,
    /// Lower MULTI_EXIT_DISC among paths of one neighbouring AS (9.1.2.2 c).
    Med,
    /// Learned from an external peer (9.1.2.2 d).
    External,
    /// Lower cost to the next hop (9.1.2.2 e).
    IgpMetric,
    /// Lower BGP identifier, or ORIGINATOR_ID (9.1.2.2 f, RFC 4456 section 9).
    BgpIdentifier,
    /// Shorter CLUSTER_LIST (RFC 4456 section 9).
    ClusterListLength,
    /// Lower peer address (9.1.2.2 g).
    PeerAddress,
    /// Lower path identifier: both are from one peer (RFC 7911).
    PathId,
}

impl fmt::Display for Rule {
    /// Why the better one of two paths is better: `higher local preference`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::OnlyPath => "only path",
            Self::LocalRoute => "local route",
            Self::NotLongLivedStale => "not long-lived stale",
            Self::LocalPref => "higher local preference",
            Self::AsPathLength => "shorter AS path",
            Self::Origin => "lower origin",
            Self::Med => "lower MED",
            Self::External => "external over internal",
            Self::IgpMetric => "lower cost to the next hop",
            Self::BgpIdentifier => "lower BGP identifier",
            Self::ClusterListLength => "shorter cluster list",
            Self::PeerAddress => "lower peer address",
            Self::PathId => "lower path identifier",
        })
    }
}

/// Why a received path was not accepted. Accepted is the absence of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Rejection {
    /// Our own AS stands in the AS_PATH more often than allowed (RFC 4271 9.1.2).
    OwnAs = 1,
    /// ORIGINATOR_ID is ours (RFC 4456 section 8).
    OwnOriginator,
    /// CLUSTER_LIST contains our cluster ID (RFC 4456 section 8).
    OwnCluster,
    /// The AS_PATH of an external peer does not begin with its AS (RFC 4271 6.3).
    FirstAs,
    /// Only to Customer shows a route leak (RFC 9234 section 5).
    RouteLeak,
    /// A rule of an import policy rejected it.
    Policy,
    /// An attribute that the import policies or RFC 9494 add to would be longer than any can be.
    TooLong,
    /// It has an attribute whose routes the peer's filter treats as withdrawn.
    AttributeFilter,
    /// Its peer brings as many distinct next hops as it may, and not this one.
    NextHopLimit,
}

impl Rejection {
    const ALL: [Self; 9] = [
        Self::OwnAs,
        Self::OwnOriginator,
        Self::OwnCluster,
        Self::FirstAs,
        Self::RouteLeak,
        Self::Policy,
        Self::TooLong,
        Self::AttributeFilter,
        Self::NextHopLimit,
    ];

    /// The inverse of `as u8`; `None` for 0 and unknown values.
    pub(crate) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code).checked_sub(1)?).copied()
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::OwnAs => "own AS in AS path",
            Self::OwnOriginator => "own originator ID",
            Self::OwnCluster => "own cluster ID in cluster list",
            Self::FirstAs => "AS path does not begin with the peer's AS",
            Self::RouteLeak => "route leak (only to customer)",
            Self::Policy => "import policy",
            Self::TooLong => "an attribute would have more than 65535 octets after import",
            Self::AttributeFilter => "treated as withdrawn by the peer's attribute filter",
            Self::NextHopLimit => "more distinct next hops than the peer may have",
        })
    }
}

/// What became of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PathStatus {
    /// The best one, by the rule that its last candidate fell at.
    Best(Rule),
    /// Selected beside the best one. The rule is the tie-break that made the other one best.
    Multipath(Rule),
    /// Usable, but another one is better by this rule.
    Lost(Rule),
    /// The next hop cannot be reached.
    NextHopUnreachable,
    /// Not accepted.
    Rejected(Rejection),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rejection_survives_its_code() {
        for rejection in Rejection::ALL {
            assert_eq!(Rejection::from_code(rejection as u8), Some(rejection));
        }
        assert_eq!(Rejection::from_code(0), None);
        assert_eq!(Rejection::from_code(15), None);
    }

    #[test]
    fn every_rule_and_rejection_has_words_of_its_own() {
        let rules = [
            (Rule::OnlyPath, "only path"),
            (Rule::LocalRoute, "local route"),
            (Rule::NotLongLivedStale, "not long-lived stale"),
            (Rule::LocalPref, "higher local preference"),
            (Rule::AsPathLength, "shorter AS path"),
            (Rule::Origin, "lower origin"),
            (Rule::Med, "lower MED"),
            (Rule::External, "external over internal"),
            (Rule::IgpMetric, "lower cost to the next hop"),
            (Rule::BgpIdentifier, "lower BGP identifier"),
            (Rule::ClusterListLength, "shorter cluster list"),
            (Rule::PeerAddress, "lower peer address"),
            (Rule::PathId, "lower path identifier"),
        ];
        for (rule, words) in rules {
            assert_eq!(rule.to_string(), words);
        }
        // In the order of RFC 4271 section 9.1.2.2, which is how the latest one is found.
        assert!(rules.is_sorted_by_key(|(rule, _)| *rule));
        let words = [
            "own AS in AS path",
            "own originator ID",
            "own cluster ID in cluster list",
            "AS path does not begin with the peer's AS",
            "route leak (only to customer)",
            "import policy",
            "an attribute would have more than 65535 octets after import",
            "treated as withdrawn by the peer's attribute filter",
            "more distinct next hops than the peer may have",
        ];
        assert_eq!(Rejection::ALL.map(|rejection| rejection.to_string()), words);
    }
}
