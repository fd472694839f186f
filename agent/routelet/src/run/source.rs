//! The source of cluster state that the agent runs on, whichever it is.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use kube::Client;
use routelet_base::vital::Vital;
use routelet_core::cluster::{DepartedNodes, OwnNode, Problem, Severity, Snapshot};
use routelet_core::intent::LastAsNumbers;
use tokio::sync::watch;
use tracing::{error, info, warn};

use super::gates::{self, Gates};
use super::options::SourceOptions;
use super::saved_state::LastNodes;
use crate::sources::{ApiServer, Manifests, api};

/// A source, and its latest snapshot.
pub(super) struct Source {
    snapshots: watch::Receiver<Snapshot>,
    client: Option<Client>,
    /// What an API server may lack for a moment. A directory of manifests is as somebody wrote it.
    retained: Option<Retained>,
    asns: LastAsNumbers,
    /// What the next agent has of Nodes.
    left: LastNodes,
    // Dropping it ends the source.
    owner: SourceThread,
}

/// What is held on to while the API server does not have it.
struct Retained {
    own: OwnNode,
    departed: DepartedNodes,
}

impl Retained {
    /// When something that is held on to has to be let go.
    fn deadline(&self) -> Option<Instant> {
        let deadlines = [self.own.deadline(), self.departed.deadline()];
        deadlines.into_iter().flatten().min()
    }
}

enum SourceThread {
    Manifests { source: Manifests },
    ApiServer { source: ApiServer },
}

/// The source in words, for people.
pub(super) fn describe(options: &SourceOptions) -> String {
    match options {
        SourceOptions::Manifests(directory) => format!("manifests in {}", directory.display()),
        SourceOptions::ApiServer(options) => match &options.kubeconfig {
            Some(path) => format!("API server of {}", path.display()),
            None => "API server".to_owned(),
        },
    }
}

impl Source {
    /// Begins to read. `left`: what the agent before has left of Nodes.
    ///
    /// # Errors
    /// The directory cannot be read, or no API server is configured. One that does not answer is no error: it is waited for.
    pub(super) async fn start(
        options: &SourceOptions,
        node: &str,
        left: LastNodes,
    ) -> anyhow::Result<Self> {
        let asns = LastAsNumbers::following(left.others());
        Ok(match options {
            SourceOptions::Manifests(directory) => {
                let source = Manifests::start(directory)?;
                Self {
                    snapshots: source.watch(),
                    client: None,
                    retained: None,
                    asns,
                    left,
                    owner: SourceThread::Manifests { source },
                }
            }
            SourceOptions::ApiServer(options) => {
                let clients = api::clients(options).await?;
                let last = left.own();
                let labels = last.as_ref().map(|last| last.labels.clone());
                let node = (node, labels.unwrap_or_default());
                let source = ApiServer::start(&clients, options.namespace.as_deref(), node.clone());
                Self {
                    snapshots: source.watch(),
                    client: Some(clients.first().clone()),
                    retained: Some(Retained {
                        own: OwnNode::new(node.0, last),
                        departed: DepartedNodes::default(),
                    }),
                    asns,
                    left,
                    owner: SourceThread::ApiServer { source },
                }
            }
        })
    }

    /// The API server, if that is the source: to tell it how the node is.
    pub(super) fn client(&self) -> Option<Client> {
        self.client.clone()
    }

    /// Who feeds it, to be looked after.
    pub(super) fn vital(&self) -> Vital {
        match &self.owner {
            SourceThread::Manifests { source } => source.vital(),
            SourceThread::ApiServer { source } => source.vital(),
        }
    }

    /// Follows the state beside the loop, from before it is whole.
    pub(super) fn watch(&self) -> watch::Receiver<Snapshot> {
        self.snapshots.clone()
    }

    /// Waits for the first whole state; what is missing meanwhile stands in the gates.
    pub(super) async fn synced(&mut self, gates: &Arc<Gates>) -> anyhow::Result<Snapshot> {
        loop {
            let snapshot = self.snapshots.borrow_and_update().clone();
            if snapshot.source.synced {
                info!("the state of the cluster is complete");
                gates.set(gates::SOURCE, true, "every object was listed");
                return Ok(self.bridged(snapshot));
            }
            gates.set(gates::SOURCE, false, snapshot.source.waiting_for.join("; "));
            self.snapshots.changed().await.context(ENDED)?;
        }
    }

    /// Waits for another state than the last one. Cancel-safe.
    pub(super) async fn changed(&mut self) -> anyhow::Result<Snapshot> {
        let deadline = self.retained.as_ref().and_then(Retained::deadline);
        tokio::select! {
            changed = self.snapshots.changed() => changed.context(ENDED)?,
            () = until(deadline) => {}
        }
        let snapshot = self.snapshots.borrow_and_update().clone();
        Ok(self.bridged(snapshot))
    }

    /// The snapshot without gaps that are no decisions.
    fn bridged(&mut self, snapshot: Snapshot) -> Snapshot {
        let snapshot = match &mut self.retained {
            // The own Node first: it does not depart while the agent runs on it.
            Some(retained) => {
                let now = Instant::now();
                retained
                    .departed
                    .follow(retained.own.hold(snapshot, now), now)
            }
            None => snapshot,
        };
        let state = self.asns.follow(snapshot.state);
        let own = self
            .retained
            .as_ref()
            .and_then(|retained| retained.own.deciding());
        self.left.leave(own, self.asns.lacking());
        Snapshot { state, ..snapshot }
    }
}

/// Until `deadline`, or for ever.
async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

const ENDED: &str = "the watch on the state of the cluster has ended";

/// Logs the problems of objects that were not there before.
pub(super) fn report(before: &[Problem], now: &[Problem]) {
    for problem in now.iter().filter(|problem| !before.contains(problem)) {
        match problem.severity {
            Severity::Error => error!("{problem}"),
            Severity::Warning => warn!("{problem}"),
        }
    }
    if now.is_empty() && !before.is_empty() {
        info!("all configuration problems resolved");
    }
}
