//! Claims about what the conditions of objects repeat of what nodes report.

use super::*;
use crate::controller::sessions::Sessions;

/// A RouterState with problems, each an object, a reason, the text and what is used instead.
fn reporting(
    node: &str,
    sessions: &[(&str, &str)],
    problems: &[(&str, &str, &str, &str)],
) -> Value {
    let problems: Vec<Value> = problems
        .iter()
        .map(|(object, reason, message, instead)| {
            let mut problem = json!({"severity": "Warning", "object": object, "message": message});
            if !reason.is_empty() {
                problem["reason"] = json!(reason);
                problem["unused"] = json!(*reason == "Duplicate");
            }
            if !instead.is_empty() {
                problem["usedInstead"] = json!(instead);
            }
            problem
        })
        .collect();
    let mut state = state(node, 1, sessions);
    state["status"]["problems"] = json!(problems);
    state
}

/// Status, reason and message of the condition `Accepted` of every Peer and Router, by name.
fn accepted(cache: &ControllerCache, at: (Timestamp, Instant)) -> Vec<(String, String)> {
    let found = statuses(cache, &Allocation::default(), at);
    let peers = found
        .peers
        .into_iter()
        .map(|(name, s)| (name, s.conditions));
    let routers = found.routers.into_iter();
    let routers = routers.map(|(name, s)| (name, s.conditions));
    let text = |conditions: Vec<Condition>| {
        let one = conditions
            .into_iter()
            .find(|c| c.type_ == "Accepted")
            .unwrap();
        format!("{} {}: {}", one.status, one.reason, one.message)
    };
    let all = peers.chain(routers);
    all.map(|(name, conditions)| (name, text(conditions)))
        .collect()
}

fn texts(cache: &ControllerCache) -> Vec<String> {
    let all = accepted(cache, now()).into_iter();
    all.map(|(name, text)| format!("{name}: {text}")).collect()
}

#[test]
fn a_peer_that_duplicates_another_says_so_and_so_does_the_other() {
    let mut cache = known_world();
    for name in ["tor-a", "tor-b"] {
        cache.object_event::<routelet_api::Peer>(Event::Apply(guard(peer(name))));
    }
    let twice = (
        "Peer tor-b",
        "Duplicate",
        "duplicates Peer tor-a",
        "Peer tor-a",
    );
    for n in 1..=7 {
        let sessions = [("tor-a", "Established")];
        apply(
            &mut cache.states,
            reporting(&format!("n{n}"), &sessions, &[twice]),
        );
    }
    assert_eq!(
        texts(&cache),
        [
            "tor-a: True HasDuplicates: used instead of Peer tor-b on 7 nodes (n1, n2, n3, n4, n5...)",
            "tor-b: False Duplicate: not used on 7 nodes (n1, n2, n3, n4, n5...): duplicates Peer tor-a",
        ]
    );
    // It is used elsewhere, and the other has gone from most nodes.
    for n in 2..=7 {
        let sessions = [("tor-b", "Idle")];
        apply(
            &mut cache.states,
            reporting(&format!("n{n}"), &sessions, &[]),
        );
    }
    assert_eq!(
        texts(&cache),
        [
            "tor-a: True HasDuplicates: used instead of Peer tor-b on node n1",
            "tor-b: False Duplicate: not used on node n1: duplicates Peer tor-a; it has sessions on 6 nodes",
        ]
    );
    // An agent that does not run does not report what its node uses.
    let later = (now().0, Instant::now() + Duration::from_secs(901));
    let found = accepted(&cache, later);
    assert!(
        found.iter().all(|(_, text)| text == "True Valid: "),
        "{found:?}"
    );
    apply(
        &mut cache.states,
        reporting("n1", &[("tor-a", "Established")], &[]),
    );
    assert_eq!(
        texts(&cache),
        ["tor-a: True Valid: ", "tor-b: True Valid: "]
    );
}

#[test]
fn what_nodes_cannot_do_of_a_valid_object_is_in_its_condition_and_what_it_lacks_itself_comes_first()
{
    let mut cache = known_world();
    let mut dangling = peer("tor-b");
    dangling["spec"]["import"] = json!(["none"]);
    cache.object_event::<routelet_api::Peer>(Event::Apply(guard(peer("tor-a"))));
    cache.object_event::<routelet_api::Peer>(Event::Apply(guard(dangling)));
    let router = |name: &str| json!({"metadata": {"name": name, "uid": name}, "spec": {}});
    apply(&mut cache.objects.routers, router("default"));
    apply(&mut cache.objects.routers, router("rack"));
    let problems = [
        (
            "Peer tor-a",
            "NoEffect",
            "spec.role has no effect: the peer is internal",
            "",
        ),
        ("Peer tor-a", "NoSuchWord", "a newer agent says this", ""),
        (
            "Peer tor-b",
            "Duplicate",
            "duplicates Peer tor-a",
            "Peer tor-a",
        ),
        // A fault of the object, which the controller sees itself.
        ("Router rack", "", "spec.asn: 0", ""),
        (
            "Router default",
            "Overridden",
            "Router rack is more specific",
            "Router rack",
        ),
    ];
    apply(&mut cache.states, reporting("n1", &[], &problems));
    assert_eq!(
        texts(&cache),
        [
            "tor-a: True ReportedByNodes: on node n1: a newer agent says this; on node n1: spec.role has no effect: the \
             peer is internal; used instead of Peer tor-b on node n1",
            "tor-b: False ReferenceNotFound: spec.import[0]: RoutePolicy none does not exist; until it does, every route is \
             rejected; not used on node n1: duplicates Peer tor-a",
            "default: True Overridden: on node n1: Router rack is more specific",
            "rack: True Valid: ",
        ]
    );
}

#[test]
fn what_a_condition_repeats_is_cut_whatever_the_number_of_nodes() {
    let mut cache = known_world();
    cache.object_event::<routelet_api::Peer>(Event::Apply(guard(peer("tor-a"))));
    for n in 0..500 {
        let text = format!(
            "spec.addressFrom asks for label tor of node n{n}, which has none; the peer is left out"
        );
        let problems = [("Peer tor-a", "ValueMissing", text.as_str(), "")];
        apply(
            &mut cache.states,
            reporting(&format!("n{n}"), &[], &problems),
        );
    }
    let (_, text) = accepted(&cache, now()).remove(0);
    assert!(
        text.contains("497 more: see the RouterStates of the nodes"),
        "{text}"
    );
    assert!(text.len() < 1024, "{text}");
    let kept: &Sessions = cache.states.named("n1").unwrap();
    assert_eq!(kept.reports(Instant::now()).len(), 1);
}

/// Each agent may write its own RouterState alone, but whatever it likes.
#[test]
fn a_node_that_writes_more_than_an_agent_does_costs_a_bounded_piece_of_memory() {
    let long = "\u{1b}[2J".repeat(10_000);
    let many: Vec<(String, String)> = (0..1000)
        .map(|n| (format!("Peer {n}"), format!("{n}{long}")))
        .collect();
    let problems: Vec<_> = many
        .iter()
        .map(|(object, text)| (object.as_str(), "Duplicate", text.as_str(), long.as_str()))
        .collect();
    let mut cache = known_world();
    apply(&mut cache.states, reporting("n1", &[], &problems));
    let kept = format!(
        "{:?}",
        cache.states.named("n1").unwrap().reports(Instant::now())
    );
    assert!(
        kept.len() < 20 * 3 * 512 && kept.contains("Peer 19"),
        "{kept}"
    );
    assert!(!kept.contains("Peer 20") && !kept.contains('\u{1b}'));
}
