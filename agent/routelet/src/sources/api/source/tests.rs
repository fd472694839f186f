//! What is asked of an API server, and when.
#![allow(clippy::unwrap_used)]

use std::convert::Infallible;
use std::sync::Mutex;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;
use futures::stream::{self, StreamExt};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::*;

const DEADLINE: Duration = Duration::from_secs(20);

/// A server that has these Peers, a node, and no Secret. All watches stay open.
struct Server {
    peers: Vec<Value>,
    /// What happens to Peers later.
    events: Option<mpsc::UnboundedReceiver<Value>>,
    /// Of Secrets: by name, the version that was asked for.
    asked: Vec<(String, String)>,
}

async fn serve(State(server): State<Arc<Mutex<Server>>>, request: Request) -> Response<Body> {
    let mut server = server.lock().unwrap();
    let query = request.uri().query().unwrap_or_default();
    let value = |wanted: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let found = pairs.find(|(name, _)| *name == wanted);
        found.map_or_else(String::new, |(_, value)| value.to_owned())
    };
    let kind = request.uri().path().rsplit('/').next().unwrap_or_default();
    let mut events = None;
    let there = match kind {
        "peers" => {
            events = server.events.take();
            server.peers.clone()
        }
        "nodes" => vec![json!({"metadata": {"name": "n1", "resourceVersion": "1"}})],
        "secrets" => {
            let name = value("fieldSelector").replace("metadata.name%3D", "");
            server.asked.push((name, value("resourceVersion")));
            Vec::new()
        }
        _ => Vec::new(),
    };
    let end = json!({"type": "BOOKMARK", "object": {
        "apiVersion": "v1", "kind": "", "metadata": {
            "resourceVersion": "5", "annotations": {"k8s.io/initial-events-end": "true"},
        },
    }});
    let mut lines: Vec<Value> = there.into_iter().map(|one| event("ADDED", one)).collect();
    lines.push(end);
    let later = stream::unfold(events, |events| async {
        let mut events = events?;
        let event = events.recv().await?;
        Some((event, Some(events)))
    });
    let lines = stream::iter(lines).chain(later);
    let lines = lines.map(|line| Ok::<_, Infallible>(format!("{line}\n")));
    Response::new(Body::from_stream(lines.chain(stream::pending())))
}

fn event(kind: &str, object: Value) -> Value {
    json!({"type": kind, "object": object})
}

fn peer(name: &str, secret: &str) -> Value {
    json!({
        "apiVersion": "routelet.dev/v1alpha1", "kind": "Peer",
        "metadata": {"name": name, "resourceVersion": "2"},
        "spec": {"address": "192.0.2.1", "asn": 64500, "password": {"secretRef": {"name": secret}}},
    })
}

/// The cache of one server may be behind what another one has said of a Peer: a Secret that it does not have yet would
/// be missing, and end the session.
#[tokio::test]
async fn a_secret_that_is_asked_for_while_sessions_are_up_is_asked_for_in_the_newest_state() {
    let (happens, events) = mpsc::unbounded_channel();
    let server = Arc::new(Mutex::new(Server {
        peers: vec![peer("tor", "first")],
        events: Some(events),
        asked: Vec::new(),
    }));
    let router = axum::Router::new().fallback(serve);
    let client = Client::new(router.with_state(Arc::clone(&server)), "default");
    let source = ApiServer::start(
        &Clients::of(client),
        Some("routelet-system"),
        ("n1", AtomMap::default()),
    );
    let mut snapshots = source.watch();
    let synced = snapshots.wait_for(|snapshot| snapshot.source.synced);
    timeout(DEADLINE, synced).await.unwrap().unwrap();
    happens
        .send(event("MODIFIED", peer("tor", "second")))
        .unwrap();
    let names_second = |snapshot: &Snapshot| {
        let peer = snapshot.state.peers.get("tor");
        let password = peer.and_then(|peer| peer.spec.password.as_ref());
        let secret = password.and_then(|password| password.secret_ref.as_ref());
        secret.is_some_and(|secret| secret.name == "second")
    };
    let second = snapshots.wait_for(names_second);
    timeout(DEADLINE, second).await.unwrap().unwrap();
    let asked = server.lock().unwrap().asked.clone();
    let asked: Vec<(&str, &str)> = asked.iter().map(|(a, b)| (&**a, &**b)).collect();
    assert_eq!(asked, [("first", "0"), ("second", "")]);
}
