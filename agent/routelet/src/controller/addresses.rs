//! From an allocation to what has to be written into the statuses of Services. Pure.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;

use k8s_openapi::jiff::Timestamp;
use routelet_core::pools::{
    ADDRESS_ASSIGNED, Allocation, Decision, IpFamilyPolicy, Request, Statement,
};
use serde_json::{Value, json};
use smallvec::SmallVec;

use super::blocked_services::{self, BlockedServices};
use super::cache::ControllerCache;
use super::kubernetes::Served;
use super::store::Key;

/// What a Service's status has to become.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Write {
    /// Namespace and name.
    pub(super) key: Key,
    /// Whether addresses are written, not the condition alone.
    pub(super) moves: bool,
    /// A strategic merge patch of the status. It holds the version that was decided upon: if there is a newer one, it
    /// is refused. Conditions of others stay.
    pub(super) patch: Value,
    /// What it says if the Service waits for another to lose an address, and that cannot be written.
    pub(super) waits: Option<Statement>,
}

/// What is to be written in one round.
#[derive(Debug)]
pub(super) struct WriteBatch {
    /// Addresses first.
    pub(super) writes: Vec<Write>,
    /// How many Services wait for others to lose an address.
    pub(super) waiting: usize,
}

/// The Services whose status is perhaps not as the allocation says.
#[derive(Debug, Default)]
pub(super) struct WorkQueue(BTreeSet<Key>);

impl WorkQueue {
    /// These too.
    pub(super) fn extend(&mut self, keys: impl IntoIterator<Item = Key>) {
        self.0.extend(keys);
    }

    /// Whether a Service is among them.
    pub(super) fn contains(&self, key: &Key) -> bool {
        self.0.contains(key)
    }

    /// What has to be written, `most` of it, addresses first. What `admit` leaves out stays due, and so does what is
    /// written, until the status is found to be as it should be.
    pub(super) fn writes(
        &mut self,
        (cache, allocation, blocked): (&ControllerCache, &Allocation, &BlockedServices),
        now: Timestamp,
        most: usize,
        mut admit: impl FnMut(Write) -> Option<Write>,
    ) -> WriteBatch {
        let statuses = Comparison::new((cache, allocation, blocked), now, &self.0);
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
        let waiting = statuses.waiting;
        drop(statuses);
        for key in done {
            self.0.remove(&key);
        }
        WriteBatch { writes, waiting }
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
struct Comparison<'a> {
    cache: &'a ControllerCache,
    allocation: &'a Allocation,
    blocked: &'a BlockedServices,
    now: Timestamp,
    /// While a pool is not known, no Service loses an address: it may be of that pool. So nobody gets what another
    /// would lose, and of a Service that has an address of such a pool nothing is said.
    unknown_pools: BTreeSet<String>,
    /// What Services have and are to lose, and which. Nobody else gets it before that is written: writes may fail, and
    /// come in any order.
    unreleased: HashMap<IpAddr, SmallVec<[&'a Key; 1]>>,
    /// Those of them that somebody waits for.
    wanted: HashSet<IpAddr>,
    /// How many Services do.
    waiting: usize,
}

impl<'a> Comparison<'a> {
    /// Who has something to lose is due.
    fn new(
        (cache, allocation, blocked): (&'a ControllerCache, &'a Allocation, &'a BlockedServices),
        now: Timestamp,
        due: &'a BTreeSet<Key>,
    ) -> Self {
        let mut statuses = Self {
            cache,
            allocation,
            blocked,
            now,
            unknown_pools: cache.unknown_pools(),
            unreleased: HashMap::new(),
            wanted: HashSet::new(),
            waiting: 0,
        };
        for key in due {
            let Some((served, decision)) = statuses.of(key) else {
                continue;
            };
            for address in served.request.held() {
                if decision.release.contains(&address) {
                    statuses.unreleased.entry(address).or_default().push(key);
                }
            }
        }
        for key in due {
            let Some((served, decision)) = statuses.of(key) else {
                continue;
            };
            let before = statuses.waiting;
            for address in decision.addresses() {
                if statuses.is_early(served, address) {
                    statuses.wanted.insert(address);
                    statuses.waiting = before + 1;
                }
            }
        }
        statuses
    }

    /// Whether others have to lose an address before a Service can get it.
    fn is_early(&self, served: &Served, address: IpAddr) -> bool {
        self.unreleased.contains_key(&address) && !served.request.held().contains(&address)
    }

    /// What there is to say of a Service that waits for others to lose an address: nothing where that is a matter of a
    /// moment.
    fn waits_for(&self, served: &Served, decision: &Decision) -> Option<Statement> {
        let early = |address: &IpAddr| self.is_early(served, *address);
        let address = decision.addresses().find(early)?;
        if !self.unknown_pools.is_empty() {
            return Some(blocked_services::by_unknown_pools(
                address,
                &self.unknown_pools,
            ));
        }
        decision.addresses().filter(early).find_map(|address| {
            let holders = self.unreleased.get(&address)?;
            let mut blocked = holders
                .iter()
                .filter_map(|key| self.blocked.get_key_value(*key));
            let (holder, why) = blocked.next()?;
            Some(blocked_services::by_blocked(address, holder, *why))
        })
    }

    fn of(&self, key: &Key) -> Option<(&'a Served, &'a Decision)> {
        let served = self.cache.services.get(key)?;
        let decision = self.allocation.services.get(&served.request.key)?;
        Some((served, decision))
    }

    fn step(&self, key: &Key, served: &Served, decision: &Decision) -> Step {
        let held = served.request.held();
        let is_early = |ip: &IpAddr| self.is_early(served, *ip);
        let waits = decision.addresses().any(|ip| is_early(&ip));
        let releases = !decision.has_released(&served.request);
        let is_wanted = |ip: &IpAddr| decision.release.contains(ip) && self.wanted.contains(ip);
        let is_waited_for = held.iter().any(is_wanted);
        let is_unsure = !self.unknown_pools.is_empty();
        let prefers = served.request.ip_family_policy == IpFamilyPolicy::PreferDualStack;
        if waits && prefers && held.is_empty() && !is_unsure {
            // With one family it has what it needs.
            let at_once = decision.without(is_early);
            if at_once.addresses().next().is_some() {
                let statement = at_once.statement(&served.request);
                let condition = condition(served, statement.as_ref(), self.now);
                let ingress = ingress(served, &at_once, is_early);
                return Step::Write(Write {
                    key: key.clone(),
                    moves: true,
                    patch: patch(served, Some(ingress), condition),
                    waits: None,
                });
            }
        }
        if is_unsure && (releases || waits || decision.is_of_unknown_pool())
            || waits && !is_waited_for
        {
            return self.wait(key, served, decision);
        }
        let ingress =
            (!decision.is_written(&served.request)).then(|| ingress(served, decision, is_early));
        if waits {
            // An address that another Service waits for is removed first, without a condition: the rest follows.
            // Without that, nothing is taken away before there is something else.
            return Step::Write(Write {
                key: key.clone(),
                moves: true,
                patch: patch(served, ingress, None),
                waits: None,
            });
        }
        // The condition of one that is being deleted, or cannot be read, does not change.
        let stays = served.request.deleting
            || is_unsure && decision.is_classless()
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
                waits: None,
            }),
            false => Step::Done,
        }
    }

    /// Nothing is written now but, of a Service that has no address and waits for one that nobody can say when it is
    /// free, that this is so.
    fn wait(&self, key: &Key, served: &Served, decision: &Decision) -> Step {
        let is_silent = served.request.deleting || !served.request.held().is_empty();
        let statement = (!is_silent)
            .then(|| self.waits_for(served, decision))
            .flatten();
        let said = statement.and_then(|statement| {
            let patch = say(served, &statement, self.now)?;
            Some((patch, statement))
        });
        match said {
            Some((patch, statement)) => Step::Write(Write {
                key: key.clone(),
                moves: false,
                patch,
                waits: Some(statement),
            }),
            None => Step::Later,
        }
    }
}

/// Whether what a write has answered has other addresses than before, and not those that were to be written, if any
/// were: then decisions that count on these do not hold.
pub(super) fn is_otherwise(before: &Request, after: &Request, decided: Option<&Decision>) -> bool {
    let wanted = decided.map(|decision| decision.ingress(before));
    after.ingress != before.ingress && wanted.is_none_or(|wanted| *wanted != *after.ingress)
}

/// A patch that changes nothing but the condition; `None` if that stands there already.
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

/// All entries but those that it is too early for: those of other load balancers that have nothing but a host name
/// stay.
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
