//! Collects what is wrong with a spec, with the checks that several kinds share.

use std::fmt;
use std::time::Duration;

use bgp::types::Asn;
use routelet_api::peer::{BfdSpec, PasswordSpec, Timers};
use routelet_api::selector::Operator;
use routelet_api::{Cidr, LabelSelector, ValueFrom};

use super::Finding;

/// What was found so far.
#[derive(Default)]
pub(super) struct Findings {
    pub(super) list: Vec<Finding>,
}

impl Findings {
    pub(super) fn add(&mut self, path: impl Into<String>, reason: impl Into<String>) {
        self.list.push(Finding {
            path: path.into(),
            reason: reason.into(),
        });
    }

    pub(super) fn check(&mut self, good: bool, path: &str, reason: impl FnOnce() -> String) {
        if !good {
            self.add(path, reason());
        }
    }

    pub(super) fn range<T: PartialOrd + fmt::Display>(
        &mut self,
        path: &str,
        value: T,
        low: T,
        high: T,
    ) {
        if value < low || value > high {
            self.add(
                path,
                format!("{value} is out of range: expected {low} to {high}"),
            );
        }
    }

    pub(super) fn asn(&mut self, path: &str, asn: u32) {
        let asn = Asn(asn);
        if asn.is_reserved() {
            self.add(
                path,
                format!("AS {asn} is reserved: expected the number of an AS, for private use 64512 to 65534"),
            );
        }
    }

    pub(super) fn cidr(&mut self, path: &str, cidr: Cidr) {
        if cidr.0 != cidr.net() {
            self.add(
                path,
                format!(
                    "{cidr} has bits set beyond its length: did you mean {}?",
                    cidr.net()
                ),
            );
        }
    }

    pub(super) fn selector(&mut self, path: &str, selector: Option<&LabelSelector>) {
        for (at, requirement) in selector
            .iter()
            .flat_map(|s| s.match_expressions.iter().enumerate())
        {
            let path = format!("{path}.matchExpressions[{at}].values");
            match requirement.operator {
                Operator::In | Operator::NotIn => {
                    self.check(!requirement.values.is_empty(), &path, || {
                        format!("{:?} needs at least one value", requirement.operator)
                    });
                }
                Operator::Exists | Operator::DoesNotExist => {
                    self.check(requirement.values.is_empty(), &path, || {
                        format!("{:?} takes no values", requirement.operator)
                    });
                }
            }
        }
    }

    pub(super) fn value_from(&mut self, path: &str, from: Option<&ValueFrom>) {
        if let Some(from) = from {
            self.check(
                from.node_label.is_some() != from.node_annotation.is_some(),
                path,
                || "set exactly one of nodeLabel and nodeAnnotation".to_owned(),
            );
        }
    }

    pub(super) fn lapse(&mut self, path: &str, value: Duration, low: Duration, high: Duration) {
        if value < low || value > high {
            let text = |d| routelet_api::Lapse(d).to_string();
            self.add(
                path,
                format!(
                    "{} is out of range: expected {} to {}",
                    text(value),
                    text(low),
                    text(high)
                ),
            );
        }
    }

    pub(super) fn timers(&mut self, path: &str, timers: &Timers) {
        let hold = timers.hold.0;
        if !hold.is_zero() {
            self.lapse(&format!("{path}.hold"), hold, seconds(3), seconds(65_535));
        }
        if !hold.as_millis().is_multiple_of(1000) {
            self.add(
                format!("{path}.hold"),
                format!("{} is not in whole seconds", timers.hold),
            );
        }
        if let Some(keepalive) = timers.keepalive {
            self.lapse(
                &format!("{path}.keepalive"),
                keepalive.0,
                seconds(1),
                seconds(65_535),
            );
            self.check(
                hold.is_zero() || keepalive.0 * 3 <= hold,
                &format!("{path}.keepalive"),
                || {
                    format!(
                        "{keepalive} is more than a third of the hold time {}",
                        timers.hold
                    )
                },
            );
        }
        let retry = timers.connect_retry.0;
        self.lapse(
            &format!("{path}.connectRetry"),
            retry,
            seconds(1),
            seconds(3600),
        );
        let idle = timers.idle_hold.0;
        if !idle.is_zero() {
            self.lapse(&format!("{path}.idleHold"), idle, seconds(1), seconds(3600));
        }
    }

    pub(super) fn password(&mut self, path: &str, password: Option<&PasswordSpec>) {
        if let Some(password) = password {
            self.check(
                password.secret_ref.is_some() != password.file.is_some(),
                path,
                || "set exactly one of secretRef and file".to_owned(),
            );
        }
    }

    pub(super) fn bfd(&mut self, path: &str, bfd: Option<&BfdSpec>) {
        if let Some(bfd) = bfd {
            let (low, high) = (Duration::from_millis(10), seconds(60));
            self.lapse(&format!("{path}.interval"), bfd.interval.0, low, high);
            self.range(&format!("{path}.multiplier"), bfd.multiplier, 1, 255);
            if let Some(ttl) = bfd.minimum_ttl {
                self.range(&format!("{path}.minimumTTL"), ttl, 1, 255);
            }
            let (low, high) = (seconds(1), seconds(3600));
            self.lapse(&format!("{path}.holdTime"), bfd.hold_time.0, low, high);
        }
    }
}

pub(super) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
