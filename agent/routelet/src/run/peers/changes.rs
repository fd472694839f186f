//! Which sessions have changed, found at the cost of those alone: with thousands of peers, as a rule few have since the
//! last look.

use std::future::Future;

use futures::FutureExt;
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::sync::watch;
use tokio::task::unconstrained;

/// What is waited for, each until it happens once. A future is polled when it is added and when it was woken, and not
/// otherwise.
pub(super) struct Changes<F: Future> {
    waiting: FuturesUnordered<F>,
    /// What has happened and was not taken.
    happened: Vec<F::Output>,
}

impl<F: Future> Changes<F> {
    pub(super) fn new() -> Self {
        Self {
            waiting: FuturesUnordered::new(),
            happened: Vec::new(),
        }
    }

    /// Waits for this, too.
    pub(super) fn add(&mut self, change: F) {
        self.waiting.push(change);
    }

    /// Waits until [`Changes::take`] has something. Loses nothing if it is dropped before.
    pub(super) async fn happen(&mut self) {
        if self.happened.is_empty() {
            match self.waiting.next().await {
                Some(one) => self.happened.push(one),
                None => std::future::pending().await,
            }
        }
    }

    /// What has happened since the last time. Does not wait. What happens at this moment may be left to the next time, for which
    /// [`Changes::happen`] does not wait then.
    pub(super) fn take(&mut self) -> Vec<F::Output> {
        let mut happened = std::mem::take(&mut self.happened);
        // Tokio's budget for one poll of a task would end this before all were found.
        while let Some(Some(one)) = unconstrained(self.waiting.next()).now_or_never() {
            happened.push(one);
        }
        happened
    }
}

/// Waits for the next value that `watched` has not seen; `None`: there is none any more.
pub(super) async fn next<T>(mut watched: watch::Receiver<T>) -> Option<watch::Receiver<T>> {
    watched.changed().await.ok()?;
    Some(watched)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::pin::pin;
    use std::rc::Rc;

    use futures::future::LocalBoxFuture;

    use super::*;

    /// So many of which the numbers are taken, and how often one was looked at.
    struct Watched {
        senders: Vec<watch::Sender<u32>>,
        changes: Changes<LocalBoxFuture<'static, (usize, Option<u32>)>>,
        polls: Rc<Cell<u32>>,
    }

    impl Watched {
        fn new(sessions: usize) -> Self {
            let mut watched = Self {
                senders: Vec::new(),
                changes: Changes::new(),
                polls: Rc::default(),
            };
            for id in 0..sessions {
                let (sender, receiver) = watch::channel(0);
                watched.senders.push(sender);
                watched.follow(id, receiver);
            }
            watched
        }

        fn follow(&mut self, id: usize, receiver: watch::Receiver<u32>) {
            let polls = self.polls.clone();
            let change = async move {
                let mut change = pin!(next(receiver));
                let counted = std::future::poll_fn(|context| {
                    polls.set(polls.get() + 1);
                    change.as_mut().poll(context)
                });
                let receiver = counted.await;
                (
                    id,
                    receiver.map(|mut receiver| *receiver.borrow_and_update()),
                )
            };
            self.changes.add(change.boxed_local());
        }

        /// As the owner does: who has changed is followed further.
        fn take(&mut self) -> Vec<(usize, Option<u32>)> {
            let mut taken = self.changes.take();
            for (id, value) in &taken {
                if value.is_some() {
                    let mut receiver = self.senders[*id].subscribe();
                    receiver.mark_unchanged();
                    self.follow(*id, receiver);
                }
            }
            taken.sort_unstable();
            taken
        }
    }

    #[tokio::test]
    async fn each_change_is_found_once_and_the_latest_counts() {
        let mut watched = Watched::new(3);
        assert_eq!(watched.take(), []);
        for value in [1, 2] {
            watched.senders[1].send_replace(value);
        }
        watched.senders[2].send_replace(5);
        assert_eq!(watched.take(), [(1, Some(2)), (2, Some(5))]);
        assert_eq!(watched.take(), []);
        watched.senders[1].send_replace(3);
        assert_eq!(watched.take(), [(1, Some(3))]);
        watched.senders.clear();
        assert_eq!(watched.take(), [(0, None), (1, None), (2, None)]);
        assert_eq!(watched.take(), []);
    }

    #[tokio::test]
    async fn who_waits_for_a_change_is_woken_by_it_and_loses_none() {
        let mut watched = Watched::new(2);
        assert_eq!(watched.changes.happen().now_or_never(), None);
        watched.senders[1].send_replace(1);
        watched.changes.happen().await;
        // Nobody took it: it is still there.
        watched.changes.happen().await;
        watched.senders[0].send_replace(2);
        assert_eq!(watched.take(), [(0, Some(2)), (1, Some(1))]);
        assert_eq!(watched.changes.happen().now_or_never(), None);
        let late = async {
            tokio::task::yield_now().await;
            watched.senders[0].send_replace(3)
        };
        tokio::join!(watched.changes.happen(), late);
        assert_eq!(watched.take(), [(0, Some(3))]);
    }

    /// More than tokio lets one task do at a time.
    #[tokio::test]
    async fn a_thousand_changes_are_found_at_once() {
        let mut watched = Watched::new(1_000);
        assert_eq!(watched.take(), []);
        for sender in &watched.senders {
            sender.send_replace(1);
        }
        assert_eq!(watched.take().len(), 1_000);
    }

    #[tokio::test]
    async fn twice_as_many_sessions_cost_no_look_more() {
        let looks = |sessions| {
            let mut watched = Watched::new(sessions);
            watched.take();
            watched.polls.set(0);
            for value in 1..=20 {
                watched.senders[7].send_replace(value);
                assert_eq!(watched.take(), [(7, Some(value))]);
            }
            watched.polls.get()
        };
        assert_eq!(looks(1_000), looks(2_000));
    }
}
