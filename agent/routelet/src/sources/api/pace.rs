//! How often a watch may begin: a server, or a proxy before it, that takes watches and ends them at once is not
//! hammered.
//!
//! A watch that ends is no failure: it is taken up again where it ended, without a pause. That is right as long as
//! watches last for minutes, as they do. This layer of the client holds back the request of a watch that begins too
//! soon after the last one of the same objects.
//!
//! A server that is overloaded says with its answer (429, 5xx) after how many seconds it is to be asked again
//! (`Retry-After`, RFC 9110 section 10.2.3). The client makes an error of that which does not have the field; so it is
//! heeded here, for lists and watches. Other requests have times of their own that they must be answered in.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::http::header::RETRY_AFTER;
use axum::http::{Method, Request, Response, Uri};
use tokio::time::{Instant, sleep_until};
use tower::{Layer, Service};

/// Between the beginnings of two watches of the same objects. The first two may follow each other at once: a watch that
/// ends early may have had its reason.
const GAP: Duration = Duration::from_secs(2);

/// The longest `Retry-After` that is heeded: a node should hear of changes again when the server is back.
const LONGEST: Duration = Duration::from_secs(30);

/// See the module. Clones share what they know.
#[derive(Clone, Debug, Default)]
pub(super) struct Pace {
    /// By path and selectors: when the next watch, and the one after it, may begin.
    due: Arc<Mutex<HashMap<String, Due>>>,
    /// The same, of those that a server has sent away: until when.
    later: Arc<Mutex<HashMap<String, Instant>>>,
    /// Keyed by the system's random numbers.
    random: RandomState,
}

#[derive(Clone, Copy, Debug)]
struct Due {
    /// When the last watch began, or will.
    last: Instant,
    /// Watches in a row that began less than [`GAP`] after the one before.
    early: u32,
}

impl Pace {
    /// When a watch of these objects that is asked for now may begin.
    fn admit(&self, objects: String, now: Instant) -> Instant {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(due) = due.get_mut(&objects) else {
            due.insert(
                objects,
                Due {
                    last: now,
                    early: 0,
                },
            );
            return now;
        };
        due.early = if now < due.last + GAP {
            due.early + 1
        } else {
            0
        };
        due.last = if due.early > 1 {
            now.max(due.last + GAP)
        } else {
            now
        };
        due.last
    }

    /// Until when these objects are not to be asked for, if a server has said so.
    fn sent_away(&self, objects: &str) -> Option<Instant> {
        let mut later = self.later.lock().unwrap_or_else(PoisonError::into_inner);
        later.remove(objects)
    }

    /// A server has sent away who asked for these objects. A quarter more by chance: it has said the same to others.
    fn send_away(&self, objects: String, after: Duration, now: Instant) {
        let after = after.min(LONGEST);
        let share = self.random.hash_one(now) % 1000;
        let more = after / 4 * u32::try_from(share).unwrap_or_default() / 1000;
        let mut later = self.later.lock().unwrap_or_else(PoisonError::into_inner);
        later.insert(objects, now + after + more);
    }
}

/// After how long a server wants to be asked again, if it says so with an error. In seconds: it has no use for a date.
fn retry_after<B>(answer: &Response<B>) -> Option<Duration> {
    let status = answer.status();
    let is_later = status.is_server_error() || status.as_u16() == 429;
    let value = answer.headers().get(RETRY_AFTER).filter(|_| is_later)?;
    value
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()
        .map(Duration::from_secs)
}

impl<S> Layer<S> for Pace {
    type Service = Paced<S>;

    fn layer(&self, inner: S) -> Paced<S> {
        Paced {
            inner,
            pace: self.clone(),
        }
    }
}

/// A client's service with [`Pace`].
#[derive(Clone, Debug)]
pub(super) struct Paced<S> {
    inner: S,
    pace: Pace,
}

impl<S, B, R> Service<Request<B>> for Paced<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let listed = listed(request.method(), request.uri());
        let away = listed
            .as_deref()
            .and_then(|objects| self.pace.sent_away(objects));
        let at = watched(request.uri()).map(|objects| self.pace.admit(objects, Instant::now()));
        let at = at.max(away);
        let pace = self.pace.clone();
        // Made now, for a service that is ready now; nothing is sent before it is polled.
        let answer = self.inner.call(request);
        Box::pin(async move {
            if let Some(at) = at {
                sleep_until(at).await;
            }
            let answer = answer.await?;
            if let (Some(objects), Some(after)) = (listed, retry_after(&answer)) {
                pace.send_away(objects, after, Instant::now());
            }
            Ok(answer)
        })
    }
}

/// Which objects a request watches; `None`: it is no watch.
fn watched(uri: &Uri) -> Option<String> {
    parts(uri)
        .any(|part| part == "watch=true")
        .then(|| objects(uri))
}

/// Which objects a request lists or watches; `None`: it is neither. A list says which version it is to be of, or how
/// long it may be.
fn listed(method: &Method, uri: &Uri) -> Option<String> {
    let of_list = ["watch=true", "resourceVersion=", "limit="];
    let is_list = |part: &str| of_list.iter().any(|of_list| part.starts_with(of_list));
    (*method == Method::GET && parts(uri).any(is_list)).then(|| objects(uri))
}

fn parts(uri: &Uri) -> impl Iterator<Item = &str> {
    uri.query().unwrap_or_default().split('&')
}

/// The path of a request, and its selectors.
fn objects(uri: &Uri) -> String {
    let selector =
        |part: &&str| part.starts_with("fieldSelector=") || part.starts_with("labelSelector=");
    let mut objects = uri.path().to_owned();
    for selector in parts(uri).filter(selector) {
        objects.push('&');
        objects.push_str(selector);
    }
    objects
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTERS: &str = "/apis/routelet.dev/v1alpha1/routers";
    const SECRETS: &str = "/api/v1/namespaces/routelet-system/secrets";

    #[tokio::test]
    async fn watches_that_end_at_once_are_held_back_and_others_are_not() {
        let pace = Pace::default();
        let begin = Instant::now();
        let admit = |uri: &str, at| {
            let objects = watched(&uri.parse().expect("a URI")).expect("a watch");
            pace.admit(objects, at)
        };
        let routers = |version: u32| format!("{ROUTERS}?&watch=true&resourceVersion={version}");
        assert_eq!(admit(&routers(1), begin), begin);
        assert_eq!(
            admit(&routers(2), begin),
            begin,
            "one early end is forgiven"
        );
        assert_eq!(admit(&routers(3), begin), begin + GAP);
        assert_eq!(admit(&routers(4), begin + GAP), begin + 2 * GAP);
        assert_eq!(admit("/api/v1/nodes?watch=true", begin), begin);
        let later = begin + 10 * GAP;
        assert_eq!(admit(&routers(5), later), later);
        assert_eq!(admit(&routers(6), later), later);
        // Each Secret has a watch of its own, and many begin at once.
        for n in 0..100 {
            let secret = format!(
                "{SECRETS}?watch=true&fieldSelector=metadata.name%3Ds{n}&resourceVersion=0"
            );
            assert_eq!(admit(&secret, begin), begin);
        }
        assert!(watched(&ROUTERS.parse().expect("a URI")).is_none());
    }

    /// After how many seconds a request is answered that follows one with this answer.
    async fn answered_after(first: (u16, &str), second: (Method, &str)) -> f64 {
        let (code, retry_after) = (first.0, first.1.to_owned());
        let served = tower::service_fn(move |request: Request<()>| {
            let answer = Response::builder();
            let answer = match request.headers().contains_key("first") {
                true => answer.status(code).header(RETRY_AFTER, &retry_after),
                false => answer,
            };
            std::future::ready(answer.body(()))
        });
        let mut service = Pace::default().layer(served);
        let watch = format!("{ROUTERS}?watch=true&resourceVersion=0");
        let request = Request::get(watch).header("first", "");
        let asked = service.call(request.body(()).expect("a request"));
        asked.await.expect("an answer");
        let request = Request::builder().method(second.0).uri(second.1);
        let begin = Instant::now();
        let asked = service.call(request.body(()).expect("a request"));
        asked.await.expect("an answer");
        begin.elapsed().as_secs_f64()
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_sent_away_comes_after_the_time_that_the_server_says_and_not_much_later() {
        let watch = format!("{ROUTERS}?&watch=true&resourceVersion=5");
        let list = format!("{ROUTERS}?&limit=500");
        for (code, said, seconds) in [
            (429, "8", 8.0),
            (503, " 8", 8.0),
            (429, "86400", 30.0),
            (429, "Fri, 31 Dec 1999 23:59:59 GMT", 0.0),
            (429, "-1", 0.0),
            (200, "8", 0.0),
            (404, "8", 0.0),
        ] {
            for next in [&watch, &list] {
                let found = answered_after((code, said), (Method::GET, next)).await;
                let range = seconds..=seconds * 1.25 + 0.01;
                assert!(range.contains(&found), "{code} {said}: {found} s");
            }
        }
        // Others, and what is neither list nor watch, are asked for at once.
        let nodes = (Method::GET, "/api/v1/nodes?watch=true");
        let write = (Method::PATCH, list.as_str());
        let one = (Method::GET, ROUTERS);
        for next in [nodes, write, one] {
            let what = format!("{next:?}");
            let found = answered_after((429, "8"), next).await;
            assert!(found < 0.01, "{what}: {found} s");
        }
    }
}
