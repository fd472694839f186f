//! How soon a change of a RouterState is written. Pure: it takes the time and a random number.
//!
//! A RouterState is written for people, and for the conditions that the controller makes of it. What they may act on,
//! such as a router's session, is written soon. What changes on many nodes at once, or all the time, is not worth a
//! write of each node: when a node goes, every other node of the mesh loses a session; when it comes back, there is
//! nothing to say any more.
//!
//! | what has changed | written after |
//! |---|---|
//! | anything that somebody may act on ([`Change::Matters`]) | 1 to 3 s; after 6 in a row one in 30 s |
//! | sessions of the mesh ([`Change::Mesh`]) | 0.4 s for each session of the mesh, 10 s at least, 200 s at most, and up to half as long again |
//! | counts alone ([`Change::Counts`]) | 2 to 3 minutes |
//! | nothing | 4 to 5 minutes after the last write |
//!
//! The pause, and with it the time over which the writes of all nodes are spread, grows with the mesh: together they
//! write some five times a second at most, ten in a mesh of 1,000.

use std::time::{Duration, Instant};

use routelet_api::RouterStateStatus;
use routelet_api::router_state::SessionCounts;

use super::router_state::MESH_ESTABLISHED;

/// How long what matters waits, and how much longer by chance: one cause may concern many nodes.
const SOON: Duration = Duration::from_secs(1);
const SPREAD: Duration = Duration::from_secs(2);

/// How many changes that matter are written soon, and how often one after these: a session that flaps does not flood.
const BURST: f64 = 6.0;
const REFILL: Duration = Duration::from_secs(30);

/// How long a change of the mesh waits for each of its sessions, and the bounds of that.
const MESH_EACH: Duration = Duration::from_millis(400);
const MESH_LEAST: Duration = Duration::from_secs(10);
const MESH_MOST: Duration = Duration::from_secs(200);

/// How long counts wait.
const COUNTS: Duration = Duration::from_secs(120);

/// The longest time between two writes: whoever reads knows by it that the agent runs.
pub const HEARTBEAT: Duration = Duration::from_secs(300);

/// How two statuses differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// In nothing.
    Nothing,
    /// In counts alone.
    Counts,
    /// In how the sessions of the mesh are.
    Mesh,
    /// In something that somebody may act on.
    Matters,
}

impl Change {
    /// Compares what was found with what was written last.
    pub fn between(found: &RouterStateStatus, written: &RouterStateStatus) -> Self {
        if found == written {
            return Self::Nothing;
        }
        let (found, written) = (without_counts(found), without_counts(written));
        if found == written {
            return Self::Counts;
        }
        match without_mesh(found) == without_mesh(written) {
            true => Self::Mesh,
            false => Self::Matters,
        }
    }

    /// How long it waits, in a mesh of so many sessions; `random` is from 0 to 1.
    fn wait(self, mesh: u32, random: f64) -> Duration {
        match self {
            Self::Nothing => HEARTBEAT,
            Self::Counts => COUNTS + (COUNTS / 2).mul_f64(random),
            Self::Mesh => {
                let wait = (MESH_EACH * mesh).clamp(MESH_LEAST, MESH_MOST);
                wait + (wait / 2).mul_f64(random)
            }
            Self::Matters => SOON + SPREAD.mul_f64(random),
        }
    }
}

fn without_counts(status: &RouterStateStatus) -> RouterStateStatus {
    let mut status = status.clone();
    status.last_heartbeat_time = None;
    status.summary.advertised = 0;
    status.fib.installed = 0;
    status.fib.refused = 0;
    status.fib.failed = status.fib.failed.min(1);
    for session in &mut status.sessions {
        session.families.clear();
    }
    for condition in &mut status.conditions {
        // How many routes are not installed; that there are any is its status.
        if condition.type_ == "RoutesInstalled" {
            condition.message.clear();
        }
    }
    status
}

fn without_mesh(mut status: RouterStateStatus) -> RouterStateStatus {
    status.mesh = None;
    status.summary.mesh = None;
    status
        .conditions
        .retain(|condition| condition.type_ != MESH_ESTABLISHED);
    status
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// When the last status was written; `None`: there is none.
    written: Option<Instant>,
    /// How long it may stand.
    stands: Duration,
    /// When what has changed since is written.
    due: Option<(Change, Instant)>,
    /// How many changes that matter may be written at once.
    tokens: f64,
    filled: Instant,
}

impl Schedule {
    /// Nothing is written yet.
    pub const fn new(now: Instant) -> Self {
        Self {
            written: None,
            stands: HEARTBEAT,
            due: None,
            tokens: BURST,
            filled: now,
        }
    }

    /// Whether what was found is to be written now; `random` is from 0 to 1 and counts when a change is seen first.
    pub fn is_due(
        &mut self,
        found: &RouterStateStatus,
        written: &RouterStateStatus,
        now: Instant,
        random: f64,
    ) -> bool {
        let Some(at) = self.written else {
            return true;
        };
        let change = Change::between(found, written);
        if change == Change::Nothing {
            // What was about to be written is as it was before.
            self.due = None;
        } else if self.due.is_none_or(|(known, _)| change > known) {
            let sessions = |mesh: &SessionCounts| u32::try_from(mesh.sessions).unwrap_or(u32::MAX);
            let wait = change.wait(found.mesh.as_ref().map_or(0, sessions), random);
            let before = self.due.map_or(now + wait, |(_, due)| due);
            self.due = Some((change, before.min(now + wait)));
        }
        let more = now.saturating_duration_since(self.filled).as_secs_f64() / REFILL.as_secs_f64();
        self.tokens = (self.tokens + more).min(BURST);
        self.filled = now;
        now >= at + self.stands
            || self.due.is_some_and(|(change, due)| {
                now >= due && (change != Change::Matters || self.tokens >= 1.0)
            })
    }

    /// It was written; `random` is from 0 to 1.
    pub fn written(&mut self, now: Instant, random: f64) {
        if self
            .due
            .is_some_and(|(change, _)| change == Change::Matters)
        {
            self.tokens = (self.tokens - 1.0).max(0.0);
        }
        self.due = None;
        self.written = Some(now);
        // Nodes that began together do not go on together.
        self.stands = HEARTBEAT - (HEARTBEAT / 5).mul_f64(random);
    }

    /// The object does not exist: it is created.
    pub fn lost(&mut self) {
        self.written = None;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use routelet_api::router_state::SessionStatus;

    use super::*;

    fn mesh(established: i64, sessions: i64) -> RouterStateStatus {
        RouterStateStatus {
            mesh: Some(SessionCounts {
                sessions,
                established,
                ..SessionCounts::default()
            }),
            ..RouterStateStatus::default()
        }
    }

    /// After how many seconds a status is written that is found from now on.
    fn seconds(schedule: &mut Schedule, found: &RouterStateStatus, from: Instant) -> u64 {
        let written = mesh(299, 299);
        let mut looks = (0..1000).map(|second| (second, from + Duration::from_secs(second)));
        let due = looks.find(|(_, at)| schedule.is_due(found, &written, *at, 0.5));
        due.unwrap().0
    }

    #[test]
    fn what_somebody_may_act_on_is_written_soon_the_mesh_late_and_counts_later() {
        let start = Instant::now();
        let mut session = mesh(299, 299);
        session.sessions.push(SessionStatus::default());
        let mut counted = mesh(299, 299);
        counted.fib.installed = 7;
        let small = |sessions| mesh(sessions - 1, sessions);
        for (found, expected) in [
            (mesh(299, 299), 270),
            (session, 2),
            (mesh(298, 299), 150),
            (small(2), 13),
            (small(5000), 250),
            (counted, 150),
        ] {
            let mut schedule = Schedule::new(start);
            assert!(schedule.is_due(&found, &found, start, 0.5), "the first");
            schedule.written(start, 0.5);
            assert_eq!(seconds(&mut schedule, &found, start), expected, "{found:?}");
        }
    }

    #[test]
    fn what_is_over_before_it_is_written_is_not_written() {
        let (start, written) = (Instant::now(), mesh(299, 299));
        let mut schedule = Schedule::new(start);
        schedule.written(start, 0.0);
        let at = |second| start + Duration::from_secs(second);
        for second in 1..100 {
            let found = if second < 60 {
                mesh(298, 299)
            } else {
                mesh(299, 299)
            };
            assert!(!schedule.is_due(&found, &written, at(second), 0.0));
        }
        // Another change waits as long as the first one.
        assert!(!schedule.is_due(&mesh(297, 299), &written, at(125), 0.0));
    }

    #[test]
    fn what_flaps_all_the_time_is_written_now_and_then() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start);
        schedule.written(start, 1.0);
        let mut written = RouterStateStatus::default();
        let mut writes = 0;
        for second in 0..3600 {
            let now = start + Duration::from_secs(second);
            let mut found = RouterStateStatus::default();
            found.summary.sessions = second.to_string();
            if schedule.is_due(&found, &written, now, 0.0) {
                written = found;
                schedule.written(now, 1.0);
                writes += 1;
            }
        }
        assert!((100..=130).contains(&writes), "{writes}");
    }

    #[test]
    fn what_matters_overtakes_what_waits() {
        let (start, written) = (Instant::now(), mesh(299, 299));
        let mut schedule = Schedule::new(start);
        schedule.written(start, 0.0);
        let mut found = mesh(298, 299);
        assert!(!schedule.is_due(&found, &written, start, 0.0));
        found.summary.sessions = "1/2".to_owned();
        let at = |second| start + Duration::from_secs(second);
        assert!(!schedule.is_due(&found, &written, at(5), 0.0));
        assert!(schedule.is_due(&found, &written, at(6), 0.0));
    }

    #[test]
    fn an_object_that_is_gone_is_written_at_once() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start);
        schedule.written(start, 0.0);
        let written = RouterStateStatus::default();
        assert!(!schedule.is_due(&written, &written, start, 0.0));
        schedule.lost();
        assert!(schedule.is_due(&written, &written, start, 0.0));
    }
}
