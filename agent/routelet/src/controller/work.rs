//! The loop of the active replica.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream;
use k8s_openapi::jiff::Timestamp;
use kube::core::PartialObjectMeta;
use kube::{Api, Client};
use routelet_core::cluster::{Kind, ObjectKey};
use routelet_core::pools::{self, Allocator, Decision, Outcome, State};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::{debug, info, warn};

use super::addresses::{self, WorkQueue, Write};
use super::backoffs::Backoffs;
use super::blocked_services::{BlockReason, BlockedServices};
use super::cache::ControllerCache;
use super::custom_object::CustomObject;
use super::events::{self, EventRecorder, Observed};
use super::kubernetes::{Served, WatchedPoolService};
use super::orphans::Orphans;
use super::page::Page;
use super::requests::{Failure, apply, delete_state, give};
use super::statuses::statuses;
use super::store::{Key, Store};
use super::watches::watches;
use super::write_conflicts::{Verdict, WriteConflicts};
use crate::memory;
use crate::sources::Received;

/// How often statuses of our own objects are looked at: the least time between two writings of one.
const LOOK: Duration = Duration::from_secs(1);

/// Statuses of Services that are written before the world is looked at again.
const ROUND: usize = 128;

/// Writings at a time.
const AT_ONCE: usize = 16;

/// Works until it is dropped.
pub(super) async fn work(client: &Client, me: &str, page: &Page) {
    let mut watches = watches(client);
    let mut cache = ControllerCache::default();
    let mut worker = Worker {
        client: client.clone(),
        page,
        recorder: EventRecorder::start(client.clone(), me),
        known: Observed::default(),
        allocator: Allocator::new(State::default()),
        due: WorkQueue::default(),
        written: BTreeSet::new(),
        is_stale: false,
        is_more_due: false,
        services: Backoffs::default(),
        awaited: Backoffs::default(),
        conflicts: WriteConflicts::default(),
        has_adopted: false,
        objects: Backoffs::default(),
        orphans: Orphans::default(),
    };
    let mut tick = interval(LOOK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut began = false;
    loop {
        let open = (cache.changes.is_any() || worker.is_any_due()) && began;
        let look = tokio::select! {
            biased;
            // First, or events without a pause would keep it waiting.
            _ = tick.tick() => true,
            // What has come is taken in before addresses are given.
            () = watches.feed(&mut cache) => false,
            () = std::future::ready(()), if open => false,
        };
        page.set_waiting_for(cache.waiting_for());
        if !cache.synced() {
            continue;
        }
        if !std::mem::replace(&mut began, true) {
            info!("the state of the cluster is complete");
            cache.changes.of_all = true;
            memory::give_back();
            memory::forget_start();
        }
        if look {
            cache.forget_departed(Instant::now().into_std());
        }
        let over = |backoffs: &Backoffs<Key>| backoffs.is_any_over(Instant::now());
        let again = look && (over(&worker.services) || over(&worker.awaited));
        if cache.changes.is_any() || worker.is_any_due() || again {
            worker.hand_out(&mut cache).await;
        }
        if look {
            worker.say(&mut cache).await;
            worker.clear(&cache).await;
        }
    }
}

struct Worker<'a> {
    client: Client,
    page: &'a Page,
    recorder: EventRecorder,
    known: Observed,
    allocator: Allocator,
    /// Services of which something has perhaps to be written.
    due: WorkQueue,
    /// Services of which something was written since addresses were allocated last: as was decided, so that this is no
    /// reason to decide anew.
    written: BTreeSet<Key>,
    /// Something else was: it counts before more is written.
    is_stale: bool,
    /// More has to be written than was in the last round.
    is_more_due: bool,
    services: Backoffs<Key>,
    /// Services of which a write was refused as outdated, until their newer version comes.
    awaited: Backoffs<Key>,
    conflicts: WriteConflicts,
    /// Whether `conflicts` knows what the last active replica said.
    has_adopted: bool,
    /// By kind and name.
    objects: Backoffs<(&'static str, String)>,
    orphans: Orphans,
}

impl Worker<'_> {
    /// Whether there is something to do that nothing outside is the reason for.
    fn is_any_due(&self) -> bool {
        self.is_more_due || self.is_stale
    }

    /// Allocates if something has changed, and writes what is due into the statuses of Services.
    async fn hand_out(&mut self, cache: &mut ControllerCache) {
        if cache.changes.is_any() || self.is_stale {
            self.allocate(cache);
        }
        let writes = self.next_writes(cache, Instant::now());
        // The rest follows in the next round, when what has come meanwhile counts.
        self.is_more_due = writes.len() == ROUND;
        let client = &self.client.clone();
        let mut answers = stream::iter(writes)
            .map(|mut write| async move {
                let (key, moves, waits) = (write.key.clone(), write.moves, write.waits.take());
                (key, moves, waits, give(client, write).await)
            })
            .buffer_unordered(AT_ONCE);
        while let Some((key, moves, waits, answer)) = answers.next().await {
            self.page.count("services", &answer);
            match answer {
                Ok(service) => {
                    self.services.done(&key);
                    self.awaited.done(&key);
                    self.take_answer(cache, service, (&key, moves));
                    let Some(served) = cache.services.get(&key) else {
                        continue;
                    };
                    if let Some(statement) = waits {
                        self.recorder.record(events::waits(served, &statement));
                    }
                    if !moves {
                        self.conflicts.said(&key, served, Instant::now());
                        // Who waiting for an address of it says so from now on.
                        self.is_more_due |= self.conflicts.left_alone().any(|left| *left == key);
                        continue;
                    }
                    self.conflicts.wrote(&key, served, Instant::now());
                    let decisions = &self.allocator.allocation().services;
                    if let Some(decision) = decisions.get(&served.request.key) {
                        // What it lost may be what another waits for.
                        self.is_more_due |=
                            !decision.release.is_empty() && decision.has_released(&served.request);
                        if decision.is_written(&served.request) {
                            self.recorder.record(events::assigned(served, decision));
                        }
                    }
                }
                // The watch brings the version that was in the way, or the end of the Service.
                Err(Failure::Outdated) => {
                    self.awaited.failed(key.clone(), Instant::now());
                    cache.outdated.insert(key);
                }
                Err(failure @ Failure::Other(_)) => {
                    let service = format!("{}/{}", key.0, key.1);
                    warn!(service, %failure, "the addresses of a Service cannot be written; retrying");
                    self.services.failed(key, Instant::now());
                }
            }
        }
    }

    /// Takes in what a write has answered.
    fn take_answer(
        &mut self,
        cache: &mut ControllerCache,
        service: Received<WatchedPoolService>,
        (key, moves): (&Key, bool),
    ) {
        let request = |cache: &ControllerCache| Some(Arc::clone(&cache.services.get(key)?.request));
        let before = request(cache);
        cache.services.written(service);
        if let (Some(before), Some(after)) = (before, request(cache)) {
            let decision = self.allocator.allocation().services.get(&before.key);
            let decision = decision.filter(|_| moves);
            self.is_stale |= addresses::is_otherwise(&before, &after, decision);
        }
        self.written.insert(key.clone());
    }

    /// Takes in what has changed.
    fn allocate(&mut self, cache: &mut ControllerCache) {
        self.is_stale = false;
        let changes = std::mem::take(&mut cache.changes);
        let mut looked = std::mem::take(&mut self.written);
        if changes.of_all {
            self.allocator = Allocator::new(cache.address_state());
            looked.extend(cache.services.keys().cloned());
        } else {
            looked.extend(changes.services);
            let now = looked.iter().map(|key| {
                let served = cache.services.get(key);
                let request = served.map(|served| Arc::clone(&served.request));
                (ObjectKey::new(key.0.as_str(), key.1.as_str()), request)
            });
            let differing = self.allocator.update(now).into_iter();
            let differing = differing.map(|key| (key.namespace.to_string(), key.name.to_string()));
            looked.extend(differing.collect::<Vec<_>>());
        }
        let allocation = self.allocator.allocation();
        debug_assert_eq!(*allocation, pools::allocate(&cache.address_state()));
        for news in self.known.refusals(cache, allocation, &looked) {
            self.recorder.record(news);
        }
        self.page.set_allocation(allocation);
        // Which of them may be written while a pool is not known depends on all.
        if !cache.unknown_pools().is_empty() {
            looked.extend(cache.services.keys().cloned());
        }
        self.due.extend(looked);
    }

    /// What is to be written now: what is not left alone for a while, and what no other controller undoes; of a Service
    /// where one does, that this is so.
    fn next_writes(&mut self, cache: &ControllerCache, now: Instant) -> Vec<Write> {
        let allocation = self.allocator.allocation();
        if !std::mem::replace(&mut self.has_adopted, true) {
            let is_ours = |served: &Served| {
                let decision = allocation.services.get(&served.request.key);
                decision.is_some_and(|decision| !matches!(decision.outcome, Outcome::NotOurs(_)))
            };
            let services = cache.services.iter();
            self.conflicts
                .adopt(services.filter(|(_, served)| is_ours(served)), now);
        }
        let there = |key: &Key| cache.services.get(key).is_some();
        self.conflicts.keep(now, there);
        let blocked = self.blocked();
        let Self {
            services,
            awaited,
            conflicts,
            recorder,
            ..
        } = self;
        let admit = |mut write: Write| {
            // The version that was in the way of a write comes by the watch; should it not, it is tried again after a
            // pause.
            let is_awaited = cache.outdated.contains(&write.key) && awaited.holds(&write.key, now);
            if is_awaited || services.holds(&write.key, now) {
                return None;
            }
            let served = cache.services.get(&write.key)?;
            let decision = allocation.services.get(&served.request.key);
            if decision.is_some_and(Decision::is_classless) {
                // It is left to the other, and what was said of it is removed.
                conflicts.forget(&write.key);
                return Some(write);
            }
            match conflicts.judge(&write.key, served, write.moves, now) {
                Verdict::Write => Some(write),
                Verdict::Leave => None,
                Verdict::Say(statement, is_first) => {
                    if is_first {
                        recorder.record(events::contested(served, &statement));
                    }
                    write.moves = false;
                    let Some(patch) = addresses::say(served, &statement, Timestamp::now()) else {
                        // It is there: the write's answer was lost.
                        conflicts.said(&write.key, served, now);
                        services.done(&write.key);
                        return None;
                    };
                    write.patch = patch;
                    Some(write)
                }
            }
        };
        let known = (cache, allocation, &blocked);
        let round = self.due.writes(known, Timestamp::now(), ROUND, admit);
        for backoffs in [&mut self.services, &mut self.awaited] {
            backoffs.keep(|key| self.due.contains(key));
        }
        let contested = self.conflicts.left_alone().count();
        self.page.set_held_up(round.waiting, contested);
        round.writes
    }

    /// The Services whose addresses are not written for now.
    fn blocked(&self) -> BlockedServices {
        let left = self.conflicts.left_alone();
        let left = left.map(|key| (key.clone(), BlockReason::LeftToAnother));
        let failing = self.services.failing().chain(self.awaited.failing());
        let failing = failing.map(|key| (key.clone(), BlockReason::Refused));
        failing.chain(left).collect()
    }

    /// Writes conditions and counts of our own objects, and records Events of their changes.
    async fn say(&mut self, cache: &mut ControllerCache) {
        for news in self.known.objects(cache, Instant::now().into_std()) {
            self.recorder.record(news);
        }
        let now = (Timestamp::now(), Instant::now().into_std());
        let statuses = statuses(cache, self.allocator.allocation(), now);
        macro_rules! write {
            ($($kind:ident { collection: $collection:ident, $($rest:tt)* })*) => {
                $(self.write(statuses.$collection, &mut cache.objects.$collection).await;)*
            };
        }
        routelet_api::kinds!(write);
    }

    async fn write<K: Kind>(
        &mut self,
        mut statuses: Vec<(String, K::Status)>,
        store: &mut Store<CustomObject<K>>,
    ) {
        self.objects.keep(|(kind, name)| {
            *kind != K::KIND || statuses.iter().any(|(known, _)| known == name)
        });
        let now = Instant::now();
        statuses.retain(|(name, _)| !self.objects.holds(&(K::KIND, name.clone()), now));
        let api = &Api::<PartialObjectMeta<K>>::all(self.client.clone());
        let mut answers = stream::iter(statuses)
            .map(|(name, status)| async move {
                let answer = apply(api, K::KIND, &name, &status).await;
                (name, status, answer)
            })
            .buffer_unordered(AT_ONCE);
        while let Some((name, status, answer)) = answers.next().await {
            self.page.count("objects", &answer);
            match answer {
                Ok(()) => {
                    if let Some(ours) = store.named_mut(&name) {
                        ours.status = status;
                    }
                    self.objects.done(&(K::KIND, name));
                }
                Err(Failure::Outdated) => {}
                Err(failure @ Failure::Other(_)) => {
                    warn!(kind = K::KIND, name, %failure, "a status cannot be written; retrying");
                    self.objects.failed((K::KIND, name), Instant::now());
                }
            }
        }
    }

    /// Deletes RouterStates whose node has been gone for a while.
    async fn clear(&mut self, cache: &ControllerCache) {
        for (node, uid) in self.orphans.due(cache, Instant::now()) {
            match delete_state(&self.client, &node, uid).await {
                Ok(()) => info!(node, "deleted the RouterState of a node that is gone"),
                Err(failure) => debug!(node, %failure, "a RouterState cannot be deleted"),
            }
        }
    }
}
