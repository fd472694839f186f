//! Sequences of inputs to the state machine of a peer, with a model that knows only what no sequence may violate.

mod values;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use self::values::{bfd, cease, config, notification, open, router, stop};
use super::Octets;
use crate::fsm::{ConnectionId, Down, Input, Output, Outputs, Peer, Received, State, Stop};
use crate::types::Asn;
use crate::wire::{Notification, NotificationCode};

const OWN: Asn = Asn(65001);
const OTHER: Asn = Asn(65002);
/// Inputs of one run: past this nothing new is found.
const MAX_STEPS: usize = 1000;
/// No wait of a peer that can be reached is longer.
const PATIENCE: Duration = Duration::from_secs(2 * 3600);

/// Any sequence of inputs: nothing follows `Down`, a NOTIFICATION is the last of its connection and the right one for the
/// reason, at most one session and two connections exist, no timer fires for ever or outlives its connection, nothing
/// is left after a stop, and a peer that behaves gets its session afterwards.
pub fn machine(data: &[u8]) {
    let mut octets = Octets(data);
    let mut world = World::new(&mut octets);
    for _ in 0..MAX_STEPS {
        if octets.is_empty() {
            break;
        }
        world.step(&mut octets);
    }
    world.ends();
    world.is_met_again();
}

/// Where a connection is, by what was put out.
#[derive(Clone, Debug, PartialEq)]
enum Stage {
    Connecting,
    Aborted,
    /// TCP is up; nothing was sent.
    Up,
    OpenSent,
    KeepaliveSent,
    Established,
    /// Closed, with this NOTIFICATION; its end is not reported yet.
    Closed {
        established: bool,
        last: Option<Notification>,
    },
    Over,
}

struct World {
    now: Instant,
    peer: Peer,
    stages: BTreeMap<ConnectionId, Stage>,
    running: bool,
}

impl World {
    fn new(octets: &mut Octets<'_>) -> Self {
        let now = Instant::now();
        let restarting = octets.flag().then(|| now + Duration::from_secs(120));
        Self {
            now,
            peer: Peer::new(config(octets), restarting),
            stages: BTreeMap::new(),
            running: false,
        }
    }

    fn step(&mut self, octets: &mut Octets<'_>) {
        match octets.below(16) {
            0 => self.handle(Input::Start),
            1 => self.handle(Input::Stop(stop(octets))),
            2 => self.handle(Input::Reset(cease(octets))),
            3 => self.handle(Input::Reconfigure(Box::new(config(octets)))),
            4 => {
                let id = self.connecting().unwrap_or_else(|| self.any(octets));
                self.handle(Input::Connected(id));
            }
            5 => {
                let id = self.any(octets);
                self.handle(Input::ConnectFailed(id));
            }
            6 => self.handle(Input::Accepted),
            7 | 8 => {
                let open = open(octets);
                let id = self.any(octets);
                self.handle(Input::Received(id, Received::Open(&open)));
            }
            9 | 10 => {
                let id = self.any(octets);
                self.handle(Input::Received(id, Received::Keepalive));
            }
            11 => {
                let id = self.any(octets);
                let message = notification(octets);
                self.handle(Input::Received(
                    id,
                    match octets.below(4) {
                        0 => Received::Update,
                        1 => Received::RouteRefresh,
                        2 => Received::Notification(&message),
                        _ => Received::Malformed(&message),
                    },
                ));
            }
            12 => {
                let id = self.any(octets);
                let at = self.now - Duration::from_secs(octets.octet().into());
                self.handle(Input::Heard(id, at));
                self.handle(Input::Progressed(id, at));
            }
            13 => {
                let id = self.any(octets);
                self.handle(Input::Closed(id));
            }
            14 if octets.flag() => self.handle(Input::Bfd(bfd(octets))),
            14 => self.fire(),
            _ => {
                // A driver that was held up comes late.
                self.now += Duration::from_millis(u64::from(octets.number()) * 10);
                if self
                    .peer
                    .deadline()
                    .is_some_and(|deadline| deadline.at <= self.now)
                {
                    self.deadline_reached();
                }
            }
        }
    }

    /// One of the latest connections, most often one that is there.
    fn any(&self, octets: &mut Octets<'_>) -> ConnectionId {
        let back = octets.below(4);
        let open = self
            .stages
            .iter()
            .rev()
            .filter(|(_, stage)| **stage != Stage::Over);
        let all = self.stages.keys().rev();
        let found = if octets.flag() {
            all.copied().nth(back)
        } else {
            None
        };
        found
            .or_else(|| open.map(|(id, _)| *id).nth(back & 1))
            .unwrap_or(ConnectionId(u32::MAX))
    }

    fn connecting(&self) -> Option<ConnectionId> {
        self.find(|stage| *stage == Stage::Connecting)
    }

    fn find(&self, is: impl Fn(&Stage) -> bool) -> Option<ConnectionId> {
        self.stages
            .iter()
            .find(|(_, stage)| is(stage))
            .map(|(id, _)| *id)
    }

    fn fire(&mut self) {
        if let Some(deadline) = self.peer.deadline() {
            self.now = self.now.max(deadline.at);
            self.deadline_reached();
        }
    }

    fn deadline_reached(&mut self) {
        self.handle(Input::DeadlineReached);
        let next = self.peer.deadline();
        assert!(
            next.is_none_or(|next| next.at > self.now),
            "{next:?} is still there"
        );
    }

    fn handle(&mut self, input: Input<'_>) {
        self.outputs_of(input);
    }

    /// Gives an input to the machine and checks what it puts out.
    fn outputs_of(&mut self, input: Input<'_>) -> Outputs {
        match &input {
            Input::Start => self.running = true,
            Input::Stop(_) => self.running = false,
            Input::Connected(id) if self.stages.get(id) == Some(&Stage::Connecting) => {
                self.stages.insert(*id, Stage::Up);
            }
            _ => {}
        }
        let accepted = matches!(input, Input::Accepted);
        let mut out = Outputs::new();
        self.peer.handle(self.now, input, &mut out);
        if accepted {
            let first = out.first();
            assert!(
                matches!(first, Some(Output::Accept(_) | Output::Refuse(_))),
                "{first:?} answers a connection"
            );
        }
        for (at, output) in out.iter().enumerate() {
            assert!(
                !matches!(output, Output::Accept(_) | Output::Refuse(_)) || accepted && at == 0,
                "{output:?} where nothing was accepted"
            );
            self.check(output);
        }
        self.check_whole();
        out
    }

    fn check(&mut self, output: &Output) {
        let (id, next) = match output {
            Output::Refuse(_) => return,
            Output::Connect(id) => {
                assert!(
                    self.running && !self.peer.config().passive,
                    "dialled {id:?}"
                );
                (id, Stage::Connecting)
            }
            Output::Accept(id) => (id, Stage::Up),
            Output::AbortConnect(id) => (id, Stage::Aborted),
            Output::SendOpen(id, _) => (id, Stage::OpenSent),
            Output::SendKeepalive(id) => (id, Stage::KeepaliveSent),
            Output::Established(id, _) => (id, Stage::Established),
            Output::Close(id, last) => (
                id,
                Stage::Closed {
                    established: self.stages.get(id) == Some(&Stage::Established),
                    last: last.clone(),
                },
            ),
            Output::Down(id, _) | Output::Failed(id, _) => (id, Stage::Over),
        };
        let before = self.stages.get(id).cloned();
        let next = match (&before, next) {
            (None, next @ (Stage::Connecting | Stage::Up))
            | (Some(Stage::Connecting), next @ Stage::Aborted)
            | (Some(Stage::Up), next @ Stage::OpenSent)
            | (Some(Stage::OpenSent | Stage::KeepaliveSent), next @ Stage::KeepaliveSent)
            | (Some(Stage::KeepaliveSent), next @ Stage::Established)
            | (
                Some(Stage::OpenSent | Stage::KeepaliveSent | Stage::Established),
                next @ Stage::Closed { .. },
            ) => next,
            (Some(Stage::Established), Stage::KeepaliveSent) => Stage::Established,
            (Some(Stage::Connecting | Stage::Aborted), Stage::Over) => {
                assert!(
                    matches!(output, Output::Failed(..)),
                    "{output:?} of an attempt"
                );
                Stage::Over
            }
            (Some(Stage::Closed { established, last }), Stage::Over) => {
                match output {
                    Output::Down(_, reason) => {
                        assert!(established, "{output:?} without Established");
                        farewell_fits(reason, last.as_ref());
                    }
                    Output::Failed(_, reason) => {
                        assert!(!established, "a session must end with Down: {output:?}");
                        farewell_fits(reason, last.as_ref());
                    }
                    other => panic!("{other:?}"),
                }
                Stage::Over
            }
            (before, _) => panic!("{output:?} of a connection that is {before:?}"),
        };
        self.stages.insert(*id, next);
    }

    /// What holds between two inputs.
    fn check_whole(&self) {
        let count = |is: fn(&Stage) -> bool| self.stages.values().filter(|s| is(s)).count();
        assert_eq!(
            count(|s| matches!(s, Stage::Closed { .. })),
            0,
            "closed without an end"
        );
        assert_eq!(count(|s| *s == Stage::Up), 0, "up without an OPEN");
        assert!(
            count(|s| *s == Stage::Connecting) <= 1,
            "dialled twice at once"
        );
        let sessions = count(|s| *s == Stage::Established);
        let open = count(|s| matches!(s, Stage::OpenSent | Stage::KeepaliveSent));
        assert!(
            sessions <= 1 && open + sessions <= 2,
            "{sessions} sessions, {open} others"
        );
        assert_eq!(self.peer.state() == State::Established, sessions == 1);
        assert_eq!(self.peer.negotiated().is_some(), sessions == 1);
        let deadline = self.peer.deadline();
        if let Some(id) = deadline.and_then(|deadline| deadline.connection) {
            let stage = &self.stages[&id];
            assert!(
                matches!(
                    stage,
                    Stage::OpenSent | Stage::KeepaliveSent | Stage::Established
                ),
                "a timer of a connection that is {stage:?}"
            );
        }
        if !self.running {
            assert_eq!((self.peer.state(), deadline), (State::Idle, None));
        } else if sessions == 0 && !self.peer.config().passive || open > 0 {
            assert!(
                deadline.is_some(),
                "nothing will ever happen: {:?}",
                self.peer
            );
        }
    }

    /// After a stop nothing is left, and nothing is accepted.
    fn ends(&mut self) {
        self.handle(Input::Stop(Stop::Silent));
        let left = self.find(|stage| !matches!(stage, Stage::Over | Stage::Aborted));
        assert_eq!(left, None);
        let out = self.outputs_of(Input::Accepted);
        assert!(matches!(out[..], [Output::Refuse(_)]), "{out:?}");
    }

    /// A router that behaves and that can be reached gets a session, whatever was before.
    fn is_met_again(&mut self) {
        let router = router(self.peer.config());
        let end = self.now + PATIENCE;
        let mut out = self.outputs_of(Input::Start);
        while self.peer.state() != State::Established {
            assert!(self.now < end, "no session: {:?}", self.peer);
            let mut next = Outputs::new();
            for output in out.drain(..) {
                match output {
                    Output::Connect(id) => next.extend(self.outputs_of(Input::Connected(id))),
                    Output::SendOpen(id, _) => {
                        next.extend(self.outputs_of(Input::Received(id, Received::Open(&router))));
                    }
                    Output::SendKeepalive(id) => {
                        next.extend(self.outputs_of(Input::Received(id, Received::Keepalive)));
                    }
                    _ => {}
                }
            }
            if next.is_empty() {
                let at = self.peer.deadline().map(|deadline| deadline.at);
                self.now = at
                    .unwrap_or(self.now + Duration::from_secs(1))
                    .max(self.now);
                next = if self.peer.config().passive {
                    self.now += Duration::from_secs(1);
                    self.outputs_of(Input::Accepted)
                } else {
                    self.outputs_of(Input::DeadlineReached)
                };
            }
            out = next;
        }
    }
}

/// The NOTIFICATION at the end of a connection is the one that its reason wants.
fn farewell_fits(reason: &Down, last: Option<&Notification>) {
    match reason {
        Down::NotificationSent(message) => assert_eq!(last, Some(message)),
        Down::HoldTimerExpired(_) => {
            assert_eq!(
                last.map(|last| last.code),
                Some(NotificationCode::HOLD_TIMER_EXPIRED)
            );
        }
        Down::AdministrativeStop(Stop::Cease(_)) => assert!(last.is_some(), "{reason:?}"),
        Down::AdministrativeStop(Stop::Silent)
        | Down::NotificationReceived(_)
        | Down::SendHoldTimerExpired(_)
        | Down::TransportFailed
        | Down::PeerRestarted => assert_eq!(last, None, "{reason:?}"),
    }
}
