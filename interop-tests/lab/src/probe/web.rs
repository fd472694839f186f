//! HTTP between namespaces: a server that returns the source address of each client, and requests to it.
//!
//! Both are threads of the test with sockets made inside the namespaces, so that no program is needed there.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::netns::Namespace;

/// Longer than any answer inside one machine takes.
const PATIENCE: Duration = Duration::from_secs(2);

/// The answer of the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The name of the server that answered.
    pub server: String,
    /// The client's address as the server saw it.
    pub source: IpAddr,
    /// The address that the client's packets were for when they arrived.
    pub destination: IpAddr,
}

/// A server in a namespace, on every address of both families.
#[derive(Debug)]
pub struct WebServer {
    address: SocketAddr,
    namespace: Namespace,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl WebServer {
    /// Starts a server that calls itself by the label of its namespace.
    ///
    /// # Errors
    /// The port is taken.
    pub fn start(namespace: &Namespace, port: u16) -> Result<Self> {
        // Linux gives IPv4 connections to a socket on `::` too.
        let address = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
        let listener = namespace
            .enter(|| TcpListener::bind(address))?
            .with_context(|| format!("port {port} in {}", namespace.label()))?;
        let stop = Arc::new(AtomicBool::new(false));
        let (asked, name) = (Arc::clone(&stop), namespace.label().to_owned());
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if asked.load(Ordering::Acquire) {
                    return;
                }
                // A client that goes away is its own matter.
                let _ = stream.map_err(Into::into).and_then(|s| serve(s, &name));
            }
        });
        Ok(Self {
            address,
            namespace: namespace.clone(),
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for WebServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // The listener waits for a connection: this one ends it.
        let target = SocketAddr::from((Ipv6Addr::LOCALHOST, self.address.port()));
        let woken = self
            .namespace
            .enter(|| TcpStream::connect_timeout(&target, PATIENCE).is_ok());
        if matches!(woken, Ok(true))
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}

fn serve(mut stream: TcpStream, name: &str) -> Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let answer = Answer {
        server: name.to_owned(),
        source: stream.peer_addr()?.ip().to_canonical(),
        destination: stream.local_addr()?.ip().to_canonical(),
    };
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    let body = serde_json::to_string(&answer)?;
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )?;
    Ok(())
}

/// Asks the server at an address, on a connection of its own: with flows spread by port, each may take another path.
///
/// # Errors
/// No connection or no answer within two seconds, or another answer than a [`WebServer`]'s.
pub fn get(namespace: &Namespace, address: &str, port: u16) -> Result<Answer> {
    let ip: IpAddr = address.parse().context("an address to ask")?;
    let target = SocketAddr::from((ip, port));
    let connected = namespace.enter(|| TcpStream::connect_timeout(&target, PATIENCE))?;
    let mut stream = connected.with_context(|| format!("{target} from {}", namespace.label()))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n"
    )?;
    let mut text = String::new();
    stream
        .read_to_string(&mut text)
        .with_context(|| format!("answer of {target}"))?;
    match text.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200") => {
            serde_json::from_str(body).with_context(|| format!("answer of {target}: {body}"))
        }
        _ => bail!("{target} answers: {text}"),
    }
}
