//! Answers requests on the control socket from a [`Backend`].

use std::sync::Arc;
use std::time::Duration;

use bgp::os_error::OsError;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, BufWriter};
use tokio::net::UnixStream;
use tokio::sync::Semaphore;
use tracing::{debug, warn};

use super::backend::{Backend, Batches};
use super::model::Peer;
use super::protocol::{Command, ControlError, MAX_REQUEST, Reply, Request, VERSION};
use super::readiness::Health;
use super::socket::ControlSocket;

/// Connections served at a time; further ones wait in the kernel's queue. More than a person and their scripts open,
/// and few enough that dumps of full tables do not add up.
const MAX_CONNECTIONS: usize = 16;

/// How long a client may take to say what it wants.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// How long to wait before accepting again after the kernel refused to (out of file descriptors).
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Serves until the future is dropped. A client's fault ends its connection, nothing else.
pub async fn serve<B: Backend>(socket: ControlSocket, health: Arc<Health<B>>) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        // The semaphore is never closed.
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
            return;
        };
        let stream = match socket.listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                let error = OsError::from(error);
                warn!(%error, "the control socket cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let health = Arc::clone(&health);
        tokio::spawn(async move {
            if let Err(error) = connection(stream, &health).await {
                // Commands are interrupted all the time (`| head`): nobody needs to know.
                debug!(%error, "control connection ended early");
            }
            drop(slot);
        });
    }
}

type Writer = BufWriter<tokio::net::unix::OwnedWriteHalf>;

async fn connection<B: Backend>(stream: UnixStream, health: &Health<B>) -> std::io::Result<()> {
    let (read, write) = stream.into_split();
    let mut out = BufWriter::with_capacity(64 * 1024, write);
    let hello = Reply::Hello {
        version: VERSION,
        agent: env!("CARGO_PKG_VERSION").to_owned(),
    };
    put(&mut out, &hello).await?;
    let mut line = Vec::new();
    let mut read = BufReader::new(read.take(MAX_REQUEST));
    let request =
        match tokio::time::timeout(REQUEST_TIMEOUT, read.read_until(b'\n', &mut line)).await {
            Ok(result) => {
                result?;
                parse(&line)
            }
            Err(_) => Err(ControlError::BadRequest {
                reason: format!("no request within {} seconds", REQUEST_TIMEOUT.as_secs()),
            }),
        };
    let last = match request {
        Ok(command) => match answer(command, health, &mut out).await? {
            Ok(()) => Reply::End {},
            Err(error) => Reply::Error(error),
        },
        Err(error) => Reply::Error(error),
    };
    put(&mut out, &last).await?;
    out.flush().await
}

fn parse(line: &[u8]) -> Result<Command, ControlError> {
    /// The version alone, so that a request of another version is not called malformed.
    #[derive(serde::Deserialize)]
    struct Version {
        version: u32,
    }
    let bad = |reason: String| ControlError::BadRequest { reason };
    if line.last() != Some(&b'\n') {
        return Err(bad(format!(
            "expected one line of JSON of at most {MAX_REQUEST} bytes"
        )));
    }
    let Version { version } = serde_json::from_slice(line).map_err(|e| bad(e.to_string()))?;
    if version != VERSION {
        return Err(ControlError::UnsupportedVersion {
            asked: version,
            supported: VERSION,
        });
    }
    serde_json::from_slice::<Request>(line)
        .map(|request| request.command)
        .map_err(|e| bad(e.to_string()))
}

/// Writes the answer but for its last line. The outer error is the connection's, the inner one the agent's.
async fn answer<B: Backend>(
    command: Command,
    health: &Health<B>,
    out: &mut Writer,
) -> std::io::Result<Result<(), ControlError>> {
    let backend = health.backend();
    let reply = match command {
        Command::Status => health
            .status()
            .await
            .map(|s| Some(Reply::Status(Box::new(s)))),
        Command::Peers { name } => backend
            .peers()
            .await
            .and_then(|peers| choose(peers, name.as_deref()))
            .map(|peers| Some(Reply::Peers(peers))),
        Command::Routes { query } => {
            return stream(out, Reply::Routes, |batches| backend.routes(query, batches)).await;
        }
        Command::Fib { query } => {
            return stream(out, Reply::Fib, |batches| backend.fib(query, batches)).await;
        }
        Command::ExplainPrefix { prefix } => backend
            .explain_prefix(prefix.trunc())
            .await
            .map(|e| Some(Reply::ExplainPrefix(Box::new(e)))),
        Command::ExplainService { namespace, name } => backend
            .explain_service(namespace, name)
            .await
            .map(|e| Some(Reply::ExplainService(Box::new(e)))),
        Command::Drain { order } => backend.drain(order).await.map(|()| None),
        Command::ResetPeer { peer, kind } => backend.reset_peer(peer, kind).await.map(|()| None),
    };
    match reply {
        Ok(Some(reply)) => put(out, &reply).await.map(Ok),
        Ok(None) => Ok(Ok(())),
        Err(error) => Ok(Err(error)),
    }
}

fn choose(peers: Vec<Peer>, name: Option<&str>) -> Result<Vec<Peer>, ControlError> {
    let Some(name) = name else { return Ok(peers) };
    match peers.iter().position(|peer| peer.name == name) {
        Some(at) => Ok(peers.into_iter().skip(at).take(1).collect()),
        None => Err(ControlError::UnknownPeer {
            name: name.to_owned(),
            known: peers.into_iter().map(|peer| peer.name).collect(),
        }),
    }
}

/// Lets the backend produce and writes what comes, both at once. A client that goes away drops the receiver, by which
/// the backend notices.
async fn stream<T, F>(
    out: &mut Writer,
    wrap: fn(Vec<T>) -> Reply,
    produce: impl FnOnce(Batches<T>) -> F,
) -> std::io::Result<Result<(), ControlError>>
where
    F: Future<Output = Result<(), ControlError>>,
{
    let (batches, mut receiver) = Batches::channel();
    let write = async {
        while let Some(batch) = receiver.recv().await {
            if let Err(error) = put(out, &wrap(batch)).await {
                drop(receiver);
                return Err(error);
            }
        }
        Ok(())
    };
    let (written, produced) = tokio::join!(write, produce(batches));
    written.map(|()| produced)
}

async fn put(out: &mut Writer, reply: &Reply) -> std::io::Result<()> {
    // The model has no map with keys other than strings and no fallible serialiser.
    let mut line = serde_json::to_vec(reply).map_err(std::io::Error::other)?;
    line.push(b'\n');
    out.write_all(&line).await
}
