//! A connection before it is Established: a few small messages each way, read and written by the peer's task itself.

use std::io;
use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::handle::Control;
use super::reader::{DRAIN, drain};
use crate::fsm::ConnectionId;
use crate::wire::Framer;

/// Room for an OPEN, the longest message of a handshake.
const READ: usize = 4096;

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
}

impl Handshake {
    pub(super) fn new(id: ConnectionId, stream: TcpStream, dialled: bool) -> io::Result<Self> {
        Ok(Self {
            id,
            local: stream.local_addr()?,
            remote: stream.peer_addr()?,
            buffer: BytesMut::new(),
            framer: Framer::new(),
            dialled,
            stream,
        })
    }

    /// Reads once, if there is anything. `false` is the end of the stream.
    pub(super) fn read(&mut self) -> io::Result<bool> {
        self.buffer.reserve(READ);
        match self.stream.try_read_buf(&mut self.buffer) {
            Ok(octets) => Ok(octets > 0),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
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
    pub(super) async fn close(mut self, last: Option<Bytes>) {
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
            // An error shows when reading.
            drop(connection.stream.readable().await);
            Some(connection.id)
        }
    }
}
