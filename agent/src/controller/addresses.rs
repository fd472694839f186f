//! From an allocation to what has to be written into the statuses of Services. Pure.

use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::store::Key;
use super::world::{Served, World};
use crate::pools::{ADDRESS_ASSIGNED, Allocation, Decision, Request, Statement};

/// What a Service's status has to become.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Write {
    /// Namespace and name.
    pub(super) key: Key,
    /// Whether addresses are written, not the condition alone.
    pub(super) moves: bool,
    /// A strategic merge patch of the status. It holds the version that was decided upon: if there is a newer one, it is
    /// refused. Conditions of others stay.
    pub(super) patch: Value,
}

/// The Services whose status is perhaps not as the allocation says.
#[derive(Debug, Default)]
pub(super) struct Due(BTreeSet<Key>);

impl Due {
    /// These too.
    pub(super) fn extend(&mut self, keys: impl IntoIterator<Item = Key>) {
        self.0.extend(keys);
    }

    /// Whether a Service is among them.
    pub(super) fn contains(&self, key: &Key) -> bool {
        self.0.contains(key)
    }

    /// What has to be written, `most` of it, addresses first. What `admit` leaves out stays due, and so does what is written, until
    /// the status is found to be as it should be.
    pub(super) fn writes(
        &mut self,
        (world, allocation): (&World, &Allocation),
        now: Timestamp,
        most: usize,
        mut admit: impl FnMut(Write) -> Option<Write>,
    ) -> Vec<Write> {
        let statuses = Unwritten::new((world, allocation), now, &self.0);
        let (mut writes, mut done) = (Vec::new(), Vec::new());
        for moves in [true, false] {
            for key in &self.0 {
                if writes.len() >= most {
                    break;
                }
                let Some((served, decision)) = statuses.of(key) else {
                    done.push(key.clone());
                    continue;
                };
                if moves == decision.is_written(&served.request) {
                    continue;
                }
                match statuses.step(key, served, decision) {
                    Step::Write(write) => writes.extend(admit(write)),
                    Step::Later => {}
                    Step::Done => done.push(key.clone()),
                }
            }
        }
        for key in done {
            self.0.remove(&key);
        }
        writes
    }
}

/// What has to be done about a Service.
enum Step {
    /// This is to be written.
    Write(Write),
    /// Nothing yet.
    Later,
    /// Nothing.
    Done,
}

/// What is compared.
struct Unwritten<'a> {
    world: &'a World,
    allocation: &'a Allocation,
    now: Timestamp,
    /// While a pool is not known, no Service loses an address: it may be of that pool. So nobody gets what another would lose, and
    /// of a Service that has an address of such a pool nothing is said.
    is_unsure: bool,
    /// What Services have and are to lose. Nobody else gets it before that is written: writes may fail, and come in any order.
    unreleased: HashSet<IpAddr>,
    /// Those of them that somebody waits for.
    wanted: HashSet<IpAddr>,
}

impl<'a> Unwritten<'a> {
    /// Who has something to lose is due.
    fn new(
        (world, allocation): (&'a World, &'a Allocation),
        now: Timestamp,
        due: &BTreeSet<Key>,
    ) -> Self {
        let statuses = Self {
            world,
            allocation,
            now,
            is_unsure: !world.unknown_pools().is_empty(),
            unreleased: HashSet::new(),
            wanted: HashSet::new(),
        };
        let known = due.iter().filter_map(|key| statuses.of(key));
        let unreleased = known.flat_map(|(served, decision)| {
            let held = served.request.held().into_iter();
            held.filter(|address| decision.release.contains(address))
        });
        let unreleased: HashSet<IpAddr> = unreleased.collect();
        let known = due.iter().filter_map(|key| statuses.of(key));
        let wanted = known.flat_map(|(served, decision)| {
            let held = served.request.held();
            let addresses = decision.addresses().filter(|ip| unreleased.contains(ip));
            addresses.filter(move |ip| !held.contains(ip))
        });
        Self {
            wanted: wanted.collect(),
            unreleased,
            ..statuses
        }
    }

    fn of(&self, key: &Key) -> Option<(&'a Served, &'a Decision)> {
        let served = self.world.services.get(key)?;
        let decision = self.allocation.services.get(&served.request.key)?;
        Some((served, decision))
    }

    fn step(&self, key: &Key, served: &Served, decision: &Decision) -> Step {
        let held = served.request.held();
        let is_early = |ip: &IpAddr| self.unreleased.contains(ip) && !held.contains(ip);
        let waits = decision.addresses().any(|ip| is_early(&ip));
        let releases = !decision.has_released(&served.request);
        let is_wanted = |ip: &IpAddr| decision.release.contains(ip) && self.wanted.contains(ip);
        let is_waited_for = held.iter().any(is_wanted);
        if self.is_unsure && (releases || waits || decision.is_of_unknown_pool())
            || waits && !is_waited_for
        {
            return Step::Later;
        }
        let ingress =
            (!decision.is_written(&served.request)).then(|| ingress(served, decision, is_early));
        if waits {
            // What another waits for goes first, without a word: the rest follows. Without that, nothing is taken away before
            // there is something else.
            return Step::Write(Write {
                key: key.clone(),
                moves: true,
                patch: patch(served, ingress, None),
            });
        }
        // Of one that is on its way out, or cannot be read, nothing new is said.
        let stays = served.request.deleting
            || self.is_unsure && decision.is_classless()
            || self.allocation.keeps_condition(&served.request, decision);
        let condition = match stays {
            true => None,
            false => {
                let wanted = decision.statement(&served.request);
                condition(served, wanted.as_ref(), self.now)
            }
        };
        match ingress.is_some() || condition.is_some() {
            true => Step::Write(Write {
                key: key.clone(),
                moves: ingress.is_some(),
                patch: patch(served, ingress, condition),
            }),
            false => Step::Done,
        }
    }
}

/// Whether what a write has answered has other addresses than before, and not those that were to be written, if any were: then
/// decisions that count on these do not hold.
pub(super) fn is_otherwise(before: &Request, after: &Request, decided: Option<&Decision>) -> bool {
    let wanted = decided.map(|decision| decision.ingress(before));
    after.ingress != before.ingress && wanted.is_none_or(|wanted| *wanted != *after.ingress)
}

/// A patch that changes nothing but what is said; `None` if that is said already.
pub(super) fn say(served: &Served, statement: &Statement, now: Timestamp) -> Option<Value> {
    let condition = condition(served, Some(statement), now)?;
    Some(patch(served, None, Some(condition)))
}

fn patch(served: &Served, ingress: Option<Vec<Value>>, condition: Option<Value>) -> Value {
    let mut status = json!({});
    if let Some(ingress) = ingress {
        status["loadBalancer"] = json!({"ingress": ingress});
    }
    if let Some(condition) = condition {
        status["conditions"] = json!([condition]);
    }
    json!({"metadata": {"resourceVersion": served.version}, "status": status})
}

/// The condition as an item of a strategic merge patch, if it is not there as it should be.
fn condition(served: &Served, wanted: Option<&Statement>, now: Timestamp) -> Option<Value> {
    let known = served.request.condition.as_deref();
    let Some(wanted) = wanted else {
        return known.map(|_| json!({"type": ADDRESS_ASSIGNED, "$patch": "delete"}));
    };
    if known.is_some_and(|known| known.says(wanted, served.generation)) {
        return None;
    }
    let same = known.filter(|known| known.holds == wanted.holds);
    let since = same.and_then(|known| known.since).unwrap_or(now);
    let mut condition = json!({
        "type": ADDRESS_ASSIGNED,
        "status": if wanted.holds { "True" } else { "False" },
        "reason": wanted.reason,
        "message": wanted.message,
        "lastTransitionTime": since,
    });
    if let Some(generation) = served.generation {
        condition["observedGeneration"] = generation.into();
    }
    Some(condition)
}

/// All entries but those that it is too early for: those of other load balancers that have nothing but a host name stay.
fn ingress(served: &Served, decision: &Decision, is_early: impl Fn(&IpAddr) -> bool) -> Vec<Value> {
    let addresses = decision.ingress(&served.request);
    let names = served.request.host_names.iter();
    addresses
        .iter()
        .filter(|entry| !is_early(&entry.ip))
        .map(|entry| match entry.proxy {
            true => json!({"ip": entry.ip, "ipMode": "Proxy"}),
            false => json!({"ip": entry.ip}),
        })
        .chain(names.map(|name| json!({"hostname": name})))
        .collect()
}
