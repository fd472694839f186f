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
    /// Somebody listens and has not answered in time, as a kube-proxy on a node short of CPU: neither health nor absence.
    Silent,
    /// The port is closed, somebody else has it, or the agent could not ask.
    NoKubeProxy,
}

/// What kube-proxy answers, followed over time.
#[derive(Clone, Debug)]
pub struct KubeProxyGate {
    /// Nothing has been seen of it since then.
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
    /// It is waited for from now on: for as long as it takes, or, if it `may_be_absent`, until nothing has been seen of it for
    /// [`ABSENT`], if it has never answered.
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
            Answer::Silent => self.since = now,
            Answer::NoKubeProxy => {}
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
        use Answer::{NoKubeProxy, Silent, Status};
        use Verdict::{Absent, Healthy, Wait};
        type Answers = &'static [(u64, Answer, Verdict)];
        let cases: [(bool, Answers); 7] = [
            (
                true,
                &[
                    (0, NoKubeProxy, Wait),
                    (60, NoKubeProxy, Wait),
                    (61, NoKubeProxy, Absent),
                ],
            ),
            (true, &[(5, Status(503), Wait), (500, NoKubeProxy, Wait)]),
            (true, &[(61, Status(503), Wait), (62, Status(200), Healthy)]),
            (true, &[(61, Status(200), Healthy)]),
            (
                false,
                &[(3600, NoKubeProxy, Wait), (3601, Status(200), Healthy)],
            ),
            // Somebody listens, and is too busy to answer.
            (true, &[(61, Silent, Wait), (500, Silent, Wait)]),
            (
                true,
                &[
                    (50, Silent, Wait),
                    (110, NoKubeProxy, Wait),
                    (111, NoKubeProxy, Absent),
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
