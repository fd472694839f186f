//! Policies that much is done with.

use std::sync::Arc;

use ipnet::Ipv4Net;
use rib::PeerConfig;
use rib::policy::{Action, Matches, Policy, PrefixRange, Rule, Set};

use super::{config, prefixes};

pub fn policy(med: u32) -> Arc<Policy> {
    let rule = Rule {
        name: "all".to_owned(),
        matches: Matches::default(),
        set: Set {
            med: Some(med),
            ..Set::default()
        },
        action: Action::Accept,
    };
    Arc::new(Policy {
        name: format!("med-{med}"),
        rules: vec![rule],
    })
}

/// Accepts every second of so many prefixes.
pub fn list(count: u32) -> Arc<Policy> {
    let range = |net: Ipv4Net| PrefixRange {
        net: net.into(),
        min_length: 24,
        max_length: 32,
    };
    let listed = prefixes(2 * count).into_iter().step_by(2).map(range);
    let rule = |name: &str, matches, action| Rule {
        name: name.to_owned(),
        matches,
        set: Set::default(),
        action,
    };
    let matches = Matches {
        prefixes: listed.collect(),
        ..Matches::default()
    };
    let rules = vec![
        rule("listed", matches, Action::Accept),
        rule("others", Matches::default(), Action::Reject),
    ];
    Arc::new(Policy {
        name: "list".to_owned(),
        rules,
    })
}

pub fn with_export(policy: Arc<Policy>) -> PeerConfig {
    PeerConfig {
        export: vec![policy],
        ..config()
    }
}
