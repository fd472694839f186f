//! The fake's sockets as the real server has them: TLS, and HTTP/2 for clients that can.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use axum::serve::Listener;
use k8s_openapi::ByteString;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::server::TlsStream;

/// Connections that wait for HTTP. When full, no more are accepted.
const WAITING: usize = 64;

/// Who serves: a certificate of its own, for the life of the server.
#[derive(Clone)]
pub(super) struct Identity {
    acceptor: TlsAcceptor,
    /// PEM.
    certificate: String,
}

impl Identity {
    /// A new one.
    pub(super) fn new() -> Result<Self> {
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        let key = PrivateKeyDer::try_from(own.signing_key.serialize_der())
            .map_err(|error| anyhow::anyhow!("{error}"))?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], key)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            certificate: pem(own.cert.der())?,
        })
    }

    /// The certificate, which signs itself, as PEM.
    pub(super) fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Accepts connections. Handshakes wait for nobody but their client.
    pub(super) fn listen(&self, listener: TcpListener) -> Result<TlsListener> {
        let address = listener.local_addr()?;
        let (ready, connections) = mpsc::channel(WAITING);
        let acceptor = self.acceptor.clone();
        tokio::spawn(async move {
            while let Ok((stream, from)) = listener.accept().await {
                let (acceptor, ready) = (acceptor.clone(), ready.clone());
                tokio::spawn(async move {
                    // A client that speaks no TLS is its own matter.
                    if let Ok(stream) = acceptor.accept(stream).await {
                        let _ = ready.send((stream, from)).await;
                    }
                });
            }
        });
        Ok(TlsListener {
            address,
            connections,
        })
    }
}

/// A certificate as text (RFC 7468).
fn pem(der: &[u8]) -> Result<String> {
    let base64 = serde_json::to_value(ByteString(der.to_vec()))?;
    let base64 = base64.as_str().unwrap_or_default().as_bytes();
    let lines: Result<Vec<&str>, _> = base64.chunks(64).map(std::str::from_utf8).collect();
    Ok(format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        lines?.join("\n")
    ))
}

/// Connections after their handshake.
pub(super) struct TlsListener {
    address: SocketAddr,
    connections: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.connections.recv().await {
            Some(accepted) => accepted,
            // The socket has failed: nobody comes any more.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        Ok(self.address)
    }
}
