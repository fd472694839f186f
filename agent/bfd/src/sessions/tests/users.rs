//! Who uses a session, and what of it.

use super::*;

#[test]
fn users_share_a_session_and_each_is_told() {
    let mut rig = Rig::new();
    let one = key("10.0.0.2");
    rig.add(1, one, request(50)).unwrap();
    rig.add(2, one, request(50)).unwrap();
    assert_eq!(rig.add(2, one, request(50)), Err(RequestError::Exists));
    assert_eq!(rig.sessions.iter().count(), 1);
    rig.bring_up(&one);
    assert_eq!(rig.told(), [(1, Event::Up), (2, Event::Up)]);
    rig.add(3, one, request(50)).unwrap();
    assert_eq!(
        rig.told(),
        [(3, Event::Up)],
        "one that comes later learns how it is"
    );
    rig.remove(2);
    assert_eq!(rig.state(&one), Some(State::Up));
    rig.pass(SECOND * 4);
    let down = Event::Down(DownReason::DetectionTimeExpired);
    assert_eq!(rig.told(), [(1, down), (3, down)]);
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
        least_ttl: 200,
    };
    let all = of(&[passive.clone(), make(50, 3)]);
    assert_eq!(
        (all.parameters.role, all.is_held_down, all.least_ttl),
        (Role::Active, false, 200)
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
    rig.add(1, one, request(50)).unwrap();
    rig.bring_up(&one);
    rig.told();
    rig.change(1, request(10)).unwrap();
    rig.add(2, one, request(5)).unwrap();
    rig.remove(2);
    rig.change(7, request(10)).unwrap();
    assert_eq!(
        (rig.told(), rig.state(&one)),
        (vec![(2, Event::Up)], Some(State::Up))
    );
}

#[test]
fn a_session_without_users_says_admin_down_for_a_detection_time_and_ends() {
    let mut rig = Rig::new();
    let one = key("10.0.0.2");
    rig.add(1, one, request(50)).unwrap();
    rig.bring_up(&one);
    rig.out.clear();
    rig.remove(1);
    rig.pass(Duration::from_millis(2999));
    let states = |out: &Actions| -> Vec<State> {
        let state = |action: &Action| match action {
            Action::Send(_, datagram) => Some(decode(datagram.octets()).unwrap().packet.state),
            Action::Open(..) | Action::SendEcho(..) | Action::Close(_) | Action::Notify(_) => None,
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
    rig.add(1, one, request(50)).unwrap();
    assert!(
        rig.out.contains(&Action::Open(Slot(0), one)),
        "its place is used again"
    );
    rig.remove(1);
    rig.pass(SECOND);
    rig.add(2, one, request(50)).unwrap();
    rig.pass(SECOND * 10);
    assert_eq!(rig.state(&one), Some(State::Down));
}

#[test]
fn a_session_is_held_down_while_all_of_its_users_want_that() {
    let mut rig = Rig::new();
    let one = key("10.0.0.2");
    rig.add(1, one, request(50)).unwrap();
    rig.bring_up(&one);
    rig.told();
    let held = Request {
        is_held_down: true,
        ..request(50)
    };
    rig.add(2, one, held.clone()).unwrap();
    assert_eq!(rig.state(&one), Some(State::Up));
    rig.told();
    rig.change(1, held).unwrap();
    let down = Event::Down(DownReason::AdminDown);
    assert_eq!(rig.told(), [(2, down), (1, down)]);
    rig.change(2, request(50)).unwrap();
    assert_eq!(rig.state(&one), Some(State::Down));
}

#[test]
fn requests_that_cannot_be_fulfilled_change_nothing() {
    let auth = |kind| {
        let authentication = Authentication::new(kind, vec![Key::new(1, b"x").unwrap()], 1);
        Request::new(Parameters {
            authentication: Some(Arc::new(authentication.unwrap())),
            ..parameters(50, 3)
        })
    };
    let mut rig = Rig::new();
    let one = key("10.0.0.2");
    let echo = Request::new(Parameters {
        echo_tx: Some(Interval::SLOW),
        ..parameters(50, 3)
    });
    let far = SessionKey {
        hops: Hops::Multi,
        ..one
    };
    let no_interface = SessionKey {
        interface: None,
        ..key("fe80::2")
    };
    let mixed = SessionKey {
        remote: "fe80::2".parse().unwrap(),
        ..one
    };
    assert_eq!(rig.add(1, far, echo), Err(RequestError::MultihopEcho));
    assert_eq!(
        rig.add(1, no_interface, request(50)),
        Err(RequestError::NoInterface)
    );
    assert_eq!(rig.add(1, mixed, request(50)), Err(RequestError::Families));
    assert_eq!((rig.sessions.iter().count(), &rig.out), (0, &vec![]));
    rig.add(1, one, auth(Kind::Keyed)).unwrap();
    assert_eq!(
        rig.add(2, one, request(50)),
        Err(RequestError::Authentication)
    );
    assert_eq!(
        rig.add(2, one, auth(Kind::Meticulous)),
        Err(RequestError::Authentication)
    );
    rig.add(2, one, auth(Kind::Keyed)).unwrap();
    rig.change(1, auth(Kind::Meticulous)).unwrap_err();
    rig.remove(2);
    rig.change(1, auth(Kind::Meticulous)).unwrap();
    assert_eq!(
        rig.sessions.iter().next().map(|view| view.users.len()),
        Some(1)
    );
}

#[test]
fn a_local_failure_takes_down_what_uses_the_interface() {
    let mut rig = Rig::new();
    let (one, two) = (
        key("10.0.0.2"),
        SessionKey {
            interface: NonZeroU32::new(3),
            ..key("10.0.0.3")
        },
    );
    rig.add(1, one, request(50)).unwrap();
    rig.add(2, two, request(50)).unwrap();
    rig.bring_up(&one);
    rig.bring_up(&two);
    rig.told();
    rig.sessions.fail(
        rig.now,
        NonZeroU32::new(3),
        LocalFailure::Path,
        &mut rig.out,
    );
    assert_eq!(
        rig.told(),
        [(2, Event::Down(DownReason::Local(LocalFailure::Path)))]
    );
    rig.sessions.fail(
        rig.now,
        None,
        LocalFailure::ForwardingPlaneReset,
        &mut rig.out,
    );
    let reset = Event::Down(DownReason::Local(LocalFailure::ForwardingPlaneReset));
    assert_eq!(rig.told(), [(1, reset)]);
}
