//! A plan without a kernel to look at: all that it asks for is done.

use super::*;

/// A plan whose kernel does everything it is asked for.
pub(super) struct Alone {
    pub(super) plan: Plan,
    pub(super) now: Instant,
}

impl Alone {
    pub(super) fn new() -> Self {
        let mut plan = new_plan();
        plan.converged();
        Self {
            plan,
            now: Instant::now(),
        }
    }

    /// `None`: there is nothing more to do.
    pub(super) fn step(&mut self) -> Option<Vec<Op>> {
        let ops = self.plan.next_batch(self.now, 256);
        self.plan.carried_out(&ops);
        (!ops.is_empty() || self.plan.is_walking()).then_some(ops)
    }

    /// Until there is nothing more to do; the most that `count` differs by in one step.
    pub(super) fn most(&mut self, count: impl Fn(&Plan) -> usize) -> usize {
        let mut most = 0;
        loop {
            let before = count(&self.plan);
            let is_over = self.step().is_none();
            most = most.max(before.abs_diff(count(&self.plan)));
            if is_over {
                return most;
            }
        }
    }

    pub(super) fn install(&mut self, prefix: IpNet, routers: impl IntoIterator<Item = u32>) {
        let ways = routers.into_iter().map(|router| {
            let gateway = Ipv4Addr::from_bits(0x0a00_0000 + router);
            FibNexthop::via(gateway.into(), 2)
        });
        let nexthops = ways.collect();
        self.plan
            .submit(FibChange::install(prefix, FibRoute { nexthops }));
    }

    pub(super) fn set_down(&mut self, router: u32, down: bool) {
        let gateway = Ipv4Addr::from_bits(0x0a00_0000 + router);
        self.plan.set_nexthop_down(gateway.into(), 2, down);
    }

    /// Of all groups.
    pub(super) fn members(plan: &Plan) -> usize {
        let groups = plan.nexthops.groups.values();
        groups.map(|group| group.content.len()).sum()
    }
}

/// Routes over sets of their own, of some of 16 routers, the first of which is in each.
pub(super) fn with_sets(sets: u32) -> Alone {
    let mut alone = Alone::new();
    for (prefix, set) in many(sets).zip(1..) {
        let some = (1..16).filter(|router| set >> (router - 1) & 1 == 1);
        alone.install(prefix, std::iter::once(0).chain(some));
    }
    alone.most(|_| 0);
    assert_eq!(alone.plan.nexthops.groups.len(), sets as usize);
    alone
}
