//! Events: which changes cause one, and the recorder that writes them.
//!
//! An Event is recorded once per change, never because the controller was started, and their rate is limited. The state
//! itself is in conditions and statuses.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::core::ObjectMeta;
use kube::{Api, Client};
use routelet_api::API_VERSION;
use routelet_base::printable;
use routelet_core::pools::{Allocation, Decision, Statement};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tracing::debug;

use super::cache::ControllerCache;
use super::kubernetes::Served;
use super::store::Key;
use crate::reasons;

/// Events that may be written at once.
const BURST: f64 = 50.0;

/// Events per second, once the burst is used up.
const RATE: f64 = 5.0;

/// Events that may wait to be written; more are dropped.
const WAITING: usize = 64;

/// `reportingController` of the Events.
const REPORTER: &str = "routelet-controller";

/// Timeout of one write.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest note that an API server takes, in bytes.
const LONGEST: usize = 1024;

/// What happened to an object.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct EventData {
    pub(super) regarding: ObjectReference,
    /// A related object.
    pub(super) related: Option<ObjectReference>,
    pub(super) warning: bool,
    /// The reason: one word, for programs.
    pub(super) reason: &'static str,
    /// What was done, or not.
    pub(super) action: &'static str,
    pub(super) note: String,
}

/// What was observed last; a difference from it is a change.
#[derive(Debug, Default)]
pub(super) struct Observed {
    /// Why a Service misses an address.
    refusals: BTreeMap<Key, String>,
    knows_refusals: bool,
    /// Whether a session is Established, by node and peer.
    sessions: HashMap<(String, String), bool>,
    /// Why an object of ours cannot be used, by kind and name.
    invalid: BTreeMap<(&'static str, String), String>,
    looked: bool,
}

/// The addresses of a Service were written.
pub(super) fn assigned(served: &Served, decision: &Decision) -> EventData {
    let addresses = decision.listed();
    let released = addresses.is_empty();
    EventData {
        regarding: served.reference(),
        related: None,
        warning: false,
        reason: match released {
            true => "AddressReleased",
            false => "AddressAssigned",
        },
        action: "AssignAddress",
        note: match released {
            true => "its addresses were released".to_owned(),
            false => addresses,
        },
    }
}

/// Another controller writes the addresses of a Service.
pub(super) fn contested(served: &Served, statement: &Statement) -> EventData {
    EventData {
        regarding: served.reference(),
        related: None,
        warning: true,
        reason: "AddressWrittenByAnother",
        action: "AssignAddress",
        note: statement.message.clone(),
    }
}

/// A Service waits for another to lose an address, and that cannot be written.
pub(super) fn waits(served: &Served, statement: &Statement) -> EventData {
    EventData {
        regarding: served.reference(),
        related: None,
        warning: true,
        reason: "AddressNotAssigned",
        action: "AssignAddress",
        note: statement.message.clone(),
    }
}

impl Served {
    /// The Service, as Events name it.
    fn reference(&self) -> ObjectReference {
        ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Service".to_owned()),
            namespace: Some(self.request.key.namespace.to_string()),
            name: Some(self.request.key.name.to_string()),
            uid: self.uid.clone(),
            ..ObjectReference::default()
        }
    }
}

impl Observed {
    /// Compares with the last look what Services miss, those of `keys`; the others are as they were, or gone.
    pub(super) fn refusals<'a>(
        &mut self,
        cache: &ControllerCache,
        allocation: &Allocation,
        keys: impl IntoIterator<Item = &'a Key>,
    ) -> Vec<EventData> {
        let mut news = Vec::new();
        for key in keys {
            let before = self.refusals.remove(key);
            let Some(served) = cache.services.get(key) else {
                continue;
            };
            let Some(decision) = allocation.services.get(&served.request.key) else {
                continue;
            };
            let (reason, action, note) = match (decision.refusal(), decision.kept_of_deleted_pool())
            {
                (Some(refusal), _) => ("AddressNotAssigned", refusal.code(), refusal.to_string()),
                (None, Some(pool)) => (
                    "AddressPoolDeleted",
                    "KeepAddress",
                    format!("it keeps its address although AddressPool {pool} does not exist"),
                ),
                (None, None) => continue,
            };
            if before.as_ref() != Some(&note) {
                news.push(EventData {
                    regarding: served.reference(),
                    related: None,
                    warning: true,
                    reason,
                    action,
                    note: note.clone(),
                });
            }
            self.refusals.insert(key.clone(), note);
        }
        self.refusals
            .retain(|key, _| cache.services.get(key).is_some());
        // The first look finds what another replica has reported already.
        match std::mem::replace(&mut self.knows_refusals, true) {
            true => news,
            false => Vec::new(),
        }
    }

    /// Compares sessions and our own objects with the last look.
    pub(super) fn objects(
        &mut self,
        cache: &ControllerCache,
        now: std::time::Instant,
    ) -> Vec<EventData> {
        let mut news = Vec::new();
        let mut sessions = HashMap::new();
        for ((_, node), state) in cache.states.iter() {
            for session in state.at(now) {
                let key = (node.clone(), session.peer.clone());
                let before = self.sessions.get(&key).copied();
                if before.is_some_and(|before| before != session.established)
                    && let Some(regarding) = cache.reference(&session.object)
                {
                    news.push(EventData {
                        regarding,
                        related: Some(ObjectReference {
                            api_version: Some("v1".to_owned()),
                            kind: Some("Node".to_owned()),
                            name: Some(node.clone()),
                            ..ObjectReference::default()
                        }),
                        warning: !session.established,
                        reason: match session.established {
                            true => "SessionEstablished",
                            false => "SessionLost",
                        },
                        action: "Peer",
                        note: format!("{node}: {}", session.text),
                    });
                }
                sessions.insert(key, session.established);
            }
        }
        self.sessions = sessions;
        let invalid = cache.objects.invalid();
        for ((kind, name), reason) in &invalid {
            let known = self.invalid.get(&(*kind, name.clone())) == Some(reason);
            if !known && let Some(regarding) = cache.reference(&format!("{kind} {name}")) {
                news.push(EventData {
                    regarding,
                    related: None,
                    warning: true,
                    reason: "NotAccepted",
                    action: "Validate",
                    note: reason.clone(),
                });
            }
        }
        self.invalid = invalid;
        if !std::mem::replace(&mut self.looked, true) {
            news.clear();
        }
        news
    }
}

impl ControllerCache {
    /// An object of ours, as Events name it; `None` if there is none, as behind the mesh without a Router.
    fn reference(&self, object: &str) -> Option<ObjectReference> {
        let (kind, name) = object.split_once(' ')?;
        let uid = self.objects.uid(kind, name)?;
        Some(ObjectReference {
            api_version: Some(API_VERSION.to_owned()),
            kind: Some(kind.to_owned()),
            name: Some(name.to_owned()),
            uid: Some(uid.to_owned()),
            ..ObjectReference::default()
        })
    }
}

/// Writes Events in the order in which they are recorded, until it is dropped.
pub(super) struct EventRecorder {
    queue: mpsc::Sender<EventData>,
    /// How many may be written now.
    tokens: f64,
    filled: Instant,
}

impl EventRecorder {
    /// Begins.
    pub(super) fn start(client: Client, me: &str) -> Self {
        let (queue, waiting) = mpsc::channel(WAITING);
        tokio::spawn(post(client, me.to_owned(), waiting));
        Self {
            queue,
            tokens: BURST,
            filled: Instant::now(),
        }
    }

    /// Queues an Event; drops it above the rate limit.
    pub(super) fn record(&mut self, news: EventData) {
        let now = Instant::now();
        let more = now.duration_since(self.filled).as_secs_f64() * RATE;
        self.tokens = (self.tokens + more).min(BURST);
        self.filled = now;
        if self.tokens < 1.0 || self.queue.try_send(news).is_err() {
            debug!("too many Events at once: one is dropped");
            return;
        }
        self.tokens -= 1.0;
    }
}

async fn post(client: Client, me: String, mut waiting: mpsc::Receiver<EventData>) {
    while let Some(news) = waiting.recv().await {
        // Events of objects without a namespace are in this one, by custom.
        let namespace = news.regarding.namespace.clone();
        let api = Api::namespaced(client.clone(), namespace.as_deref().unwrap_or("default"));
        let event = news.into_event(&me);
        match timeout(PATIENCE, api.create(&PostParams::default(), &event)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                let error = reasons::of_request(&error);
                debug!(error, "an Event cannot be written");
            }
            Err(_) => debug!("an Event cannot be written: no answer in time"),
        }
    }
}

impl EventData {
    /// Each is a new Event: none is recorded twice without a change.
    fn into_event(self, me: &str) -> Event {
        let now = Timestamp::now();
        let name = self.regarding.name.as_deref().unwrap_or_default();
        Event {
            metadata: ObjectMeta {
                name: Some(format!("{name}.{:x}", now.as_nanosecond())),
                namespace: self.regarding.namespace.clone(),
                ..ObjectMeta::default()
            },
            event_time: Some(MicroTime(now)),
            type_: Some(if self.warning { "Warning" } else { "Normal" }.to_owned()),
            reason: Some(self.reason.to_owned()),
            action: Some(self.action.to_owned()),
            note: Some(printable::short_line(&self.note, LONGEST)),
            regarding: Some(self.regarding),
            related: self.related,
            reporting_controller: Some(REPORTER.to_owned()),
            reporting_instance: Some(me.to_owned()),
            ..Event::default()
        }
    }
}
