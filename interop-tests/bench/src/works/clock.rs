//! The clock of a run, which also reads the speaker's meters.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::{CPU, Metric, OWN_CPU, PEAK, Rig, TIME, Usage};

/// For so long nothing must have come before the clock starts: End-of-RIBs, and what daemons do after a session came
/// up.
const QUIET: Duration = Duration::from_millis(500);

/// A running clock.
#[derive(Debug)]
pub(super) struct Clock {
    /// When it started.
    pub(super) started: Instant,
    cpu: Duration,
}

impl Clock {
    /// Starts it once the rig is quiet.
    pub(super) fn start(rig: &mut Rig) -> Result<Self> {
        let began = Instant::now();
        while began.max(rig.players.last_heard()).elapsed() < QUIET {
            rig.players.turn(Duration::from_millis(10))?;
        }
        let cpu = Usage::of(&rig.node)?.cpu;
        Ok(Self {
            started: Instant::now(),
            cpu,
        })
    }

    /// What there is to report when the last table became right at `end`.
    pub(super) fn read(&self, rig: &Rig, end: Instant, own_cpu: Duration) -> Result<Vec<Metric>> {
        let usage = Usage::of(&rig.node)?;
        Ok(vec![
            TIME.seconds(end.saturating_duration_since(self.started)),
            CPU.seconds(usage.cpu.saturating_sub(self.cpu)),
            PEAK.is(usage.peak_kb as f64 / 1024.0),
            OWN_CPU.seconds(own_cpu),
        ])
    }
}
