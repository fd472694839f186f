//! RoutePolicy objects as the RIB runs them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use bgp::types::{Asn, Community, ExtendedCommunity, LargeCommunity};
use bgp::wire::attribute::Origin;
use rib::policy::{Action, Matches, OneOf, Policy, PrefixRange, Rule, Set};
use routelet_api::CommunityText;
use routelet_api::policy::{ActionSpec, MatchSpec, OriginSpec, PrefixMatch, RuleSpec, SetSpec};

use super::{Warning, WarningKind};
use crate::cluster::{ClusterState, ObjectRef};

/// Communities by kind.
#[derive(Clone, Debug, Default)]
pub(super) struct ByKind {
    pub(super) standard: Vec<Community>,
    pub(super) large: Vec<LargeCommunity>,
    pub(super) extended: Vec<ExtendedCommunity>,
}

impl ByKind {
    /// Sorted, each once.
    pub(super) fn of(list: &[CommunityText]) -> Self {
        let mut list = list.to_vec();
        list.sort_unstable();
        list.dedup();
        let mut by_kind = Self::default();
        for community in list {
            match community {
                CommunityText::Standard(c) => by_kind.standard.push(c),
                CommunityText::Large(c) => by_kind.large.push(c),
                CommunityText::Extended(c) => by_kind.extended.push(c),
            }
        }
        by_kind
    }
}

/// All policies of the state, by name.
pub(super) fn policies(state: &ClusterState) -> BTreeMap<String, Arc<Policy>> {
    state
        .policies
        .values()
        .map(|object| {
            let rules = object.spec.rules.iter().enumerate();
            let policy = Policy {
                name: object.name.clone(),
                rules: rules.map(|(at, spec)| rule(at, spec)).collect(),
            };
            (object.name.clone(), Arc::new(policy))
        })
        .collect()
}

/// The policies that a peer names. A missing one rejects everything: a filter that is not there must not let all pass.
pub(super) fn named(
    policies: &BTreeMap<String, Arc<Policy>>,
    object: &ObjectRef,
    field: &'static str,
    names: &[String],
    warnings: &mut Vec<Warning>,
) -> Vec<Arc<Policy>> {
    names
        .iter()
        .map(|name| {
            policies.get(name).cloned().unwrap_or_else(|| {
                warnings.push(Warning {
                    object: object.clone(),
                    kind: WarningKind::PolicyMissing {
                        field,
                        name: name.clone(),
                    },
                });
                Arc::new(missing(name))
            })
        })
        .collect()
}

fn missing(name: &str) -> Policy {
    Policy {
        name: name.to_owned(),
        rules: vec![Rule {
            name: "missing".to_owned(),
            matches: Matches::default(),
            set: Set::default(),
            action: Action::Reject,
        }],
    }
}

fn rule(at: usize, spec: &RuleSpec) -> Rule {
    Rule {
        name: spec.name.clone().unwrap_or_else(|| format!("rules[{at}]")),
        matches: matches(&spec.matches),
        set: set(&spec.set),
        action: match spec.action {
            ActionSpec::Accept => Action::Accept,
            ActionSpec::Reject => Action::Reject,
            ActionSpec::Continue => Action::Continue,
        },
    }
}

fn asns(numbers: &[u32]) -> OneOf<Asn> {
    let numbers = numbers.iter().copied().map(Asn);
    numbers.collect::<Vec<Asn>>().into()
}

fn matches(spec: &MatchSpec) -> Matches {
    let communities = ByKind::of(&spec.communities);
    Matches {
        prefixes: spec.prefixes.iter().map(prefix_range).collect(),
        communities: communities.standard.into(),
        large_communities: communities.large.into(),
        extended_communities: communities.extended.into(),
        as_path_contains: asns(&spec.as_path_contains),
        origin_asns: asns(&spec.origin_asns),
        neighbour_asns: asns(&spec.neighbour_asns),
        as_path_length: spec
            .as_path_length
            .map(|range| (range.min, range.max.unwrap_or(u32::MAX))),
        next_hops: spec.next_hops.iter().map(|cidr| cidr.net()).collect(),
        origins: spec
            .origins
            .iter()
            .map(|origin| match origin {
                OriginSpec::Igp => Origin::Igp,
                OriginSpec::Egp => Origin::Egp,
                OriginSpec::Incomplete => Origin::Incomplete,
            })
            .collect(),
    }
}

/// A bound that is not given is the prefix's own length, or the longest if longer ones are asked for.
fn prefix_range(spec: &PrefixMatch) -> PrefixRange {
    let net = spec.cidr.net();
    let longest = match net.addr() {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    };
    let open = spec.or_longer || spec.min_length.is_some();
    PrefixRange {
        net,
        min_length: spec.min_length.unwrap_or(net.prefix_len()),
        max_length: spec
            .max_length
            .unwrap_or(if open { longest } else { net.prefix_len() }),
    }
}

fn set(spec: &SetSpec) -> Set {
    let add = ByKind::of(&spec.add_communities);
    let remove = ByKind::of(&spec.remove_communities);
    Set {
        local_preference: spec.local_preference,
        med: spec.med,
        add_communities: add.standard,
        remove_communities: remove.standard,
        clear_communities: spec.clear_communities,
        add_large_communities: add.large,
        remove_large_communities: remove.large,
        add_extended_communities: add.extended,
        prepend: spec.prepend,
        weight: spec.weight,
    }
}
