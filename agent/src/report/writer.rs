//! The task that writes this node's `RouterState`.
//!
//! It looks at the agent once a second and writes what has changed: at once if somebody may act on it, counts alone only
//! now and then, and every few minutes in any case. What cannot be written is tried again with growing pauses; the agent itself never waits for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::core::{ObjectMeta, PartialObjectMeta};
use kube::{Api, Client};
use tracing::{debug, warn};

use super::conditions::whole_seconds;
use super::router_state::{differs_in_kind, router_state};
use crate::control::{Backend, Health};
use crate::crd::{API_VERSION, RouterState, RouterStateSpec, RouterStateStatus};
use crate::reasons;

/// How often the agent is looked at: the least time between two writings.
const LOOK: Duration = Duration::from_secs(1);

/// The least time between two writings that differ in counts alone. With a thousand nodes, 33 a second for the API server.
const COUNTS: Duration = Duration::from_secs(30);

/// The longest time between two writings: whoever reads knows by it that the agent runs.
const HEARTBEAT: Duration = Duration::from_secs(300);

/// The longest pause after a failure.
const LONGEST: Duration = Duration::from_secs(60);

/// Who writes, as managed fields name it.
const MANAGER: &str = "routelet-agent";

/// Writes the status of the agent on `node` until the future is dropped.
pub async fn run<B: Backend>(client: Client, node: String, health: Arc<Health<B>>) {
    let mut writer = Writer {
        api: Api::all(client.clone()),
        nodes: Api::all(client),
        node,
        object: None,
        written: RouterStateStatus::default(),
        at: None,
    };
    let mut tick = tokio::time::interval(LOOK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut pause = LOOK;
    loop {
        tick.tick().await;
        let (Ok(status), Ok(peers)) = (health.status().await, health.backend().peers().await)
        else {
            continue;
        };
        let found = router_state(
            &status,
            &peers,
            &writer.written,
            writer.object,
            Timestamp::now(),
        );
        if !writer.is_due(&found) {
            continue;
        }
        match writer.write(found).await {
            Ok(()) => pause = LOOK,
            Err(error) => {
                let error = reasons::of_request(&error);
                if pause == LOOK {
                    warn!(
                        error,
                        "the RouterState of this node cannot be written; it is tried again"
                    );
                } else {
                    debug!(
                        error,
                        "the RouterState of this node still cannot be written"
                    );
                }
                // Gone, or never made: it is made anew.
                writer.object = None;
                pause = (pause * 2).min(LONGEST);
                tokio::time::sleep(pause).await;
            }
        }
    }
}

struct Writer {
    api: Api<PartialObjectMeta<RouterState>>,
    nodes: Api<PartialObjectMeta<Node>>,
    node: String,
    /// The generation of the object, once it exists.
    object: Option<i64>,
    written: RouterStateStatus,
    at: Option<Instant>,
}

impl Writer {
    fn is_due(&self, found: &RouterStateStatus) -> bool {
        let since = self
            .at
            .filter(|_| self.object.is_some())
            .map(|at| at.elapsed());
        is_due(found, &self.written, since)
    }

    async fn write(&mut self, mut status: RouterStateStatus) -> kube::Result<()> {
        let params = PatchParams::apply(MANAGER).force();
        status.last_heartbeat_time = Some(Time(whole_seconds(Timestamp::now())));
        if self.object.is_none() {
            let made = RouterState {
                metadata: ObjectMeta {
                    name: Some(self.node.clone()),
                    owner_references: self.owner().await?.map(|owner| vec![owner]),
                    ..ObjectMeta::default()
                },
                spec: RouterStateSpec {
                    node: self.node.clone(),
                },
                status: None,
            };
            let found = self
                .api
                .patch(&self.node, &params, &Patch::Apply(&made))
                .await?;
            self.object = Some(found.metadata.generation.unwrap_or_default());
            for condition in &mut status.conditions {
                condition.observed_generation = self.object;
            }
        }
        let patch = serde_json::json!({
            "apiVersion": API_VERSION,
            "kind": "RouterState",
            "metadata": {"name": self.node},
            "status": &status,
        });
        self.api
            .patch_status(&self.node, &params, &Patch::Apply(patch))
            .await?;
        self.written = status;
        self.at = Some(Instant::now());
        Ok(())
    }

    /// The Node, so that the object goes with it; `None` if there is none (yet).
    async fn owner(&self) -> kube::Result<Option<OwnerReference>> {
        let node = self.nodes.get_opt(&self.node).await?;
        Ok(node.and_then(|node| {
            Some(OwnerReference {
                api_version: "v1".to_owned(),
                kind: "Node".to_owned(),
                name: self.node.clone(),
                uid: node.metadata.uid?,
                ..OwnerReference::default()
            })
        }))
    }
}

/// Whether a status has to be written, so long after the last one; `None`: there is none.
fn is_due(found: &RouterStateStatus, written: &RouterStateStatus, since: Option<Duration>) -> bool {
    since.is_none_or(|since| {
        since >= HEARTBEAT || differs_in_kind(found, written) || since >= COUNTS && found != written
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_may_act_on_is_written_at_once_counts_now_and_then_and_a_heartbeat_in_any_case()
    {
        let written = RouterStateStatus::default();
        let mut counted = written.clone();
        counted.fib.installed = 7;
        let mut changed = written.clone();
        changed.summary.sessions = "1/2".to_owned();
        assert!(is_due(&written, &written, None));
        for (found, due) in [
            (&written, HEARTBEAT),
            (&counted, COUNTS),
            (&changed, Duration::ZERO),
        ] {
            assert!(is_due(found, &written, Some(due)), "{due:?}");
            let before = due.checked_sub(LOOK);
            assert!(
                before.is_none_or(|before| !is_due(found, &written, Some(before))),
                "{due:?}"
            );
        }
    }
}
