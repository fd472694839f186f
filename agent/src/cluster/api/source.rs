//! The API server as a source: which one, and what is watched.

use std::path::PathBuf;

use kube::client::ClientBuilder;
use kube::core::DeserializeGuard;
use kube::runtime::watcher;
use kube::{Api, Client, Config};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::cache::Cache;
use super::kinds::{
    Watched, WatchedNamespace, WatchedNode, WatchedSecret, WatchedService, WatchedSlice,
};
use super::pace::Pace;
use super::watches::Watches;
use crate::cluster::snapshot::Snapshot;
use crate::crd::{Advertisement, Peer, RoutePolicy, Router};
use crate::memory;

/// Slices that a Service with an address has: kube-proxy looks at no others either.
const SLICES: &str = "kubernetes.io/service-name,!service.kubernetes.io/headless";

/// Secrets that cannot be passwords of ours, and that can be large.
const SECRETS: &str = "type!=helm.sh/release.v1,type!=kubernetes.io/service-account-token,\
                       type!=kubernetes.io/dockerconfigjson,type!=kubernetes.io/tls";

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
pub enum ApiServerError {
    /// The file cannot be read, or says nothing usable.
    #[error("kubeconfig {}: {source}", path.display())]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// Why.
        source: kube::config::KubeconfigError,
    },
    /// Neither a kubeconfig nor a pod's account.
    #[error(
        "no API server is configured: {source}; run in a pod, name a kubeconfig with --kubeconfig, or give a directory of \
         manifests with --manifests"
    )]
    Nowhere {
        /// What was looked for in vain.
        source: Box<kube::config::InferConfigError>,
    },
    /// The client cannot be made, such as for a certificate that is none.
    #[error("the API server cannot be asked as configured: {source}")]
    Client {
        /// Why.
        source: Box<kube::Error>,
    },
}

/// Makes a client for an API server.
///
/// # Errors
/// See [`ApiServerError`].
pub async fn client(options: &ApiServerOptions) -> Result<Client, ApiServerError> {
    let config = match &options.kubeconfig {
        Some(path) => {
            let failed = |source| ApiServerError::Kubeconfig {
                path: path.clone(),
                source,
            };
            let file = kube::config::Kubeconfig::read_from(path).map_err(failed)?;
            Config::from_custom_kubeconfig(file, &Default::default())
                .await
                .map_err(failed)?
        }
        None => Config::infer()
            .await
            .map_err(|source| ApiServerError::Nowhere {
                source: Box::new(source),
            })?,
    };
    let builder = ClientBuilder::try_from(config).map_err(|source| ApiServerError::Client {
        source: Box::new(source),
    })?;
    Ok(builder.with_layer(&Pace::default()).build())
}

/// An API server that is watched. Dropping it ends the watches.
#[derive(Debug)]
pub struct ApiServer {
    snapshots: watch::Receiver<Snapshot>,
    task: JoinHandle<()>,
}

impl ApiServer {
    /// Begins to watch. The first snapshots are not [`synced`](crate::cluster::SourceState::synced).
    pub fn start(client: &Client, namespace: Option<&str>) -> Self {
        let namespace = namespace.unwrap_or(client.default_namespace());
        let watches = watches(client, namespace);
        let cache = Cache::new(watches.kinds());
        let (publish, snapshots) = watch::channel(Snapshot::default());
        let task = tokio::spawn(run(watches, cache, publish));
        Self { snapshots, task }
    }

    /// Follows the state: the latest snapshot, overtaken ones are skipped.
    pub fn watch(&self) -> watch::Receiver<Snapshot> {
        self.snapshots.clone()
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The watches of an agent.
fn watches(client: &Client, namespace: &str) -> Watches<Cache> {
    let mut all = Watches::new();
    let everything = watcher::Config::default;
    add::<Router>(&mut all, Api::all(client.clone()), everything());
    add::<Peer>(&mut all, Api::all(client.clone()), everything());
    add::<Advertisement>(&mut all, Api::all(client.clone()), everything());
    add::<RoutePolicy>(&mut all, Api::all(client.clone()), everything());
    add::<WatchedNode>(&mut all, Api::all(client.clone()), everything());
    add::<WatchedNamespace>(&mut all, Api::all(client.clone()), everything());
    add::<WatchedService>(&mut all, Api::all(client.clone()), everything());
    let slices = everything().labels(SLICES);
    add::<WatchedSlice>(&mut all, Api::all(client.clone()), slices);
    let secrets = Api::namespaced(client.clone(), namespace);
    add::<WatchedSecret>(&mut all, secrets, everything().fields(SECRETS));
    all
}

fn add<K: Watched>(
    watches: &mut Watches<Cache>,
    api: Api<DeserializeGuard<K>>,
    config: watcher::Config,
) {
    watches.add(K::KIND, api, config, Cache::event::<K>);
}

async fn run(mut watches: Watches<Cache>, mut cache: Cache, publish: watch::Sender<Snapshot>) {
    loop {
        watches.feed(&mut cache).await;
        if let Some(snapshot) = cache.take() {
            let first = snapshot.source.synced && !publish.borrow().source.synced;
            publish.send_replace(snapshot);
            if first {
                memory::give_back();
            }
        }
    }
}
