//! The API server as a source: what is watched.

use kube::runtime::watcher;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::cache::Cache;
use super::kinds::{
    Watched, WatchedNamespace, WatchedNode, WatchedSecret, WatchedService, WatchedSlice,
};
use super::received::Received;
use super::watches::Watches;
use crate::cluster::snapshot::Snapshot;
use crate::crd::{Advertisement, Peer, RoutePolicy, Router};
use crate::memory;

/// Slices that a Service with an address has: kube-proxy looks at no others either.
const SLICES: &str = "kubernetes.io/service-name,!service.kubernetes.io/headless";

/// Secrets that cannot be passwords of ours, and that can be large.
const SECRETS: &str = "type!=helm.sh/release.v1,type!=kubernetes.io/service-account-token,\
                       type!=kubernetes.io/dockerconfigjson,type!=kubernetes.io/tls";

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
        let cache = Cache::new(watches.kinds()).of_namespace(namespace);
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
    // Out of the server's cache: there is an agent on every node.
    let everything = || watcher::Config::default().any_semantic();
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

fn add<K: Watched>(watches: &mut Watches<Cache>, api: Api<Received<K>>, config: watcher::Config) {
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
