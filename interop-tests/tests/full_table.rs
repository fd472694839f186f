//! A real full table goes through a node to a monitor, attribute by attribute, and into the kernel, and away again.
//!
//! The tables are those of RIPE RIS in `../shared/data`. A debug build gets every tenth route; all of them go through
//! where the binary and this test are built for release:
//!
//! ```text
//! cargo build --release -p routelet && cargo nextest run --release -p interop-tests --test full_table --no-capture
//! ```
//!
//! `ROUTELET_FULL_TABLE=1` asks for all of them whatever the build. What is printed in the end is for comparing with
//! other speakers in the same rig (BIRD's run is one of the tests); nothing here asserts a time.

mod support;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use interop_tests::feed::{
    Attributes, Caller, Ear, Ended, Expectation, Goal, PlayerId, Players, Table, Wait, encode,
};
use interop_tests::probe::kernel;
use interop_tests::{
    Family, Kind, Lab, Namespace, Need, Neighbour, Signal, Speaker, Subject, eventually, run,
};
use ipnet::IpNet;
use serde_json::json;
use support::node::{Node, node_object, object};
use support::rack::PROTOCOL;

const PATIENCE: Duration = Duration::from_secs(150);
const NODE_ASN: u32 = 64512;
const FEEDER_ASN: u32 = 64501;
const MONITOR_ASN: u32 = 64502;

/// A node between two links: the feeder's and the monitor's.
struct Rig {
    node: Namespace,
    feeder: Namespace,
    monitor: Namespace,
}

/// Where the feeder and the monitor find the node, and the feeder's own address: per family.
const NODE_AT_FEEDER: [&str; 2] = ["10.0.1.1", "fd00:1::1"];
const NODE_AT_MONITOR: [&str; 2] = ["10.0.2.1", "fd00:2::1"];
const FEEDER: [&str; 2] = ["10.0.1.2", "fd00:1::2"];
const MONITOR: &str = "10.0.2.2";

impl Rig {
    fn new(lab: &Lab) -> Result<Self> {
        let rig = Self {
            node: lab.namespace("node-1")?,
            feeder: lab.namespace("feeder")?,
            monitor: lab.namespace("monitor")?,
        };
        for (far, number) in [(&rig.feeder, 1), (&rig.monitor, 2)] {
            let interface = format!("eth{number}");
            lab.link((&rig.node, &interface), (far, "eth0"))?;
            rig.node
                .address(&interface, &format!("10.0.{number}.1/24"))?;
            rig.node
                .address(&interface, &format!("fd00:{number}::1/64"))?;
            far.address("eth0", &format!("10.0.{number}.2/24"))?;
            far.address("eth0", &format!("fd00:{number}::2/64"))?;
        }
        Ok(rig)
    }
}

fn index(family: Family) -> usize {
    usize::from(family == Family::Ipv6)
}

/// Who is between feeder and monitor.
enum Middle {
    Routelet(Node),
    Bird(Subject),
}

impl Middle {
    fn start(lab: &Lab, rig: &Rig, kind: Kind, install: bool) -> Result<Self> {
        if kind == Kind::Routelet {
            let fib = json!({"enabled": install, "maxRoutes": 2_000_000});
            let mut config = vec![
                object(
                    "Router",
                    "default",
                    &json!({"transit": true, "mesh": {"enabled": false}, "fib": fib}),
                ),
                node_object("node-1", &["10.0.1.1", "fd00:1::1"], &[]),
            ];
            for (name, address, asn) in [
                ("feeder", FEEDER[0], FEEDER_ASN),
                ("monitor", MONITOR, MONITOR_ASN),
            ] {
                let peer = json!({"address": address, "asn": asn, "passive": true});
                config.push(object("Peer", name, &peer));
            }
            let files = [("config", json!(config))];
            return Ok(Self::Routelet(Node::start(
                &rig.node,
                &files,
                &["--http", "off"],
            )?));
        }
        let mut speaker = Speaker::new(NODE_ASN, "10.0.1.1")
            .neighbour(Neighbour::new(FEEDER[0], FEEDER_ASN).passive())
            .neighbour(Neighbour::new(MONITOR, MONITOR_ASN).passive());
        speaker.install = install;
        Ok(Self::Bird(Subject::start(lab, kind, &rig.node, speaker)?))
    }

    fn pid(&self) -> Result<i32> {
        match self {
            Self::Routelet(node) => node.pid(),
            Self::Bird(subject) => subject.pid(),
        }
    }

    /// The most memory that it ever had, in MB.
    fn peak_memory(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()?))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes: u64 = line
            .and_then(|rest| rest.trim().strip_suffix(" kB"))
            .context("no VmHWM")?
            .trim()
            .parse()?;
        Ok(kilobytes / 1024)
    }

    /// The processor time that it has used, in seconds.
    fn processor_time(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid()?))?;
        let (_, fields) = stat.rsplit_once(')').context("no end of the name")?;
        let ticks: u64 = fields
            .split_whitespace()
            .skip(11)
            .take(2)
            .filter_map(|field| field.parse::<u64>().ok())
            .sum();
        Ok(ticks as f64 / 100.0)
    }

    /// The protocol of its routes in the kernel.
    fn protocol(&self) -> &'static str {
        match self {
            Self::Routelet(_) => PROTOCOL,
            Self::Bird(_) => "bird",
        }
    }
}

fn data(family: Family) -> PathBuf {
    let name = match family {
        Family::Ipv4 => "ris-20260511-as3333-v4.txt.gz",
        Family::Ipv6 => "ris-20260511-as3333-v6.txt.gz",
    };
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared/data")
        .join(name)
}

/// All of the table where there is time for it, else a sample; `None`, and a word why, where there is no table.
fn table(family: Family) -> Result<Option<Table>> {
    let full = std::env::var_os("ROUTELET_FULL_TABLE").is_some() || !cfg!(debug_assertions);
    let path = data(family);
    let table = Table::load(&path, family, if full { 1 } else { 10 })?;
    if table.is_none() {
        say(&format!("skip: no real table at {}", path.display()));
    }
    Ok(table)
}

/// Straight to the terminal: what tests print is only shown when they fail.
fn say(text: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// One table through one speaker, checked and timed.
fn through(kind: Kind, family: Family, install: bool) {
    run(&[Need::Speaker(kind)], |lab| {
        let Some(table) = table(family)? else {
            return Ok(());
        };
        let rig = Rig::new(lab)?;
        let middle = Middle::start(lab, &rig, kind, install)?;
        let at = index(family);
        let mut players = Players::new()?;
        let caller = caller(MONITOR, NODE_AT_MONITOR[0], MONITOR_ASN)?;
        let monitor = players.join(&rig.monitor, vec![caller], Ear::Keeps, false)?[0];
        let caller = self::caller(FEEDER[0], NODE_AT_FEEDER[0], FEEDER_ASN)?;
        let feeder = players.join(&rig.feeder, vec![caller], Ear::Forgets, true)?[0];
        let next_hop: IpAddr = FEEDER[at].parse()?;
        let own: IpAddr = NODE_AT_MONITOR[at].parse()?;
        let count = table.prefixes().len();
        let of_block = |block| Attributes::of_block(block, FEEDER_ASN, next_hop);
        let mut expected = Expectation::new(&[own]);
        for block in 0..table.blocks() {
            let attributes = of_block(block).passed_on(NODE_ASN, own);
            expected.add(table.block(block), attributes, 0)?;
        }
        let octets = encode::table(&table, of_block);

        let started = Instant::now();
        players.send(feeder, octets)?;
        let all = reached(&mut players, monitor, &expected, 0)? - started;
        let mut report = format!(
            "{kind} {family}: {count} routes in {} sets; at the monitor in {all:.2?} by {} UPDATEs",
            table.blocks(),
            players.heard(monitor)?.updates
        );
        if install {
            let in_kernel = eventually(PATIENCE, "every route in the kernel", || {
                let there = installed(&rig.node, family, middle.protocol())?;
                ensure!(there == count, "{there} of {count}");
                Ok(started.elapsed())
            })?;
            report += &format!(", in the kernel in {in_kernel:.2?}");
            check_kernel(&rig.node, &table, middle.protocol())?;
        }
        report += &format!(
            "; peak {} MB, {:.1} s of processor",
            middle.peak_memory()?,
            middle.processor_time()?
        );

        // The feeder goes, and with it every route everywhere.
        let started = Instant::now();
        players.close(feeder);
        let withdrawals = players.heard(monitor)?.withdrawn as usize + count;
        let none = reached(&mut players, monitor, &Expectation::new(&[]), withdrawals)? - started;
        report += &format!("; withdrawn in {none:.2?}");
        if install {
            eventually(PATIENCE, "no route in the kernel", || {
                let there = installed(&rig.node, family, middle.protocol())?;
                ensure!(there == 0, "{there} are left");
                Ok(())
            })?;
            report += &format!(", from the kernel in {:.2?}", started.elapsed());
        }
        say(&report);
        if let Middle::Routelet(mut node) = middle {
            node.end(Signal::SIGTERM)?;
        }
        Ok(())
    });
}

/// A player that speaks both families over IPv4.
fn caller(source: &str, subject: &str, asn: u32) -> Result<Caller> {
    Ok(Caller {
        source: source.parse()?,
        subject: subject.parse()?,
        asn,
        id: source.parse()?,
        hold_time: Duration::from_secs(180),
        families: Family::ALL.to_vec(),
    })
}

/// When the monitor's table became what is expected, not before so many withdrawals in all.
fn reached(
    players: &mut Players,
    monitor: PlayerId,
    expected: &Expectation,
    withdrawals: usize,
) -> Result<Instant> {
    let mut goals = [Goal::new(monitor, expected, None).after_withdrawals(withdrawals)];
    match Wait::at_most(PATIENCE).until(players, &mut goals)? {
        Ended::Complete { since, .. } => Ok(since[0]),
        Ended::Slow => bail!("the monitor's table is not complete after {PATIENCE:?}"),
    }
}

/// How many routes of a protocol the kernel holds.
fn installed(namespace: &Namespace, family: Family, protocol: &str) -> Result<usize> {
    kernel::count_routes(namespace, family, protocol, PATIENCE)
}

/// That the kernel's routes are exactly those of the table.
fn check_kernel(namespace: &Namespace, table: &Table, protocol: &str) -> Result<()> {
    let mut there = kernel::destinations(namespace, table.family(), protocol, PATIENCE)?;
    there.sort_unstable();
    let mut wanted: Vec<IpNet> = table.prefixes().to_vec();
    wanted.sort_unstable();
    let wrong = there.iter().zip(&wanted).find(|(one, other)| one != other);
    ensure!(
        wrong.is_none() && there.len() == wanted.len(),
        "the kernel holds {} routes of {}; the first that differ are {wrong:?}",
        there.len(),
        wanted.len()
    );
    Ok(())
}

#[test]
fn ipv4_routes_reach_a_monitor_with_their_attributes() {
    through(Kind::Routelet, Family::Ipv4, false);
}

#[test]
fn ipv6_routes_reach_a_monitor_with_their_attributes() {
    through(Kind::Routelet, Family::Ipv6, false);
}

#[test]
fn ipv4_routes_reach_the_kernel() {
    through(Kind::Routelet, Family::Ipv4, true);
}

#[test]
fn ipv6_routes_reach_the_kernel() {
    through(Kind::Routelet, Family::Ipv6, true);
}

#[test]
fn the_rig_holds_on_bird() {
    through(Kind::Bird2, Family::Ipv4, false);
    through(Kind::Bird2, Family::Ipv6, false);
}

#[test]
fn the_rig_holds_on_bird_with_its_kernel_routes() {
    through(Kind::Bird2, Family::Ipv4, true);
}
