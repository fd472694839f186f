//! From what the kernel holds to what is wanted: each step is planned only after the one before it was carried out.

use std::time::Instant;

use super::super::failure::Failure;
use super::super::resync::Resync;
use super::super::work::Work;
use super::{Installed, Refusing, Thing};
use crate::kernel::op::{Op, RouteAction, RouteOp, RuleAction, Target};
use crate::refusal::Rule;
use crate::types::KernelError;
use crate::types::RouteSpace;

impl Refusing {
    /// Appends what is to be done next, each step only after the one before it was carried out.
    pub(in super::super) fn plan(
        &mut self,
        now: Instant,
        max: usize,
        work: &mut Work,
        out: &mut Vec<Op>,
    ) {
        if !self.failures.is_empty() {
            self.due_retries(now);
        }
        if !self.decided || (self.look.is_none() && self.pending.is_empty() && !self.rules_pending)
        {
            return;
        }
        self.look_at_some(work);
        if work.is_over() {
            return;
        }
        if self.rules_pending {
            for rule in self.all_yielding() {
                if !self.rules.contains(&rule) {
                    self.rule(now, RuleAction::Add, &rule, out);
                }
            }
            if !out.is_empty() {
                return;
            }
        }
        if self.rules_pending {
            // Behind a new rule before there is a route that counts on it.
            for ipv6 in [false, true] {
                let refusing = self.refusing_rule(ipv6);
                if refusing.is_some_and(|rule| self.rules.contains(&rule)) {
                    self.plan_refusing_rule(now, ipv6, out);
                }
            }
            if !out.is_empty() {
                return;
            }
        }
        self.plan_routes(now, max, work, out);
        if !out.is_empty() || work.is_over() || !self.rules_pending {
            return;
        }
        for ipv6 in [false, true] {
            self.plan_refusing_rule(now, ipv6, out);
        }
        if !out.is_empty() {
            return;
        }
        let wanted = self.all_rules();
        let rest = self.rules.iter().filter(|rule| !wanted.contains(rule));
        let rest: Vec<Rule> = rest.cloned().collect();
        self.rules_pending = !rest.is_empty();
        for rule in rest {
            if !self.is_needed(&rule) {
                self.rule(now, RuleAction::Delete, &rule, out);
            }
        }
    }

    fn plan_routes(&mut self, now: Instant, max: usize, work: &mut Work, out: &mut Vec<Op>) {
        while out.len() < max
            && !work.is_over()
            && let Some(prefix) = self.pending.pop_first()
        {
            work.done(1);
            if self.is_blocked(&Thing::Route(prefix), now) {
                continue;
            }
            let wanted = self.wanted_route(prefix);
            // In other places only if another table was configured before.
            let others = self
                .known
                .routes_of(prefix)
                .filter(|one| Some(*one) != wanted);
            let others: Vec<Installed> = others.collect();
            for one in others {
                self.known.remove(&one);
                out.push(route(one, RouteAction::Delete));
            }
            if let Some(wanted) = wanted
                && self.known.add(wanted)
            {
                out.push(route(wanted, RouteAction::Add(Target::Unreachable)));
            }
        }
    }

    /// The rule that refuses is there exactly if it is wanted, and is the last of its family.
    fn plan_refusing_rule(&mut self, now: Instant, ipv6: bool, out: &mut Vec<Op>) {
        let wanted = self.refusing_rule(ipv6);
        let ours = self.rules.iter().filter(|rule| rule.ipv6 == ipv6);
        let last = ours.clone().next_back().cloned();
        let ours: Vec<Rule> = ours
            .filter(|rule| rule.suppress.is_none() && Some(*rule) != wanted.as_ref())
            .cloned()
            .collect();
        for rule in ours {
            self.rule(now, RuleAction::Delete, &rule, out);
        }
        if let Some(wanted) = wanted
            && last.as_ref() != Some(&wanted)
        {
            if self.rules.contains(&wanted) {
                self.rule(now, RuleAction::Delete, &wanted, out);
            }
            self.rule(now, RuleAction::Add, &wanted, out);
        }
    }

    /// Appends an operation on a rule, and takes it for done.
    fn rule(&mut self, now: Instant, action: RuleAction, rule: &Rule, out: &mut Vec<Op>) {
        if self.is_blocked(&Thing::Rule(rule.clone()), now) {
            return;
        }
        match action {
            RuleAction::Add => {
                self.rules.push(rule.clone());
                // Networks may have waited for it.
                self.pending.extend(self.wanted.networks.keys());
            }
            RuleAction::Delete => self.rules.retain(|one| one != rule),
        }
        out.push(Op::Rule(action, rule.clone()));
    }

    fn is_blocked(&self, thing: &Thing, now: Instant) -> bool {
        self.failures.get(thing).is_some_and(|f| f.retry_at > now)
    }

    /// Whether a rule has to stay although it is not wanted: a route that the kernel does not remove still needs one that yields.
    fn is_needed(&self, rule: &Rule) -> bool {
        let is_route = |thing: &Thing| matches!(thing, Thing::Route(_));
        rule.suppress.is_some() && self.failures.keys().any(is_route)
    }

    /// Forgets failures of what has come true some other way, and looks again at the rest when it is time.
    fn due_retries(&mut self, now: Instant) {
        let wanted = self.all_rules();
        let failures = std::mem::take(&mut self.failures);
        let before = failures.len();
        let open = failures.into_iter().filter(|(thing, _)| match thing {
            Thing::Rule(rule) => self.rules.contains(rule) != wanted.contains(rule),
            Thing::Route(prefix) => {
                let there = self.known.routes_of(*prefix).next().is_some();
                there != self.wants_route(*prefix)
            }
        });
        self.failures = open.collect();
        self.rules_pending |= self.failures.len() < before;
        for (thing, failure) in &self.failures {
            match thing {
                _ if failure.retry_at > now => {}
                Thing::Rule(_) => self.rules_pending = true,
                Thing::Route(prefix) => {
                    self.pending.insert(*prefix);
                }
            }
        }
    }

    /// When [`Self::plan`] is worth asking again although nothing happens.
    pub(in super::super) fn next_retry(&self) -> Option<Instant> {
        // Rules that stay for a route are not tried again before that is gone.
        let waits = |thing: &Thing| match thing {
            Thing::Rule(rule) => self.rules.contains(rule) && self.is_needed(rule),
            Thing::Route(_) => false,
        };
        let tried = self.failures.iter().filter(|(thing, _)| !waits(thing));
        tried.map(|(_, failure)| failure.retry_at).min()
    }

    /// The kernel did not do it. Returns what has to be listed.
    pub(in super::super) fn refused_route(
        &mut self,
        now: Instant,
        op: &RouteOp,
        error: KernelError,
    ) -> Resync {
        let one = (op.prefix, op.table, op.metric);
        match op.action {
            RouteAction::Delete if matches!(error.errno, libc::ESRCH | libc::ENOENT) => {
                return Resync::None;
            }
            RouteAction::Delete => {
                self.known.add(one);
            }
            RouteAction::Add(_) | RouteAction::Replace(_) => {
                self.known.remove(&one);
            }
        }
        self.fail(now, Thing::Route(op.prefix), error)
    }

    /// The kernel did not do it. Returns what has to be listed.
    pub(in super::super) fn refused_rule(
        &mut self,
        now: Instant,
        action: RuleAction,
        rule: &Rule,
        error: KernelError,
    ) -> Resync {
        self.rules_pending = true;
        match action {
            RuleAction::Delete if matches!(error.errno, libc::ESRCH | libc::ENOENT) => {
                return Resync::None;
            }
            RuleAction::Delete => self.rules.push(rule.clone()),
            RuleAction::Add => {
                self.rules.retain(|one| one != rule);
                // Networks that it was to yield are not to be refused without it.
                let family = self
                    .wanted
                    .networks
                    .keys()
                    .filter(|net| net.addr().is_ipv6() == rule.ipv6);
                self.pending.extend(family);
            }
        }
        self.fail(now, Thing::Rule(rule.clone()), error)
    }

    fn fail(&mut self, now: Instant, thing: Thing, error: KernelError) -> Resync {
        let failure = Failure::record(self.failures.remove(&thing), error, now);
        let first = failure.attempts == 1;
        self.failures.insert(thing, failure);
        match first {
            true => Resync::Everything,
            false => Resync::None,
        }
    }

    /// A batch went through, but for what was refused.
    pub(in super::super) fn carried_out(&mut self, op: &Op) {
        if self.failures.is_empty() {
            return;
        }
        match op {
            Op::Rule(action, rule) => {
                let there = self.rules.contains(rule);
                if there == (*action == RuleAction::Add) {
                    self.failures.remove(&Thing::Rule(rule.clone()));
                }
            }
            Op::Refuse(op) => {
                let one = (op.prefix, op.table, op.metric);
                let there = self.known.holds(&one);
                if there != (op.action == RouteAction::Delete) {
                    let over = self.failures.remove(&Thing::Route(op.prefix));
                    self.rules_pending |= over.is_some();
                }
            }
            _ => {}
        }
    }
}

fn route((prefix, table, metric): Installed, action: RouteAction) -> Op {
    Op::Refuse(RouteOp::new(prefix, RouteSpace { table, metric }, action))
}
