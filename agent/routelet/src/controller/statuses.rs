//! What the controller says of our own objects: counts and conditions, out of everything that it knows. Pure.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use k8s_openapi::jiff::Timestamp;
use routelet_api::router_state::SessionCounts;
use routelet_api::status::ACCEPTED;
use routelet_api::{AddressPool, AddressPoolStatus, Condition, ObjectStatus, Peer, PeerStatus};
use routelet_core::cluster::validate;
use routelet_core::cluster::{Kind, ObjectRef};
use routelet_core::pools::{Allocation, PoolReport};

use super::cache::ControllerCache;
use super::custom_object::CustomObject;
use super::objects::Statuses;
use super::reported::Reported;
use super::store::Store;
use crate::report::conditions::{Finding, conditions, whole_seconds};

/// How many things of a kind a message names.
const NAMED: usize = 5;

/// Compares every status with what it should be.
pub(super) fn statuses(
    cache: &ControllerCache,
    allocation: &Allocation,
    (now, instant): (Timestamp, Instant),
) -> Statuses {
    let context = Context {
        accepted: Accepted::new(cache, instant),
        sessions: sessions(cache, instant),
        allocation,
        now: whole_seconds(now),
    };
    macro_rules! statuses {
        ($($kind:ident { collection: $collection:ident, $($rest:tt)* })*) => {
            Statuses {
                $($collection: differing(&cache.objects.$collection, |name, ours| {
                    StatusOf::of(name, ours, &context)
                }),)*
            }
        };
    }
    routelet_api::kinds!(statuses)
}

/// What statuses are made of.
struct Context<'a> {
    accepted: Accepted<'a>,
    sessions: BTreeMap<String, SessionsByNode<'a>>,
    allocation: &'a Allocation,
    now: Timestamp,
}

/// The status of a kind.
trait StatusOf<K: Kind<Status = Self>> {
    /// What it should be.
    fn of(name: &str, ours: &CustomObject<K>, context: &Context<'_>) -> Self;
}

/// Of kinds of which nothing is said but whether they are accepted.
impl<K: Kind<Status = Self>> StatusOf<K> for ObjectStatus {
    fn of(name: &str, ours: &CustomObject<K>, context: &Context<'_>) -> Self {
        let findings = [context.accepted.of(name, ours)];
        Self {
            conditions: ours.conditions(findings, &ours.status.conditions, context.now),
        }
    }
}

impl StatusOf<Peer> for PeerStatus {
    fn of(name: &str, peer: &CustomObject<Peer>, context: &Context<'_>) -> Self {
        let sessions = context.sessions.get(name).map_or(&[][..], Vec::as_slice);
        let (all, established) = totals(sessions);
        let is_used = |(_, counts): &&(_, Cow<'_, SessionCounts>)| counts.sessions > 0;
        let used_on = sessions.iter().filter(is_used).count();
        let accepted = context.accepted.used(name, peer, used_on);
        let findings = [accepted, established_of(sessions)];
        Self {
            sessions: all,
            established,
            conditions: peer.conditions(findings, &peer.status.conditions, context.now),
        }
    }
}

impl StatusOf<AddressPool> for AddressPoolStatus {
    fn of(name: &str, pool: &CustomObject<AddressPool>, context: &Context<'_>) -> Self {
        let report = context.allocation.pools.get(name);
        let mut findings = vec![context.accepted.of(name, pool)];
        if let Some(report) = report {
            if let Some(taken) = taken(report).filter(|_| findings[0].holds == Some(true)) {
                findings[0] = taken;
            }
            findings.push(exhausted(report));
            findings.push(refused(report));
        }
        let usage = report.map(|report| (report.ipv4, report.ipv6));
        let (ipv4, ipv6) = usage.unwrap_or_default();
        Self {
            ipv4,
            ipv6,
            conditions: pool.conditions(findings, &pool.status.conditions, context.now),
        }
    }
}

fn differing<K: Kind>(
    store: &Store<CustomObject<K>>,
    wanted: impl Fn(&str, &CustomObject<K>) -> K::Status,
) -> Vec<(String, K::Status)> {
    store
        .iter()
        .filter_map(|((_, name), ours)| {
            let status = wanted(name, ours);
            (status != ours.status).then(|| (name.clone(), status))
        })
        .collect()
}

impl<K: Kind> CustomObject<K> {
    fn conditions(
        &self,
        findings: impl IntoIterator<Item = Finding>,
        before: &[Condition],
        now: Timestamp,
    ) -> Vec<Condition> {
        conditions(findings, before, self.generation, now)
    }
}

/// What is found of objects that are valid, by kind and name.
struct Accepted<'a> {
    /// They refer to something that does not exist.
    dangling: HashMap<(String, String), String>,
    /// Their selectors select nothing, or they advertise nothing.
    idle: HashMap<(String, String), String>,
    /// What nodes report of them.
    reported: Reported<'a>,
}

impl<'a> Accepted<'a> {
    fn new(cache: &'a ControllerCache, now: Instant) -> Self {
        let state = cache.objects.valid();
        Self {
            dangling: by_object(validate::references(&state)),
            idle: by_object(validate::selections(&state)),
            reported: Reported::new(cache, now),
        }
    }

    /// Whether an object is valid, what it refers to exists, and nodes use it.
    fn of<K: Kind>(&self, name: &str, ours: &CustomObject<K>) -> Finding {
        self.used(name, ours, 0)
    }

    /// The same of an object that has sessions on so many nodes.
    fn used<K: Kind>(&self, name: &str, ours: &CustomObject<K>, used_on: usize) -> Finding {
        if let Some(reason) = &ours.invalid {
            let meanwhile = match &ours.good {
                Some(_) => "Agents that have its last good version keep using it",
                None => {
                    "The controller has no good version of it; agents without one do not use it"
                }
            };
            return Finding::bad(ACCEPTED, "Invalid", format!("{reason}. {meanwhile}"));
        }
        let key = (K::KIND.to_owned(), name.to_owned());
        let dangling = self.dangling.get(&key);
        let dangling =
            dangling.map(|text| Finding::bad(ACCEPTED, "ReferenceNotFound", text.clone()));
        let idle = self.idle.get(&key);
        let idle = idle.map(|text| Finding::good(ACCEPTED, "WithoutEffect", text.clone()));
        let reported = self.reported.of(&format!("{} {name}", K::KIND), used_on);
        together([dangling, reported, idle].into_iter().flatten())
    }
}

/// The worst of what was found of an object, the first of equals, with the texts of all.
fn together(found: impl Iterator<Item = Finding>) -> Finding {
    found
        .reduce(|mut first, mut other| {
            if other.holds != Some(true) && first.holds == Some(true) {
                std::mem::swap(&mut first, &mut other);
            }
            first.message = format!("{}; {}", first.message, other.message);
            first
        })
        .unwrap_or_else(|| Finding::good(ACCEPTED, "Valid", ""))
}

fn by_object(findings: Vec<(ObjectRef, validate::Finding)>) -> HashMap<(String, String), String> {
    let mut texts: HashMap<_, String> = HashMap::new();
    for (ObjectRef { kind, name, .. }, finding) in findings {
        let text = texts
            .entry((kind.to_string(), name.to_string()))
            .or_default();
        if !text.is_empty() {
            text.push_str("; ");
        }
        text.push_str(&format!("{}: {}", finding.path, finding.reason));
    }
    texts
}

/// The sessions of a Peer on each node that has any.
type SessionsByNode<'a> = Vec<(&'a str, Cow<'a, SessionCounts>)>;

/// The sessions of every Peer, with their nodes.
fn sessions(cache: &ControllerCache, now: Instant) -> BTreeMap<String, SessionsByNode<'_>> {
    let mut all: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for ((_, node), state) in cache.states.iter() {
        for counts in state.counts(now) {
            if let Some(name) = counts.object.strip_prefix("Peer ") {
                let of_peer = all.entry(name.to_owned()).or_default();
                of_peer.push((node.as_str(), counts));
            }
        }
    }
    all
}

/// How many sessions there are, and how many of them are Established.
fn totals(sessions: &[(&str, Cow<'_, SessionCounts>)]) -> (i64, i64) {
    let counts = sessions.iter().map(|(_, counts)| counts);
    counts.fold((0, 0), |(all, established), counts| {
        (all + counts.sessions, established + counts.established)
    })
}

fn established_of(sessions: &[(&str, Cow<'_, SessionCounts>)]) -> Finding {
    const ESTABLISHED: &str = "Established";
    let (all, established) = totals(sessions);
    let named: Vec<String> = sessions
        .iter()
        .flat_map(|(node, counts)| {
            counts
                .down
                .iter()
                .map(move |text| format!("{node}: {text}"))
        })
        .take(NAMED)
        .collect();
    match all - established {
        _ if all == 0 => Finding {
            kind: ESTABLISHED,
            holds: None,
            reason: "NoSessions",
            message: "no node has a session for it: none is selected or uses it (see the condition Accepted), or no \
                agent has reported"
                .to_owned(),
        },
        ..=0 => Finding::good(ESTABLISHED, "Established", ""),
        down => {
            let more = match down - i64::try_from(named.len()).unwrap_or(down) {
                ..=0 => String::new(),
                more => format!("; and {more} more"),
            };
            let text = format!("{down} of {all}: {}{more}", named.join("; "));
            Finding::bad(ESTABLISHED, "SessionsDown", text)
        }
    }
}

/// What of a pool's addresses is not its to assign.
fn taken(report: &PoolReport) -> Option<Finding> {
    let mut parts: Vec<String> = Vec::new();
    let overlaps: Vec<String> = report.overlaps.iter().map(ToString::to_string).collect();
    let reserved: Vec<String> = report.reserved.iter().map(ToString::to_string).collect();
    let holding = report.holding_reserved.iter();
    let holding: Vec<String> = holding
        .map(|(service, address)| format!("{service} ({address})"))
        .collect();
    if !reserved.is_empty() {
        parts.push(format!("not assigned: {}", some_of(&reserved)));
    }
    if !holding.is_empty() {
        parts.push(format!(
            "Services that keep such an address, which is not advertised: {}",
            some_of(&holding)
        ));
    }
    if !overlaps.is_empty() {
        parts.push(some_of(&overlaps));
    }
    let reason = match (reserved.is_empty(), overlaps.is_empty()) {
        (true, true) => return None,
        (false, _) => "Reserved",
        (true, false) => "Overlaps",
    };
    Some(Finding::good(ACCEPTED, reason, parts.join("; ")))
}

fn exhausted(report: &PoolReport) -> Finding {
    const EXHAUSTED: &str = "Exhausted";
    let waiting: Vec<String> = report.waiting.iter().map(ToString::to_string).collect();
    if waiting.is_empty() {
        return Finding::bad(EXHAUSTED, "AddressesFree", "");
    }
    Finding::good(
        EXHAUSTED,
        "NoAddressFree",
        format!("Services without an address: {}", some_of(&waiting)),
    )
}

fn refused(report: &PoolReport) -> Finding {
    const REQUESTS_REFUSED: &str = "RequestsRefused";
    let refused = report.refused.iter();
    let refused: Vec<String> = refused
        .map(|(service, why)| format!("{service}: {why}"))
        .collect();
    match refused.is_empty() {
        true => Finding::bad(REQUESTS_REFUSED, "NoneRefused", ""),
        false => Finding::good(REQUESTS_REFUSED, "Refused", some_of(&refused)),
    }
}

/// The first few of a list, and how many more there are.
fn some_of(all: &[String]) -> String {
    let named = all.iter().take(NAMED).cloned().collect::<Vec<_>>();
    match all.len().saturating_sub(NAMED) {
        0 => named.join("; "),
        more => format!("{}; and {more} more", named.join("; ")),
    }
}
