//! What Peers, Advertisements and RouterStates are said to be: sessions of all nodes, counted and named.
#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn a_peer_counts_the_sessions_of_all_nodes_and_those_of_silent_agents_are_down() {
    let mut cache = known_world();
    apply(&mut cache.objects.peers, peer("tor"));
    let look = |cache: &ControllerCache, at: Instant| -> Statuses {
        statuses(cache, &Allocation::default(), (now().0, at))
    };
    let status = look(&cache, Instant::now()).peers[0].1.clone();
    assert_eq!((status.sessions, status.established), (0, 0));
    assert_eq!(
        reason(&status.conditions, "Established"),
        ("Unknown", "NoSessions")
    );

    apply(&mut cache.states, state("n1", 1, &[("tor", "Established")]));
    apply(
        &mut cache.states,
        state("n2", 1, &[("tor", "Active"), ("other", "Active")]),
    );
    let status = look(&cache, Instant::now()).peers[0].1.clone();
    assert_eq!((status.sessions, status.established), (2, 1));
    assert_eq!(
        reason(&status.conditions, "Established"),
        ("False", "SessionsDown")
    );
    let message = &status
        .conditions
        .iter()
        .find(|c| c.type_ == "Established")
        .unwrap()
        .message;
    assert_eq!(message, "1 of 2: n2: 192.0.2.1 is Active: refused");
    assert!(
        status
            .conditions
            .iter()
            .all(|c| c.observed_generation == Some(3))
    );

    apply(&mut cache.states, state("n2", 2, &[("tor", "Established")]));
    let status = look(&cache, Instant::now()).peers[0].1.clone();
    assert_eq!(
        reason(&status.conditions, "Established"),
        ("True", "Established")
    );
    // What is as it should be is not written again.
    cache.objects.peers.named_mut("tor").unwrap().status = status;
    assert!(look(&cache, Instant::now()).peers.is_empty());
    // A list that brings the same version again is no sign of life.
    let later = Instant::now() + Duration::from_secs(901);
    apply(&mut cache.states, state("n2", 2, &[("tor", "Established")]));
    let status = look(&cache, later).peers[0].1.clone();
    assert_eq!((status.sessions, status.established), (2, 0));
}

#[test]
fn an_advertisement_that_selects_no_peer_is_accepted_and_says_so() {
    let mut cache = known_world();
    apply(&mut cache.objects.peers, peer("tor"));
    let mut accepted = |selector: Value| {
        let object = json!({
            "metadata": {"name": "public", "uid": "public", "generation": 1},
            "spec": {"podCIDRs": {}, "peerSelector": selector},
        });
        apply(&mut cache.objects.advertisements, object);
        let conditions = statuses(&cache, &Allocation::default(), now()).advertisements;
        let condition = conditions[0].1.conditions[0].clone();
        (condition.status, condition.reason, condition.message)
    };
    let plain = |text: &str| text.to_owned();
    assert_eq!(
        accepted(json!({})),
        (plain("True"), plain("Valid"), plain(""))
    );
    assert_eq!(
        accepted(json!({"matchLabels": {"rolle": "tor"}})),
        (
            plain("True"),
            plain("WithoutEffect"),
            plain(
                "spec.peerSelector: selects no Peer: compare it with the labels of the Peer objects"
            )
        )
    );
}

#[test]
fn a_router_state_goes_when_its_node_has_been_gone_for_a_while() {
    let mut cache = known_world();
    let mut orphans = Orphans::default();
    let start = tokio::time::Instant::now();
    let after = |seconds| start + Duration::from_secs(seconds);
    let node = |name: &str| json!({"metadata": {"name": name}});
    apply(&mut cache.nodes, node("n1"));
    apply(&mut cache.states, state("n1", 1, &[]));
    apply(&mut cache.states, state("n2", 1, &[]));
    assert!(orphans.due(&cache, start).is_empty());
    assert!(orphans.due(&cache, after(359)).is_empty());
    // Its Node is added after all, and deleted: the time starts again.
    apply(&mut cache.nodes, node("n2"));
    assert!(orphans.due(&cache, after(360)).is_empty());
    cache.nodes.event(Event::Delete(guard(node("n2"))));
    assert!(orphans.due(&cache, after(361)).is_empty());
    assert!(orphans.due(&cache, after(720)).is_empty());
    let due = orphans.due(&cache, after(721));
    assert_eq!(due, [("n2".to_owned(), Some("n2".to_owned()))]);
}

#[test]
fn a_router_state_whose_agent_runs_stays_without_its_node() {
    let (mut cache, mut orphans) = (known_world(), Orphans::default());
    apply(&mut cache.states, state("n1", 1, &[]));
    assert!(orphans.due(&cache, tokio::time::Instant::now()).is_empty());
    let long = tokio::time::Instant::now() + Duration::from_secs(3600);
    assert_eq!(orphans.due(&cache, long).len(), 1);
    // Its agent writes at this moment.
    cache
        .states
        .named_mut("n1")
        .unwrap()
        .set_seen(long.into_std());
    assert!(orphans.due(&cache, long).is_empty());
}

#[test]
fn a_peer_counts_what_router_states_count_and_names_a_few() {
    let mut cache = known_world();
    apply(&mut cache.objects.peers, peer("clients"));
    for node in ["n1", "n2"] {
        let mut object = state(node, 1, &[("clients/a", "Active")]);
        object["status"]["sessionCounts"] = json!([{
            "object": "Peer clients", "sessions": 300, "established": 290,
            "down": ["192.0.2.1 is Active: refused", "192.0.2.2 is Active", "192.0.2.3 is Active"],
        }]);
        object["status"]["mesh"] =
            json!({"object": "Router default (mesh)", "sessions": 2, "established": 0});
        apply(&mut cache.states, object);
    }
    let status = statuses(&cache, &Allocation::default(), now());
    let status = status.peers[0].1.clone();
    assert_eq!((status.sessions, status.established), (600, 580));
    let established = status.conditions.iter().find(|c| c.type_ == "Established");
    assert_eq!(
        established.unwrap().message,
        "20 of 600: n1: 192.0.2.1 is Active: refused; n1: 192.0.2.2 is Active; n1: 192.0.2.3 is Active; \
         n2: 192.0.2.1 is Active: refused; n2: 192.0.2.2 is Active; and 15 more"
    );
    let later = (now().0, Instant::now() + Duration::from_secs(901));
    let status = statuses(&cache, &Allocation::default(), later);
    assert_eq!(status.peers[0].1.established, 0, "no agent reports");
}
