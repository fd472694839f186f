//! From an allocation to what has to be written into the statuses of Services. Pure.

use std::collections::HashSet;
use std::net::IpAddr;

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::store::Key;
use super::world::{Served, World};
use crate::pools::{ADDRESS_ASSIGNED, Allocation, Decision, Statement};

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

/// The Services whose status is not as the allocation says, those first whose addresses are not.
///
/// Nobody gets an address that another Service still has to lose: writes may fail, and come in any order. It follows when that is
/// written.
///
/// While a pool is not known, no Service loses an address: it may be of that pool. So nobody gets what another would lose, and of a
/// Service that has an address of such a pool nothing is said.
pub(super) fn writes(world: &World, allocation: &Allocation, now: Timestamp) -> Vec<Write> {
    let is_unsure = !world.unknown_pools().is_empty();
    let decisions = allocation.services.values();
    let unreleased: HashSet<IpAddr> = decisions.flat_map(|d| d.release.iter().copied()).collect();
    let mut writes: Vec<Write> = world
        .services
        .iter()
        .filter_map(|(key, served)| {
            let decision = allocation.services.get(&served.request.key)?;
            let held = served.request.held();
            let is_early = |ip: &IpAddr| unreleased.contains(ip) && !held.contains(ip);
            let waits = decision.addresses().any(|ip| is_early(&ip));
            let releases = !decision.release.is_empty();
            if is_unsure && (releases || waits || decision.is_of_unknown_pool())
                || waits && !releases
            {
                return None;
            }
            let ingress = (!decision.is_written(&served.request))
                .then(|| ingress(served, decision, is_early));
            if waits {
                // What others wait for goes first, without a word: the rest follows.
                return Some(Write {
                    key: key.clone(),
                    moves: true,
                    patch: patch(served, ingress, None),
                });
            }
            // Of one that is on its way out, or cannot be read, nothing new is said.
            let stays = served.request.deleting
                || is_unsure && decision.is_classless()
                || allocation.keeps_condition(&served.request, decision);
            let condition = match stays {
                true => None,
                false => condition(served, decision.statement(&served.request).as_ref(), now),
            };
            (ingress.is_some() || condition.is_some()).then(|| Write {
                key: key.clone(),
                moves: ingress.is_some(),
                patch: patch(served, ingress, condition),
            })
        })
        .collect();
    writes.sort_by_key(|write| !write.moves);
    writes
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
