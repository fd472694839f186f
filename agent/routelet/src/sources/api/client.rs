//! Who asks the API server, over connections whose death is noticed.
//!
//! A connection can fail silently: the server's host has crashed, a firewall has forgotten it. A watch sends nothing,
//! and would wait for an answer for minutes. So the kernel asks in its stead, and what it sends must be acknowledged:
//! after [`KEEPALIVE_IDLE`] and [`KEEPALIVE_PROBES`] probes, 25 s in all, the connection is closed, and the watch is
//! started again.
//!
//! Over TLS all watches share one connection (HTTP/2), whose server is asked by PINGs, too: a load balancer in between
//! answers the kernel, but not those.

use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_rustls::{FixedServerNameResolver, HttpsConnectorBuilder};
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::{Body, ClientBuilder, ConfigExt, DynBody};
use kube::config::{Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use tower::util::BoxService;
use tower::{BoxError, ServiceBuilder, ServiceExt};

use super::clients::Clients;
use super::pace::Pace;
use super::proxy;
use crate::reasons;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(10);

/// After so long without a segment the kernel asks whether the server is there, so often, and so many times.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_PROBES: u32 = 3;

/// How long what was sent may be without an acknowledgement (TCP_USER_TIMEOUT); retransmissions else go on for a
/// quarter of an hour.
const UNACKNOWLEDGED: Duration = Duration::from_secs(20);

/// After so long without a frame the server is asked by a PING (RFC 9113 section 6.7), which it answers in this time.
const PING_IDLE: Duration = Duration::from_secs(10);
const PING_ANSWER: Duration = Duration::from_secs(15);

/// What a stream, and all of them together, may send ahead of us, in octets: a list of a large cluster is some
/// megabytes.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;

/// Where the API server is, and who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiServerOptions {
    /// A kubeconfig file; `None`: the one that `KUBECONFIG` names, else the pod's own account.
    pub kubeconfig: Option<PathBuf>,
    /// The namespace that Secrets are read in; `None`: that of the pod or of the kubeconfig.
    pub namespace: Option<String>,
}

/// No API server can be asked, as it is configured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiServerError {
    /// The file cannot be read, or is no kubeconfig.
    #[error("kubeconfig {}: {}", path.display(), reasons::chain(source))]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// Why.
        source: KubeconfigError,
    },
    /// Neither a kubeconfig nor a pod's account.
    #[error(
        "no API server is configured: {}; run in a pod, name a kubeconfig with --kubeconfig, or give a directory of \
         manifests with --manifests", reasons::chain(&**source)
    )]
    Nowhere {
        /// What was looked for in vain.
        source: Box<kube::config::InferConfigError>,
    },
    /// The environment names a proxy by something that is no URL.
    #[error(
        "the proxy of the API server, as HTTPS_PROXY, HTTP_PROXY or proxy-url of the kubeconfig name it: {0}; expected a URL such as http://192.0.2.1:3128"
    )]
    Proxy(axum::http::uri::InvalidUri),
    /// The client cannot be made, such as for a certificate that is none.
    #[error(
        "the connection to the API server cannot be configured: {}",
        reasons::of_request(source)
    )]
    Client {
        /// Why.
        source: Box<kube::Error>,
    },
}

impl ApiServerError {
    fn kubeconfig(path: &Path, source: KubeconfigError) -> Self {
        Self::Kubeconfig {
            path: path.to_owned(),
            source,
        }
    }
}

/// Makes a client for an API server.
///
/// # Errors
/// See [`ApiServerError`].
pub(crate) async fn client(options: &ApiServerOptions) -> Result<Client, ApiServerError> {
    build(config(options).await?)
}

/// The same, of which more can be made.
///
/// # Errors
/// See [`ApiServerError`].
pub(crate) async fn clients(options: &ApiServerOptions) -> Result<Clients, ApiServerError> {
    Clients::new(config(options).await?)
}

async fn config(options: &ApiServerOptions) -> Result<Config, ApiServerError> {
    let file = match &options.kubeconfig {
        Some(path) => {
            let read = Kubeconfig::read_from(path);
            Some(read.map_err(|source| ApiServerError::kubeconfig(path, source))?)
        }
        None => Kubeconfig::read().ok(),
    };
    let named = file.as_ref().and_then(proxy::of_kubeconfig);
    let named = named.map(str::to_owned);
    let has_file = file.is_some();
    let mut config = match (&options.kubeconfig, file) {
        (Some(path), Some(file)) => Config::from_custom_kubeconfig(file, &Default::default())
            .await
            .map_err(|source| ApiServerError::kubeconfig(path, source))?,
        _ => Config::infer()
            .await
            .map_err(|source| ApiServerError::Nowhere {
                source: Box::new(source),
            })?,
    };
    // A pod's own account is used directly.
    if has_file {
        let environment = proxy::Environment::new(|name| std::env::var(name).ok());
        let proxy = match named {
            Some(named) => named.parse().map(Some),
            None => environment.proxy(&config.cluster_url),
        };
        config.proxy_url = proxy.map_err(ApiServerError::Proxy)?;
    }
    Ok(config)
}

pub(super) fn build(mut config: Config) -> Result<Client, ApiServerError> {
    config.default_retry = false;
    let proxied = config.proxy_url.is_some();
    let builder = if proxied {
        // The proxy is whom the connection is to, and whose keepalives it has.
        ClientBuilder::try_from(config)
    } else {
        over_watched_connections(config)
    };
    let builder = builder.map_err(|source| ApiServerError::Client {
        source: Box::new(source),
    })?;
    Ok(builder.with_layer(&Pace::default()).build())
}

type GenericService = BoxService<Request<Body>, Response<Box<DynBody>>, BoxError>;

/// What kube builds by default, over connections whose death is noticed. Without its retries: whoever asks tries again
/// by himself, and says so; kube would wait for minutes silently.
fn over_watched_connections(config: Config) -> Result<ClientBuilder<GenericService>, kube::Error> {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_connect_timeout(Some(CONNECT));
    http.set_keepalive(Some(KEEPALIVE_IDLE));
    http.set_keepalive_interval(Some(KEEPALIVE_INTERVAL));
    http.set_keepalive_retries(Some(KEEPALIVE_PROBES));
    http.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
    let mut https = HttpsConnectorBuilder::new()
        .with_tls_config(config.rustls_client_config()?)
        .https_or_http();
    if let Some(name) = &config.tls_server_name {
        let name = name.clone().try_into();
        let name = name.map_err(|error| kube::Error::Service(Box::new(error)))?;
        https = https.with_server_name_resolver(FixedServerNameResolver::new(name));
    }
    let https = https.enable_http1().enable_http2();
    let mut connector = TimeoutConnector::new(https.wrap_connector(http));
    connector.set_read_timeout(config.read_timeout);
    connector.set_write_timeout(config.write_timeout);
    connector.set_reset_reader_on_write(config.reset_reader_on_write);
    let client = legacy::Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .http2_keep_alive_interval(PING_IDLE)
        .http2_keep_alive_timeout(PING_ANSWER)
        .http2_keep_alive_while_idle(true)
        .http2_initial_stream_window_size(STREAM_WINDOW)
        .http2_initial_connection_window_size(CONNECTION_WINDOW)
        .build(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(client);
    let service = service.map_response(|response: Response<Incoming>| {
        response.map(|body| Box::new(body.map_err(BoxError::from)) as Box<DynBody>)
    });
    Ok(ClientBuilder::new(
        service.boxed(),
        config.default_namespace,
    ))
}

#[cfg(test)]
mod tests;
