//! Waiting until receivers hold what they must.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Error, Result};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike};

use super::expect::{Expectation, Source};
use super::heard::Replay;
use super::players::{PlayerId, Players};
use super::tally::Digest;

/// So long nothing must have come before tables are looked at: the looking takes the processor away from the subject.
const QUIET: Duration = Duration::from_millis(300);
/// When nothing comes for so long, nothing will.
const SILENCE: Duration = Duration::from_secs(10);
/// Between two words about how far it is.
const REPORT_EVERY: Duration = Duration::from_secs(5);
/// The longest turn of the loop.
const TURN: Duration = Duration::from_millis(10);

/// A table that is not what it must be although nothing more comes. The measurement does not count.
#[derive(Debug)]
pub struct WrongTable(Error);

impl From<Error> for WrongTable {
    fn from(found: Error) -> Self {
        Self(found)
    }
}

impl fmt::Display for WrongTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a wrong table: {:#}", self.0)
    }
}

impl std::error::Error for WrongTable {}

/// A receiver and what it must come to hold.
#[derive(Debug)]
pub struct Goal<'a> {
    player: PlayerId,
    check: Check<'a>,
    /// Since when its table is right, as far as it was looked at.
    right_since: Option<Instant>,
    /// Without so many announcements and withdrawals in all, it cannot be there.
    announced: u64,
    withdrawn: u64,
}

/// How a receiver's table is looked at.
#[derive(Debug)]
enum Check<'a> {
    /// Route by route.
    Routes(Replay<'a>),
    /// By its digest.
    Digest(Digest),
}

impl<'a> Goal<'a> {
    /// That `player` holds what is expected, but for what it announced itself as `own`.
    pub fn new(player: PlayerId, expected: &'a Expectation, own: Option<Source>) -> Self {
        Self {
            player,
            check: Check::Routes(Replay::new(expected, own)),
            right_since: None,
            announced: expected.required(own) as u64,
            withdrawn: 0,
        }
    }

    /// That `player`, which only counts received routes, holds the table of this digest.
    pub fn digest(player: PlayerId, digest: Digest) -> Self {
        Self {
            player,
            check: Check::Digest(digest),
            right_since: None,
            announced: digest.prefixes,
            withdrawn: 0,
        }
    }

    /// That cannot be before so many prefixes have been withdrawn.
    pub fn after_withdrawals(mut self, count: usize) -> Self {
        self.withdrawn = count as u64;
        self
    }

    /// Looks at what the player has heard since the last time. Waiting does so; before, it takes the work off the
    /// clock.
    ///
    /// # Errors
    /// A message cannot be read.
    pub fn catch_up(&mut self, players: &Players) -> Result<()> {
        self.right_since = match &mut self.check {
            Check::Routes(replay) => {
                let read = replay.go_on(players.heard(self.player)?, Replay::unseen);
                read.map_err(WrongTable)?;
                replay.right_since()
            }
            Check::Digest(digest) => players.tally(self.player)?.right_since(*digest),
        };
        Ok(())
    }

    /// Succeeds if the table is right.
    fn verdict(&self, players: &Players) -> Result<()> {
        match &self.check {
            Check::Routes(replay) => replay.verdict(players.heard(self.player)?),
            Check::Digest(digest) => players.tally(self.player)?.verdict(*digest),
        }
    }
}

/// How a wait ended.
#[derive(Clone, Debug)]
pub enum Ended {
    /// Everybody holds what they must.
    Complete {
        /// Since when, in the order of the goals.
        since: Vec<Instant>,
        /// The processor time of this process while it waited, without looking at tables.
        own_cpu: Duration,
    },
    /// Not within the limit, although things were going on.
    Slow,
}

/// How to wait.
pub struct Wait<'a> {
    limit: Duration,
    is_busy: Box<dyn FnMut() -> Result<bool> + 'a>,
    tell: Box<dyn FnMut(f64) + 'a>,
}

impl fmt::Debug for Wait<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wait")
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

impl<'a> Wait<'a> {
    /// For so long and no longer.
    pub fn at_most(limit: Duration) -> Self {
        Self {
            limit,
            is_busy: Box::new(|| Ok(false)),
            tell: Box::new(drop),
        }
    }

    /// Also while nothing comes, as long as `is_busy` says that the subject works: some are silent for longer than 10 s
    /// in the middle. It is asked once in 10 s.
    pub fn while_busy(mut self, is_busy: impl FnMut() -> Result<bool> + 'a) -> Self {
        self.is_busy = Box::new(is_busy);
        self
    }

    /// `tell` receives the progress every 5 s: from 0; 1 is the least that has to arrive.
    pub fn telling(mut self, tell: impl FnMut(f64) + 'a) -> Self {
        self.tell = Box::new(tell);
        self
    }

    /// Serves the players until every goal is reached.
    ///
    /// # Errors
    /// [`WrongTable`], once nothing has come for 10 s; or the subject ended a session.
    pub fn until(mut self, players: &mut Players, goals: &mut [Goal<'_>]) -> Result<Ended> {
        let started = Instant::now();
        let mut own_cpu = Duration::ZERO;
        let mut looked_at = None;
        // What was quiet before does not count.
        let mut quiet_since = started;
        loop {
            let before = processor_time()?;
            let silent = self.serve(players, goals, started, quiet_since)?;
            own_cpu += processor_time()?.saturating_sub(before);
            if looked_at != Some(players.last_heard()) && players.is_all_sent() {
                looked_at = Some(players.last_heard());
                goals
                    .iter_mut()
                    .try_for_each(|goal| goal.catch_up(players))?;
                let since: Option<Vec<_>> = goals.iter().map(|goal| goal.right_since).collect();
                if let Some(since) = since {
                    return Ok(Ended::Complete { since, own_cpu });
                }
            }
            if started.elapsed() > self.limit {
                return Ok(Ended::Slow);
            }
            if silent && players.is_all_sent() && !(self.is_busy)()? {
                for goal in goals.iter() {
                    goal.verdict(players).map_err(WrongTable)?;
                }
            }
            if silent {
                quiet_since = Instant::now();
            }
        }
    }

    /// Serves the players until it may be that the goals are reached, or that they will not be. Returns whether it has
    /// been silent for too long.
    fn serve(
        &mut self,
        players: &mut Players,
        goals: &[Goal<'_>],
        started: Instant,
        quiet_since: Instant,
    ) -> Result<bool> {
        let mut reported = Instant::now();
        loop {
            players.turn(TURN)?;
            let quiet = players.last_heard().max(quiet_since).elapsed();
            let mut possible = true;
            let (mut needed, mut there) = (0, 0);
            for goal in goals {
                let (announced, withdrawn) = players.counts(goal.player)?;
                possible &= announced >= goal.announced && withdrawn >= goal.withdrawn;
                needed += goal.announced + goal.withdrawn;
                there += goal.announced.min(announced) + goal.withdrawn.min(withdrawn);
            }
            if reported.elapsed() >= REPORT_EVERY {
                reported = Instant::now();
                (self.tell)(there as f64 / needed.max(1) as f64);
            }
            let may_be_done = quiet >= QUIET && possible && players.is_all_sent();
            let silent = quiet >= SILENCE;
            if may_be_done || silent || started.elapsed() > self.limit {
                return Ok(silent);
            }
        }
    }
}

/// The processor time that this process has used.
///
/// # Errors
/// The kernel refuses to tell.
pub fn processor_time() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let micros = |time: TimeVal| Duration::from_micros(time.num_microseconds().unsigned_abs());
    Ok(micros(usage.user_time()) + micros(usage.system_time()))
}
