//! Who a node is to its peers stays while its agent runs: what of the Node may have a gap, and what is a decision.

use std::collections::BTreeMap;

use bgp::fsm::RemoteAsn;
use bgp::types::Asn;

use super::*;
use crate::intent::{Change, Identity};

/// Plans one state after the other, as the agent does: what was found of the node is handed in again.
struct Agent {
    planner: Planner,
    identity: Identity,
}

impl Agent {
    fn new() -> Self {
        Self {
            planner: Planner::new("n1"),
            identity: Identity::default(),
        }
    }

    fn plan(&mut self, text: &str) -> (Arc<Intent>, Change) {
        let facts = LocalFacts {
            identity: self.identity,
            ..LocalFacts::default()
        };
        let (intent, change) = self.planner.plan(&state(text), &facts, Phase::default());
        self.identity = intent.router.identity;
        (intent, change)
    }

    /// AS and BGP identifier in each of these states, one after the other.
    fn known_by(&mut self, states: &[(&str, &str, &str)]) {
        for (what, text, expected) in states {
            let (intent, _) = self.plan(text);
            let found = format!("{} {}", intent.router.asn.0, intent.router.router_id);
            assert_eq!(found, *expected, "{what}");
            let cluster_id = intent.router.cluster_id.to_string();
            assert!(expected.ends_with(&cluster_id), "{what}: {cluster_id}");
        }
    }
}

fn own(labels: &str, addresses: &[&str]) -> String {
    node("n1", labels, "10.1.0.0/24", addresses, "")
}

#[test]
fn a_derived_identifier_stays_whatever_becomes_of_the_address_and_a_configured_one_counts() {
    let explicit = ours("Router", "r", "", "{routerID: 192.0.2.99}");
    let first = own("", &["192.0.2.1"]);
    let other = own("", &["192.0.2.2", "2001:db8::1"]);
    Agent::new().known_by(&[
        ("at first", &first, "64512 192.0.2.1"),
        ("without addresses", &own("", &[]), "64512 192.0.2.1"),
        ("with another one", &other, "64512 192.0.2.1"),
        (
            "without a Node",
            &ours("Router", "r", "", "{}"),
            "64512 192.0.2.1",
        ),
        (
            "configured",
            &(other.clone() + &explicit),
            "64512 192.0.2.99",
        ),
        ("not configured any more", &other, "64512 192.0.2.1"),
    ]);
    // Another process derives it anew.
    Agent::new().known_by(&[("of its own", &other, "64512 192.0.2.2")]);
    // What was a hash at first stays one.
    let mut late = Agent::new();
    let (intent, _) = late.plan(&own("", &[]));
    let hash = format!("64512 {}", intent.router.router_id);
    late.known_by(&[("with an address later", &first, &hash)]);
}

#[test]
fn an_internal_ip_that_is_no_hosts_becomes_no_identifier() {
    for address in ["127.0.0.1", "0.0.0.1", "224.0.0.1", "255.0.0.1"] {
        let intent = intent(&own("", &[address]), "n1");
        let id = std::net::Ipv4Addr::from(intent.router.router_id.0);
        assert_ne!(id.to_string(), address);
        assert!(!matches!(id.octets()[0], 0 | 127 | 224..), "{id}");
    }
}

#[test]
fn an_as_and_an_identifier_out_of_labels_stay_while_the_labels_are_missing() {
    let router = ours(
        "Router",
        "r",
        "",
        "{asnFrom: {nodeLabel: asn}, routerIDFrom: {nodeLabel: id}}",
    );
    let with = |labels: &str| own(labels, &["192.0.2.1"]) + &router;
    let fixed = ours("Router", "r", "", "{asn: 64700}");
    let mut agent = Agent::new();
    let (unknown, _) =
        agent.plan(&(with("") + &ours("Peer", "p", "", "{address: 192.0.2.9, asn: external}")));
    assert!(!unknown.router.knows_asn());
    assert_eq!(
        peer_names(&unknown),
        [""; 0],
        "a wrong AS is worse than none"
    );
    assert_eq!(
        warnings(&unknown)[0],
        "Router r: spec.asnFrom asks for label asn of node n1, which has none; the node has no sessions until it has one"
    );
    agent.known_by(&[
        (
            "there",
            &with("asn: '64600', id: 192.0.2.50"),
            "64600 192.0.2.50",
        ),
        ("gone", &with("rack: a"), "64600 192.0.2.50"),
        ("unusable", &with("asn: x, id: x"), "64600 192.0.2.50"),
        ("of no AS", &with("asn: '0', id: x"), "64600 192.0.2.50"),
        (
            "others",
            &with("asn: '64601', id: 192.0.2.51"),
            "64601 192.0.2.51",
        ),
        ("gone again", &with(""), "64601 192.0.2.51"),
    ]);
    let (intent, _) = agent.plan(&with(""));
    assert_eq!(
        warnings(&intent),
        [
            "Router r: spec.asnFrom asks for label asn of node n1, which has none; the AS in use stays",
            "Router r: spec.routerIDFrom asks for label id of node n1, which has none; the identifier in use stays",
        ]
    );
    agent.known_by(&[(
        "configured otherwise",
        &(own("", &["192.0.2.1"]) + &fixed),
        "64700 192.0.2.1",
    )]);
}

/// A label that is missing does not bring back an AS that nobody configured, however the AS in use came about.
#[test]
fn an_as_that_was_configured_stays_where_the_one_that_is_to_follow_is_missing() {
    let router = |spec: &str| own("", &["192.0.2.1"]) + &ours("Router", "r", "", spec);
    let from_label = router("{asnFrom: {nodeLabel: asn}}");
    for (spec, expected) in [
        ("{asn: 64700}", "64700 192.0.2.1"),
        ("{}", "64512 192.0.2.1"),
    ] {
        Agent::new().known_by(&[
            ("configured", &router(spec), expected),
            ("to be that of a label", &from_label, expected),
        ]);
    }
    // Without a Router nobody has configured the AS.
    let none = own("", &["192.0.2.1"]);
    let known = own("asn: '64600'", &["192.0.2.1"])
        + &ours("Router", "r", "", "{asnFrom: {nodeLabel: asn}}");
    let peer = ours("Peer", "p", "", "{address: 192.0.2.9, asn: 64500}");
    let mut late = Agent::new();
    late.known_by(&[("without a Router", &none, "64512 192.0.2.1")]);
    let (alone, _) = late.plan(&(none.clone() + &peer));
    assert!(alone.router.knows_asn());
    assert_eq!(peer_names(&alone), ["p"]);
    let (unknown, _) = late.plan(&(from_label.clone() + &peer));
    assert!(!unknown.router.knows_asn());
    assert_eq!(
        peer_names(&unknown),
        [""; 0],
        "a wrong AS is worse than none"
    );
    late.known_by(&[
        ("there", &known, "64600 192.0.2.1"),
        ("without a Router again", &none, "64512 192.0.2.1"),
        (
            "the last that was configured",
            &from_label,
            "64600 192.0.2.1",
        ),
    ]);
    // Another process has it from the one before.
    let mut again = Agent::new();
    again.identity.asn = Some(Asn(64600));
    again.known_by(&[
        ("after a restart", &from_label, "64600 192.0.2.1"),
        (
            "without a Node",
            &ours("Router", "r", "", "{asnFrom: {nodeLabel: asn}}"),
            "64600 192.0.2.1",
        ),
        ("configured", &router("{asn: 64700}"), "64700 192.0.2.1"),
    ]);
}

/// Other nodes go on with the AS that the node itself goes on with: otherwise each of them would end its session.
#[test]
fn others_expect_the_last_as_of_a_node_while_its_label_is_missing() {
    let without = |labels: &str| {
        own("asn: '64600'", &["192.0.2.1"])
            + &node("n2", labels, "10.2.0.0/24", &["192.0.2.12"], "")
            + &ours("Peer", "other-as", "", "{nodes: {}, asn: external}")
    };
    let with =
        |labels: &str| without(labels) + &ours("Router", "r", "", "{asnFrom: {nodeLabel: asn}}");
    let mut last = LastAsNumbers::default();
    let mut planner = Planner::new("n1");
    let mut peers = |text: &str| {
        let state = last.follow(Arc::new(state(text)));
        let (intent, _) = planner.plan(&state, &LocalFacts::default(), Phase::default());
        let anew = intend(&state, "n1", &LocalFacts::default());
        assert_eq!(intent, anew, "as if it had been planned from nothing");
        let peers = intent.peers.iter();
        let peers =
            peers.map(|peer| format!("{} {:?}", peer.name, peer.session.protocol.remote_asn));
        peers.collect::<Vec<_>>()
    };
    for (what, labels, expected) in [
        (
            "ours, as it says",
            "asn: '64600'",
            "mesh/n2 Number(Asn(64600))",
        ),
        ("missing", "rack: a", "mesh/n2 Number(Asn(64600))"),
        (
            "another one",
            "asn: '64601'",
            "other-as/n2 Number(Asn(64601))",
        ),
        ("missing again", "", "other-as/n2 Number(Asn(64601))"),
        ("unusable", "asn: x", "other-as/n2 Number(Asn(64601))"),
        ("ours again", "asn: '64600'", "mesh/n2 Number(Asn(64600))"),
    ] {
        assert_eq!(peers(&with(labels)), [expected], "{what}");
    }
    // The Router says it itself, and is to take it from the label then; also if there is none in between, which decides nothing.
    let fixed = |asn: u32| without("") + &ours("Router", "r", "", &format!("{{asn: {asn}}}"));
    for (what, text, expected) in [
        ("said", fixed(64700), "mesh/n2 Number(Asn(64700))"),
        (
            "to be that of the label",
            with(""),
            "other-as/n2 Number(Asn(64700))",
        ),
        ("said again", fixed(64701), "mesh/n2 Number(Asn(64701))"),
        ("by nobody", without(""), "mesh/n2 Number(Asn(64512))"),
        (
            "of the label again",
            with(""),
            "other-as/n2 Number(Asn(64701))",
        ),
    ] {
        assert_eq!(peers(&text), [expected], "{what}");
    }
    // Gone for good, and another one of its name.
    assert_eq!(peers(&own("asn: '64601'", &["192.0.2.1"])), [""; 0]);
}

#[test]
fn an_agent_that_is_started_expects_what_the_one_before_did_of_nodes_whose_label_is_missing() {
    let with = |labels: &str| {
        let nodes = own("asn: '64600'", &["192.0.2.1"])
            + &node("n2", labels, "10.2.0.0/24", &["192.0.2.12"], "")
            + &node("n3", "asn: '64603'", "10.3.0.0/24", &["192.0.2.13"], "");
        let router = ours("Router", "r", "", "{asnFrom: {nodeLabel: asn}}");
        let peer = ours("Peer", "other-as", "", "{nodes: {}, asn: external}");
        Arc::new(state(&(nodes + &router + &peer)))
    };
    let mut last = LastAsNumbers::default();
    last.follow(with("asn: '64601'"));
    assert!(last.lacking().is_empty());
    last.follow(with(""));
    // Over any number of restarts.
    for _ in 0..2 {
        let left = last.lacking();
        assert_eq!(left, [("n2".to_owned(), Asn(64601))].into());
        last = LastAsNumbers::following(left);
        let state = last.follow(with(""));
        let intent = intend(&state, "n1", &LocalFacts::default());
        let peer = intent.peers.iter().find(|peer| peer.name == "other-as/n2");
        let peer = peer.unwrap();
        assert_eq!(
            peer.session.protocol.remote_asn,
            RemoteAsn::Number(Asn(64601))
        );
        assert!(!peer.is_doubtful, "it is waited for");
    }
    last.follow(with("asn: '64602'"));
    assert!(last.lacking().is_empty());
}

/// A Node that is made again may not be there when the agent starts, and a Router may be gone for a moment.
#[test]
fn the_last_as_of_a_node_that_is_not_there_yet_outlives_a_restart() {
    let with = |n2: &str, router: &str| {
        Arc::new(state(&(own("asn: '64600'", &["192.0.2.1"]) + n2 + router)))
    };
    let bare = node("n2", "", "10.2.0.0/24", &["192.0.2.12"], "");
    let router = ours("Router", "r", "", "{asnFrom: {nodeLabel: asn}}");
    let left: BTreeMap<String, Asn> = [("n2".to_owned(), Asn(64601))].into();
    let mut last = LastAsNumbers::following(left.clone());
    last.follow(with("", &router));
    assert_eq!(last.lacking(), left);
    last.follow(with("", ""));
    assert_eq!(last.lacking(), left);
    last.follow(with("", &router));
    let state = last.follow(with(&bare, &router));
    assert_eq!(state.nodes["n2"].asn_before, Some(Asn(64601)));
    assert_eq!(last.lacking(), left);
    last.follow(with("", &router));
    assert!(last.lacking().is_empty(), "it was there, and went");
}

/// Where no agent was there before, nobody knows the last one. In a mesh of one AS it is ours; what else it is its OPEN says.
#[test]
fn a_node_whose_as_was_never_known_is_tried_as_one_of_ours() {
    let text = own("asn: '64600'", &["192.0.2.1"])
        + &node("n2", "", "10.2.0.0/24", &["192.0.2.12"], "")
        + &ours("Router", "r", "", "{asnFrom: {nodeLabel: asn}}");
    let intent = intent(&text, "n1");
    assert_eq!(peer_names(&intent), ["mesh/n2"]);
    let expected = RemoteAsn::Number(Asn(64600));
    assert_eq!(intent.peers[0].session.protocol.remote_asn, expected);
}

/// It may be of another AS then, and would never have the session that others wait for: 120 s at each of their starts.
#[test]
fn a_node_whose_as_was_never_known_is_not_waited_for_where_nodes_are_in_several() {
    let text = |asn: &str| {
        own("asn: '64600'", &["192.0.2.1"])
            + &node("n2", "", "10.2.0.0/24", &["192.0.2.12"], "")
            + &node("n3", asn, "10.3.0.0/24", &["192.0.2.13"], "")
            + &node("n4", "asn: '64600'", "10.4.0.0/24", &["192.0.2.14"], "")
            + &ours("Router", "r", "", "{asnFrom: {nodeLabel: asn}}")
    };
    let doubtful = |asn: &str| {
        let intent = intent(&text(asn), "n1");
        let peers = intent.peers.iter();
        let all = peers.map(|peer| format!("{} {}", peer.name, peer.is_doubtful));
        all.collect::<Vec<_>>().join(", ")
    };
    assert_eq!(
        doubtful("asn: '64600'"),
        "mesh/n2 false, mesh/n3 false, mesh/n4 false"
    );
    assert_eq!(doubtful("asn: '64601'"), "mesh/n2 true, mesh/n4 false");
    assert_eq!(doubtful(""), "mesh/n2 false, mesh/n3 false, mesh/n4 false");
}

/// The sessions of a node, each with its settings.
fn sessions(intent: &Intent) -> Vec<(String, String)> {
    let peers = intent.peers.iter();
    peers
        .map(|peer| {
            let ends = format!(
                "{} {:?} {:?}",
                peer.target, peer.session.transport.local, peer.session.protocol
            );
            (peer.name.clone(), ends)
        })
        .collect()
}

#[test]
fn another_address_of_the_node_changes_no_session_but_those_with_nodes() {
    let tor = ours("Peer", "tor", "", "{address: 192.0.2.200, asn: 64500}");
    let other = node("n2", "", "10.2.0.0/24", &["192.0.2.12", "2001:db8::12"], "");
    let with = |addresses: &[&str]| own("", addresses) + &other + &tor;
    let mut agent = Agent::new();
    let (before, _) = agent.plan(&with(&["192.0.2.1"]));
    assert_eq!(peer_names(&before), ["mesh/n2", "tor"]);
    let (after, _) = agent.plan(&with(&["192.0.2.3"]));
    let [before, after] = [before, after].map(|intent| sessions(&intent));
    assert_eq!(before[1], after[1], "the router's");
    assert_ne!(before[0], after[0], "the mesh: its end is another address");
}

#[test]
fn labels_and_pod_cidrs_that_are_others_are_decisions() {
    let peer = ours(
        "Peer",
        "tor",
        "",
        "{nodeSelector: {matchLabels: {rack: a}}, address: 192.0.2.200, asn: 64500}",
    );
    let mut agent = Agent::new();
    let (intent, _) = agent.plan(&(own("rack: a", &["192.0.2.1"]) + &peer));
    assert_eq!(peer_names(&intent), ["tor"]);
    let (intent, _) = agent.plan(&(own("rack: b", &["192.0.2.1"]) + &peer));
    assert_eq!(peer_names(&intent), [""; 0]);
    let moved = own("rack: a", &["192.0.2.1"]).replace("10.1.0.0/24", "10.9.0.0/24");
    let (intent, _) = agent.plan(&(moved + &peer));
    assert_eq!(prefixes(&intent), ["10.9.0.0/24"]);
}

#[test]
fn handing_in_what_was_found_changes_nothing() {
    let text = own("", &["192.0.2.1"]);
    let mut agent = Agent::new();
    agent.plan(&text);
    assert_ne!(agent.identity, Identity::default());
    let (_, change) = agent.plan(&text);
    assert_eq!(change, Change::Nothing);
}

/// While a node is held on to, Kubernetes gives its pod CIDR away. Which of both has it is not asked of who was there first.
#[test]
fn a_pod_cidr_that_is_known_from_before_and_has_become_anothers_is_not_announced() {
    let base = own("", &["192.0.2.1"])
        + &ours(
            "Advertisement",
            "a",
            "",
            "{podCIDRs: {}, prefixes: [10.1.0.128/25]}",
        );
    let alone = state(&base);
    let other = |cidr: &str| base.clone() + &node("n2", "", cidr, &["192.0.2.2"], "");
    let held = |text: &str, change: fn(&mut Node)| {
        let mut state = state(text);
        let mut own = Node::clone(&state.nodes["n1"]);
        change(&mut own);
        state.nodes.insert("n1".to_owned(), own.into());
        state
    };
    let ours = &["10.1.0.0/24", "10.1.0.128/25"][..];
    let refused = &[
        "10.1.0.128/25 Advertisement a: inside 10.1.0.0/24, a pod CIDR of node n2",
        "10.1.0.0/24 Node n1: inside 10.1.0.0/24, a pod CIDR of node n2",
    ][..];
    let shared = &["Node n1: pod CIDR 10.1.0.0/24 is also that of node n2"][..];
    let departed: fn(&mut Node) = |node| node.departed = true;
    let bridged: fn(&mut Node) = |node| node.pod_cidrs_bridged = true;
    let (taken, beside) = (other("10.1.0.0/24"), other("10.2.0.0/24"));
    let mut planner = Planner::new("n1");
    for (what, state, expected) in [
        ("alone", alone, (ours, &[][..], &[][..])),
        ("gone", held(&base, departed), (ours, &[], &[])),
        ("taken", held(&taken, departed), (&[], refused, &[])),
        ("back", held(&taken, bridged), (&[], refused, &[])),
        // Its object says it, so that nobody knows better.
        ("said", state(&taken), (ours, &[], shared)),
        ("lacks it", held(&taken, bridged), (&[], refused, &[])),
        ("given back", held(&beside, bridged), (ours, &[], &[])),
        ("taken again", held(&taken, bridged), (&[], refused, &[])),
        ("said otherwise", state(&beside), (ours, &[], &[])),
    ] {
        let (intent, _) = planner.plan(&state, &LocalFacts::default(), Phase::default());
        let found = (prefixes(&intent), suppressed(&intent), warnings(&intent));
        let owned = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        let (routes, refused, warned) = expected;
        assert_eq!(
            found,
            (owned(routes), owned(refused), owned(warned)),
            "{what}"
        );
        assert_eq!(
            intent,
            intend(&state, "n1", &LocalFacts::default()),
            "{what}"
        );
    }
}

#[test]
fn a_node_that_was_deleted_a_moment_ago_keeps_its_address_from_services_and_has_no_session() {
    let text = own("", &["192.0.2.1"])
        + &node("n2", "", "10.2.0.0/24", &["192.0.2.12"], "")
        + &service("s", "type: LoadBalancer", "{ip: 192.0.2.12}")
        + &slice("e", "s", "IPv4", &[("n1", "ready: true")]);
    let there = state(&text);
    let mut departed = there.clone();
    let n2 = Node {
        departed: true,
        pod_cidrs: Box::default(),
        ..Node::clone(&there.nodes["n2"])
    };
    departed.nodes.insert("n2".to_owned(), Arc::new(n2));
    let mut gone = there.clone();
    gone.nodes.remove("n2");
    let refused = ["192.0.2.12/32 Service d/s: an address of Node n2"];
    let mut planner = Planner::new("n1");
    for (state, peers, routes, refused) in [
        (&there, &["mesh/n2"][..], &["10.1.0.0/24"][..], &refused[..]),
        (&departed, &[], &["10.1.0.0/24"], &refused),
        (&there, &["mesh/n2"], &["10.1.0.0/24"], &refused),
        (&departed, &[], &["10.1.0.0/24"], &refused),
        (&gone, &[], &["10.1.0.0/24", "192.0.2.12/32"], &[]),
    ] {
        let (intent, _) = planner.plan(state, &LocalFacts::default(), Phase::default());
        assert_eq!(peer_names(&intent), peers);
        assert_eq!(prefixes(&intent), routes);
        assert_eq!(suppressed(&intent), refused);
        assert_eq!(intent, intend(state, "n1", &LocalFacts::default()));
    }
}
