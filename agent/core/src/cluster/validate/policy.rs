//! What is wrong with a RoutePolicy.

use routelet_api::policy::{PrefixMatch, RuleSpec};
use routelet_api::{CommunityText, RoutePolicySpec};

use super::findings::Findings;
use super::{Finding, Validate};

impl Validate for RoutePolicySpec {
    fn validate(&self) -> Vec<Finding> {
        let mut findings = Findings::default();
        for (at, each) in self.rules.iter().enumerate() {
            rule(&format!("spec.rules[{at}]"), each, &mut findings);
        }
        findings.list
    }
}

fn rule(path: &str, rule: &RuleSpec, f: &mut Findings) {
    for (at, prefix) in rule.matches.prefixes.iter().enumerate() {
        prefix_match(&format!("{path}.match.prefixes[{at}]"), prefix, f);
    }
    for (at, cidr) in rule.matches.next_hops.iter().enumerate() {
        f.cidr(&format!("{path}.match.nextHops[{at}]"), *cidr);
    }
    if let Some(range) = rule.matches.as_path_length {
        f.check(
            range.max.is_none_or(|max| max >= range.min),
            &format!("{path}.match.asPathLength"),
            || "max is less than min: nothing can match".to_owned(),
        );
    }
    for (at, community) in rule.set.remove_communities.iter().enumerate() {
        f.check(
            !matches!(community, CommunityText::Extended(_)),
            &format!("{path}.set.removeCommunities[{at}]"),
            || format!("{community}: extended communities cannot be removed"),
        );
    }
    f.range(&format!("{path}.set.prepend"), rule.set.prepend, 0, 32);
    if let Some(weight) = rule.set.weight {
        f.range(&format!("{path}.set.weight"), weight, 1, 256);
    }
}

fn prefix_match(path: &str, prefix: &PrefixMatch, f: &mut Findings) {
    f.cidr(&format!("{path}.cidr"), prefix.cidr);
    let own = prefix.cidr.0.prefix_len();
    let longest = prefix.cidr.0.max_prefix_len();
    let min = prefix.min_length.unwrap_or(own);
    f.range(&format!("{path}.minLength"), min, own, longest);
    if let Some(max) = prefix.max_length {
        f.range(&format!("{path}.maxLength"), max, min.min(longest), longest);
        f.check(!prefix.or_longer, &format!("{path}.orLonger"), || {
            "contradicts maxLength: set only one of them".to_owned()
        });
    }
}
