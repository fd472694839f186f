//! Reports a reader or writer that failed to the peer's task.

use tokio::sync::mpsc;

use super::reader::Report;

/// Notifies the peer's task that a task of its session failed, unless that ended by itself.
pub(super) struct Alarm(Option<mpsc::Sender<Report>>);

impl Alarm {
    pub(super) fn new(reports: mpsc::Sender<Report>) -> Self {
        Self(Some(reports))
    }

    /// Runs a task of the session under this alarm.
    pub(super) async fn watch(mut self, task: impl Future<Output = ()>) {
        task.await;
        self.0 = None;
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if let Some(reports) = &self.0 {
            // Full: the session is ending for another reason. Closed: it has ended.
            drop(reports.try_send(Report::Closed));
        }
    }
}
