//! The Lease: of all replicas, the one that holds it works.
//!
//! As in Kubernetes' own components: clocks of different machines are not compared. A replica takes a Lease over when
//! it has seen no change in it for as long as it lasts, by its own clock; the holder stops working earlier than that if
//! it cannot renew it.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease as Object, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::core::ObjectMeta;
use kube::{Api, Client};
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, info, warn};

use super::page::Page;
use crate::reasons;

/// Its name.
pub(super) const NAME: &str = "routelet-controller";

/// How long a Lease lasts that is not renewed.
const LASTS: Duration = Duration::from_secs(15);

/// How long the holder goes on working without being able to renew it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Between two looks at it.
const LOOK: Duration = Duration::from_secs(2);

/// A Lease that is competed for.
pub(super) struct Lease {
    api: Api<Object>,
    me: String,
    seen: Option<ObservedLease>,
    /// When it was last asked to be ours from then on, with success. The others count from when that was written, which
    /// may be long before it was answered.
    renewed: Instant,
}

/// A Lease as it was seen last.
struct ObservedLease {
    object: Object,
    /// When this version of it was seen first.
    at: Instant,
}

/// What a look at the Lease says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LeaseState {
    /// There is none.
    Missing,
    /// It is this replica's.
    Mine,
    /// Another's, or nobody's, and to be had.
    Free,
    /// Another's.
    Taken,
}

impl ObservedLease {
    fn look(&self, me: &str, now: Instant) -> LeaseState {
        let spec = self.object.spec.as_ref();
        let holder = spec.and_then(|spec| spec.holder_identity.as_deref());
        let lasts = spec
            .and_then(|spec| spec.lease_duration_seconds)
            .and_then(|seconds| u64::try_from(seconds).ok())
            .map_or(LASTS, Duration::from_secs);
        match holder {
            None | Some("") => LeaseState::Free,
            Some(holder) if holder == me => LeaseState::Mine,
            Some(_) if now >= self.at + lasts => LeaseState::Free,
            Some(_) => LeaseState::Taken,
        }
    }
}

impl Lease {
    /// The Lease in a namespace, competed for as `me`, which no other replica may be called.
    pub(super) fn new(client: Client, namespace: &str, me: String) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            me,
            seen: None,
            renewed: Instant::now(),
        }
    }

    /// Waits until the Lease is held.
    pub(super) async fn acquire(&mut self, page: &Page) {
        let mut said = None;
        loop {
            let step = match timeout(PATIENCE, self.step()).await {
                Ok(step) => step.map_err(|error| reasons::of_request(&error)),
                Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
            };
            if step.is_ok() {
                page.lease_seen();
            }
            match step {
                Ok(true) => {
                    info!(lease = NAME, "this replica is active");
                    return;
                }
                Ok(false) => {
                    let holder = self.holder();
                    if said != holder {
                        info!(holder, "another replica is active; this one is on standby");
                        said = holder;
                    }
                }
                Err(error) => {
                    warn!(error, lease = NAME, "the Lease cannot be read; retrying");
                }
            }
            sleep(LOOK).await;
        }
    }

    /// Renews the Lease; returns when it is lost.
    pub(super) async fn hold(&mut self, page: &Page) {
        self.hold_for(page, LOOK, PATIENCE).await;
    }

    async fn hold_for(&mut self, page: &Page, look: Duration, patience: Duration) {
        loop {
            sleep(look).await;
            let left = (self.renewed + patience).saturating_duration_since(Instant::now());
            // Where the server refuses at once, the answer would be faster than the shortest timeout for ever.
            let step = async {
                match left.is_zero() {
                    true => std::future::pending().await,
                    false => self.step().await,
                }
            };
            match timeout(left, step).await {
                Ok(Ok(true)) => page.lease_seen(),
                Ok(Ok(false)) => {
                    warn!(
                        holder = self.holder(),
                        "the Lease was taken by another replica"
                    );
                    return;
                }
                Ok(Err(error)) => {
                    let error = reasons::of_request(&error);
                    debug!(error, "the Lease cannot be renewed; retrying");
                }
                Err(_) => {
                    warn!(
                        "the Lease could not be renewed in time: this replica is no longer active"
                    );
                    return;
                }
            }
        }
    }

    /// Gives the Lease up, so that nobody has to wait for its end.
    pub(super) async fn release(&mut self) {
        let Some(seen) = self.seen.take() else {
            return;
        };
        if seen.look(&self.me, Instant::now()) != LeaseState::Mine {
            return;
        }
        let mut object = seen.object;
        if let Some(spec) = &mut object.spec {
            spec.holder_identity = Some(String::new());
            spec.lease_duration_seconds = Some(1);
            spec.renew_time = Some(MicroTime(Timestamp::now()));
        }
        let params = PostParams::default();
        let released = self.api.replace(NAME, &params, &object);
        if let Ok(Err(error)) = timeout(LOOK, released).await {
            let error = reasons::of_request(&error);
            debug!(error, "the Lease cannot be released; it expires");
        }
    }

    fn holder(&self) -> Option<String> {
        self.seen
            .as_ref()?
            .object
            .spec
            .as_ref()?
            .holder_identity
            .clone()
    }

    /// Looks at the Lease and takes or renews it if it can be had. Returns whether it is held.
    async fn step(&mut self) -> kube::Result<bool> {
        let found = self.api.get_opt(NAME).await?;
        let now = Instant::now();
        self.seen = found.map(|object| {
            let known = self.seen.take();
            let at = known
                .filter(|k| k.object.metadata.resource_version == object.metadata.resource_version);
            let at = at.map_or(now, |known| known.at);
            ObservedLease { object, at }
        });
        let look = self
            .seen
            .as_ref()
            .map_or(LeaseState::Missing, |seen| seen.look(&self.me, now));
        let params = PostParams::default();
        let written = match look {
            LeaseState::Taken => return Ok(false),
            LeaseState::Missing => {
                let object = Object {
                    metadata: ObjectMeta {
                        name: Some(NAME.to_owned()),
                        ..ObjectMeta::default()
                    },
                    spec: Some(self.spec(None)),
                };
                self.api.create(&params, &object).await
            }
            LeaseState::Mine | LeaseState::Free => {
                let Some(seen) = &self.seen else {
                    return Ok(false);
                };
                let mut object = seen.object.clone();
                object.spec = Some(self.spec(object.spec.as_ref()));
                self.api.replace(NAME, &params, &object).await
            }
        };
        match written {
            Ok(object) => {
                self.seen = Some(ObservedLease { object, at: now });
                self.renewed = now;
                Ok(true)
            }
            // Somebody else was faster.
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The Lease as this replica holds it from now on.
    fn spec(&self, before: Option<&LeaseSpec>) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        let holder = before.and_then(|spec| spec.holder_identity.as_deref());
        let mine = holder == Some(self.me.as_str());
        let transitions = before.and_then(|spec| spec.lease_transitions).unwrap_or(0);
        LeaseSpec {
            holder_identity: Some(self.me.clone()),
            lease_duration_seconds: i32::try_from(LASTS.as_secs()).ok(),
            acquire_time: match before {
                Some(spec) if mine => spec.acquire_time.clone(),
                _ => Some(now.clone()),
            },
            renew_time: Some(now),
            lease_transitions: Some(transitions + i32::from(before.is_some() && !mine)),
            ..before.cloned().unwrap_or_default()
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::extract::{Request, State};
    use axum::http::{Method, Response};

    use super::*;

    fn seen(holder: &str, at: Instant) -> ObservedLease {
        let spec = LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            lease_duration_seconds: Some(15),
            ..LeaseSpec::default()
        };
        ObservedLease {
            object: Object {
                spec: Some(spec),
                ..Object::default()
            },
            at,
        }
    }

    #[tokio::test]
    async fn a_holder_stops_in_time_also_if_it_is_refused_at_once() {
        // A server without any resource: it answers immediately.
        let client = Client::new(axum::Router::new(), "default");
        let mut lease = Lease::new(client, "default", "a".to_owned());
        let [look, patience] = [5, 50].map(Duration::from_millis);
        let page = Page::default();
        let held = lease.hold_for(&page, look, patience);
        assert!(timeout(PATIENCE, held).await.is_ok(), "it works on");
    }

    /// An API server that takes each renewal at once, and answers late.
    async fn late(State(late): State<Duration>, request: Request) -> Response<Body> {
        let version = ObjectMeta {
            resource_version: Some("1".to_owned()),
            ..ObjectMeta::default()
        };
        let mut object = seen("a", Instant::now()).object;
        object.metadata = version;
        if request.method() != Method::GET {
            sleep(late).await;
        }
        Response::new(Body::from(
            serde_json::to_string(&object).unwrap_or_default(),
        ))
    }

    #[tokio::test(start_paused = true)]
    async fn a_renewal_counts_from_when_it_was_asked_for() {
        let answers_late = Duration::from_secs(8);
        let router = axum::Router::new().fallback(late).with_state(answers_late);
        let mut lease = Lease::new(Client::new(router, "default"), "default", "a".to_owned());
        let page = Page::default();
        let begin = Instant::now();
        lease.acquire(&page).await;
        assert_eq!(lease.renewed, begin);
        // The next one is asked for after `LOOK`, and is not answered in time.
        lease.hold(&page).await;
        assert_eq!(Instant::now(), begin + PATIENCE.max(answers_late + LOOK));
    }

    #[tokio::test]
    async fn a_lease_is_free_when_it_has_not_changed_for_as_long_as_it_lasts() {
        let at = Instant::now();
        let other = seen("b", at);
        assert_eq!(other.look("a", at + LASTS - LOOK), LeaseState::Taken);
        assert_eq!(other.look("a", at + LASTS), LeaseState::Free);
        assert_eq!(seen("a", at).look("a", at + 10 * LASTS), LeaseState::Mine);
        assert_eq!(seen("", at).look("a", at), LeaseState::Free, "given up");
        // The holder stops before anybody else begins.
        assert!(PATIENCE + LOOK < LASTS);
    }
}
