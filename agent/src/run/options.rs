//! What `routelet run` was asked to do, after defaults were filled in.

use std::net::SocketAddr;
use std::path::PathBuf;

/// The settings of one run of the agent. Everything else is in the manifests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The directory of manifests.
    pub manifests: PathBuf,
    /// The name of this node's `Node` object.
    pub node: String,
    /// Where the control socket is made.
    pub control: PathBuf,
    /// Where health and metrics are served; `None`: nowhere.
    pub http: Option<SocketAddr>,
    /// On SIGTERM, withdraw everything and clean the kernel, instead of leaving both to the next start.
    pub withdraw: bool,
}
