//! A subject with many raw peers, one for each row of a table of bad input, and one healthy peer that must never
//! notice.
//!
//! ```text
//!  raw namespace 10.1.1.n ---- 10.1.0.1 subject 10.0.0.1 ---- 10.0.0.2 BIRD
//! ```
//!
//! Row n dials from its own address 10.1.1.n, so that no row waits for the back-off of another.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use interop_tests::raw::{BOTH_FAMILIES, Ending, KEEPALIVE, OPEN, RawPeer, message, open};
use interop_tests::{
    Family, Kind, Lab, Namespace, Need, Neighbour, Origination, Speaker, State, Subject, eventually,
};
use serde_json::Value;

pub use super::parts::RAW_AS;

use super::SOON;

/// The subject's AS, and that of raw peers inside of it.
pub const OWN_AS: u32 = 64501;
/// Where the raw peers dial.
pub const SUBJECT: &str = "10.1.0.1";
/// The healthy peer.
const HEALTHY: &str = "10.0.0.2";
/// What the healthy peer tells.
const HEALTHY_ROUTES: [&str; 3] = ["203.0.113.0/25", "203.0.113.128/25", "2001:db8:113::/48"];

/// What a table needs with this kind as the subject.
pub fn needs(kind: Kind) -> [Need; 2] {
    [Need::Speaker(kind), Need::Speaker(Kind::Bird2)]
}

/// The address of row `n`, which is its BGP identifier too.
pub fn address(n: usize) -> Ipv4Addr {
    let n = u8::try_from(n).unwrap_or(u8::MAX);
    Ipv4Addr::new(10, 1, 1, n)
}

/// The raw peer of row `n` as the subject is configured for it.
pub fn raw_peer(n: usize, asn: u32) -> Neighbour {
    Neighbour::new(&address(n).to_string(), asn).passive()
}

/// The rig.
pub struct Rig {
    pub subject: Subject,
    pub raw: Namespace,
    healthy: Subject,
    /// Uptime at the start, in both eyes.
    since: (Duration, Duration),
}

impl Rig {
    /// Starts all with raw peers 1 to `ases.len()`, of these ASes, and waits for the healthy session.
    pub fn start(lab: &Lab, kind: Kind, ases: &[u32]) -> Result<Self> {
        let peers = (1..).zip(ases).map(|(n, asn)| raw_peer(n, *asn)).collect();
        Self::start_with(lab, kind, peers, "")
    }

    /// The same with these raw peers, the first of which is that of row 1, and lines for the end of the subject's
    /// configuration.
    pub fn start_with(lab: &Lab, kind: Kind, peers: Vec<Neighbour>, extra: &str) -> Result<Self> {
        ensure!(peers.len() < 255, "one octet tells the rows apart");
        let (subject, raw) = lab.pair(
            ("subject", &["10.1.0.1/16", "fd01::1/64"]),
            ("raw", &["10.1.0.2/16", "fd01::2/64"]),
        )?;
        let healthy = lab.namespace("healthy")?;
        lab.link((&subject, "eth1"), (&healthy, "eth0"))?;
        for (namespace, interface, addresses) in [
            (&subject, "eth1", ["10.0.0.1/24", "fd00::1/64"]),
            (&healthy, "eth0", ["10.0.0.2/24", "fd00::2/64"]),
        ] {
            for address in addresses {
                namespace.address(interface, address)?;
            }
        }
        // All addresses of a network at once, without one command for each.
        raw.ip("route add local 10.1.1.0/24 dev lo")?;

        let bird = HEALTHY_ROUTES.into_iter().fold(
            Speaker::new(64510, HEALTHY).neighbour(Neighbour::new("10.0.0.1", OWN_AS).passive()),
            |speaker, prefix| speaker.originate(Origination::new(prefix)),
        );
        let healthy = Subject::start(lab, Kind::Bird2, &healthy, bird)?;
        let mut speaker = Speaker::new(OWN_AS, "10.0.0.1")
            .neighbour(Neighbour::new(HEALTHY, 64510))
            .extra(extra);
        speaker.neighbours.extend(peers);
        let subject = Subject::start(lab, kind, &subject, speaker)?;
        subject.wait_established(HEALTHY)?;
        healthy.wait_established("10.0.0.1")?;
        for prefix in HEALTHY_ROUTES {
            subject.wait_route(prefix, SOON)?;
        }
        let mut rig = Self {
            subject,
            raw,
            healthy,
            since: Default::default(),
        };
        rig.since = rig.uptimes()?;
        Ok(rig)
    }

    /// A connection of row `n` on which nothing was said yet.
    pub fn dial(&self, n: usize) -> Result<RawPeer> {
        RawPeer::connect_from(&self.raw, &address(n).to_string(), SUBJECT)
    }

    /// A session of row `n`.
    pub fn session(&self, n: usize, hold_time: u16) -> Result<RawPeer> {
        let asn = self.asn(n)?;
        let mut peer = self.dial(n)?;
        peer.handshake(asn, address(n), hold_time, &BOTH_FAMILIES)?;
        Ok(peer)
    }

    /// A connection of row `n` in OpenConfirm: both OPENs are there, and our KEEPALIVE is not.
    pub fn open_confirm(&self, n: usize) -> Result<RawPeer> {
        let asn = self.asn(n)?;
        let mut peer = self.dial(n)?;
        peer.send(&message(OPEN, &open(asn, address(n), 90, &BOTH_FAMILIES)?))?;
        peer.expect(OPEN)?;
        peer.expect(KEEPALIVE)?;
        Ok(peer)
    }

    /// The AS of row `n`.
    pub fn asn(&self, n: usize) -> Result<u32> {
        let neighbour = self.subject.speaker().neighbours.get(n);
        Ok(neighbour.context("a row without a peer")?.asn)
    }

    /// The peer of row `n` as `routelet peers` shows it.
    pub fn peer(&self, n: usize) -> Result<Value> {
        let all = self.subject.query(&["peers"])?;
        let wanted = address(n).to_string();
        all.as_array()
            .and_then(|all| all.iter().find(|peer| peer["address"] == wanted.as_str()))
            .cloned()
            .with_context(|| format!("no peer {wanted}"))
    }

    fn uptimes(&self) -> Result<(Duration, Duration)> {
        let of = |subject: &Subject, neighbour: &str| -> Result<Duration> {
            let session = subject.session(neighbour)?;
            ensure!(session.state == State::Established, "{session:?}");
            session.uptime.context("no uptime")
        };
        Ok((of(&self.subject, HEALTHY)?, of(&self.healthy, "10.0.0.1")?))
    }

    /// That the healthy session is the one of the start and its routes are all there.
    pub fn unharmed(&self) -> Result<()> {
        let now = self.uptimes().context("the healthy session")?;
        ensure!(
            now.0 >= self.since.0 && now.1 >= self.since.1,
            "the healthy session was reset: up {:?} at first, {now:?} now",
            self.since
        );
        for family in Family::ALL {
            let routes = self.subject.routes(family)?;
            for prefix in HEALTHY_ROUTES {
                let prefix = prefix.parse()?;
                ensure!(
                    Family::of(prefix) != family || routes.iter().any(|r| r.prefix == prefix),
                    "the healthy peer's {prefix} is gone"
                );
            }
        }
        if self.subject.kind() == Kind::Routelet {
            let peers = self.subject.query(&["peers"])?;
            let healthy = peers
                .as_array()
                .and_then(|all| all.iter().find(|peer| peer["address"] == HEALTHY))
                .context("the healthy peer is not shown")?;
            ensure!(
                healthy["establishedCount"] == 1 && healthy["updatesMalformed"] == 0,
                "the healthy peer: {healthy}"
            );
        }
        Ok(())
    }
}

/// That a connection ends by exactly this NOTIFICATION. `data` counts for Routelet only: others leave it out freely.
pub fn ends_with(
    kind: Kind,
    peer: &mut RawPeer,
    (code, subcode, data): (u8, u8, &[u8]),
) -> Result<()> {
    let ending = peer.ending(SOON)?;
    let Ending::Notification(got_code, got_subcode, got_data) = &ending else {
        bail!("NOTIFICATION {code}/{subcode} {data:?} expected, got {ending:?}");
    };
    let data_counts = kind == Kind::Routelet;
    ensure!(
        (*got_code, *got_subcode) == (code, subcode) && (!data_counts || got_data == data),
        "NOTIFICATION {code}/{subcode} {data:?} expected, got {ending:?}"
    );
    Ok(())
}

/// The failures of a table's rows in one error, so that one run shows all of them.
pub fn verdict(failures: &[String]) -> Result<()> {
    ensure!(
        failures.is_empty(),
        "{} rows failed:\n{}",
        failures.len(),
        failures.join("\n")
    );
    Ok(())
}

/// Waits until the subject has dropped the session of row `n`.
pub fn gone(rig: &Rig, n: usize) -> Result<()> {
    eventually(SOON, "the session is gone", || {
        let session = rig.subject.session(&address(n).to_string())?;
        ensure!(session.state != State::Established, "{session:?}");
        Ok(())
    })
}
