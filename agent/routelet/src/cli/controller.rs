//! `routelet controller`: addresses for Services, and what is said of objects.

use anyhow::Context;

use super::cluster_args::ClusterArgs;
use super::http_arg::HttpArg;
use super::log_args::LogArgs;
use super::run::host_name;
use crate::controller::Options;

/// Run the controller of the cluster
///
/// It assigns addresses of AddressPools to Services of type LoadBalancer, writes conditions on Router, Peer,
/// Advertisement, RoutePolicy and AddressPool objects, and reports problems in Events. Of several replicas one is
/// active, the one that holds the Lease routelet-controller.
#[derive(Debug, clap::Args)]
pub(super) struct Controller {
    #[command(flatten)]
    cluster: ClusterArgs,

    /// The identity of this replica in the Lease [default: the host name]
    #[arg(long, value_name = "NAME", env = "POD_NAME")]
    identity: Option<String>,

    /// Where /healthz, /readyz and /metrics are served, or "off"
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "ROUTELET_HTTP",
        default_value = "127.0.0.1:7180"
    )]
    http: HttpArg,

    #[command(flatten)]
    log: LogArgs,
}

impl Controller {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        self.log.start()?;
        let options = Options {
            api: self.cluster.options(),
            identity: match &self.identity {
                Some(name) => name.clone(),
                // Two replicas on one host are no sensible deployment, but must not both work.
                None => format!("{}-{}", host_name()?, std::process::id()),
            },
            http: self.http.0,
        };
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("the controller cannot be started")?
            .block_on(crate::controller::run(options))
    }
}
