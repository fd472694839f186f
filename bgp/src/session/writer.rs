//! Writes what is in a session's outbox to its socket.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

use super::Outbox;
use super::handle::Control;
use super::outbox::{Closing, MAX_BUFFERS};
use super::stamp::Stamps;

/// How long the last words to a peer that does not read may take.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// One session's writer. Its end is the end of our half of the connection.
pub(super) struct Writer<W> {
    pub(super) socket: W,
    pub(super) outbox: Outbox,
    pub(super) stamps: Arc<Stamps>,
    pub(super) control: Arc<Control>,
}

impl<W: AsyncWrite + Unpin> Writer<W> {
    /// Until the outbox is closed or the socket fails. A failure is not reported from here: the reader sees it too,
    /// after it has read what the peer said before.
    pub(super) async fn run(mut self) {
        // Failed or not, nothing more is written.
        drop(self.write_all().await);
        drop(self.socket.shutdown().await);
    }

    async fn write_all(&mut self) -> io::Result<()> {
        let mut batch: VecDeque<Bytes> = VecDeque::new();
        let mut half_written = false;
        let mut last_words: Option<Instant> = None;
        loop {
            let closing = self
                .outbox
                .take(&mut batch, half_written, &self.control.counters);
            match closing {
                Some(Closing::Now) => return Ok(()),
                Some(Closing::AfterUrgent) if batch.is_empty() => return Ok(()),
                Some(Closing::AfterUrgent) => {
                    last_words.get_or_insert_with(|| Instant::now() + LAST_WORDS);
                }
                None if batch.is_empty() => {
                    self.stamps.set_progressed();
                    self.outbox.filled().await;
                    continue;
                }
                None => {}
            }
            let written = match last_words {
                Some(until) => timeout_at(until, write(&mut self.socket, &batch)).await??,
                None => tokio::select! {
                    biased;
                    written = write(&mut self.socket, &batch) => written?,
                    // Something urgent, or the end: look again, with nothing written.
                    () = self.outbox.filled() => continue,
                },
            };
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            half_written = advance(&mut batch, written, half_written);
            self.outbox.wrote(written);
            self.control.counters.wrote(written);
            self.stamps.set_progressed();
        }
    }
}

/// Hands the front of the batch to the socket. Cancelled before it is ready, nothing is written.
async fn write<W: AsyncWrite + Unpin>(
    socket: &mut W,
    batch: &VecDeque<Bytes>,
) -> io::Result<usize> {
    let mut slices = [IoSlice::new(&[]); MAX_BUFFERS];
    let mut used = 0;
    for (slice, message) in slices.iter_mut().zip(batch) {
        *slice = IoSlice::new(message);
        used += 1;
    }
    socket.write_vectored(&slices[..used]).await
}

/// Takes what was written off the batch. Whether its first message is now half written.
fn advance(batch: &mut VecDeque<Bytes>, mut written: usize, mut half_written: bool) -> bool {
    while let Some(front) = batch.front_mut()
        && written > 0
    {
        if written < front.len() {
            front.advance(written);
            return true;
        }
        written -= front.len();
        batch.pop_front();
        half_written = false;
    }
    half_written
}
