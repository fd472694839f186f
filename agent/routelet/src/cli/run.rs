//! `routelet run`: the agent itself.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Context;

use super::cluster_args::ClusterArgs;
use super::cni_args::CniArgs;
use super::http_arg::HttpArg;
use super::log_args::LogArgs;
use crate::metrics::{DEFAULT_PEERS, PeerSeries};
use crate::run::{KubeProxy, Options, SourceOptions};

/// Run the agent on this node
///
/// The configuration and the state of the cluster come from the API server: that of the pod's account, or of a
/// kubeconfig. Without a cluster they are a directory of YAML (--manifests): Node, Service and EndpointSlice objects as
/// Kubernetes has them, and the kinds Router, Peer, Advertisement and RoutePolicy of routelet.dev. Either is watched;
/// changes take effect at once. The agent needs CAP_NET_ADMIN (routes) and CAP_NET_BIND_SERVICE (port 179), and CAP_SYS_NICE for short intervals of BFD.
#[derive(Debug, clap::Args)]
pub(super) struct Run {
    /// A directory of manifests (*.yaml, *.yml, *.json) instead of an API server
    #[arg(
        long,
        value_name = "DIR",
        env = "ROUTELET_MANIFESTS",
        conflicts_with = "kubeconfig"
    )]
    manifests: Option<PathBuf>,

    #[command(flatten)]
    cluster: ClusterArgs,

    /// Before Services are advertised, wait until kube-proxy is healthy: "auto" (at 127.0.0.1:10256, unless the port
    /// stays closed for a minute), an address and a port, or "off" [default: auto, with --manifests off]
    #[arg(long, value_name = "ADDRESS", env = "ROUTELET_KUBE_PROXY")]
    kube_proxy: Option<KubeProxyArg>,

    /// The name of this node's Node object [default: the host name]
    #[arg(long, value_name = "NAME", env = "NODE_NAME")]
    node: Option<String>,

    /// Where /healthz, /readyz and /metrics are served, or "off"
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "ROUTELET_HTTP",
        default_value = "127.0.0.1:7179"
    )]
    http: HttpArg,

    /// The maximum number of peers with metrics of their own; the others are summed by object
    #[arg(
        long,
        value_name = "COUNT",
        env = "ROUTELET_METRICS_PEERS",
        default_value_t = DEFAULT_PEERS
    )]
    metrics_peers: usize,

    /// Include nodes of the mesh in these peers: some 40 series each
    #[arg(long, env = "ROUTELET_METRICS_MESH")]
    metrics_mesh: bool,

    #[command(flatten)]
    cni: CniArgs,

    /// On SIGTERM, withdraw every route and remove the kernel's, instead of leaving both to the next start
    #[arg(long)]
    withdraw: bool,

    #[command(flatten)]
    log: LogArgs,
}

/// `auto`, `off` or an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct KubeProxyArg(KubeProxy);

#[derive(Debug, thiserror::Error)]
#[error("expected \"auto\", \"off\", or an address and a port such as 127.0.0.1:10256")]
struct NotAKubeProxy;

impl FromStr for KubeProxyArg {
    type Err = NotAKubeProxy;

    fn from_str(text: &str) -> Result<Self, NotAKubeProxy> {
        Ok(Self(match text {
            "auto" => KubeProxy::Auto,
            "off" => KubeProxy::Off,
            address => KubeProxy::At(address.parse().map_err(|_| NotAKubeProxy)?),
        }))
    }
}

impl Run {
    pub(super) fn run(&self, control: &Path) -> anyhow::Result<()> {
        self.log.start()?;
        let options = self.options(control)?;
        tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .context("the threads of the agent cannot be started")?
            .block_on(crate::run::run(options))
    }

    fn options(&self, control: &Path) -> anyhow::Result<Options> {
        let node = match &self.node {
            Some(name) => name.clone(),
            None => host_name()?,
        };
        let (source, kube_proxy) = match &self.manifests {
            Some(directory) => (SourceOptions::Manifests(directory.clone()), KubeProxy::Off),
            None => (
                SourceOptions::ApiServer(self.cluster.options()),
                KubeProxy::Auto,
            ),
        };
        Ok(Options {
            source,
            kube_proxy: self.kube_proxy.map_or(kube_proxy, |arg| arg.0),
            node,
            control: control.to_owned(),
            http: self.http.0,
            series: PeerSeries {
                most: self.metrics_peers,
                mesh: self.metrics_mesh,
            },
            cni: self.cni.options(),
            withdraw: self.withdraw,
        })
    }
}

/// The host name as the kubelet takes it for the Node's name: in lower case.
pub(super) fn host_name() -> anyhow::Result<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .context("the host name is unknown: set the node's name with --node NAME")?;
    Ok(name.trim().to_lowercase())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use clap::Parser;

    use super::super::{Cli, Command};
    use super::*;
    use crate::cni::{Attachment, CniOptions, ListSettings};
    use crate::sources::api::ApiServerOptions;

    fn options(line: &str) -> Options {
        let cli = Cli::try_parse_from(line.split(' ')).unwrap();
        let Command::Run(run) = &cli.command else {
            panic!("{line}");
        };
        run.options(&cli.control).unwrap()
    }

    #[test]
    fn options_have_their_defaults() {
        let found = options("routelet run --manifests /etc/m --node n1");
        let expected = Options {
            source: SourceOptions::Manifests("/etc/m".into()),
            kube_proxy: KubeProxy::Off,
            node: "n1".into(),
            control: routelet_control::DEFAULT_SOCKET.into(),
            http: Some("127.0.0.1:7179".parse().unwrap()),
            series: PeerSeries::default(),
            cni: None,
            withdraw: false,
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn without_manifests_the_source_is_an_api_server() {
        let found = options("routelet run --node n1");
        assert_eq!(found.source, SourceOptions::ApiServer(Default::default()));
        assert_eq!(found.kube_proxy, KubeProxy::Auto);
        let found = options(
            "routelet run --node n1 --kubeconfig /k --namespace n --kube-proxy 127.0.0.1:9",
        );
        let expected = ApiServerOptions {
            kubeconfig: Some("/k".into()),
            namespace: Some("n".to_owned()),
        };
        assert_eq!(found.source, SourceOptions::ApiServer(expected));
        assert_eq!(
            found.kube_proxy,
            KubeProxy::At("127.0.0.1:9".parse().unwrap())
        );
        let both = ["routelet", "run", "--manifests", "m", "--kubeconfig", "k"];
        assert!(Cli::try_parse_from(both).is_err());
    }

    #[test]
    fn options_are_taken_from_the_command_line() {
        let found = options(
            "routelet run --manifests m --node n1 --http off --withdraw --control /tmp/c.sock --metrics-peers 7 --metrics-mesh",
        );
        let series = PeerSeries {
            most: 7,
            mesh: true,
        };
        assert_eq!(found.series, series);
        assert_eq!(found.http, None);
        assert!(found.withdraw);
        assert_eq!(found.control, Path::new("/tmp/c.sock"));
        let found = options("routelet run --manifests m --node n1 --http :80");
        assert_eq!(found.http, Some("[::]:80".parse().unwrap()));
        let wrong = ["routelet", "run", "--manifests", "m", "--http", "80"];
        let error = Cli::try_parse_from(wrong).unwrap_err().to_string();
        assert!(error.contains("127.0.0.1:7179"), "{error}");
    }

    #[test]
    fn a_cni_configuration_is_written_only_if_asked_for() {
        let found = options("routelet run --manifests m --node n1 --cni-plugin bridge");
        assert_eq!(found.cni, None);
        let found = options(
            "routelet run --manifests m --node n1 --cni-config-dir /etc/cni/net.d --cni-plugin bridge --cni-mtu 8950",
        );
        let expected = CniOptions {
            directory: "/etc/cni/net.d".into(),
            settings: ListSettings {
                attachment: Attachment::Bridge,
                mtu: Some(8950),
            },
        };
        assert_eq!(found.cni, Some(expected));
        let wrong = ["routelet", "run", "--manifests", "m", "--cni-mtu", "500"];
        assert!(Cli::try_parse_from(wrong).is_err());
    }
}
