//! The table of `facade::convergence`, row by row, second by second.

use bgp::fsm::Down;
use bgp::wire::Update;

use super::*;
use crate::facade::Expected;

/// Who is waited for: an external peer.
const OTHER: usize = 0;
/// Whoever connects out of a listen range.
const STRANGER: usize = 2;
/// A client, to which learned routes are sent. It comes up at once and says that it has nothing.
const CLIENT: usize = 4;
/// An external peer that hears of this node's own routes alone.
const LEAF: usize = 1;

const GRACEFUL: SessionKind = SessionKind {
    graceful: true,
    ..PLAIN
};

const RESTARTING: SessionKind = SessionKind {
    restarting: true,
    ..GRACEFUL
};

#[derive(Clone, Copy, Debug)]
enum Step {
    Up(SessionKind),
    Down,
    Update,
    End,
    Expect(Expected),
    /// Somebody connects, and has no session.
    Stranger,
    StrangerUp,
    StrangerDown,
}

struct Case {
    name: &'static str,
    /// Whether there are the peers above; otherwise none.
    peers: bool,
    /// By second.
    steps: Vec<(u64, Step)>,
    /// When convergence is told.
    converges: u64,
    /// When the client is sent End-of-RIB.
    ends: Option<u64>,
}

struct Started {
    rib: Rib,
    heard: Heard,
    now: Instant,
}

impl Started {
    fn new(peers: &[usize]) -> Self {
        let mut rib = Rib::new(crate::RibConfig::new(OWN, ROUTER_ID));
        for number in peers {
            rib.set_peer(PeerId(*number as u32), peer_config(*number));
        }
        let now = Instant::now();
        let heard = Heard::default();
        Self { rib, heard, now }
    }

    fn up(&mut self, number: usize, kind: SessionKind) {
        let session = session(number, kind);
        self.rib
            .session_up(PeerId(number as u32), session, self.now);
    }

    fn end(&mut self, number: usize) {
        for family in Family::ALL {
            let update = Update {
                end_of_rib: Some(family),
                ..Update::default()
            };
            self.rib.updates(PeerId(number as u32), &(&update).into());
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Up(kind) => self.up(OTHER, kind),
            Step::Down => {
                let down = Down::TransportFailed;
                self.rib.session_down(PeerId(OTHER as u32), &down, self.now);
            }
            Step::Update => {
                let update = Update::default();
                self.rib.updates(PeerId(OTHER as u32), &(&update).into());
            }
            Step::End => self.end(OTHER),
            Step::Expect(expected) => self.rib.expect(expected, true),
            Step::Stranger => {
                let stranger = PeerId(STRANGER as u32);
                self.rib.set_peer(stranger, peer_config(STRANGER));
                self.rib.set_unexpected(stranger);
            }
            Step::StrangerUp => self.up(STRANGER, GRACEFUL),
            Step::StrangerDown => {
                let down = Down::TransportFailed;
                self.rib
                    .session_down(PeerId(STRANGER as u32), &down, self.now);
            }
        }
    }

    fn work(&mut self) {
        while self.rib.poll(self.now, 100, &mut self.heard) {}
        while self.rib.take_fib_changes(100, |_, _| {}) == 100 {}
    }

    fn has_ended(&self, number: usize) -> bool {
        let sent = |family| self.rib.end_of_rib(PeerId(number as u32), family).1;
        Family::ALL.into_iter().all(sent)
    }
}

fn case(name: &'static str, steps: &[(u64, Step)], converges: u64, ends: u64) -> Case {
    Case {
        name,
        peers: true,
        steps: steps.to_vec(),
        converges,
        ends: Some(ends),
    }
}

fn alone(name: &'static str, steps: &[(u64, Step)], converges: u64) -> Case {
    Case {
        name,
        peers: false,
        steps: steps.to_vec(),
        converges,
        ends: None,
    }
}

fn cases() -> Vec<Case> {
    let mut cases = of_configured_peers();
    cases.extend(with_others());
    cases
}

fn of_configured_peers() -> Vec<Case> {
    use Step::{Down, End, Up, Update};
    let chatty: Vec<(u64, Step)> = (2..300).map(|second| (second, Update)).collect();
    let chatty = [vec![(1, Up(PLAIN))], chatty].concat();
    vec![
        case("End-of-RIB", &[(1, Up(GRACEFUL)), (3, End)], 3, 3),
        case(
            "End-of-RIB that never comes",
            &[(2, Up(GRACEFUL))],
            122,
            120,
        ),
        case("both restart", &[(2, Up(RESTARTING)), (40, End)], 40, 7),
        case("no graceful restart, no route", &[(1, Up(PLAIN))], 6, 6),
        case(
            "no graceful restart, a dump",
            &[(1, Up(PLAIN)), (2, Update), (4, Update), (20, Update)],
            9,
            9,
        ),
        case(
            "no graceful restart, and End-of-RIB all the same",
            &[(1, Up(PLAIN)), (2, End)],
            2,
            2,
        ),
        case("no graceful restart, never quiet", &chatty, 121, 120),
        case("down, or blocked", &[], 120, 120),
        case(
            "late, without End-of-RIB",
            &[(100, Up(GRACEFUL)), (110, Down), (119, Up(GRACEFUL))],
            239,
            120,
        ),
        case(
            "over and over",
            &[(119, Up(GRACEFUL)), (200, Down), (200, Up(GRACEFUL))],
            240,
            120,
        ),
    ]
}

/// With peers that nobody configured one by one.
fn with_others() -> Vec<Case> {
    use Expected::{Nobody, Perhaps, Returning};
    use Step::{End, Expect, Stranger, StrangerDown, StrangerUp, Up};
    vec![
        case(
            "up in time, and maybe others",
            &[(0, Expect(Perhaps)), (0, Up(GRACEFUL)), (1, End)],
            1,
            30,
        ),
        case(
            "up in time, and others that were there",
            &[(0, Expect(Returning)), (0, Up(GRACEFUL)), (1, End)],
            120,
            120,
        ),
        case(
            "others come back",
            &[
                (0, Expect(Returning)),
                (0, Up(GRACEFUL)),
                (1, End),
                (4, Expect(Nobody)),
            ],
            4,
            4,
        ),
        case(
            "a stranger connects",
            &[(0, Stranger), (1, Up(GRACEFUL)), (3, End)],
            3,
            3,
        ),
        alone(
            "a stranger, and others that were there",
            &[(0, Expect(Returning)), (1, Stranger), (2, Expect(Nobody))],
            2,
        ),
        // Once it had a session, it is a peer like any other.
        alone(
            "one of a range comes up, and goes",
            &[
                (0, Expect(Returning)),
                (0, Stranger),
                (1, StrangerUp),
                (2, Expect(Nobody)),
                (3, StrangerDown),
            ],
            120,
        ),
        alone("nobody", &[], 0),
        alone("maybe others", &[(0, Expect(Perhaps))], 0),
        alone("others that were there", &[(0, Expect(Returning))], 120),
        alone(
            "others are back",
            &[(0, Expect(Returning)), (2, Expect(Nobody))],
            2,
        ),
    ]
}

#[test]
fn rfc4724_4_1_convergence_and_end_of_rib_wait_as_the_table_says() {
    for case in cases() {
        let peers: &[usize] = if case.peers {
            &[OTHER, CLIENT, LEAF]
        } else {
            &[]
        };
        let mut started = Started::new(peers);
        let begin = started.now;
        started.rib.open_gate(begin);
        if case.peers {
            started.up(CLIENT, GRACEFUL);
            started.end(CLIENT);
            started.up(LEAF, GRACEFUL);
            started.end(LEAF);
        }
        let (mut converged, mut ended) = (None, None);
        let mut next = None;
        for second in 0..300 {
            started.now = begin + Duration::from_secs(second);
            let now = case.steps.iter().filter(|(at, _)| *at == second);
            let steps: Vec<Step> = now.map(|(_, step)| *step).collect();
            steps.iter().for_each(|step| started.step(*step));
            // Whoever polls by the deadlines alone misses nothing.
            if second > 0 && steps.is_empty() && next.is_none_or(|at| started.now < at) {
                continue;
            }
            started.work();
            next = started.rib.deadline();
            assert!(
                next.is_none_or(|at| at > started.now),
                "{}: busy",
                case.name
            );
            if started.rib.converged() {
                converged = converged.or(Some(second));
            }
            if case.peers {
                assert!(started.has_ended(LEAF), "{}: own routes alone", case.name);
                if started.has_ended(CLIENT) {
                    ended = ended.or(Some(second));
                }
            }
        }
        assert_eq!(
            (converged, ended),
            (Some(case.converges), case.ends),
            "{}",
            case.name
        );
    }
}

#[test]
fn end_of_rib_does_not_wait_for_the_peer_that_it_is_sent_to() {
    let mut started = Started::new(&[CLIENT]);
    started.rib.open_gate(started.now);
    started.up(CLIENT, GRACEFUL);
    started.work();
    assert!(started.has_ended(CLIENT) && !started.rib.converged());
}

#[test]
fn what_is_over_does_not_come_back() {
    let mut started = Started::new(&[CLIENT]);
    started.rib.open_gate(started.now);
    started.up(CLIENT, GRACEFUL);
    started.end(CLIENT);
    started.work();
    assert!(started.rib.converged());
    let other = PeerId(OTHER as u32);
    started.rib.set_peer(other, peer_config(OTHER));
    started.rib.expect(Expected::Returning, true);
    started.up(CLIENT, GRACEFUL);
    started.work();
    assert!(started.has_ended(CLIENT) && started.rib.converged());
}
