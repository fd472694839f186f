//! Watches of several kinds that feed one cache.

use std::collections::HashMap;
use std::fmt::{self, Debug};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::FutureExt;
use futures::stream::{BoxStream, SelectAll, StreamExt};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;
use tokio::time::{Interval, interval};
use tracing::{debug, info, warn};

use super::backoff::WatchBackoff;
use super::follow::{WatchProgress, follow};
use super::received::Received;
use crate::reasons;

/// How many events are taken in at once, if they come without a pause.
const BURST: usize = 1024;

/// How long a failed watch counts as failed unless it fails again: longer than any delay.
const FAILED: Duration = Duration::from_secs(60);

/// What a watch is of: all objects of a kind, or the one with a name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Scope {
    /// `kind`.
    pub(crate) kind: &'static str,
    /// `metadata.name`; `None`: all.
    pub(crate) name: Option<Arc<str>>,
}

impl Scope {
    /// All objects of a kind.
    pub(crate) fn all(kind: &'static str) -> Self {
        Self { kind, name: None }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{} {name}", self.kind),
            None => f.write_str(self.kind),
        }
    }
}

/// Why a watch does not get on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// In words.
    pub(crate) why: String,
    /// Whether the API server has refused it, and will until somebody changes something, unless it has just started.
    /// Any other failure does not show what is watched: the answer comes later.
    pub(crate) is_refusal: bool,
    /// When.
    pub(crate) at: Instant,
}

/// The target of watches: what it needs besides their events.
pub(crate) trait WatchTarget: 'static {
    /// A watch has failed, and is tried again. Nothing may be forgotten. Returns whether that is news.
    fn failed(&mut self, scope: &Scope, failure: Failure) -> bool;

    /// A watch gets on again.
    fn recovered(&mut self, scope: &Scope);
}

/// What an event of a watch does with the cache.
type Step<C> = Box<dyn FnOnce(&mut C) -> Done + Send>;

/// What came of a [`Step`].
enum Done {
    /// A list is about to be asked for: that says nothing.
    Begun,
    /// The watch gets on.
    Well(Scope),
    /// It does not.
    Badly(Scope),
}

/// The watches. Dropping them ends them.
pub(crate) struct Watches<C> {
    streams: SelectAll<BoxStream<'static, Step<C>>>,
    /// Dropping what stands here ends the watch.
    watched: HashMap<Scope, oneshot::Sender<()>>,
    failed: HashMap<Scope, Instant>,
    tick: Interval,
}

impl<C: WatchTarget> Watches<C> {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self {
            streams: SelectAll::new(),
            watched: HashMap::new(),
            failed: HashMap::new(),
            tick: interval(FAILED / 4),
        }
    }

    /// Watches from now on: a list, then changes. `take` takes an event in.
    pub(crate) fn add<K, F>(
        &mut self,
        scope: Scope,
        api: Api<Received<K>>,
        config: watcher::Config,
        take: F,
    ) where
        K: Resource<DynamicType = ()> + DeserializeOwned + Clone + Debug + Send + 'static,
        F: Fn(&mut C, Event<Received<K>>) + Clone + Send + 'static,
    {
        let (end, ended) = oneshot::channel();
        self.watched.insert(scope.clone(), end);
        let config = match &scope.name {
            Some(name) => config.fields(&format!("metadata.name={name}")),
            None => config,
        };
        let steps = follow(api, config)
            .backoff(WatchBackoff::default())
            .take_until(ended)
            .map(move |event| {
                let (scope, take) = (scope.clone(), take.clone());
                Box::new(move |cache: &mut C| step(cache, scope, event, take)) as _
            });
        self.streams.push(steps.boxed());
    }

    /// Ends a watch. What it has brought stays as it is.
    pub(crate) fn end(&mut self, scope: &Scope) {
        self.watched.remove(scope);
        self.failed.remove(scope);
    }

    /// The kinds of which all objects are watched.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = &'static str> {
        let scopes = self.watched.keys();
        scopes.filter(|scope| scope.name.is_none()).map(|s| s.kind)
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
            _ = self.tick.tick() => self.failed.retain(|scope, at| {
                let stays = at.elapsed() < FAILED;
                if !stays {
                    info!(watch = %scope, "watching the API server again");
                    cache.recovered(scope);
                }
                stays
            }),
        }
    }

    fn note(&mut self, done: Done, cache: &mut C) {
        match done {
            Done::Begun => {}
            Done::Well(scope) => {
                if self.failed.remove(&scope).is_some() {
                    info!(watch = %scope, "watching the API server again");
                    cache.recovered(&scope);
                }
            }
            Done::Badly(scope) => {
                self.failed.insert(scope, Instant::now());
            }
        }
    }
}

fn step<C: WatchTarget, K>(
    cache: &mut C,
    scope: Scope,
    event: watcher::Result<WatchProgress<Received<K>>>,
    take: impl Fn(&mut C, Event<Received<K>>),
) -> Done {
    match event {
        Ok(WatchProgress::Holds) => Done::Well(scope),
        Ok(WatchProgress::Event(event)) => {
            let done = match event {
                Event::Init => Done::Begun,
                _ => Done::Well(scope),
            };
            take(cache, event);
            done
        }
        Err(error) if is_expired(&error) => {
            debug!(watch = %scope, "the watch has fallen behind: listing again");
            Done::Well(scope)
        }
        Err(error) => {
            let failure = Failure {
                why: reasons::of_watch(&error),
                is_refusal: reasons::is_refusal(&error),
                at: Instant::now(),
            };
            if cache.failed(&scope, failure.clone()) {
                warn!(
                    watch = %scope,
                    error = failure.why,
                    "cannot watch the API server; the last known state stays in force, retrying"
                );
            }
            Done::Badly(scope)
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
