//! Who a node is to its peers stays while its agent runs: what of the Node may have a gap, and what is a decision.

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

pub(super) fn own(labels: &str, addresses: &[&str]) -> String {
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
        "Router r: spec.asnFrom refers to label asn, which node n1 does not have; the node has no sessions until it \
         has one"
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
            "Router r: spec.asnFrom refers to label asn, which node n1 does not have; the AS in use stays",
            "Router r: spec.routerIDFrom refers to label id, which node n1 does not have; the identifier in use stays",
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
