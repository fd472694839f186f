//! The end that sends a table.

use std::io::{BufWriter, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::table::{Attributes, Table};
use super::wire::{Session, announcement, end_of_rib, receive};
use crate::netns::Namespace;
use crate::raw::{KEEPALIVE, UPDATE, message};
use crate::speaker::Family;

/// Between two KEEPALIVEs: a third of what the OPEN offers, and less.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(20);

/// A session that tables are sent on. Dropping it closes the connection without a word.
#[derive(Debug)]
pub struct Feeder {
    asn: u32,
    stream: TcpStream,
    writing: Arc<Mutex<()>>,
    closed: Arc<AtomicBool>,
    stop: Option<mpsc::Sender<()>>,
    threads: Vec<JoinHandle<()>>,
}

impl Feeder {
    /// Dials the subject's address from a namespace, as AS `asn`, and waits until the session is Established.
    ///
    /// # Errors
    /// It is not within 20 s.
    pub fn dial(namespace: &Namespace, subject: IpAddr, asn: u32, id: Ipv4Addr) -> Result<Self> {
        let Session { mut reader, writer } = Session::dial(namespace, subject, asn, id)?;
        let writing = Arc::new(Mutex::new(()));
        let closed = Arc::new(AtomicBool::new(false));
        let (stop, stopped) = mpsc::channel::<()>();
        let over = closed.clone();
        // What the subject says is read, so that it is never kept from saying it, and not looked at.
        let drain = std::thread::spawn(move || {
            while let Ok(Some(_)) = receive(&mut reader) {}
            over.store(true, Ordering::SeqCst);
        });
        let (lock, mut stream) = (writing.clone(), writer.try_clone()?);
        let alive = std::thread::spawn(move || {
            while stopped.recv_timeout(KEEPALIVE_EVERY) == Err(mpsc::RecvTimeoutError::Timeout) {
                let _whole = lock.lock().unwrap_or_else(PoisonError::into_inner);
                if stream.write_all(&message(KEEPALIVE, &[])).is_err() {
                    return;
                }
            }
        });
        Ok(Self {
            asn,
            stream: writer,
            writing,
            closed,
            stop: Some(stop),
            threads: vec![drain, alive],
        })
    }

    /// Sends a whole table with `next_hop`, then End-of-RIB. Returns when the last octet is in the kernel.
    ///
    /// # Errors
    /// The subject closed the connection.
    pub fn send(&self, table: &Table, next_hop: IpAddr) -> Result<()> {
        let mut out = BufWriter::with_capacity(1 << 16, &self.stream);
        for number in 0..table.blocks() {
            let attributes = Attributes::of_block(number, self.asn, next_hop);
            let body = announcement(&attributes, table.block(number));
            // One message at a time, so that a KEEPALIVE never gets into the middle of one.
            if out.buffer().len() + body.len() + 19 > out.capacity() {
                let _whole = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
                out.flush()?;
            }
            out.write_all(&message(UPDATE, &body))?;
        }
        for family in Family::ALL {
            out.write_all(&message(UPDATE, &end_of_rib(family)))?;
        }
        let _whole = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        out.flush()?;
        self.check()
    }

    /// Fails if the session is over.
    ///
    /// # Errors
    /// The subject closed the connection, or sent a NOTIFICATION.
    pub fn check(&self) -> Result<()> {
        ensure!(
            !self.closed.load(Ordering::SeqCst),
            "the subject ended the feed's session"
        );
        Ok(())
    }
}

impl Drop for Feeder {
    fn drop(&mut self) {
        drop(self.stop.take());
        let _ = self.stream.shutdown(Shutdown::Both);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
