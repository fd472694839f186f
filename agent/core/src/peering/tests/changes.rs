//! Who leaves and for how long, who takes whose place, and which number each has.

use super::wanted::LEAVING;
use super::*;

const NONE: [&str; 0] = [];

/// A router beside the nodes.
fn with_tor(more: &str) -> String {
    node(11, "") + &tor("tor", "") + more
}

#[test]
fn a_peer_that_is_not_wanted_any_more_ends_at_once_but_an_established_node_is_kept_for_a_while() {
    let all = with_tor(&node(12, ""));
    for (number, name, state, ends_at_once) in [
        (1, "mesh/n12", State::Established, false),
        (1, "mesh/n12", State::OpenConfirm, true),
        (1, "mesh/n12", State::Idle, true),
        (2, "tor", State::Established, true),
        (2, "tor", State::Active, true),
    ] {
        let mut owner = Owner::new();
        owner.want(&all);
        assert_eq!(owner.name(number), name);
        owner.session(number, state);
        let end = [
            format!("stop {number} Deconfigured"),
            format!("remove {number}"),
        ];
        let at_once = owner.want(&node(11, ""));
        if ends_at_once {
            assert!(
                at_once.ends_with(&end) || at_once.starts_with(&end),
                "{at_once:?}"
            );
            continue;
        }
        assert_eq!(at_once, ["stop 2 Deconfigured", "remove 2"], "{name}");
        assert_eq!(owner.look_after(5), NONE, "{name}");
        // That it is not wanted again begins nothing anew.
        assert_eq!(owner.want(&node(11, "")), NONE, "{name}");
        assert_eq!(owner.machine.deadline(), Some(owner.now + LEAVING / 2));
        assert_eq!(owner.look_after(5), end, "{name}");
        assert_eq!(owner.machine.deadline(), Some(owner.now + RETRY));
    }
}

#[test]
fn a_node_that_falls_while_it_leaves_ends_with_the_next_intent() {
    let mut owner = Owner::new();
    owner.want(&(node(11, "") + &node(12, "")));
    owner.session(1, State::Established);
    assert_eq!(owner.want(&node(11, "")), NONE);
    owner.session(1, State::Active);
    let ended = owner.want(&node(11, ""));
    assert_eq!(ended, ["stop 1 Deconfigured", "remove 1"]);
}

#[test]
fn a_node_that_leaves_is_not_started_again() {
    let mut owner = Owner::new();
    owner.want(&(node(11, "") + &node(12, "")));
    owner.session(1, State::Established);
    assert_eq!(owner.want(&node(11, "")), NONE);
    assert_eq!(owner.feed(Input::Failed(PeerId(1))), NONE);
    let ended = owner.look_after(1);
    assert_eq!(ended, ["stop 1 Deconfigured", "remove 1"]);
}

#[test]
fn a_node_that_is_wanted_again_within_its_leave_keeps_its_number_and_its_session() {
    let both = node(11, "") + &node(12, "");
    let mut owner = Owner::new();
    assert_eq!(owner.want(&both), ["set 1 Internal", "start 1 192.0.2.12"]);
    owner.session(1, State::Established);
    assert_eq!(owner.want(&node(11, "")), NONE);
    owner.pass(9);
    assert_eq!(owner.want(&both), NONE);
    // Nor does the first leave count for a second one.
    owner.pass(9);
    assert_eq!(owner.want(&node(11, "")), NONE);
    assert_eq!(owner.look_after(9), NONE);
    assert_eq!(owner.look_after(1).len(), 2);
}

#[test]
fn a_number_is_given_once() {
    let mut owner = Owner::new();
    owner.want(&tor("tor", ""));
    assert_eq!(owner.want(""), ["stop 1 Deconfigured", "remove 1"]);
    let again = owner.want(&tor("tor", ""));
    assert_eq!(again, ["set 2 External", "start 2 192.0.2.1"]);
}

#[test]
fn a_new_peer_with_the_address_of_one_that_goes_takes_its_number_and_session() {
    let other = peer("other", "{address: 192.0.2.2, asn: 64501}");
    for (after, expected, name) in [
        // Its timers are jittered by its name.
        (tor("b", ""), &["reconfigure 1"][..], "b"),
        (
            tor("b", "allowOwnAS: 1"),
            &["set 1 External", "reconfigure 1"],
            "b",
        ),
        (tor("b", "passive: true"), &["reconfigure 1"], "b"),
        // The old one stays as long as it is wanted itself.
        (
            tor("a", "") + &other,
            &["set 2 External", "start 2 192.0.2.2"],
            "a",
        ),
    ] {
        let mut owner = Owner::new();
        owner.want(&tor("a", ""));
        assert_eq!(owner.want(&after), expected, "{after}");
        assert_eq!(owner.name(1), name);
    }
    let mut owner = Owner::new();
    owner.want(&tor("a", ""));
    let expected = [
        "stop 1 Deconfigured",
        "remove 1",
        "set 2 External",
        "start 2 192.0.2.2",
    ];
    assert_eq!(owner.want(&other), expected);
}

/// From reflectors to the mesh: the same node under another name, and what it was to us for a while.
#[test]
fn a_node_that_is_to_be_no_client_any_more_is_one_for_a_while_if_its_session_is_established() {
    let reflectors =
        "{nodes: {selector: {matchLabels: {role: rr}}, reflectors: true}, asn: internal}";
    let nodes = |own: &str| node(11, own) + &node(12, "");
    let before = nodes("role: rr") + &peer("reflectors", reflectors);
    for (state, is_kept) in [(State::Established, true), (State::Active, false)] {
        let mut owner = Owner::new();
        let started = owner.want(&before);
        assert_eq!(started, ["set 1 ReflectorClient", "start 1 192.0.2.12"]);
        owner.session(1, state);
        let kind = if is_kept {
            "ReflectorClient"
        } else {
            "Internal"
        };
        let expected = [&format!("set 1 {kind}"), "reconfigure 1"];
        assert_eq!(owner.want(&nodes("")), expected, "{state:?}");
        assert_eq!(owner.name(1), "mesh/n12");
        if is_kept {
            assert_eq!(owner.look_after(5), NONE);
            assert_eq!(owner.look_after(5), ["set 1 Internal"]);
        }
    }
}

/// A Peer names the node by its address, and the mesh takes its session over.
#[test]
fn a_client_by_its_address_that_the_mesh_takes_over_is_one_for_a_while() {
    let nodes = node(11, "") + &node(12, "");
    let spec = "{address: 192.0.2.12, asn: internal, routeReflectorClient: true}";
    let client = nodes.clone() + &peer("client", spec);
    let mut owner = Owner::new();
    let started = owner.want(&client);
    assert_eq!(started, ["set 1 ReflectorClient", "start 1 192.0.2.12"]);
    owner.session(1, State::Established);
    assert_eq!(owner.want(&nodes)[0], "set 1 ReflectorClient");
    assert_eq!(owner.name(1), "mesh/n12");
    assert_eq!(owner.look_after(5), NONE);
    assert_eq!(owner.look_after(5), ["set 1 Internal"]);
}

/// It is looked at for its password at each look, and must not be taken for one that is wanted as a client.
#[test]
fn a_password_file_does_not_prolong_the_time_as_a_client() {
    let reflectors = "{nodes: {selector: {matchLabels: {role: rr}}, reflectors: true}, asn: internal, \
                      password: {file: /p}}";
    let router = ours("Router", "default", "{mesh: {password: {file: /p}}}");
    let nodes = |own: &str| router.clone() + &node(11, own) + &node(12, "");
    let mut owner = Owner::new();
    let file = PasswordFile {
        found: Some(Ok(crate::cluster::SecretText::new("right"))),
        later: None,
    };
    owner.feed(Input::PasswordFiles([("/p".into(), file)].into()));
    owner.want(&(nodes("role: rr") + &peer("reflectors", reflectors)));
    owner.session(1, State::Established);
    let renamed = ["set 1 ReflectorClient", "reconfigure 1"];
    assert_eq!(owner.want(&nodes("")), renamed);
    assert_eq!(owner.look_after(5), NONE);
    assert_eq!(owner.look_after(5), ["set 1 Internal"]);
}

#[test]
fn a_peer_that_becomes_a_range_or_the_other_way_round_is_another_one() {
    let address = tor("racks", "");
    let mut owner = Owner::new();
    owner.want(&address);
    assert_eq!(owner.want(&racks("")), ["stop 1 Deconfigured", "remove 1"]);
    assert!(matches!(
        owner.machine.peer(PeerId(2)).unwrap().run,
        Run::Range
    ));
    let back = owner.want(&address);
    assert_eq!(back, ["set 3 External", "start 3 192.0.2.1"]);
}

#[test]
fn when_the_sockets_are_replaced_every_peer_ends_and_is_made_anew() {
    let all = with_tor(&node(12, ""));
    let mut owner = Owner::new();
    owner.want(&all);
    owner.session(1, State::Established);
    let ended = owner.feed(Input::SocketsReplaced);
    let expected = [1, 2].map(|id| {
        [
            format!("stop {id} ConfigurationChange"),
            format!("remove {id}"),
        ]
    });
    assert_eq!(ended, expected.concat());
    let expected = [
        "set 3 Internal",
        "start 3 192.0.2.12",
        "set 4 External",
        "start 4 192.0.2.1",
    ];
    assert_eq!(owner.want(&all), expected);
}

#[test]
fn after_the_end_nothing_is_started_until_something_is_wanted() {
    let all = with_tor(&node(12, ""));
    let mut owner = Owner::new();
    owner.want(&all);
    let ended = owner.feed(Input::End(Stop::Silent));
    assert_eq!(ended, ["stop 1 silently", "stop 2 silently"]);
    assert_eq!(owner.look_after(60), NONE);
    assert_eq!(
        owner.want(&all),
        ["start 1 192.0.2.12", "start 2 192.0.2.1"]
    );
}

/// The RIB may be busy, and a command waits for it.
#[test]
fn a_peer_that_was_removed_is_not_shown_while_the_rib_has_no_time_for_it() {
    let mut owner = Owner::new();
    owner.want(&tor("tor", ""));
    let mut out = Vec::new();
    let nobody = Input::Wanted(Arc::default());
    owner.machine.handle(owner.now, nobody, &mut out);
    let expected = [
        Action::Stop(PeerId(1), Stop::Cease(Cease::Deconfigured)),
        Action::Show(PeerId(1)),
        Action::RemoveRibPeer(PeerId(1)),
    ];
    assert_eq!(out, expected);
}
