//! A pod's web server, which tells who asks, and the client's requests.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use interop_tests::Namespace;

/// How long a request may take before it counts as lost.
const PATIENCE: Duration = Duration::from_secs(1);

/// Pause between the requests of a stream.
const PACE: Duration = Duration::from_millis(20);

/// Serves port 8080 of a pod on both families until this program ends. The answer names the pod and the source address
/// that it saw.
pub(crate) fn serve(pod: &Namespace) -> Result<()> {
    let listener = pod
        .enter(|| TcpListener::bind(("::", 8080)))?
        .context("a pod's web server")?;
    let name = pod.label().to_owned();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A client that went away is not the server's trouble.
            let _ = answer(stream, &name);
        }
    });
    Ok(())
}

fn answer(mut stream: TcpStream, pod: &str) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut request = [0; 1024];
    let _ = stream.read(&mut request)?;
    let source = stream.peer_addr()?.ip().to_canonical();
    let body = format!("{pod} {source}\n");
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// What a pod answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Which pod.
    pub(crate) pod: String,
    /// Whom the pod saw.
    pub(crate) source: IpAddr,
}

/// One request from a namespace to an address.
pub(crate) fn request(client: &Namespace, to: IpAddr, port: u16) -> Result<Answer> {
    client.enter(|| -> Result<Answer> {
        let address = SocketAddr::new(to, port);
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)
            .with_context(|| format!("connecting to {address}"))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(
            stream,
            "GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n"
        )?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let body = text
            .rsplit_once("\r\n\r\n")
            .map(|(_, body)| body)
            .unwrap_or_default();
        match body.trim().split_once(' ') {
            Some((pod, source)) => Ok(Answer {
                pod: pod.to_owned(),
                source: source.parse().context("the source address in the answer")?,
            }),
            None => bail!("{address} answered \"{text}\""),
        }
    })?
}

/// A stream of requests, one every few milliseconds, until it is stopped.
pub(crate) struct Stream {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Tally>,
}

/// What became of a stream.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    /// Requests that were answered.
    pub(crate) answered: u32,
    /// Requests that were not.
    pub(crate) lost: u32,
    /// The longest time between two answers.
    pub(crate) longest_gap: Duration,
}

impl Stream {
    /// Starts a stream.
    pub(crate) fn start(client: &Namespace, to: IpAddr, port: u16) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, client) = (stop.clone(), client.clone());
        let thread = std::thread::spawn(move || {
            let mut tally = Tally::default();
            let mut last = Instant::now();
            while !stopped.load(Ordering::Relaxed) {
                match request(&client, to, port) {
                    Ok(_) => {
                        tally.answered += 1;
                        tally.longest_gap = tally.longest_gap.max(last.elapsed());
                        last = Instant::now();
                    }
                    Err(_) => tally.lost += 1,
                }
                sleep(PACE);
            }
            tally
        });
        Self { stop, thread }
    }

    /// Ends it and tells what became of it.
    pub(crate) fn stop(self) -> Result<Tally> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread
            .join()
            .map_err(|_| anyhow::anyhow!("the stream of requests panicked"))
    }
}
