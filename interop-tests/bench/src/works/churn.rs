//! Work G: a day of real churn on a full table, as fast as it goes over the wire.
//!
//! The day's list says which prefix was announced or withdrawn and in which order, not with what. Each event is an
//! UPDATE of its own here, and each announcement of a prefix carries something else than the one before, so that nobody
//! may pass it over as a repetition; several prefixes share their attribute sets as in tables. A speaker may leave out
//! states that another event has overtaken: what counts is the table in the end, which is computed beside it.

use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, Result};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use ipnet::IpNet;

use super::clock::Clock;
use super::{Inputs, block_of, with_logs};
use crate::rig::SUBJECT_ASN;
use crate::{Measured, Plan, Quantity, Rig, Side};
use interop_lab::Lab;
use interop_lab::feed::{Attributes, Ear, Ended, Expectation, Goal, Table, encode};
use interop_lab::speaker::Family;
use interop_lab::subject::Kind;

const RATE: Quantity = Quantity::more("events", "/s");
/// Less than there were events where states were overtaken.
const HEARD: Quantity = Quantity::context("prefixes heard", "");

/// Prefixes that share an attribute set, about as in tables.
const SHARE: usize = 5;
/// Sets that the announcements of a prefix go through in turn.
const TURNS: usize = 3;
/// Of a made-up day: the real one has as many events on as many prefixes, one in 33 a withdrawal.
const MADE_UP: (usize, usize, usize) = (1_393_421, 134_867, 33);

/// What happens to a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Announced(IpNet),
    Withdrawn(IpNet),
}

/// Reads a gzipped list of events, `A prefix` or `W prefix` a line. `None` if there is no such file.
pub(super) fn load(path: &Path) -> Result<Option<Vec<Event>>> {
    let Ok(file) = std::fs::File::open(path) else {
        return Ok(None);
    };
    let lines = BufReader::new(flate2::read::GzDecoder::new(file)).lines();
    let events = lines.map(|line| {
        let line = line?;
        let event = match line.split_once(' ') {
            Some(("A", prefix)) => prefix.parse().ok().map(Event::Announced),
            Some(("W", prefix)) => prefix.parse().ok().map(Event::Withdrawn),
            _ => None,
        };
        event.with_context(|| format!("{}: \"{line}\" is no event", path.display()))
    });
    events.collect::<Result<Vec<_>>>().map(Some)
}

/// Events where no real ones are at hand.
pub(super) fn made_up(table: &Table) -> Vec<Event> {
    let (events, prefixes, withdrawals) = MADE_UP;
    let all = table.prefixes();
    let step = (all.len() / prefixes).max(1);
    let event = |number: usize| {
        // A large prime, so that neighbours in the list are not neighbours in time.
        let prefix = all[number.wrapping_mul(7_919) % prefixes * step % all.len()];
        match number % withdrawals {
            0 => Event::Withdrawn(prefix),
            _ => Event::Announced(prefix),
        }
    };
    (0..events).map(event).collect()
}

/// A day, encoded, with the sets that the prefixes which it touched end with; `None` for those that end withdrawn.
struct Day {
    octets: Vec<u8>,
    ends: HashMap<IpNet, Option<usize>, RandomState>,
}

impl Day {
    fn of(events: &[Event], sent: impl Fn(usize) -> Attributes) -> Self {
        let mut octets = Vec::new();
        let mut ends = HashMap::default();
        let mut known: HashMap<IpNet, (usize, usize), RandomState> = HashMap::default();
        for event in events {
            match *event {
                Event::Withdrawn(prefix) => {
                    octets.extend(encode::withdraw(&[prefix]));
                    ends.insert(prefix, None);
                }
                Event::Announced(prefix) => {
                    let place = known.len();
                    let (place, turn) = known.entry(prefix).or_insert((place, 0));
                    let set = block_of(1 + *turn % TURNS, *place / SHARE);
                    *turn += 1;
                    octets.extend(encode::announce(&sent(set), &[prefix]));
                    ends.insert(prefix, Some(set));
                }
            }
        }
        Self { octets, ends }
    }

    /// The table of which the day began, as the day left it.
    fn expect(
        &self,
        expected: &mut Expectation,
        table: &Table,
        sent: impl Fn(usize) -> Attributes,
    ) -> Result<()> {
        for number in 0..table.blocks() {
            let untouched: Vec<IpNet> = table
                .block(number)
                .iter()
                .filter(|prefix| !self.ends.contains_key(*prefix))
                .copied()
                .collect();
            if !untouched.is_empty() {
                expected.add(&untouched, sent(number).prepended(SUBJECT_ASN), 0)?;
            }
        }
        for (&prefix, set) in &self.ends {
            if let Some(set) = *set {
                expected.add(&[prefix], sent(set).prepended(SUBJECT_ASN), 0)?;
            }
        }
        Ok(())
    }
}

/// Work G.
pub(super) fn replay(inputs: &Inputs, kind: Kind) -> Result<Option<Vec<Measured>>> {
    let family = Family::Ipv4;
    let table = inputs.table(family);
    let events = inputs.churn()?;
    let plan = Plan {
        family,
        feeds: 1,
        monitors: 1,
        install: false,
    };
    let lab = Lab::new()?;
    let run = || {
        let mut rig = Rig::start(&lab, kind, plan)?;
        let hop = Side::Feeds.player(0, family);
        let sent = |set| Attributes::of_block(set, Side::Feeds.asn(0), hop);
        let mut before = Expectation::new(&rig.own_hops());
        for number in 0..table.blocks() {
            let attributes = sent(number).prepended(SUBJECT_ASN);
            before.add(table.block(number), attributes, 0)?;
        }
        let day = Day::of(events, sent);
        let mut after = inputs.expectation(&rig);
        day.expect(&mut after, table, sent)?;
        let octets = encode::table(table, sent);

        let monitor = rig.monitors()?[0];
        let feed = rig.feeds(Ear::Forgets)?[0];
        rig.players.send(feed, octets)?;
        let mut goals = [Goal::new(monitor, &before, None)];
        let Ended::Complete { .. } = rig.wait(inputs, &mut goals)? else {
            return Ok(None);
        };
        let mut goals = [Goal::new(monitor, &after, None)];
        goals[0].catch_up(&rig.players)?;
        let prefixes = |rig: &Rig| -> Result<u64> {
            let heard = rig.players.heard(monitor)?;
            Ok(heard.announced + heard.withdrawn)
        };
        let heard_before = prefixes(&rig)?;
        let clock = Clock::start(&mut rig)?;
        rig.players.send(feed, day.octets)?;
        let Ended::Complete { since, own_cpu } = rig.wait(inputs, &mut goals)? else {
            return Ok(None);
        };
        let mut metrics = clock.read(&rig, since[0], own_cpu)?;
        let seconds = since[0].saturating_duration_since(clock.started);
        metrics.insert(1, RATE.is(events.len() as f64 / seconds.as_secs_f64()));
        metrics.push(HEARD.is((prefixes(&rig)? - heard_before) as f64));
        Ok(Some(vec![Measured {
            heading: "G",
            metrics,
        }]))
    };
    with_logs(&lab, run())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_day_ends_with_the_last_event_of_each_prefix() {
        let table = Table::made_up(Family::Ipv4, 100);
        let [first, second] = [table.prefixes()[0], table.prefixes()[1]];
        let events = [
            Event::Announced(first),
            Event::Announced(second),
            Event::Withdrawn(first),
            Event::Announced(second),
        ];
        let sent = |set| Attributes::of_block(set, 64601, "10.1.0.2".parse().unwrap());
        let day = Day::of(&events, sent);
        assert_eq!(day.ends[&first], None);
        assert_eq!(day.ends[&second], Some(block_of(2, 0)), "another set");
        let mut expected = Expectation::default();
        day.expect(&mut expected, &table, sent).unwrap();
        assert_eq!(expected.required(None), 99);
    }

    #[test]
    fn a_made_up_day_has_as_many_events_and_prefixes_as_a_real_one() {
        let table = Table::made_up(Family::Ipv4, 1_042_325);
        let events = made_up(&table);
        let prefixes = events.iter().map(|event| match event {
            Event::Announced(prefix) | Event::Withdrawn(prefix) => *prefix,
        });
        let distinct: std::collections::HashSet<IpNet> = prefixes.collect();
        assert_eq!((events.len(), distinct.len()), (MADE_UP.0, MADE_UP.1));
    }
}
