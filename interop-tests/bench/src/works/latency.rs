//! Work H: while full tables stream in from one peer, how long does a prefix of another take, and are keepalives late?

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ipnet::{IpNet, Ipv4Net};

use super::clock::Clock;
use super::{Inputs, block_of, with_logs};
use crate::rig::SUBJECT_ASN;
use crate::{CPU, Measured, OWN_CPU, PEAK, Plan, Quantity, Rig, Side, quantile};
use interop_lab::Lab;
use interop_lab::feed::{Attributes, Ear, Ended, Goal, encode};
use interop_lab::speaker::Family;
use interop_lab::subject::Kind;

const HALF: Quantity = Quantity::less("p50", "ms");
const MOST: Quantity = Quantity::less("p99", "ms");
const WORST: Quantity = Quantity::less("max", "ms");
/// Between two KEEPALIVEs that should come every second.
const GAP: Quantity = Quantity::less("keepalive gap", "s");
const PROBES: Quantity = Quantity::context("probes", "");
const TABLES: Quantity = Quantity::context("tables", "");

/// Between two probes.
const PACE: Duration = Duration::from_millis(20);
/// A table after the other for so long, that there are enough probes and keepalives to judge by.
const LOAD: Duration = Duration::from_secs(10);
const ENOUGH: usize = 100;
/// The least that every speaker takes: it has to send a KEEPALIVE every second.
const SHORT_HOLD_TIME: Duration = Duration::from_secs(3);
/// Where probes begin: for benchmarks (RFC 2544), so in no real table.
const PROBE_SPACE: u32 = u32::from_be_bytes([198, 18, 0, 0]);

fn probe(number: usize) -> Result<IpNet> {
    Ok(Ipv4Net::new((PROBE_SPACE + number as u32).into(), 32)?.into())
}

/// What went in.
struct Loaded {
    /// When each probe was sent.
    probes: Vec<Instant>,
    /// The number of tables.
    tables: usize,
}

/// Who can do it at all: the feeds are to hear nothing, and a policy for that is not written for GoBGP.
pub(super) fn sends_nothing_to_some(kind: Kind) -> bool {
    kind != Kind::GoBgp
}

/// Work H.
pub(super) fn under_load(inputs: &Inputs, kind: Kind) -> Result<Option<Vec<Measured>>> {
    let family = Family::Ipv4;
    let table = inputs.table(family);
    // Nothing is advertised to the second monitor: it receives KEEPALIVEs only.
    let plan = Plan {
        family,
        feeds: 2,
        monitors: 2,
        install: false,
    };
    let lab = Lab::new()?;
    let run = || {
        let mut rig = Rig::start_with(&lab, kind, plan, |mut speaker| {
            if let Some(last) = speaker.neighbours.pop() {
                speaker.neighbours.push(last.export_nothing());
            }
            speaker
        })?;
        let sent = |round: usize, number: usize| {
            let hop = Side::Feeds.player(0, family);
            Attributes::of_block(block_of(round % 2, number), Side::Feeds.asn(0), hop)
        };
        let of_probes = Attributes::of_block(0, Side::Feeds.asn(1), Side::Feeds.player(1, family));
        let rounds = [0, 1].map(|round| encode::table(table, |number| sent(round, number)));
        let callers = vec![rig.caller(Side::Monitors, 0)];
        let monitor = rig.players.join(&rig.outside, callers, Ear::Keeps, false)?[0];
        let feeds = rig.feeds(Ear::Forgets)?;
        let clock = Clock::start(&mut rig)?;
        let mut quiet = rig.caller(Side::Monitors, 1);
        quiet.hold_time = SHORT_HOLD_TIME;
        let quiet = rig
            .players
            .join(&rig.outside, vec![quiet], Ear::Keeps, false)?[0];

        let announce = |number| Ok(encode::announce(&of_probes, &[probe(number)?]));
        let Some(loaded) = load(inputs, &mut rig, [feeds[0], feeds[1]], &rounds, announce)? else {
            return Ok(None);
        };
        let gap = longest_gap(&rig.players.heard(quiet)?.keepalives, Instant::now());
        // Looking at tables keeps the loop from serving so short a hold time.
        rig.players.close(quiet);

        let mut expected = inputs.expectation(&rig);
        for number in 0..table.blocks() {
            let attributes = sent(loaded.tables - 1, number).prepended(SUBJECT_ASN);
            expected.add(table.block(number), attributes, 0)?;
        }
        let probes: Vec<IpNet> = (0..loaded.probes.len()).map(probe).collect::<Result<_>>()?;
        expected.add(&probes, of_probes.prepended(SUBJECT_ASN), 1)?;
        let mut goals = [Goal::new(monitor, &expected, None)];
        let Ended::Complete { since, own_cpu } = rig.wait(inputs, &mut goals)? else {
            return Ok(None);
        };
        let arrived = rig.players.heard(monitor)?.first_arrivals(&probes)?;
        let latencies = latencies(&loaded.probes, &arrived)?;
        let share = |share: f64| quantile(&latencies, share).unwrap_or_default();
        let mut metrics = vec![
            HALF.is(share(0.5)),
            MOST.is(share(0.99)),
            WORST.is(share(1.0)),
            GAP.is(gap.as_secs_f64()),
        ];
        let cost = clock.read(&rig, since[0], own_cpu)?;
        let kept = [CPU, PEAK, OWN_CPU];
        metrics.extend(cost.into_iter().filter(|one| kept.contains(&one.quantity)));
        metrics.push(PROBES.is(latencies.len() as f64));
        metrics.push(TABLES.is(loaded.tables as f64));
        Ok(Some(vec![Measured {
            heading: "H",
            metrics,
        }]))
    };
    with_logs(&lab, run())
}

/// How long each probe was on its way, in milliseconds.
fn latencies(sent: &[Instant], arrived: &[Option<Instant>]) -> Result<Vec<f64>> {
    let each = sent.iter().zip(arrived).map(|(sent, arrived)| {
        let arrived = arrived.context("a probe that never came, in a table that is right")?;
        Ok((arrived - *sent).as_secs_f64() * 1000.0)
    });
    each.collect()
}

/// Streams tables, and probes beside them. `None` if the speaker does not take them in within the limit.
fn load(
    inputs: &Inputs,
    rig: &mut Rig,
    [of_tables, of_probes]: [interop_lab::feed::PlayerId; 2],
    rounds: &[Vec<u8>; 2],
    announce: impl Fn(usize) -> Result<Vec<u8>>,
) -> Result<Option<Loaded>> {
    let started = Instant::now();
    let mut loaded = Loaded {
        probes: Vec::new(),
        tables: 1,
    };
    rig.players.send(of_tables, rounds[0].clone())?;
    let mut next = started + PACE;
    loop {
        rig.players
            .turn(next.saturating_duration_since(Instant::now()))?;
        if Instant::now() >= next {
            let octets = announce(loaded.probes.len())?;
            loaded.probes.push(Instant::now());
            rig.players.send(of_probes, octets)?;
            next += PACE;
        }
        if rig.players.is_all_sent() {
            if started.elapsed() >= LOAD && loaded.probes.len() >= ENOUGH {
                return Ok(Some(loaded));
            }
            let octets = rounds[loaded.tables % 2].clone();
            rig.players.send(of_tables, octets)?;
            loaded.tables += 1;
        }
        if started.elapsed() > inputs.limit {
            return Ok(None);
        }
    }
}

/// The longest time without a KEEPALIVE, until `end`.
fn longest_gap(keepalives: &[Instant], end: Instant) -> Duration {
    let later = keepalives.iter().skip(1).chain([&end]);
    let gaps = keepalives.iter().zip(later).map(|(one, next)| *next - *one);
    gaps.max().unwrap_or(LOAD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_gap_may_be_the_one_at_the_end() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let gap = |end| longest_gap(&[at(0), at(1), at(3)], end);
        assert_eq!(gap(at(4)), Duration::from_secs(2));
        assert_eq!(gap(at(9)), Duration::from_secs(6));
    }
}
