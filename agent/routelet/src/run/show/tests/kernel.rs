//! A kernel that does what the plan asks of it, but for destinations whose routes it rejects.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use routelet_fib::kernel::event::{Hop, Nexthop, NexthopKind, Route, RouteKind};
use routelet_fib::plan::{Object, Op, Plan, Resync, RouteAction, RouteOp, RuleAction, Target};
use routelet_fib::refusal::Rule;
use routelet_fib::types::ROUTE_PROTOCOL;

/// See the module.
#[derive(Default)]
pub(super) struct Kernel {
    objects: BTreeMap<u32, Object>,
    groups: BTreeMap<u32, Vec<(u32, u8)>>,
    routes: BTreeMap<(IpNet, u32, u32), Target>,
    rules: Vec<Rule>,
    /// Routes of other software.
    pub(super) foreign: Vec<Route>,
    /// Routers whose nexthop objects are rejected.
    pub(super) denied: BTreeSet<IpAddr>,
    /// Destinations whose routes are rejected, and with which error.
    pub(super) errors: BTreeMap<IpNet, i32>,
}

impl Kernel {
    /// Carries an operation out, or says with which error not.
    pub(super) fn apply(&mut self, op: &Op) -> Result<(), i32> {
        match op {
            Op::AddObject { object, .. }
                if object.gateway.is_some_and(|one| self.denied.contains(&one)) =>
            {
                return Err(libc::ENETUNREACH);
            }
            Op::AddObject { id, object } => _ = self.objects.insert(*id, *object),
            Op::AddGroup { id, members } | Op::ReplaceGroup { id, members } => {
                self.groups.insert(*id, members.clone());
            }
            Op::DeleteNexthop { id } => {
                self.objects.remove(id);
                self.groups.remove(id);
            }
            Op::Route(op) | Op::Refuse(op) => return self.route(op),
            Op::Rule(RuleAction::Add, rule) => self.rules.push(rule.clone()),
            Op::Rule(RuleAction::Delete, rule) => self.rules.retain(|one| one != rule),
        }
        Ok(())
    }

    fn route(&mut self, op: &RouteOp) -> Result<(), i32> {
        if let Some(errno) = self.errors.get(&op.prefix) {
            return Err(*errno);
        }
        let place = (op.prefix, op.table, op.metric);
        match op.action {
            RouteAction::Add(target) | RouteAction::Replace(target) => {
                self.routes.insert(place, target);
            }
            RouteAction::Delete => _ = self.routes.remove(&place),
        }
        Ok(())
    }

    /// Gives the plan a listing, if it asks for one.
    pub(super) fn list(&self, plan: &mut Plan) {
        match plan.take_resync() {
            Resync::None => {}
            Resync::Nexthops => plan.resync_nexthops(self.nexthops()),
            Resync::Everything => self.list_all(plan),
        }
    }

    /// Gives the plan a listing of everything.
    pub(super) fn list_all(&self, plan: &mut Plan) {
        plan.resync_nexthops(self.nexthops());
        plan.resync_routes_begin();
        (0..Plan::PARTS).for_each(|part| plan.resync_part_begins(part));
        for route in &self.foreign {
            plan.resync_route(route);
        }
        for ((prefix, table, metric), target) in &self.routes {
            plan.resync_route(&Route {
                prefix: *prefix,
                table: *table,
                protocol: ROUTE_PROTOCOL,
                metric: *metric,
                kind: match target {
                    Target::Group(_) => RouteKind::Unicast,
                    Target::Unreachable => RouteKind::Reject,
                },
                replaces: false,
                special: false,
                nexthop_id: match target {
                    Target::Group(id) => Some(*id),
                    Target::Unreachable => None,
                },
                hops: smallvec::SmallVec::new(),
            });
        }
        (0..Plan::PARTS).for_each(|part| plan.resync_part_ends(part));
        plan.resync_routes_end();
        plan.resync_rules(self.rules.clone());
    }

    fn nexthops(&self) -> Vec<Nexthop> {
        let single = |(id, object): (&u32, &Object)| Nexthop {
            id: *id,
            protocol: ROUTE_PROTOCOL,
            kind: NexthopKind::Single {
                family: match object.ipv6 {
                    true => libc::AF_INET6 as u8,
                    false => libc::AF_INET as u8,
                },
                hop: Hop {
                    gateway: object.gateway,
                    ifindex: object.ifindex,
                    onlink: object.onlink,
                },
            },
        };
        let group = |(id, members): (&u32, &Vec<(u32, u8)>)| Nexthop {
            id: *id,
            protocol: ROUTE_PROTOCOL,
            kind: NexthopKind::Group(members.iter().map(|(id, w)| (*id, (*w).into())).collect()),
        };
        let singles = self.objects.iter().map(single);
        singles.chain(self.groups.iter().map(group)).collect()
    }

    /// There are stale routes of one router.
    pub(super) fn leave(&mut self, prefixes: &[IpNet], object: Object, metric: u32) {
        const OBJECT: u32 = 3_003_121_700;
        const GROUP: u32 = OBJECT + 1;
        self.objects.insert(OBJECT, object);
        self.groups.insert(GROUP, vec![(OBJECT, 1)]);
        for prefix in prefixes {
            let place = (*prefix, routelet_fib::types::MAIN_TABLE, metric);
            self.routes.insert(place, Target::Group(GROUP));
        }
    }
}
