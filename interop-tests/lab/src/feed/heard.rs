//! What a receiver has heard: the octets as they came, and what they amount to.
//!
//! While the clock runs, a [`Recording`] only keeps octets, notes when they came, and counts the prefixes in them: that
//! costs next to nothing, so that two cores are the subject's. Afterwards a [`Replay`] goes through every message,
//! keeps the table that a router would, compares every prefix and every attribute with what must be there, and so knows
//! when the table became right for good. It goes on where it stopped when more octets have come.

use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};
use ipnet::IpNet;

use super::expect::{Expectation, Got, Packed, Source};
use super::wire::{Parts, count};
use crate::raw::{KEEPALIVE, NOTIFICATION, UPDATE};

/// Of a message (RFC 4271 4.1).
pub(super) const HEADER: usize = 19;
const MAX_MESSAGE: usize = 4096;

/// What came on a session, and when.
#[derive(Debug, Default)]
pub struct Recording {
    octets: Vec<u8>,
    /// After each read: how many octets there were, and the time.
    arrivals: Vec<(usize, Instant)>,
    counted: usize,
    /// Prefixes announced so far, each as often as it was.
    pub announced: u64,
    /// Prefixes withdrawn so far, likewise.
    pub withdrawn: u64,
    /// UPDATEs so far.
    pub updates: u64,
    /// When each KEEPALIVE came.
    pub keepalives: Vec<Instant>,
    /// When the last UPDATE came.
    pub last_update: Option<Instant>,
}

impl Recording {
    /// Takes in octets that came at `now`.
    ///
    /// # Errors
    /// They hold a NOTIFICATION, or something that is no message.
    pub fn take_in(&mut self, octets: &[u8], now: Instant) -> Result<()> {
        self.octets.extend_from_slice(octets);
        self.arrivals.push((self.octets.len(), now));
        while let Some((kind, body)) = message_at(&self.octets, self.counted)? {
            self.counted += HEADER + body.len();
            match kind {
                UPDATE => {
                    let parts = Parts::of(body)?;
                    self.announced += count(parts.announced) + count(parts.reach);
                    self.withdrawn += count(parts.withdrawn) + count(parts.unreach);
                    self.updates += 1;
                    self.last_update = Some(now);
                }
                KEEPALIVE => self.keepalives.push(now),
                NOTIFICATION => bail!("the subject sent a NOTIFICATION: {body:?}"),
                _ => {}
            }
        }
        Ok(())
    }

    /// When each of these prefixes was announced first; `None` where it was not.
    ///
    /// # Errors
    /// A message cannot be read.
    pub fn first_arrivals(&self, prefixes: &[IpNet]) -> Result<Vec<Option<Instant>>> {
        let mut left: HashMap<IpNet, usize, RandomState> = (0..)
            .zip(prefixes)
            .map(|(place, &prefix)| (prefix, place))
            .collect();
        let mut found = vec![None; prefixes.len()];
        let (mut at, mut arrival) = (0, 0);
        while let Some((kind, body)) = message_at(&self.octets, at)? {
            at += HEADER + body.len();
            if kind != UPDATE {
                continue;
            }
            for prefix in Parts::of(body)?.routes() {
                if let Some(place) = left.remove(&prefix?) {
                    found[place] = Some(self.arrival(at, &mut arrival)?);
                }
            }
        }
        Ok(found)
    }

    /// When the octet before `end` came. `from` is where in the list of arrivals to begin; it moves on.
    fn arrival(&self, end: usize, from: &mut usize) -> Result<Instant> {
        while let Some(&(until, at)) = self.arrivals.get(*from) {
            if until >= end {
                return Ok(at);
            }
            *from += 1;
        }
        bail!("octets that never came")
    }
}

/// How long the message is that `octets` begin with, if its header is there.
pub(super) fn length_of(octets: &[u8]) -> Result<Option<usize>> {
    let Some(header) = octets.first_chunk::<HEADER>() else {
        return Ok(None);
    };
    let length = usize::from(u16::from_be_bytes([header[16], header[17]]));
    ensure!(
        (HEADER..=MAX_MESSAGE).contains(&length),
        "a message of {length} octets"
    );
    Ok(Some(length))
}

/// The message that begins at `at`, if all of it is there: its type and body.
pub(super) fn message_at(octets: &[u8], at: usize) -> Result<Option<(u8, &[u8])>> {
    let octets = &octets[at..];
    let Some(length) = length_of(octets)? else {
        return Ok(None);
    };
    let body = octets.get(HEADER..length);
    Ok(body.map(|body| (octets[HEADER - 1], body)))
}

/// How a prefix stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Absent,
    Right,
    Wrong,
}

/// The table that a recording amounts to, compared with an expectation.
#[derive(Debug)]
pub struct Replay<'a> {
    expected: &'a Expectation,
    own: Option<Source>,
    standing: Vec<Standing>,
    extra: HashSet<Packed, RandomState>,
    /// Prefixes that are missing, wrong, or too many.
    off: usize,
    known: HashMap<u64, Got, RandomState>,
    hasher: RandomState,
    at: usize,
    arrival: usize,
    right_since: Option<Instant>,
}

impl<'a> Replay<'a> {
    /// A replay from the start. What `own` announced is the receiver's own: whether it comes back does not matter.
    pub fn new(expected: &'a Expectation, own: Option<Source>) -> Self {
        Self {
            expected,
            own,
            standing: vec![Standing::Absent; expected.len()],
            extra: HashSet::default(),
            off: expected.required(own),
            known: HashMap::default(),
            hasher: RandomState::default(),
            at: 0,
            arrival: 0,
            right_since: None,
        }
    }

    /// Goes through what has come since. Calls `seen` with every announced prefix and its time.
    ///
    /// # Errors
    /// A message cannot be read.
    pub fn go_on(&mut self, heard: &Recording, mut seen: impl FnMut(IpNet, Instant)) -> Result<()> {
        while let Some((kind, body)) = message_at(&heard.octets, self.at)? {
            self.at += HEADER + body.len();
            if kind != UPDATE {
                continue;
            }
            let at = heard.arrival(self.at, &mut self.arrival)?;
            let was_right = self.off == 0;
            let parts = Parts::of(body)?;
            for prefix in parts.gone() {
                self.withdrawn(prefix?);
            }
            let mut got = None;
            for prefix in parts.routes() {
                let prefix = prefix?;
                let got = match got {
                    Some(got) => got,
                    None => *got.insert(self.got(&parts)?),
                };
                self.announced(prefix, got);
                seen(prefix, at);
            }
            if self.off != 0 {
                self.right_since = None;
            } else if !was_right || self.right_since.is_none() {
                self.right_since = Some(at);
            }
        }
        Ok(())
    }

    /// Since when the table is right; `None` while it is not.
    pub fn right_since(&self) -> Option<Instant> {
        self.right_since
    }

    /// What `seen` is for: nothing.
    pub fn unseen(_: IpNet, _: Instant) {}

    fn got(&mut self, parts: &Parts<'_>) -> Result<Got> {
        let fingerprint = parts.fingerprint(&self.hasher)?;
        let mut got = match self.known.get(&fingerprint) {
            Some(&got) => got,
            None => {
                let got = Got::of(&parts.read()?);
                self.known.insert(fingerprint, got);
                got
            }
        };
        if let Some(hop) = parts.reach_hop {
            got.next_hop = hop.into();
        }
        Ok(got)
    }

    fn announced(&mut self, prefix: IpNet, got: Got) {
        let Some(number) = self.expected.find(prefix) else {
            self.off += usize::from(self.extra.insert(prefix.into()));
            return;
        };
        let stands = if self.expected.agrees(number, got) {
            Standing::Right
        } else {
            Standing::Wrong
        };
        self.stand(number, stands);
    }

    fn withdrawn(&mut self, prefix: IpNet) {
        match self.expected.find(prefix) {
            Some(number) => self.stand(number, Standing::Absent),
            None => self.off -= usize::from(self.extra.remove(&Packed::from(prefix))),
        }
    }

    fn stand(&mut self, number: usize, now: Standing) {
        if Some(self.expected.wanted(number).source) == self.own {
            return;
        }
        let before = std::mem::replace(&mut self.standing[number], now);
        match (before == Standing::Right, now == Standing::Right) {
            (true, false) => self.off += 1,
            (false, true) => self.off -= 1,
            (true, true) | (false, false) => {}
        }
    }

    /// Succeeds if the table is right.
    ///
    /// # Errors
    /// It is not: how many prefixes are missing, wrong and too many, and the first that is, with what it carries.
    pub fn verdict(&self, heard: &Recording) -> Result<()> {
        if self.off == 0 {
            return Ok(());
        }
        let required = |number: &usize| Some(self.expected.wanted(*number).source) != self.own;
        let with = |what: Standing| {
            (0..self.standing.len())
                .filter(required)
                .filter(move |&number| self.standing[number] == what)
        };
        let (missing, wrong) = (with(Standing::Absent), with(Standing::Wrong));
        let first = if let Some(number) = with(Standing::Wrong).next() {
            let prefix = self.expected.prefix(number);
            let got = last_of(heard, prefix)?;
            let wanted = self.expected.attributes(number);
            format!("{prefix} should carry {wanted:?}, but carries {got:?}")
        } else if let Some(number) = with(Standing::Absent).next() {
            format!("{} is missing", self.expected.prefix(number))
        } else {
            format!("nobody announces {}", self.an_extra(heard)?)
        };
        bail!(
            "{} prefixes are missing, {} carry something else, {} are too many; the first: {first}",
            missing.count(),
            wrong.count(),
            self.extra.len()
        )
    }

    fn an_extra(&self, heard: &Recording) -> Result<IpNet> {
        let mut found = None;
        each_update(heard, |parts| {
            for prefix in parts.routes() {
                let prefix = prefix?;
                if self.extra.contains(&Packed::from(prefix)) {
                    found = Some(prefix);
                }
            }
            Ok(())
        })?;
        found.context("no prefix that is too many")
    }
}

/// What a prefix was announced with last.
fn last_of(heard: &Recording, prefix: IpNet) -> Result<Option<super::Attributes>> {
    let mut last = None;
    each_update(heard, |parts| {
        for one in parts.routes() {
            if one? == prefix {
                last = Some(parts.read()?);
            }
        }
        Ok(())
    })?;
    Ok(last)
}

fn each_update(heard: &Recording, mut look: impl FnMut(&Parts<'_>) -> Result<()>) -> Result<()> {
    let mut at = 0;
    while let Some((kind, body)) = message_at(&heard.octets, at)? {
        at += HEADER + body.len();
        if kind == UPDATE {
            look(&Parts::of(body)?)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
