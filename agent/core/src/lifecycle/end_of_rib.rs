//! How long End-of-RIB is kept back at the start.
//!
//! Peers that kept a predecessor's routes take what was not announced before End-of-RIB for withdrawn (RFC 4724 section 4.1): it
//! waits while Services wait for kube-proxy, but no longer than peers wait for it.

use std::time::{Duration, Instant};

/// How long our OPENs say that we restarted (RFC 4724): as long as peers may wait for us.
const RESTARTING: Duration = Duration::from_secs(120);

/// Whether End-of-RIB is kept back.
#[derive(Clone, Copy, Debug)]
pub struct EndOfRib {
    until: Instant,
    is_held: bool,
}

impl EndOfRib {
    /// Of an agent that started then. It is not kept back yet.
    pub fn new(started: Instant) -> Self {
        Self {
            until: started + RESTARTING,
            is_held: false,
        }
    }

    /// Until when peers may wait for us.
    pub const fn until(&self) -> Instant {
        self.until
    }

    /// Whether it is to be kept back from now on, if that changes. `services_wait`: Services are still to come.
    pub fn follow(&mut self, now: Instant, services_wait: bool) -> Option<bool> {
        let holds = services_wait && now < self.until;
        let before = std::mem::replace(&mut self.is_held, holds);
        (before != holds).then_some(holds)
    }

    /// When it is kept back no longer, whatever waits.
    pub fn deadline(&self) -> Option<Instant> {
        self.is_held.then_some(self.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_kept_back_while_services_wait_and_as_long_as_peers_do() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        type Looks = &'static [(u64, bool, Option<bool>)];
        let cases: [Looks; 4] = [
            &[(0, false, None), (5, false, None)],
            &[
                (0, true, Some(true)),
                (5, true, None),
                (9, false, Some(false)),
            ],
            &[
                (0, true, Some(true)),
                (120, true, Some(false)),
                (121, true, None),
            ],
            // It took that long to start.
            &[(130, true, None)],
        ];
        for looks in cases {
            let mut end = EndOfRib::new(start);
            assert_eq!(end.deadline(), None);
            for (second, services_wait, expected) in looks {
                assert_eq!(
                    end.follow(after(*second), *services_wait),
                    *expected,
                    "{looks:?}"
                );
                let holds = *services_wait && *second < 120;
                assert_eq!(end.deadline(), holds.then(|| after(120)), "{looks:?}");
            }
        }
    }
}
