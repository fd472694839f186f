//! One watch of one kind: what there is, then what changes, for ever.
//!
//! What there is comes out of the API server's cache, never as a quorum read of etcd, as long as the cache will do: a
//! thousand agents that start, or whose watches are too old after an API server was away, would otherwise read
//! everything out of etcd at once. In this order:
//!
//! | asked for | when |
//! |---|---|
//! | a stream of what there is (`sendInitialEvents`), then of changes | first: neither side holds the list as a whole (Kubernetes 1.32, with the gate `WatchList`) |
//! | a list, at once, then a watch | once a server has refused that, or said nothing of its end |
//! | either with `resourceVersion=0`: whatever the cache holds | nothing is known yet, and any will do (`ListSemantic::Any`) |
//! | either with what is newest now | nothing is known yet, and only that will do |
//! | not older than what was seen last | a watch was too old (410): another server's cache must not take us back in time |
//! | the newest, in pages, out of etcd | the cache could not serve that (410, or 504 with its reason), or a watch heard nothing for its whole time |
//!
//! Of kube's own watcher this is what it does besides: its cached lists have no pages only if asked for, it does not
//! fall back for older servers, and after a 410 it takes any version. Its events and errors are used.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::time::Duration;

use futures::stream::{self, BoxStream, Stream, StreamExt};
use kube::api::{ListParams, VersionMatch, WatchEvent, WatchParams};
use kube::core::Status;
use kube::runtime::watcher::{Config, Error, Event, ListSemantic, Result};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout};
use tracing::debug;

/// Objects in a page of a list out of etcd, as client-go has it.
const PAGE: u32 = 500;

/// How long a watch lasts at most, as the server is asked, and how much longer its end is waited for.
const LASTS: u32 = 290;
const MARGIN: Duration = Duration::from_secs(5);

/// A watch without an event or a bookmark (one a minute) for so long is stale: etcd was restored from a backup and is
/// behind the version that is watched from. A server accepts that, and sends nothing until it gets there.
const DEAF: Duration = Duration::from_secs(150);

/// How long a stream of what there is may pause. Servers before 1.27 refuse `resourceVersionMatch` with a watch; what
/// is between us and the server might take parameters away, and then nothing says where what there is ends.
const INITIAL: Duration = Duration::from_secs(30);

/// The annotation of the bookmark behind what there is.
const END: &str = "k8s.io/initial-events-end";

/// A watch that is open so long without an error gets on, if nothing has happened yet either.
const HOLDS: Duration = Duration::from_secs(2);

/// The progress of a watch of a kind.
#[derive(Debug)]
pub(super) enum WatchProgress<K> {
    /// An event.
    Event(Event<K>),
    /// The server has taken the watch, and it has not failed since.
    Holds,
}

type Changes<K> = BoxStream<'static, kube::Result<WatchEvent<K>>>;

/// Follows a kind. After an error nothing is asked until the stream is polled again.
pub(super) fn follow<K>(
    api: Api<K>,
    config: Config,
) -> impl Stream<Item = Result<WatchProgress<K>>> + Send
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let from = match config.list_semantic {
        ListSemantic::Any => From::Cache,
        ListSemantic::MostRecent => From::Etcd,
    };
    let follower = WatchStream {
        api,
        config,
        way: InitialSync::Stream,
        from,
        last: None,
        heard: Instant::now(),
        holds: false,
        state: State::Empty,
    };
    stream::unfold(follower, |mut follower| async {
        loop {
            if let Some(event) = follower.step().await {
                return Some((event, follower));
            }
        }
    })
}

/// How the initial state is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InitialSync {
    Stream,
    List,
}

/// Out of what it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    /// The server's cache.
    Cache,
    /// Etcd.
    Etcd,
}

enum State<K> {
    /// It has to be asked for.
    Empty,
    /// A page of a list, and what continues it.
    Page(VecDeque<K>, Option<String>),
    /// A stream of what there is.
    Initial(Changes<K>),
    /// What there is was seen to its end.
    Known,
    /// Changes since.
    Watching(Changes<K>),
}

struct WatchStream<K> {
    api: Api<K>,
    config: Config,
    way: InitialSync,
    from: From,
    /// The version that was seen last.
    last: Option<String>,
    /// When the watch began, or was heard last.
    heard: Instant,
    /// Whether the watch was said to hold.
    holds: bool,
    state: State<K>,
}

impl<K> WatchStream<K>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    async fn step(&mut self) -> Option<Result<WatchProgress<K>>> {
        let event = match std::mem::replace(&mut self.state, State::Empty) {
            State::Empty => match self.way {
                InitialSync::Stream => self.begin_stream().await,
                InitialSync::List => {
                    self.state = State::Page(VecDeque::new(), Some(String::new()));
                    Some(Ok(Event::Init))
                }
            },
            State::Page(mut objects, next) => match (objects.pop_front(), next) {
                (Some(object), next) => {
                    self.state = State::Page(objects, next);
                    Some(Ok(Event::InitApply(object)))
                }
                (None, Some(next)) => self.page(next).await,
                (None, None) => Some(Ok(self.known())),
            },
            State::Initial(stream) => self.initial(stream).await,
            State::Known => self.begin_watch().await,
            State::Watching(stream) => return self.change(stream).await,
        };
        event.map(|event| event.map(WatchProgress::Event))
    }

    async fn begin_watch(&mut self) -> Option<Result<Event<K>>> {
        let params = self.watch_params(false);
        let version = self.last.clone().unwrap_or_default();
        match self.api.watch(&params, &version).await {
            Ok(stream) => {
                self.heard = Instant::now();
                self.holds = false;
                self.state = State::Watching(stream.boxed());
                None
            }
            Err(error) => {
                // 410 Gone comes in the stream, or as the answer.
                if code(&error) != Some(410) {
                    self.state = State::Known;
                }
                Some(Err(Error::WatchStartFailed(error)))
            }
        }
    }

    /// What there is was seen to its end.
    fn known(&mut self) -> Event<K> {
        self.from = From::Cache;
        self.state = State::Known;
        Event::InitDone
    }

    async fn begin_stream(&mut self) -> Option<Result<Event<K>>> {
        let version = match self.from {
            From::Cache => self.last.clone().unwrap_or_else(|| "0".to_owned()),
            // None: the newest.
            From::Etcd => String::new(),
        };
        match self.api.watch(&self.watch_params(true), &version).await {
            Ok(stream) => {
                self.state = State::Initial(stream.boxed());
                Some(Ok(Event::Init))
            }
            Err(error) if matches!(code(&error), Some(400 | 422)) => {
                debug!(%error, "the API server does not stream initial lists");
                self.way = InitialSync::List;
                None
            }
            Err(error) => {
                self.failed(&error);
                Some(Err(Error::WatchStartFailed(error)))
            }
        }
    }

    /// The cache could not serve it: etcd can.
    fn failed(&mut self, error: &kube::Error) {
        if let kube::Error::Api(status) = error
            && is_beyond_cache(status)
        {
            self.from = From::Etcd;
        }
    }

    async fn initial(&mut self, mut stream: Changes<K>) -> Option<Result<Event<K>>> {
        let Ok(event) = timeout(INITIAL, stream.next()).await else {
            debug!("the API server does not end the initial stream: listing instead");
            self.way = InitialSync::List;
            return None;
        };
        match event? {
            Ok(WatchEvent::Added(object) | WatchEvent::Modified(object)) => {
                self.state = State::Initial(stream);
                Some(Ok(Event::InitApply(object)))
            }
            // Changes may come before the end, which some servers send a while later.
            Ok(WatchEvent::Deleted(object)) => {
                self.state = State::Initial(stream);
                Some(Ok(Event::Delete(object)))
            }
            Ok(WatchEvent::Bookmark(mark)) if mark.metadata.annotations.contains_key(END) => {
                self.last = Some(mark.metadata.resource_version);
                let event = self.known();
                self.heard = Instant::now();
                self.holds = true;
                self.state = State::Watching(stream);
                Some(Ok(event))
            }
            Ok(WatchEvent::Bookmark(_)) => {
                self.state = State::Initial(stream);
                None
            }
            Ok(WatchEvent::Error(status)) => {
                if is_beyond_cache(&status) {
                    self.from = From::Etcd;
                }
                Some(Err(Error::WatchError(status)))
            }
            Err(error) => {
                self.failed(&error);
                Some(Err(Error::WatchFailed(error)))
            }
        }
    }

    async fn page(&mut self, next: String) -> Option<Result<Event<K>>> {
        let params = match self.from {
            // In one page: with a limit, older servers read etcd.
            From::Cache => ListParams {
                resource_version: Some(self.last.clone().unwrap_or_else(|| "0".to_owned())),
                version_match: Some(VersionMatch::NotOlderThan),
                ..self.list_params()
            },
            From::Etcd => ListParams {
                limit: Some(PAGE),
                ..self.list_params()
            },
        };
        let params = ListParams {
            continue_token: Some(next).filter(|next| !next.is_empty()),
            ..params
        };
        match self.api.list(&params).await {
            Ok(list) => {
                let next = list.metadata.continue_.filter(|next| !next.is_empty());
                let version = list.metadata.resource_version;
                match version.filter(|version| !version.is_empty()) {
                    Some(version) => self.last = Some(version),
                    None if next.is_none() => return Some(Err(Error::NoResourceVersion)),
                    None => {}
                }
                self.state = State::Page(list.items.into(), next);
                None
            }
            Err(error) => {
                self.failed(&error);
                Some(Err(Error::InitialListFailed(error)))
            }
        }
    }

    async fn change(&mut self, mut stream: Changes<K>) -> Option<Result<WatchProgress<K>>> {
        let lasts = Duration::from_secs(LASTS.into()) + MARGIN;
        let wait = if self.holds { lasts } else { HOLDS };
        let event = match timeout(wait, stream.next()).await {
            Ok(Some(event)) => event,
            Err(_) if !self.holds => return self.hold(stream),
            Ok(None) | Err(_) => {
                if self.heard.elapsed() < DEAF {
                    self.state = State::Known;
                } else {
                    debug!("the watch missed events: listing from etcd");
                    self.from = From::Etcd;
                }
                return None;
            }
        };
        if event.is_ok() {
            self.heard = Instant::now();
        }
        let event = match event {
            Ok(WatchEvent::Added(object) | WatchEvent::Modified(object)) => Event::Apply(object),
            Ok(WatchEvent::Deleted(object)) => Event::Delete(object),
            Ok(WatchEvent::Bookmark(mark)) => {
                self.last = Some(mark.metadata.resource_version);
                return self.hold(stream);
            }
            Ok(WatchEvent::Error(status)) => {
                if status.code != 410 {
                    self.state = State::Watching(stream);
                }
                return Some(Err(Error::WatchError(status)));
            }
            Err(error) => {
                self.state = State::Watching(stream);
                return Some(Err(Error::WatchFailed(error)));
            }
        };
        let (Event::Apply(object) | Event::Delete(object)) = &event else {
            return None;
        };
        let version = object.resource_version();
        let Some(version) = version.filter(|version| !version.is_empty()) else {
            return Some(Err(Error::NoResourceVersion));
        };
        self.last = Some(version);
        self.state = State::Watching(stream);
        Some(Ok(WatchProgress::Event(event)))
    }

    /// Goes on with a watch that gets on, which is said once.
    fn hold(&mut self, stream: Changes<K>) -> Option<Result<WatchProgress<K>>> {
        self.state = State::Watching(stream);
        let is_new = !std::mem::replace(&mut self.holds, true);
        is_new.then_some(Ok(WatchProgress::Holds))
    }

    fn watch_params(&self, initial: bool) -> WatchParams {
        WatchParams {
            label_selector: self.config.label_selector.clone(),
            field_selector: self.config.field_selector.clone(),
            timeout: Some(LASTS),
            bookmarks: true,
            send_initial_events: initial,
        }
    }

    fn list_params(&self) -> ListParams {
        ListParams {
            label_selector: self.config.label_selector.clone(),
            field_selector: self.config.field_selector.clone(),
            ..ListParams::default()
        }
    }
}

/// Whether a server's cache does not have the version that was asked for, and will not soon: it is too old, or newer
/// than the cache. Any other 504 is of a server, or of what is before it, that does not get to it: to read etcd then,
/// from every node, makes it worse.
fn is_beyond_cache(status: &Status) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let mut words = causes.flat_map(|cause| [&cause.reason, &cause.message]);
    let is_ahead = |text: &String| text == "ResourceVersionTooLarge" || text.contains(AHEAD);
    status.code == 410
        || status.code == 504 && (words.any(is_ahead) || status.message.contains(AHEAD))
}

/// What servers before 1.21 say instead of a cause.
const AHEAD: &str = "Too large resource version";

/// The HTTP status of an API server's answer.
fn code(error: &kube::Error) -> Option<u16> {
    match error {
        kube::Error::Api(status) => Some(status.code),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
