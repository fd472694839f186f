//! Works I and J: routes from the wire into the kernel's table, and what happens there when a router is lost.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use ipnet::{IpNet, Ipv4Net};

use super::clock::Clock;
use super::{Inputs, with_logs};
use crate::netlink::{self, Change, Netlink, hash_order, kernel_count};
use crate::{Measured, Metric, Plan, Quantity, Rig, Side, Usage};
use interop_lab::Lab;
use interop_lab::Namespace;
use interop_lab::feed::{Attributes, Ear, Table, WrongTable, encode, processor_time};
use interop_lab::probe::kernel;
use interop_lab::speaker::Family;
use interop_lab::subject::Kind;

const RATE: Quantity = Quantity::more("routes", "/s");
const MILLION: Quantity = Quantity::less("per 1,000,000", "s");
const REMOVED: Quantity = Quantity::less("removed", "s");
/// The rate in units of what the raw writer has just reached on the same table.
const OF_RAW: Quantity = Quantity::context("of raw writer", "");
const RAW: Quantity = Quantity::context("raw writer", "/s");
const RAW_REMOVED: Quantity = Quantity::context("raw writer removed", "s");
const MOVED: Quantity = Quantity::less("moved", "ms");

/// Routes that two routers share in work J.
const SHARED: usize = 500_000;
/// Of these so many are watched, from all over the table. Who rewrites them one by one comes by each at some time.
const WATCHED: usize = 200;
/// So many routes from all over the table are waited for, one after the other: when they are there, those between them
/// are, but for a few hundredths of a percent. Only then are all counted, which keeps the kernel busy.
const AWAITED: usize = 5_000;
/// Between two looks at them, and what the last few of the others get.
const LOOK: Duration = Duration::from_millis(5);
/// Between two counts, should the last few take longer.
const RECOUNT: Duration = Duration::from_millis(500);
/// Between two looks at watched routes.
const GLANCE: Duration = Duration::from_micros(200);
/// A speaker that uses less of one processor than this has nothing left to do.
const IDLE: f64 = 0.02;
/// `ip` takes a while for a million routes.
const LISTING: Duration = Duration::from_secs(60);

/// Who can do it at all.
pub(super) fn installs(kind: Kind) -> bool {
    !matches!(kind, Kind::GoBgp | Kind::OpenBgpd)
}

/// What `ip` calls the routes of a speaker.
fn protocol(kind: Kind) -> &'static str {
    match kind {
        Kind::Routelet => "179",
        Kind::Bird2 | Kind::Bird3 => "bird",
        _ => "bgp",
    }
}

/// Work I.
pub(super) fn install(inputs: &Inputs, kind: Kind) -> Result<Option<Vec<Measured>>> {
    let family = Family::Ipv4;
    let table = inputs.table(family);
    let count = table.prefixes().len();
    let plan = Plan {
        family,
        feeds: 1,
        monitors: 0,
        install: true,
    };
    let lab = Lab::new()?;
    let run = || {
        let (raw, raw_removed) = raw_writer(&lab, table)?;
        let raw_rate = count as f64 / raw.as_secs_f64();
        let mut rig = Rig::start(&lab, kind, plan)?;
        let hop = Side::Feeds.player(0, family);
        let octets = encode::table(table, |number| {
            Attributes::of_block(number, Side::Feeds.asn(0), hop)
        });
        let before = kernel_count(&rig.node)?;
        let mut awaited = Awaited::of(&rig.node, table)?;
        let feed = rig.feeds(Ear::Forgets)?[0];
        let clock = Clock::start(&mut rig)?;
        let own = processor_time()?;
        rig.players.send(feed, octets)?;
        let Some(end) = awaited.until(inputs, &mut rig, true, before + count)? else {
            return Ok(None);
        };
        let mut metrics = clock.read(&rig, end, processor_time()?.saturating_sub(own))?;
        let seconds = (end - clock.started).as_secs_f64();
        let rate = count as f64 / seconds;
        if inputs.altered {
            check(&rig.node, &table.first(count - 1), protocol(kind))?;
        }
        check(&rig.node, table, protocol(kind))?;
        let closed = Instant::now();
        rig.players.close(feed);
        let Some(gone) = awaited.until(inputs, &mut rig, false, before)? else {
            return Ok(None);
        };
        let more: [Metric; 6] = [
            RATE.is(rate),
            MILLION.is(1e6 / rate),
            REMOVED.seconds(gone - closed),
            OF_RAW.is(rate / raw_rate),
            RAW.is(raw_rate),
            RAW_REMOVED.seconds(raw_removed),
        ];
        metrics.splice(1..1, more);
        Ok(Some(vec![Measured {
            heading: "I",
            metrics,
        }]))
    };
    with_logs(&lab, run())
}

/// What the kernel takes at most: how long the table takes to go in, and out again.
fn raw_writer(lab: &Lab, table: &Table) -> Result<(Duration, Duration)> {
    let router = "10.1.0.2";
    let ends = [("raw", "10.1.0.1/16"), ("raw-router", "10.1.0.2/16")];
    let [(node, own), (other, far)] = ends;
    let (node, _router) = lab.pair((node, &[own]), (other, &[far]))?;
    node.ip(&format!("nexthop add id 1 via {router} dev eth0"))?;
    let routes = hash_order(table.prefixes());
    let mut netlink = Netlink::open(&node)?;
    let before = kernel_count(&node)?;
    let installed = netlink.write(&routes, Change::Install { nexthop: 1 })?;
    ensure!(
        kernel_count(&node)? == before + routes.len(),
        "the raw writer's routes are not all there"
    );
    check(&node, table, netlink::SHOWN_PROTOCOL)?;
    let removed = netlink.write(&routes, Change::Remove)?;
    ensure!(kernel_count(&node)? == before, "some are left");
    Ok((installed, removed))
}

/// Of a table, what shows whether it is in the kernel.
struct Awaited {
    netlink: Netlink,
    some: Vec<Ipv4Net>,
}

impl Awaited {
    fn of(namespace: &Namespace, table: &Table) -> Result<Self> {
        let all = hash_order(table.prefixes());
        // A longer prefix with the same first address would answer in its place.
        let mut longest: HashMap<Ipv4Addr, u8, RandomState> = HashMap::default();
        for prefix in &all {
            let length = longest.entry(prefix.addr()).or_default();
            *length = prefix.prefix_len().max(*length);
        }
        let some = all
            .iter()
            .filter(|prefix| longest[&prefix.addr()] == prefix.prefix_len())
            .step_by((all.len() / AWAITED).max(1));
        Ok(Self {
            netlink: Netlink::open(namespace)?,
            some: some.copied().collect(),
        })
    }

    /// Serves the players until the kernel holds so many routes, having come to hold the table (or not to, if not
    /// `present`). Returns since when; `None` if not within the limit.
    fn until(
        &mut self,
        inputs: &Inputs,
        rig: &mut Rig,
        present: bool,
        count: usize,
    ) -> Result<Option<Instant>> {
        let started = Instant::now();
        let (mut reported, mut done) = (started, 0);
        let mut end = None;
        while started.elapsed() < inputs.limit {
            let next = Instant::now() + LOOK;
            while Instant::now() < next {
                let left = next.saturating_duration_since(Instant::now());
                rig.players.turn(left)?;
            }
            if let Some(end) = end {
                if kernel_count(&rig.node)? == count {
                    return Ok(Some(end));
                }
                // Then it is not those watched that were last.
                std::thread::sleep(RECOUNT);
            }
            while let Some(&prefix) = self.some.get(done)
                && self.netlink.holds(prefix)? == present
            {
                done += 1;
            }
            if done == self.some.len() {
                end = Some(Instant::now());
            }
            if reported.elapsed() > Duration::from_secs(5) {
                reported = Instant::now();
                let (kind, seconds) = (rig.subject.kind(), started.elapsed().as_secs());
                let percent = done * 100 / self.some.len().max(1);
                (inputs.tell)(&format!("    {kind}: {seconds} s, {percent} % at least"));
            }
        }
        Ok(None)
    }
}

/// That the kernel holds exactly the table's prefixes.
fn check(namespace: &Namespace, table: &Table, protocol: &str) -> Result<()> {
    let mut there = kernel::destinations(namespace, table.family(), protocol, LISTING)?;
    let mut wanted: Vec<IpNet> = table.prefixes().to_vec();
    there.sort_unstable();
    wanted.sort_unstable();
    let differs = there.iter().zip(&wanted).find(|(one, other)| one != other);
    let right = differs.is_none() && there.len() == wanted.len();
    let (held, of) = (there.len(), wanted.len());
    if !right {
        let found = anyhow::anyhow!(
            "the kernel holds {held} routes of {of}; the first that differ are {differs:?}"
        );
        return Err(WrongTable::from(found).into());
    }
    Ok(())
}

/// Work J: two routers announce the same routes, and one closes without a NOTIFICATION.
pub(super) fn lose_a_router(inputs: &Inputs, kind: Kind) -> Result<Option<Vec<Measured>>> {
    let family = Family::Ipv4;
    let table = inputs.slice(0, SHARED)?;
    let count = table.prefixes().len();
    let plan = Plan {
        family,
        feeds: 2,
        monitors: 0,
        install: true,
    };
    let lab = Lab::new()?;
    let run = || {
        let mut rig = Rig::start(&lab, kind, plan)?;
        let tables = [0, 1].map(|feed| {
            let hop = Side::Feeds.player(feed, family);
            encode::table(&table, |number| {
                Attributes::of_block(number, Side::Feeds.asn(feed), hop)
            })
        });
        let gateways = [0, 1].map(|feed| v4(Side::Feeds.player(feed, family)));
        let before = kernel_count(&rig.node)?;
        let feeds = rig.feeds(Ear::Forgets)?;
        for (&feed, octets) in feeds.iter().zip(tables) {
            rig.players.send(feed, octets)?;
        }
        let mut awaited = Awaited::of(&rig.node, &table)?;
        let there = awaited.until(inputs, &mut rig, true, before + count)?;
        if there.is_none() {
            return Ok(None);
        }
        let mut watched = Watched::of(&rig.node, &table)?;
        if !settle(inputs, &mut rig, &mut watched, gateways)? {
            return Ok(None);
        }
        let clock = Clock::start(&mut rig)?;
        let own = processor_time()?;
        rig.players.close(feeds[0]);
        let closed = Instant::now();
        let end = loop {
            if watched.left(gateways[0])? == 0 {
                break Instant::now();
            }
            if closed.elapsed() > inputs.limit {
                return Ok(None);
            }
            rig.players.turn(Duration::ZERO)?;
            std::thread::sleep(GLANCE);
        };
        let own = processor_time()?.saturating_sub(own);
        // All of them, not only those watched, as soon as the speaker has nothing left to do.
        if !idle(inputs, &mut rig)? {
            return Ok(None);
        }
        let stale = stale(&rig.node, gateways[0])?;
        let held = kernel_count(&rig.node)? - before;
        if stale != 0 || held != count {
            let found = anyhow::anyhow!("{held} routes of {count}, {stale} by the lost router");
            return Err(WrongTable::from(found).into());
        }
        let mut metrics = clock.read(&rig, end, own)?;
        metrics[0] = MOVED.is((end - closed).as_secs_f64() * 1000.0);
        Ok(Some(vec![Measured {
            heading: "J",
            metrics,
        }]))
    };
    with_logs(&lab, run())
}

/// Until all watched routes go by both routers and the speaker has nothing left to do. Returns whether that came.
fn settle(
    inputs: &Inputs,
    rig: &mut Rig,
    watched: &mut Watched,
    gateways: [Ipv4Addr; 2],
) -> Result<bool> {
    let started = Instant::now();
    while started.elapsed() < inputs.limit {
        if !idle(inputs, rig)? {
            return Ok(false);
        }
        let all = watched.addresses.len();
        if watched.count(gateways[0])? == all && watched.count(gateways[1])? == all {
            return Ok(true);
        }
    }
    let [first, second] = gateways;
    let (one, other) = (watched.count(first)?, watched.count(second)?);
    ensure!(
        one + other > WATCHED,
        "no routes over both routers: {one} by one and {other} by the other, of {WATCHED}"
    );
    Ok(false)
}

/// Serves the players until the speaker idles for half a second.
fn idle(inputs: &Inputs, rig: &mut Rig) -> Result<bool> {
    let started = Instant::now();
    while started.elapsed() < inputs.limit {
        let (before, since) = (Usage::of(&rig.node)?.cpu, Instant::now());
        while since.elapsed() < Duration::from_millis(500) {
            rig.players.turn(Duration::from_millis(10))?;
        }
        let used = Usage::of(&rig.node)?.cpu.saturating_sub(before);
        if used.as_secs_f64() <= IDLE * since.elapsed().as_secs_f64() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// How many routes of the whole table still have a way by `gateway`.
fn stale(namespace: &Namespace, gateway: Ipv4Addr) -> Result<usize> {
    let script = format!("ip -o -4 route show | grep -c 'via {gateway} ' || true");
    let done = namespace.output(&["sh", "-c", &script], LISTING)?;
    done.stdout.trim().parse().context("a number of lines")
}

fn v4(address: IpAddr) -> Ipv4Addr {
    match address {
        IpAddr::V4(address) => address,
        IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
    }
}

/// Some routes of a table, asked for one by one.
struct Watched {
    netlink: Netlink,
    /// An address in each.
    addresses: Vec<Ipv4Addr>,
    /// Those before have moved.
    moved: usize,
}

impl Watched {
    fn of(namespace: &Namespace, table: &Table) -> Result<Self> {
        let step = (table.prefixes().len() / WATCHED).max(1);
        let some = table.prefixes().iter().step_by(step).take(WATCHED);
        Ok(Self {
            netlink: Netlink::open(namespace)?,
            addresses: some.map(|prefix| v4(prefix.addr())).collect(),
            moved: 0,
        })
    }

    /// How many have a way by `gateway`.
    fn count(&mut self, gateway: Ipv4Addr) -> Result<usize> {
        let mut count = 0;
        for &address in &self.addresses {
            count += usize::from(self.netlink.leads_to(address, gateway)?);
        }
        Ok(count)
    }

    /// How many may still have one: what has moved is not asked for again.
    fn left(&mut self, gateway: Ipv4Addr) -> Result<usize> {
        while let Some(&address) = self.addresses.get(self.moved) {
            if self.netlink.leads_to(address, gateway)? {
                break;
            }
            self.moved += 1;
        }
        Ok(self.addresses.len() - self.moved)
    }
}
