//! The plan shown to people and programs.

use std::time::{Duration, Instant};

use ipnet::IpNet;
use serde::Serialize;

use super::failure::Failure;
use super::key::{AnyKey, Key, V4, V6, key};
use super::nexthops::{Members, Role};
use super::resync::Resync;
use super::table::{Entry, SHARDS, Want, flag};
use super::{Family, Plan, RefusalStatus};
use crate::guard::Rejection;
use crate::kernel::op::Slot;
use crate::kernel::op::{Object, RouteOp};
use crate::types::RouteSpace;
use crate::types::{
    FailedObject, FibCounters, FibNexthop, FibRoute, FibRouteState, FibRouteStatus, InstalledRoute,
    KernelError,
};

/// A nexthop object of ours. There can be two of one way out: one for groups of several, one for groups of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FibNexthopStatus {
    /// The way out.
    pub nexthop: FibNexthop,
    /// Its id in the kernel; `None` if it is not there.
    pub id: Option<u32>,
    /// The RIB says that it is unreachable.
    pub down: bool,
    /// Why the kernel refuses it.
    pub error: Option<KernelError>,
    /// Ids of the groups that it is in.
    pub groups: Vec<u32>,
}

impl Plan {
    /// Parts of the tables of both families.
    pub const PARTS: usize = 2 * SHARDS;

    /// Counters and gauges.
    pub fn counters(&self) -> FibCounters {
        let [refusing_ipv4, refusing_ipv6] = self.refusing.installed();
        let queued = self.v4.queue.len() + self.v6.queue.len();
        let (refused, unmade) = self.nexthops.unserved();
        FibCounters {
            installed_ipv4: self.v4.installed,
            installed_ipv6: self.v6.installed,
            pending: queued as u64 + unmade + self.refusing.pending(),
            failed: self.failing.count() + refused + self.refusing.failed(),
            refusing_ipv4,
            refusing_ipv6,
            refused: self.refused,
            over_limit: self.limited.len() as u64,
            stale: self.stale + self.count_elsewhere(),
            nexthops: self.nexthops.count() as u64,
            ..self.counters
        }
    }

    /// Whether nothing of ours is in the kernel, as far as is known.
    pub fn is_gone(&self) -> bool {
        if self.is_aside() {
            // Nobody looks.
            return false;
        }
        let c = self.counters();
        // What a listing will find is not known before its end.
        // Nor what became of what was refused, before that was looked into.
        let is_asked_for = self.resync != Resync::None || self.owes_listing;
        let is_sure = !self.is_in_doubt() && !is_asked_for;
        let is_listed =
            is_sure && !self.waits_for_listing() && self.leftovers.before_listing().is_none();
        let is_known = is_listed && (self.mode.installs || !self.has_to_walk());
        is_known
            && c.installed_ipv4 + c.installed_ipv6 + c.nexthops + c.stale == 0
            && self.nexthops.garbage.is_empty()
            && self.refusing.is_gone()
    }

    /// Something that the kernel refuses, for a log line: a route with its prefix, or a nexthop object or rule.
    pub fn example_failure(&self) -> Option<String> {
        let route = self.failing.example();
        let mut objects = self.nexthops.objects.iter();
        let object = || {
            objects.find_map(|o| {
                let failure = o.failure.as_ref()?;
                Some(format!("{}: {}", as_nexthop(&o.object, 1), failure.error))
            })
        };
        route
            .map(|(prefix, error)| format!("{prefix}: {error}"))
            .or_else(object)
            .or_else(|| {
                let mut sets = self.nexthops.sets.iter();
                let failure = sets.find_map(|set| set.failure.as_ref())?;
                Some(format!("a nexthop group: {}", failure.error))
            })
            .or_else(|| Some(self.refusing.example_failure()?.to_string()))
    }

    /// One prefix; `None` if it is neither wanted nor installed.
    pub fn route(&self, prefix: IpNet, now: Instant) -> Option<FibRouteStatus> {
        let status = match key(prefix) {
            AnyKey::V4(k) => V4::table_ref(self).get(k).map(|e| self.status(e, now)),
            AnyKey::V6(k) => V6::table_ref(self).get(k).map(|e| self.status(e, now)),
        };
        let leftover = || {
            self.leftovers
                .of(prefix.trunc())
                .map(|op| self.leftover_status(&op))
        };
        status.or_else(leftover)
    }

    /// The longest prefix of [`Self::route`] that covers this one.
    pub fn longest(&self, prefix: IpNet, now: Instant) -> Option<FibRouteStatus> {
        let lengths = (0..=prefix.prefix_len()).rev();
        let mut nets = lengths.filter_map(|length| IpNet::new(prefix.addr(), length).ok());
        nets.find_map(|net| self.route(net.trunc(), now))
    }

    /// Appends prefixes of routes in another place than they belong to that `filter` lets through: a bounded number, since they are
    /// collected in one go.
    pub fn leftover_prefixes(&self, filter: &mut impl FnMut(IpNet) -> bool, out: &mut Vec<IpNet>) {
        const MOST: usize = 5000;
        let prefixes = self.leftovers.prefixes().take(MOST);
        out.extend(prefixes.filter(|prefix| filter(*prefix)));
    }

    /// Appends the prefixes of a part of the table that `filter` lets through, in no order. [`Plan::PARTS`] parts are all.
    pub fn prefixes(
        &self,
        part: usize,
        filter: &mut impl FnMut(IpNet) -> bool,
        out: &mut Vec<IpNet>,
    ) {
        match part.checked_sub(SHARDS) {
            None => out.extend(
                self.v4
                    .shard(part)
                    .map(|e| e.key.prefix())
                    .filter(|p| filter(*p)),
            ),
            Some(part) => {
                out.extend(
                    self.v6
                        .shard(part)
                        .map(|e| e.key.prefix())
                        .filter(|p| filter(*p)),
                );
            }
        }
    }

    /// The first prefixes behind this one that are refused, at most `most`, IPv4 first, ascending.
    pub fn refused_after(&self, after: Option<IpNet>, most: usize) -> Vec<IpNet> {
        self.refusing.prefixes_after(after, most)
    }

    /// What is refused of one prefix.
    pub fn refusal(&self, prefix: IpNet, now: Instant) -> Option<RefusalStatus> {
        self.refusing.status_of(prefix.trunc(), now)
    }

    /// A table of ours in which somebody else has this route, so that it is not consulted.
    pub fn stranger(&self) -> Option<(u32, IpNet)> {
        self.refusing.stranger()
    }

    /// Appends the nexthop objects, and ways out whose object the kernel refuses, of so many from one on. Returns the one to go on from.
    pub fn nexthops(
        &self,
        from: usize,
        most: usize,
        out: &mut Vec<FibNexthopStatus>,
    ) -> Option<usize> {
        let n = &self.nexthops;
        let status = |o: &super::nexthops::ObjectState, role: Option<Role>| FibNexthopStatus {
            nexthop: as_nexthop(&o.object, 1),
            id: role.and_then(|role| o.id(role)),
            down: o.down,
            error: o.failure.as_ref().map(|f| f.error.clone()),
            groups: role.map_or(Vec::new(), |role| n.groups_with(o, role)),
        };
        for object in n.objects.iter().skip(from).take(most) {
            let there = Role::ALL
                .into_iter()
                .filter(|&role| object.id(role).is_some());
            let before = out.len();
            out.extend(there.map(|role| status(object, Some(role))));
            if out.len() == before && object.failure.is_some() {
                out.push(status(object, None));
            }
        }
        let next = from + most;
        (next < n.objects.len()).then_some(next)
    }

    fn status<K: Family>(&self, e: &Entry<K>, now: Instant) -> FibRouteStatus {
        let desired = e.desired.as_set();
        let desired = desired.map(|set| self.route_over(&self.nexthops.sets[set].members));
        let installed = match (e.installed.as_group(), e.installed) {
            (Some(id), _) => Some(InstalledRoute {
                nexthop_id: Some(id),
                route: self
                    .nexthops
                    .groups
                    .get(&id)
                    .map(|g| self.route_over(&g.content)),
            }),
            (None, Slot::OTHER) => Some(InstalledRoute {
                nexthop_id: None,
                route: None,
            }),
            _ => None,
        };
        FibRouteStatus {
            prefix: e.key.prefix(),
            desired,
            installed,
            state: self.state(e, now),
            elsewhere: None,
        }
    }

    /// A route in another place than it belongs to.
    fn leftover_status(&self, op: &RouteOp) -> FibRouteStatus {
        let nexthop_id = op.previous.as_group();
        let group = nexthop_id.and_then(|id| self.nexthops.groups.get(&id));
        FibRouteStatus {
            prefix: op.prefix,
            desired: None,
            installed: Some(InstalledRoute {
                nexthop_id,
                route: group.map(|group| self.route_over(&group.content)),
            }),
            state: FibRouteState::Stale,
            elsewhere: Some(RouteSpace {
                table: op.table,
                metric: op.metric,
            }),
        }
    }

    fn route_over(&self, members: &Members) -> FibRoute {
        let nexthop = |&(object, weight): &(u32, u8)| {
            as_nexthop(&self.nexthops.objects[object as usize].object, weight)
        };
        FibRoute {
            nexthops: members.iter().map(nexthop).collect(),
        }
    }

    fn state<K: Family>(&self, e: &Entry<K>, now: Instant) -> FibRouteState {
        let failed = |f: &Failure, about| FibRouteState::Failed {
            error: f.error.clone(),
            about,
            failing_for: now.saturating_duration_since(f.since),
        };
        if e.has(flag::REFUSED)
            && let Some(reason) = self.guard.check(e.key.prefix())
        {
            return FibRouteState::Refused { reason };
        }
        if e.has(flag::LIMITED) {
            let max = self.guard.source().max_routes.unwrap_or_default();
            return FibRouteState::Refused {
                reason: Rejection::OverLimit(max),
            };
        }
        if e.desired == Want::INVALID {
            return FibRouteState::Failed {
                error: KernelError {
                    errno: libc::EAFNOSUPPORT,
                    text: "an IPv6 route needs IPv6 gateways, and it has none".to_owned(),
                },
                about: FailedObject::Route,
                failing_for: Duration::ZERO,
            };
        }
        if let Some(failure) = self.failing.of(e.key.prefix()) {
            return failed(failure, FailedObject::Route);
        }
        if e.has(flag::STALE) {
            return FibRouteState::Stale;
        }
        let set = e.wanted().as_set();
        if self.is_right(e) {
            let whole =
                |set: usize| self.nexthops.sets[set].effective == self.nexthops.sets[set].members;
            return if set.is_none_or(whole) {
                FibRouteState::Installed
            } else {
                FibRouteState::Degraded
            };
        }
        match set {
            Some(set) if self.nexthops.sets[set].binding.is_none() => {
                match self.nexthops.set_failure(set) {
                    Some(failure) => failed(failure, FailedObject::Nexthop),
                    None => FibRouteState::Pending,
                }
            }
            _ => FibRouteState::Pending,
        }
    }
}

/// A nexthop as it was asked for.
fn as_nexthop(object: &Object, weight: u8) -> FibNexthop {
    FibNexthop {
        gateway: object.gateway,
        ifindex: object.ifindex,
        weight: std::num::NonZeroU8::new(weight).unwrap_or(std::num::NonZeroU8::MIN),
        onlink: object.onlink,
    }
}
