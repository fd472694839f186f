//! All sessions of a system: which of them a packet belongs to, who uses it, and which timer is next. Pure.
//!
//! [`Sessions`] owns each [`Session`] and puts out what to do ([`Action`]). There is one session for each [`SessionKey`],
//! however many users it has; each user is reported to by itself. A session whose last user goes is AdminDown for as long as
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
#[cfg(test)]
mod tests;
mod timers;

use std::num::NonZeroU32;
use std::time::Instant;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

pub use io::{Action, Actions, Counters, Event, Notice, Slot, View};
pub use key::{Hops, Request, RequestError, SessionKey, UserId};
pub use receive::Arrival;

use crate::packet::{Discards, Discriminator, State};
use crate::random::Random;
use crate::session::{Input, LocalFailure, Output, Outputs, Session};
use timers::Timers;

#[derive(Debug)]
struct Entry {
    key: SessionKey,
    session: Session,
    /// In the order of their latest requests.
    users: Vec<(UserId, Request)>,
    least_ttl: u8,
    counters: Counters,
    /// When it ends, if nobody uses it any more.
    ends: Option<Instant>,
}

/// All sessions.
#[derive(Debug)]
pub struct Sessions {
    random: Random,
    entries: Vec<Option<Entry>>,
    free: Vec<usize>,
    timers: Timers,
    /// Their keys are ours and random, or configured: nobody else chooses them.
    by_discriminator: HashMap<u32, usize, FixedState>,
    by_key: HashMap<SessionKey, usize, FixedState>,
    by_user: HashMap<UserId, usize, FixedState>,
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
            timers: Timers::default(),
            by_discriminator: HashMap::default(),
            by_key: HashMap::default(),
            by_user: HashMap::default(),
            discards: Discards::default(),
            scratch: Outputs::new(),
        }
    }

    /// Begins to use a session, which is made if there is none.
    ///
    /// # Errors
    /// The request cannot be fulfilled; nothing has changed.
    pub fn add(
        &mut self,
        now: Instant,
        user: UserId,
        key: SessionKey,
        request: Request,
        out: &mut Actions,
    ) -> Result<(), RequestError> {
        if self.by_user.contains_key(&user) {
            return Err(RequestError::Exists);
        }
        key::check(&key, &request)?;
        let slot = match self.by_key.get(&key) {
            Some(slot) => *slot,
            None => self.open(now, key, &request, out),
        };
        self.request(now, slot, user, request, out)?;
        self.by_user.insert(user, slot);
        let entry = self.entry(slot);
        if let Some(entry) = entry.filter(|entry| entry.session.state() == State::Up) {
            out.push(Action::Notify(Notice {
                user,
                at: now,
                event: Event::Up,
                status: entry.session.status(),
            }));
        }
        Ok(())
    }

    /// Wants something else of the user's session, which stays as it is meanwhile.
    ///
    /// # Errors
    /// The request cannot be fulfilled; nothing has changed. A user without a session is none.
    pub fn change(
        &mut self,
        now: Instant,
        user: UserId,
        request: Request,
        out: &mut Actions,
    ) -> Result<(), RequestError> {
        let Some(slot) = self.by_user.get(&user).copied() else {
            return Ok(());
        };
        if let Some(entry) = self.entry(slot) {
            key::check(&entry.key, &request)?;
        }
        self.request(now, slot, user, request, out)
    }

    /// Does not use its session any more. The user gets no further notices.
    pub fn remove(&mut self, now: Instant, user: UserId, out: &mut Actions) {
        let Some(slot) = self.by_user.remove(&user) else {
            return;
        };
        let Some(entry) = self.entries.get_mut(slot).and_then(Option::as_mut) else {
            return;
        };
        entry.users.retain(|(other, _)| *other != user);
        if entry.users.is_empty() {
            self.handle(now, slot, Input::Disable, out);
            if let Some(entry) = self.entries.get_mut(slot).and_then(Option::as_mut) {
                entry.ends = Some(now + entry.session.status().remote_detection_time);
            }
            self.schedule(slot);
        } else {
            self.apply(now, slot, out);
        }
    }

    /// A failure that this end knows of, of the sessions over an interface, or of all.
    pub fn fail(
        &mut self,
        now: Instant,
        interface: Option<NonZeroU32>,
        failure: LocalFailure,
        out: &mut Actions,
    ) {
        for slot in 0..self.entries.len() {
            let is_meant = |entry: &Entry| interface.is_none() || entry.key.interface == interface;
            if self.entry(slot).is_some_and(is_meant) {
                self.handle(now, slot, Input::LocalFailure(failure), out);
            }
        }
    }

    /// When [`Sessions::expire`] wants to be called next if nothing happens before.
    pub fn deadline(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| at)
    }

    /// Handles what is due at `now`.
    pub fn expire(&mut self, now: Instant, out: &mut Actions) {
        while let Some((_, slot)) = self.timers.first().filter(|(at, _)| *at <= now) {
            let ends = self.entry(slot).and_then(|entry| entry.ends);
            if ends.is_some_and(|at| at <= now) {
                self.close(slot, out);
            } else {
                self.handle(now, slot, Input::DeadlineReached, out);
            }
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
            least_ttl: 0,
            counters: Counters::default(),
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
        self.timers.set(slot, None);
        self.free.push(slot);
        out.push(Action::Close(Slot(slot)));
    }

    /// Puts a user's request behind those of the others, if they agree.
    fn request(
        &mut self,
        now: Instant,
        slot: usize,
        user: UserId,
        request: Request,
        out: &mut Actions,
    ) -> Result<(), RequestError> {
        let Some(entry) = self.entries.get_mut(slot).and_then(Option::as_mut) else {
            return Ok(());
        };
        let others = entry.users.iter().filter(|(other, _)| *other != user);
        key::combine(others.map(|(_, request)| request).chain([&request]))?;
        entry.users.retain(|(other, _)| *other != user);
        entry.users.push((user, request));
        entry.ends = None;
        self.apply(now, slot, out);
        Ok(())
    }

    /// Has a session do what its users want together.
    fn apply(&mut self, now: Instant, slot: usize, out: &mut Actions) {
        let Some(entry) = self.entries.get_mut(slot).and_then(Option::as_mut) else {
            return;
        };
        let requests = entry.users.iter().map(|(_, request)| request);
        // What cannot be combined was refused when it was requested, and fewer requests agree as well.
        let Ok(Some(request)) = key::combine(requests) else {
            return;
        };
        entry.least_ttl = request.least_ttl;
        self.handle(now, slot, Input::Configure(request.parameters), out);
        let input = if request.is_held_down {
            Input::Disable
        } else {
            Input::Enable
        };
        self.handle(now, slot, input, out);
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
        for output in self.scratch.drain(..) {
            let event = match output {
                Output::Send(datagram) => {
                    entry.counters.sent += 1;
                    out.push(Action::Send(Slot(slot), datagram));
                    continue;
                }
                Output::SendEcho(packet) => {
                    out.push(Action::SendEcho(Slot(slot), packet));
                    continue;
                }
                Output::Discarded(reason) => {
                    self.discards.count(reason);
                    entry.counters.discarded += 1;
                    continue;
                }
                Output::Up => Event::Up,
                Output::Down(reason) => Event::Down(reason),
                Output::Changed => Event::Changed,
            };
            let status = entry.session.status();
            out.extend(entry.users.iter().map(|(user, _)| {
                Action::Notify(Notice {
                    user: *user,
                    at: now,
                    event,
                    status,
                })
            }));
        }
        self.schedule(slot);
    }

    fn schedule(&mut self, slot: usize) {
        let at = self
            .entry(slot)
            .and_then(|entry| entry.session.deadline().into_iter().chain(entry.ends).min());
        self.timers.set(slot, at);
    }
}
