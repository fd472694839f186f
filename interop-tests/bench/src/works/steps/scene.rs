//! A subject with one feed, until what a work does has had its effect.

use std::time::{Duration, Instant};

use anyhow::Result;
use interop_lab::Lab;
use interop_lab::feed::{Attributes, Ear, Ended, Expectation, Goal, PlayerId, Table, encode};
use interop_lab::speaker::{Family, Speaker};
use interop_lab::subject::Kind;

use super::page::Page;
use crate::rig::SUBJECT_ASN;
use crate::works::Inputs;
use crate::works::clock::Clock;
use crate::{CPU, Measured, Plan, Rig, Side, TIME};

/// Between two looks at a page.
const LOOK: Duration = Duration::from_millis(100);

/// What was measured, if it was done within the limit.
pub(super) type Done = Result<Option<Vec<Measured>>>;

/// A subject with one feed, and what the feed sends.
pub(super) struct Scene<'a> {
    inputs: &'a Inputs,
    pub(super) rig: Rig,
    pub(super) table: Table,
    pub(super) feed: PlayerId,
    expected: Expectation,
}

fn sent(number: usize) -> Attributes {
    let hop = Side::Feeds.player(0, Family::Ipv4);
    Attributes::of_block(number, Side::Feeds.asn(0), hop)
}

impl<'a> Scene<'a> {
    /// With the subject up and the feed there, which has sent nothing.
    pub(super) fn new(
        lab: &Lab,
        inputs: &'a Inputs,
        kind: Kind,
        (plan, table): (Plan, Table),
        change: impl FnOnce(Speaker) -> Speaker,
    ) -> Result<Self> {
        let mut rig = Rig::start_with(lab, kind, plan, change)?;
        let mut expected = inputs.expectation(&rig);
        for number in 0..table.blocks() {
            let attributes = sent(number).prepended(SUBJECT_ASN);
            expected.add(table.block(number), attributes, 0)?;
        }
        let feed = rig.feeds(Ear::Forgets)?[0];
        Ok(Self {
            inputs,
            rig,
            table,
            feed,
            expected,
        })
    }

    pub(super) fn send_table(&mut self) -> Result<()> {
        let octets = encode::table(&self.table, sent);
        self.rig.players.send(self.feed, octets)
    }

    /// Until a monitor has the table. `false`: not within the limit.
    pub(super) fn is_told(&mut self, monitor: PlayerId) -> Result<Option<Instant>> {
        let mut goals = [Goal::new(monitor, &self.expected, None)];
        Ok(match self.rig.wait(self.inputs, &mut goals)? {
            Ended::Complete { since, .. } => since.first().copied(),
            _ => None,
        })
    }

    /// Until so many more prefixes than `before` were withdrawn from a monitor.
    pub(super) fn is_untold(
        &mut self,
        monitor: PlayerId,
        before: usize,
    ) -> Result<Option<Instant>> {
        let nothing = Expectation::new(&[]);
        let count = before + self.table.prefixes().len();
        let mut goals = [Goal::new(monitor, &nothing, None).after_withdrawals(count)];
        Ok(match self.rig.wait(self.inputs, &mut goals)? {
            Ended::Complete { since, .. } => since.first().copied(),
            _ => None,
        })
    }

    /// Until these series of the subject's have this sum. `None`: not within the limit.
    pub(super) fn until(
        &mut self,
        names: &[&str],
        labels: &str,
        wanted: f64,
    ) -> Result<Option<Instant>> {
        let started = Instant::now();
        while started.elapsed() < self.inputs.limit {
            let page = Page::of(&self.rig)?;
            let values = names.iter().flat_map(|name| page.values(name, labels));
            let sum: f64 = values.sum();
            if (sum - wanted).abs() < 0.5 {
                return Ok(Some(Instant::now()));
            }
            let next = Instant::now() + LOOK;
            while Instant::now() < next {
                self.rig.players.turn(Duration::from_millis(5))?;
            }
        }
        Ok(None)
    }

    /// A table in the kernel. `false`: not within the limit.
    pub(super) fn install(&mut self, count: usize) -> Result<bool> {
        self.send_table()?;
        let there = self.until(&["routelet_fib_routes"], "ipv4-unicast", count as f64)?;
        Ok(there.is_some())
    }

    /// What was measured until `end`.
    pub(super) fn report(&self, heading: &'static str, clock: &Clock, end: Instant) -> Done {
        let mut metrics = Page::of(&self.rig)?.metrics().to_vec();
        let cost = clock.read(&self.rig, end, Duration::ZERO)?;
        let kept = [TIME, CPU];
        metrics.extend(cost.into_iter().filter(|one| kept.contains(&one.quantity)));
        Ok(Some(vec![Measured { heading, metrics }]))
    }
}
