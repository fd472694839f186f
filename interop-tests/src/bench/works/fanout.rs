//! Work E: one feed, many receivers.

use anyhow::Result;

use super::clock::Clock;
use super::{Inputs, with_logs};
use crate::bench::rig::SUBJECT_ASN;
use crate::bench::{Measured, Plan, Quantity, Rig, Side, Usage};
use crate::feed::{Attributes, Ear, Ended, Goal, encode};
use crate::lab::Lab;
use crate::speaker::Family;
use crate::subject::Kind;

/// What the speaker's memory grew by at most since it started, for each receiver.
const PER_SESSION: Quantity = Quantity::less("per session", "kB");

/// `count` receivers hear 10,000 prefixes.
pub(super) fn receivers(
    inputs: &Inputs,
    kind: Kind,
    heading: &'static str,
    count: usize,
) -> Result<Option<Vec<Measured>>> {
    let family = Family::Ipv4;
    let count = inputs.scaled(count);
    let plan = Plan {
        family,
        feeds: 1,
        monitors: count,
        install: false,
    };
    let lab = Lab::new()?;
    let run = || {
        let mut rig = Rig::start(&lab, kind, plan)?;
        let at_start = Usage::of(&rig.node)?;
        let table = inputs.slice(0, 10_000)?;
        let hop = Side::Feeds.player(0, family);
        let sent = |number| Attributes::of_block(number, Side::Feeds.asn(0), hop);
        let mut expected = inputs.expectation(&rig);
        for number in 0..table.blocks() {
            let attributes = sent(number).prepended(SUBJECT_ASN);
            expected.add(table.block(number), attributes, 0)?;
        }
        let octets = encode::table(&table, sent);
        let monitors = rig.monitors()?;
        let feeds = rig.feeds(Ear::Forgets)?;
        let clock = Clock::start(&mut rig)?;
        rig.players.send(feeds[0], octets)?;
        let mut goals: Vec<Goal<'_>> = monitors
            .iter()
            .map(|&monitor| Goal::new(monitor, &expected, None))
            .collect();
        let Ended::Complete { since, own_cpu } = rig.wait(inputs, &mut goals)? else {
            return Ok(None);
        };
        let last = since.iter().max().copied().unwrap_or(clock.started);
        let mut metrics = clock.read(&rig, last, own_cpu)?;
        let grown = Usage::of(&rig.node)?
            .peak_kb
            .saturating_sub(at_start.resident_kb);
        metrics.push(PER_SESSION.is(grown as f64 / count as f64));
        Ok(Some(vec![Measured { heading, metrics }]))
    };
    with_logs(&lab, run())
}
