//! What keeps a peer from running, and what ends that.

use super::*;

const NONE: [&str; 0] = [];

#[test]
fn a_peer_whose_key_cannot_be_set_is_tried_again_every_few_seconds() {
    let mut owner = Owner::new();
    owner.want(&tor("tor", ""));
    assert_eq!(owner.machine.deadline(), Some(owner.now + RETRY));
    for _ in 0..3 {
        owner.feed(Input::NotStarted(PeerId(1), "the table is full".to_owned()));
        assert_eq!(owner.blocked(1), Some("the table is full"));
        assert_eq!(owner.look_after(5), ["start 1 192.0.2.1"]);
        assert_eq!(owner.blocked(1), None);
        assert_eq!(owner.machine.deadline(), Some(owner.now + RETRY));
    }
    assert_eq!(owner.look_after(5), NONE);
}

#[test]
fn a_peer_waits_for_its_interface_and_follows_it_where_it_is_made_again() {
    let mut owner = Owner::new();
    let started = owner.want(&tor("tor", "sourceInterface: eth9"));
    // The RIB knows it from the beginning: it is waited for.
    assert_eq!(started, ["set 1 External"]);
    assert!(owner.blocked(1).unwrap().contains("eth9 does not exist"));
    assert_eq!(owner.look_after(5), NONE);
    for (links, expected) in [
        (&[(3, "eth9")][..], &["start 1 192.0.2.1"][..]),
        (&[(3, "eth9"), (4, "eth8")], &[]),
        (&[(7, "eth9")], &["reconfigure 1"]),
        (&[], &["stop 1 ConfigurationChange"]),
        (&[(7, "eth9")], &["start 1 192.0.2.1"]),
    ] {
        owner.links(links);
        assert_eq!(owner.look_after(1), expected, "{links:?}");
    }
}

/// BFD watches the interface of the settings, and learns of others by what is shown.
#[test]
fn a_peer_whose_interface_is_made_again_is_shown_with_its_new_settings() {
    let mut owner = Owner::new();
    owner.links(&[(3, "eth9")]);
    owner.want(&tor("tor", "sourceInterface: eth9"));
    owner.links(&[(7, "eth9")]);
    owner.pass(5);
    let mut out = Vec::new();
    owner.machine.handle(owner.now, Input::Look, &mut out);
    assert!(
        matches!(out[..], [Action::Reconfigure(..), Action::Show(PeerId(1))]),
        "{out:?}"
    );
    let peer = owner.machine.peer(PeerId(1)).unwrap();
    let settings = peer.run.running().unwrap().settings();
    assert_eq!(settings.device_index, Some(7));
}

#[test]
fn a_task_that_failed_is_started_again_at_the_next_look() {
    let mut owner = Owner::new();
    owner.want(&(tor("tor", "") + &racks("")));
    owner.connect("10.0.0.7:4711");
    for number in [2, 3] {
        owner.session(number, State::Established);
        assert_eq!(owner.feed(Input::Failed(PeerId(number))), NONE);
    }
    // The first is the range, with what is of it.
    let again = ["start 3 10.0.0.7", "start 2 192.0.2.1"];
    assert_eq!(owner.look_after(5), again);
    // A new task, which has no session so far.
    let facts = owner.machine.peer(PeerId(3)).unwrap().facts();
    assert_eq!(facts.unwrap().state, State::Idle);
    assert_eq!(owner.look_after(5), NONE);
}

#[test]
fn what_is_known_of_a_peer_that_was_removed_changes_nothing() {
    let mut owner = Owner::new();
    owner.want(&tor("tor", ""));
    owner.want("");
    let facts = SessionFacts {
        state: State::Established,
        since: owner.now,
        sessions: 1,
        is_held: false,
        awaits_bfd: false,
    };
    for late in [
        Input::Session(PeerId(1), facts),
        Input::Failed(PeerId(1)),
        Input::NotStarted(PeerId(1), "late".to_owned()),
        Input::KeptRoutes([(PeerId(1), false)].into()),
    ] {
        assert_eq!(owner.feed(late), NONE);
    }
}
