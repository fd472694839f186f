//! Who uses a session, and what of it.

use super::*;

#[test]
fn users_share_a_session_and_each_is_told() {
    let mut rig = Rig::new();
    let one = key("10.0.0.2");
    rig.set(1, one, request(50));
    rig.set(2, one, request(50));
    assert_eq!(rig.sessions.iter().count(), 1);
    rig.bring_up(&one);
    assert_eq!(rig.reported(), [(1, UserLevel::Up), (2, UserLevel::Up)]);
    rig.set(3, one, request(50));
    assert_eq!(
        rig.reported(),
        [(3, UserLevel::Up)],
        "one that comes later learns how it is"
    );
    rig.remove(2);
    assert_eq!(rig.state(&one), Some(State::Up));
    rig.pass(SECOND * 4);
    let down = UserLevel::Down(DownReason::DetectionTimeExpired);
    assert_eq!(rig.reported(), [(1, down), (3, down)]);
}

#[test]
fn the_most_demanding_of_all_users_counts() {
    let of = |requests: &[Request]| key::combine(requests.iter()).unwrap().unwrap();
    let make = |millis, mult| Request::new(parameters(millis, mult));
    let rows = [
        (vec![make(100, 3)], (100, 3)),
        (vec![make(100, 3), make(20, 10)], (20, 10)),
        (vec![make(50, 5), make(100, 2)], (50, 4)),
        (vec![make(300, 1), make(200, 3)], (200, 1)),
        (vec![make(60_000, 1), make(10, 255)], (10, 255)),
    ];
    for (requests, (millis, mult)) in rows {
        let all = of(&requests).parameters;
        let interval = Interval::from_millis(millis);
        assert_eq!(
            (all.desired_min_tx, all.required_min_rx),
            (interval, interval)
        );
        assert_eq!(all.detect_mult.get(), mult, "{requests:?}");
        let detection = |p: &Parameters| p.desired_min_tx.micros() * u32::from(p.detect_mult.get());
        let shortest = requests
            .iter()
            .map(|r| detection(&r.parameters))
            .min()
            .unwrap();
        assert!(detection(&all) <= shortest);
    }
    let passive = Request {
        parameters: Parameters {
            role: Role::Passive,
            ..parameters(50, 3)
        },
        is_held_down: true,
        least_ttl: NonZeroU8::new(200),
    };
    let all = of(&[passive.clone(), make(50, 3)]);
    assert_eq!(
        (all.parameters.role, all.is_held_down, all.least_ttl),
        (Role::Active, false, NonZeroU8::new(200))
    );
    let all = of(&[passive.clone(), passive]);
    assert_eq!(
        (all.parameters.role, all.is_held_down),
        (Role::Passive, true)
    );
}

#[test]
fn changed_requests_do_not_take_the_session_down() {
    let mut rig = Rig::new();
    let one = key("10.0.0.2");
    rig.set(1, one, request(50));
    rig.bring_up(&one);
    rig.reported();
    rig.set(1, one, request(10));
    rig.set(2, one, request(5));
    assert_eq!(rig.reported(), [(2, UserLevel::Up)]);
    rig.remove(2);
    rig.remove(7);
    assert_eq!((rig.reported(), rig.state(&one)), (vec![], Some(State::Up)));
}

#[test]
fn a_session_without_users_says_admin_down_for_a_detection_time_and_ends() {
    let mut rig = Rig::new();
    let one = key("10.0.0.2");
    rig.set(1, one, request(50));
    rig.bring_up(&one);
    rig.out.clear();
    rig.remove(1);
    rig.pass(Duration::from_millis(2999));
    let states = |out: &Actions| -> Vec<State> {
        let state = |action: &Action| match action {
            Action::Send(_, datagram) => Some(decode(datagram.octets()).unwrap().packet.state),
            Action::Open(..) | Action::SendEcho(..) | Action::Close(_) => None,
        };
        out.iter().filter_map(state).collect()
    };
    let sent = states(&rig.out);
    assert!(
        sent.len() >= 3 && sent.iter().all(|state| *state == State::AdminDown),
        "{sent:?}"
    );
    assert!(!rig.out.contains(&Action::Close(Slot(0))));
    rig.pass(Duration::from_millis(1));
    assert_eq!(rig.out.last(), Some(&Action::Close(Slot(0))));
    assert_eq!((rig.sessions.deadline(), rig.state(&one)), (None, None));
    // One that is wanted again meanwhile does not end.
    rig.set(1, one, request(50));
    assert!(
        rig.out.contains(&Action::Open(Slot(0), one)),
        "its place is used again"
    );
    rig.remove(1);
    rig.pass(SECOND);
    rig.set(2, one, request(50));
    rig.pass(SECOND * 10);
    assert_eq!(rig.state(&one), Some(State::Down));
}

#[test]
fn a_session_is_held_down_while_all_of_its_users_want_that() {
    let mut rig = Rig::new();
    let one = key("10.0.0.2");
    rig.set(1, one, request(50));
    rig.bring_up(&one);
    rig.reported();
    let held = Request {
        is_held_down: true,
        ..request(50)
    };
    rig.set(2, one, held.clone());
    assert_eq!(rig.state(&one), Some(State::Up));
    rig.reported();
    rig.set(1, one, held);
    let mut reported = rig.reported();
    reported.sort_unstable_by_key(|(user, _)| *user);
    assert_eq!(
        reported,
        [(1, UserLevel::AdminDown), (2, UserLevel::AdminDown)]
    );
    rig.set(2, one, request(50));
    assert_eq!(rig.state(&one), Some(State::Down));
}

#[test]
fn requests_that_cannot_be_fulfilled_change_nothing() {
    let least = NonZeroU8::new(250).unwrap();
    let echo = Parameters {
        echo_tx: Some(Interval::SLOW),
        ..parameters(50, 3)
    };
    let one = key("10.0.0.2");
    let far = SessionKey {
        hops: Hops::Multi,
        ..one
    };
    let to = |remote: &str| SessionKey {
        remote: remote.parse().unwrap(),
        ..one
    };
    let from = |local: &str| SessionKey {
        local: local.parse().unwrap(),
        ..one
    };
    let anywhere = |key| SessionKey {
        interface: None,
        ..key
    };
    let rows = [
        (
            far,
            Request::multihop(echo, least),
            RequestError::MultihopEcho,
        ),
        (far, request(50), RequestError::NoLeastTtl),
        (
            anywhere(key("fe80::2")),
            request(50),
            RequestError::NoInterface,
        ),
        (anywhere(one), request(50), RequestError::NoInterface),
        (to("fe80::2"), request(50), RequestError::Families),
        (to("224.0.0.5"), request(50), RequestError::NotUnicast),
        (to("255.255.255.255"), request(50), RequestError::NotUnicast),
        (from("0.0.0.0"), request(50), RequestError::NotUnicast),
        (to("10.0.0.1"), request(50), RequestError::SameAddress),
    ];
    let mut rig = Rig::new();
    for (key, request, error) in rows {
        rig.set(1, key, request);
        let level = rig.states()[0].state;
        assert_eq!(level, UserLevel::Refused(error), "{key:?}");
    }
    assert_eq!((rig.sessions.iter().count(), &rig.out), (0, &vec![]));
}

#[test]
fn a_request_that_others_block_is_fulfilled_when_they_change() {
    let auth = |kind| {
        let authentication = Authentication::new(kind, vec![Key::new(1, b"x").unwrap()], 1);
        Request::new(Parameters {
            authentication: Some(Arc::new(authentication.unwrap())),
            ..parameters(50, 3)
        })
    };
    let (mut rig, one) = (Rig::new(), key("10.0.0.2"));
    // The request before stays in force, until the others agree with the later one.
    rig.set(1, one, auth(Kind::Keyed));
    rig.set(2, one, auth(Kind::Keyed));
    rig.set(3, one, request(50));
    rig.states();
    rig.set(1, one, auth(Kind::Meticulous));
    let refused = |rig: &mut Rig| -> Vec<(u64, UserLevel, Option<RequestError>)> {
        let states = rig.states().into_iter();
        states
            .map(|state| (state.user.number, state.state, state.change_refused))
            .collect()
    };
    let error = RequestError::Authentication;
    assert_eq!(refused(&mut rig), [(1, UserLevel::NotYetUp, Some(error))]);
    rig.remove(3);
    rig.remove(2);
    assert_eq!(refused(&mut rig), [(1, UserLevel::NotYetUp, None)]);
    rig.set(4, one, auth(Kind::Keyed));
    assert_eq!(refused(&mut rig), [(4, UserLevel::Refused(error), None)]);
    rig.set(1, one, auth(Kind::Keyed));
    let states: Vec<u64> = refused(&mut rig).iter().map(|state| state.0).collect();
    assert_eq!(states, [1, 4], "4 is retried");
    let users = rig.sessions.iter().next().map(|view| view.users.len());
    assert_eq!(users, Some(2));
}

#[test]
fn the_same_again_changes_nothing_and_another_key_moves_the_user() {
    let mut rig = Rig::new();
    let (one, two) = (key("10.0.0.2"), key("10.0.0.3"));
    rig.set(1, one, request(50));
    rig.bring_up(&one);
    rig.pass(Duration::from_millis(10));
    assert_eq!(rig.states().len(), 1, "one state for all that happened");
    rig.out.clear();
    rig.set(1, one, request(50));
    assert_eq!((rig.states(), &rig.out), (vec![], &vec![]));
    let moved = UserId {
        number: 1,
        generation: 1,
    };
    let wanted = Some((two, request(50)));
    rig.sessions.set(rig.now, moved, wanted, &mut rig.out);
    let [state] = rig.states()[..] else { panic!() };
    assert_eq!(
        (state.user, state.key, state.state, state.transitions),
        (moved, two, UserLevel::NotYetUp, 0)
    );
    assert_eq!(rig.state(&one), Some(State::AdminDown), "nobody uses it");
}

#[test]
fn a_loss_within_one_turn_is_counted_and_the_control_plane_bit_is_that_of_before() {
    let mut rig = Rig::new();
    let one = key("10.0.0.2");
    rig.set(1, one, request(50));
    rig.bring_up(&one);
    let yours = rig.discriminator(&one);
    let independent = ControlPacket {
        is_control_plane_independent: true,
        ..packet(State::Up, yours)
    };
    rig.receive(&arrival(&one), &independent);
    rig.states();
    rig.pass(SECOND * 4);
    let lost = rig.now;
    rig.bring_up(&one);
    // Joins after the loss.
    rig.set(2, one, request(50));
    let states = rig.states();
    let brief = |state: &UserState| (state.user.number, state.state, state.transitions);
    assert_eq!(
        states.iter().map(brief).collect::<Vec<_>>(),
        [(1, UserLevel::Up, 1), (2, UserLevel::Up, 0)]
    );
    let down = states[0].last_down.unwrap();
    assert!(down.at < lost && down.control_plane_independent);
    assert_eq!(down.reason, DownReason::DetectionTimeExpired);
    assert_eq!(states[1].last_down, None);
    rig.receive(&arrival(&one), &packet(State::Down, yours));
    let down = rig.states()[0].last_down.unwrap();
    assert!(
        !down.control_plane_independent,
        "it was off when it was last Up"
    );
}

#[test]
fn a_remote_admin_down_is_no_failure_even_when_it_goes_silent() {
    let mut rig = Rig::new();
    let one = key("10.0.0.2");
    rig.set(1, one, request(50));
    rig.bring_up(&one);
    rig.reported();
    let yours = rig.discriminator(&one);
    rig.receive(&arrival(&one), &packet(State::AdminDown, yours));
    assert_eq!(rig.reported(), [(1, UserLevel::RemoteAdminDown)]);
    rig.pass(SECOND * 10);
    let levels: Vec<UserLevel> = rig.states().iter().map(|state| state.state).collect();
    assert_eq!(
        levels,
        [UserLevel::RemoteAdminDown],
        "its silence is a change"
    );
    rig.receive(&arrival(&one), &packet(State::Down, None));
    assert_eq!(rig.states()[0].state, UserLevel::NotYetUp);
    // A failure that was seen stays one until the session is Up.
    rig.bring_up(&one);
    rig.reported();
    rig.pass(SECOND * 4);
    let failed = UserLevel::Down(DownReason::DetectionTimeExpired);
    assert_eq!(rig.reported(), [(1, failed)]);
    rig.receive(&arrival(&one), &packet(State::Down, None));
    assert_eq!(rig.states()[0].state, failed);
}

#[test]
fn a_local_failure_takes_down_what_uses_the_interface_or_one_user() {
    let mut rig = Rig::new();
    let (one, two) = (
        key("10.0.0.2"),
        SessionKey {
            interface: NonZeroU32::new(3),
            ..key("10.0.0.3")
        },
    );
    rig.set(1, one, request(50));
    rig.set(2, two, request(50));
    rig.bring_up(&one);
    rig.bring_up(&two);
    rig.reported();
    rig.sessions.fail(
        rig.now,
        NonZeroU32::new(3),
        LocalFailure::Path,
        &mut rig.out,
    );
    assert_eq!(
        rig.reported(),
        [(2, UserLevel::Down(DownReason::Local(LocalFailure::Path)))]
    );
    rig.sessions.fail(
        rig.now,
        None,
        LocalFailure::ForwardingPlaneReset,
        &mut rig.out,
    );
    let reset = UserLevel::Down(DownReason::Local(LocalFailure::ForwardingPlaneReset));
    assert_eq!(rig.reported(), [(1, reset)]);
    rig.bring_up(&one);
    rig.bring_up(&two);
    rig.reported();
    let stale = UserId {
        number: 2,
        generation: 9,
    };
    for user in [id(1), stale] {
        let failure = LocalFailure::ConcatenatedPath;
        rig.sessions.fail_user(rig.now, user, failure, &mut rig.out);
    }
    let failed = DownReason::Local(LocalFailure::ConcatenatedPath);
    assert_eq!(rig.reported(), [(1, UserLevel::Down(failed))]);
}
