//! The loop of the active replica.

use std::collections::HashMap;
use std::time::Duration;

use futures::StreamExt;
use futures::stream;
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Api, Client};
use serde::Serialize;
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tracing::{debug, info, warn};

use super::addresses::{self, Write};
use super::events::{Known, Teller};
use super::page::Page;
use super::statuses::{Statuses, statuses};
use super::store::Store;
use super::world::{self, Kind, Ours, WatchedPoolService, World};
use crate::crd::{API_VERSION, RouterState};
use crate::memory;
use crate::pools::{Allocation, allocate};

/// How often statuses of our own objects are looked at: the least time between two writings of one.
const LOOK: Duration = Duration::from_secs(1);

/// Statuses of Services that are written before the world is looked at again.
const ROUND: usize = 128;

/// Writings at a time.
const AT_ONCE: usize = 16;

/// How long the API server may take for one.
const PATIENCE: Duration = Duration::from_secs(10);

/// The pause after a writing that failed, and the longest one.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// How long a RouterState stays without its Node.
const ORPHAN: Duration = Duration::from_secs(300);

/// Who writes, as managed fields name it.
const MANAGER: &str = "routelet-controller";

/// Works until it is dropped.
pub(super) async fn work(client: &Client, me: &str, page: &Page) {
    let mut watches = world::watches(client);
    let mut world = World::default();
    let mut worker = Worker {
        client: client.clone(),
        page,
        teller: Teller::start(client.clone(), me),
        known: Known::default(),
        allocation: Allocation::default(),
        addresses: Pause::default(),
        statuses: Pause::default(),
        orphans: HashMap::new(),
    };
    let mut tick = interval(LOOK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut began = false;
    loop {
        let open = world.addresses_changed && began && worker.addresses.is_over();
        let look = tokio::select! {
            // What is known has to be taken in before it is acted upon.
            biased;
            () = watches.feed(&mut world) => false,
            _ = tick.tick() => true,
            () = std::future::ready(()), if open => false,
        };
        page.set_waiting_for(world.waiting_for());
        if !world.synced() {
            continue;
        }
        if !std::mem::replace(&mut began, true) {
            info!("the state of the cluster is known");
            memory::give_back();
        }
        if world.addresses_changed && worker.addresses.is_over() {
            worker.hand_out(&mut world).await;
        }
        if look {
            worker.say(&mut world).await;
            worker.clear(&world).await;
        }
    }
}

struct Worker<'a> {
    client: Client,
    page: &'a Page,
    teller: Teller,
    known: Known,
    allocation: Allocation,
    addresses: Pause,
    statuses: Pause,
    /// RouterStates without a Node, and since when.
    orphans: HashMap<String, Instant>,
}

impl Worker<'_> {
    /// Allocates, and writes what has changed into the statuses of Services.
    async fn hand_out(&mut self, world: &mut World) {
        world.addresses_changed = false;
        self.allocation = allocate(&world.address_state());
        for news in self.known.addresses(world, &self.allocation) {
            self.teller.tell(news);
        }
        self.page.set_allocation(&self.allocation);
        let mut writes = addresses::writes(world, &self.allocation);
        // The rest follows in the next round, when what was just written counts.
        world.addresses_changed = writes.len() > ROUND;
        writes.truncate(ROUND);
        let client = &self.client;
        let mut answers = stream::iter(writes)
            .map(|write| async move { (write.key.clone(), give(client, write).await) })
            .buffer_unordered(AT_ONCE);
        let mut failed = None;
        while let Some((key, answer)) = answers.next().await {
            self.page.count("services", &answer);
            match answer {
                Ok(service) => world.services.written(service),
                // The watch brings the version that was in the way, or the end of the Service.
                Err(Failure::Outdated) => {}
                Err(failure @ Failure::Other(_)) => {
                    let service = format!("{}/{}", key.0, key.1);
                    warn!(service, %failure, "the addresses of a Service cannot be written; it is tried again");
                    failed = Some(failure);
                }
            }
        }
        // What was written is what was decided: its events change nothing. What failed has to be decided again.
        world.addresses_changed |= failed.is_some();
        self.addresses.note(failed.is_some());
    }

    /// Writes conditions and counts of our own objects, and tells what has happened to them.
    async fn say(&mut self, world: &mut World) {
        for news in self.known.objects(world, Instant::now().into_std()) {
            self.teller.tell(news);
        }
        if !self.statuses.is_over() {
            return;
        }
        let now = (Timestamp::now(), Instant::now().into_std());
        let Statuses {
            routers,
            peers,
            advertisements,
            policies,
            pools,
        } = statuses(world, &self.allocation, now);
        let failed = self.write(routers, &mut world.routers).await
            | self.write(peers, &mut world.peers).await
            | self.write(advertisements, &mut world.advertisements).await
            | self.write(policies, &mut world.policies).await
            | self.write(pools, &mut world.pools).await;
        self.statuses.note(failed);
    }

    /// Returns whether something failed.
    async fn write<K: Kind>(
        &self,
        statuses: Vec<(String, K::Status)>,
        store: &mut Store<Ours<K>>,
    ) -> bool {
        let api = &Api::<kube::core::PartialObjectMeta<K>>::all(self.client.clone());
        let mut answers = stream::iter(statuses)
            .map(|(name, status)| async move {
                let answer = apply(api, K::KIND, &name, &status).await;
                (name, status, answer)
            })
            .buffer_unordered(AT_ONCE);
        let mut failed = false;
        while let Some((name, status, answer)) = answers.next().await {
            self.page.count("objects", &answer);
            match answer {
                Ok(()) => {
                    if let Some(ours) = store.named_mut(&name) {
                        ours.status = status;
                    }
                }
                Err(Failure::Outdated) => {}
                Err(failure @ Failure::Other(_)) => {
                    warn!(kind = K::KIND, name, %failure, "a status cannot be written; it is tried again");
                    failed = true;
                }
            }
        }
        failed
    }

    /// Deletes RouterStates whose node has been gone for a while. Those that belong to their Node go with it by themselves.
    async fn clear(&mut self, world: &World) {
        let now = Instant::now();
        let orphans = world
            .states
            .iter()
            .filter(|((_, name), _)| world.nodes.named(name).is_none());
        let orphans: HashMap<String, (Instant, Option<String>)> = orphans
            .map(|((_, name), state)| {
                let since = self.orphans.get(name).copied().unwrap_or(now);
                (name.clone(), (since, state.uid.clone()))
            })
            .collect();
        self.orphans.clear();
        for (name, (since, uid)) in orphans {
            if now < since + ORPHAN {
                self.orphans.insert(name, since);
                continue;
            }
            let params = DeleteParams {
                preconditions: Some(Preconditions {
                    uid,
                    resource_version: None,
                }),
                ..DeleteParams::default()
            };
            let api = Api::<RouterState>::all(self.client.clone());
            match answered(api.delete(&name, &params)).await {
                Ok(_) => info!(
                    node = name,
                    "deleted the RouterState of a node that is gone"
                ),
                Err(failure) => debug!(node = name, %failure, "a RouterState cannot be deleted"),
            }
        }
    }
}

/// When to go on after a failure.
#[derive(Debug, Default)]
struct Pause {
    until: Option<Instant>,
    last: Duration,
}

impl Pause {
    fn is_over(&self) -> bool {
        self.until.is_none_or(|until| Instant::now() >= until)
    }

    fn note(&mut self, failed: bool) {
        if failed {
            self.last = (self.last * 2).clamp(PAUSES.0, PAUSES.1);
            self.until = Some(Instant::now() + self.last);
        } else {
            *self = Self::default();
        }
    }
}

/// Why something was not written.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// It was decided upon an object that has changed or gone since.
    #[error("the object has changed or gone meanwhile")]
    Outdated,
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

async fn answered<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T, Failure> {
    match timeout(PATIENCE, request).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(kube::Error::Api(status))) if matches!(status.code, 404 | 409) => {
            Err(Failure::Outdated)
        }
        Ok(Err(error)) => Err(Failure::Other(error.to_string())),
        Err(_) => Err(Failure::Other(format!(
            "no answer within {} s",
            PATIENCE.as_secs()
        ))),
    }
}

async fn give(client: &Client, write: Write) -> Result<WatchedPoolService, Failure> {
    let api = Api::<WatchedPoolService>::namespaced(client.clone(), &write.key.0);
    let params = PatchParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PatchParams::default()
    };
    answered(api.patch_status(&write.key.1, &params, &Patch::Merge(&write.patch))).await
}

async fn apply<K: Kind>(
    api: &Api<kube::core::PartialObjectMeta<K>>,
    kind: &str,
    name: &str,
    status: &impl Serialize,
) -> Result<(), Failure> {
    let patch = json!({
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {"name": name},
        "status": status,
    });
    let params = PatchParams::apply(MANAGER).force();
    answered(api.patch_status(name, &params, &Patch::Apply(&patch))).await?;
    Ok(())
}
