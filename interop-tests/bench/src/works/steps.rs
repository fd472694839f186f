//! Works S: what once kept the owner of the routes busy for long at once. Each measures the longest step, the longest hold of
//! the lock that it shares with the FIB, and how long the whole took, by the subject's own metrics.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::clock::Clock;
use super::{Inputs, with_logs};
use crate::rig::SUBJECT_ASN;
use crate::{CPU, Measured, Metric, Plan, Quantity, Rig, Side, TIME};
use interop_lab::Lab;
use interop_lab::feed::{Attributes, Ear, Ended, Expectation, Goal, PlayerId, Table, encode};
use interop_lab::speaker::{Family, Neighbour, Speaker};
use interop_lab::subject::Kind;

const LONGEST: Quantity = Quantity::less("longest step", "ms");
const HELD: Quantity = Quantity::less("longest hold", "ms");
/// Steps and holds that took more than 2 ms, since the start.
const LONG: Quantity = Quantity::less("over 2 ms", "");
const COMMAND: Quantity = Quantity::less("command", "s");

/// Where the subject serves its metrics.
const METRICS: &str = "127.0.0.1:7179";
/// How long a page may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks at a page.
const LOOK: Duration = Duration::from_millis(100);

type Done = Result<Option<Vec<Measured>>>;

/// A page of metrics.
struct Page(String);

impl Page {
    fn of(rig: &Rig) -> Result<Self> {
        let connected = rig.node.enter(|| TcpStream::connect(METRICS))?;
        let mut stream = connected.context("the metrics of the subject")?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(
            stream,
            "GET /metrics HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n"
        )?;
        let mut page = String::new();
        stream.read_to_string(&mut page)?;
        ensure!(page.starts_with("HTTP/1.1 200"), "{page}");
        Ok(Self(page))
    }

    /// The values of all series of this name that have these words in their labels.
    fn values<'a>(&'a self, name: &'a str, labels: &'a str) -> impl Iterator<Item = f64> + 'a {
        let series = self.0.lines().filter_map(|line| line.rsplit_once(' '));
        let named = series.filter(move |(series, _)| {
            let (of, with) = series.split_once('{').unwrap_or((series, ""));
            of == name && with.contains(labels)
        });
        named.filter_map(|(_, value)| value.parse().ok())
    }

    fn longest(&self, name: &str) -> f64 {
        self.values(name, "").fold(0.0, f64::max) * 1000.0
    }

    fn long(&self, name: &str) -> f64 {
        let all: f64 = self.values(&format!("{name}_count"), "").sum();
        let short: f64 = self.values(&format!("{name}_bucket"), "le=\"0.002\"").sum();
        all - short
    }

    fn metrics(&self) -> [Metric; 3] {
        let (steps, holds) = ("routelet_rib_step_seconds", "routelet_fib_lock_seconds");
        [
            LONGEST.is(self.longest("routelet_rib_longest_step_seconds")),
            HELD.is(self.longest("routelet_fib_longest_lock_seconds")),
            LONG.is(self.long(steps) + self.long(holds)),
        ]
    }
}

/// A subject with one feed, and what the feed sends.
struct Scene<'a> {
    inputs: &'a Inputs,
    rig: Rig,
    table: Table,
    feed: PlayerId,
    expected: Expectation,
}

fn sent(number: usize) -> Attributes {
    let hop = Side::Feeds.player(0, Family::Ipv4);
    Attributes::of_block(number, Side::Feeds.asn(0), hop)
}

fn whole(inputs: &Inputs) -> Table {
    let table = inputs.table(Family::Ipv4);
    table.first(table.prefixes().len())
}

/// A plan for one feed.
const fn plan(monitors: usize, install: bool) -> Plan {
    Plan {
        family: Family::Ipv4,
        feeds: 1,
        monitors,
        install,
    }
}

impl<'a> Scene<'a> {
    /// With the subject up and the feed there, which has sent nothing.
    fn new(
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

    fn send_table(&mut self) -> Result<()> {
        let octets = encode::table(&self.table, sent);
        self.rig.players.send(self.feed, octets)
    }

    /// Until a monitor has the table. `false`: not within the limit.
    fn is_told(&mut self, monitor: PlayerId) -> Result<Option<Instant>> {
        let mut goals = [Goal::new(monitor, &self.expected, None)];
        Ok(match self.rig.wait(self.inputs, &mut goals)? {
            Ended::Complete { since, .. } => since.first().copied(),
            _ => None,
        })
    }

    /// Until a monitor has been told to forget so many prefixes more than `before`.
    fn is_untold(&mut self, monitor: PlayerId, before: usize) -> Result<Option<Instant>> {
        let nothing = Expectation::new(&[]);
        let count = before + self.table.prefixes().len();
        let mut goals = [Goal::new(monitor, &nothing, None).after_withdrawals(count)];
        Ok(match self.rig.wait(self.inputs, &mut goals)? {
            Ended::Complete { since, .. } => since.first().copied(),
            _ => None,
        })
    }

    /// Until these series of the subject's have this sum. `None`: not within the limit.
    fn until(&mut self, names: &[&str], labels: &str, wanted: f64) -> Result<Option<Instant>> {
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
    fn install(&mut self, count: usize) -> Result<bool> {
        self.send_table()?;
        let there = self.until(&["routelet_fib_routes"], "ipv4-unicast", count as f64)?;
        Ok(there.is_some())
    }

    /// What was measured until `end`.
    fn report(&self, heading: &'static str, clock: &Clock, end: Instant) -> Done {
        let mut metrics = Page::of(&self.rig)?.metrics().to_vec();
        let cost = clock.read(&self.rig, end, Duration::ZERO)?;
        let kept = [TIME, CPU];
        metrics.extend(cost.into_iter().filter(|one| kept.contains(&one.quantity)));
        Ok(Some(vec![Measured { heading, metrics }]))
    }
}

/// Work S1.
pub(super) fn blocked(inputs: &Inputs, kind: Kind) -> Done {
    let lab = Lab::new()?;
    let table = whole(inputs);
    let run = || {
        let what = (plan(2, false), table);
        let mut scene = Scene::new(&lab, inputs, kind, what, |speaker| speaker)?;
        let callers = [0, 1].map(|index| scene.rig.caller(Side::Monitors, index));
        let [hears, deaf] = callers;
        let Scene { rig, .. } = &mut scene;
        let monitor = rig
            .players
            .join(&rig.outside, vec![hears], Ear::Keeps, false)?[0];
        rig.players
            .join(&rig.outside, vec![deaf], Ear::Deaf, false)?;
        scene.send_table()?;
        if scene.is_told(monitor)?.is_none() {
            return Ok(None);
        }
        let octets = encode::withdraw(scene.table.prefixes());
        let clock = Clock::start(&mut scene.rig)?;
        let before = scene.rig.players.heard(monitor)?.withdrawn as usize;
        scene.rig.players.send(scene.feed, octets)?;
        match scene.is_untold(monitor, before)? {
            Some(end) => scene.report("S1", &clock, end),
            None => Ok(None),
        }
    };
    with_logs(&lab, run())
}

/// Work S2.
pub(super) fn idle_peers(inputs: &Inputs, kind: Kind) -> Done {
    let lab = Lab::new()?;
    let idle = inputs.scaled(1000);
    let table = whole(inputs);
    let run = || {
        let what = (plan(1 + idle, false), table);
        let mut scene = Scene::new(&lab, inputs, kind, what, |mut speaker| {
            // After the feed and the first monitor.
            for neighbour in speaker.neighbours.iter_mut().skip(2) {
                *neighbour = neighbour.clone().export_nothing();
            }
            speaker
        })?;
        let monitor = scene.rig.monitors()?[0];
        scene.send_table()?;
        if scene.is_told(monitor)?.is_none() {
            return Ok(None);
        }
        let clock = Clock::start(&mut scene.rig)?;
        let before = scene.rig.players.heard(monitor)?.withdrawn as usize;
        scene.rig.players.close(scene.feed);
        match scene.is_untold(monitor, before)? {
            Some(end) => scene.report("S2", &clock, end),
            None => Ok(None),
        }
    };
    with_logs(&lab, run())
}

/// Work S3.
pub(super) fn policies(inputs: &Inputs, kind: Kind) -> Done {
    let lab = Lab::new()?;
    let receivers = inputs.scaled(100);
    let table = inputs.slice(0, 100_000)?;
    let run = || {
        let what = (plan(receivers, false), table);
        let mut scene = Scene::new(&lab, inputs, kind, what, |speaker| speaker)?;
        let Scene { rig, .. } = &mut scene;
        let callers = (0..receivers).map(|index| rig.caller(Side::Monitors, index));
        let callers: Vec<_> = callers.collect();
        rig.players
            .join(&rig.outside, callers, Ear::Forgets, false)?;
        scene.send_table()?;
        // Not all peers have series of their own.
        let advertised = &[
            "routelet_peer_prefixes_advertised",
            "routelet_peer_group_prefixes_advertised",
        ];
        let all = (receivers * scene.table.prefixes().len()) as f64;
        let labels = "family=\"ipv4-unicast\"";
        if scene.until(advertised, labels, all)?.is_none() {
            return Ok(None);
        }
        let mut speaker = scene.rig.subject.speaker().clone();
        let half: Vec<_> = scene.table.prefixes().iter().step_by(2).collect();
        speaker.extra = list("half", &half, "Reject");
        for neighbour in speaker.neighbours.iter_mut().skip(1) {
            *neighbour = neighbour.clone().extra(r#"{"export": ["half"]}"#);
        }
        let clock = Clock::start(&mut scene.rig)?;
        scene.rig.subject.reconfigure(speaker)?;
        let left = (receivers * (scene.table.prefixes().len() - half.len())) as f64;
        match scene.until(advertised, labels, left)? {
            Some(end) => scene.report("S3", &clock, end),
            None => Ok(None),
        }
    };
    with_logs(&lab, run())
}

/// A RoutePolicy that does this with these prefixes, and accepts all others.
fn list(name: &str, prefixes: &[&ipnet::IpNet], action: &str) -> String {
    let prefixes = prefixes.iter().map(|prefix| json!({"cidr": prefix}));
    let policy = json!({
        "apiVersion": "routelet.dev/v1alpha1",
        "kind": "RoutePolicy",
        "metadata": {"name": name},
        "spec": {"rules": [
            {"name": "listed", "match": {"prefixes": prefixes.collect::<Vec<_>>()}, "action": action},
            {"name": "others", "action": "Accept"},
        ]},
    });
    format!("---\n{policy}\n")
}

/// Work S4.
pub(super) fn listed(inputs: &Inputs, kind: Kind) -> Done {
    let lab = Lab::new()?;
    let table = whole(inputs);
    let run = || {
        let step = (table.prefixes().len() / inputs.scaled(20_000)).max(1);
        let some: Vec<_> = table.prefixes().iter().step_by(step).collect();
        let policy = list("listed", &some, "Accept");
        let what = (plan(1, false), table.first(table.prefixes().len()));
        let mut scene = Scene::new(&lab, inputs, kind, what, |mut speaker| {
            if let Some(feed) = speaker.neighbours.first_mut() {
                *feed = Neighbour::extra(feed.clone(), r#"{"import": ["listed"]}"#);
            }
            speaker.extra(&policy)
        })?;
        let monitor = scene.rig.monitors()?[0];
        let clock = Clock::start(&mut scene.rig)?;
        scene.send_table()?;
        match scene.is_told(monitor)? {
            Some(end) => scene.report("S4", &clock, end),
            None => Ok(None),
        }
    };
    with_logs(&lab, run())
}

/// Work S5.
pub(super) fn limited(inputs: &Inputs, kind: Kind) -> Done {
    let lab = Lab::new()?;
    let table = whole(inputs);
    let run = || {
        let all = table.prefixes().len();
        let most = all / 2;
        let what = (plan(0, true), table);
        let mut scene = Scene::new(&lab, inputs, kind, what, |mut speaker| {
            speaker.max_routes = most;
            speaker
        })?;
        let limited = &["routelet_fib_over_limit"];
        let rest = (all - most) as f64;
        if !scene.install(most)? || scene.until(limited, "", rest)?.is_none() {
            return Ok(None);
        }
        let clock = Clock::start(&mut scene.rig)?;
        let gone = inputs.scaled(1000);
        let step = (all / gone).max(1);
        let some: Vec<_> = scene.table.prefixes().iter().step_by(step).collect();
        let octets = some
            .iter()
            .take(gone)
            .map(|prefix| encode::withdraw(&[**prefix]));
        let octets: Vec<u8> = octets.flatten().collect();
        scene.rig.players.send(scene.feed, octets)?;
        let Some(end) = scene.until(limited, "", rest - gone as f64)? else {
            return Ok(None);
        };
        ensure!(
            scene
                .until(&["routelet_fib_routes"], "ipv4-unicast", most as f64)?
                .is_some(),
            "the kernel does not hold as many routes as maxRoutes allows"
        );
        scene.report("S5", &clock, end)
    };
    with_logs(&lab, run())
}

/// Work S6.
pub(super) fn shown(inputs: &Inputs, kind: Kind) -> Done {
    let lab = Lab::new()?;
    let table = whole(inputs);
    let run = || {
        let count = table.prefixes().len();
        let what = (plan(0, true), table);
        let mut scene = Scene::new(&lab, inputs, kind, what, |speaker| speaker)?;
        if !scene.install(count)? {
            return Ok(None);
        }
        let clock = Clock::start(&mut scene.rig)?;
        let asked = Instant::now();
        // All entries are looked at, and none is shown.
        scene.rig.subject.say(&["fib", "--state", "failed"])?;
        let took = asked.elapsed();
        let measured = scene.report("S6", &clock, Instant::now())?;
        Ok(measured.map(|mut measured| {
            for one in &mut measured {
                one.metrics.push(COMMAND.seconds(took));
            }
            measured
        }))
    };
    with_logs(&lab, run())
}

/// Work S7.
pub(super) fn beside(inputs: &Inputs, kind: Kind) -> Done {
    const PODS: u8 = 100;
    let lab = Lab::new()?;
    let table = whole(inputs);
    let run = || {
        let count = table.prefixes().len();
        let what = (plan(0, true), table);
        let mut scene = Scene::new(&lab, inputs, kind, what, |speaker| speaker)?;
        if !scene.install(count)? {
            return Ok(None);
        }
        let clock = Clock::start(&mut scene.rig)?;
        for pod in 0..PODS {
            let route = format!("route add 10.244.7.{pod}/32 dev eth1");
            scene.rig.node.ip(&route)?;
            scene.rig.players.turn(Duration::from_millis(10))?;
        }
        let end = Instant::now();
        // The last of them is heard of within a second.
        while end.elapsed() < Duration::from_secs(2) {
            scene.rig.players.turn(Duration::from_millis(10))?;
        }
        scene.report("S7", &clock, end)
    };
    with_logs(&lab, run())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_says_which_steps_were_longest_and_how_many_took_long() {
        let page = Page(
            "routelet_rib_step_seconds_count{step=\"poll\"} 10\n\
             routelet_rib_step_seconds_bucket{le=\"0.002\",step=\"poll\"} 7\n\
             routelet_rib_step_seconds_bucket{le=\"+Inf\",step=\"poll\"} 10\n\
             routelet_rib_longest_step_seconds{step=\"poll\"} 0.004\n\
             routelet_rib_longest_step_seconds{step=\"fib\"} 0.001\n\
             routelet_fib_longest_lock_seconds{holder=\"rib\"} 0.002\n"
                .to_owned(),
        );
        let values = page.metrics().map(|metric| metric.value);
        assert_eq!(values, [4.0, 2.0, 3.0]);
    }
}
