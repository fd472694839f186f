//! All sessions of a system: which of them a packet belongs to, who uses it, and which timer is next. Pure.
//!
//! [`Sessions`] owns each [`Session`] and puts out what to do ([`Action`]). There is one session for each [`SessionKey`],
//! however many users it has; each user has a state of its own ([`UserState`]), of which the latest counts. A session whose last user goes is AdminDown for as long as
//! the remote system may take to hear of it (RFC 5880 6.8.16), and then is no more.
//!
//! A packet costs the same whatever it holds: two lookups in hash tables, at most one hash over 255 octets, and O(log n) for
//! the timer. Nothing is allocated for it. Those that are discarded are counted by reason ([`Sessions::discards`]), change
//! nothing and cause no answer.
//!
//! Discriminators are drawn at random, so that nobody who does not see packets can make one for a session (RFC 5880 6.8.1 and
//! 9).

mod io;
mod key;
mod receive;
mod state;
#[cfg(test)]
mod tests;
mod timers;
mod users;

use std::num::NonZeroU8;
use std::time::{Duration, Instant};

use foldhash::fast::FixedState;
use hashbrown::HashMap;

pub use io::{Action, Actions, Counters, Slot, View};
pub use key::{Hops, Request, RequestError, SessionKey, UserId};
pub use receive::Arrival;
pub use state::{LastDown, UserLevel, UserState};
pub use users::Use;

use crate::packet::{Discards, Discriminator};
use crate::random::Random;
use crate::session::{Input, Output, Outputs, Session};
use timers::Timers;
use users::User;

#[derive(Debug)]
struct Entry {
    key: SessionKey,
    session: Session,
    /// In the order of their latest requests.
    users: Vec<Use>,
    least_ttl: Option<NonZeroU8>,
    level: UserLevel,
    /// How often Up was lost.
    losses: u32,
    last_down: Option<LastDown>,
    counters: Counters,
    send_error: Option<std::io::ErrorKind>,
    /// When it ends, if nobody uses it any more.
    ends: Option<Instant>,
}

/// All sessions.
#[derive(Debug)]
pub struct Sessions {
    random: Random,
    entries: Vec<Option<Entry>>,
    free: Vec<usize>,
    /// When each session has to send.
    sends: Timers,
    /// When something of each session is over.
    expiries: Timers,
    /// Their keys are ours and random, or configured: nobody else chooses them.
    by_discriminator: HashMap<u32, usize, FixedState>,
    by_key: HashMap<SessionKey, usize, FixedState>,
    users: HashMap<u64, User, FixedState>,
    /// Users whose state has changed since the last report, each once.
    changed: Vec<u64>,
    /// Users whose latest request is not fulfilled.
    refused: Vec<u64>,
    discards: Discards,
    /// Of the session that is being handled; empty in between.
    scratch: Outputs,
}

impl Sessions {
    /// No sessions. The seed decides discriminators, sequence numbers and jitter; it is a secret.
    pub fn new(random: Random) -> Self {
        Self {
            random,
            entries: Vec::new(),
            free: Vec::new(),
            sends: Timers::default(),
            expiries: Timers::default(),
            by_discriminator: HashMap::default(),
            by_key: HashMap::default(),
            users: HashMap::default(),
            changed: Vec::new(),
            refused: Vec::new(),
            discards: Discards::default(),
            scratch: Outputs::new(),
        }
    }

    /// When [`Sessions::expire`] and [`Sessions::transmit`] want to be called next if nothing happens before.
    pub fn deadline(&self) -> Option<Instant> {
        let first = [self.sends.first(), self.expiries.first()];
        first.into_iter().flatten().map(|(at, _)| at).min()
    }

    /// Handles what was over at `now`. A caller that may have been held up takes `now`, then all packets that have arrived, and
    /// only then calls this: what arrived in time counts, however late it is read.
    pub fn expire(&mut self, now: Instant, out: &mut Actions) {
        while let Some((_, slot)) = self.expiries.first().filter(|(at, _)| *at <= now) {
            let ends = self.entry(slot).and_then(|entry| entry.ends);
            if ends.is_some_and(|at| at <= now) {
                self.close(slot, out);
            } else {
                self.handle(now, slot, Input::DeadlineReached, out);
            }
        }
    }

    /// Sends what is due at `now`, and what may be sent early with it. Takes no session down.
    pub fn transmit(&mut self, now: Instant, out: &mut Actions) {
        while let Some((_, slot)) = self.sends.first() {
            let entry = self.entry(slot);
            let from = entry.and_then(|entry| entry.session.may_send_from());
            if from.is_none_or(|from| from > now) {
                return;
            }
            self.handle(now, slot, Input::Transmit, out);
        }
    }

    /// The shortest detection time that is configured; `None` without sessions.
    pub fn shortest_detection(&self) -> Option<Duration> {
        let detection = |entry: &Entry| {
            let parameters = entry.session.parameters();
            let shorter = parameters.desired_min_tx.min(parameters.required_min_rx);
            shorter.duration() * u32::from(parameters.detect_mult.get())
        };
        self.entries.iter().flatten().map(detection).min()
    }

    /// Sends the latest packet of every session once more.
    pub fn repeat(&mut self, now: Instant, out: &mut Actions) {
        for slot in 0..self.entries.len() {
            self.handle(now, slot, Input::Repeat, out);
        }
    }

    /// How many received packets were discarded, by reason.
    pub fn discards(&self) -> &Discards {
        &self.discards
    }

    /// Every session.
    pub fn iter(&self) -> impl Iterator<Item = View<'_>> + '_ {
        let entries = self.entries.iter().enumerate();
        entries.filter_map(|(slot, entry)| {
            entry.as_ref().map(|entry| View {
                slot: Slot(slot),
                key: entry.key,
                session: &entry.session,
                counters: entry.counters,
                users: &entry.users,
            })
        })
    }

    /// Takes note of whether the packets of a session can be sent; its users get to know when that changes.
    pub fn set_send_error(&mut self, slot: Slot, error: Option<std::io::ErrorKind>) {
        let entry = self.entries.get_mut(slot.0).and_then(Option::as_mut);
        if let Some(entry) = entry.filter(|entry| entry.send_error != error) {
            entry.send_error = error;
            self.list_all(slot.0);
        }
    }

    fn entry(&self, slot: usize) -> Option<&Entry> {
        self.entries.get(slot).and_then(Option::as_ref)
    }

    /// Makes a session without users, whose first packet is not sent yet.
    fn open(
        &mut self,
        now: Instant,
        key: SessionKey,
        request: &Request,
        out: &mut Actions,
    ) -> usize {
        let discriminator = loop {
            // RFC 5880 6.3: unique. Of 2^32 numbers few are taken.
            let drawn = Discriminator::new(self.random.number());
            if let Some(drawn) =
                drawn.filter(|drawn| !self.by_discriminator.contains_key(&drawn.number()))
            {
                break drawn;
            }
        };
        let parameters = request.parameters.clone();
        let entry = Entry {
            key,
            session: Session::new(now, discriminator, parameters, &mut self.random),
            users: Vec::new(),
            least_ttl: None,
            level: UserLevel::NotYetUp,
            losses: 0,
            last_down: None,
            counters: Counters::default(),
            send_error: None,
            ends: None,
        };
        let slot = self.free.pop().unwrap_or(self.entries.len());
        if slot == self.entries.len() {
            self.entries.push(None);
        }
        self.entries[slot] = Some(entry);
        self.by_discriminator.insert(discriminator.number(), slot);
        self.by_key.insert(key, slot);
        out.push(Action::Open(Slot(slot), key));
        slot
    }

    fn close(&mut self, slot: usize, out: &mut Actions) {
        let Some(entry) = self.entries.get_mut(slot).and_then(Option::take) else {
            return;
        };
        let discriminator = entry.session.discriminator().number();
        self.by_discriminator.remove(&discriminator);
        self.by_key.remove(&entry.key);
        self.sends.set(slot, None);
        self.expiries.set(slot, None);
        self.free.push(slot);
        out.push(Action::Close(Slot(slot)));
    }

    /// Hands an input to a session, and carries its outputs on.
    fn handle(&mut self, now: Instant, slot: usize, input: Input<'_>, out: &mut Actions) {
        let Some(entry) = self.entries.get_mut(slot).and_then(Option::as_mut) else {
            return;
        };
        let is_packet = matches!(input, Input::Received(_));
        entry
            .session
            .handle(now, input, &mut self.random, &mut self.scratch);
        if is_packet && !matches!(self.scratch.first(), Some(Output::Discarded(_))) {
            entry.counters.received += 1;
        }
        let mut has_changed = false;
        for output in self.scratch.drain(..) {
            match output {
                Output::Send(datagram) => {
                    entry.counters.sent += 1;
                    out.push(Action::Send(Slot(slot), datagram));
                }
                Output::SendEcho(packet) => out.push(Action::SendEcho(Slot(slot), packet)),
                Output::Discarded(reason) => {
                    self.discards.count(reason);
                    entry.counters.discarded += 1;
                }
                Output::Up | Output::Changed => has_changed = true,
                Output::Down(reason) => {
                    has_changed = true;
                    entry.level = UserLevel::Down(reason);
                    entry.losses = entry.losses.wrapping_add(1);
                    entry.last_down = Some(LastDown {
                        at: now,
                        reason,
                        control_plane_independent: entry.session.was_control_plane_independent(),
                    });
                }
            }
        }
        if has_changed {
            entry.level = state::follow(entry.level, &entry.session);
            self.list_all(slot);
        }
        self.schedule(slot);
    }

    fn schedule(&mut self, slot: usize) {
        let entry = self.entry(slot);
        let send = entry.and_then(|entry| entry.session.next_send());
        let expiry = entry.and_then(|entry| {
            let expires = entry.session.expires();
            expires.into_iter().chain(entry.ends).min()
        });
        self.sends.set(slot, send);
        self.expiries.set(slot, expiry);
    }
}
