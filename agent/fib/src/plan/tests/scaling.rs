//! What the plan costs with many distinct next hops: in proportion to them, whatever is done with them.
//!
//! The processor's time of eight times as many is compared with that of so many: 8 in proportion, 64 if each looks at all
//! others. What else runs on the machine can only add to it, so the best of some tries counts.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::hash::HashMap;

/// A kernel that does everything it is asked for, and remembers the nexthops.
#[derive(Default)]
struct Willing {
    nexthops: HashMap<u32, Nexthop>,
    /// Refuses every object and group.
    refuses: bool,
    /// The most operations on nexthops in one batch.
    largest: usize,
}

impl Willing {
    /// Carries out what the plan asks for until it rests.
    fn drive(&mut self, plan: &mut Plan, now: Instant) {
        loop {
            let ops = plan.next_batch(now, 256);
            if ops.is_empty() && !plan.is_walking() {
                return;
            }
            let of_nexthops = ops.iter().filter(|op| !matches!(op, Op::Route(_)));
            self.largest = self.largest.max(of_nexthops.count());
            for op in &ops {
                if !self.apply(op) {
                    plan.refused(now, op, KernelError::from_errno(libc::EINVAL));
                }
            }
            plan.carried_out(&ops);
        }
    }

    fn apply(&mut self, op: &Op) -> bool {
        let (id, kind) = match op {
            Op::AddObject { .. } | Op::AddGroup { .. } if self.refuses => return false,
            Op::AddObject { id, object } => {
                let hop = Hop {
                    gateway: object.gateway,
                    ifindex: object.ifindex,
                    onlink: object.onlink,
                };
                let family = libc::AF_INET as u8;
                (*id, NexthopKind::Single { family, hop })
            }
            Op::AddGroup { id, members } | Op::ReplaceGroup { id, members } => {
                let members = members.iter().map(|&(id, w)| (id, w.into())).collect();
                (*id, NexthopKind::Group(members))
            }
            Op::DeleteNexthop { id } => {
                self.nexthops.remove(id);
                return true;
            }
            _ => return true,
        };
        let protocol = ROUTE_PROTOCOL;
        self.nexthops.insert(id, Nexthop { id, protocol, kind });
        true
    }
}

fn gateway(i: u32) -> IpAddr {
    IpAddr::from((0x0a00_0000 + i).to_be_bytes())
}

/// One route over each of so many gateways, `shared` of which every route has beside it.
fn routes(n: u32, shared: Option<u32>) -> impl Iterator<Item = FibChange> {
    many(n).zip(0..).map(move |(prefix, i)| {
        let ways = [Some(i), shared.map(|_| u32::MAX >> 8)];
        let ways = ways.into_iter().flatten();
        let nexthops = ways.map(|i| FibNexthop::via(gateway(i), 2)).collect();
        FibChange::install(prefix, FibRoute { nexthops })
    })
}

fn submit(plan: &mut Plan, kernel: &mut Willing, changes: Vec<FibChange>, now: Instant) {
    for portion in changes.chunks(1024) {
        plan.submit_all(portion.to_vec());
        kernel.drive(plan, now);
    }
}

/// Nanoseconds of the processor that this thread has had.
fn processor_time() -> u64 {
    let time = nix::time::clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap();
    (time.tv_sec() * 1_000_000_000 + time.tv_nsec()) as u64
}

/// Everything that is done with next hops, and what it took.
fn lives(n: u32, shared: Option<u32>) -> Vec<(&'static str, u64)> {
    let (mut plan, mut kernel) = (new_plan(), Willing::default());
    let mut now = Instant::now();
    plan.converged();
    let mut took = Vec::new();
    let mut step = |name, work: &mut dyn FnMut()| {
        let before = processor_time();
        work();
        took.push((name, processor_time() - before));
    };
    let all: Vec<FibChange> = routes(n, shared).collect();
    step("installed", &mut || {
        submit(&mut plan, &mut kernel, all.clone(), now);
    });
    assert!(kernel.nexthops.len() >= 2 * n as usize);
    let gateways = 0..n;
    step("down", &mut || {
        for i in gateways.clone() {
            plan.set_nexthop_down(gateway(i), 2, true);
        }
        kernel.drive(&mut plan, now);
    });
    step("up", &mut || {
        for i in gateways.clone() {
            plan.set_nexthop_down(gateway(i), 2, false);
        }
        kernel.drive(&mut plan, now);
    });
    step("shown", &mut || {
        let mut shown = Vec::new();
        let mut next = Some(0);
        while let Some(from) = next {
            next = plan.nexthops(from, 512, &mut shown);
        }
        assert!(shown.len() >= n as usize);
    });
    step("listed again", &mut || {
        plan.resync_nexthops(kernel.nexthops.values().cloned());
        kernel.drive(&mut plan, now);
    });
    let mut adopting = new_plan();
    step("adopted", &mut || {
        adopting.resync_nexthops(kernel.nexthops.values().cloned());
        submit(&mut adopting, &mut kernel, all.clone(), now);
    });
    step("lost", &mut || {
        plan.resync_nexthops([]);
        kernel.nexthops.clear();
        kernel.drive(&mut plan, now);
    });
    step("removed", &mut || {
        let gone = many(n).map(FibChange::remove).collect();
        submit(&mut plan, &mut kernel, gone, now);
    });
    assert_eq!(kernel.nexthops.len(), 0);
    kernel.refuses = true;
    step("refused", &mut || {
        submit(&mut plan, &mut kernel, all.clone(), now);
        for _ in 0..3 {
            now += Duration::from_secs(61);
            kernel.drive(&mut plan, now);
        }
    });
    kernel.refuses = false;
    step("taken after all", &mut || {
        now += Duration::from_secs(61);
        kernel.drive(&mut plan, now);
    });
    assert!(kernel.nexthops.len() >= 2 * n as usize);
    took
}

#[test]
fn next_hops_cost_in_proportion_to_their_number() {
    const FEW: u32 = 500;
    const TIMES: u32 = 8;
    for shared in [None, Some(0)] {
        let tries = (0..5).map(|_| {
            let (few, many) = (lives(FEW, shared), lives(FEW * TIMES, shared));
            let pairs = few.into_iter().zip(many);
            let ratio = |((name, few), (_, many)): ((_, u64), (_, u64))| {
                (many as f64 / few.max(1) as f64, name, few, many)
            };
            pairs.map(ratio).max_by(|a, b| a.0.total_cmp(&b.0)).unwrap()
        });
        let fine = |worst: &(f64, &str, u64, u64)| worst.0 < f64::from(3 * TIMES);
        let mut seen = Vec::new();
        let good = tries.inspect(|worst| seen.push(*worst)).any(|t| fine(&t));
        assert!(good, "{TIMES} times as many next hops took: {seen:?}");
    }
}
