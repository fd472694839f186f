//! The writer against an API server of three objects: what it asks for, and what it makes of the answers.
#![allow(clippy::unwrap_used)]

use std::sync::Mutex;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Method, Response, StatusCode};
use serde_json::{Value, json};

use super::*;
use crate::contract::fake;

/// A Node and a RouterState, if they are there, and the statuses that were written.
#[derive(Debug, Default)]
struct Server {
    node: Option<&'static str>,
    state: Option<Value>,
    statuses: usize,
    /// Answers every request so.
    fails: Option<StatusCode>,
    requests: usize,
}

type Shared = Arc<Mutex<Server>>;

async fn serve(State(server): State<Shared>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let sent = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let mut server = server.lock().unwrap();
    server.requests += 1;
    if let Some(code) = server.fails {
        let status = json!({"kind": "Status", "status": "Failure", "code": code.as_u16(), "reason": "", "message": "later"});
        let response = Response::builder().status(code);
        return response.body(Body::from(status.to_string())).unwrap();
    }
    let found = match (parts.method, path.as_str()) {
        (Method::GET, "/api/v1/nodes/node-1") => server
            .node
            .map(|uid| json!({"metadata": {"name": "node-1", "uid": uid}})),
        (Method::GET, "/apis/routelet.dev/v1alpha1/routerstates/node-1") => {
            let query = parts.uri.query().unwrap();
            assert!(
                query.ends_with("resourceVersion=0"),
                "from the cache: {query}"
            );
            server.state.clone()
        }
        (Method::PATCH, "/apis/routelet.dev/v1alpha1/routerstates/node-1") => {
            let mut state: Value = serde_json::from_slice(&sent).unwrap();
            state["metadata"]["generation"] = json!(1);
            server.state = Some(state);
            server.state.clone()
        }
        (Method::PATCH, "/apis/routelet.dev/v1alpha1/routerstates/node-1/status") => {
            let found = server.state.clone();
            server.statuses += usize::from(found.is_some());
            found
        }
        other => panic!("{other:?}"),
    };
    let (code, found) = match found {
        Some(found) => (StatusCode::OK, found),
        None => (
            StatusCode::NOT_FOUND,
            json!({"kind": "Status", "status": "Failure", "code": 404, "reason": "NotFound", "message": "not found"}),
        ),
    };
    Response::builder()
        .status(code)
        .body(Body::from(found.to_string()))
        .unwrap()
}

fn start(node: Option<&'static str>) -> (Shared, Writer, Instant) {
    let server = Shared::default();
    server.lock().unwrap().node = node;
    let router = Router::new().fallback(serve).with_state(server.clone());
    let now = Instant::now();
    let client = Client::new(router, "default");
    (server, Writer::new(client, "node-1".to_owned(), now), now)
}

fn owner(server: &Shared) -> Option<String> {
    let server = server.lock().unwrap();
    let uid = &server.state.as_ref()?["metadata"]["ownerReferences"][0]["uid"];
    uid.as_str().map(ToOwned::to_owned)
}

fn statuses(server: &Shared) -> usize {
    server.lock().unwrap().statuses
}

#[tokio::test]
async fn a_router_state_made_before_its_node_becomes_the_nodes() {
    let (server, mut writer, now) = start(None);
    let (status, peers) = (fake::status(), fake::peers());
    writer.look(&status, &peers, now).await.unwrap();
    assert_eq!((owner(&server), statuses(&server)), (None, 1));
    server.lock().unwrap().node = Some("n1");
    // Within a minute and a quarter, and without writing the status again.
    let later = now + Duration::from_secs(76);
    writer.look(&status, &peers, later).await.unwrap();
    assert_eq!(
        (owner(&server), statuses(&server)),
        (Some("n1".to_owned()), 1)
    );
}

#[tokio::test]
async fn one_that_somebody_deletes_comes_back() {
    let (server, mut writer, now) = start(Some("n1"));
    let (status, peers) = (fake::status(), fake::peers());
    writer.look(&status, &peers, now).await.unwrap();
    server.lock().unwrap().state = None;
    let later = now + Duration::from_secs(76);
    writer.look(&status, &peers, later).await.unwrap();
    assert_eq!(
        (owner(&server), statuses(&server)),
        (Some("n1".to_owned()), 2)
    );
}

/// Checking again whether the object exists, and its owner, would take three requests instead of one.
#[tokio::test]
async fn a_server_that_says_later_is_asked_for_no_more_than_before() {
    for code in [429, 500, 503, 504] {
        let (server, mut writer, now) = start(Some("n1"));
        let (status, peers) = (fake::status(), fake::peers());
        writer.look(&status, &peers, now).await.unwrap();
        let later = now + Duration::from_secs(301);
        server.lock().unwrap().fails = Some(StatusCode::from_u16(code).unwrap());
        server.lock().unwrap().requests = 0;
        // It is looked whether the object is there, and the heartbeat is due.
        writer.look(&status, &peers, later).await.unwrap_err();
        let asked = server.lock().unwrap().requests;
        for second in 1..4 {
            let at = later + Duration::from_secs(second);
            writer.look(&status, &peers, at).await.unwrap_err();
        }
        assert_eq!(server.lock().unwrap().requests, asked + 3, "{code}");
        server.lock().unwrap().fails = None;
        let at = later + Duration::from_secs(5);
        writer.look(&status, &peers, at).await.unwrap();
        assert_eq!(server.lock().unwrap().requests, asked + 4, "{code}");
        assert_eq!(statuses(&server), 2);
    }
}

#[tokio::test]
async fn what_has_not_changed_is_not_written() {
    let (server, mut writer, now) = start(Some("n1"));
    let (status, peers) = (fake::status(), fake::peers());
    for second in 0..200 {
        let at = now + Duration::from_secs(second);
        writer.look(&status, &peers, at).await.unwrap();
    }
    assert_eq!(statuses(&server), 1);
    writer
        .look(&status, &peers, now + Duration::from_secs(301))
        .await
        .unwrap();
    assert_eq!(statuses(&server), 2, "the heartbeat");
}
