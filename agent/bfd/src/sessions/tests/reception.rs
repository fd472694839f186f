//! Which session a packet belongs to, and floods.

use super::*;

#[test]
fn your_discriminator_selects_the_session_if_the_packet_came_by_its_path() {
    let mut rig = Rig::new();
    let (one, two) = (key("10.0.0.2"), key("10.0.0.3"));
    rig.set(1, one, request(50));
    rig.set(2, two, request(50));
    let yours = rig.discriminator(&two);
    let elsewhere = [
        arrival(&one),
        Arrival {
            interface: NonZeroU32::new(9),
            ..arrival(&two)
        },
        Arrival {
            local: "10.0.0.9".parse().unwrap(),
            ..arrival(&two)
        },
    ];
    for arrival in elsewhere {
        rig.receive(&arrival, &packet(State::Down, yours));
    }
    assert_eq!(rig.discarded(), [(Discard::OtherPath, 3)]);
    rig.receive(&arrival(&two), &packet(State::Down, yours));
    assert_eq!(
        (rig.state(&one), rig.state(&two)),
        (Some(State::Down), Some(State::Init))
    );
    rig.receive(
        &arrival(&one),
        &packet(State::Down, Discriminator::new(12345)),
    );
    assert_eq!(rig.sessions.discards().of(Discard::UnknownDiscriminator), 1);
}

#[test]
fn a_packet_without_your_discriminator_takes_no_session_of_another_discriminator_down() {
    let mut rig = Rig::new();
    let one = key("10.0.0.2");
    rig.set(1, one, request(50));
    let forged = |state| ControlPacket {
        my_discriminator: Discriminator::new(666).unwrap(),
        ..packet(state, None)
    };
    rig.receive(&arrival(&one), &packet(State::Down, None));
    assert_eq!(rig.state(&one), Some(State::Init));
    rig.receive(&arrival(&one), &forged(State::Down));
    rig.bring_up(&one);
    rig.receive(&arrival(&one), &forged(State::Down));
    rig.receive(&arrival(&one), &forged(State::AdminDown));
    assert_eq!(rig.state(&one), Some(State::Up));
    assert_eq!(rig.discarded(), [(Discard::OtherDiscriminator, 3)]);
    // A remote system that was restarted: heard after the detection time.
    rig.pass(SECOND * 4);
    rig.receive(&arrival(&one), &forged(State::Down));
    assert_eq!(rig.state(&one), Some(State::Init));
    // The remote system that is known may say so without Your Discriminator.
    rig.receive(
        &arrival(&one),
        &ControlPacket {
            my_discriminator: Discriminator::new(666).unwrap(),
            ..packet(State::AdminDown, None)
        },
    );
    assert_eq!(rig.state(&one), Some(State::Down));
}

#[test]
fn a_first_packet_is_matched_by_addresses_and_interface() {
    let mut rig = Rig::new();
    let (bound, link_local) = (key("10.0.0.2"), key("fe80::2"));
    let unbound = SessionKey {
        interface: None,
        hops: Hops::Multi,
        ..key("10.0.0.3")
    };
    let other_link = SessionKey {
        interface: NonZeroU32::new(3),
        ..link_local
    };
    for (user, key) in [(1, bound), (2, link_local), (4, other_link)] {
        rig.set(user, key, request(50));
    }
    let far = Request::multihop(parameters(50, 3), NonZeroU8::MIN);
    rig.set(3, unbound, far);
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
    rig.set(1, one, request(50));
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
    rig.set(1, near, request(50));
    rig.set(
        2,
        far,
        Request::multihop(parameters(50, 3), NonZeroU8::new(253).unwrap()),
    );
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
        for host in 2..252_u32 {
            rig.set(host.into(), key(&format!("10.0.0.{host}")), request(50));
        }
        let discriminators = rig.sessions.iter();
        discriminators
            .map(|view| view.session.discriminator().number())
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
fn what_arrived_before_the_clock_was_read_counts_however_late_it_is_taken_in() {
    let mut rig = Rig::new();
    let one = key("10.0.0.2");
    rig.set(1, one, request(50));
    rig.bring_up(&one);
    let yours = rig.discriminator(&one);
    rig.receive(&arrival(&one), &packet(State::Up, yours));
    // The detection time of 3 s is over while packets are taken in.
    let begun = rig.now + SECOND * 2;
    rig.now += SECOND * 4;
    rig.sessions.transmit(rig.now, &mut rig.out);
    rig.sessions.expire(begun, &mut rig.out);
    assert_eq!(rig.state(&one), Some(State::Up));
    rig.receive(&arrival(&one), &packet(State::Up, yours));
    rig.sessions.expire(rig.now, &mut rig.out);
    assert_eq!(rig.state(&one), Some(State::Up));
}

#[test]
fn packets_that_are_due_about_the_same_time_are_sent_together() {
    let mut rig = Rig::new();
    let keys: Vec<SessionKey> = (2..34).map(|host| key(&format!("10.0.0.{host}"))).collect();
    for (user, key) in (0..).zip(&keys) {
        rig.set(user, *key, request(50));
        rig.bring_up(key);
        let final_packet = ControlPacket {
            sequence: Sequence::Final,
            ..packet(State::Up, rig.discriminator(key))
        };
        rig.receive(&arrival(key), &final_packet);
    }
    rig.out.clear();
    let (mut turns, end) = (0, rig.now + SECOND);
    while let Some(at) = rig.sessions.deadline().filter(|at| *at <= end) {
        rig.sessions.transmit(at, &mut rig.out);
        turns += 1;
    }
    let sent = rig.out.len();
    assert!(sent > 32 * 20 && sent < 32 * 27, "{sent}");
    assert!(turns * 3 < sent * 2, "{turns} turns for {sent} packets");
}

#[test]
fn echo_packets_go_to_the_session_of_their_discriminator() {
    let mut rig = Rig::new();
    let one = key("10.0.0.2");
    let echo = Request::new(Parameters {
        echo_tx: Some(Interval::from_millis(20)),
        ..parameters(50, 3)
    });
    rig.set(1, one, echo);
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
        rig.set(user, *key, request(50));
        rig.bring_up(key);
    }
    rig.reported();
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
