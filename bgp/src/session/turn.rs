//! How much of one peer's stream may wait for the owner, so that news of the others does not wait behind it.
//!
//! The owner processes events of all sessions in the order of arrival. A peer that sends a whole table would fill the
//! channel, and one route of another would wait for all of that. A session has few [`Turns`] instead: it gives one away
//! with each batch of UPDATEs, and gets it back when the owner has dealt with the batch.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Batches of one session that wait or are dealt with. While the owner advertises what one said, the others come in, so that
/// states which the next one overtakes are advertised to nobody.
const TURNS: usize = 4;

/// What a session may still give to the owner.
#[derive(Clone, Debug)]
pub(super) struct Turns(Arc<Semaphore>);

/// Goes back to the session when it is dropped. Keep it until the event is dealt with.
#[derive(Debug)]
pub struct Turn {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Turn {
    /// Of a session whose batches are not counted: for tests of owners.
    pub const fn none() -> Self {
        Self { _permit: None }
    }
}

impl Turns {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(TURNS)))
    }

    /// A turn, if there is one now.
    pub(super) fn try_take(&self) -> Option<Turn> {
        let permit = Arc::clone(&self.0).try_acquire_owned().ok()?;
        Some(Turn {
            _permit: Some(permit),
        })
    }

    /// Waits for a turn.
    pub(super) async fn take(self) -> Turn {
        // Never closed, so that there is always one in the end.
        let permit = self.0.acquire_owned().await.ok();
        Turn { _permit: permit }
    }
}
