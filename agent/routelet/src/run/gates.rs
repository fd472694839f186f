//! Conditions before routes are advertised: the source of cluster state, and for Services kube-proxy where it runs.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bgp::os_error::OsError;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tracing::{info, warn};

use routelet_control::model::{Gate, GateName};
use routelet_core::lifecycle::{
    KUBE_PROXY_ABSENT, KubeProxyAnswer as Answer, KubeProxyGate, KubeProxyVerdict as Verdict,
};

/// The gate of the source of cluster state.
pub(crate) const SOURCE: GateName = GateName::Source;

/// The gate of kube-proxy.
pub(crate) const KUBE_PROXY: GateName = GateName::KubeProxy;

/// The gate of the node's AS, where its Router takes it from the Node.
pub(crate) const ASN: GateName = GateName::AsNumber;

/// The gate of another agent that writes the kernel's routes.
pub(crate) const KERNEL: GateName = GateName::KernelRoutes;

/// Where kube-proxy says whether it is healthy, unless configured otherwise (`--healthz-bind-address`).
const KUBE_PROXY_PORT: u16 = 10256;

/// How often kube-proxy is asked.
const ASK: Duration = Duration::from_millis(500);

/// How long kube-proxy may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// How a question fails that a program has which is too busy to answer.
const SILENT: [ErrorKind; 2] = [ErrorKind::TimedOut, ErrorKind::ConnectionReset];

/// Octets of an answer that are read to find its status.
const MAX_STATUS_LINE: u64 = 1024;

/// How kube-proxy is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KubeProxy {
    /// Not at all.
    Off,
    /// At its usual address, if anybody listens there within a minute.
    Auto,
    /// At this address, for as long as it takes.
    At(SocketAddr),
}

/// The gates as they are now, to be looked at by everybody.
#[derive(Debug, Default)]
pub(crate) struct Gates(ArcSwap<Vec<Gate>>);

impl Gates {
    /// Puts a gate behind those that there are, or in the place of the one of its name.
    pub(crate) fn set(&self, name: GateName, open: bool, message: impl Into<String>) {
        let gate = Gate {
            name,
            open,
            message: message.into(),
        };
        self.0.rcu(|gates| {
            let mut gates = Vec::clone(gates);
            match gates.iter_mut().find(|known| known.name == name) {
                Some(known) => *known = gate.clone(),
                None => gates.push(gate.clone()),
            }
            gates
        });
    }

    /// All of them, in order.
    pub(crate) fn list(&self) -> Vec<Gate> {
        self.0.load().as_ref().clone()
    }
}

/// Waits until kube-proxy is healthy: an address that is advertised before attracts traffic that the node drops.
pub(crate) async fn kube_proxy(wanted: KubeProxy, gates: Arc<Gates>) {
    let address = match wanted {
        KubeProxy::Off => return,
        KubeProxy::Auto => SocketAddr::from(([127, 0, 0, 1], KUBE_PROXY_PORT)),
        KubeProxy::At(address) => address,
    };
    let mut gate = KubeProxyGate::new(Instant::now(), wanted == KubeProxy::Auto);
    let mut said = None;
    loop {
        let answer = health(address).await;
        let outcome = match &answer {
            Ok((_, status)) => Answer::Status(*status),
            Err(error) if SILENT.contains(&error.kind()) => Answer::Silent,
            Err(_) => Answer::NoKubeProxy,
        };
        match gate.answered(Instant::now(), outcome) {
            Verdict::Healthy => {
                info!(%address, "kube-proxy is healthy");
                gates.set(KUBE_PROXY, true, "kube-proxy is healthy");
                return;
            }
            Verdict::Absent => {
                let absent = format!("no kube-proxy has answered on {address}");
                info!("{absent} for {} s", KUBE_PROXY_ABSENT.as_secs());
                gates.set(KUBE_PROXY, true, absent);
                return;
            }
            Verdict::Wait => {}
        }
        let message = match answer {
            Ok((path, status)) => format!("http://{address}{path} answers {status}"),
            Err(error) => {
                let error = OsError::from(error);
                format!("http://{address} does not answer: {error}")
            }
        };
        if said.as_ref() != Some(&message) {
            warn!("waiting for kube-proxy before Services are advertised: {message}");
            gates.set(KUBE_PROXY, false, message.clone());
            said = Some(message);
        }
        tokio::time::sleep(ASK).await;
    }
}

/// What kube-proxy says of itself, and where. Its `/healthz` says no also while its node is being deleted (KEP-3836),
/// when its rules work as before; `/livez` speaks of the rules alone, and versions before 1.28 do not have it.
async fn health(address: SocketAddr) -> std::io::Result<(&'static str, u16)> {
    match ask(address, "/livez").await? {
        404 => Ok(("/healthz", ask(address, "/healthz").await?)),
        status => Ok(("/livez", status)),
    }
}

/// The status of `GET path`.
async fn ask(address: SocketAddr, path: &str) -> std::io::Result<u16> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut line = String::new();
        let answer = stream.take(MAX_STATUS_LINE);
        BufReader::new(answer).read_line(&mut line).await?;
        let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
        status.ok_or_else(|| std::io::Error::other(format!("no HTTP: {:?}", line.trim_end())))
    };
    tokio::time::timeout(PATIENCE, exchange)
        .await
        .unwrap_or_else(|_| {
            Err(std::io::Error::new(
                ErrorKind::TimedOut,
                "no answer in time",
            ))
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn the_gate_opens_when_kube_proxy_says_200_and_not_before() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let gates = Arc::new(Gates::default());
        let waiting = tokio::spawn(kube_proxy(KubeProxy::At(address), Arc::clone(&gates)));
        // One that knows /livez, and one that does not.
        for (path, status) in [
            ("/livez", "503 Service Unavailable"),
            ("/livez", "404 Not Found"),
            ("/healthz", "503 Service Unavailable"),
            ("/livez", "404 Not Found"),
            ("/healthz", "200 OK"),
        ] {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 256];
            let length = stream.read(&mut request).await.unwrap();
            let expected = format!("GET {path} HTTP/1.1\r\n");
            assert!(request[..length].starts_with(expected.as_bytes()));
            assert!(gates.list().iter().all(|gate| !gate.open));
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        waiting.await.unwrap();
        let gates = gates.list();
        assert_eq!(gates.len(), 1);
        assert!(gates[0].open, "{gates:?}");
    }

    #[tokio::test]
    async fn a_line_without_end_is_not_read_to_its_end() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = tokio::spawn(ask(address, "/livez"));
        let (mut stream, _) = listener.accept().await.unwrap();
        let written = stream
            .write_all(&[b'x'; 2 * MAX_STATUS_LINE as usize])
            .await;
        let error = asked.await.unwrap().unwrap_err().to_string();
        assert!(error.starts_with("no HTTP"), "{error}");
        // Open until here: the end of the connection is not what ended it.
        drop((stream, written));
    }

    #[tokio::test]
    async fn what_is_missing_is_named() {
        // A port that was free a moment ago is closed.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let gates = Arc::new(Gates::default());
        let waiting = tokio::spawn(kube_proxy(KubeProxy::At(address), Arc::clone(&gates)));
        while gates.list().is_empty() {
            tokio::task::yield_now().await;
        }
        let gate = gates.list().remove(0);
        assert!(!gate.open && gate.message.contains("refused"), "{gate:?}");
        waiting.abort();
    }
}
