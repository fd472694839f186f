//! Which session a packet belongs to, who shares one, and floods.

#![allow(clippy::unwrap_used)]

use std::num::NonZeroU8;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::auth::{Authentication, Key, Kind};
use crate::packet::{ControlPacket, Diagnostic, Discard, Interval, Sequence, decode};
use crate::session::{Parameters, Role};

const SECOND: Duration = Duration::from_secs(1);

fn parameters(millis: u32, mult: u8) -> Parameters {
    Parameters::new(Interval::from_millis(millis), NonZeroU8::new(mult).unwrap())
}

fn request(millis: u32) -> Request {
    Request::new(parameters(millis, 3))
}

fn key(remote: &str) -> SessionKey {
    let remote: std::net::IpAddr = remote.parse().unwrap();
    SessionKey {
        local: if remote.is_ipv4() {
            "10.0.0.1"
        } else {
            "fe80::1"
        }
        .parse()
        .unwrap(),
        remote,
        interface: NonZeroU32::new(2),
        hops: Hops::Single,
    }
}

fn arrival(key: &SessionKey) -> Arrival {
    Arrival {
        local: key.local,
        remote: key.remote,
        interface: key.interface,
        ttl: 255,
        hops: key.hops,
    }
}

struct Rig {
    sessions: Sessions,
    now: Instant,
    out: Actions,
}

impl Rig {
    fn new() -> Self {
        Self {
            sessions: Sessions::new(Random::from_number(1)),
            now: Instant::now(),
            out: Actions::new(),
        }
    }

    fn add(&mut self, user: u64, key: SessionKey, request: Request) -> Result<(), RequestError> {
        self.sessions
            .add(self.now, UserId(user), key, request, &mut self.out)
    }

    fn change(&mut self, user: u64, request: Request) -> Result<(), RequestError> {
        self.sessions
            .change(self.now, UserId(user), request, &mut self.out)
    }

    fn remove(&mut self, user: u64) {
        self.sessions.remove(self.now, UserId(user), &mut self.out);
    }

    fn receive(&mut self, arrival: &Arrival, packet: &ControlPacket) {
        let now = self.now;
        self.sessions
            .receive(now, arrival, &packet.encode(), &mut self.out);
    }

    fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(at) = self.sessions.deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.sessions.expire(self.now, &mut self.out);
        }
        self.now = end;
    }

    fn state(&self, key: &SessionKey) -> Option<State> {
        let found = self.sessions.iter().find(|(other, ..)| *other == key);
        found.map(|(_, session, ..)| session.state())
    }

    fn discriminator(&self, key: &SessionKey) -> Option<Discriminator> {
        let found = self.sessions.iter().find(|(other, ..)| *other == key);
        found.map(|(_, session, ..)| session.discriminator())
    }

    fn discarded(&self) -> Vec<(Discard, u64)> {
        let discards = self.sessions.discards().iter();
        discards.filter(|(_, count)| *count > 0).collect()
    }

    /// What users were told since the last look, `Changed` left out.
    fn told(&mut self) -> Vec<(u64, Event)> {
        let told = |action| match action {
            Action::Notify(notice) => Some((notice.user.0, notice.event)),
            _ => None,
        };
        let told = std::mem::take(&mut self.out).into_iter().filter_map(told);
        told.filter(|(_, event)| *event != Event::Changed).collect()
    }

    fn bring_up(&mut self, key: &SessionKey) {
        for state in [State::Down, State::Init] {
            self.receive(&arrival(key), &packet(state, self.discriminator(key)));
        }
        assert_eq!(self.state(key), Some(State::Up));
    }
}

fn packet(state: State, yours: Option<Discriminator>) -> ControlPacket {
    ControlPacket {
        diagnostic: Diagnostic::NONE,
        state,
        sequence: Sequence::None,
        is_control_plane_independent: false,
        is_demand: false,
        detect_mult: NonZeroU8::new(3).unwrap(),
        my_discriminator: Discriminator::new(4711).unwrap(),
        your_discriminator: yours,
        desired_min_tx: Interval::SLOW,
        required_min_rx: Some(Interval::from_millis(20)),
        required_min_echo_rx: None,
    }
}

#[test]
fn your_discriminator_selects_the_session_and_nothing_else_does() {
    let mut rig = Rig::new();
    let (one, two) = (key("10.0.0.2"), key("10.0.0.3"));
    rig.add(1, one, request(50)).unwrap();
    rig.add(2, two, request(50)).unwrap();
    // From the address of one, over another interface, with the discriminator of two.
    let from_one = Arrival {
        interface: NonZeroU32::new(9),
        ..arrival(&one)
    };
    let yours = rig.discriminator(&two);
    rig.receive(&from_one, &packet(State::Down, yours));
    assert_eq!(
        (rig.state(&one), rig.state(&two)),
        (Some(State::Down), Some(State::Init))
    );
    rig.receive(
        &arrival(&one),
        &packet(State::Down, Discriminator::new(12345)),
    );
    assert_eq!(rig.discarded(), [(Discard::UnknownDiscriminator, 1)]);
}

#[test]
fn a_first_packet_is_matched_by_addresses_and_interface() {
    let mut rig = Rig::new();
    let (bound, link_local) = (key("10.0.0.2"), key("fe80::2"));
    let unbound = SessionKey {
        interface: None,
        ..key("10.0.0.3")
    };
    let other_link = SessionKey {
        interface: NonZeroU32::new(3),
        ..link_local
    };
    for (user, key) in [(1, bound), (2, link_local), (3, unbound), (4, other_link)] {
        rig.add(user, key, request(50)).unwrap();
    }
    let first = packet(State::Down, None);
    rig.receive(
        &Arrival {
            interface: NonZeroU32::new(3),
            ..arrival(&bound)
        },
        &first,
    );
    rig.receive(
        &Arrival {
            local: "10.0.0.9".parse().unwrap(),
            ..arrival(&bound)
        },
        &first,
    );
    rig.receive(&arrival(&key("10.0.0.4")), &first);
    assert_eq!(rig.discarded(), [(Discard::UnknownAddresses, 3)]);
    rig.receive(&arrival(&bound), &first);
    rig.receive(
        &Arrival {
            interface: NonZeroU32::new(8),
            ..arrival(&unbound)
        },
        &first,
    );
    rig.receive(&arrival(&other_link), &first);
    let states = [bound, link_local, unbound, other_link].map(|key| rig.state(&key).unwrap());
    assert_eq!(states, [State::Init, State::Down, State::Init, State::Init]);
}

#[test]
fn a_packet_of_init_or_up_needs_your_discriminator() {
    let mut rig = Rig::new();
    let one = key("10.0.0.2");
    rig.add(1, one, request(50)).unwrap();
    rig.receive(&arrival(&one), &packet(State::Init, None));
    rig.receive(&arrival(&one), &packet(State::Up, None));
    assert_eq!(rig.discarded(), [(Discard::YourDiscriminatorZero, 2)]);
    rig.receive(&arrival(&one), &packet(State::AdminDown, None));
    rig.receive(&arrival(&one), &packet(State::Down, None));
    assert_eq!(rig.state(&one), Some(State::Init));
}

#[test]
fn packets_from_farther_away_are_discarded() {
    let mut rig = Rig::new();
    let near = key("10.0.0.2");
    let far = SessionKey {
        interface: None,
        hops: Hops::Multi,
        ..key("10.9.9.9")
    };
    rig.add(1, near, request(50)).unwrap();
    rig.add(
        2,
        far,
        Request {
            least_ttl: 253,
            ..request(50)
        },
    )
    .unwrap();
    let first = packet(State::Down, None);
    rig.receive(
        &Arrival {
            ttl: 254,
            ..arrival(&near)
        },
        &first,
    );
    rig.receive(
        &Arrival {
            ttl: 252,
            ..arrival(&far)
        },
        &first,
    );
    rig.receive(
        &Arrival {
            ttl: 0,
            ..arrival(&far)
        },
        &first,
    );
    assert_eq!(rig.discarded(), [(Discard::TtlTooLow, 3)]);
    rig.receive(
        &Arrival {
            ttl: 253,
            ..arrival(&far)
        },
        &first,
    );
    assert_eq!(
        (rig.state(&near), rig.state(&far)),
        (Some(State::Down), Some(State::Init))
    );
    // By the port of the other kind.
    let yours = rig.discriminator(&far);
    rig.receive(&arrival(&near), &packet(State::Init, yours));
    assert_eq!(rig.sessions.discards().of(Discard::WrongPort), 1);
}

#[test]
fn discriminators_are_unique_unpredictable_and_never_zero() {
    let draw = |seed| -> Vec<u32> {
        let mut rig = Rig {
            sessions: Sessions::new(Random::from_number(seed)),
            ..Rig::new()
        };
        for host in 0..250_u32 {
            rig.add(host.into(), key(&format!("10.0.0.{host}")), request(50))
                .unwrap();
        }
        let discriminators = rig.sessions.iter();
        discriminators
            .map(|(_, session, ..)| session.discriminator().number())
            .collect()
    };
    let (mut drawn, others) = (draw(1), draw(2));
    assert_eq!(
        drawn
            .iter()
            .filter(|number| others.contains(number))
            .count(),
        0
    );
    drawn.sort_unstable();
    drawn.dedup();
    assert_eq!(drawn.len(), 250);
    assert!(!drawn.contains(&0));
}

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
        rig.sessions.iter().next().map(|(.., users)| users.count()),
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

#[test]
fn echo_packets_go_to_the_session_of_their_discriminator() {
    let mut rig = Rig::new();
    let one = key("10.0.0.2");
    let echo = Request::new(Parameters {
        echo_tx: Some(Interval::from_millis(20)),
        ..parameters(50, 3)
    });
    rig.add(1, one, echo).unwrap();
    rig.bring_up(&one);
    let yours = rig.discriminator(&one);
    let returns = ControlPacket {
        required_min_echo_rx: Some(Interval::from_millis(10)),
        ..packet(State::Up, yours)
    };
    rig.receive(&arrival(&one), &returns);
    let sent: Vec<EchoPacket> = rig
        .out
        .iter()
        .filter_map(|action| match action {
            Action::SendEcho(Slot(0), packet) => Some(*packet),
            _ => None,
        })
        .collect();
    let [echo] = sent[..] else { panic!("{sent:?}") };
    let stranger = EchoPacket {
        discriminator: 1,
        ..echo
    };
    for payload in [&stranger.encode()[..], &[1, 2, 3], &echo.encode()] {
        rig.sessions.receive_echo(rig.now, payload, &mut rig.out);
    }
    assert_eq!(rig.discarded(), [(Discard::Echo, 2)]);
}

/// Forged packets of every kind that can be made without seeing those of the session.
#[test]
fn a_flood_of_forged_packets_brings_nothing_down_and_costs_nothing() {
    let mut rig = Rig::new();
    let keys: Vec<SessionKey> = (2..34).map(|host| key(&format!("10.0.0.{host}"))).collect();
    for (user, key) in (0..).zip(&keys) {
        rig.add(user, *key, request(50)).unwrap();
        rig.bring_up(key);
    }
    rig.told();
    let (deadline, mut random) = (rig.sessions.deadline(), Random::from_number(99));
    let capacity = rig.out.capacity();
    for count in 0..100_000_usize {
        let near = arrival(&keys[count % keys.len()]);
        let afar = Arrival { ttl: 254, ..near };
        let guess = Discriminator::new(random.number());
        match count % 4 {
            0 => rig.receive(&near, &packet(State::Down, guess)),
            1 => rig.receive(&near, &packet(State::Up, None)),
            2 => rig.receive(&afar, &packet(State::Down, None).poll()),
            _ => {
                let mut octets = packet(State::Down, guess).encode();
                octets[count % 4] ^= 0x41;
                rig.sessions.receive(rig.now, &near, &octets, &mut rig.out);
            }
        }
    }
    assert_eq!(
        (rig.out.len(), rig.out.capacity()),
        (0, capacity),
        "nothing is answered"
    );
    assert!(keys.iter().all(|key| rig.state(key) == Some(State::Up)));
    assert_eq!(rig.sessions.deadline(), deadline, "no timer was moved");
    let total: u64 = rig.discarded().iter().map(|(_, count)| count).sum();
    assert_eq!(total, 100_000, "{:?}", rig.discarded());
    assert_eq!(rig.sessions.discards().of(Discard::TtlTooLow), 25_000);
}

impl ControlPacket {
    fn poll(self) -> Self {
        Self {
            sequence: Sequence::Poll,
            ..self
        }
    }
}
