//! What giving out addresses came to, as decisions and reports.

use std::collections::BTreeMap;
use std::net::IpAddr;

use routelet_api::IpFamily;
use routelet_api::address_pool::PoolUsage;

use super::books::Books;
use super::plan::Plan;
use super::refusal::Refusal;
use super::request::Request;
use super::round::Given;
use super::space::Space;
use super::{Assignment, Decision, NotOurs, Outcome, PoolIs, PoolReport};
use crate::cluster::{Atom, ObjectKey};

/// What there is to say of a Service in the reports of pools.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Remark {
    /// It gets nothing of this pool, which it asks for.
    refused: Option<(Atom, Refusal)>,
    /// The pools of which it waits for an address.
    waiting: Box<[Atom]>,
    /// The addresses that it has although they are reserved, with their pools.
    reserved: Vec<(Atom, IpAddr)>,
}

impl Remark {
    /// What there is to say, if anything.
    pub(super) fn of(
        space: &Space,
        plan: &Plan,
        given: &Given,
        decision: &Decision,
    ) -> Option<Self> {
        let asked_for = || Some(Atom::from(plan.pool_asked_for(space)?));
        let refusal = decision.refusal();
        let reserved = decision.addresses().filter(|a| space.is_reserved(*a));
        let reserved = reserved.filter_map(|a| Some((space.name(space.pool_of(a)?).into(), a)));
        let remark = Self {
            refused: refusal.and_then(|refusal| Some((asked_for()?, refusal.clone()))),
            waiting: match &given.refusal {
                Some(Refusal::Exhausted { pools, .. }) => pools.clone(),
                _ => Box::default(),
            },
            reserved: reserved.collect(),
        };
        (remark != Self::default()).then_some(remark)
    }
}

/// What there is to say of every pool, by name.
pub(super) fn of_pools<'a>(
    space: &Space,
    books: &Books,
    remarks: impl IntoIterator<Item = (&'a ObjectKey, &'a Remark)>,
) -> BTreeMap<String, PoolReport> {
    let mut reports = BTreeMap::new();
    for (at, territory) in space.pools.iter().enumerate() {
        let usage = |family| {
            let assigned = books.assigned(at, family) as u128;
            let open = assigned - books.assigned_of_reserved(at, family) as u128;
            let available = territory.open(family).saturating_sub(open);
            PoolUsage {
                total: saturating(assigned.saturating_add(available)),
                assigned: saturating(assigned),
                available: saturating(available),
            }
        };
        let report = PoolReport {
            ipv4: usage(IpFamily::Ipv4),
            ipv6: usage(IpFamily::Ipv6),
            overlaps: territory.overlaps.clone(),
            reserved: territory.reserved.clone(),
            holding_reserved: Vec::new(),
            refused: Vec::new(),
            waiting: Vec::new(),
        };
        reports.insert(territory.pool.name.clone(), report);
    }
    for (key, remark) in remarks {
        for pool in &remark.waiting {
            if let Some(report) = reports.get_mut(&**pool) {
                report.waiting.push(key.clone());
            }
        }
        if let Some((pool, refusal)) = &remark.refused
            && let Some(report) = reports.get_mut(&**pool)
        {
            report.refused.push((key.clone(), refusal.clone()));
        }
        for (pool, address) in &remark.reserved {
            if let Some(report) = reports.get_mut(&**pool) {
                report.holding_reserved.push((key.clone(), *address));
            }
        }
    }
    reports
}

/// The decision on a Service that is not ours.
pub(super) fn not_ours(space: &Space, request: &Request, why: NotOurs) -> Decision {
    let release = match why {
        NotOurs::Type(_) => inside(space, request).collect(),
        // What another load balancer gave out is not ours, even if it is of a pool.
        NotOurs::Class(_) | NotOurs::NoClass | NotOurs::NoPools | NotOurs::UnknownNamespace => {
            Box::default()
        }
    };
    let outcome = Outcome::NotOurs(why);
    Decision { outcome, release }
}

/// The addresses in the status of a Service that are of a pool.
fn inside(space: &Space, request: &Request) -> impl Iterator<Item = IpAddr> {
    let held = request.held().into_iter();
    held.filter(|address| space.pool_of(*address).is_some())
}

/// What a round came to for a Service of ours.
pub(super) fn decision(space: &Space, plan: &Plan, given: &Given) -> Decision {
    let families = &plan.families.wanted;
    let place = |address: &IpAddr| families.iter().position(|f| *f == IpFamily::of(*address));
    let mut addresses = given.addresses.clone();
    let asked = plan.asked.as_deref().unwrap_or_default();
    addresses.sort_by_key(|a| (place(a), asked.iter().position(|x| x == a), *a));
    let has = |family| addresses.iter().any(|a| IpFamily::of(*a) == family);
    // An address of no pool may be one that a pool had once, or that another load balancer gave out: it is replaced, and not
    // taken away before there is a replacement.
    let replaced = |address: IpAddr| {
        let family = IpFamily::of(address);
        !addresses.is_empty() && (has(family) || !families.contains(&family))
    };
    let held = plan.request.held();
    // Who needs several and cannot have all of them has none.
    let is_loser = addresses.is_empty() && plan.needs_several();
    let loses_all = is_loser && held.iter().any(|a| space.pool_of(*a).is_some());
    let release = held.into_iter().filter(|address| {
        let is_ours = space.pool_of(*address).is_some() || replaced(*address) || loses_all;
        !addresses.contains(address) && is_ours
    });
    let release = release.collect();
    let assignments = addresses.iter().filter_map(|address| {
        let (pool, pool_is) = match plan.lost_pool_of(*address, space) {
            Some(lost) => lost,
            None => (space.name(space.pool_of(*address)?), PoolIs::Known),
        };
        Some(Assignment {
            address: *address,
            pool: pool.into(),
            pool_is,
        })
    });
    let outcome = match &given.refusal {
        Some(refusal) if addresses.is_empty() => Outcome::Refused(refusal.clone()),
        missing => Outcome::Assigned {
            addresses: assignments.collect(),
            missing: missing.clone(),
        },
    };
    Decision { outcome, release }
}

/// A count for a status, whose numbers are of 64 bits.
fn saturating(count: u128) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
