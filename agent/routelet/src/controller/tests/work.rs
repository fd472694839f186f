//! Claims about the loop of the active replica, on an API server in this process and under a clock that jumps: when a
//! write that was refused is tried again, and that a Service which was left to another controller still is.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, Response, StatusCode};
use futures::channel::mpsc;
use kube::Client;
use tokio::time::{self, Instant};

use super::*;
use crate::controller::page::Page;
use crate::controller::work::work;

const SERVICES: &str = "/api/v1/services";

/// An API server that holds what it is given, lets no Service of some names be written, and remembers who tried when.
#[derive(Default)]
struct Server {
    /// By the path of their kind.
    objects: HashMap<&'static str, Vec<Value>>,
    watches: HashMap<String, mpsc::UnboundedSender<Result<String, Infallible>>>,
    /// Services of which a write is refused as outdated.
    refused: Vec<&'static str>,
    /// Each write of a Service: when, its name, and what was to be written.
    writes: Vec<(Instant, String, Value)>,
}

type Shared = Arc<Mutex<Server>>;

async fn serve(State(server): State<Shared>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let mut server = server.lock().unwrap();
    match parts.method {
        Method::GET => {
            assert!(parts.uri.query().unwrap_or_default().contains("watch=true"));
            let (lines, stream) = mpsc::unbounded();
            let known = server.objects.get(&*path).cloned().unwrap_or_default();
            let known = known
                .into_iter()
                .map(|object| json!({"type": "ADDED", "object": object}));
            let end = json!({"type": "BOOKMARK", "object": {"apiVersion": "v1", "kind": "Any", "metadata": {
                "resourceVersion": "1", "annotations": {"k8s.io/initial-events-end": "true"},
            }}});
            for line in known.chain([end]) {
                lines.unbounded_send(Ok(format!("{line}\n"))).unwrap();
            }
            server.watches.insert(path, lines);
            Response::new(Body::from_stream(stream))
        }
        Method::PATCH if path.contains("/services/") => {
            let name = path.split('/').nth(6).unwrap().to_owned();
            server
                .writes
                .push((Instant::now(), name.clone(), body.clone()));
            if server.refused.contains(&&*name) {
                let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 409, "reason": "Conflict", "message": "no"});
                return answer(StatusCode::CONFLICT, &status);
            }
            let known = server.objects[SERVICES].iter();
            let mut object = known
                .clone()
                .find(|o| o["metadata"]["name"] == *name)
                .unwrap()
                .clone();
            object["metadata"]["resourceVersion"] = json!("100");
            object["status"] = body["status"].clone();
            answer(StatusCode::OK, &object)
        }
        // Statuses of our objects, and Events.
        _ => answer(StatusCode::OK, &body),
    }
}

fn answer(code: StatusCode, body: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = code;
    response
}

/// A Service as a watch brings it; the label is what changes of it.
fn watched(name: &str, version: u32, ip: &[&str], label: &str) -> Value {
    let mut object = service(name, version, ip);
    object["apiVersion"] = json!("v1");
    object["kind"] = json!("Service");
    object["metadata"]["labels"] = json!({"l": label});
    object
}

fn server(services: Vec<Value>, refused: &[&'static str]) -> Shared {
    let of_kind = |mut object: Value, version: &str, kind: &str| {
        object["apiVersion"] = json!(version);
        object["kind"] = json!(kind);
        object["metadata"]["resourceVersion"] = json!("1");
        vec![object]
    };
    let pool = pool("public", &["203.0.113.0/29"]);
    Arc::new(Mutex::new(Server {
        objects: HashMap::from([
            (SERVICES, services),
            (
                "/api/v1/namespaces",
                of_kind(namespace("shop", json!({})), "v1", "Namespace"),
            ),
            (
                "/apis/routelet.dev/v1alpha1/addresspools",
                of_kind(pool, "routelet.dev/v1alpha1", "AddressPool"),
            ),
        ]),
        refused: refused.to_vec(),
        ..Server::default()
    }))
}

fn changed(server: &Shared, object: &Value) {
    let server = server.lock().unwrap();
    let line = json!({"type": "MODIFIED", "object": object});
    server.watches[SERVICES]
        .unbounded_send(Ok(format!("{line}\n")))
        .unwrap();
}

/// Lets the loop work for so long. Returns what it says of itself.
async fn work_for(server: &Shared, seconds: u64, meanwhile: impl Future<Output = ()>) -> String {
    let client = Client::new(
        Router::new().fallback(serve).with_state(server.clone()),
        "default",
    );
    let page = Page::default();
    let work = async { work(&client, "me", &page).await };
    let both = async { tokio::join!(work, meanwhile) };
    assert!(
        time::timeout(Duration::from_secs(seconds), both)
            .await
            .is_err(),
        "it works on"
    );
    format!("{page:?}")
}

/// The seconds between the writes of a Service that were tried.
fn pauses(server: &Shared, name: &str) -> Vec<f64> {
    let server = server.lock().unwrap();
    let times = server.writes.iter().filter(|(_, of, _)| of == name);
    let times: Vec<Instant> = times.map(|(at, ..)| *at).collect();
    let gaps = times.windows(2).map(|two| two[1] - two[0]);
    gaps.map(|gap| gap.as_secs_f64()).collect()
}

/// Whether other Services change all the time or nothing happens at all: the pauses are those of this write.
#[tokio::test(start_paused = true)]
async fn a_refused_write_whose_newer_version_does_not_come_is_tried_again_after_pauses_that_grow() {
    for is_busy in [true, false] {
        let server = server(
            vec![watched("a", 1, &[], ""), watched("b", 1, &[], "")],
            &["a"],
        );
        let others = async {
            for version in 2.. {
                time::sleep(Duration::from_millis(130)).await;
                if is_busy {
                    changed(
                        &server,
                        &watched("b", 200 + version, &[], &version.to_string()),
                    );
                }
            }
        };
        work_for(&server, 40, others).await;
        let pauses = pauses(&server, "a");
        assert_eq!(pauses.len(), 5, "{pauses:?}");
        for (pause, least) in pauses.iter().zip([1.0, 2.0, 4.0, 8.0, 16.0]) {
            // It is looked at once a second.
            assert!((least..=least + 1.2).contains(pause), "{pauses:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_write_is_tried_again_as_soon_as_the_newer_version_comes() {
    let server = server(vec![watched("a", 1, &[], "")], &["a"]);
    let newer = async {
        // In the middle of the longest pause of those before.
        time::sleep(Duration::from_secs(10)).await;
        server.lock().unwrap().refused.clear();
        changed(&server, &watched("a", 2, &[], ""));
        time::sleep(Duration::from_secs(1)).await;
        let server = server.lock().unwrap();
        let (_, _, written) = server.writes.last().unwrap();
        assert_eq!(written["metadata"]["resourceVersion"], "2");
    };
    work_for(&server, 60, newer).await;
    let pauses = pauses(&server, "a");
    assert_eq!(pauses.len(), 4, "{pauses:?}");
    assert!(pauses[3] < 4.0, "it waited for its pause: {pauses:?}");
}

/// As a replica finds it that becomes active after the one that left it alone.
#[tokio::test(start_paused = true)]
async fn a_service_that_was_left_to_another_controller_is_so_by_a_replica_that_starts() {
    let text = "another controller replaced 203.0.113.0 in the status by 198.51.100.7, 2 times: the Service is left to it";
    for (reason, writes, contested) in [
        ("WrittenByAnother", 0, "contested: 1"),
        ("NoPool", 1, "contested: 0"),
    ] {
        let mut left = watched("a", 1, &["198.51.100.7"], "");
        left["status"]["conditions"] = json!([{
            "type": "routelet.dev/AddressAssigned", "status": "False", "reason": reason, "message": text,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }]);
        let server = server(vec![left, watched("b", 1, &[], "")], &[]);
        let others = async {
            for version in 2.. {
                time::sleep(Duration::from_secs(1)).await;
                changed(
                    &server,
                    &watched("b", 200 + version, &[], &version.to_string()),
                );
            }
        };
        let page = work_for(&server, 900, others).await;
        let server = server.lock().unwrap();
        let of_a = server.writes.iter().filter(|(_, name, _)| name == "a");
        assert_eq!(of_a.count(), writes, "{reason}");
        assert!(page.contains(contested), "{page}");
    }
}

/// The address is another's who is to lose it, and whose status is left to another controller or cannot be written.
#[tokio::test(start_paused = true)]
async fn who_waits_for_an_address_that_is_not_released_says_so_once() {
    let asks = |name: &str, address: &str, held: &[&str]| {
        let mut object = watched(name, 1, held, "");
        object["metadata"]["annotations"] = json!({"routelet.dev/addresses": address});
        object
    };
    let mut left = asks("a", "203.0.113.0", &["203.0.113.1"]);
    left["status"]["conditions"] = json!([{
        "type": "routelet.dev/AddressAssigned", "status": "False", "reason": "WrittenByAnother",
        "message": "another controller replaced 203.0.113.0 in the status by 203.0.113.1, 2 times: the Service is left to it",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }]);
    let mut refused = watched("a", 1, &["203.0.113.1"], "");
    refused["spec"]["type"] = json!("ClusterIP");
    for (holder, refuses, text) in [
        (left, &[][..], "another controller writes"),
        (refused, &["a"][..], "rejects the change of its status"),
    ] {
        let server = server(vec![holder, asks("b", "203.0.113.1", &[])], refuses);
        let page = work_for(&server, 900, std::future::pending()).await;
        let server = server.lock().unwrap();
        let of_b = server.writes.iter().filter(|(_, name, _)| name == "b");
        let of_b: Vec<&Value> = of_b.map(|(.., body)| &body["status"]).collect();
        assert_eq!(of_b.len(), 1, "{of_b:?}");
        assert!(of_b[0]["loadBalancer"].is_null(), "{of_b:?}");
        let message = of_b[0]["conditions"][0]["message"].as_str().unwrap();
        assert!(message.contains(text), "{message}");
        assert!(page.contains("promised: 1"), "{page}");
    }
}
