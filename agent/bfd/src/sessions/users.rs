//! Who uses which session, what they want of it, and which states they have not got to know yet.

use std::num::NonZeroU32;
use std::time::Instant;

use super::state::{LastDown, UserLevel, UserState};
use super::{Actions, Entry, Request, RequestError, SessionKey, Sessions, UserId, key};
use crate::session::{Input, LocalFailure};

/// A user, and its latest request.
#[derive(Debug)]
pub(super) struct User {
    id: UserId,
    key: SessionKey,
    wanted: Request,
    /// The session it uses.
    slot: Option<usize>,
    /// Why `wanted` is not fulfilled.
    refused: Option<RequestError>,
    /// It is in the list of users whose state has changed.
    is_listed: bool,
}

/// The use of a session by a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// By whom.
    pub user: UserId,
    /// What is fulfilled.
    pub request: Request,
    /// How often the session had lost Up when the use began.
    losses_before: u32,
}

impl Sessions {
    /// Sets what a user wants: a session with this key and request, or none. The session is made if there is none; one that a
    /// user leaves for another key, or for none, ends with its last user. The same as before changes nothing.
    ///
    /// The user's state is reported afterwards, at the least once for each new key or generation, and not at all after `None`. A
    /// request that cannot be fulfilled leaves the one before in force if that has the same key and generation.
    pub fn set(
        &mut self,
        now: Instant,
        id: UserId,
        wanted: Option<(SessionKey, Request)>,
        out: &mut Actions,
    ) {
        let known = self.users.get(&id.number);
        let Some((key, wanted)) = wanted else {
            self.leave(now, id.number, out);
            return;
        };
        match known {
            Some(known) if known.id == id && known.key == key => {
                if known.wanted == wanted {
                    return;
                }
            }
            Some(_) | None => {
                self.leave(now, id.number, out);
                let user = User {
                    id,
                    key,
                    wanted: wanted.clone(),
                    slot: None,
                    refused: None,
                    is_listed: false,
                };
                self.users.insert(id.number, user);
            }
        }
        if let Some(user) = self.users.get_mut(&id.number) {
            user.wanted = wanted;
        }
        self.fulfil(now, id.number, out);
        self.retry(now, key, out);
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

    /// A failure that this end knows of, of one user's session, such as a multihop session whose route goes over an interface that
    /// failed. Ignored if the user has another generation by now.
    pub fn fail_user(
        &mut self,
        now: Instant,
        id: UserId,
        failure: LocalFailure,
        out: &mut Actions,
    ) {
        let user = self.users.get(&id.number).filter(|user| user.id == id);
        if let Some(slot) = user.and_then(|user| user.slot) {
            self.handle(now, slot, Input::LocalFailure(failure), out);
        }
    }

    /// Appends the state of each user whose state may have changed since the last call, each once.
    pub fn report(&mut self, into: &mut Vec<UserState>) {
        for number in self.changed.drain(..) {
            // One that was removed since is not reported to.
            let Some(user) = self.users.get_mut(&number) else {
                continue;
            };
            if std::mem::take(&mut user.is_listed) {
                let entry = user.slot.and_then(|slot| self.entries.get(slot)?.as_ref());
                into.push(state(user, entry));
            }
        }
    }

    /// Lists a user whose state has changed for the next report.
    pub(super) fn list(&mut self, number: u64) {
        if let Some(user) = self.users.get_mut(&number)
            && !std::mem::replace(&mut user.is_listed, true)
        {
            self.changed.push(number);
        }
    }

    /// Lists all users of a session.
    pub(super) fn list_all(&mut self, slot: usize) {
        let mut at = 0;
        while let Some(used) = self.entry(slot).and_then(|entry| entry.users.get(at)) {
            self.list(used.user.number);
            at += 1;
        }
    }

    /// Forgets a user, and ends its session if it was the last.
    fn leave(&mut self, now: Instant, number: u64, out: &mut Actions) {
        let Some(user) = self.users.remove(&number) else {
            return;
        };
        self.refused.retain(|other| *other != number);
        let Some(slot) = user.slot else { return };
        let Some(entry) = self.entries.get_mut(slot).and_then(Option::as_mut) else {
            return;
        };
        entry.users.retain(|used| used.user.number != number);
        if entry.users.is_empty() {
            self.handle(now, slot, Input::Disable, out);
            if let Some(entry) = self.entries.get_mut(slot).and_then(Option::as_mut) {
                entry.ends = Some(now + entry.session.status().remote_detection_time);
            }
            self.schedule(slot);
        } else {
            self.apply(now, slot, out);
        }
        self.retry(now, user.key, out);
    }

    /// Does what a user wants, or notes why not.
    fn fulfil(&mut self, now: Instant, number: u64, out: &mut Actions) {
        let Some(user) = self.users.get(&number) else {
            return;
        };
        let (id, key, wanted) = (user.id, user.key, user.wanted.clone());
        let result = key::check(&key, &wanted).and_then(|()| {
            let slot = match self.by_key.get(&key) {
                Some(slot) => *slot,
                None => self.open(now, key, &wanted, out),
            };
            self.request(now, slot, id, wanted, out).map(|()| slot)
        });
        self.refused.retain(|other| *other != number);
        if let Some(user) = self.users.get_mut(&number) {
            user.refused = result.err();
            user.slot = result.ok().or(user.slot);
        }
        if result.is_err() {
            self.refused.push(number);
        }
        self.list(number);
    }

    /// Tries again what was refused for a key, since other requests for it have changed.
    fn retry(&mut self, now: Instant, key: SessionKey, out: &mut Actions) {
        let mut at = 0;
        while let Some(number) = self.refused.get(at).copied() {
            let user = self.users.get(&number);
            let is_meant = user.is_some_and(|user| user.key == key);
            if is_meant && self.can_be_fulfilled(number) {
                self.fulfil(now, number, out);
                // It is not in the list any more, and what it wants now may suit others.
                at = 0;
            } else {
                at += 1;
            }
        }
    }

    /// Whether a request agrees with those of the others.
    fn can_be_fulfilled(&self, number: u64) -> bool {
        let Some(user) = self.users.get(&number) else {
            return false;
        };
        let entry = self
            .by_key
            .get(&user.key)
            .and_then(|slot| self.entry(*slot));
        let others = entry.map_or(&[][..], |entry| &entry.users);
        let others = others.iter().filter(|used| used.user.number != number);
        let requests = others.map(|used| &used.request).chain([&user.wanted]);
        key::check(&user.key, &user.wanted).is_ok() && key::combine(requests).is_ok()
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
        let others = entry.users.iter().filter(|used| used.user != user);
        key::combine(others.map(|used| &used.request).chain([&request]))?;
        let place = entry.users.iter().position(|used| used.user == user);
        let losses_before = match place {
            Some(place) => entry.users.remove(place).losses_before,
            None => entry.losses,
        };
        entry.users.push(Use {
            user,
            request,
            losses_before,
        });
        entry.ends = None;
        self.apply(now, slot, out);
        Ok(())
    }

    /// Has a session do what its users want together.
    fn apply(&mut self, now: Instant, slot: usize, out: &mut Actions) {
        let Some(entry) = self.entries.get_mut(slot).and_then(Option::as_mut) else {
            return;
        };
        let requests = entry.users.iter().map(|used| &used.request);
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
}

/// A user's state; `entry` is its session.
fn state(user: &User, entry: Option<&Entry>) -> UserState {
    let used = entry.and_then(|entry| {
        let used = entry.users.iter().find(|used| used.user == user.id)?;
        Some((entry, entry.losses.wrapping_sub(used.losses_before)))
    });
    let last_down = |entry: &Entry, transitions: u32| -> Option<LastDown> {
        entry.last_down.filter(|_| transitions > 0)
    };
    let (level, transitions, last_down, status) = match used {
        Some((entry, transitions)) => {
            let level = match entry.level {
                // It failed before this user came.
                UserLevel::Down(_) if transitions == 0 => UserLevel::NotYetUp,
                level => level,
            };
            let status = entry.session.status();
            (
                level,
                transitions,
                last_down(entry, transitions),
                Some(status),
            )
        }
        None => {
            let level = user.refused.map_or(UserLevel::NotYetUp, UserLevel::Refused);
            (level, 0, None, None)
        }
    };
    UserState {
        user: user.id,
        key: user.key,
        state: level,
        transitions,
        last_down,
        send_error: used.and_then(|(entry, _)| entry.send_error),
        change_refused: user.refused.filter(|_| used.is_some()),
        status,
    }
}
