//! Accepts the connections of one socket, judges each, and hands it to its peer or to the owner.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Weak;
use std::task::Poll;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::watch;
use tracing::{debug, info, warn};

use super::super::expected::{Incoming, Verdict};
use super::super::options;
use super::{Candidate, Shared};
use crate::os_error::OsError;
use crate::refusal::Refusal;

/// How long nothing is accepted because new peers wait for the owner. A running owner takes one within milliseconds.
pub(super) const HOLD: Duration = Duration::from_secs(1);

/// After an accept that failed, usually for want of file descriptors: trying again at once would only spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

pub(super) async fn accept(at: usize, shared: Weak<Shared>, mut started: watch::Receiver<bool>) {
    if started.wait_for(|started| *started).await.is_err() {
        return;
    }
    // Whether new peers are closed, because the owner has taken none for too long.
    let mut closes_newcomers = false;
    loop {
        let next = poll_fn(|context| {
            let Some(shared) = shared.upgrade() else {
                return Poll::Ready(None);
            };
            let mut expected = shared.lock();
            let accepted = expected.keys.socket(at).poll_accept(context);
            accepted.map(|result| {
                Some(result.map(|(stream, remote)| (expected.keys.accepted(at), stream, remote)))
            })
        });
        let (Some(accepted), Some(shared)) = (next.await, shared.upgrade()) else {
            return;
        };
        let (number, stream, remote) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                drop(shared);
                let error = OsError::from(error);
                warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(candidates) = shared.candidates.clone() else {
            return;
        };
        closes_newcomers &= candidates.capacity() == 0;
        let waits = shared.dispatch(at, number, stream, remote);
        drop(shared);
        match waits {
            None => {}
            Some(candidate) if closes_newcomers => candidate.refuse(Refusal::QueueFull),
            Some(candidate) => match tokio::time::timeout(HOLD, candidates.reserve()).await {
                Ok(Ok(permit)) => permit.send(candidate),
                // The owner is gone.
                Ok(Err(_)) => {}
                Err(_) => {
                    info!(
                        "new peers out of listen ranges wait for too long; further ones are closed, and come again"
                    );
                    closes_newcomers = true;
                    candidate.refuse(Refusal::QueueFull);
                }
            },
        }
    }
}

impl Shared {
    /// Passes a connection to its peer. Returns one that must wait.
    fn dispatch(
        &self,
        at: usize,
        number: u64,
        stream: TcpStream,
        remote: SocketAddr,
    ) -> Option<Candidate> {
        let known = stream
            .local_addr()
            .and_then(|local| Ok((local, options::saved_syn(&stream)?)));
        let (local, syn) = match known {
            Ok(known) => known,
            Err(error) => {
                let error = OsError::from(error);
                debug!(%remote, %error, "closed a connection of which the kernel says too little");
                return None;
            }
        };
        let incoming = Incoming {
            stream,
            remote,
            local,
            syn,
            at,
            number,
        };
        // Not under the lock: it may be the last to hold the peer, whose place then ends.
        let verdict = self.lock().judge(incoming);
        match verdict {
            Ok(Verdict::Peer(control, accepted)) => {
                control.accept(accepted);
                None
            }
            Ok(Verdict::Newcomer(accepted, range)) => {
                let candidate = Candidate {
                    accepted,
                    admissions: self.admissions.clone(),
                    remote,
                    local,
                    range,
                };
                match self.candidates.as_ref()?.try_send(candidate) {
                    Err(TrySendError::Full(candidate)) => Some(candidate),
                    // The owner is gone.
                    Ok(()) | Err(TrySendError::Closed(_)) => None,
                }
            }
            Err((stream, why)) => {
                self.admissions.refuse(stream, remote, why);
                None
            }
        }
    }
}
