//! The watches, and the task that drives them.

use std::collections::HashMap;
use std::error::Error as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures::future::FutureExt;
use futures::stream::{BoxStream, SelectAll, StreamExt};
use kube::client::ClientBuilder;
use kube::core::DeserializeGuard;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, watcher};
use kube::{Api, Client, Config};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{debug, info, warn};

use super::cache::Cache;
use super::kinds::{
    Watched, WatchedNamespace, WatchedNode, WatchedSecret, WatchedService, WatchedSlice,
};
use super::pace::Pace;
use super::pauses::pauses;
use crate::cluster::snapshot::Snapshot;
use crate::crd::{Advertisement, Peer, RoutePolicy, Router};
use crate::memory;

/// Slices that a Service with an address has: kube-proxy looks at no others either.
const SLICES: &str = "kubernetes.io/service-name,!service.kubernetes.io/headless";

/// Secrets that cannot be passwords of ours, and that can be large.
const SECRETS: &str = "type!=helm.sh/release.v1,type!=kubernetes.io/service-account-token,\
                       type!=kubernetes.io/dockerconfigjson,type!=kubernetes.io/tls";

/// How many events are taken in before a snapshot is handed out, if they come without a pause.
const BURST: usize = 1024;

/// How long a failed watch counts as failed unless it fails again: longer than any pause.
const FAILED: Duration = Duration::from_secs(60);

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
        let watches = Watches::new(client, namespace);
        let cache = Cache::new(&watches.kinds);
        let (publish, snapshots) = watch::channel(Snapshot::default());
        let task = tokio::spawn(run(watches.streams, cache, publish));
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

/// What an event of a watch does with the cache.
type Step = Box<dyn FnOnce(&mut Cache) -> Done + Send>;

/// What came of a [`Step`].
enum Done {
    /// The watch of a kind gets on.
    Well(&'static str),
    /// It does not.
    Badly(&'static str),
}

struct Watches {
    streams: SelectAll<BoxStream<'static, Step>>,
    kinds: Vec<&'static str>,
}

impl Watches {
    fn new(client: &Client, namespace: &str) -> Self {
        let mut all = Self {
            streams: SelectAll::new(),
            kinds: Vec::new(),
        };
        let everything = watcher::Config::default;
        all.add::<Router>(Api::all(client.clone()), everything());
        all.add::<Peer>(Api::all(client.clone()), everything());
        all.add::<Advertisement>(Api::all(client.clone()), everything());
        all.add::<RoutePolicy>(Api::all(client.clone()), everything());
        all.add::<WatchedNode>(Api::all(client.clone()), everything());
        all.add::<WatchedNamespace>(Api::all(client.clone()), everything());
        all.add::<WatchedService>(Api::all(client.clone()), everything());
        all.add::<WatchedSlice>(Api::all(client.clone()), everything().labels(SLICES));
        let secrets = Api::namespaced(client.clone(), namespace);
        all.add::<WatchedSecret>(secrets, everything().fields(SECRETS));
        all
    }

    fn add<K: Watched>(&mut self, api: Api<DeserializeGuard<K>>, config: watcher::Config) {
        let steps = watcher(api, config)
            .backoff(pauses())
            .map(|event| Box::new(move |cache: &mut Cache| step::<K>(cache, event)) as Step);
        self.streams.push(steps.boxed());
        self.kinds.push(K::KIND);
    }
}

fn step<K: Watched>(
    cache: &mut Cache,
    event: watcher::Result<watcher::Event<DeserializeGuard<K>>>,
) -> Done {
    match event {
        Ok(event) => {
            cache.event(event);
            Done::Well(K::KIND)
        }
        Err(error) if is_expired(&error) => {
            debug!(kind = K::KIND, "the watch has fallen behind: listing again");
            Done::Well(K::KIND)
        }
        Err(error) => {
            let text = words(&error);
            if cache.failed(K::KIND, text.clone()) {
                warn!(
                    kind = K::KIND,
                    error = text,
                    "cannot watch the API server; what is known stays in force, and it is tried again"
                );
            }
            Done::Badly(K::KIND)
        }
    }
}

/// 410 Gone: an ordinary end of a watch that was away for too long.
fn is_expired(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::WatchError(status) => status.code == 410,
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status)) => status.code == 410,
        _ => false,
    }
}

/// An error and its causes, each once.
fn words(error: &watcher::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let more = next.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = next.source();
    }
    text
}

async fn run(
    mut streams: SelectAll<BoxStream<'static, Step>>,
    mut cache: Cache,
    publish: watch::Sender<Snapshot>,
) {
    let mut failed: HashMap<&'static str, Instant> = HashMap::new();
    let mut tick = tokio::time::interval(FAILED / 4);
    loop {
        tokio::select! {
            Some(step) = streams.next() => {
                note(step(&mut cache), &mut failed);
                // What is ready already belongs to the same snapshot.
                for _ in 0..BURST {
                    match streams.next().now_or_never().flatten() {
                        Some(step) => note(step(&mut cache), &mut failed),
                        None => break,
                    }
                }
            }
            _ = tick.tick() => failed.retain(|kind, at| {
                let stays = at.elapsed() < FAILED;
                if !stays {
                    info!(kind, "watches the API server again");
                    cache.recovered(kind);
                }
                stays
            }),
        }
        if let Some(snapshot) = cache.take() {
            let first = snapshot.source.synced && !publish.borrow().source.synced;
            publish.send_replace(snapshot);
            if first {
                memory::give_back();
            }
        }
    }
}

fn note(done: Done, failed: &mut HashMap<&'static str, Instant>) {
    match done {
        Done::Well(kind) => {
            if failed.remove(kind).is_some() {
                info!(kind, "watches the API server again");
            }
        }
        Done::Badly(kind) => {
            failed.insert(kind, Instant::now());
        }
    }
}
