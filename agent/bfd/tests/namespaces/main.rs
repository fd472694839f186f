//! Two drivers in two network namespaces with a link between them: real sockets, and packets that are really lost.
//!
//! Needs root, `ip` and `nft`; without them each test says that it is skipped.

#![allow(clippy::unwrap_used)]

mod ends;

use std::net::UdpSocket;
use std::num::NonZeroU8;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ends::{End, two_ends};
use routelet_bfd::auth::{Authentication, Key, Kind};
use routelet_bfd::driver::{Priority, Stop};
use routelet_bfd::packet::{Discard, Interval, State};
use routelet_bfd::session::{DownReason, Parameters};
use routelet_bfd::sessions::{Hops, Request, UserLevel};

const SECOND: Duration = Duration::from_secs(1);
/// Three packets of a slow start, and a machine that has other work.
const SOON: Duration = Duration::from_secs(15);
/// What the threads may need beyond a detection time while other tests run.
const MARGIN: Duration = Duration::from_millis(50);

fn is_lost(level: UserLevel) -> bool {
    matches!(level, UserLevel::Down(_) | UserLevel::RemoteAdminDown)
}

fn every(millis: u32) -> Request {
    let mult = NonZeroU8::new(3).unwrap();
    Request::new(Parameters::new(Interval::from_millis(millis), mult))
}

/// One session between both ends, Up.
fn connect(left: &mut End, right: &mut End, request: &Request) {
    left.add(1, "10.0.0.1", "10.0.0.2", Hops::Single, request);
    right.add(1, "10.0.0.2", "10.0.0.1", Hops::Single, request);
    left.wait(1, SOON, |level| level == UserLevel::Up);
    right.wait(1, SOON, |level| level == UserLevel::Up);
}

#[test]
fn sessions_come_up_over_both_families_near_and_far() {
    two_ends(|left, right| {
        let pairs = [
            ("10.0.0.1", "10.0.0.2", Hops::Single),
            ("2001:db8::1", "2001:db8::2", Hops::Single),
            ("fe80::1", "fe80::2", Hops::Single),
            ("192.0.2.1", "192.0.2.2", Hops::Multi),
            ("2001:db8:1::1", "2001:db8:1::2", Hops::Multi),
        ];
        let mut far = every(50);
        far.least_ttl = NonZeroU8::new(255);
        for (user, (a, b, hops)) in (1..).zip(pairs) {
            left.add(user, a, b, hops, &far);
            right.add(user, b, a, hops, &far);
        }
        for user in 1..=5 {
            left.wait(user, SOON, |level| level == UserLevel::Up);
            right.wait(user, SOON, |level| level == UserLevel::Up);
        }
        std::thread::sleep(SECOND);
        for end in [&*left, right] {
            let status = end.handle.status().unwrap();
            assert_eq!(status.priority, Priority::RealTime);
            assert_eq!(status.ports.len(), 4);
            for session in status.sessions {
                let (transmit, detection) = (
                    session.status.transmit_interval,
                    session.status.detection_time,
                );
                assert_eq!(transmit, Some(Duration::from_millis(50)), "{session:?}");
                assert_eq!(detection, Some(Duration::from_millis(150)));
                assert_eq!((session.unsent, session.send_error), (0, None));
                assert!(session.counters.received > 15 && session.counters.sent > 15);
            }
        }
    });
}

/// The thread has no Echo packets: a session that waited for them would go down.
#[test]
fn echo_packets_are_neither_wanted_nor_promised() {
    two_ends(|left, right| {
        let mut echo = every(50);
        echo.parameters.echo_tx = Some(Interval::from_millis(50));
        echo.parameters.echo_rx = Some(Interval::from_millis(50));
        connect(left, right, &echo);
        std::thread::sleep(SECOND);
        assert_eq!((left.heard(), right.heard()), (vec![], vec![]));
        assert_eq!(
            left.handle.status().unwrap().sessions[0]
                .status
                .echo_interval,
            None
        );
    });
}

#[test]
fn lost_packets_take_the_session_down_within_the_detection_time() {
    two_ends(|left, right| {
        connect(left, right, &every(20));
        std::thread::sleep(SECOND);
        for _ in 0..5 {
            right.drop_packets(true);
            let cut = Instant::now();
            let state = right.wait(1, SOON, is_lost);
            assert_eq!(
                state.state,
                UserLevel::Down(DownReason::DetectionTimeExpired)
            );
            let after = state.last_down.unwrap().at.saturating_duration_since(cut);
            assert!(after <= Duration::from_millis(60) + MARGIN, "{after:?}");
            // The other end is told, since packets are only lost one way.
            let state = left.wait(1, SOON, is_lost);
            assert!(matches!(
                state.state,
                UserLevel::Down(DownReason::NeighborSignaledDown(_))
            ));
            right.drop_packets(false);
            left.wait(1, SOON, |level| level == UserLevel::Up);
            right.wait(1, SOON, |level| level == UserLevel::Up);
            std::thread::sleep(SECOND);
        }
    });
}

#[test]
fn intervals_change_and_keys_rotate_on_a_live_session() {
    let with = |millis, keys: &[u8], sending| {
        let keys = keys
            .iter()
            .map(|id| Key::new(*id, &[*id; 8]).unwrap())
            .collect();
        let authentication = Authentication::new(Kind::Meticulous, keys, sending).unwrap();
        let mut request = every(millis);
        request.parameters.authentication = Some(Arc::new(authentication));
        request
    };
    two_ends(|left, right| {
        connect(left, right, &with(50, &[1], 1));
        let steps = [
            (with(10, &[1, 2], 1), with(10, &[1, 2], 1)),
            (with(300, &[1, 2], 2), with(10, &[1, 2], 2)),
            (with(300, &[2], 2), with(200, &[2], 2)),
        ];
        for (ours, theirs) in steps {
            left.change(1, &ours);
            right.change(1, &theirs);
            std::thread::sleep(SECOND);
        }
        let interval = |end: &End| {
            end.handle.status().unwrap().sessions[0]
                .status
                .transmit_interval
        };
        assert_eq!(interval(left), Some(Duration::from_millis(300)));
        assert_eq!(interval(right), Some(Duration::from_millis(300)));
        assert_eq!(left.heard(), []);
        assert_eq!(right.heard(), []);
    });
}

#[test]
fn an_end_that_stops_is_not_taken_for_a_failure() {
    two_ends(|left, right| {
        connect(left, right, &every(50));
        left.stop(Stop::AdminDown);
        let state = right.wait(1, SOON, is_lost);
        assert_eq!(state.state, UserLevel::RemoteAdminDown);
        assert_eq!(state.status.unwrap().remote_state, State::AdminDown);
    });
}

#[test]
fn a_thread_that_was_held_up_takes_what_waits_before_it_misses_it() {
    two_ends(|left, right| {
        // The left end may be silent for a second, and expects a packet within 60 ms.
        let mut patient = every(20);
        patient.parameters.detect_mult = NonZeroU8::new(50).unwrap();
        left.add(1, "10.0.0.1", "10.0.0.2", Hops::Single, &patient);
        right.add(1, "10.0.0.2", "10.0.0.1", Hops::Single, &every(20));
        for end in [&mut *left, right] {
            end.wait(1, SOON, |level| level == UserLevel::Up);
        }
        std::thread::sleep(SECOND);
        for _ in 0..5 {
            left.stall(Duration::from_millis(200));
            std::thread::sleep(Duration::from_millis(100));
        }
        assert!(left.handle.status().unwrap().worst_lateness > Duration::from_millis(50));
        let lost = |end: &mut End| end.heard().into_iter().any(|state| state.user.number == 1);
        assert_eq!((lost(left), lost(right)), (false, false));
    });
}

/// One that hears only the last of the packets of AdminDown.
#[test]
fn an_end_that_stops_says_so_more_than_once() {
    two_ends(|left, right| {
        connect(left, right, &every(50));
        right.enter(|| {
            ends::run("nft", "add table inet bfd");
            ends::run(
                "nft",
                "add chain inet bfd in { type filter hook input priority 0 ; }",
            );
            // Two upper bits of the second octet behind the UDP header: AdminDown. 52 octets each: two of three.
            ends::run(
                "nft",
                "add rule inet bfd in udp dport 3784 @th,72,2 0 quota until 110 bytes drop",
            );
        });
        left.stop(Stop::AdminDown);
        let state = right.wait(1, SOON, is_lost);
        assert_eq!(state.state, UserLevel::RemoteAdminDown);
    });
}

#[test]
fn packets_from_afar_or_from_guesses_are_counted_and_do_nothing() {
    two_ends(|left, right| {
        connect(left, right, &every(50));
        // Version 1, Down, 3 x 1 s, without Your Discriminator: the other end was restarted, if it were true.
        let mut forged = [0; 24];
        forged[..8].copy_from_slice(&[0x20, 0x40, 3, 24, 1, 2, 3, 4]);
        let mut guess = forged;
        guess[8..12].copy_from_slice(&[9, 9, 9, 9]);
        left.enter(|| {
            let socket = UdpSocket::bind("10.0.0.1:50000").unwrap();
            socket.set_ttl(254).unwrap();
            for _ in 0..5000 {
                let _ = socket.send_to(&forged, "10.0.0.2:3784");
                let _ = socket.send_to(&guess, "10.0.0.2:3784");
            }
        });
        std::thread::sleep(SECOND);
        let status = right.handle.status().unwrap();
        assert!(status.ports[0].dropped > 5000, "{:?}", status.ports);
        assert_eq!(status.discards.of(Discard::TtlTooLow), 0, "in the kernel");
        // From the link itself: the thread takes them in, and keeps its intervals.
        left.enter(|| {
            let socket = UdpSocket::bind("10.0.0.1:50001").unwrap();
            socket.set_ttl(255).unwrap();
            let end = Instant::now() + SECOND * 2;
            while Instant::now() < end {
                let _ = socket.send_to(&forged, "10.0.0.2:3784");
                let _ = socket.send_to(&guess, "10.0.0.2:3784");
            }
        });
        let discards = right.handle.status().unwrap().discards;
        assert!(
            discards.of(Discard::OtherDiscriminator) > 1000,
            "{discards:?}"
        );
        assert!(discards.of(Discard::UnknownDiscriminator) > 1000);
        assert_eq!((left.heard(), right.heard()), (vec![], vec![]));
    });
}

#[test]
fn a_port_or_an_address_that_is_not_there_yet_is_tried_again() {
    two_ends(|left, right| {
        let other = left.enter(|| UdpSocket::bind("0.0.0.0:3784").unwrap());
        left.add(1, "10.0.0.9", "10.0.0.2", Hops::Single, &every(50));
        right.add(1, "10.0.0.2", "10.0.0.9", Hops::Single, &every(50));
        std::thread::sleep(Duration::from_millis(1500));
        let status = left.handle.status().unwrap();
        assert_eq!(status.ports[0].error, Some(std::io::ErrorKind::AddrInUse));
        let session = &status.sessions[0];
        assert_eq!(
            session.send_error,
            Some(std::io::ErrorKind::AddrNotAvailable)
        );
        assert!(session.unsent > 0);
        let reported = left.heard().last().and_then(|state| state.send_error);
        assert_eq!(reported, session.send_error, "once, not for each packet");
        drop(other);
        left.ip("addr add 10.0.0.9/24 dev eth0");
        left.wait(1, SOON, |level| level == UserLevel::Up);
    });
}

#[test]
fn thirty_sessions_keep_their_intervals_and_a_removed_one_ends() {
    two_ends(|left, right| {
        for host in 1..=30_u64 {
            let (a, b) = (format!("10.0.1.{host}"), format!("10.0.2.{host}"));
            left.ip(&format!("addr add {a}/16 dev eth0"));
            right.ip(&format!("addr add {b}/16 dev eth0"));
            left.add(host, &a, &b, Hops::Single, &every(20));
            right.add(host, &b, &a, Hops::Single, &every(20));
        }
        for host in 1..=30 {
            left.wait(host, SOON, |level| level == UserLevel::Up);
            right.wait(host, SOON, |level| level == UserLevel::Up);
        }
        std::thread::sleep(SECOND * 3);
        assert_eq!((left.heard(), right.heard()), (vec![], vec![]));
        left.remove(7);
        let state = right.wait(7, SOON, is_lost);
        assert_eq!(state.state, UserLevel::RemoteAdminDown);
        let states = right.handle.status().unwrap().sessions;
        assert_eq!(
            states
                .iter()
                .filter(|s| s.status.state == State::Up)
                .count(),
            29
        );
        std::thread::sleep(SECOND * 4);
        assert_eq!(left.handle.status().unwrap().sessions.len(), 29);
    });
}
