//! The task that keeps the file what this node's Node says.
//!
//! It looks when the state of the cluster changes, and now and then, in case somebody else changed the directory. The
//! agent never waits for it.

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use routelet_core::cluster::Snapshot;
use tokio::sync::watch;
use tracing::{error, info, warn};

use super::CniOptions;
use super::file::{self, FileError};
use super::list::render;

/// How often the directory is looked at without a reason, and how soon a failure is tried again.
const LOOK: Duration = Duration::from_secs(10);

/// Writes the configuration list of `node` until the future is dropped, or nobody makes snapshots any more.
pub(crate) async fn run(
    options: CniOptions,
    node: String,
    mut snapshots: watch::Receiver<Snapshot>,
) {
    let mut writer = Writer {
        options: Arc::new(options),
        cidrs: Box::default(),
        foreign: Vec::new(),
        failed: None,
        told_none: false,
    };
    let mut tick = tokio::time::interval(LOOK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // The first state may be there already.
    snapshots.mark_changed();
    loop {
        tokio::select! {
            _ = tick.tick() => writer.look().await,
            changed = snapshots.changed() => {
                if changed.is_err() {
                    return;
                }
                let snapshot = snapshots.borrow_and_update().clone();
                let known = snapshot.state.nodes.get(&node);
                let cidrs = known.map(|node| &*node.pod_cidrs).unwrap_or_default();
                if writer.follow(cidrs, snapshot.source.synced) {
                    writer.look().await;
                }
            }
        }
    }
}

/// What is wanted, and what was said last, so that nothing is said twice.
struct Writer {
    options: Arc<CniOptions>,
    /// The pod CIDRs that the node had last. Not empty any more once there were some.
    cidrs: Box<[IpNet]>,
    /// The files that are read before ours.
    foreign: Vec<String>,
    /// Why the last look failed.
    failed: Option<String>,
    /// Whether it was said that there are no pod CIDRs.
    told_none: bool,
}

impl Writer {
    /// Takes the node's pod CIDRs of the moment, and says whether they are others. That there are none any more changes
    /// nothing: the pods that run have their addresses.
    fn follow(&mut self, cidrs: &[IpNet], synced: bool) -> bool {
        if !cidrs.is_empty() {
            self.told_none = false;
            let differ = *self.cidrs != *cidrs;
            if differ {
                self.cidrs = cidrs.into();
            }
            return differ;
        }
        if synced && !self.told_none {
            self.told_none = true;
            if self.cidrs.is_empty() {
                info!(
                    "this node has no pod CIDRs yet, so no CNI configuration is written (see \
                     kube-controller-manager --allocate-node-cidrs)"
                );
            } else {
                warn!(
                    "this node no longer has pod CIDRs: the CNI configuration keeps the last ones"
                );
            }
        }
        false
    }

    /// Compares the directory with what is wanted, and does what is missing.
    async fn look(&mut self) {
        let Some(text) = render(self.options.settings, &self.cidrs) else {
            return;
        };
        let options = self.options.clone();
        // Writing waits for the disk.
        let done = tokio::task::spawn_blocking(move || {
            let written = file::write(&options.directory, &text)?;
            Ok((written, file::before_ours(&options.directory)?))
        });
        // The work does not panic, and ends with the process.
        let Ok(done) = done.await else { return };
        self.tell(done);
    }

    fn tell(&mut self, done: Result<(bool, Vec<String>), FileError>) {
        let directory = self.options.directory.display();
        match done {
            Ok((written, foreign)) => {
                if written {
                    info!(file = %self.options.directory.join(file::NAME).display(), pod_cidrs = ?self.cidrs, "CNI configuration written");
                }
                for name in foreign.iter().filter(|name| !self.foreign.contains(name)) {
                    warn!(
                        "{directory}/{name} is before {} in order: container runtimes that read one file use that one",
                        file::NAME
                    );
                }
                self.foreign = foreign;
                self.failed = None;
            }
            Err(error) => {
                let error = error.to_string();
                if self.failed.as_ref() != Some(&error) {
                    error!("the CNI configuration cannot be written; retrying: {error}");
                }
                self.failed = Some(error);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;
    use std::path::Path;

    use routelet_core::cluster::{ClusterState, Node};

    use super::*;
    use crate::cni::ListSettings;

    fn snapshot(cidrs: &[&str]) -> Snapshot {
        let node = Node {
            name: "node-1".to_owned(),
            pod_cidrs: cidrs.iter().map(|cidr| cidr.parse().unwrap()).collect(),
            ..Node::default()
        };
        let mut state = ClusterState::default();
        state.nodes.insert(node.name.clone(), Arc::new(node));
        Snapshot {
            state: Arc::new(state),
            ..Snapshot::default()
        }
    }

    /// Waits until the file is there and names `subnet`.
    async fn wait_for(path: &Path, subnet: &str) {
        let found = async {
            while !fs::read_to_string(path).is_ok_and(|text| text.contains(subnet)) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), found)
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn the_file_follows_the_pod_cidrs_and_outlives_them() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(file::NAME);
        let (snapshots, receiver) = watch::channel(snapshot(&[]));
        let options = CniOptions {
            directory: directory.path().to_owned(),
            settings: ListSettings::default(),
        };
        let task = tokio::spawn(run(options, "node-1".to_owned(), receiver));
        snapshots.send(snapshot(&["10.244.1.0/24"])).unwrap();
        wait_for(&path, "10.244.1.0/24").await;
        // The node has gone; its CIDRs come back later, and are others.
        snapshots.send(Snapshot::default()).unwrap();
        snapshots.send(snapshot(&[])).unwrap();
        assert!(path.exists());
        snapshots.send(snapshot(&["10.244.9.0/24"])).unwrap();
        wait_for(&path, "10.244.9.0/24").await;
        drop(snapshots);
        task.await.unwrap();
        assert!(path.exists(), "also after the end");
    }

    #[test]
    fn only_other_pod_cidrs_are_a_reason_to_write() {
        let mut writer = Writer {
            options: Arc::new(CniOptions {
                directory: "/nowhere".into(),
                settings: ListSettings::default(),
            }),
            cidrs: Box::default(),
            foreign: Vec::new(),
            failed: None,
            told_none: false,
        };
        let (one, two) = (
            ["10.1.0.0/24".parse().unwrap()],
            ["10.2.0.0/24".parse().unwrap()],
        );
        assert!(!writer.follow(&[], true));
        assert!(writer.follow(&one, true));
        assert!(!writer.follow(&one, true));
        assert!(!writer.follow(&[], true), "none any more: as it was");
        assert!(!writer.follow(&one, true));
        assert!(writer.follow(&two, true));
    }
}
