#![allow(clippy::unwrap_used)]
//! What rules match and change.

use std::sync::Arc;

use bgp::types::{Asn, Community, ExtendedCommunity, LargeCommunity, NextHop};
use bgp::wire::PathAttributes;
use bgp::wire::attribute::{AsPath, AsPathSegment, AsPathSegmentKind, Origin};
use ipnet::IpNet;

use super::*;

const OWN: Asn = Asn(64512);

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn path(segments: &[(AsPathSegmentKind, &[u32])]) -> AsPath {
    let segments = segments.iter().map(|(kind, asns)| AsPathSegment {
        kind: *kind,
        asns: asns.iter().copied().map(Asn).collect(),
    });
    AsPath {
        segments: segments.collect(),
    }
}

fn sequence(asns: &[u32]) -> AsPath {
    path(&[(AsPathSegmentKind::Sequence, asns)])
}

fn attributes() -> PathAttributes {
    PathAttributes {
        origin: Some(Origin::Igp),
        as_path: sequence(&[64500, 64501, 64502]),
        communities: vec![Community(1), Community(5)],
        large_communities: vec![LargeCommunity {
            global: 1,
            local1: 2,
            local2: 3,
        }],
        extended_communities: vec![ExtendedCommunity([1; 8])],
        ..PathAttributes::default()
    }
}

fn rule(name: &str, matches: Matches, set: Set, action: Action) -> Rule {
    Rule {
        name: name.to_owned(),
        matches,
        set,
        action,
    }
}

fn chain(policies: Vec<Vec<Rule>>) -> Chain {
    let policies = policies.into_iter().enumerate().map(|(number, rules)| {
        Arc::new(Policy {
            name: format!("p{number}"),
            rules,
        })
    });
    Chain::new(&policies.collect::<Vec<_>>())
}

fn evaluate(chain: &Chain, prefix: &str, attributes: &PathAttributes) -> Verdict {
    let next_hop = NextHop::Ipv4("192.0.2.1".parse().unwrap());
    chain.evaluate(net(prefix), attributes, &next_hop, OWN)
}

fn range(text: &str, min_length: u8, max_length: u8) -> PrefixRange {
    PrefixRange {
        net: net(text),
        min_length,
        max_length,
    }
}

#[test]
fn without_a_rule_that_decides_a_route_is_accepted_as_it_is() {
    let accepted = Verdict::Accepted(Accepted::default());
    assert!(chain(vec![]).is_empty());
    assert!(chain(vec![vec![]]).is_empty());
    assert_eq!(
        evaluate(&chain(vec![]), "10.0.0.0/8", &attributes()),
        accepted
    );
    let other = Matches {
        neighbour_asns: vec![Asn(1)].into(),
        ..Matches::default()
    };
    let unmatched = chain(vec![vec![rule("x", other, Set::default(), Action::Reject)]]);
    assert_eq!(evaluate(&unmatched, "10.0.0.0/8", &attributes()), accepted);
}

#[test]
fn the_first_final_rule_decides_across_policies_and_is_named() {
    let reject = |name| rule(name, Matches::default(), Set::default(), Action::Reject);
    let carry_on = |name| rule(name, Matches::default(), Set::default(), Action::Continue);
    let all = chain(vec![vec![carry_on("a")], vec![carry_on("b"), reject("c")]]);
    let at = RuleRef { policy: 1, rule: 1 };
    assert_eq!(
        evaluate(&all, "10.0.0.0/8", &attributes()),
        Verdict::Rejected(at)
    );
    assert_eq!(all.names(at), Some(("p1", "c")));
    assert_eq!(all.names(RuleRef { policy: 2, rule: 0 }), None);
    let accept = chain(vec![
        vec![rule(
            "yes",
            Matches::default(),
            Set::default(),
            Action::Accept,
        )],
        vec![reject("never")],
    ]);
    let verdict = evaluate(&accept, "10.0.0.0/8", &attributes());
    assert!(
        matches!(verdict, Verdict::Accepted(Accepted { changed: None, rule: Some(at), .. }) if at == RuleRef { policy: 0, rule: 0 }),
        "{verdict:?}"
    );
}

type Make = fn(bool) -> Matches;

/// Each condition, made to match or not to match.
fn conditions() -> Vec<(&'static str, Make)> {
    vec![
        ("prefix", |hit| Matches {
            prefixes: vec![
                range("192.0.2.0/24", 24, 24),
                range("10.0.0.0/8", 16, if hit { 24 } else { 23 }),
            ]
            .into(),
            ..Matches::default()
        }),
        ("prefix of the other family", |hit| Matches {
            prefixes: vec![range(if hit { "0.0.0.0/0" } else { "::/0" }, 0, 128)].into(),
            ..Matches::default()
        }),
        ("community", |hit| Matches {
            communities: vec![Community(9), Community(if hit { 5 } else { 6 })].into(),
            ..Matches::default()
        }),
        ("large community", |hit| Matches {
            large_communities: vec![LargeCommunity {
                global: 1,
                local1: 2,
                local2: if hit { 3 } else { 4 },
            }]
            .into(),
            ..Matches::default()
        }),
        ("extended community", |hit| Matches {
            extended_communities: vec![ExtendedCommunity([u8::from(hit); 8])].into(),
            ..Matches::default()
        }),
        ("AS in path", |hit| Matches {
            as_path_contains: vec![Asn(if hit { 64501 } else { 64503 })].into(),
            ..Matches::default()
        }),
        ("origin AS", |hit| Matches {
            origin_asns: vec![Asn(if hit { 64502 } else { 64500 })].into(),
            ..Matches::default()
        }),
        ("neighbour AS", |hit| Matches {
            neighbour_asns: vec![Asn(if hit { 64500 } else { 64502 })].into(),
            ..Matches::default()
        }),
        ("path length", |hit| Matches {
            as_path_length: Some(if hit { (3, 3) } else { (4, 9) }),
            ..Matches::default()
        }),
        ("next hop", |hit| Matches {
            next_hops: [net(if hit { "192.0.2.0/31" } else { "192.0.2.2/31" })]
                .into_iter()
                .collect(),
            ..Matches::default()
        }),
        ("origin", |hit| Matches {
            origins: vec![if hit { Origin::Igp } else { Origin::Egp }],
            ..Matches::default()
        }),
    ]
}

#[test]
fn each_condition_matches_what_it_names_and_nothing_else() {
    for (what, make) in conditions() {
        for hit in [true, false] {
            let chain = chain(vec![vec![rule(
                "r",
                make(hit),
                Set::default(),
                Action::Reject,
            )]]);
            let rejected = matches!(
                evaluate(&chain, "10.1.2.0/24", &attributes()),
                Verdict::Rejected(_)
            );
            assert_eq!(rejected, hit, "{what}");
        }
    }
}

#[test]
fn all_conditions_of_a_rule_must_hold() {
    let both = Matches {
        prefixes: vec![range("10.0.0.0/8", 8, 32)].into(),
        communities: vec![Community(99)].into(),
        ..Matches::default()
    };
    let chain = chain(vec![vec![rule("r", both, Set::default(), Action::Reject)]]);
    assert!(matches!(
        evaluate(&chain, "10.1.0.0/16", &attributes()),
        Verdict::Accepted(_)
    ));
}

#[test]
fn rfc6811_2_a_path_that_ends_in_a_set_has_no_origin_as() {
    let mut route = attributes();
    route.as_path = path(&[
        (AsPathSegmentKind::Sequence, &[1, 2]),
        (AsPathSegmentKind::Set, &[3, 4]),
    ]);
    let matches = Matches {
        origin_asns: vec![Asn(2), Asn(3), Asn(4)].into(),
        ..Matches::default()
    };
    assert!(!matches.holds(
        net("10.0.0.0/8"),
        &route,
        &NextHop::Ipv4("192.0.2.1".parse().unwrap())
    ));
    let length = Matches {
        as_path_length: Some((3, 3)),
        ..Matches::default()
    };
    assert!(
        length.holds(
            net("10.0.0.0/8"),
            &route,
            &NextHop::Ipv4("192.0.2.1".parse().unwrap())
        ),
        "RFC 4271 9.1.2.2: a set counts as one"
    );
}

#[test]
fn changes_add_up_and_later_rules_see_them() {
    let tag = Set {
        local_preference: Some(200),
        med: Some(7),
        remove_communities: vec![Community(1)],
        add_communities: vec![Community(3), Community(5)],
        add_large_communities: vec![LargeCommunity {
            global: 0,
            local1: 0,
            local2: 1,
        }],
        remove_large_communities: vec![LargeCommunity {
            global: 1,
            local1: 2,
            local2: 3,
        }],
        add_extended_communities: vec![ExtendedCommunity([0; 8])],
        prepend: 2,
        weight: Some(9),
        clear_communities: false,
    };
    let saw_tag = Matches {
        communities: vec![Community(3)].into(),
        neighbour_asns: vec![OWN].into(),
        ..Matches::default()
    };
    let heavier = Set {
        weight: Some(11),
        ..Set::default()
    };
    let chain = chain(vec![vec![
        rule("tag", Matches::default(), tag, Action::Continue),
        rule("saw", saw_tag, heavier, Action::Accept),
    ]]);
    let Verdict::Accepted(accepted) = evaluate(&chain, "10.0.0.0/8", &attributes()) else {
        panic!("accepted");
    };
    assert_eq!(accepted.weight, Some(11));
    assert_eq!(accepted.rule, Some(RuleRef { policy: 0, rule: 1 }));
    let expected = PathAttributes {
        as_path: sequence(&[64512, 64512, 64500, 64501, 64502]),
        local_pref: Some(200),
        med: Some(7),
        communities: vec![Community(3), Community(5)],
        large_communities: vec![LargeCommunity {
            global: 0,
            local1: 0,
            local2: 1,
        }],
        extended_communities: vec![ExtendedCommunity([0; 8]), ExtendedCommunity([1; 8])],
        ..attributes()
    };
    assert_eq!(accepted.changed.as_deref(), Some(&expected));
}

#[test]
fn clearing_communities_comes_before_adding() {
    let set = Set {
        clear_communities: true,
        add_communities: vec![Community(8)],
        ..Set::default()
    };
    let chain = chain(vec![vec![rule(
        "c",
        Matches::default(),
        set,
        Action::Accept,
    )]]);
    let Verdict::Accepted(accepted) = evaluate(&chain, "10.0.0.0/8", &attributes()) else {
        panic!("accepted");
    };
    assert_eq!(accepted.changed.unwrap().communities, [Community(8)]);
}

#[test]
fn a_weight_alone_leaves_the_attributes_shared() {
    let set = Set {
        weight: Some(4),
        ..Set::default()
    };
    let chain = chain(vec![vec![rule(
        "w",
        Matches::default(),
        set,
        Action::Accept,
    )]]);
    let Verdict::Accepted(accepted) = evaluate(&chain, "10.0.0.0/8", &attributes()) else {
        panic!("accepted");
    };
    assert_eq!((accepted.weight, accepted.changed), (Some(4), None));
}

#[test]
fn prefixes_with_one_signature_get_one_verdict() {
    let in_range = |text: &str, min, max| Matches {
        prefixes: vec![range(text, min, max)].into(),
        ..Matches::default()
    };
    // More conditions than one word has bits.
    let mut rules: Vec<Rule> = (0..70u8)
        .map(|i| {
            rule(
                "r",
                in_range(&format!("10.{i}.0.0/16"), 16, 24),
                Set {
                    med: Some(u32::from(i)),
                    ..Set::default()
                },
                Action::Continue,
            )
        })
        .collect();
    rules.push(rule(
        "all",
        Matches::default(),
        Set::default(),
        Action::Accept,
    ));
    let chain = chain(vec![rules]);
    assert!(chain.depends_on_prefix());
    let of = |prefix: &str| chain.signature(net(prefix));
    assert_eq!(of("10.3.1.0/24"), of("10.3.2.0/24"));
    assert_ne!(of("10.3.1.0/24"), of("10.69.1.0/24"));
    assert_ne!(of("10.69.1.0/24"), of("10.70.1.0/24"));
    assert_eq!(
        evaluate(&chain, "10.69.1.0/24", &attributes()),
        evaluate(&chain, "10.69.7.0/24", &attributes())
    );
}
