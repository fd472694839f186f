//! When kube-proxy is waited for no longer: an address that is advertised before leads traffic to a node that drops it.

use std::time::{Duration, Instant};

/// How long nobody may listen before it is taken that no kube-proxy runs here. Both start with the node, and kube-proxy takes
/// seconds.
pub const ABSENT: Duration = Duration::from_secs(60);

/// What became of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The status of an answer over HTTP.
    Status(u16),
    /// The port is closed.
    Refused,
    /// Anything else, as a listener that did not answer in time: neither health nor absence.
    Nothing,
}

/// What kube-proxy answers, followed over time.
#[derive(Clone, Debug)]
pub struct KubeProxyGate {
    /// The port has been closed since then.
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
    /// It is waited for from now on: for as long as it takes, or, if it `may_be_absent`, until its port has been closed for
    /// [`ABSENT`], if nobody has ever answered there.
    pub const fn new(now: Instant, may_be_absent: bool) -> Self {
        Self {
            since: now,
            may_be_absent,
            has_answered: false,
        }
    }

    /// It was asked.
    pub fn answered(&mut self, now: Instant, answer: Answer) -> Verdict {
        match answer {
            Answer::Status(_) => self.has_answered = true,
            Answer::Refused => {}
            Answer::Nothing => self.since = now,
        }
        let is_over = now.duration_since(self.since) > ABSENT;
        match answer {
            Answer::Status(200) => Verdict::Healthy,
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
        use Answer::{Nothing, Refused, Status};
        use Verdict::{Absent, Healthy, Wait};
        type Answers = &'static [(u64, Answer, Verdict)];
        let cases: [(bool, Answers); 7] = [
            (
                true,
                &[
                    (0, Refused, Wait),
                    (60, Refused, Wait),
                    (61, Refused, Absent),
                ],
            ),
            (true, &[(5, Status(503), Wait), (500, Refused, Wait)]),
            (true, &[(61, Status(503), Wait), (62, Status(200), Healthy)]),
            (true, &[(61, Status(200), Healthy)]),
            (
                false,
                &[(3600, Refused, Wait), (3601, Status(200), Healthy)],
            ),
            // Somebody listens, and is too busy to answer.
            (true, &[(61, Nothing, Wait), (500, Nothing, Wait)]),
            (
                true,
                &[
                    (50, Nothing, Wait),
                    (110, Refused, Wait),
                    (111, Refused, Absent),
                ],
            ),
        ];
        for (may_be_absent, answers) in cases {
            let start = Instant::now();
            let mut gate = KubeProxyGate::new(start, may_be_absent);
            for (second, answer, expected) in answers {
                let now = start + Duration::from_secs(*second);
                assert_eq!(gate.answered(now, *answer), *expected, "{answers:?}");
            }
        }
    }
}
