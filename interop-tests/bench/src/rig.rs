//! What a work runs on: the subject alone in a namespace, and all players in another.
//!
//! ```text
//!   players                       node
//!   feeds      10.1.n.n/16 ---- eth0 10.1.0.1   subject, AS 64512
//!   monitors   10.2.n.n/16 ---- eth1 10.2.0.1
//! ```
//!
//! Each player has an address of its own, of both families. Feeds share a link, so that speakers may pass on next hops
//! among them; monitors are on another, where they may not.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::Usage;
use super::works::Inputs;
use interop_lab::Lab;
use interop_lab::Namespace;
use interop_lab::feed::{Caller, Ear, Ended, Goal, PlayerId, Players, Wait};
use interop_lab::speaker::{Family, Neighbour, Speaker};
use interop_lab::subject::{Kind, Subject};

/// The AS of every subject.
pub(super) const SUBJECT_ASN: u32 = 64512;
/// The AS of the first feed; the second has the next.
const FIRST_FEED_ASN: u32 = 64601;
/// Likewise of monitors, out of the private ones of four octets.
const FIRST_MONITOR_ASN: u32 = 4_200_000_001;
/// Longer than any run.
const HOLD_TIME: Duration = Duration::from_secs(180);
/// The share of one processor that a subject uses which is at work.
const BUSY: f64 = 0.05;
/// The kernel's table of neighbours holds 1024 of all namespaces together, but for those that are written into it.
const MANY: usize = 200;

/// Which link a player is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// That of feeds.
    Feeds,
    /// That of monitors.
    Monitors,
}

impl Side {
    fn number(self) -> u8 {
        match self {
            Self::Feeds => 1,
            Self::Monitors => 2,
        }
    }

    fn interface(self) -> &'static str {
        match self {
            Self::Feeds => "eth0",
            Self::Monitors => "eth1",
        }
    }

    /// The subject's address on the link.
    pub fn subject(self, family: Family) -> IpAddr {
        self.host(0, family)
    }

    /// The address of the player `index`, from 0.
    pub fn player(self, index: usize, family: Family) -> IpAddr {
        self.host(index + 1, family)
    }

    /// The AS of the player `index`.
    pub fn asn(self, index: usize) -> u32 {
        match self {
            Self::Feeds => FIRST_FEED_ASN + index as u32,
            Self::Monitors => FIRST_MONITOR_ASN + index as u32,
        }
    }

    fn host(self, number: usize, family: Family) -> IpAddr {
        let number = number as u16 + 1;
        match family {
            Family::Ipv4 => {
                let [high, low] = number.to_be_bytes();
                Ipv4Addr::new(10, self.number(), high, low).into()
            }
            Family::Ipv6 => {
                let link = u16::from(self.number());
                Ipv6Addr::new(0xfd00, link, 0, 0, 0, 0, 0, number).into()
            }
        }
    }
}

/// What a rig is to have.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The family of sessions and routes.
    pub family: Family,
    /// How many feeds.
    pub feeds: usize,
    /// How many monitors.
    pub monitors: usize,
    /// Whether the subject installs what it learns.
    pub install: bool,
}

/// A subject with its links; players join it.
#[derive(Debug)]
pub struct Rig {
    /// What it has.
    pub plan: Plan,
    /// The subject's namespace.
    pub node: Namespace,
    /// The players' namespace.
    pub outside: Namespace,
    /// The players.
    pub players: Players,
    /// The subject. Last, so that its sessions are closed from the players' side, without a NOTIFICATION, when a run
    /// ends.
    pub subject: Subject,
}

impl Rig {
    /// Makes the links and starts the subject.
    ///
    /// # Errors
    /// The kind cannot do what the plan asks for, or does not start.
    pub fn start(lab: &Lab, kind: Kind, plan: Plan) -> Result<Self> {
        Self::start_with(lab, kind, plan, |speaker| speaker)
    }

    /// As [`Rig::start`], with the description of the subject that `change` returns.
    ///
    /// # Errors
    /// As [`Rig::start`].
    pub fn start_with(
        lab: &Lab,
        kind: Kind,
        plan: Plan,
        change: impl FnOnce(Speaker) -> Speaker,
    ) -> Result<Self> {
        let (node, outside) = (lab.namespace("node")?, lab.namespace("players")?);
        for (side, players) in [(Side::Feeds, plan.feeds), (Side::Monitors, plan.monitors)] {
            let name = side.interface();
            lab.link((&node, name), (&outside, name))?;
            give_addresses(&node, &outside, side, players)?;
        }
        let mut speaker = Speaker::new(SUBJECT_ASN, "10.1.0.1");
        speaker.install = plan.install;
        speaker = speaker.extra(&extra(kind));
        for (side, players) in [(Side::Feeds, plan.feeds), (Side::Monitors, plan.monitors)] {
            for index in 0..players {
                let address = side.player(index, plan.family).to_string();
                let neighbour = Neighbour::new(&address, side.asn(index));
                speaker = speaker.neighbour(neighbour.passive().families(&[plan.family]));
            }
        }
        Ok(Self {
            plan,
            players: Players::new()?,
            subject: Subject::start(lab, kind, &node, change(speaker))?,
            node,
            outside,
        })
    }

    /// Has the feeds join.
    ///
    /// # Errors
    /// A session does not come up.
    pub fn feeds(&mut self, ear: Ear) -> Result<Vec<PlayerId>> {
        let callers = self.callers(Side::Feeds, self.plan.feeds);
        self.players.join(&self.outside, callers, ear, true)
    }

    /// Has the monitors join.
    ///
    /// # Errors
    /// A session does not come up.
    pub fn monitors(&mut self) -> Result<Vec<PlayerId>> {
        let callers = self.callers(Side::Monitors, self.plan.monitors);
        self.players.join(&self.outside, callers, Ear::Keeps, false)
    }

    /// Serves the players until the goals are reached, at most as long as the inputs allow, with a word of it now and
    /// then.
    ///
    /// # Errors
    /// As [`Wait::until`].
    pub fn wait(&mut self, inputs: &Inputs, goals: &mut [Goal<'_>]) -> Result<Ended> {
        let began = Instant::now();
        let (node, mut since) = (self.node.clone(), Instant::now());
        let mut used = Usage::of(&node)?.cpu;
        let is_busy = move || {
            let usage = Usage::of(&node)?.cpu;
            let share = usage.saturating_sub(used).as_secs_f64() / since.elapsed().as_secs_f64();
            (used, since) = (usage, Instant::now());
            Ok(share > BUSY)
        };
        let kind = self.subject.kind();
        Wait::at_most(inputs.limit)
            .while_busy(is_busy)
            .telling(|share| {
                let (seconds, percent) = (began.elapsed().as_secs(), share * 100.0);
                (inputs.tell)(&format!("    {kind}: {seconds} s, {percent:.0} % has come"));
            })
            .until(&mut self.players, goals)
    }

    fn callers(&self, side: Side, count: usize) -> Vec<Caller> {
        (0..count).map(|index| self.caller(side, index)).collect()
    }

    /// The caller `index` of a side.
    pub fn caller(&self, side: Side, index: usize) -> Caller {
        let id = match side.player(index, Family::Ipv4) {
            IpAddr::V4(id) => id,
            IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
        };
        Caller {
            source: side.player(index, self.plan.family),
            subject: side.subject(self.plan.family),
            asn: side.asn(index),
            id,
            hold_time: HOLD_TIME,
            families: vec![self.plan.family],
        }
    }

    /// The addresses that the subject may put as next hops.
    pub fn own_hops(&self) -> [IpAddr; 2] {
        [Side::Feeds, Side::Monitors].map(|side| side.subject(self.plan.family))
    }
}

/// Settings of one kind of speaker, beside those of all.
fn extra(kind: Kind) -> String {
    match kind {
        // It uses one thread by default.
        Kind::Bird3 => {
            let threads = std::thread::available_parallelism().map_or(1, usize::from);
            format!("threads {threads};\n")
        }
        // It stops reading once so many messages wait to be processed (10,000 by default), and where all octets have
        // come by then, it goes on only with the next one: that may be a KEEPALIVE a minute later. Runs would show when
        // that comes and nothing else, so the limit is out of their way.
        Kind::Frr10 => {
            format!("router bgp {SUBJECT_ASN}\n bgp input-queue-limit 4294967295\nexit\n")
        }
        Kind::Routelet | Kind::Bird2 | Kind::Frr8 | Kind::GoBgp | Kind::OpenBgpd => String::new(),
    }
}

/// Gives both ends of a link their addresses. One call of `ip` for all: a thousand would take ten seconds.
fn give_addresses(node: &Namespace, outside: &Namespace, side: Side, players: usize) -> Result<()> {
    let interface = side.interface();
    let line = |address: IpAddr| match address {
        IpAddr::V4(_) => format!("addr add {address}/16 dev {interface}\n"),
        IpAddr::V6(_) => format!("addr add {address}/64 dev {interface} nodad\n"),
    };
    for family in Family::ALL {
        batch(node, &line(side.subject(family)))?;
        let text: String = (0..players)
            .map(|index| line(side.player(index, family)))
            .collect();
        batch(outside, &text)?;
    }
    if players > MANY {
        let hardware = outside
            .run(&["cat", &format!("/sys/class/net/{interface}/address")])
            .context("the hardware address of the players' link")?;
        let mut text = String::new();
        for index in 0..players {
            let address = side.player(index, Family::Ipv4);
            let hardware = hardware.trim();
            writeln!(
                text,
                "neigh replace {address} lladdr {hardware} dev {interface} nud permanent"
            )?;
        }
        batch(node, &text)?;
    }
    Ok(())
}

fn batch(namespace: &Namespace, commands: &str) -> Result<()> {
    namespace
        .run_with_input(&["ip", "-batch", "-"], commands)
        .map(drop)
}
