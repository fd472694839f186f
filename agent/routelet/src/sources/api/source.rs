//! The API server as a source: what is watched.

use std::sync::Arc;
use std::time::Duration;

use kube::runtime::watcher;
use kube::{Api, Client};
use routelet_base::vital::Vital;
use routelet_core::cluster::atom::AtomMap;
use routelet_core::cluster::snapshot::Snapshot;
use routelet_core::cluster::watched::{
    WatchedNamespace, WatchedNode, WatchedService, WatchedSlice,
};
use routelet_core::cluster::{Indexed, Kind};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::cache::Cache;
use super::clients::{Clients, SecretClients};
use super::secrets::{NeededSecrets, SecretChanges, WatchedSecret};
use super::watches::{Scope, Watches};
use crate::memory;

/// Slices that a Service with an address has: kube-proxy looks at no others either.
const SLICES: &str = "kubernetes.io/service-name,!service.kubernetes.io/headless";

/// How long a state waits for the answer about a Secret that it needs, so that a changed name costs no session.
const HELD: Duration = Duration::from_secs(2);

/// An API server that is watched. Dropping it ends the watches.
#[derive(Debug)]
pub(crate) struct ApiServer {
    snapshots: watch::Receiver<Snapshot>,
    task: JoinHandle<()>,
}

impl ApiServer {
    /// Begins to watch, for a node with these labels from before. The first snapshots are not
    /// [`synced`](routelet_core::cluster::SourceState::synced).
    pub(crate) fn start(
        clients: &Clients,
        namespace: Option<&str>,
        (node, labels): (&str, AtomMap),
    ) -> Self {
        let client = clients.first();
        let namespace = namespace.unwrap_or(client.default_namespace());
        let watches = watches(client);
        let cache = Cache::new(watches.kinds()).of_namespace(namespace);
        let secrets = Secrets {
            namespace: namespace.to_owned(),
            clients: SecretClients::new(clients.clone()),
            needed: NeededSecrets::of(node, labels),
        };
        let (publish, snapshots) = watch::channel(Snapshot::default());
        let task = tokio::spawn(run(watches, cache, secrets, publish));
        Self { snapshots, task }
    }

    /// The task that feeds the state, to be looked after.
    pub(crate) fn vital(&self) -> Vital {
        let task = self.task.abort_handle();
        Vital::task("the task that watches the API server", move || {
            task.is_finished()
        })
    }

    /// Follows the state: the latest snapshot, overtaken ones are skipped.
    pub(crate) fn watch(&self) -> watch::Receiver<Snapshot> {
        self.snapshots.clone()
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The watches of an agent, but for those of Secrets.
fn watches(client: &Client) -> Watches<Cache> {
    let mut all = Watches::new();
    macro_rules! written_by_people {
        ($($kind:ident $row:tt)*) => {
            $(if routelet_api::$kind::READ_BY_AGENTS {
                add::<routelet_api::$kind>(&mut all, client, cached());
            })*
        };
    }
    routelet_api::kinds!(written_by_people);
    add::<WatchedNode>(&mut all, client, cached());
    add::<WatchedNamespace>(&mut all, client, cached());
    add::<WatchedService>(&mut all, client, cached());
    add::<WatchedSlice>(&mut all, client, cached().labels(SLICES));
    all
}

/// Out of the server's cache: there is an agent on every node.
fn cached() -> watcher::Config {
    watcher::Config::default().any_semantic()
}

fn add<K: Indexed>(watches: &mut Watches<Cache>, client: &Client, config: watcher::Config) {
    let api = Api::all_with(client.clone(), &());
    watches.add(Scope::all(K::KIND), api, config, Cache::event::<K>);
}

/// The Secrets that the node needs, each watched by its name, over connections of their own.
struct Secrets {
    namespace: String,
    clients: SecretClients,
    needed: NeededSecrets,
}

impl Secrets {
    /// Begins and ends watches, as what is needed has changed. `is_running`: sessions may be up. Returns whether any
    /// began.
    fn follow(
        &mut self,
        watches: &mut Watches<Cache>,
        cache: &mut Cache,
        is_running: bool,
    ) -> bool {
        let Some(SecretChanges { begin, end }) = self.needed.follow(cache) else {
            return false;
        };
        let any = !begin.is_empty();
        for name in begin {
            cache.begin_secret(&name);
            let scope = Scope {
                kind: WatchedSecret::KIND,
                name: Some(Arc::clone(&name)),
            };
            let api = Api::namespaced(self.clients.begin(&name), &self.namespace);
            let take = move |cache: &mut Cache, event| cache.secret_event(&name, event);
            let config = match is_running {
                // That one is missing would end a session, and is believed of what is newest alone: the cache of
                // another server than that of the Peer may be behind.
                true => watcher::Config::default(),
                false => cached(),
            };
            watches.add(scope, api, config, take);
        }
        for name in end {
            cache.end_secret(&name);
            self.clients.end(&name);
            watches.end(&Scope {
                kind: WatchedSecret::KIND,
                name: Some(name),
            });
        }
        any
    }
}

async fn run(
    mut watches: Watches<Cache>,
    mut cache: Cache,
    mut secrets: Secrets,
    publish: watch::Sender<Snapshot>,
) {
    let mut held_until: Option<Instant> = None;
    loop {
        match held_until {
            None => watches.feed(&mut cache).await,
            Some(until) => {
                // A state that is held is let go when the time is over: nothing else has to come.
                let _is_over = timeout_at(until, watches.feed(&mut cache)).await;
            }
        }
        let is_running = publish.borrow().source.synced;
        if secrets.follow(&mut watches, &mut cache, is_running) {
            held_until = Some(Instant::now() + HELD);
        }
        held_until = held_until.filter(|until| cache.awaits_secrets() && Instant::now() < *until);
        if held_until.is_some() {
            continue;
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

#[cfg(test)]
mod tests;
