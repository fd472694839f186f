//! A load balancer in front of a server, which can stop forwarding silently: its connections stay open, and its kernel
//! acknowledges what is sent.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};

use crate::netns::Namespace;

/// The relay. Dropping it closes its connections; its threads end with them.
#[derive(Debug)]
pub struct Relay {
    frozen: Arc<AtomicU64>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Relay {
    /// Starts a relay from an address of a namespace to another one that is reached from there.
    ///
    /// # Errors
    /// The address cannot be bound there.
    pub fn start(namespace: &Namespace, at: SocketAddr, to: SocketAddr) -> Result<Self> {
        let listener = namespace
            .enter(|| TcpListener::bind(at))?
            .with_context(|| format!("address {at}"))?;
        let relay = Self {
            frozen: Arc::default(),
            open: Arc::default(),
        };
        let (frozen, open) = (relay.frozen.clone(), relay.open.clone());
        let namespace = namespace.clone();
        std::thread::spawn(move || {
            for (number, client) in (1..).zip(listener.incoming()) {
                let server = namespace.enter(|| TcpStream::connect(to));
                let (Ok(client), Ok(Ok(server))) = (client, server) else {
                    continue;
                };
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) else {
                        continue;
                    };
                    let frozen = frozen.clone();
                    std::thread::spawn(move || forward(from, to, number, &frozen));
                }
                let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
                open.extend([client, server]);
            }
        });
        Ok(relay)
    }

    /// How many connections there have been.
    pub fn connections(&self) -> u64 {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.len() as u64 / 2
    }

    /// Forwards nothing any more on the connections that there are. New ones work.
    pub fn freeze(&self) {
        self.frozen.store(self.connections(), Ordering::Release);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        for stream in open.iter() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// Copies what comes from one to the other, on the connection of a number.
fn forward(mut from: TcpStream, mut to: TcpStream, number: u64, frozen: &AtomicU64) {
    let mut octets = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut octets) {
        if number > frozen.load(Ordering::Acquire) && to.write_all(&octets[..count]).is_err() {
            break;
        }
    }
    if number > frozen.load(Ordering::Acquire) {
        let _ = to.shutdown(Shutdown::Both);
    }
}
