//! What is wanted, as it is submitted: the latest wish for a prefix wins.

use std::hint::black_box;
use std::net::IpAddr;

use ipnet::IpNet;

use super::key::{AnyKey, Key, key};
use super::nexthops::Members;
use super::table::{Entry, Want, flag};
use super::{Family, Plan};
use crate::kernel::op::Object;
use crate::types::{FibAction, FibChange, FibRoute, MAX_NEXTHOPS};

/// The route that came last, and what that is.
#[derive(Debug)]
pub(super) struct Interned {
    v6: bool,
    route: FibRoute,
    /// Of sets, so many had been forgotten: one of them may have been this.
    forgotten: u64,
    want: Want,
}

impl Plan {
    /// Takes in a wish.
    pub fn submit(&mut self, change: FibChange) {
        let want = match change.action {
            FibAction::Install(route) if self.mode.installs => self.intern(change.prefix, route),
            FibAction::Install(_) | FibAction::Remove => Want::NONE,
        };
        match key(change.prefix) {
            AnyKey::V4(k) => self.desire(k, want),
            AnyKey::V6(k) => self.desire(k, want),
        }
    }

    /// Takes in many wishes, in their order: with all entries looked at before the first is changed.
    pub fn submit_all(
        &mut self,
        changes: impl IntoIterator<Item = FibChange> + AsRef<[FibChange]>,
    ) {
        let keys = changes.as_ref().iter().map(|change| key(change.prefix));
        let touched = keys.map(|key| match key {
            AnyKey::V4(k) => self.v4.touch(k),
            AnyKey::V6(k) => self.v6.touch(k),
        });
        black_box(touched.fold(0, |all, one| all ^ one));
        for change in changes {
            self.submit(change);
        }
    }

    fn intern(&mut self, prefix: IpNet, route: FibRoute) -> Want {
        let v6 = matches!(prefix, IpNet::V6(_));
        let forgotten = self.nexthops.forgotten;
        // Most routes come behind one with the same next hops.
        if let Some(last) = &self.last
            && (last.forgotten, last.v6) == (forgotten, v6)
            && last.route == route
        {
            return last.want;
        }
        let want = self.want(v6, &route);
        self.last = Some(Interned {
            v6,
            route,
            forgotten,
            want,
        });
        want
    }

    fn want(&mut self, v6: bool, route: &FibRoute) -> Want {
        if route.nexthops.is_empty() {
            return Want::NONE;
        }
        let mut members = Members::new();
        for nexthop in route.nexthops.iter().take(MAX_NEXTHOPS) {
            // The kernel routes IPv4 over an IPv6 gateway, not the other way round.
            if v6 && matches!(nexthop.gateway, Some(IpAddr::V4(_))) {
                continue;
            }
            let object = self.nexthops.object(Object {
                ipv6: nexthop.gateway.map_or(v6, |g| g.is_ipv6()),
                gateway: nexthop.gateway,
                ifindex: nexthop.ifindex,
                onlink: nexthop.onlink,
            });
            members.push((object, nexthop.weight.get()));
        }
        if members.is_empty() {
            return Want::INVALID;
        }
        Want::set(self.nexthops.intern(members))
    }

    pub(super) fn desire<K: Family>(&mut self, k: K, want: Want) {
        let before = match K::table_ref(self).get(k) {
            Some(entry) => *entry,
            None if want == Want::NONE => return,
            None => *K::table(self).entry(k),
        };
        let mut after = before;
        after.desired = want;
        self.admit(&mut after);
        let held = before.has(flag::STALE) && !after.has(flag::REFUSED) && !self.confirms(&after);
        after.put(flag::STALE, held && !self.converged);
        if before.desired != want && before.has(flag::FAILED) {
            self.forget_failure(&mut after);
        }
        self.change(before, after);
    }

    /// Whether what is wanted of a predecessor's route is what the kernel holds. Until then, and until convergence, the
    /// wish is taken for a part of what will come: the first router to be back shall not get what two of them share.
    fn confirms<K: Key>(&self, e: &Entry<K>) -> bool {
        let held = e.installed.as_group();
        e.desired
            .as_set()
            .is_some_and(|set| held.is_some_and(|id| self.nexthops.holds(id, set)))
    }
}
