//! What the RIB reports, on its way to the loop of the agent: a queue that never makes the RIB's thread wait, and is
//! bounded.
//!
//! The loop sends commands to the RIB's thread and waits for answers, so that thread must not wait for the loop. Events
//! that something is done for are kept until they are taken, at most a few for each peer: one that is reported again
//! replaces the one before. Events that are logged only are left out and counted while [`LOGGED`] of them wait.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rib::{PeerId, RibEvent};
use tokio::sync::Notify;
use tracing::warn;

/// How many events that are logged only may wait: several for each peer of a large node, when all of them are lost at
/// once.
const LOGGED: usize = 1_024;

/// A queue.
pub(super) fn channel() -> (Notices, Reports) {
    let queue = Arc::new(Queue::default());
    (Notices(Arc::clone(&queue)), Reports(queue))
}

/// The end of the RIB's thread.
pub(crate) struct Notices(Arc<Queue>);

/// The end of the loop.
pub(super) struct Reports(Arc<Queue>);

#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Notify,
}

#[derive(Default)]
struct Waiting {
    /// A session has to end.
    sessions: BTreeMap<(PeerId, LimitExceeded), RibEvent>,
    converged: bool,
    logged: VecDeque<RibEvent>,
    left_out: u64,
}

/// Why a session has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum LimitExceeded {
    Prefixes,
    Memory,
}

impl Queue {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Whole between calls, whoever panicked elsewhere.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Notices {
    /// Puts an event in.
    pub(super) fn send(&self, event: RibEvent) {
        let mut waiting = self.0.waiting();
        match event {
            RibEvent::PrefixLimit { peer, .. } => {
                waiting
                    .sessions
                    .insert((peer, LimitExceeded::Prefixes), event);
            }
            RibEvent::PeerMemory { peer, .. } => {
                waiting
                    .sessions
                    .insert((peer, LimitExceeded::Memory), event);
            }
            RibEvent::Converged => waiting.converged = true,
            RibEvent::PathRefused { .. }
            | RibEvent::PrefixWarning { .. }
            | RibEvent::EndOfRib { .. }
            | RibEvent::RestartTimeExpired { .. }
            | RibEvent::NextHopsLost(_)
            | RibEvent::NextHopsRegained(_) => match waiting.logged.len() < LOGGED {
                true => waiting.logged.push_back(event),
                false => waiting.left_out += 1,
            },
        }
        drop(waiting);
        self.0.arrived.notify_one();
    }
}

impl Reports {
    /// Waits for the next event. Nothing is lost if the future is dropped before.
    pub(super) async fn recv(&mut self) -> RibEvent {
        loop {
            if let Some(event) = self.take() {
                return event;
            }
            self.0.arrived.notified().await;
        }
    }

    fn take(&mut self) -> Option<RibEvent> {
        let mut waiting = self.0.waiting();
        if let Some((_, event)) = waiting.sessions.pop_first() {
            return Some(event);
        }
        if std::mem::take(&mut waiting.converged) {
            return Some(RibEvent::Converged);
        }
        let event = waiting.logged.pop_front();
        if waiting.logged.is_empty() && waiting.left_out > 0 {
            let events = std::mem::take(&mut waiting.left_out);
            warn!(
                events,
                "events of the RIB were not logged: too many were waiting"
            );
        }
        event
    }
}

#[cfg(test)]
mod tests {
    use bgp::types::Family;
    use rib::table::LimitOf;

    use super::*;

    fn limit(peer: u32, limit: u32) -> RibEvent {
        RibEvent::PrefixLimit {
            peer: PeerId(peer),
            family: Family::IPV4_UNICAST,
            limit,
            of: LimitOf::Accepted,
        }
    }

    fn end_of_rib(peer: usize) -> RibEvent {
        RibEvent::EndOfRib {
            peer: PeerId(peer as u32),
        }
    }

    #[test]
    fn what_is_acted_on_is_never_lost_and_what_is_logged_is_bounded() {
        let (notices, mut reports) = channel();
        for peer in 0..LOGGED + 10 {
            notices.send(end_of_rib(peer));
        }
        notices.send(RibEvent::Converged);
        notices.send(limit(2, 10));
        notices.send(limit(1, 10));
        notices.send(limit(1, 20));
        assert_eq!(reports.0.waiting().left_out, 10);
        let taken: Vec<RibEvent> = std::iter::from_fn(|| reports.take()).collect();
        let mut expected = vec![limit(1, 20), limit(2, 10), RibEvent::Converged];
        expected.extend((0..LOGGED).map(end_of_rib));
        assert_eq!(taken, expected);
        assert_eq!(reports.0.waiting().left_out, 0);
    }

    #[tokio::test]
    async fn an_event_that_came_before_or_after_is_received() {
        let (notices, mut reports) = channel();
        notices.send(end_of_rib(1));
        notices.send(end_of_rib(2));
        assert_eq!(reports.recv().await, end_of_rib(1));
        assert_eq!(reports.recv().await, end_of_rib(2));
        let waits = tokio::spawn(async move { reports.recv().await });
        tokio::task::yield_now().await;
        notices.send(end_of_rib(3));
        assert!(waits.await.is_ok_and(|event| event == end_of_rib(3)));
    }
}
