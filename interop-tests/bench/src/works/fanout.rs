//! Works E and R: one feed, many receivers.

use std::ops::Range;

use anyhow::Result;

use super::clock::Clock;
use super::{Inputs, with_logs};
use crate::rig::SUBJECT_ASN;
use crate::{Measured, Plan, Quantity, Rig, Side, Usage};
use interop_lab::Lab;
use interop_lab::feed::{Attributes, Caller, Ear, Ended, Goal, PlayerId, encode};
use interop_lab::speaker::{Family, Speaker};
use interop_lab::subject::Kind;

/// What the speaker's memory grew by at most since it started, for each receiver.
const PER_SESSION: Quantity = Quantity::less("per session", "kB");

/// Who receives what.
pub(super) struct Fan {
    heading: &'static str,
    receivers: usize,
    prefixes: usize,
    /// Whether feed and receivers are clients of a reflector. Then the routes of the first one are checked one by one,
    /// and what all others hear by the digest of their tables: so many tables of so many routes would take gigabytes.
    reflects: bool,
}

impl Fan {
    /// Work E.
    pub(super) const fn external(heading: &'static str, receivers: usize) -> Self {
        Self {
            heading,
            receivers,
            prefixes: 10_000,
            reflects: false,
        }
    }

    /// Work R.
    pub(super) const fn reflected(heading: &'static str, receivers: usize) -> Self {
        Self {
            heading,
            receivers,
            prefixes: 100_000,
            reflects: true,
        }
    }

    /// The subject as it has to be.
    fn speaker(&self, mut speaker: Speaker) -> Speaker {
        if self.reflects {
            for neighbour in &mut speaker.neighbours {
                neighbour.asn = speaker.asn;
                neighbour.route_reflector_client = true;
            }
        }
        speaker
    }

    /// What the feed sends a block with.
    fn sent(&self, number: usize) -> Attributes {
        let hop = Side::Feeds.player(0, Family::Ipv4);
        let block = Attributes::of_block(number, Side::Feeds.asn(0), hop);
        if self.reflects {
            block.internal()
        } else {
            block
        }
    }

    /// What a block must arrive with.
    fn passed(&self, rig: &Rig, number: usize) -> Attributes {
        if self.reflects {
            let client = rig.caller(Side::Feeds, 0).id;
            let reflector = rig.subject.speaker().router_id;
            self.sent(number).reflected(client, reflector)
        } else {
            self.sent(number).prepended(SUBJECT_ASN)
        }
    }

    /// Has players join.
    fn join(
        &self,
        rig: &mut Rig,
        side: Side,
        which: Range<usize>,
        ear: Ear,
    ) -> Result<Vec<PlayerId>> {
        let caller = |index| {
            let caller = rig.caller(side, index);
            let asn = if self.reflects {
                SUBJECT_ASN
            } else {
                caller.asn
            };
            Caller { asn, ..caller }
        };
        let callers = which.map(caller).collect();
        let feeds = side == Side::Feeds;
        rig.players.join(&rig.outside, callers, ear, feeds)
    }
}

/// All receivers hear what the feed sends.
pub(super) fn receivers(inputs: &Inputs, kind: Kind, fan: &Fan) -> Result<Option<Vec<Measured>>> {
    // One that is looked into, and one that is counted.
    let count = inputs.scaled(fan.receivers).max(2);
    let plan = Plan {
        family: Family::Ipv4,
        feeds: 1,
        monitors: count,
        install: false,
    };
    let lab = Lab::new()?;
    let run = || {
        let mut rig = Rig::start_with(&lab, kind, plan, |speaker| fan.speaker(speaker))?;
        let at_start = Usage::of(&rig.node)?;
        let table = inputs.slice(0, fan.prefixes)?;
        let mut expected = inputs.expectation(&rig);
        for number in 0..table.blocks() {
            expected.add(table.block(number), fan.passed(&rig, number), 0)?;
        }
        let digest = expected.digest();
        let octets = encode::table(&table, |number| fan.sent(number));
        let looked_into = if fan.reflects { 1 } else { count };
        let monitors = fan.join(&mut rig, Side::Monitors, 0..looked_into, Ear::Keeps)?;
        let counted = fan.join(&mut rig, Side::Monitors, looked_into..count, Ear::Sums)?;
        let feeds = fan.join(&mut rig, Side::Feeds, 0..1, Ear::Forgets)?;
        let clock = Clock::start(&mut rig)?;
        rig.players.send(feeds[0], octets)?;
        let mut goals: Vec<Goal<'_>> = monitors
            .iter()
            .map(|&monitor| Goal::new(monitor, &expected, None))
            .collect();
        goals.extend(counted.iter().map(|&one| Goal::digest(one, digest)));
        let Ended::Complete { since, own_cpu } = rig.wait(inputs, &mut goals)? else {
            return Ok(None);
        };
        let last = since.iter().max().copied().unwrap_or(clock.started);
        let mut metrics = clock.read(&rig, last, own_cpu)?;
        let grown = Usage::of(&rig.node)?
            .peak_kb
            .saturating_sub(at_start.resident_kb);
        metrics.push(PER_SESSION.is(grown as f64 / count as f64));
        Ok(Some(vec![Measured {
            heading: fan.heading,
            metrics,
        }]))
    };
    with_logs(&lab, run())
}
