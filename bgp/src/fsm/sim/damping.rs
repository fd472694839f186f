//! A peer that misbehaves for an hour of virtual time: how often it gets an OPEN of ours, and how soon it has a session
//! once it behaves.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use crate::fsm::negotiate::open;
use crate::fsm::{
    Cease, Config, ConnectionId, Input, LimitRestart, Output, Outputs, Peer, PrefixLimit, Received,
    RemoteAsn, State,
};
use crate::types::{Asn, BgpIdentifier, Family};
use crate::wire::{Notification, NotificationCode as Code};

/// How often a peer that dials in a loop tries.
const HAMMER: Duration = Duration::from_millis(100);
const HOUR: Duration = Duration::from_secs(3600);
/// The default of `connect_retry`.
const RETRY: Duration = Duration::from_secs(5);
const LIMIT_RESTART: Duration = Duration::from_secs(300);

/// What the peer does with a connection.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Deed {
    /// What it should.
    Behave,
    /// TCP does not even come up.
    Unreachable,
    /// Closes TCP as soon as it is up.
    Close,
    /// Sends octets that are no OPEN.
    Malformed,
    /// Sends an OPEN that is refused.
    WrongAs,
    /// Sends this NOTIFICATION instead of an OPEN.
    Refuse(Code),
    /// Sends an OPEN, then closes.
    OpenAndClose,
    /// Sends an OPEN, then loses a collision that there is not.
    OpenAndCollide,
    /// Ends the session with this as soon as it is Established.
    Session(Ending),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Ending {
    Close,
    Cease(Code),
    Malformed,
    Prefixes,
}

/// Who dials.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Who {
    We,
    They,
    Both,
}

struct Bench {
    now: Instant,
    begin: Instant,
    peer: Peer,
    who: Who,
    deed: Deed,
    theirs: Option<Instant>,
    opens: usize,
    sessions: usize,
    established: Option<ConnectionId>,
    out: Outputs,
}

impl Bench {
    fn new(config: Config, who: Who, deed: Deed) -> Self {
        let now = Instant::now();
        let mut bench = Self {
            now,
            begin: now,
            peer: Peer::new(config, None),
            who,
            deed,
            theirs: (who != Who::We).then_some(now),
            opens: 0,
            sessions: 0,
            established: None,
            out: Outputs::new(),
        };
        bench.step(Input::Start);
        bench
    }

    fn step(&mut self, input: Input<'_>) {
        let mut out = Outputs::new();
        self.peer.handle(self.now, input, &mut out);
        for output in &out {
            match output {
                Output::SendOpen(..) => self.opens += 1,
                Output::Established(id, _) => {
                    self.sessions += 1;
                    self.established = Some(*id);
                }
                _ => {}
            }
        }
        self.out.extend(out);
        let hold = self.peer.idle_hold().is_some();
        let retry = self.peer.config().connect_retry;
        let next = self.peer.next_attempt();
        assert!(
            hold || next.is_none_or(|at| at <= self.now + retry),
            "the longest wait is connectRetry, unless the peer is held"
        );
        assert!(
            !hold || self.peer.next_attempt().is_none_or(|at| at > self.now),
            "dials while the peer is held"
        );
    }

    /// Until `end`, or a session that the peer lets be.
    fn run(&mut self, end: Instant) {
        loop {
            for output in std::mem::take(&mut self.out) {
                match output {
                    Output::Connect(id)
                        if self.who == Who::They || self.deed == Deed::Unreachable =>
                    {
                        self.step(Input::ConnectFailed(id));
                    }
                    Output::Connect(id) => {
                        self.step(Input::Connected(id));
                        self.misbehave(id);
                    }
                    Output::Accept(id) => self.misbehave(id),
                    _ => {}
                }
            }
            if !self.out.is_empty() {
                continue;
            }
            if self.deed == Deed::Behave && self.peer.state() == State::Established {
                return;
            }
            let timer = self.peer.deadline().map(|deadline| deadline.at);
            let next = timer.into_iter().chain(self.theirs).min();
            let Some(next) = next.filter(|next| *next <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(next);
            if timer == Some(next) {
                self.step(Input::DeadlineReached);
            } else {
                // One that behaves waits a little longer.
                let behaves = self.deed == Deed::Behave;
                let pause = if behaves { HAMMER * 30 } else { HAMMER };
                self.theirs = Some(self.now + pause);
                self.step(Input::Accepted);
            }
        }
    }

    fn received(&mut self, id: ConnectionId, message: Received<'_>) {
        self.step(Input::Received(id, message));
    }

    fn notification(&mut self, id: ConnectionId, code: Code) {
        let message = Notification::new(code);
        self.received(id, Received::Notification(&message));
    }

    fn misbehave(&mut self, id: ConnectionId) {
        let malformed = Notification::new(Code::CONNECTION_NOT_SYNCHRONIZED);
        let theirs = open(&config(2), false);
        match self.deed {
            Deed::Unreachable => {}
            Deed::Close => self.step(Input::Closed(id)),
            Deed::Malformed => self.received(id, Received::Malformed(&malformed)),
            Deed::Refuse(code) => self.notification(id, code),
            Deed::WrongAs => {
                let wrong = open(&config(3), false);
                self.received(id, Received::Open(&wrong));
            }
            Deed::OpenAndClose => {
                self.received(id, Received::Open(&theirs));
                self.step(Input::Closed(id));
            }
            Deed::OpenAndCollide => {
                self.received(id, Received::Open(&theirs));
                self.notification(id, Code::CONNECTION_COLLISION);
            }
            Deed::Behave => {
                self.received(id, Received::Open(&theirs));
                self.received(id, Received::Keepalive);
            }
            Deed::Session(ending) => {
                self.received(id, Received::Open(&theirs));
                self.received(id, Received::Keepalive);
                match ending {
                    Ending::Close => self.step(Input::Closed(id)),
                    Ending::Cease(code) => self.notification(id, code),
                    Ending::Malformed => self.received(id, Received::Malformed(&malformed)),
                    Ending::Prefixes => self.step(Input::Reset(Cease::MaximumPrefixes {
                        family: Family::IPV4_UNICAST,
                        limit: 10,
                    })),
                }
            }
        }
    }
}

fn config(asn: u32) -> Config {
    let remote = RemoteAsn::Number(Asn(2));
    let mut config = Config::new(Asn(asn), BgpIdentifier(asn), remote, 1);
    config.prefix_limit = Some(PrefixLimit {
        max: Some(10),
        received: None,
        restart: LimitRestart::After(LIMIT_RESTART),
    });
    config
}

/// The most OPENs in an hour: so many before the wait reaches its bound, and then one per wait.
fn most(bound: Duration, before: usize) -> usize {
    // Jitter shortens a wait to 11 sixteenths at the least.
    before + (HOUR.as_secs_f64() / (bound.as_secs_f64() * 11.0 / 16.0)) as usize
}

/// What each deed is held against: the bound of its waits, with the defaults.
fn deeds() -> Vec<(Deed, Duration)> {
    let (retry, held) = (RETRY, Duration::from_secs(60));
    vec![
        (Deed::Unreachable, retry),
        (Deed::Malformed, held),
        (Deed::WrongAs, held),
        (Deed::OpenAndClose, held),
        (Deed::Refuse(Code::BAD_PEER_AS), held),
        (Deed::Refuse(Code::MAXIMUM_PREFIXES), held),
        (Deed::Refuse(Code::CONNECTION_REJECTED), retry),
        (Deed::Close, retry),
        (Deed::OpenAndCollide, retry),
        (Deed::Session(Ending::Close), held),
        (Deed::Session(Ending::Malformed), held),
        (Deed::Session(Ending::Cease(Code::OUT_OF_RESOURCES)), held),
        (
            Deed::Session(Ending::Cease(Code::ADMINISTRATIVE_SHUTDOWN)),
            retry,
        ),
        (
            Deed::Session(Ending::Cease(Code::ADMINISTRATIVE_RESET)),
            retry,
        ),
        (
            Deed::Session(Ending::Cease(Code::OTHER_CONFIGURATION_CHANGE)),
            retry,
        ),
        (Deed::Session(Ending::Cease(Code::HARD_RESET)), retry),
        (Deed::Session(Ending::Prefixes), LIMIT_RESTART),
    ]
}

proptest! {
    #![proptest_config(crate::soak::cases(24))]

    #[test]
    fn a_peer_that_misbehaves_for_an_hour_gets_few_opens_and_a_session_soon_after_it_behaves(
        seed in any::<u64>(),
        who in prop_oneof![Just(Who::We), Just(Who::They), Just(Who::Both)],
        passive in any::<bool>(),
        (deed, bound) in prop::sample::select(deeds()),
        until in 0..120_u64,
        retry in prop::sample::select(vec![1, 5]),
    ) {
        let mut config = config(1);
        config.connect_retry = Duration::from_secs(retry);
        let bound = if bound == RETRY { config.connect_retry } else { bound };
        config.passive = passive && who != Who::We;
        config.jitter_seed = seed;
        let mut bench = Bench::new(config, who, deed);
        bench.run(bench.begin + HOUR);
        // Dialled and accepted connections have a free start each, and are counted together.
        let most = 2 * most(bound, 12);
        prop_assert!(bench.opens <= most, "{:?}: {} OPENs, {most} expected at most", deed, bench.opens);
        // At any moment after that.
        bench.run(bench.now + Duration::from_secs(until));
        bench.deed = Deed::Behave;
        let behaves = bench.now;
        let soon = bound.max(Duration::from_secs(60)) + Duration::from_secs(10);
        bench.run(behaves + soon);
        prop_assert_eq!(bench.peer.state(), State::Established, "{:?}: not within {:?}", deed, soon);
    }

    #[test]
    fn a_peer_that_comes_back_after_a_session_that_lasted_is_met_within_a_second(
        seed in any::<u64>(),
        (deed, _) in prop::sample::select(deeds()),
        ending in prop_oneof![
            Just(Ending::Close),
            Just(Ending::Cease(Code::ADMINISTRATIVE_RESET)),
            Just(Ending::Malformed),
        ],
    ) {
        let mut config = config(1);
        config.jitter_seed = seed;
        let mut bench = Bench::new(config, Who::Both, deed);
        bench.run(bench.begin + HOUR);
        bench.deed = Deed::Behave;
        bench.run(bench.now + HOUR);
        prop_assert_eq!(bench.peer.state(), State::Established);
        let id = bench.established.unwrap();
        bench.now += Duration::from_secs(61);
        match ending {
            Ending::Close | Ending::Prefixes => bench.step(Input::Closed(id)),
            Ending::Cease(code) => bench.notification(id, code),
            Ending::Malformed => {
                let malformed = Notification::new(Code::MALFORMED_ATTRIBUTE_LIST);
                bench.received(id, Received::Malformed(&malformed));
            }
        }
        prop_assert_eq!(bench.peer.idle_hold(), None);
        let sessions = bench.sessions;
        bench.theirs = None;
        bench.run(bench.now + Duration::from_secs(1));
        prop_assert_eq!(bench.sessions, sessions + 1);
    }
}

#[test]
fn a_held_peer_is_refused_without_a_word_and_the_hold_ends_by_itself_on_a_passive_peer() {
    let mut config = config(1);
    config.passive = true;
    let mut bench = Bench::new(config, Who::They, Deed::Malformed);
    bench.run(bench.begin);
    assert_eq!(bench.opens, 1);
    assert_eq!(bench.peer.state(), State::Idle);
    let mut out = Outputs::new();
    bench.peer.handle(bench.now, Input::Accepted, &mut out);
    assert_eq!(out, [Output::Refuse(None)]);
    let until = bench.peer.idle_hold().unwrap().until.unwrap();
    assert!(until <= bench.now + Duration::from_secs(5));
    out.clear();
    bench.peer.handle(until, Input::DeadlineReached, &mut out);
    assert_eq!((bench.peer.state(), &out[..]), (State::Active, &[][..]));
    bench.peer.handle(until, Input::Accepted, &mut out);
    assert!(matches!(out[0], Output::Accept(_)));
}

#[test]
fn a_peer_over_its_limit_stays_away_for_ever_if_asked_until_somebody_resets_it_or_raises_the_limit()
{
    let never = |max| {
        let mut config = config(1);
        let restart = LimitRestart::Never;
        config.prefix_limit = Some(PrefixLimit {
            max: Some(max),
            received: None,
            restart,
        });
        config
    };
    for way_out in [
        Input::Reset(Cease::Reset(String::new())),
        Input::Reconfigure(Box::new(never(11))),
    ] {
        let mut bench = Bench::new(never(10), Who::Both, Deed::Session(Ending::Prefixes));
        bench.run(bench.begin + HOUR * 24);
        assert_eq!((bench.sessions, bench.peer.state()), (1, State::Idle));
        assert_eq!(bench.peer.next_attempt(), None);
        assert_eq!(bench.peer.idle_hold().unwrap().until, None);
        // Neither BFD nor the same configuration again is a reason to let it in.
        bench.step(Input::Reset(Cease::BfdDown { retain: false }));
        bench.step(Input::Reconfigure(Box::new(never(10))));
        bench.deed = Deed::Behave;
        bench.run(bench.now + HOUR);
        assert_eq!(bench.peer.state(), State::Idle);
        bench.step(way_out);
        bench.run(bench.now + Duration::from_secs(1));
        assert_eq!(bench.peer.state(), State::Established);
    }
}

#[test]
fn without_an_idle_hold_nothing_is_refused() {
    let mut config = config(1);
    config.idle_hold_max = Duration::ZERO;
    let mut bench = Bench::new(config, Who::They, Deed::Malformed);
    bench.run(bench.begin + Duration::from_secs(1));
    assert_eq!(bench.opens, 11);
    assert_ne!(bench.peer.state(), State::Idle);
}
