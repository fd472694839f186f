//! Works S: what once kept the owner of the routes busy for long at once. Each measures the longest step, the longest
//! hold of the lock that it shares with the FIB, and how long the whole took, by the subject's own metrics.

mod page;
mod scene;

use std::time::{Duration, Instant};

use anyhow::ensure;
use interop_lab::Lab;
use interop_lab::feed::{Ear, Table, encode};
use interop_lab::speaker::{Family, Neighbour};
use interop_lab::subject::Kind;
use serde_json::json;

use self::scene::{Done, Scene};
use super::clock::Clock;
use super::{Inputs, with_logs};
use crate::{Plan, Quantity, Side};

const COMMAND: Quantity = Quantity::less("command", "s");
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
