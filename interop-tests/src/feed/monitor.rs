//! The end that hears what becomes of a table.

use std::collections::HashMap;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Shutdown, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use ipnet::IpNet;

use super::table::{Attributes, Table};
use super::wire::{Session, end_of_rib, receive, update};
use crate::netns::Namespace;
use crate::raw::{KEEPALIVE, UPDATE, message};
use crate::speaker::Family;

/// See the sender's.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(20);

/// What a monitor has heard.
#[derive(Debug, Default)]
pub struct Heard {
    /// The routes that stand: a digest of the attributes of each.
    pub routes: HashMap<IpNet, u64>,
    /// UPDATEs so far.
    pub updates: usize,
    /// When the last one came that changed [`Heard::routes`].
    pub last_change: Option<Instant>,
    /// Why nothing more comes.
    ended: Option<String>,
}

/// A session that only listens. Dropping it closes the connection without a word.
#[derive(Debug)]
pub struct Monitor {
    stream: TcpStream,
    heard: Arc<Mutex<Heard>>,
    stop: Option<mpsc::Sender<()>>,
    threads: Vec<JoinHandle<()>>,
}

impl Monitor {
    /// Dials the subject's address from a namespace, as AS `asn`, and waits until the session is Established.
    ///
    /// # Errors
    /// It is not within 20 s.
    pub fn dial(namespace: &Namespace, subject: IpAddr, asn: u32, id: Ipv4Addr) -> Result<Self> {
        let Session {
            mut reader,
            mut writer,
        } = Session::dial(namespace, subject, asn, id)?;
        for family in Family::ALL {
            writer.write_all(&message(UPDATE, &end_of_rib(family)))?;
        }
        let heard = Arc::new(Mutex::new(Heard::default()));
        let into = heard.clone();
        let listen = std::thread::spawn(move || {
            let ended = loop {
                match receive(&mut reader) {
                    Ok(Some(message)) if message.kind == UPDATE => {
                        if let Err(error) = take_in(&into, &message.body) {
                            break format!("{error:#}");
                        }
                    }
                    Ok(Some(_)) => {}
                    Ok(None) => break "the subject closed the connection".to_owned(),
                    Err(error) => break format!("{error:#}"),
                }
            };
            lock(&into).ended = Some(ended);
        });
        let (stop, stopped) = mpsc::channel::<()>();
        let mut stream = writer.try_clone()?;
        let alive = std::thread::spawn(move || {
            while stopped.recv_timeout(KEEPALIVE_EVERY) == Err(mpsc::RecvTimeoutError::Timeout) {
                if stream.write_all(&message(KEEPALIVE, &[])).is_err() {
                    return;
                }
            }
        });
        Ok(Self {
            stream: writer,
            heard,
            stop: Some(stop),
            threads: vec![listen, alive],
        })
    }

    /// What it has heard so far. The session waits while this is held.
    ///
    /// # Errors
    /// The session is over, or something came that could not be read.
    pub fn heard(&self) -> Result<MutexGuard<'_, Heard>> {
        let heard = lock(&self.heard);
        match &heard.ended {
            Some(reason) => Err(anyhow!("the monitor's session is over: {reason}")),
            None => Ok(heard),
        }
    }

    /// Succeeds if exactly the routes of `table` stand, each with what `expected` says of its block.
    ///
    /// # Errors
    /// As [`Monitor::heard`]; or a route is missing, too many, or has other attributes: the first one is named.
    pub fn check(&self, table: &Table, expected: impl Fn(usize) -> Attributes) -> Result<()> {
        let heard = self.heard()?;
        ensure!(
            heard.routes.len() == table.prefixes().len(),
            "{} routes stand, not {}",
            heard.routes.len(),
            table.prefixes().len()
        );
        for number in 0..table.blocks() {
            let wanted = expected(number);
            let digest = wanted.digest();
            for prefix in table.block(number) {
                match heard.routes.get(prefix) {
                    Some(&got) => ensure!(
                        got == digest,
                        "{prefix} does not carry {wanted:?} but something else"
                    ),
                    None => return Err(anyhow!("{prefix} is missing")),
                }
            }
        }
        Ok(())
    }
}

fn lock(heard: &Mutex<Heard>) -> MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}

fn take_in(heard: &Mutex<Heard>, body: &[u8]) -> Result<()> {
    let update = update(body)?;
    let mut heard = lock(heard);
    heard.updates += 1;
    let changes = !update.withdrawn.is_empty() || !update.announced.is_empty();
    for prefix in &update.withdrawn {
        heard.routes.remove(prefix);
    }
    if let Some(attributes) = update.attributes {
        let digest = attributes.digest();
        for prefix in update.announced {
            heard.routes.insert(prefix, digest);
        }
    }
    if changes {
        heard.last_change = Some(Instant::now());
    }
    Ok(())
}

impl Drop for Monitor {
    fn drop(&mut self) {
        drop(self.stop.take());
        let _ = self.stream.shutdown(Shutdown::Both);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
