//! When kube-proxy is waited for no longer: an address that is advertised before leads traffic to a node that drops it.

use std::time::{Duration, Instant};

/// How long nobody may listen before it is taken that no kube-proxy runs here. Both start with the node, and kube-proxy takes
/// seconds.
pub const ABSENT: Duration = Duration::from_secs(60);

/// What kube-proxy answers, followed over time.
#[derive(Clone, Debug)]
pub struct KubeProxyGate {
    since: Instant,
    /// Whether a node without kube-proxy is possible.
    may_be_absent: bool,
    has_answered: bool,
}

/// What follows from an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is healthy.
    Healthy,
    /// There is none on this node.
    Absent,
    /// It is asked again.
    Wait,
}

impl KubeProxyGate {
    /// It is waited for from now on: for as long as it takes, or, if it `may_be_absent`, until nobody has answered for
    /// [`ABSENT`].
    pub const fn new(now: Instant, may_be_absent: bool) -> Self {
        Self {
            since: now,
            may_be_absent,
            has_answered: false,
        }
    }

    /// It was asked. `status`: of its answer over HTTP; `None`: there was none.
    pub fn answered(&mut self, now: Instant, status: Option<u16>) -> Verdict {
        self.has_answered |= status.is_some();
        let is_over = now.duration_since(self.since) > ABSENT;
        match status {
            Some(200) => Verdict::Healthy,
            _ if self.may_be_absent && !self.has_answered && is_over => Verdict::Absent,
            _ => Verdict::Wait,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_that_never_answered_is_taken_for_absent() {
        use Verdict::{Absent, Healthy, Wait};
        type Answers = &'static [(u64, Option<u16>, Verdict)];
        let cases: [(bool, Answers); 5] = [
            (
                true,
                &[(0, None, Wait), (60, None, Wait), (61, None, Absent)],
            ),
            (true, &[(5, Some(503), Wait), (500, None, Wait)]),
            (true, &[(61, Some(503), Wait), (62, Some(200), Healthy)]),
            (true, &[(61, Some(200), Healthy)]),
            (false, &[(3600, None, Wait), (3601, Some(200), Healthy)]),
        ];
        for (may_be_absent, answers) in cases {
            let start = Instant::now();
            let mut gate = KubeProxyGate::new(start, may_be_absent);
            for (second, status, expected) in answers {
                let now = start + Duration::from_secs(*second);
                assert_eq!(gate.answered(now, *status), *expected, "{answers:?}");
            }
        }
    }
}
