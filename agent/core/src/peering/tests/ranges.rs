//! Peers out of listen ranges: who has a place, and for how long.

use bgp::admission::Admit;
use ipnet::IpNet;

use super::super::dynamic::TRYING;
use super::*;

const NONE: [&str; 0] = [];

/// With two peers, which are the second and the third; the range is the first.
fn full() -> Owner {
    let mut owner = Owner::new();
    owner.want(&racks(""));
    for (number, remote) in [(2, "10.0.0.2:4711"), (3, "10.0.0.3:4711")] {
        let made = [
            format!("set {number} External"),
            format!("unexpected {number}"),
            format!("start {number} {}", remote.split_once(':').unwrap().0),
            format!("accept {number}"),
        ];
        assert_eq!(owner.connect(remote), made);
        owner.session(number, State::Established);
    }
    assert_eq!(owner.name(2), "racks/10.0.0.2");
    owner
}

fn kept(number: u32, is_kept: bool) -> Input {
    Input::KeptRoutes([(PeerId(number), is_kept)].into())
}

#[test]
fn a_range_has_so_many_peers_and_those_that_it_has_may_come_again() {
    let mut owner = full();
    assert_eq!(owner.connect("10.0.0.4:4711"), ["refuse RangeFull"]);
    assert_eq!(owner.connect("10.0.0.3:4712"), ["accept 3"]);
    let more = racks("").replace("maxPeers: 2", "maxPeers: 3");
    owner.want(&more);
    assert_eq!(owner.connect("10.0.0.4:4711").last().unwrap(), "accept 4");
}

#[test]
fn a_place_is_held_for_a_while_after_a_session_and_as_long_as_its_routes_are_kept() {
    let now = Instant::now();
    for (state, sessions, seconds, keeps_routes, expected) in [
        (State::Established, 1, 10_000, false, true),
        (State::Active, 0, 5, false, true),
        (State::Active, 0, 11, false, false),
        (State::Active, 1, 170, false, true),
        (State::Active, 1, 190, false, false),
        // Graceful restart, long-lived or not.
        (State::Active, 1, 190, true, true),
        (State::Active, 1, 80_000, true, true),
    ] {
        for is_held in [false, true] {
            let facts = SessionFacts {
                state,
                since: now,
                sessions,
                is_held,
                awaits_bfd: false,
            };
            let found = has_place(&facts, keeps_routes, now + Duration::from_secs(seconds));
            assert_eq!(
                found,
                expected || is_held,
                "{state:?} {sessions} {seconds} s {keeps_routes} {is_held}"
            );
        }
    }
}

/// In strict mode it has no session before BFD is up, and that may take longer than a handshake of BGP.
#[test]
fn a_peer_that_waits_for_bfd_keeps_its_place() {
    let now = Instant::now();
    let facts = SessionFacts {
        state: State::OpenConfirm,
        since: now,
        sessions: 0,
        is_held: false,
        awaits_bfd: true,
    };
    assert!(has_place(&facts, false, now + Duration::from_secs(60)));
}

#[test]
fn a_peer_that_is_gone_is_forgotten_unless_its_routes_are_kept() {
    for (is_kept, expected) in [
        (true, &NONE[..]),
        (false, &["stop 2 Deconfigured", "remove 2"]),
    ] {
        let mut owner = full();
        owner.session(2, State::Active);
        assert_eq!(owner.look_after(170), NONE);
        assert_eq!(owner.look_after(20), ["ask [2]"]);
        assert_eq!(owner.feed(kept(2, is_kept)), expected);
        if is_kept {
            // It is asked about as long as it is so.
            assert_eq!(owner.look_after(5), ["ask [2]"]);
            assert_eq!(owner.feed(kept(2, false)).len(), 2);
        }
    }
}

/// Between the question and the answer a peer may come back.
#[test]
fn a_peer_that_is_back_is_not_forgotten_for_what_was_known_of_its_routes() {
    let mut owner = full();
    owner.session(2, State::Active);
    assert_eq!(owner.look_after(190), ["ask [2]"]);
    owner.session(2, State::Established);
    for is_kept in [false, true] {
        assert_eq!(owner.feed(kept(2, is_kept)), NONE);
        assert!(!owner.machine.peer(PeerId(2)).unwrap().keeps_routes);
    }
}

#[test]
fn a_place_for_routes_alone_is_given_to_another_and_no_other_one_is() {
    let mut owner = full();
    owner.session(2, State::Active);
    owner.pass(100);
    owner.session(3, State::Active);
    // Neither has been gone for long.
    assert_eq!(owner.connect("10.0.0.4:4711"), ["refuse RangeFull"]);
    assert_eq!(owner.look_after(190), ["ask [2, 3]"]);
    let both = [(PeerId(2), true), (PeerId(3), true)].into();
    assert_eq!(owner.feed(Input::KeptRoutes(both)), NONE);
    // The one that has been gone for longest; but not while it tries.
    owner.session(2, State::OpenSent);
    assert_eq!(owner.connect("10.0.0.4:4711").last().unwrap(), "accept 4");
    assert_eq!(owner.connect("10.0.0.5:4711"), ["refuse RangeFull"]);
    let made = owner.goes_over(4, State::Established);
    assert_eq!(made, ["stop 3 Deconfigured", "remove 3"]);
    owner.session(2, State::Active);
    owner.pass(190);
    assert_eq!(owner.feed(kept(2, true)), NONE);
    owner.connect("10.0.0.5:4711");
    let made = owner.goes_over(5, State::Established);
    assert_eq!(made, ["stop 2 Deconfigured", "remove 2"]);
}

/// Whoever can connect, such as from a pod, must not be able to remove the routes of others by that.
#[test]
fn connections_without_a_session_remove_no_routes() {
    let mut owner = Owner::new();
    let many = racks("").replace("maxPeers: 2", "maxPeers: 20");
    owner.want(&many);
    for host in 1..=20 {
        owner.connect(&format!("10.0.0.{host}:4711"));
        owner.session(host + 1, State::Established);
        owner.session(host + 1, State::Active);
    }
    owner.look_after(190);
    let all = (2..=21).map(|number| (PeerId(number), true));
    assert_eq!(owner.feed(Input::KeptRoutes(all.collect())), NONE);
    let let_in = |owner: &mut Owner, host: u32| {
        let done = owner.connect(&format!("10.0.0.{host}:4711"));
        let removes = |words: &String| words.starts_with("stop") || words.starts_with("remove");
        assert!(!done.iter().any(removes), "{done:?}");
        done.last().unwrap().starts_with("accept")
    };
    let hosts: Vec<bool> = (100..120).map(|host| let_in(&mut owner, host)).collect();
    assert!(hosts[..TRYING].iter().all(|is_in| *is_in), "{hosts:?}");
    assert!(hosts[TRYING..].iter().all(|is_in| !is_in), "{hosts:?}");
    // They give up, and others may try.
    owner.pass(11);
    assert!(let_in(&mut owner, 130));
    // One that is serious gets its place.
    let serious = owner.machine.named("racks/10.0.0.130").unwrap().id.0;
    let made = owner.goes_over(serious, State::Established);
    assert_eq!(made, ["stop 2 Deconfigured", "remove 2"]);
}

#[test]
fn a_new_peer_goes_where_the_one_whose_place_it_would_have_has_come_back() {
    let mut owner = full();
    owner.session(2, State::Active);
    assert_eq!(owner.look_after(190), ["ask [2]"]);
    assert_eq!(owner.feed(kept(2, true)), NONE);
    assert_eq!(owner.connect("10.0.0.4:4711").last().unwrap(), "accept 4");
    owner.session(2, State::Established);
    let made = owner.goes_over(4, State::Established);
    assert_eq!(made, ["stop 4 OutOfResources", "remove 4"]);
}

/// Its interface is missing.
#[test]
fn no_routes_go_for_a_peer_that_cannot_be_started() {
    let mut owner = full();
    owner.session(2, State::Active);
    assert_eq!(owner.look_after(190), ["ask [2]"]);
    assert_eq!(owner.feed(kept(2, true)), NONE);
    owner.links(&[(3, "eth9")]);
    let changed = ["reconfigure 2", "reconfigure 3"];
    assert_eq!(owner.want(&racks("sourceInterface: eth9")), changed);
    owner.links(&[]);
    assert_eq!(owner.connect("10.0.0.4:4711"), ["refuse Blocked"]);
    owner.links(&[(3, "eth9")]);
    owner.connect("10.0.0.4:4711");
    let made = owner.goes_over(4, State::Established);
    assert_eq!(made, ["stop 2 Deconfigured", "remove 2"]);
}

/// `maxPeers` was lowered since they came.
#[test]
fn no_routes_go_where_that_makes_no_room() {
    let mut owner = full();
    owner.want(&racks("").replace("maxPeers: 2", "maxPeers: 3"));
    owner.connect("10.0.0.4:4711");
    owner.session(4, State::Established);
    owner.session(3, State::Active);
    assert_eq!(owner.look_after(190), ["ask [3]"]);
    assert_eq!(owner.feed(kept(3, true)), NONE);
    owner.want(&racks(""));
    assert_eq!(owner.connect("10.0.0.5:4711"), ["refuse RangeFull"]);
    owner.want(&racks("").replace("maxPeers: 2", "maxPeers: 3"));
    assert_eq!(owner.connect("10.0.0.5:4711").last().unwrap(), "accept 5");
    let made = owner.goes_over(5, State::Established);
    assert_eq!(made, ["stop 3 Deconfigured", "remove 3"]);
}

#[test]
fn a_peer_that_cannot_be_started_has_no_place() {
    let mut owner = Owner::new();
    owner.want(&racks(""));
    let made = owner.connect("10.0.0.2:4711");
    assert_eq!(made.last().unwrap(), "accept 2");
    let gone = owner.feed(Input::NotStarted(PeerId(2), "full".to_owned()));
    assert_eq!(gone, ["remove 2"]);
    assert!(owner.machine.peer(PeerId(2)).is_none());
}

#[test]
fn a_peer_goes_with_its_range_and_where_another_has_its_address() {
    let wider = peer("all", "{range: 10.0.0.0/8, asn: external}");
    let longer = peer("few", "{range: 10.0.0.2/31, asn: external}");
    let own = peer("own", "{address: 10.0.0.2, asn: 64501}");
    for (after, ended) in [
        (racks("") + &wider, &[][..]),
        (racks("") + &longer, &[2, 3]),
        (racks("") + &own, &[2]),
        (wider.clone(), &[2, 3]),
        (String::new(), &[2, 3]),
    ] {
        let mut owner = full();
        owner.want(&after);
        let is_gone = |id: &u32| owner.machine.peer(PeerId(*id)).is_none();
        let found: Vec<u32> = [2, 3].into_iter().filter(is_gone).collect();
        assert_eq!(found, ended, "{after}");
    }
}

#[test]
fn a_peer_follows_what_its_range_says() {
    let mut owner = full();
    assert_eq!(
        owner.want(&racks("port: 180")),
        ["reconfigure 2", "reconfigure 3"]
    );
    let changed = owner.want(&racks("port: 180, allowOwnAS: 1"));
    assert_eq!(changed, ["set 2 External", "set 3 External"]);
}

#[test]
fn a_configured_peer_is_never_the_ranges_also_while_it_is_blocked() {
    let own = |more: &str| peer("own", &format!("{{address: 10.0.0.2, asn: 64501, {more}}}"));
    for (more, expected) in [
        ("", "accept 1"),
        ("sourceInterface: eth9", "refuse Blocked"),
    ] {
        let mut owner = Owner::new();
        owner.want(&(own(more) + &racks("")));
        assert_eq!(owner.connect("10.0.0.2:4711"), [expected], "{more}");
    }
    let mut owner = Owner::new();
    owner.want("");
    assert_eq!(owner.connect("10.0.0.2:4711"), NONE, "its range has gone");
}

#[test]
fn a_range_whose_key_or_password_is_missing_lets_nobody_in_until_it_is_there() {
    let with_password = racks("password: {file: /p}");
    let mut owner = Owner::new();
    owner.want(&with_password);
    assert!(owner.blocked(1).unwrap().contains("/p"));
    let listening = owner.machine.listening(&intent(&with_password)).0;
    assert_eq!(listening.ranges[0].admit, Admit::Nobody);
    let ranges = listening.ranges;
    let failed = BTreeMap::new();
    let held = HeldRanges { ranges, failed };
    assert_eq!(owner.feed(Input::Listening(held)), NONE);
    assert_eq!(owner.look_after(5), NONE);
    let file = PasswordFile {
        found: Some(Ok(crate::cluster::SecretText::new("right"))),
        later: None,
    };
    owner.feed(Input::PasswordFiles([("/p".into(), file)].into()));
    let mut out = Vec::new();
    owner.pass(5);
    owner.machine.handle(owner.now, Input::Look, &mut out);
    let Some(Action::SetRanges(ranges)) = out.into_iter().next() else {
        panic!("no ranges");
    };
    assert!(matches!(ranges[0].admit, Admit::Signed(_)));
    // Its key cannot be set, which is tried again.
    let net = ranges[0].net;
    let failed = [(net, "the table is full".to_owned())].into();
    let full = HeldRanges {
        ranges: ranges.clone(),
        failed,
    };
    owner.feed(Input::RangesSet(full));
    assert_eq!(owner.blocked(1), Some("the table is full"));
    assert_eq!(owner.look_after(5), ["ranges 1"]);
    let failed = BTreeMap::new();
    owner.feed(Input::RangesSet(HeldRanges { ranges, failed }));
    assert_eq!(owner.blocked(1), None);
    assert_eq!(owner.look_after(5), NONE);
}

/// The listener is made for what is wanted next.
#[test]
fn a_range_is_not_judged_by_what_the_listener_has_for_another_one() {
    let net: IpNet = "10.0.0.0/24".parse().unwrap();
    let mut owner = Owner::new();
    owner.want(&racks(""));
    let file = PasswordFile {
        found: Some(Ok(crate::cluster::SecretText::new("right"))),
        later: None,
    };
    owner.feed(Input::PasswordFiles([("/p".into(), file)].into()));
    let next = intent(&racks("password: {file: /p}").replace("racks", "others"));
    let held = HeldRanges {
        ranges: owner.machine.listening(&next).0.ranges,
        failed: [(net, "the table is full".to_owned())].into(),
    };
    owner.feed(Input::Listening(held));
    assert_eq!(owner.blocked(1), None, "it has no key that could fail");
    owner.feed(Input::Wanted(next.peers.clone()));
    assert_eq!(owner.name(2), "others");
    assert_eq!(owner.blocked(2), Some("the table is full"));
}
