//! Evaluation of policies on a route.
//!
//! A [`Chain`] is a peer's list of policies, prepared once. Without policies nothing is done at all. What the rules say
//! of a route depends on its prefix only through the prefix conditions, so [`Chain::signature`] (which conditions the
//! prefix fulfils) together with the attribute set determines the verdict: callers cache verdicts by that pair, and a
//! chain without prefix conditions has one signature for every prefix.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use bgp::types::{Asn, NextHop};
use bgp::wire::PathAttributes;
use ipnet::IpNet;
use smallvec::SmallVec;

use super::{Action, Matches, OneOf, Policy, PrefixRange, Rule, Set};

/// A rule of a chain by its numbers, both from 0: the reason value kept with a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleRef {
    /// The place of the policy in the peer's list.
    pub policy: u16,
    /// The place of the rule in the policy.
    pub rule: u16,
}

impl fmt::Display for RuleRef {
    /// `policies[0].rules[2]`: for people who do not know the names; see [`Chain::names`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "policies[{}].rules[{}]", self.policy, self.rule)
    }
}

/// What a chain says of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The route is used.
    Accepted(Accepted),
    /// The route is not used, because of this rule.
    Rejected(RuleRef),
}

/// How an accepted route is used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// The attributes as the rules changed them; `None`: as they were.
    pub changed: Option<Box<PathAttributes>>,
    /// Kernel weight among equal paths, 1 to 256, if a rule set one.
    pub weight: Option<u16>,
    /// The rule that accepted it; `None`: no rule did, and what no rule decides is accepted.
    pub rule: Option<RuleRef>,
}

/// Which prefix conditions of a chain a prefix fulfils. Equal signatures give equal verdicts on equal attributes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Signature(SmallVec<[u64; 1]>);

/// A peer's policies in order, prepared for evaluation.
///
/// Equal chains give equal verdicts.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    policies: Vec<Arc<Policy>>,
    /// How many rules have a condition on the prefix.
    prefix_rules: usize,
}

impl PartialEq for Chain {
    fn eq(&self, other: &Self) -> bool {
        self.policies == other.policies
    }
}

impl Eq for Chain {}

impl Chain {
    /// Prepares a list of policies.
    pub fn new(policies: &[Arc<Policy>]) -> Self {
        let prefix_rules = policies
            .iter()
            .flat_map(|policy| &policy.rules)
            .filter(|rule| !rule.matches.prefixes.is_empty())
            .count();
        Self {
            policies: policies.to_vec(),
            prefix_rules,
        }
    }

    /// Whether every route is accepted unchanged, so that nothing needs to be evaluated.
    pub fn is_empty(&self) -> bool {
        self.policies.iter().all(|policy| policy.rules.is_empty())
    }

    /// Whether verdicts depend on the prefix, so that they cannot be kept by attribute set alone.
    pub const fn depends_on_prefix(&self) -> bool {
        self.prefix_rules > 0
    }

    /// The names of policy and rule, if the chain has such a rule.
    pub fn names(&self, at: RuleRef) -> Option<(&str, &str)> {
        let policy = self.policies.get(usize::from(at.policy))?;
        let rule = policy.rules.get(usize::from(at.rule))?;
        Some((&policy.name, &rule.name))
    }

    /// The prefix conditions that this prefix fulfils.
    pub fn signature(&self, prefix: IpNet) -> Signature {
        if self.prefix_rules == 0 {
            return Signature::default();
        }
        let mut words = SmallVec::from_elem(0u64, self.prefix_rules.div_ceil(64));
        let rules = self.policies.iter().flat_map(|policy| &policy.rules);
        let conditions = rules
            .map(|rule| &rule.matches.prefixes)
            .filter(|prefixes| !prefixes.is_empty());
        for (number, ranges) in conditions.enumerate() {
            if ranges.contains(prefix) {
                words[number / 64] |= 1 << (number % 64);
            }
        }
        Signature(words)
    }

    /// Runs the rules on a route. `own` is the AS that rules prepend.
    pub fn evaluate(
        &self,
        prefix: IpNet,
        attributes: &PathAttributes,
        next_hop: &NextHop,
        own: Asn,
    ) -> Verdict {
        let mut accepted = Accepted::default();
        for (policy_number, policy) in self.policies.iter().enumerate() {
            for (rule_number, rule) in policy.rules.iter().enumerate() {
                let current = accepted.changed.as_deref().unwrap_or(attributes);
                if !rule.matches.holds(prefix, current, next_hop) {
                    continue;
                }
                let here = RuleRef {
                    policy: policy_number as u16,
                    rule: rule_number as u16,
                };
                match rule.action {
                    Action::Reject => return Verdict::Rejected(here),
                    Action::Accept | Action::Continue => {
                        rule.apply(attributes, &mut accepted, own);
                    }
                }
                if rule.action == Action::Accept {
                    accepted.rule = Some(here);
                    return Verdict::Accepted(accepted);
                }
            }
        }
        Verdict::Accepted(accepted)
    }
}

impl PrefixRange {
    /// Whether the prefix lies in the range: inside `net`, with a length between the bounds.
    pub fn contains(&self, prefix: IpNet) -> bool {
        // `IpNet::contains` is false across families.
        (self.min_length..=self.max_length).contains(&prefix.prefix_len())
            && self.net.contains(&prefix)
    }
}

impl Matches {
    /// Whether every given condition holds.
    pub fn holds(&self, prefix: IpNet, attributes: &PathAttributes, next_hop: &NextHop) -> bool {
        let path = &attributes.as_path;
        (self.prefixes.is_empty() || self.prefixes.contains(prefix))
            && met(&self.communities, || &attributes.communities)
            && met(&self.large_communities, || &attributes.large_communities)
            && met(&self.extended_communities, || &attributes.extended_communities)
            && met(&self.as_path_contains, || path.segments.iter().flat_map(|s| &s.asns))
            // RFC 6811 section 2: a path that ends in an AS_SET has no single origin, so no number matches it.
            && met(&self.origin_asns, || path.origin_as())
            && met(&self.neighbour_asns, || path.first_as())
            && self
                .as_path_length
                .is_none_or(|(min, max)| (min..=max).contains(&path.length()))
            && (self.next_hops.is_empty() || self.next_hops.contains(next_hop.address().into()))
            && (self.origins.is_empty()
                || attributes.origin.is_some_and(|origin| self.origins.contains(&origin)))
    }
}

/// An empty list is no condition; otherwise one of the values has to be in it.
fn met<T: Ord + Copy, I: IntoIterator<Item: Borrow<T>>>(
    conditions: &OneOf<T>,
    values: impl FnOnce() -> I,
) -> bool {
    conditions.is_empty()
        || values()
            .into_iter()
            .any(|value| conditions.contains(value.borrow()))
}

impl Rule {
    fn apply(&self, original: &PathAttributes, accepted: &mut Accepted, own: Asn) {
        if self.set.weight.is_some() {
            accepted.weight = self.set.weight;
        }
        if self.set.changes_attributes() {
            let attributes = accepted
                .changed
                .get_or_insert_with(|| Box::new(original.clone()));
            self.set.apply(attributes, own);
        }
    }
}

impl Set {
    /// Whether it changes anything but the weight.
    fn changes_attributes(&self) -> bool {
        let Self {
            local_preference,
            med,
            add_communities,
            remove_communities,
            clear_communities,
            add_large_communities,
            remove_large_communities,
            add_extended_communities,
            prepend,
            weight: _,
        } = self;
        local_preference.is_some()
            || med.is_some()
            || !add_communities.is_empty()
            || !remove_communities.is_empty()
            || *clear_communities
            || !add_large_communities.is_empty()
            || !remove_large_communities.is_empty()
            || !add_extended_communities.is_empty()
            || *prepend > 0
    }

    /// Changes the attributes: removals before additions.
    fn apply(&self, attributes: &mut PathAttributes, own: Asn) {
        attributes.local_pref = self.local_preference.or(attributes.local_pref);
        attributes.med = self.med.or(attributes.med);
        if self.clear_communities {
            attributes.communities.clear();
        }
        attributes
            .communities
            .retain(|c| !self.remove_communities.contains(c));
        attributes
            .large_communities
            .retain(|c| !self.remove_large_communities.contains(c));
        unite(&mut attributes.communities, &self.add_communities);
        unite(
            &mut attributes.large_communities,
            &self.add_large_communities,
        );
        unite(
            &mut attributes.extended_communities,
            &self.add_extended_communities,
        );
        attributes.as_path.prepend(own, usize::from(self.prepend));
    }
}

/// Adds to a list that is kept sorted and without repetitions.
pub(crate) fn unite<T: Copy + Ord>(list: &mut Vec<T>, more: &[T]) {
    if more.is_empty() {
        return;
    }
    list.extend_from_slice(more);
    list.sort_unstable();
    list.dedup();
}
