//! What the log says of the kernel's routes: when trouble begins and ends, once each.

use std::time::{Duration, Instant};

use ipnet::IpNet;

use crate::plan::Plan;
use crate::types::{FibCounters, NEXTHOP_ID_FIRST};

/// A refusal that is over sooner was a race with something that changed: an interface, an address.
const FALSE_ALARM: Duration = Duration::from_secs(1);

/// What was reported.
#[derive(Debug, Default)]
pub(super) struct Reported {
    counters: FibCounters,
    /// Since when the kernel has refused something, and whether that was reported.
    failing: Option<(Instant, bool)>,
    stranger: Option<(u32, IpNet)>,
}

impl Reported {
    /// Says when trouble begins and ends, once each.
    pub(super) fn report(&mut self, plan: &Plan) {
        let now = plan.counters();
        match (&mut self.failing, now.failed) {
            (None, 0) => {}
            (None, _) => self.failing = Some((Instant::now(), false)),
            (Some((_, reported)), 0) => {
                if *reported {
                    tracing::info!("the kernel has every route again");
                }
                self.failing = None;
            }
            (Some((since, reported)), failed) => {
                if !*reported && since.elapsed() >= FALSE_ALARM {
                    *reported = true;
                    let example = plan.example_failure().unwrap_or_default();
                    tracing::warn!(failed, example, "the kernel rejects routes; retrying");
                }
            }
        }
        if (self.counters.over_limit == 0) != (now.over_limit == 0) {
            if now.over_limit > 0 {
                let max = plan.guard_rails().max_routes;
                tracing::warn!(
                    max,
                    left_out = now.over_limit,
                    "maxRoutes is reached: further routes are not installed"
                );
            } else {
                tracing::info!("the number of learned routes is below maxRoutes again");
            }
        }
        if now.replaced_nexthops > self.counters.replaced_nexthops {
            tracing::warn!(
                count = now.replaced_nexthops - self.counters.replaced_nexthops,
                "nexthop objects of Routelet were replaced by another program, and are restored: check which \
                 program uses nexthop ids from {NEXTHOP_ID_FIRST}"
            );
        }
        let stranger = plan.stranger();
        if stranger != self.stranger {
            if let Some((table, prefix)) = stranger {
                tracing::warn!(
                    table,
                    example = %prefix,
                    "another program has routes in the table for refused traffic, so the table is not used; \
                     set spec.fib.refuse.table of the Router to another number"
                );
            }
            self.stranger = stranger;
        }
        self.counters = now;
    }

    /// When a refusal that was not reported so far is no false alarm any more.
    pub(super) fn next(&self) -> Option<Instant> {
        let since = self.failing.filter(|(_, is_reported)| !is_reported);
        since.map(|(since, _)| since + FALSE_ALARM)
    }
}
