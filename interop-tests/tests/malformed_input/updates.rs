//! The tables of UPDATEs at the real speaker: what raw peers send, and what is left at the subject.
//!
//! Rows that leave the session alone share one per kind of peer and kind of session. A row that ends its session has
//! one of its own, from an address of its own, so that it does not wait until the peer may connect again.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use interop_tests::raw::RawPeer;
use interop_tests::raw::encode::parameter;
use interop_tests::{Kind, Lab, Neighbour, eventually};
use serde_json::Value;

use crate::outcome::{Outcome, Row, Session};
use crate::parts::{Parts, RAW_AS};
use crate::sessions::{KINDS, neighbour, session};
use crate::support::SOON;
use crate::support::bad_input::{Rig, ends_with, raw_peer, verdict};
use crate::support::octets::{OPTIONAL, PARTIAL, TRANSITIVE, dump_ipv4};
use crate::{attributes, framing};

/// A policy that looks at all of a path, for the peers that send very long ones.
const POLICY: &str = r#"
---
apiVersion: routelet.dev/v1alpha1
kind: RoutePolicy
metadata: {name: paths}
spec:
  rules:
  - {match: {asPathContains: [4199999999]}, action: Reject}
  - {match: {originAsns: [4199999998]}, action: Reject}
  - {match: {asPathLength: {min: 20000}}, action: Reject}
"#;

/// A row on a session: which, and from which kind of peer.
struct Case {
    row: Row,
    /// What tells its routes from those of other rows.
    n: usize,
    internal: bool,
    /// Its place among the raw peers, which is its address too.
    peer: usize,
}

impl Case {
    fn outcome(&self) -> Outcome {
        self.row.outcome(self.internal)
    }

    fn resets(&self) -> bool {
        matches!(self.outcome(), Outcome::Reset(..))
    }

    fn parts(&self) -> Parts {
        self.row.parts(self.n, self.internal)
    }

    fn prefix(&self) -> String {
        match self.row.ipv6 {
            false => format!("198.18.{}.0/24", self.n),
            true => format!("2001:db8:{:x}::/48", self.n),
        }
    }

    fn name(&self) -> String {
        let from = if self.internal {
            "internal"
        } else {
            "external"
        };
        format!(
            "{}: {}, from an {from} peer",
            self.row.section, self.row.name
        )
    }
}

/// The cases of a table, and the raw peers that they need.
fn cases(rows: &[Row]) -> (Vec<Case>, Vec<Neighbour>) {
    let mut peers = Vec::new();
    let mut cases = Vec::new();
    let mut peer = |internal, session| {
        let peer = neighbour(peers.len() + 1, internal, session);
        peers.push(peer.extra(r#"{"import": ["paths"]}"#));
        peers.len()
    };
    for session in Session::ALL {
        for internal in KINDS {
            let shared = peer(internal, session);
            for (n, row) in (1..).zip(rows).filter(|(_, row)| row.session == session) {
                let mut case = Case {
                    row: *row,
                    n,
                    internal,
                    peer: shared,
                };
                if case.resets() {
                    case.peer = peer(internal, session);
                }
                cases.push(case);
            }
        }
    }
    (cases, peers)
}

/// `framing` and `attributes`.
pub fn scenario(lab: &Lab) -> Result<()> {
    let rows = [framing::rows(), attributes::rows()].concat();
    let (cases, mut peers) = cases(&rows);
    let listener = peers.len() + 1;
    peers.push(raw_peer(listener, RAW_AS + 1));
    let rig = Rig::start_with(lab, Kind::Routelet, peers, POLICY)?;
    let mut sessions: Vec<Option<RawPeer>> = (0..listener).map(|_| None).collect();
    for case in &cases {
        let peer = &mut sessions[case.peer];
        if peer.is_none() {
            *peer = Some(session(&rig, case.peer, case.row.session, &[])?);
        }
        let peer = peer.as_mut().context("a session")?;
        peer.send(&case.parts().before_it())?;
        peer.send(&case.parts().before_it6())?;
    }
    eventually(SOON, "the good routes before", || {
        let seen = Seen::now(&rig)?;
        cases.iter().try_for_each(|case| {
            let route = seen.route(case, &case.prefix());
            route.map(drop).with_context(|| case.prefix())
        })
    })?;
    for case in &cases {
        let peer = sessions[case.peer].as_mut().context("a session")?;
        peer.send(&(case.row.octets)(&case.parts()))
            .with_context(|| case.name())?;
        // The connection may have been closed already, where it must be.
        let _ = peer.send(&case.parts().sentinel());
    }
    let mut failures = Vec::new();
    for case in cases.iter().filter(|case| case.resets()) {
        let peer = sessions[case.peer].as_mut().context("a session")?;
        if let Err(error) = reset(case, peer) {
            failures.push(format!("{}: {error:#}", case.name()));
        }
    }
    // What is behind on one look is looked at again; what is wrong stays so.
    let mut judged = Vec::new();
    let _ = eventually(SOON, "all rows", || {
        judged = judge_all(&Seen::now(&rig)?, &cases);
        ensure!(judged.is_empty(), "{judged:?}");
        Ok(())
    });
    failures.extend(judged);
    if let Err(error) = passed_on(&rig, listener, &rows) {
        failures.push(format!("RFC 4271 5: {error:#}"));
    }
    rig.unharmed()?;
    verdict(&failures)
}

fn reset(case: &Case, peer: &mut RawPeer) -> Result<()> {
    let Outcome::Reset(code, subcode, data) = case.outcome() else {
        bail!("no reset");
    };
    let data = data(&case.parts());
    ends_with(Kind::Routelet, peer, (code, subcode, &data))
}

/// Unknown transitive attributes are passed on with the partial bit, whatever their codes (RFC 4271 section 5).
fn passed_on(rig: &Rig, listener: usize, rows: &[Row]) -> Result<()> {
    let restart = parameter(64, &[0, 0, 0, 1, 1, 0]);
    let mut peer = session(rig, listener, Session::Usual, &restart)?;
    let prefix = |code: u8| -> Result<[u8; 3]> {
        let wanted = format!("attribute {code}");
        let n = rows.iter().position(|row| row.name == wanted);
        let n = n.context("no such row")? + 1;
        Ok([198, 18, u8::try_from(n)?])
    };
    let codes = [20, 21, 28, 255];
    let wanted: Vec<[u8; 3]> = codes.into_iter().map(prefix).collect::<Result<_>>()?;
    let heard = dump_ipv4(&mut peer, &wanted, SOON)?;
    for (code, prefix) in codes.into_iter().zip(wanted) {
        let route = &heard[&prefix];
        let (flags, _) = route
            .get(&code)
            .with_context(|| format!("attribute {code} was not passed on: {route:?}"))?;
        ensure!(
            *flags == OPTIONAL | TRANSITIVE | PARTIAL,
            "attribute {code}: flags {flags:#x}"
        );
    }
    Ok(())
}

/// The subject at one moment.
struct Seen {
    peers: Value,
    received: Value,
}

impl Seen {
    fn now(rig: &Rig) -> Result<Self> {
        Ok(Self {
            peers: rig.subject.query(&["peers"])?,
            received: rig.subject.query(&["routes", "received"])?,
        })
    }

    fn route(&self, case: &Case, prefix: &str) -> Option<&Value> {
        // The healthy peer is the subject's first.
        let peer = format!("n{}", case.peer);
        let mut all = self.received.as_array()?.iter();
        all.find(|route| route["prefix"] == prefix && route["peer"] == peer.as_str())
    }

    fn peer(&self, n: usize) -> Result<&Value> {
        let name = format!("n{n}");
        let mut all = self.peers.as_array().context("a list of peers")?.iter();
        all.find(|peer| peer["name"] == name.as_str())
            .with_context(|| format!("no peer {name}"))
    }
}

fn judge_all(seen: &Seen, cases: &[Case]) -> Vec<String> {
    let mut failures = Vec::new();
    let own: Vec<&Case> = cases.iter().filter(|case| case.resets()).collect();
    let mut judge_each = |all: &[&Case]| {
        for case in all {
            if let Err(error) = judge(seen, case) {
                failures.push(format!("{}: {error:#}", case.name()));
            }
        }
    };
    judge_each(&own);
    let mut wrong = Vec::new();
    for shared in by_session(cases) {
        match culprit(seen, &shared).and_then(|()| counted(seen, &shared)) {
            Ok(()) => judge_each(&shared),
            Err(error) => wrong.push(format!("{error:#}")),
        }
    }
    failures.extend(wrong);
    failures
}

/// That a session which rows share was not reset; else the error names the row that did it, by the number of UPDATEs
/// that were received.
fn culprit(seen: &Seen, shared: &[&Case]) -> Result<()> {
    let Some(first) = shared.first() else {
        return Ok(());
    };
    let peer = seen.peer(first.peer)?;
    if peer["state"] == "Established" {
        return Ok(());
    }
    let received = peer["messagesReceived"]["update"].as_u64().unwrap_or(0);
    // Two good ones before each, then each with its sentinel.
    let before = 2 * shared.len();
    let at = usize::try_from(received)?.saturating_sub(before + 1) / 2;
    let case = shared.get(at).context("more UPDATEs than were sent")?;
    bail!(
        "{}: the session was reset: {}",
        case.name(),
        peer["lastDown"]
    );
}

fn judge(seen: &Seen, case: &Case) -> Result<()> {
    let route = seen.route(case, &case.prefix());
    let peer = seen.peer(case.peer)?;
    let (state, times) = (&peer["state"], &peer["establishedCount"]);
    ensure!(*times == 1, "established {times} times");
    if case.resets() {
        ensure!(state != "Established", "the session was not reset");
        ensure!(route.is_none(), "the route stays: {route:?}");
        return Ok(());
    }
    ensure!(
        state == "Established",
        "the session was reset: {}",
        peer["lastDown"]
    );
    let sentinel = format!("198.19.{}.0/24", case.n);
    ensure!(
        seen.route(case, &sentinel).is_some(),
        "the good route behind it is missing"
    );
    let is_new = |route: &Value| route["med"] == 77;
    match (case.outcome(), route) {
        (Outcome::Withdraw, None) => Ok(()),
        (Outcome::Used | Outcome::Filtered(_) | Outcome::Discard(_), Some(route))
            if is_new(route) =>
        {
            ensure!(is_usable(route), "it is not used: {route}");
            let (Outcome::Discard(codes) | Outcome::Filtered(codes)) = case.outcome() else {
                return Ok(());
            };
            let kept = route["unknownAttributes"].as_array();
            let mut kept = kept.into_iter().flatten().filter_map(Value::as_u64);
            ensure!(
                kept.all(|kept| codes.iter().all(|code| u64::from(*code) != kept)),
                "one of {codes:?} is kept: {route}"
            );
            Ok(())
        }
        (Outcome::Unusable, Some(route)) if is_new(route) => {
            ensure!(!is_usable(route), "it is used: {route}");
            Ok(())
        }
        (Outcome::Ignored, Some(route)) if !is_new(route) => Ok(()),
        (outcome, route) => bail!("{outcome:?} expected, the route is {route:?}"),
    }
}

/// Whether the route is the best path or could be.
fn is_usable(route: &Value) -> bool {
    route["state"] != "unreachable"
}

/// The sessions that rows share.
fn by_session(cases: &[Case]) -> Vec<Vec<&Case>> {
    let mut all: BTreeMap<usize, Vec<&Case>> = BTreeMap::new();
    for case in cases.iter().filter(|case| !case.resets()) {
        all.entry(case.peer).or_default().push(case);
    }
    all.into_values().collect()
}

/// Every row that has something wrong in it was counted, and no other.
fn counted(seen: &Seen, shared: &[&Case]) -> Result<()> {
    let Some(peer) = shared.first().map(|case| case.peer) else {
        return Ok(());
    };
    let count = |wanted: fn(Outcome) -> bool| {
        let wrong = shared.iter().filter(|case| wanted(case.outcome()));
        wrong.count() as u64
    };
    let least = count(|outcome| matches!(outcome, Outcome::Discard(_) | Outcome::Withdraw));
    let most = least + count(|outcome| matches!(outcome, Outcome::Ignored));
    let malformed = seen.peer(peer)?["updatesMalformed"].as_u64();
    ensure!(
        malformed.is_some_and(|number| (least..=most).contains(&number)),
        "peer {peer}: {malformed:?} malformed UPDATEs; {least} to {most} expected"
    );
    Ok(())
}
