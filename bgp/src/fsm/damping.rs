//! Damping: how long a peer with which things go wrong is left alone.
//!
//! Every end has one [`Cause`]; the more often it has occurred, the longer the wait before the next attempt, doubling
//! up to a limit. If the peer is at fault, or reconnects too often, it is *held Idle* meanwhile: its connections are
//! refused before an OPEN is sent. The counts are reset only when a session has lasted, so neither an established TCP
//! connection nor a session that ends at once resets them.
//!
//! Two speakers that hold each other connect again: being refused ([`Cause::Unanswered`]) never leads to a hold, and
//! the wait after it is never longer than `connect_retry`. So a refused speaker retries soon after the other's hold is
//! over.

use std::time::{Duration, Instant};

use super::connection::{Connection, Direction, Phase};
use super::{Cease, Config, Down, Stop};
use crate::wire::{Notification, NotificationCode};

/// The first wait after an end that is not an error; it doubles. A router that returns is found soon, and one SYN a
/// second towards an unreachable one is harmless.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// DEVIATION(RFC 4271 8.2.2, Idle): so many connections in a row may end early, without an error, before the peer's own are refused for a time. A router that
/// restarts twice, or collides, must not be kept out: some do not dial again for two minutes.
const FREE: u32 = 3;

/// A peer that is held Idle: no connection is made, and its connections are refused (RFC 4271 section 8.2.2, Idle).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdleHold {
    /// Until when; `None`: until the owner resets the peer or changes its configuration.
    pub until: Option<Instant>,
    /// What it is held for.
    pub reason: Down,
}

/// What exceeding the prefix limit leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitRestart {
    /// The peer is held Idle for so long.
    After(Duration),
    /// The peer is held Idle until the owner resets it or changes its configuration.
    Never,
}

/// How much a peer may send, as far as its state machine is concerned. The owner counts, and says by [`Cease::MaximumPrefixes`]
/// or, of memory, [`Cease::OutOfResources`] that a limit was exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrefixLimit {
    /// The limit of accepted prefixes, if there is one. Here only to see it change, which ends a hold.
    pub max: Option<u32>,
    /// The limit of received ones, for the same purpose.
    pub received: Option<u32>,
    /// What exceeding it leads to.
    pub restart: LimitRestart,
}

/// What an end means for the next beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// The owner requested it, or a session ended that had lasted: reconnect soon.
    Ended,
    /// We dialled and no OPEN came back: TCP failed, was closed at once, or the peer is not ready for us.
    Unanswered,
    /// The peer's side wanted it, and said so by Cease: it is dialled again within `connect_retry`, for it may be passive.
    Courteous,
    /// One of two connections of the peer lost against the other (RFC 4271 section 6.8), which continues. Not an error.
    Crowded,
    /// The peer's lost, as it said, against one that there is not, or that is not far enough.
    Collision,
    /// It ended without an error before a session had lasted.
    Brief,
    /// One side refused the other, or the session broke down with an error.
    Error,
    /// The peer exceeded its prefix limit.
    PrefixLimit,
}

/// How long a hold lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HoldTime {
    /// As long as the wait, `idle_hold_max` at most.
    AsTheWait,
    /// Exactly this long, without jitter: it is configured.
    Exactly(Duration),
    /// Until the owner ends it.
    Unbounded,
}

/// What an end costs the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Penalty {
    /// Before it is dialled again; to be jittered.
    pub(super) wait: Duration,
    /// Whether its own connections are refused meanwhile.
    pub(super) hold: Option<HoldTime>,
    /// The same while another connection of the peer continues: no hold.
    pub(super) is_crowded: bool,
}

/// How often things went wrong since a session last lasted.
#[derive(Clone, Debug, Default)]
pub(super) struct Damping {
    unanswered: u32,
    brief: u32,
    errors: u32,
    /// Of [`Cause::Collision`] and [`Cause::Crowded`], since a session was established last: that shows what they were.
    collisions: u32,
    crowded: u32,
}

impl Damping {
    /// Counts an end, and says what it costs.
    pub(super) fn note(&mut self, config: &Config, cause: Cause) -> Penalty {
        let retry = config.connect_retry;
        let patient = config.idle_hold_max.max(retry);
        let may_hold = (!config.idle_hold_max.is_zero()).then_some(HoldTime::AsTheWait);
        let unheld = |wait| Penalty {
            wait,
            hold: None,
            is_crowded: false,
        };
        match cause {
            Cause::Ended => unheld(FIRST_RETRY.min(retry)),
            Cause::Unanswered => unheld(doubled(FIRST_RETRY, &mut self.unanswered, retry)),
            Cause::Crowded => Penalty {
                is_crowded: self.crowded >= FREE && may_hold.is_some(),
                ..unheld(doubled(FIRST_RETRY, &mut self.crowded, retry))
            },
            Cause::Collision => Penalty {
                hold: may_hold.filter(|_| self.collisions >= FREE),
                ..unheld(doubled(FIRST_RETRY, &mut self.collisions, retry))
            },
            Cause::Courteous | Cause::Brief => {
                let hold = may_hold.filter(|_| self.brief >= FREE);
                // Who is not held is dialled within `connect_retry`.
                let most = match (cause, hold) {
                    (Cause::Brief, Some(_)) => patient,
                    _ => retry,
                };
                Penalty {
                    hold,
                    ..unheld(doubled(FIRST_RETRY, &mut self.brief, most))
                }
            }
            Cause::Error => Penalty {
                hold: may_hold,
                ..unheld(doubled(retry, &mut self.errors, patient))
            },
            Cause::PrefixLimit => match config.prefix_limit.map(|limit| limit.restart) {
                Some(LimitRestart::After(wait)) => Penalty {
                    hold: Some(HoldTime::Exactly(wait)),
                    ..unheld(wait)
                },
                Some(LimitRestart::Never) => Penalty {
                    hold: Some(HoldTime::Unbounded),
                    ..unheld(patient)
                },
                // The owner counts by rules of its own.
                None => self.note(config, Cause::Error),
            },
        }
    }
}

impl Damping {
    /// No connection has lost against another one for a long time.
    pub(super) const fn forget_crowded(&mut self) {
        self.crowded = 0;
    }

    /// A session is established: collisions before it were what led to it.
    pub(super) const fn established(&mut self) {
        self.collisions = 0;
        self.crowded = 0;
    }
}

fn doubled(first: Duration, times: &mut u32, most: Duration) -> Duration {
    let factor = 1_u32.checked_shl((*times).min(31)).unwrap_or(u32::MAX);
    *times = times.saturating_add(1);
    first.checked_mul(factor).unwrap_or(most).min(most)
}

/// What the end of a connection means. `lasted`: it was Established for so long that what was before is forgotten. `goes_on`: another
/// connection of the peer is confirmed, or Established.
pub(super) fn cause(reason: &Down, connection: &Connection, lasted: bool, goes_on: bool) -> Cause {
    let answered = !matches!(connection.phase, Phase::OpenSent { .. });
    let unanswered = connection.direction == Direction::Outgoing && !answered;
    match reason {
        Down::AdministrativeStop(stop) => owner_cause(stop, lasted),
        _ if lasted => Cause::Ended,
        Down::TransportFailed | Down::PeerRestarted if unanswered => Cause::Unanswered,
        Down::TransportFailed | Down::PeerRestarted => Cause::Brief,
        Down::NotificationSent(message) | Down::NotificationReceived(message)
            if message.code == NotificationCode::CONNECTION_COLLISION =>
        {
            // Losing with our own connection is no fault; a peer whose connections lose again and again is refused for
            // a while.
            match connection.direction {
                Direction::Outgoing => Cause::Unanswered,
                Direction::Incoming if goes_on => Cause::Crowded,
                Direction::Incoming => Cause::Collision,
            }
        }
        Down::NotificationReceived(message) if is_courteous(message) => {
            if unanswered {
                Cause::Unanswered
            } else {
                Cause::Courteous
            }
        }
        Down::NotificationSent(_)
        | Down::NotificationReceived(_)
        | Down::HoldTimerExpired(_)
        | Down::SendHoldTimerExpired(_) => Cause::Error,
    }
}

/// What it means that the owner ended it.
pub(super) fn owner_cause(stop: &Stop, lasted: bool) -> Cause {
    match stop {
        Stop::Cease(Cease::MaximumPrefixes { .. } | Cease::OutOfResources) => Cause::PrefixLimit,
        Stop::Cease(Cease::BfdDown { .. }) if !lasted => Cause::Courteous,
        Stop::Cease(
            Cease::BfdDown { .. }
            | Cease::Shutdown(_)
            | Cease::Reset(_)
            | Cease::Deconfigured
            | Cease::ConfigurationChange,
        )
        | Stop::Silent => Cause::Ended,
    }
}

/// Whether a Cease says that the peer's operator, or a passing state of the peer, ended the session, so that it may be met
/// again at any moment: every subcode of RFC 4486, but the two that say that we ask too much of the peer.
fn is_courteous(message: &Notification) -> bool {
    let code = message
        .hard_reset_reason()
        .map_or(message.code, |inner| inner.code);
    code.code == NotificationCode::ADMINISTRATIVE_RESET.code
        && code != NotificationCode::MAXIMUM_PREFIXES
        && code != NotificationCode::OUT_OF_RESOURCES
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::fsm::{ConnectionId, RemoteAsn};
    use crate::types::{Asn, BgpIdentifier, Family};

    /// A connection without a received OPEN.
    fn without_an_open(direction: Direction) -> Connection {
        let config = Config::new(Asn(1), BgpIdentifier(1), RemoteAsn::Any, 7);
        Connection::new(ConnectionId(1), direction, Instant::now(), config.into())
    }

    #[test]
    fn rfc_4486_every_cease_has_its_cause() {
        use NotificationCode as Code;
        for (code, ours, theirs) in [
            (
                Code::ADMINISTRATIVE_SHUTDOWN,
                Cause::Unanswered,
                Cause::Courteous,
            ),
            (Code::PEER_DECONFIGURED, Cause::Unanswered, Cause::Courteous),
            (
                Code::ADMINISTRATIVE_RESET,
                Cause::Unanswered,
                Cause::Courteous,
            ),
            (
                Code::CONNECTION_REJECTED,
                Cause::Unanswered,
                Cause::Courteous,
            ),
            (
                Code::CONNECTION_COLLISION,
                Cause::Unanswered,
                Cause::Collision,
            ),
            (Code::MAXIMUM_PREFIXES, Cause::Error, Cause::Error),
            (Code::OUT_OF_RESOURCES, Cause::Error, Cause::Error),
            (Code::HOLD_TIMER_EXPIRED, Cause::Error, Cause::Error),
            (Code::BAD_PEER_AS, Cause::Error, Cause::Error),
        ] {
            let received = Down::NotificationReceived(Notification::new(code));
            for (direction, expected) in
                [(Direction::Outgoing, ours), (Direction::Incoming, theirs)]
            {
                let connection = without_an_open(direction);
                let found = cause(&received, &connection, false, false);
                assert_eq!(found, expected, "{code:?} on {direction:?}");
                assert_eq!(
                    cause(&received, &connection, true, false),
                    Cause::Ended,
                    "{code:?}"
                );
            }
        }
        let lost = Down::NotificationSent(Notification::new(Code::CONNECTION_COLLISION));
        let found = |direction, goes_on| cause(&lost, &without_an_open(direction), false, goes_on);
        for goes_on in [false, true] {
            assert_eq!(found(Direction::Outgoing, goes_on), Cause::Unanswered);
        }
        assert_eq!(found(Direction::Incoming, false), Cause::Collision);
        assert_eq!(found(Direction::Incoming, true), Cause::Crowded);
    }

    #[test]
    fn what_the_owner_ends_costs_a_peer_nothing_but_where_it_is_at_fault() {
        let limit = Cease::MaximumPrefixes {
            family: Family::IPV4_UNICAST,
            limit: 1,
        };
        for (cease, brief, lasted) in [
            (limit, Cause::PrefixLimit, Cause::PrefixLimit),
            (
                Cease::OutOfResources,
                Cause::PrefixLimit,
                Cause::PrefixLimit,
            ),
            (
                Cease::BfdDown { retain: false },
                Cause::Courteous,
                Cause::Ended,
            ),
            (Cease::Shutdown(String::new()), Cause::Ended, Cause::Ended),
            (Cease::Reset(String::new()), Cause::Ended, Cause::Ended),
            (Cease::Deconfigured, Cause::Ended, Cause::Ended),
            (Cease::ConfigurationChange, Cause::Ended, Cause::Ended),
        ] {
            let stop = Stop::Cease(cease);
            assert_eq!(owner_cause(&stop, false), brief, "{stop:?}");
            assert_eq!(owner_cause(&stop, true), lasted, "{stop:?}");
            let reason = Down::AdministrativeStop(stop);
            let connection = without_an_open(Direction::Outgoing);
            let found = cause(&reason, &connection, false, false);
            assert_eq!(found, brief, "{reason:?}");
        }
        assert_eq!(owner_cause(&Stop::Silent, false), Cause::Ended);
    }
}
