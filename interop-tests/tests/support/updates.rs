//! Tables of wrong UPDATEs: every row has a session of its own, announces a good route on it, then sends one wrong
//! UPDATE about that route, then another good route. What is left tells the outcome.

use anyhow::{Context, Result, ensure};
use interop_tests::{Family, Kind, Lab, Route, Session, State, eventually};
use serde_json::Value;

use super::SOON;
use super::bad_input::{OWN_AS, RAW_AS, Rig, address, ends_with, verdict};
use super::parts::Parts;

/// What follows from a wrong UPDATE (RFC 7606 section 2).
pub enum Outcome {
    /// The route stays, as the wrong UPDATE has it but without what is wrong: of `routelet routes`, this field is this.
    Discard(&'static str, Value),
    /// The route goes, the session stays.
    Withdraw,
    /// The session ends with this NOTIFICATION: code, subcode, data.
    Reset(u8, u8, fn(&Parts) -> Vec<u8>),
}

/// A NOTIFICATION without data.
pub const NO_DATA: fn(&Parts) -> Vec<u8> = |_| Vec::new();

/// One row.
pub struct Row {
    /// The section and the claim.
    pub name: &'static str,
    /// Whether the peer is in the subject's AS.
    pub internal: bool,
    /// The family of the route concerned.
    pub family: Family,
    /// Makes the wrong message.
    pub octets: fn(&Parts) -> Vec<u8>,
    /// What follows.
    pub outcome: Outcome,
    /// Whether it holds with BIRD as the subject too.
    pub bird: bool,
}

/// A row about IPv4 from an external peer.
pub fn row(name: &'static str, octets: fn(&Parts) -> Vec<u8>, outcome: Outcome) -> Row {
    Row {
        name,
        internal: false,
        family: Family::Ipv4,
        octets,
        outcome,
        bird: true,
    }
}

impl Row {
    /// From a peer in the subject's own AS.
    pub fn internal(mut self) -> Self {
        self.internal = true;
        self
    }

    /// About the IPv6 route.
    pub fn ipv6(mut self) -> Self {
        self.family = Family::Ipv6;
        self
    }

    /// BIRD does otherwise.
    pub fn not_bird(mut self) -> Self {
        self.bird = false;
        self
    }
}

fn prefix(family: Family, n: usize) -> String {
    match family {
        Family::Ipv4 => format!("198.18.{n}.0/24"),
        Family::Ipv6 => format!("2001:db8:{n:x}::/48"),
    }
}

/// Runs a table.
pub fn table(lab: &Lab, kind: Kind, rows: Vec<Row>) -> Result<()> {
    let rows: Vec<Row> = rows
        .into_iter()
        .filter(|row| kind == Kind::Routelet || row.bird)
        .collect();
    let ases: Vec<u32> = rows
        .iter()
        .map(|row| if row.internal { OWN_AS } else { RAW_AS })
        .collect();
    let rig = Rig::start(lab, kind, &ases)?;
    let mut peers = Vec::new();
    for (n, row) in (1..).zip(&rows) {
        let mut peer = rig.session(n, 90)?;
        let context = Parts::new(n, row.internal);
        peer.send(&context.before_it())?;
        peer.send(&context.six(&[context.reach()]))?;
        peers.push(peer);
    }
    wait_for(&rig, Family::Ipv4, &rows)?;
    wait_for(&rig, Family::Ipv6, &rows)?;
    for ((n, row), peer) in (1..).zip(&rows).zip(&mut peers) {
        let context = Parts::new(n, row.internal);
        peer.send(&(row.octets)(&context))?;
        // It may have been closed already, where it must be.
        let _ = peer.send(&context.sentinel());
    }
    let mut failures = Vec::new();
    let mut fail = |row: &Row, error: anyhow::Error| {
        failures.push(format!("RFC 7606 {}: {error:#}", row.name));
    };
    for ((n, row), peer) in (1..).zip(&rows).zip(&mut peers) {
        if let Outcome::Reset(code, subcode, data) = &row.outcome {
            let data = data(&Parts::new(n, row.internal));
            if let Err(error) = ends_with(kind, peer, (*code, *subcode, &data)) {
                fail(row, error);
            }
        }
    }
    // What is behind on one look is looked at again; what is wrong stays so.
    let _ = eventually(SOON, "all rows", || {
        let seen = Seen::now(&rig)?;
        for (n, row) in (1..).zip(&rows) {
            judge(&seen, n, row)?;
        }
        Ok(())
    });
    let seen = Seen::now(&rig)?;
    for (n, row) in (1..).zip(&rows) {
        if let Err(error) = judge(&seen, n, row) {
            fail(row, error);
        }
    }
    rig.unharmed()?;
    verdict(&failures)
}

/// Waits until all rows' good routes are there.
fn wait_for(rig: &Rig, family: Family, rows: &[Row]) -> Result<()> {
    eventually(SOON, "the good routes", || {
        let routes = rig.subject.routes(family)?;
        for n in 1..=rows.len() {
            let prefix = prefix(family, n).parse()?;
            ensure!(
                routes.iter().any(|route| route.prefix == prefix),
                "{prefix} is missing"
            );
        }
        Ok(())
    })
}

/// The subject at one moment.
struct Seen {
    kind: Kind,
    routes: Vec<Route>,
    sessions: Vec<Session>,
    /// `routelet peers` and `routelet routes received`.
    shown: Option<(Value, Value)>,
}

impl Seen {
    fn now(rig: &Rig) -> Result<Self> {
        let subject = &rig.subject;
        let mut routes = subject.routes(Family::Ipv4)?;
        routes.extend(subject.routes(Family::Ipv6)?);
        let shown = match subject.kind() {
            Kind::Routelet => Some((
                subject.query(&["peers"])?,
                subject.query(&["routes", "received"])?,
            )),
            _ => None,
        };
        Ok(Self {
            kind: subject.kind(),
            routes,
            sessions: subject.sessions()?,
            shown,
        })
    }

    fn route(&self, prefix: &str) -> Option<&Route> {
        self.routes
            .iter()
            .find(|route| route.prefix.to_string() == prefix)
    }
}

fn judge(seen: &Seen, n: usize, row: &Row) -> Result<()> {
    let concerned = prefix(row.family, n);
    let route = seen.route(&concerned);
    let session = seen
        .sessions
        .iter()
        .find(|session| session.neighbour == address(n))
        .context("no session")?;
    let up = session.state == State::Established;
    if let Outcome::Reset(..) = &row.outcome {
        ensure!(!up, "the session is not reset: {session:?}");
        ensure!(route.is_none(), "the route stays: {route:?}");
        return Ok(());
    }
    ensure!(up, "the session was reset: {session:?}");
    // The route sent last is there: what was sent before it has had its effect.
    ensure!(
        seen.route(&format!("198.19.{n}.0/24")).is_some(),
        "the good route behind it is missing"
    );
    let find = |list: &Value, key: &str, value: &str| {
        let mut all = list.as_array().into_iter().flatten();
        all.find(|one| one[key] == value).cloned()
    };
    if let Some((peers, _)) = &seen.shown {
        let shown = find(peers, "address", &address(n).to_string()).context("no peer")?;
        ensure!(
            shown["establishedCount"] == 1 && shown["updatesMalformed"] == 1,
            "established {} times, {} malformed UPDATEs",
            shown["establishedCount"],
            shown["updatesMalformed"]
        );
    }
    let Outcome::Discard(field, expected) = &row.outcome else {
        ensure!(route.is_none(), "the route stays: {route:?}");
        return Ok(());
    };
    let route = route.context("the route is gone")?;
    ensure!(route.med == Some(77), "the old version stays: {route:?}");
    if let (Kind::Routelet, Some((_, received))) = (seen.kind, &seen.shown) {
        let shown = find(received, "prefix", &concerned).context("not received")?;
        ensure!(
            shown[field] == *expected,
            "{field}: {expected} expected: {shown}"
        );
    }
    Ok(())
}
