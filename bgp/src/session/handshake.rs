//! A connection before it is Established: a few small messages each way, read and written by the peer's task itself.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

use super::admission::Accepted;
use super::handle::Control;
use super::pace::Waiting;
use super::reader::{DRAIN, drain};
use crate::fsm::ConnectionId;
use crate::wire::Framer;

/// Space for an OPEN, the longest message of a handshake.
const READ: usize = 4096;

/// How long an accepted connection may be without an OPEN. A connection that we dialled may take as long as the hold timer of
/// OpenSent.
/// DEVIATION(RFC 4271 8.2.2): that suggests 4 minutes; an accepted connection has a place that others wait for.
const OPEN_WAIT: Duration = Duration::from_secs(30);

/// One connection in OpenSent or OpenConfirm.
#[derive(Debug)]
pub(super) struct Handshake {
    pub(super) id: ConnectionId,
    pub(super) stream: TcpStream,
    pub(super) buffer: BytesMut,
    pub(super) framer: Framer,
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    pub(super) dialled: bool,
    /// Of an accepted connection, until its OPEN is received.
    pub(super) waiting: Option<Waiting>,
    /// When [`OPEN_WAIT`] is over.
    open_due: Instant,
}

impl Handshake {
    pub(super) fn dialled(id: ConnectionId, stream: TcpStream) -> io::Result<Self> {
        Self::new(id, stream, true, None)
    }

    pub(super) fn accepted(id: ConnectionId, accepted: Accepted) -> io::Result<Self> {
        Self::new(id, accepted.stream, false, Some(accepted.waiting))
    }

    fn new(
        id: ConnectionId,
        stream: TcpStream,
        dialled: bool,
        waiting: Option<Waiting>,
    ) -> io::Result<Self> {
        Ok(Self {
            id,
            local: stream.local_addr()?,
            remote: stream.peer_addr()?,
            buffer: BytesMut::new(),
            framer: Framer::new(),
            dialled,
            waiting,
            open_due: Instant::now() + OPEN_WAIT,
            stream,
        })
    }

    pub(super) fn count_accepted(&self) {
        if let Some(waiting) = &self.waiting {
            waiting.admissions().count_accepted();
        }
    }

    /// Whether it is an accepted connection whose OPEN was not received in time.
    fn is_overdue(&self) -> bool {
        self.waiting.is_some() && Instant::now() >= self.open_due
    }

    /// Reads once, if there is anything. `false` is the end of the stream, or of our patience.
    pub(super) fn read(&mut self) -> io::Result<bool> {
        self.buffer.reserve(READ);
        match self.stream.try_read_buf(&mut self.buffer) {
            Ok(octets) => Ok(octets > 0 && !self.is_overdue()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(!self.is_overdue()),
            Err(error) => Err(error),
        }
    }

    /// Sends a message. The socket buffer is as good as empty during a handshake: what it does not take whole is lost,
    /// and the connection with it.
    pub(super) fn send(&self, message: &Bytes, control: &Control) -> io::Result<()> {
        let written = self.stream.try_write(message)?;
        if written < message.len() {
            return Err(io::ErrorKind::WriteZero.into());
        }
        control.counters.sent(message);
        control.counters.wrote(written);
        Ok(())
    }

    /// Sends the last word if there is one, and closes so that the peer can read it.
    pub(super) async fn close(mut self, last: Option<Bytes>, control: Arc<Control>) {
        self.waiting = None;
        let Ok(_place) = control.farewells.try_acquire() else {
            // As far as the socket buffer takes it, which is as good as empty.
            drop(last.map(|message| self.stream.try_write(&message)));
            return;
        };
        let words = async {
            if let Some(message) = last {
                self.stream.write_all(&message).await?;
            }
            self.stream.shutdown().await?;
            drain(&mut self.stream, &mut self.buffer).await;
            io::Result::Ok(())
        };
        // The connection is closed either way.
        drop(timeout(DRAIN, words).await);
    }
}

/// Until the connection has something to read; for ever if there is none.
pub(super) async fn readable(connection: Option<&Handshake>) -> Option<ConnectionId> {
    match connection {
        None => std::future::pending().await,
        Some(connection) => {
            let due = async {
                match connection.waiting {
                    Some(_) => sleep_until(connection.open_due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // An error shows when reading.
                _ = connection.stream.readable() => {}
                () = due => {}
            }
            Some(connection.id)
        }
    }
}
