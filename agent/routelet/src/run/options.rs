//! What `routelet run` was asked to do, after defaults were filled in.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::gates::KubeProxy;
use crate::cni::CniOptions;
use crate::metrics::PeerSeries;
use crate::sources::api::ApiServerOptions;

/// Where the state of the cluster comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SourceOptions {
    /// A directory of manifests.
    Manifests(PathBuf),
    /// An API server.
    ApiServer(ApiServerOptions),
}

/// The settings of one run of the agent. Everything else is in the state of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// Where the state of the cluster comes from.
    pub source: SourceOptions,
    /// How kube-proxy is waited for before Services are advertised.
    pub kube_proxy: KubeProxy,
    /// The name of this node's `Node` object.
    pub node: String,
    /// Where the control socket is made.
    pub control: PathBuf,
    /// Where health and metrics are served; `None`: nowhere.
    pub http: Option<SocketAddr>,
    /// Which peers have metrics of their own.
    pub series: PeerSeries,
    /// The CNI configuration that is written; `None`: none.
    pub cni: Option<CniOptions>,
    /// On SIGTERM, withdraw everything and clean the kernel, instead of leaving both to the next start.
    pub withdraw: bool,
}
