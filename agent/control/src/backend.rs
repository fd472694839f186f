//! What the running agent implements so that the control server, the HTTP port and the commands can show it.

use std::future::Future;

use ipnet::IpNet;
use routelet_base::timing::Timings;
use tokio::sync::mpsc;

use super::model::{
    DrainOrder, ExplainPrefix, ExplainService, FibEntry, FibQuery, Peer, ResetKind, Route,
    RouteQuery, Status,
};
use super::protocol::ControlError;

/// The running agent, as seen from outside. Implementations write `async fn`s.
///
/// No call may hold the RIB's thread for more than a few milliseconds: large tables are handed over in batches.
pub trait Backend: Send + Sync + 'static {
    /// The agent as a whole. Cheap: it is asked for by every probe and scrape.
    fn status(&self) -> impl Future<Output = Result<Status, ControlError>> + Send;

    /// How long steps took that others wait for.
    fn timings(&self) -> Timings;

    /// Every peer, in the order of their names.
    fn peers(&self) -> impl Future<Output = Result<Vec<Peer>, ControlError>> + Send;

    /// Hands over the routes that the query asks for, in the order of prefixes (IPv4 first), the best path of a prefix
    /// first.
    ///
    /// # Errors
    /// [`ControlError::UnknownPeer`] if the query names a peer that does not exist.
    fn routes(
        &self,
        query: RouteQuery,
        out: Batches<Route>,
    ) -> impl Future<Output = Result<(), ControlError>> + Send;

    /// Hands over the entries of the forwarding table that the query asks for, in the order of prefixes (IPv4 first).
    fn fib(
        &self,
        query: FibQuery,
        out: Batches<FibEntry>,
    ) -> impl Future<Output = Result<(), ControlError>> + Send;

    /// Explains a prefix. An unknown one is answered by the longest that covers it, or by an answer without paths.
    fn explain_prefix(
        &self,
        prefix: IpNet,
    ) -> impl Future<Output = Result<ExplainPrefix, ControlError>> + Send;

    /// Explains a Service.
    ///
    /// # Errors
    /// [`ControlError::UnknownService`] if there is none of this name.
    fn explain_service(
        &self,
        namespace: String,
        name: String,
    ) -> impl Future<Output = Result<ExplainService, ControlError>> + Send;

    /// Drains the node (peers are asked to move traffic away, RFC 8326), starts leaving, or undoes either. Lasts as
    /// long as the process.
    fn drain(&self, order: DrainOrder) -> impl Future<Output = Result<(), ControlError>> + Send;

    /// Resets a peer.
    ///
    /// # Errors
    /// [`ControlError::UnknownPeer`] if there is none of this name.
    fn reset_peer(
        &self,
        peer: String,
        kind: ResetKind,
    ) -> impl Future<Output = Result<(), ControlError>> + Send;
}

/// Nobody reads the batches any more: the client has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

/// Where a backend puts a large table, piece by piece. Sending waits while the client is slow, so that the table is
/// never held twice.
#[derive(Debug)]
pub struct Batches<T> {
    sender: mpsc::Sender<Vec<T>>,
}

impl<T> Batches<T> {
    /// A good size for a batch: some 100 KiB of JSON.
    pub const SIZE: usize = 256;

    /// A sink and its other end.
    ///
    /// Capacity 4: enough that producing and writing overlap. When full, the producer waits.
    pub fn channel() -> (Self, mpsc::Receiver<Vec<T>>) {
        let (sender, receiver) = mpsc::channel(4);
        (Self { sender }, receiver)
    }

    /// Hands over a batch of any size, in order.
    ///
    /// # Errors
    /// [`Closed`] if the client has gone; the backend then stops and returns `Ok`.
    pub async fn send(&self, batch: Vec<T>) -> Result<(), Closed> {
        if batch.is_empty() {
            return Ok(());
        }
        self.sender.send(batch).await.map_err(|_| Closed)
    }
}
