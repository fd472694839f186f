//! How often a watch may begin: a server, or a proxy before it, that takes watches and ends them at once is not hammered.
//!
//! A watch that ends is no failure: it is taken up again where it ended, without a pause. That is right as long as watches
//! last for minutes, as they do. This layer of the client holds back the request of a watch that begins too soon after the
//! last one of the same objects.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::http::{Request, Uri};
use tokio::time::{Instant, sleep_until};
use tower::{Layer, Service};

/// Between the beginnings of two watches of the same objects. The first two may follow each other at once: a watch that
/// ends early may have had its reason.
const GAP: Duration = Duration::from_secs(2);

/// See the module. Clones share what they know.
#[derive(Clone, Debug, Default)]
pub(super) struct Pace {
    /// By path and selectors: when the next watch, and the one after it, may begin.
    due: Arc<Mutex<HashMap<String, Due>>>,
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

impl<S, B> Service<Request<B>> for Paced<S>
where
    S: Service<Request<B>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let at = watched(request.uri()).map(|objects| self.pace.admit(objects, Instant::now()));
        // Made now, for a service that is ready now; nothing is sent before it is polled.
        let answer = self.inner.call(request);
        Box::pin(async move {
            if let Some(at) = at {
                sleep_until(at).await;
            }
            answer.await
        })
    }
}

/// Which objects a request watches: its path, and its selectors; `None`: it is no watch.
fn watched(uri: &Uri) -> Option<String> {
    let parts = || uri.query().unwrap_or_default().split('&');
    let selector =
        |part: &&str| part.starts_with("fieldSelector=") || part.starts_with("labelSelector=");
    parts().any(|part| part == "watch=true").then(|| {
        let mut objects = uri.path().to_owned();
        for selector in parts().filter(selector) {
            objects.push('&');
            objects.push_str(selector);
        }
        objects
    })
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
}
