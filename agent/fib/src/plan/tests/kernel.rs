//! A kernel made of maps, with the real one's rules: what it refuses, and what it drops without a word.
#![allow(clippy::unwrap_used)]

use super::*;

/// A route's identity in the kernel.
pub(super) type Id = (IpNet, u32, u32);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FakeRoute {
    pub(super) protocol: u8,
    pub(super) target: Target,
}

#[derive(Clone, Debug, Default)]
pub(super) struct FakeKernel {
    pub(super) objects: BTreeMap<u32, (u8, Object)>,
    pub(super) groups: BTreeMap<u32, Vec<(u32, u8)>>,
    pub(super) routes: BTreeMap<Id, FakeRoute>,
    /// In the order in which they are consulted; those of one priority in the order in which they came.
    pub(super) rules: Vec<Rule>,
    pub(super) links_down: BTreeSet<u32>,
    /// Prefixes that had a route of ours taken away, in the course of things.
    pub(super) removed: Vec<IpNet>,
    pub(super) messages: usize,
    /// Which of the next messages are refused for no reason of theirs, by their number.
    pub(super) refuse: BTreeSet<usize>,
    /// Everywhere that packets for a prefix went, in the course of things.
    pub(super) led: BTreeMap<IpNet, BTreeSet<Vec<(Object, u8)>>>,
    /// Objects that were refused for no reason of theirs.
    pub(super) denied: BTreeSet<u32>,
    /// Messages that it had to refuse, though what they rely on was there to be seen; not those about a place that is taken, and not
    /// those that rely on what was refused for no reason.
    pub(super) futile: Vec<Op>,
    /// Somebody else may have put a route into the place of ours a moment ago: replacing that is nobody's fault.
    pub(super) tells_late: bool,
}

pub(super) const EEXIST: i32 = libc::EEXIST;
pub(super) const ENOENT: i32 = libc::ENOENT;
pub(super) const EINVAL: i32 = libc::EINVAL;

impl FakeKernel {
    pub(super) fn apply(&mut self, op: &Op) -> Result<(), i32> {
        self.messages += 1;
        if self.refuse.remove(&self.messages) {
            if let Op::AddObject { id, .. } = op {
                self.denied.insert(*id);
            }
            return Err(libc::ENOMEM);
        }
        let done = self.carry_out(op);
        let is_due_to_that = match op {
            Op::ReplaceGroup { members, .. } => members.iter().any(|m| self.denied.contains(&m.0)),
            _ => false,
        };
        if done.is_err_and(|errno| errno != EEXIST) && !is_due_to_that {
            self.futile.push(op.clone());
        }
        done?;
        for (prefix, way) in self.ours() {
            self.led.entry(prefix).or_default().insert(way);
        }
        Ok(())
    }

    pub(super) fn carry_out(&mut self, op: &Op) -> Result<(), i32> {
        match op {
            Op::AddObject { id, object } => {
                if self.objects.contains_key(id) || self.groups.contains_key(id) {
                    return Err(EEXIST);
                }
                if self.links_down.contains(&object.ifindex) {
                    return Err(libc::ENETDOWN);
                }
                self.objects.insert(*id, (ROUTE_PROTOCOL, *object));
            }
            Op::AddGroup { id, members } => {
                if self.objects.contains_key(id) || self.groups.contains_key(id) {
                    return Err(EEXIST);
                }
                self.check_members(members)?;
                self.groups.insert(*id, members.clone());
            }
            Op::ReplaceGroup { id, members } => {
                if !self.groups.contains_key(id) {
                    return Err(ENOENT);
                }
                self.check_members(members)?;
                self.groups.insert(*id, members.clone());
            }
            Op::DeleteNexthop { id } => {
                if self.objects.get(id).is_some_and(|o| o.0 != ROUTE_PROTOCOL) {
                    panic!("nexthop {id} of somebody else was deleted");
                }
                if !self.delete_nexthop(*id) {
                    return Err(ENOENT);
                }
            }
            Op::Route(op) | Op::Refuse(op) => self.route(op)?,
            Op::Rule(action, rule) => self.rule(*action, rule)?,
        }
        Ok(())
    }

    pub(super) fn check_members(&self, members: &[(u32, u8)]) -> Result<(), i32> {
        let ids: BTreeSet<u32> = members.iter().map(|m| m.0).collect();
        let fine = !members.is_empty()
            && ids.len() == members.len()
            && ids.iter().all(|id| self.objects.contains_key(id))
            && members.iter().all(|m| m.1 > 0);
        if fine { Ok(()) } else { Err(EINVAL) }
    }

    pub(super) fn route(&mut self, op: &RouteOp) -> Result<(), i32> {
        let id = (op.prefix, op.table, op.metric);
        let present = self.routes.get(&id);
        match op.action {
            RouteAction::Add(_) if present.is_some() => return Err(EEXIST),
            RouteAction::Replace(_) if present.is_none() => return Err(ENOENT),
            RouteAction::Delete if present.is_none_or(|r| r.protocol != ROUTE_PROTOCOL) => {
                return Err(libc::ESRCH);
            }
            RouteAction::Replace(_)
                if !self.tells_late && present.is_some_and(|r| r.protocol != ROUTE_PROTOCOL) =>
            {
                panic!("{op:?} takes the place of a foreign route");
            }
            RouteAction::Delete => {
                self.removed.push(op.prefix);
                self.routes.remove(&id);
            }
            RouteAction::Add(target) | RouteAction::Replace(target) => {
                if let Target::Group(group) = target {
                    let members = self.groups.get(&group).ok_or(EINVAL)?;
                    let v4 = |m: &(u32, u8)| !self.objects[&m.0].1.ipv6;
                    if matches!(op.prefix, IpNet::V6(_)) && members.iter().any(v4) {
                        return Err(EINVAL);
                    }
                }
                let protocol = ROUTE_PROTOCOL;
                self.routes.insert(id, FakeRoute { protocol, target });
            }
        }
        Ok(())
    }

    pub(super) fn rule(&mut self, action: RuleAction, rule: &Rule) -> Result<(), i32> {
        let at = self.rules.iter().position(|one| one == rule);
        match (action, at) {
            (RuleAction::Add, Some(_)) => return Err(EEXIST),
            (RuleAction::Add, None) => {
                let behind = self
                    .rules
                    .partition_point(|one| one.priority <= rule.priority);
                self.rules.insert(behind, rule.clone());
            }
            (RuleAction::Delete, None) => return Err(ENOENT),
            (RuleAction::Delete, Some(at)) => {
                self.rules.remove(at);
            }
        }
        Ok(())
    }

    /// Removes an object from its groups, empty groups, and routes over those: silently.
    pub(super) fn delete_nexthop(&mut self, id: u32) -> bool {
        let known = self.objects.remove(&id).is_some() | self.groups.remove(&id).is_some();
        for members in self.groups.values_mut() {
            members.retain(|m| m.0 != id);
        }
        self.groups.retain(|_, members| !members.is_empty());
        let groups = &self.groups;
        let removed = &mut self.removed;
        self.routes.retain(|key, r| match r.target {
            Target::Group(g) if !groups.contains_key(&g) => {
                removed.push(key.0);
                false
            }
            _ => true,
        });
        known
    }

    pub(super) fn set_link(&mut self, ifindex: u32, up: bool) {
        if up {
            self.links_down.remove(&ifindex);
            return;
        }
        self.links_down.insert(ifindex);
        let over: Vec<u32> = self
            .objects
            .iter()
            .filter(|(_, o)| o.1.ifindex == ifindex)
            .map(|(&id, _)| id)
            .collect();
        for id in over {
            self.delete_nexthop(id);
        }
    }

    pub(super) fn list_nexthops(&self) -> Vec<Nexthop> {
        let singles = self.objects.iter().map(|(&id, &(protocol, o))| Nexthop {
            id,
            protocol,
            kind: NexthopKind::Single {
                family: if o.ipv6 {
                    libc::AF_INET6
                } else {
                    libc::AF_INET
                } as u8,
                hop: Hop {
                    gateway: o.gateway,
                    ifindex: o.ifindex,
                    onlink: o.onlink,
                },
            },
        });
        let groups = self.groups.iter().map(|(&id, members)| Nexthop {
            id,
            protocol: ROUTE_PROTOCOL,
            kind: NexthopKind::Group(members.iter().map(|&(id, w)| (id, w.into())).collect()),
        });
        singles.chain(groups).collect()
    }

    pub(super) fn list_routes(&self) -> Vec<Route> {
        let route = |(&(prefix, table, metric), r): (&Id, &FakeRoute)| Route {
            prefix,
            table,
            protocol: r.protocol,
            metric,
            kind: match r.target {
                Target::Group(_) => RouteKind::Unicast,
                Target::Unreachable => RouteKind::Reject,
            },
            replaces: false,
            special: false,
            nexthop_id: match r.target {
                Target::Group(id) => Some(id),
                Target::Unreachable => None,
            },
            hops: smallvec::SmallVec::new(),
        };
        self.routes.iter().map(route).collect()
    }

    /// Members of a group in words.
    pub(super) fn content(&self, members: &[(u32, u8)]) -> Vec<(Object, u8)> {
        let objects = members.iter().map(|&(o, w)| (self.objects[&o].1, w));
        let mut out: Vec<(Object, u8)> = objects.collect();
        out.sort_unstable();
        if let [(_, weight)] = out.as_mut_slice() {
            *weight = 1;
        }
        out
    }

    /// Our routes in words: prefix and where packets go.
    pub(super) fn ours(&self) -> BTreeMap<IpNet, Vec<(Object, u8)>> {
        let where_to = |r: &FakeRoute| match r.target {
            Target::Unreachable => Vec::new(),
            Target::Group(id) => self.content(&self.groups[&id]),
        };
        self.routes
            .iter()
            .filter(|(_, r)| r.protocol == ROUTE_PROTOCOL)
            .map(|(&(prefix, ..), r)| (prefix, where_to(r)))
            .collect()
    }

    pub(super) fn foreign(&self) -> Vec<(Id, FakeRoute)> {
        self.routes
            .iter()
            .filter(|(_, r)| r.protocol != ROUTE_PROTOCOL)
            .map(|(id, r)| (*id, r.clone()))
            .collect()
    }
}
