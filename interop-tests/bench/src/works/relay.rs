//! Works A to D and F: feeds send tables, a monitor receives what the speaker advertises.

use anyhow::{Context, Result};

use super::clock::Clock;
use super::{Inputs, block_of, with_logs};
use crate::rig::SUBJECT_ASN;
use crate::{Measured, Metric, Plan, Quantity, Rig, Side, quantile};
use interop_lab::Lab;
use interop_lab::feed::{Attributes, Ear, Ended, Expectation, Goal, PlayerId, Table, encode};
use interop_lab::speaker::Family;
use interop_lab::subject::Kind;

/// Until every feed holds everything, too.
const ALL_FEEDS: Quantity = Quantity::less("all feeds", "s");

/// What share of all prefixes the monitor has after so long.
const SHARES: [(f64, Quantity); 3] = [
    (0.5, Quantity::less("p50", "ms")),
    (0.95, Quantity::less("p95", "ms")),
    (0.99, Quantity::less("p99", "ms")),
];

/// What several feeds exchange.
pub(super) struct Exchange {
    heading: &'static str,
    feeds: usize,
    prefixes: usize,
    /// Under which heading the withdrawal of everything is reported, where it is.
    withdrawal: Option<&'static str>,
}

/// Work B.
pub(super) const MANY_ROUTES: Exchange = Exchange {
    heading: "B",
    feeds: 10,
    prefixes: 100_000,
    withdrawal: Some("F after B"),
};

/// Work C.
pub(super) const MANY_FEEDS: Exchange = Exchange {
    heading: "C",
    feeds: 100,
    prefixes: 1_000,
    withdrawal: None,
};

/// What a feed's block is sent with.
fn sent(feed: usize, number: usize, family: Family) -> Attributes {
    let hop = Side::Feeds.player(feed, family);
    Attributes::of_block(block_of(feed, number), Side::Feeds.asn(feed), hop)
}

/// Adds a feed's table to what is expected.
fn expect(
    expected: &mut Expectation,
    table: &Table,
    feed: usize,
    sent: impl Fn(usize) -> Attributes,
) -> Result<()> {
    for number in 0..table.blocks() {
        let attributes = sent(number).prepended(SUBJECT_ASN);
        expected.add(table.block(number), attributes, feed as u16)?;
    }
    Ok(())
}

/// Works A and A6.
pub(super) fn full_table(
    inputs: &Inputs,
    kind: Kind,
    family: Family,
) -> Result<Option<Vec<Measured>>> {
    let heading = match family {
        Family::Ipv4 => "A",
        Family::Ipv6 => "A6",
    };
    let nothing_more = |_: &Rig, _: PlayerId, _: &Clock| Ok(Vec::new());
    one_feed(inputs, kind, heading, inputs.table(family), nothing_more)
}

/// Work A100000. Each prefix counts from the first octet that the feed sends, whenever its own message follows: a
/// speaker that reads slowly keeps the feed waiting, and does not gain by that.
pub(super) fn per_prefix(inputs: &Inputs, kind: Kind) -> Result<Option<Vec<Measured>>> {
    let table = inputs.slice(0, 100_000)?;
    one_feed(inputs, kind, "A100000", &table, |rig, monitor, clock| {
        let arrived = rig
            .players
            .heard(monitor)?
            .first_arrivals(table.prefixes())?;
        let after = arrived.into_iter().map(|arrived| {
            let arrived = arrived.context("a prefix that never came, in a table that is right")?;
            Ok(arrived
                .saturating_duration_since(clock.started)
                .as_secs_f64()
                * 1000.0)
        });
        let after = after.collect::<Result<Vec<f64>>>()?;
        let shares = SHARES.into_iter();
        let metric =
            |(share, quantity): (f64, Quantity)| Some(quantity.is(quantile(&after, share)?));
        Ok(shares.filter_map(metric).collect())
    })
}

/// A table from one feed to one monitor. `more` is measured once the monitor's is right.
fn one_feed(
    inputs: &Inputs,
    kind: Kind,
    heading: &'static str,
    table: &Table,
    more: impl Fn(&Rig, PlayerId, &Clock) -> Result<Vec<Metric>>,
) -> Result<Option<Vec<Measured>>> {
    let family = table.family();
    let plan = Plan {
        family,
        feeds: 1,
        monitors: 1,
        install: false,
    };
    let lab = Lab::new()?;
    let run = || {
        let mut rig = Rig::start(&lab, kind, plan)?;
        let mut expected = inputs.expectation(&rig);
        expect(&mut expected, table, 0, |n| sent(0, n, family))?;
        let octets = encode::table(table, |number| sent(0, number, family));
        let monitors = rig.monitors()?;
        let feeds = rig.feeds(Ear::Forgets)?;
        let clock = Clock::start(&mut rig)?;
        rig.players.send(feeds[0], octets)?;
        let mut goals = [Goal::new(monitors[0], &expected, None)];
        let Ended::Complete { since, own_cpu } = rig.wait(inputs, &mut goals)? else {
            return Ok(None);
        };
        let mut metrics = clock.read(&rig, since[0], own_cpu)?;
        let more = more(&rig, monitors[0], &clock)?;
        metrics.splice(1..1, more);
        Ok(Some(vec![Measured { heading, metrics }]))
    };
    with_logs(&lab, run())
}

/// Works B and C, and F after B.
pub(super) fn exchange(
    inputs: &Inputs,
    kind: Kind,
    what: &Exchange,
) -> Result<Option<Vec<Measured>>> {
    let family = Family::Ipv4;
    let plan = Plan {
        family,
        feeds: what.feeds,
        monitors: 1,
        install: false,
    };
    let lab = Lab::new()?;
    let run = || {
        let mut rig = Rig::start(&lab, kind, plan)?;
        let mut expected = inputs.expectation(&rig);
        let mut tables = Vec::new();
        for feed in 0..what.feeds {
            let table = inputs.slice(feed * what.prefixes, what.prefixes)?;
            expect(&mut expected, &table, feed, |n| sent(feed, n, family))?;
            tables.push(encode::table(&table, |n| sent(feed, n, family)));
        }
        let monitors = rig.monitors()?;
        let feeds = rig.feeds(Ear::Keeps)?;
        let clock = Clock::start(&mut rig)?;
        for (&feed, octets) in feeds.iter().zip(tables) {
            rig.players.send(feed, octets)?;
        }
        let mut goals = vec![Goal::new(monitors[0], &expected, None)];
        goals.extend(
            (0u16..)
                .zip(&feeds)
                .map(|(source, &feed)| Goal::new(feed, &expected, Some(source))),
        );
        let Ended::Complete { since, own_cpu } = rig.wait(inputs, &mut goals)? else {
            return Ok(None);
        };
        drop(goals);
        let last = since.iter().max().copied().unwrap_or(clock.started);
        let mut metrics = clock.read(&rig, since[0], own_cpu)?;
        metrics.insert(1, ALL_FEEDS.seconds(last - clock.started));
        let mut measured = vec![Measured {
            heading: what.heading,
            metrics,
        }];
        if let Some(heading) = what.withdrawal {
            let held = expected.required(None);
            match withdraw(inputs, &mut rig, &feeds, monitors[0], held, heading)? {
                Some(withdrawal) => measured.push(withdrawal),
                None => return Ok(None),
            }
        }
        Ok(Some(measured))
    };
    with_logs(&lab, run())
}

/// Work D, and F after it.
pub(super) fn contest(inputs: &Inputs, kind: Kind) -> Result<Option<Vec<Measured>>> {
    const FEEDS: usize = 10;
    let family = Family::Ipv4;
    let plan = Plan {
        family,
        feeds: FEEDS,
        monitors: 1,
        install: false,
    };
    let lab = Lab::new()?;
    let run = || {
        let mut rig = Rig::start(&lab, kind, plan)?;
        let table = inputs.slice(0, 100_000)?;
        let sent = |feed: usize, number: usize| {
            let hop = Side::Feeds.player(feed, family);
            Attributes::contested(number, feed, FEEDS, Side::Feeds.asn(feed), hop)
        };
        let mut expected = inputs.expectation(&rig);
        expect(&mut expected, &table, 0, |number| {
            sent(Attributes::winner(number, FEEDS), number)
        })?;
        let tables: Vec<Vec<u8>> = (0..FEEDS)
            .map(|feed| encode::table(&table, |number| sent(feed, number)))
            .collect();
        let monitors = rig.monitors()?;
        let feeds = rig.feeds(Ear::Forgets)?;
        let clock = Clock::start(&mut rig)?;
        for (&feed, octets) in feeds.iter().zip(tables) {
            rig.players.send(feed, octets)?;
        }
        let mut goals = [Goal::new(monitors[0], &expected, None)];
        let Ended::Complete { since, own_cpu } = rig.wait(inputs, &mut goals)? else {
            return Ok(None);
        };
        let done = Measured {
            heading: "D",
            metrics: clock.read(&rig, since[0], own_cpu)?,
        };
        let held = expected.required(None);
        let withdrawal = withdraw(inputs, &mut rig, &feeds, monitors[0], held, "F after D")?;
        Ok(withdrawal.map(|withdrawal| vec![done, withdrawal]))
    };
    with_logs(&lab, run())
}

/// Work F: all feeds close at once, and every route has to be withdrawn from the monitor.
fn withdraw(
    inputs: &Inputs,
    rig: &mut Rig,
    feeds: &[PlayerId],
    monitor: PlayerId,
    held: usize,
    heading: &'static str,
) -> Result<Option<Measured>> {
    let nothing = Expectation::new(&[]);
    let before = rig.players.heard(monitor)?.withdrawn as usize;
    let clock = Clock::start(rig)?;
    for &feed in feeds {
        rig.players.close(feed);
    }
    let mut goals = [Goal::new(monitor, &nothing, None).after_withdrawals(before + held)];
    let Ended::Complete { since, own_cpu } = rig.wait(inputs, &mut goals)? else {
        return Ok(None);
    };
    Ok(Some(Measured {
        heading,
        metrics: clock.read(rig, since[0], own_cpu)?,
    }))
}

impl Inputs {
    /// An expectation without routes: of a rig, and altered where the inputs say so.
    pub(super) fn expectation(&self, rig: &Rig) -> Expectation {
        let mut expected = Expectation::new(&rig.own_hops());
        if self.altered {
            expected.alter();
        }
        expected
    }
}
