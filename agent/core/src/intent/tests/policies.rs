//! What becomes of RoutePolicies.

use super::*;

#[test]
fn a_missing_policy_rejects_everything() {
    let directory = tempfile::tempdir().unwrap();
    let text = ours(
        "Peer",
        "p",
        "",
        "{address: 192.0.2.1, asn: 64500, import: [nope]}",
    );
    fs::write(directory.path().join("p.yaml"), text).unwrap();
    let snapshot = manifests::load(directory.path()).unwrap();
    let intent = intend(&snapshot.state, "n1", &LocalFacts::default());
    let policy = &intent.peers[0].config.import[0];
    assert_eq!(policy.rules[0].action, rib::policy::Action::Reject);
    assert_eq!(policy.rules[0].matches, rib::policy::Matches::default());
}

#[test]
fn policies_become_what_the_rib_runs() {
    let text = node("n1", "", "", &[], "")
        + &ours(
            "RoutePolicy",
            "p",
            "",
            "{rules: [{match: {prefixes: [{cidr: 10.0.0.0/8}, {cidr: 10.0.0.0/8, orLonger: true}, {cidr: 10.0.0.0/8, \
             maxLength: 24}, {cidr: 10.0.0.0/8, minLength: 24}]}, action: Continue, set: {weight: 3, addCommunities: \
             [no-export, \"1:2:3\"]}}, {name: rest, action: Reject}]}",
        );
    let intent = intent(&text, "n1");
    let policy = &intent.policies["p"];
    let ranges: Vec<(u8, u8)> = policy.rules[0]
        .matches
        .prefixes
        .ranges()
        .iter()
        .map(|r| (r.min_length, r.max_length))
        .collect();
    assert_eq!(ranges, [(8, 8), (8, 32), (8, 24), (24, 32)]);
    assert_eq!(
        (policy.rules[0].name.as_str(), policy.rules[1].name.as_str()),
        ("rules[0]", "rest")
    );
    assert_eq!(policy.rules[0].set.weight, Some(3));
    assert_eq!(policy.rules[0].set.add_large_communities.len(), 1);
}
