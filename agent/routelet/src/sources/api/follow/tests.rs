//! What is asked of servers of several kinds, and what comes of it. A server is a list of answers.
#![allow(clippy::unwrap_used)]

use std::convert::Infallible;
use std::pin::pin;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State as Shared};
use axum::http::{Response, StatusCode};
use futures::FutureExt;
use k8s_openapi::api::core::v1::Namespace;
use kube::Client;
use serde_json::{Value, json};

use super::*;

/// An answer: its code, its lines, and whether the connection stays open behind them.
type Answer = (u16, Vec<Value>, bool);

#[derive(Default)]
struct Server {
    answers: VecDeque<Answer>,
    asked: Vec<String>,
}

async fn serve(Shared(server): Shared<Arc<Mutex<Server>>>, request: Request) -> Response<Body> {
    let mut server = server.lock().unwrap();
    let query = request.uri().query().unwrap_or_default();
    let pairs = form_urlencoded_pairs(query);
    let said = pairs.into_iter().filter(|(name, _)| {
        [
            "watch",
            "sendInitialEvents",
            "resourceVersion",
            "resourceVersionMatch",
            "limit",
            "continue",
        ]
        .contains(&name.as_str())
    });
    let said: Vec<String> = said
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    server.asked.push(said.join(" "));
    let Some((code, lines, open)) = server.answers.pop_front() else {
        // Nothing happens any more.
        let silence = stream::pending::<std::result::Result<String, Infallible>>();
        return Response::new(Body::from_stream(silence));
    };
    let lines: Vec<_> = lines
        .iter()
        .map(|line| Ok::<_, Infallible>(format!("{line}\n")))
        .collect();
    let lines = stream::iter(lines);
    let body = match open {
        true => Body::from_stream(lines.chain(stream::pending())),
        false => Body::from_stream(lines),
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(code).unwrap();
    response
}

fn form_urlencoded_pairs(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn object(name: &str, version: u32) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": name, "resourceVersion": version.to_string()},
    })
}

fn event(kind: &str, object: Value) -> Value {
    json!({"type": kind, "object": object})
}

fn end(version: u32) -> Value {
    let mut mark = object("", version);
    mark["metadata"]["annotations"] = json!({END: "true"});
    event("BOOKMARK", mark)
}

fn failure(code: u16) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": "", "message": "no",
    })
}

fn list(names: &[&str], version: u32, next: &str) -> Value {
    let items: Vec<Value> = names.iter().map(|name| object(name, 1)).collect();
    json!({
        "apiVersion": "v1", "kind": "NamespaceList", "items": items,
        "metadata": {"resourceVersion": version.to_string(), "continue": next},
    })
}

/// The events from a server with these answers, until it is silent, without those of watches that hold; and the
/// requests.
async fn followed(answers: Vec<Answer>) -> (Vec<String>, Vec<String>) {
    let (mut seen, asked) = followed_as(answers, Config::default().any_semantic()).await;
    seen.retain(|event| event != "Holds");
    (seen, asked)
}

async fn followed_as(answers: Vec<Answer>, config: Config) -> (Vec<String>, Vec<String>) {
    let server = Arc::new(Mutex::new(Server {
        answers: answers.into(),
        asked: Vec::new(),
    }));
    let router = Router::new().fallback(serve).with_state(server.clone());
    let client = Client::new(router, "default");
    let mut events = pin!(follow(Api::<Namespace>::all(client), config));
    let mut seen = Vec::new();
    while let Ok(Some(event)) = timeout(Duration::from_secs(60), events.next()).await {
        seen.push(match event {
            Ok(WatchProgress::Event(event)) => event.to_string(),
            Ok(WatchProgress::Holds) => "Holds".to_owned(),
            Err(Error::WatchError(status)) => format!("error {}", status.code),
            Err(
                Error::InitialListFailed(error)
                | Error::WatchStartFailed(error)
                | Error::WatchFailed(error),
            ) => format!("error {:?}", code(&error)),
            Err(error) => error.to_string(),
        });
    }
    assert!(events.next().now_or_never().is_none());
    let asked = server.lock().unwrap().asked.clone();
    (seen, asked)
}

const STREAM: &str =
    "watch=true sendInitialEvents=true resourceVersionMatch=NotOlderThan resourceVersion";

fn stream_of(version: &str) -> String {
    format!("{STREAM}={version}")
}

#[tokio::test(start_paused = true)]
async fn what_there_is_streams_out_of_the_cache() {
    let first = vec![
        event("ADDED", object("a", 1)),
        event("ADDED", object("b", 2)),
        end(5),
        event("MODIFIED", object("a", 6)),
    ];
    let (seen, asked) = followed(vec![(200, first, false)]).await;
    assert_eq!(
        seen,
        [
            "Init",
            "InitApply(a)",
            "InitApply(b)",
            "InitDone",
            "Apply(a)"
        ]
    );
    // And goes on where it ended.
    assert_eq!(
        asked[..2],
        [stream_of("0"), "watch=true resourceVersion=6".to_owned()]
    );
}

/// Who gives away what nobody else has must not begin with an old list.
#[tokio::test(start_paused = true)]
async fn who_needs_the_newest_is_not_served_out_of_an_old_cache() {
    let stream = vec![(200, vec![end(5)], false)];
    let (_, asked) = followed_as(stream, Config::default()).await;
    assert_eq!(asked[0], stream_of(""));
    let lists = vec![
        (422, vec![failure(422)], false),
        (200, vec![list(&["a"], 7, "")], false),
    ];
    let (_, asked) = followed_as(lists, Config::default()).await;
    assert!(!asked[1].contains("resourceVersion"), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_without_streams_is_asked_for_a_list_out_of_its_cache() {
    for code in [400, 422] {
        let answers = vec![
            (code, vec![failure(code)], false),
            (200, vec![list(&["a"], 7, "")], false),
        ];
        let (seen, asked) = followed(answers).await;
        assert_eq!(seen, ["Init", "InitApply(a)", "InitDone"]);
        let expected = [
            &stream_of("0"),
            "resourceVersion=0 resourceVersionMatch=NotOlderThan",
            "watch=true resourceVersion=7",
        ];
        assert_eq!(asked[..3], expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_sends_no_end_of_what_there_is_is_asked_for_a_list() {
    let answers = vec![
        (200, vec![event("ADDED", object("a", 1))], true),
        (200, vec![list(&["a"], 7, "")], false),
    ];
    let (seen, _) = followed(answers).await;
    assert_eq!(
        seen,
        ["Init", "InitApply(a)", "Init", "InitApply(a)", "InitDone"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_too_old_begins_anew_with_nothing_older_than_what_was_seen() {
    let answers = vec![
        (200, vec![end(5), event("ADDED", object("a", 8))], false),
        (200, vec![event("ERROR", failure(410))], false),
        (200, vec![event("ADDED", object("a", 8)), end(9)], true),
    ];
    let (seen, asked) = followed(answers).await;
    assert_eq!(
        seen,
        [
            "Init",
            "InitDone",
            "Apply(a)",
            "error 410",
            "Init",
            "InitApply(a)",
            "InitDone"
        ]
    );
    assert_eq!(
        asked[1..3],
        ["watch=true resourceVersion=8".to_owned(), stream_of("8")]
    );
}

/// A version that the cache has not reached, in the words of servers of today, and of those before 1.21.
fn ahead() -> [Value; 2] {
    let mut cause = failure(504);
    cause["details"] = json!({"causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]});
    let mut words = failure(504);
    words["message"] = json!("Timeout: Too large resource version: 500, current: 8");
    [cause, words]
}

/// Such as one whose etcd was restored from a backup: it will never be as new as what was seen.
#[tokio::test(start_paused = true)]
async fn what_the_cache_cannot_serve_is_read_out_of_etcd() {
    let [cause, words] = ahead();
    for (answer, expected) in [
        ((410, failure(410)), ""),
        ((504, cause.clone()), ""),
        ((504, words), ""),
        ((200, event("ERROR", cause)), ""),
        // Who is overloaded is not asked for more.
        ((504, failure(504)), "500"),
        ((503, failure(503)), "500"),
        ((429, failure(429)), "500"),
        ((200, event("ERROR", failure(504))), "500"),
    ] {
        let (code, body) = answer;
        let answers = vec![
            (200, vec![end(500)], false),
            (410, vec![failure(410)], false),
            (code, vec![body.clone()], false),
            (200, vec![event("ADDED", object("a", 8)), end(9)], true),
        ];
        let (seen, asked) = followed(answers).await;
        assert_eq!(seen.last().unwrap(), "InitDone", "{seen:?}");
        let last = asked.last().unwrap();
        assert_eq!(*last, stream_of(expected), "{body} {asked:?}");
    }
}

/// Such a server accepts a watch from a version that it has not reached, and says nothing.
#[tokio::test(start_paused = true)]
async fn a_watch_that_hears_nothing_for_its_whole_time_begins_anew_out_of_etcd() {
    let server = Arc::new(Mutex::new(Server {
        answers: vec![
            (200, vec![end(500)], false),
            (200, vec![], true),
            (200, vec![event("ADDED", object("a", 8)), end(9)], true),
        ]
        .into(),
        asked: Vec::new(),
    }));
    let router = Router::new().fallback(serve).with_state(server.clone());
    let client = Client::new(router, "default");
    let config = Config::default().any_semantic();
    let mut events = pin!(follow(Api::<Namespace>::all(client), config));
    let mut seen = Vec::new();
    while seen.len() < 5 {
        let event = timeout(Duration::from_secs(900), events.next()).await;
        if let WatchProgress::Event(event) = event.unwrap().unwrap().unwrap() {
            seen.push(event.to_string());
        }
    }
    assert_eq!(
        seen,
        ["Init", "InitDone", "Init", "InitApply(a)", "InitDone"]
    );
    let asked = server.lock().unwrap().asked.clone();
    assert_eq!(asked[1], "watch=true resourceVersion=500");
    assert_eq!(asked[2], stream_of(""));
}

#[tokio::test(start_paused = true)]
async fn a_list_out_of_etcd_comes_in_pages() {
    let answers = vec![
        (422, vec![failure(422)], false),
        (504, vec![ahead()[0].clone()], false),
        (200, vec![list(&["a"], 7, "more")], false),
        (200, vec![list(&["b"], 7, "")], false),
    ];
    let (seen, asked) = followed(answers).await;
    let expected = [
        "Init",
        "error Some(504)",
        "Init",
        "InitApply(a)",
        "InitApply(b)",
        "InitDone",
    ];
    assert_eq!(seen, expected);
    assert_eq!(asked[2..4], ["limit=500", "limit=500 continue=more"]);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_told_and_asked_again() {
    let answers = vec![(403, vec![failure(403)], false), (200, vec![end(5)], true)];
    let (seen, asked) = followed(answers).await;
    assert_eq!(seen, ["error Some(403)", "Init", "InitDone"]);
    assert_eq!(asked, [stream_of("0"), stream_of("0")]);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_off_before_its_end_begins_anew() {
    let answers = vec![
        (200, vec![event("ADDED", object("a", 1))], false),
        (200, vec![end(5)], true),
    ];
    let (seen, _) = followed(answers).await;
    assert_eq!(seen, ["Init", "InitApply(a)", "Init", "InitDone"]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_taken_after_a_failure_is_said_to_hold_before_anything_happens() {
    let mark = event("BOOKMARK", object("", 6));
    let answers = vec![
        (200, vec![end(5)], false),
        (503, vec![failure(503)], false),
        // It is taken, and fails at once.
        (200, vec![event("ERROR", failure(500))], false),
        (200, vec![], true),
    ];
    let config = || Config::default().any_semantic();
    let (seen, _) = followed_as(answers, config()).await;
    let expected = ["Init", "InitDone", "error Some(503)", "error 500", "Holds"];
    assert_eq!(seen, expected);
    // A bookmark says so, too, and it is said once.
    let marked = vec![
        (200, vec![end(5)], false),
        (200, vec![mark.clone(), mark], true),
    ];
    let (seen, _) = followed_as(marked, config()).await;
    assert_eq!(seen, ["Init", "InitDone", "Holds"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_deleted_before_the_end_of_what_there_is_is_gone() {
    let first = vec![
        event("ADDED", object("a", 1)),
        event("DELETED", object("a", 2)),
        end(5),
    ];
    let (seen, _) = followed(vec![(200, first, true)]).await;
    assert_eq!(seen, ["Init", "InitApply(a)", "Delete(a)", "InitDone"]);
}
