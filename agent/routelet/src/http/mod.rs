//! The HTTP port: `/healthz`, `/readyz` and `/metrics`. Plain text, nothing that changes anything; no state but what
//! sums of counters need ([`Totals`]).

mod limited;

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bgp::os_error::OsError;
use routelet_base::printable;
use routelet_control::{Backend, ControlError, Health};
use tokio::net::TcpListener;

use crate::metrics::{self, PeerSeries, Process, Snapshot, Totals};

pub(crate) use limited::Limited;

/// How long the agent may take to say how it is. It takes milliseconds; a kubelet's probe waits a second by default.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why there is no HTTP port: the operator's configuration is at fault.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    /// Somebody else has the address.
    #[error(
        "another program listens on {address}: choose another address for health and metrics with --http ADDRESS, or --http off"
    )]
    InUse {
        /// The address.
        address: SocketAddr,
    },
    /// The kernel refuses for another reason.
    #[error(
        "health and metrics cannot be served on {address}: {source}; choose another address with --http ADDRESS, or --http off"
    )]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The kernel's answer.
        source: OsError,
    },
}

/// Listens.
///
/// # Errors
/// See [`HttpError`].
pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener, HttpError> {
    let bound = match TcpListener::bind(address).await {
        // All addresses, on a kernel without IPv6.
        Err(error) if address.ip() == Ipv6Addr::UNSPECIFIED && is_without_ipv6(&error) => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        bound => bound,
    };
    bound.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => HttpError::InUse { address },
        _ => HttpError::Bind {
            address,
            source: source.into(),
        },
    })
}

fn is_without_ipv6(error: &io::Error) -> bool {
    let without = [libc::EAFNOSUPPORT, libc::EADDRNOTAVAIL];
    error
        .raw_os_error()
        .is_some_and(|code| without.contains(&code))
}

/// Serves until the future is dropped. `series`: which peers have metrics of their own.
pub(crate) async fn serve<B: Backend>(
    listener: TcpListener,
    health: Arc<Health<B>>,
    series: PeerSeries,
) {
    // axum's accept loop retries by itself and has no error to return.
    let _ = axum::serve(Limited::new(listener), router(health, series)).await;
}

fn router<B: Backend>(health: Arc<Health<B>>, series: PeerSeries) -> Router {
    let totals = Arc::new(Mutex::new(Totals::default()));
    let metrics = move |health| metrics_page::<B>(health, totals.clone(), series);
    Router::new()
        .route("/", get(index))
        .route("/healthz", get(healthz::<B>))
        .route("/readyz", get(readyz::<B>))
        .route("/metrics", get(metrics))
        .with_state(health)
}

async fn index() -> &'static str {
    "routelet\n\n/healthz  whether the agent answers\n/readyz   whether the node should get traffic, and why not\n/metrics  for Prometheus\n"
}

/// Alive: the owner of the routes answers, and neither it, the writer of the kernel's routes nor the source hangs. What
/// is down around the agent is no reason to restart it.
async fn healthz<B: Backend>(State(health): State<Arc<Health<B>>>) -> Response {
    match within(health.backend().status()).await {
        Ok(status) if status.hanging.is_empty() => plain(StatusCode::OK, "ok\n"),
        Ok(status) => {
            let text = status.hanging.join("\n") + "\n";
            plain(StatusCode::SERVICE_UNAVAILABLE, text)
        }
        Err(unanswered) => unanswered,
    }
}

async fn readyz<B: Backend>(State(health): State<Arc<Health<B>>>) -> Response {
    let readiness = match within(health.status()).await {
        Ok(status) => status.readiness.unwrap_or_default(),
        Err(unanswered) => return unanswered,
    };
    if readiness.ready {
        return plain(StatusCode::OK, "ok\n");
    }
    let mut text = String::from("not ready\n");
    for reason in &readiness.reasons {
        text.push_str(&format!("- {}\n", printable::line(reason)));
    }
    plain(StatusCode::SERVICE_UNAVAILABLE, text)
}

async fn metrics_page<B: Backend>(
    State(health): State<Arc<Health<B>>>,
    totals: Arc<Mutex<Totals>>,
    series: PeerSeries,
) -> Response {
    let gather = async { Ok((health.status().await?, health.backend().peers().await?)) };
    match within(gather).await {
        Ok((status, peers)) => {
            let timings = health.backend().timings();
            let snapshot = {
                let mut totals = totals.lock().unwrap_or_else(PoisonError::into_inner);
                Snapshot::new(status, peers, timings, Process::this(), &mut totals, series)
            };
            let text = metrics::render(metrics::METRICS, snapshot);
            ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response()
        }
        Err(unanswered) => unanswered,
    }
}

async fn within<T>(answer: impl Future<Output = Result<T, ControlError>>) -> Result<T, Response> {
    let text = match tokio::time::timeout(PATIENCE, answer).await {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(error)) => format!("{}\n", printable::line(&error.to_string())),
        Err(_) => format!(
            "the agent has not answered for {} seconds\n",
            PATIENCE.as_secs()
        ),
    };
    Err(plain(StatusCode::SERVICE_UNAVAILABLE, text))
}

/// An answer of plain text.
pub(crate) fn plain(status: StatusCode, text: impl Into<String>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (status, headers, text.into()).into_response()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;
    use crate::contract::fake::Fake;

    struct Served {
        fake: Arc<Fake>,
        address: SocketAddr,
    }

    async fn served() -> Served {
        let fake = Arc::new(Fake::new());
        let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let health = Health::new(Arc::clone(&fake));
        tokio::spawn(serve(listener, health, PeerSeries::default()));
        Served { fake, address }
    }

    impl Served {
        /// The status code, the head and the body.
        async fn get(&self, path: &str) -> (u16, String, String) {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            let code = head.split(' ').nth(1).unwrap().parse().unwrap();
            (code, head.to_ascii_lowercase(), body.to_owned())
        }
    }

    #[tokio::test]
    async fn readiness_follows_the_peers_and_says_why_not() {
        let served = served().await;
        let (code, _, body) = served.get("/readyz").await;
        assert_eq!(code, 503);
        assert_eq!(
            body,
            "not ready\n- starting: 1 of 3 sessions are established; one is enough 60 s after convergence\n- tor-b is \
             Active (Connection refused), tor-d is Idle (the password is in Secret tor-d, and an agent on \
             manifests cannot read Secrets: use password.file)\n"
        );
        served.fake.edit(|s| s.status.peers.established = 4);
        assert_eq!(served.get("/readyz").await.0, 200);
        served.fake.edit(|s| s.status.peers.established = 1);
        assert_eq!(
            served.get("/readyz").await.0,
            200,
            "one peer suffices later"
        );
        served.fake.edit(|s| s.status.peers.established = 0);
        assert_eq!(served.get("/readyz").await.0, 503);
    }

    #[tokio::test]
    async fn health_is_not_readiness_but_needs_an_agent_that_answers() {
        let served = served().await;
        assert_eq!(served.get("/healthz").await.0, 200);
        served
            .fake
            .edit(|s| s.broken = Some(ControlError::Unavailable {}));
        for path in ["/healthz", "/readyz", "/metrics"] {
            let (code, _, body) = served.get(path).await;
            assert_eq!(code, 503, "{path}");
            assert!(body.contains("starting or stopping"), "{path}: {body}");
        }
    }

    #[tokio::test]
    async fn metrics_come_as_openmetrics() {
        let served = served().await;
        let (code, head, body) = served.get("/metrics").await;
        assert_eq!(code, 200);
        assert!(
            head.contains("content-type: application/openmetrics-text"),
            "{head}"
        );
        assert!(
            body.contains("routelet_peer_up{peer=\"tor-a\"} 1"),
            "{body}"
        );
        assert!(body.contains("\nprocess_resident_memory_bytes "), "{body}");
        assert!(body.contains("# EOF\n"), "{body}");
        assert_eq!(served.get("/nothing").await.0, 404);
    }

    #[tokio::test]
    async fn an_address_in_use_says_what_to_do() {
        let served = served().await;
        let error = bind(served.address).await.unwrap_err();
        assert!(matches!(error, HttpError::InUse { .. }));
        assert!(error.to_string().contains("--http off"), "{error}");
    }
}
