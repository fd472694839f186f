//! The task that writes this node's `RouterState`.
//!
//! It looks at the agent once a second and writes what has changed, as soon as [`Schedule`] says. What cannot be
//! written is tried again with jittered exponential backoff; the agent itself never waits for it. Once a minute it
//! looks whether the object is still there: a deleted one is written again, and one that was created before its Node is
//! adopted by the Node.

use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};
use k8s_openapi::jiff::Timestamp;
use kube::api::{GetParams, Patch, PatchParams};
use kube::core::{ObjectMeta, PartialObjectMeta};
use kube::{Api, Client};
use routelet_api::{API_VERSION, RouterState, RouterStateSpec, RouterStateStatus};
use routelet_base::backoff::{Backoff, Jitter};
use routelet_control::model::{Peer, Status};
use routelet_control::{Backend, Health};
use tracing::{debug, info, warn};

use super::conditions::whole_seconds;
use super::router_state::router_state;
use super::schedule::Schedule;
use crate::reasons;

/// How often the agent is looked at: the least time between two writes.
const LOOK: Duration = Duration::from_secs(1);

/// How often it is looked whether the object is there and is its Node's. The API server answers from its cache.
const PRESENCE: Duration = Duration::from_secs(60);

/// The first delay after a failure.
const SHORTEST: Duration = Duration::from_secs(2);

/// The longest delay after a failure.
const LONGEST: Duration = Duration::from_secs(60);

/// Who writes, as managed fields name it.
const MANAGER: &str = "routelet-agent";

/// Writes the status of the agent on `node` until the future is dropped.
pub(crate) async fn run<B: Backend>(client: Client, node: String, health: Arc<Health<B>>) {
    let mut writer = Writer::new(client, node, Instant::now());
    let mut tick = tokio::time::interval(LOOK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut backoff = Backoff::new(SHORTEST, LONGEST);
    loop {
        tick.tick().await;
        let (Ok(status), Ok(peers)) = (health.status().await, health.backend().peers().await)
        else {
            continue;
        };
        match writer.look(&status, &peers, Instant::now()).await {
            Ok(()) => backoff.succeeded(),
            Err(error) => {
                let error = reasons::of_request(&error);
                if backoff.is_failing() {
                    debug!(
                        error,
                        "the RouterState of this node still cannot be written"
                    );
                } else {
                    warn!(
                        error,
                        "the RouterState of this node cannot be written; retrying"
                    );
                }
                // Nodes whose server comes back do not all write at once.
                let delay = writer.jitter.cut(backoff.failed());
                tokio::time::sleep(delay).await;
            }
        }
    }
}

struct Writer {
    api: Api<RouterState>,
    /// The same, for answers of which nothing but the metadata is read.
    status: Api<PartialObjectMeta<RouterState>>,
    nodes: Api<Node>,
    node: String,
    /// The generation of the object, once it exists.
    object: Option<i64>,
    written: RouterStateStatus,
    schedule: Schedule,
    /// When it is looked next whether the object is there.
    presence: Instant,
    jitter: Jitter,
}

impl Writer {
    fn new(client: Client, node: String, now: Instant) -> Self {
        Self {
            api: Api::all(client.clone()),
            status: Api::all(client.clone()),
            nodes: Api::all(client),
            node,
            object: None,
            written: RouterStateStatus::default(),
            schedule: Schedule::new(now),
            presence: now + PRESENCE,
            jitter: Jitter::default(),
        }
    }

    /// Writes what was found, if its time has come.
    async fn look(&mut self, status: &Status, peers: &[Peer], now: Instant) -> kube::Result<()> {
        if self.object.is_some() && now >= self.presence {
            self.presence = now + PRESENCE.mul_f64(0.75 + self.jitter.share() / 2.0);
            self.check().await;
        }
        let time = Timestamp::now();
        let found = router_state(status, peers, &self.written, self.object, time);
        let share = self.jitter.share();
        if !self.schedule.is_due(&found, &self.written, now, share) {
            return Ok(());
        }
        let is_new = self.object.is_none();
        if let Err(error) = self.write(found).await {
            // It is created again. No other answer is about the object, and creating it again costs an overloaded
            // server three requests.
            if matches!(&error, kube::Error::Api(status) if status.code == 404) {
                self.lose();
            }
            return Err(error);
        }
        if is_new {
            // A cache that is behind does not know it at once.
            self.presence = now + PRESENCE;
        }
        let share = self.jitter.share();
        self.schedule.written(now, share);
        Ok(())
    }

    fn lose(&mut self) {
        self.object = None;
        self.schedule.lost();
    }

    /// Notices that somebody has deleted the object, and that its Node is there now. What cannot be asked, the next
    /// write will show.
    async fn check(&mut self) {
        let cached = GetParams::any();
        match self
            .api
            .get_metadata_opt_with(&self.node, &cached)
            .await
            .map(|found| found.map(|found| found.metadata))
        {
            Ok(None) => {
                info!("the RouterState of this node was deleted; writing it again");
                self.lose();
            }
            Ok(Some(metadata)) if !has_owner(&metadata) => match self.owner().await {
                Ok(Some(owner)) => {
                    if let Err(error) = self.make(Some(owner)).await {
                        debug!(%error, "the owner of this node's RouterState cannot be set to its Node");
                    }
                }
                Ok(None) => {}
                Err(error) => debug!(%error, "the Node of the RouterState cannot be read"),
            },
            Ok(Some(_)) => {}
            Err(error) => debug!(%error, "the RouterState of this node cannot be read"),
        }
    }

    async fn write(&mut self, mut status: RouterStateStatus) -> kube::Result<()> {
        status.last_heartbeat_time = Some(Time(whole_seconds(Timestamp::now())));
        if self.object.is_none() {
            let owner = self.owner().await?;
            self.make(owner).await?;
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
        let params = PatchParams::apply(MANAGER).force();
        self.status
            .patch_status(&self.node, &params, &Patch::Apply(patch))
            .await?;
        self.written = status;
        Ok(())
    }

    /// Makes the object, or gives it to its owner.
    async fn make(&mut self, owner: Option<OwnerReference>) -> kube::Result<()> {
        let made = RouterState {
            metadata: ObjectMeta {
                name: Some(self.node.clone()),
                owner_references: owner.map(|owner| vec![owner]),
                ..ObjectMeta::default()
            },
            spec: RouterStateSpec {
                node: self.node.clone(),
            },
            status: None,
        };
        let params = PatchParams::apply(MANAGER).force();
        let found = self
            .api
            .patch_metadata(&self.node, &params, &Patch::Apply(&made))
            .await?;
        self.object = Some(found.metadata.generation.unwrap_or_default());
        Ok(())
    }

    /// The Node, so that the object goes with it; `None` if there is none (yet).
    async fn owner(&self) -> kube::Result<Option<OwnerReference>> {
        let node = self
            .nodes
            .get_metadata_opt_with(&self.node, &GetParams::any())
            .await?;
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

fn has_owner(metadata: &ObjectMeta) -> bool {
    metadata
        .owner_references
        .iter()
        .flatten()
        .any(|owner| owner.kind == "Node")
}

#[cfg(test)]
mod tests;
