//! Watches of several kinds that feed one cache.

use std::collections::HashMap;
use std::fmt::Debug;
use std::time::{Duration, Instant};

use futures::future::FutureExt;
use futures::stream::{BoxStream, SelectAll, StreamExt};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::time::{Interval, interval};
use tracing::{debug, info, warn};

use super::follow::follow;
use super::pauses::pauses;
use super::received::Received;
use crate::reasons;

/// How many events are taken in at once, if they come without a pause.
const BURST: usize = 1024;

/// How long a failed watch counts as failed unless it fails again: longer than any pause.
const FAILED: Duration = Duration::from_secs(60);

/// What watches feed, besides their events.
pub(crate) trait Fed: 'static {
    /// A kind's watch has failed, and is tried again. Nothing may be forgotten. Returns whether that is news.
    fn failed(&mut self, kind: &'static str, error: String) -> bool;

    /// A kind's watch gets on again.
    fn recovered(&mut self, kind: &'static str);
}

/// What an event of a watch does with the cache.
type Step<C> = Box<dyn FnOnce(&mut C) -> Done + Send>;

/// What came of a [`Step`].
enum Done {
    /// A list is about to be asked for: that says nothing.
    Begun,
    /// The watch of a kind gets on.
    Well(&'static str),
    /// It does not.
    Badly(&'static str),
}

/// The watches. Dropping them ends them.
pub(crate) struct Watches<C> {
    streams: SelectAll<BoxStream<'static, Step<C>>>,
    kinds: Vec<&'static str>,
    failed: HashMap<&'static str, Instant>,
    tick: Interval,
}

impl<C: Fed> Watches<C> {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self {
            streams: SelectAll::new(),
            kinds: Vec::new(),
            failed: HashMap::new(),
            tick: interval(FAILED / 4),
        }
    }

    /// Watches a kind from now on: a list, then changes. `take` takes an event in.
    pub(crate) fn add<K>(
        &mut self,
        kind: &'static str,
        api: Api<Received<K>>,
        config: watcher::Config,
        take: fn(&mut C, Event<Received<K>>),
    ) where
        K: Resource<DynamicType = ()> + DeserializeOwned + Clone + Debug + Send + 'static,
    {
        let steps = follow(api, config)
            .backoff(pauses())
            .map(move |event| Box::new(move |cache: &mut C| step(cache, kind, event, take)) as _);
        self.streams.push(steps.boxed());
        self.kinds.push(kind);
    }

    /// The kinds.
    pub(crate) fn kinds(&self) -> &[&'static str] {
        &self.kinds
    }

    /// Waits for events, and takes in what has come. Cancel-safe.
    pub(crate) async fn feed(&mut self, cache: &mut C) {
        tokio::select! {
            Some(step) = self.streams.next() => {
                self.note(step(cache), cache);
                for _ in 0..BURST {
                    match self.streams.next().now_or_never().flatten() {
                        Some(step) => self.note(step(cache), cache),
                        None => break,
                    }
                }
            }
            _ = self.tick.tick() => self.failed.retain(|kind, at| {
                let stays = at.elapsed() < FAILED;
                if !stays {
                    info!(kind, "watches the API server again");
                    cache.recovered(kind);
                }
                stays
            }),
        }
    }

    fn note(&mut self, done: Done, cache: &mut C) {
        match done {
            Done::Begun => {}
            Done::Well(kind) => {
                if self.failed.remove(kind).is_some() {
                    info!(kind, "watches the API server again");
                    cache.recovered(kind);
                }
            }
            Done::Badly(kind) => {
                self.failed.insert(kind, Instant::now());
            }
        }
    }
}

fn step<C: Fed, K>(
    cache: &mut C,
    kind: &'static str,
    event: watcher::Result<Event<Received<K>>>,
    take: fn(&mut C, Event<Received<K>>),
) -> Done {
    match event {
        Ok(event) => {
            let done = match event {
                Event::Init => Done::Begun,
                _ => Done::Well(kind),
            };
            take(cache, event);
            done
        }
        Err(error) if is_expired(&error) => {
            debug!(kind, "the watch has fallen behind: listing again");
            Done::Well(kind)
        }
        Err(error) => {
            let text = reasons::of_watch(&error);
            if cache.failed(kind, text.clone()) {
                warn!(
                    kind,
                    error = text,
                    "cannot watch the API server; what is known stays in force, and it is tried again"
                );
            }
            Done::Badly(kind)
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
