//! Which API server commands ask, and as whom: the options that `run` and `controller` share.

use std::path::PathBuf;

use crate::sources::api::ApiServerOptions;

/// Where the API server is.
#[derive(Debug, clap::Args)]
pub(super) struct ClusterArgs {
    /// The kubeconfig of the API server [default: $KUBECONFIG, else ~/.kube/config, else the pod's own account]
    // clap must not read KUBECONFIG itself: it may name several files, which only the client library merges.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,

    /// The namespace of Routelet itself, such as for the Secrets of sessions [default: the pod's]
    #[arg(long, value_name = "NAME", env = "POD_NAMESPACE")]
    namespace: Option<String>,
}

impl ClusterArgs {
    /// The options of the client.
    pub(super) fn options(&self) -> ApiServerOptions {
        ApiServerOptions {
            kubeconfig: self.kubeconfig.clone(),
            namespace: self.namespace.clone(),
        }
    }
}
