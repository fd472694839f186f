//! What is asked of the kernel: operations are carried out in batches, and what it holds is listed.

use std::time::Instant;

use routelet_base::timing::Holder;

use crate::kernel::event::{Event, Nexthop};
use crate::kernel::{ChannelError, DumpKind, Kernel, Listed, Refusal};
use crate::plan::Op;
use crate::refusal::Rule;
use crate::shared::Shared;

/// How many operations, or routes of a listing, are one batch: so many are planned, or taken in, while the plan is held.
pub(super) const BATCH: usize = 256;

/// Carries out operations of the plan, and reports their results to it.
pub(super) fn carry_out(
    shared: &Shared,
    kernel: &mut impl Kernel,
    ops: &[Op],
) -> Result<(), ChannelError> {
    let mut refusals: Vec<Refusal> = Vec::new();
    let outcome = kernel.execute(ops, &mut refusals);
    let now = Instant::now();
    let mut plan = shared.plan.hold(Holder::Fib);
    for Refusal { index, error } in refusals {
        tracing::debug!(op = ?ops[index], %error, "refused");
        plan.refused(now, &ops[index], error);
    }
    plan.carried_out(ops);
    outcome
}

/// All nexthop objects and groups, whoever made them.
pub(super) fn list_nexthops(kernel: &mut impl Kernel) -> Result<Vec<Nexthop>, ChannelError> {
    let mut nexthops = Vec::new();
    kernel.dump(DumpKind::Nexthops, &mut |listed| match listed {
        Listed::Begin => nexthops.clear(),
        Listed::Item(Event::Nexthop(_, nexthop)) => nexthops.push(nexthop),
        Listed::Item(_) => {}
    })?;
    Ok(nexthops)
}

/// All rules in shapes that we make. A kernel without them (`CONFIG_IP_MULTIPLE_TABLES`) has none, and refuses those that are added.
pub(super) fn list_rules(kernel: &mut impl Kernel) -> Result<Vec<Rule>, ChannelError> {
    let mut rules = Vec::new();
    let listed = kernel.dump(DumpKind::Rules, &mut |listed| match listed {
        Listed::Begin => rules.clear(),
        Listed::Item(Event::Rule(_, rule)) => rules.push(rule),
        Listed::Item(_) => {}
    });
    match listed {
        Err(ChannelError::Dump { error, .. }) if error.errno == libc::EOPNOTSUPP => Ok(Vec::new()),
        other => other.map(|()| rules),
    }
}
