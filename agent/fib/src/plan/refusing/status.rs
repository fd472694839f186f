//! What is refused, shown to people and programs.

use std::ops::Bound::{Excluded, Unbounded};
use std::time::{Duration, Instant};

use ipnet::IpNet;

use super::{Refusing, Thing};
use crate::refusal::{METRIC, Refusal};
use crate::types::{FailedObject, FibRouteState, KernelError};

/// A refused destination, for people and programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusalStatus {
    /// The destination.
    pub prefix: IpNet,
    /// Why it is refused.
    pub refusal: Refusal,
    /// The table that refuses it.
    pub table: u32,
    /// How far it has come; `None`: a route of somebody else answers, and nothing is refused.
    pub state: Option<FibRouteState>,
}

impl Refusing {
    /// Refused destinations in the kernel, of IPv4 and of IPv6.
    pub(in super::super) fn installed(&self) -> [u64; 2] {
        self.known.counts()
    }

    /// Destinations to look at.
    pub(in super::super) fn pending(&self) -> u64 {
        if self.decided {
            self.pending.len() as u64
        } else {
            0
        }
    }

    /// Routes and rules that the kernel does not take.
    pub(in super::super) fn failed(&self) -> u64 {
        self.failures.len() as u64
    }

    /// What it said of one of them.
    pub(in super::super) fn example_failure(&self) -> Option<&KernelError> {
        self.failures.values().map(|f| &f.error).next()
    }

    /// The first prefixes behind this one that are refused, at most `most`, ascending.
    pub(in super::super) fn prefixes_after(&self, after: Option<IpNet>, most: usize) -> Vec<IpNet> {
        let behind = (after.map_or(Unbounded, Excluded), Unbounded);
        let services = self.wanted.services.range(behind).take(most).copied();
        let networks = self.wanted.networks.range(behind).take(most);
        let networks = networks.map(|(prefix, _)| *prefix);
        let mut all: Vec<IpNet> = services.chain(networks).collect();
        all.sort_unstable();
        all.truncate(most);
        all
    }

    /// What is refused of a prefix.
    pub(in super::super) fn status_of(&self, prefix: IpNet, now: Instant) -> Option<RefusalStatus> {
        let refusal = self.wanted.get(prefix)?;
        Some(self.status(prefix, refusal, now))
    }

    fn status(&self, prefix: IpNet, refusal: Refusal, now: Instant) -> RefusalStatus {
        let mut rules = match refusal {
            Refusal::Service => Vec::new(),
            _ => self.yielding(prefix),
        };
        let last = self.refusing_rule(prefix.addr().is_ipv6());
        rules.extend(last.clone());
        let failure = rules
            .iter()
            .cloned()
            .map(Thing::Rule)
            .chain([Thing::Route(prefix)])
            .find_map(|thing| self.failures.get(&thing));
        let installed = self.known.holds(&(prefix, self.table, METRIC))
            && rules.iter().all(|rule| self.rules.contains(rule));
        let failed = |error: KernelError, failing_for| {
            Some(FibRouteState::Failed {
                error,
                about: FailedObject::Route,
                failing_for,
            })
        };
        let answered = refusal == Refusal::Service && self.known.is_answered(prefix);
        let state = match (failure, last) {
            _ if answered => None,
            (Some(f), _) => failed(f.error.clone(), now.saturating_duration_since(f.since)),
            (None, None) => failed(self.strangers_error(), Duration::ZERO),
            (None, Some(_)) if installed => Some(FibRouteState::Installed),
            (None, Some(_)) => Some(FibRouteState::Pending),
        };
        RefusalStatus {
            prefix,
            refusal,
            table: self.table,
            state,
        }
    }

    fn strangers_error(&self) -> KernelError {
        KernelError {
            errno: libc::EEXIST,
            text: format!(
                "table {} has routes of other programs, so it is not used; set spec.fib.refuse.table to another number",
                self.table
            ),
        }
    }

    /// A route of somebody else that keeps the table from being consulted.
    pub(in super::super) fn stranger(&self) -> Option<(u32, IpNet)> {
        Some((self.table, self.known.strangers().next()?))
    }
}
