//! A listener for the HTTP ports that a stranger cannot exhaust.
//!
//! In a cluster the port is open on every address of the node. Without bounds, whoever reaches it could hold
//! connections until the process has no file descriptors left, and sessions of BGP would be refused for it. So there
//! are at most [`MOST`] connections, and one that is idle for [`IDLE`] is closed. When all are taken, a new one is
//! still accepted: the oldest one of the remote host that holds most is closed for it, so that a probe of the kubelet
//! is answered while somebody floods the port. A host has one address of IPv4, or all those of a /64.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, Sleep, sleep};

/// Connections at a time: a kubelet, a handful of Prometheus servers and a few people use a tenth.
const MOST: usize = 64;

/// How long a connection may carry nothing. A scraper that comes back later connects again.
const IDLE: Duration = Duration::from_secs(15);

/// After an accept that failed for want of file descriptors or memory: trying again at once would only spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts within the bounds above.
#[derive(Debug)]
pub(crate) struct Limited {
    listener: TcpListener,
    /// Oldest first. Those that are over are removed at the next accept.
    open: VecDeque<Entry>,
    most: usize,
    idle: Duration,
}

#[derive(Debug)]
struct Entry {
    host: IpAddr,
    eviction: Weak<Eviction>,
}

/// How the listener closes a connection that hyper holds.
#[derive(Debug, Default)]
struct Eviction {
    evicted: AtomicBool,
    waker: AtomicWaker,
}

impl Limited {
    /// Bounds the connections of `listener`.
    pub(crate) fn new(listener: TcpListener) -> Self {
        Self::with_limits(listener, MOST, IDLE)
    }

    fn with_limits(listener: TcpListener, most: usize, idle: Duration) -> Self {
        Self {
            listener,
            open: VecDeque::new(),
            most,
            idle,
        }
    }

    fn admit(&mut self, stream: TcpStream, remote: IpAddr) -> Connection {
        self.open.retain(|entry| entry.eviction.strong_count() > 0);
        while self.open.len() >= self.most {
            self.evict();
        }
        let eviction = Arc::new(Eviction::default());
        self.open.push_back(Entry {
            host: host(remote),
            eviction: Arc::downgrade(&eviction),
        });
        Connection {
            stream,
            eviction,
            idle: self.idle,
            deadline: Box::pin(sleep(self.idle)),
        }
    }

    /// Closes the oldest connection of the remote host that holds most of them.
    fn evict(&mut self) {
        let mut held: HashMap<IpAddr, usize> = HashMap::new();
        for entry in &self.open {
            *held.entry(entry.host).or_default() += 1;
        }
        let most = held.values().copied().max().unwrap_or(0);
        let oldest = self.open.iter().position(|entry| held[&entry.host] == most);
        let Some(entry) = oldest.and_then(|at| self.open.remove(at)) else {
            return;
        };
        if let Some(eviction) = entry.eviction.upgrade() {
            eviction.evicted.store(true, Ordering::Release);
            eviction.waker.wake();
        }
    }
}

/// Whose address it is: in IPv6, whoever has one of a /64 has all.
fn host(remote: IpAddr) -> IpAddr {
    match remote.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() & !u128::from(u64::MAX)).into()),
        v4 => v4,
    }
}

impl axum::serve::Listener for Limited {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, remote)) => return (self.admit(stream, remote.ip()), remote),
                Err(_) => sleep(ACCEPT_PAUSE).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// An accepted connection, until it is idle for too long or evicted.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    eviction: Arc<Eviction>,
    idle: Duration,
    deadline: Pin<Box<Sleep>>,
}

impl Connection {
    /// One operation on the stream: an error once the connection is evicted or idle, and a new deadline if octets
    /// moved.
    fn poll<T>(
        &mut self,
        context: &mut Context<'_>,
        operation: impl FnOnce(Pin<&mut TcpStream>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        self.eviction.waker.register(context.waker());
        if self.eviction.evicted.load(Ordering::Acquire) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        if let Poll::Ready(result) = operation(Pin::new(&mut self.stream), context) {
            self.deadline.as_mut().reset(Instant::now() + self.idle);
            return Poll::Ready(result);
        }
        ready!(self.deadline.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll(context, |stream, context| stream.poll_read(context, buffer))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll(context, |stream, context| {
            stream.poll_write(context, octets)
        })
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(context, |stream, context| stream.poll_flush(context))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(context, |stream, context| stream.poll_shutdown(context))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use axum::Router;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpSocket;

    use super::*;

    async fn served(most: usize, idle: Duration) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let limited = Limited::with_limits(listener, most, idle);
        let router = Router::new().route("/", get(|| async { "here" }));
        tokio::spawn(async move { axum::serve(limited, router).await });
        address
    }

    async fn connect(from: &str, to: SocketAddr) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket
            .bind(SocketAddr::new(from.parse().unwrap(), 0))
            .unwrap();
        socket.connect(to).await.unwrap()
    }

    async fn answers(mut stream: TcpStream) -> bool {
        let request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        let mut answer = String::new();
        stream.write_all(request).await.is_ok()
            && stream.read_to_string(&mut answer).await.is_ok()
            && answer.ends_with("here")
    }

    /// Whether the server closes the connection by itself.
    async fn is_closed(stream: &mut TcpStream) -> bool {
        matches!(stream.read(&mut [0; 16]).await, Ok(0) | Err(_))
    }

    #[tokio::test]
    async fn a_flood_from_one_address_closes_its_own_connections_and_nobody_elses() {
        let address = served(4, Duration::from_secs(600)).await;
        let patient = connect("127.0.0.2", address).await;
        let mut flood = Vec::new();
        for _ in 0..40 {
            flood.push(connect("127.0.0.3", address).await);
        }
        for stream in &mut flood[..30] {
            assert!(is_closed(stream).await, "one of the flood is still open");
        }
        assert!(
            answers(connect("127.0.0.4", address).await).await,
            "a newcomer"
        );
        assert!(answers(patient).await, "who was there before the flood");
    }

    #[test]
    fn a_host_has_one_address_of_ipv4_and_a_whole_64_of_ipv6() {
        let same = |a: &str, b: &str| host(a.parse().unwrap()) == host(b.parse().unwrap());
        assert!(same("2001:db8::1", "2001:db8::ffff:0:0:2"));
        assert!(!same("2001:db8::1", "2001:db8:0:1::1"));
        assert!(same("::ffff:192.0.2.1", "192.0.2.1"));
        assert!(!same("192.0.2.1", "192.0.2.2"));
    }

    #[tokio::test]
    async fn a_connection_without_a_request_is_closed() {
        let address = served(4, Duration::from_millis(50)).await;
        let mut silent = connect("127.0.0.1", address).await;
        let mut slow = connect("127.0.0.1", address).await;
        slow.write_all(b"GET / HT").await.unwrap();
        assert!(is_closed(&mut silent).await);
        assert!(is_closed(&mut slow).await);
    }
}
