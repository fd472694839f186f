//! The control interface end to end: the client, a real Unix socket, the server and a fake agent.

#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;

use routelet_control::client::ClientError;
use routelet_control::model::{
    DrainOrder, FibQuery, Match, PrefixFilter, ResetKind, RouteQuery, RouteView,
};
use routelet_control::protocol::Command;
use routelet_control::socket::SocketError;
use routelet_control::{Client, ControlError, ControlSocket, Health, serve};

use super::fake::Fake;

/// A fake agent that serves on a socket in a directory of its own until it is dropped.
pub(crate) struct Served {
    pub(crate) fake: Arc<Fake>,
    pub(crate) client: Client,
    pub(crate) socket: PathBuf,
    _runtime: tokio::runtime::Runtime,
    _directory: tempfile::TempDir,
}

pub(crate) fn served() -> Served {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("run/routelet.sock");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let fake = Arc::new(Fake::new());
    let _guard = runtime.enter();
    let bound = ControlSocket::bind(&socket).unwrap();
    runtime.spawn(serve(bound, Health::new(Arc::clone(&fake))));
    Served {
        fake,
        client: Client::new(&socket),
        socket,
        _runtime: runtime,
        _directory: directory,
    }
}

fn best() -> RouteQuery {
    RouteQuery {
        view: RouteView::Best,
        peer: None,
        family: None,
        prefix: None,
    }
}

/// Sends one raw line and returns the last line of the answer.
fn raw(served: &Served, line: &str) -> String {
    let mut stream = UnixStream::connect(&served.socket).unwrap();
    stream.write_all(line.as_bytes()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    BufReader::new(stream).lines().last().unwrap().unwrap()
}

#[test]
fn what_the_backend_answers_arrives_unchanged() {
    let served = served();
    let mut status = served.client.status().unwrap();
    assert!(status.readiness.take().is_some(), "the server fills it in");
    assert_eq!(status, super::fake::status());
    assert_eq!(served.client.peers(None).unwrap(), super::fake::peers());
    let service = served
        .client
        .explain_service("shop".into(), "web".into())
        .unwrap();
    assert_eq!(service, served.fake.edit(|s| s.service.clone()));
    let prefix = served
        .client
        .explain_prefix("0.0.0.0/0".parse().unwrap())
        .unwrap();
    assert_eq!(prefix, served.fake.edit(|s| s.prefix.clone()));
}

#[test]
fn large_tables_come_whole_and_in_order_in_many_batches() {
    let served = served();
    let template = served.fake.edit(|s| s.routes[0].1.clone());
    served.fake.edit(|s| {
        s.routes = (0..20_000u32)
            .map(|i| {
                let mut route = template.clone();
                route.prefix = format!("{}/32", std::net::Ipv4Addr::from_bits(i))
                    .parse()
                    .unwrap();
                (RouteView::Best, route)
            })
            .collect();
    });
    let (mut batches, mut prefixes) = (0, Vec::new());
    served
        .client
        .routes(best(), |batch| {
            batches += 1;
            prefixes.extend(batch.into_iter().map(|r| r.prefix));
            true
        })
        .unwrap();
    assert_eq!((batches, prefixes.len()), (10_000, 20_000));
    assert!(prefixes.is_sorted());

    // A client that has seen enough leaves, and the server goes on serving others.
    let mut seen = 0;
    served
        .client
        .routes(best(), |_| {
            seen += 1;
            seen < 3
        })
        .unwrap();
    assert_eq!(seen, 3);
    assert!(served.client.status().is_ok());
}

#[test]
fn filters_reach_the_backend() {
    let served = served();
    let prefixes = |filter| {
        let mut found = Vec::new();
        let query = RouteQuery {
            prefix: Some(filter),
            ..best()
        };
        served
            .client
            .routes(query, |batch| {
                found.extend(batch.iter().map(|r| r.prefix.to_string()));
                true
            })
            .unwrap();
        found
    };
    let filter = |prefix: &str, matching| PrefixFilter {
        prefix: prefix.parse().unwrap(),
        matching,
    };
    assert_eq!(
        prefixes(filter("10.244.1.0/24", Match::Exact)),
        ["10.244.1.0/24"]
    );
    assert_eq!(
        prefixes(filter("10.0.0.0/8", Match::Longer)),
        ["10.244.1.0/24", "10.244.2.0/24"]
    );
    assert_eq!(
        prefixes(filter("10.244.1.9/32", Match::Longest)),
        ["10.244.1.0/24"]
    );
    assert_eq!(prefixes(filter("10.244.1.9/32", Match::Exact)), [""; 0]);
    let mut entries = 0;
    let query = FibQuery {
        states: vec![routelet_control::model::FibState::Failed],
        ..FibQuery::default()
    };
    served
        .client
        .fib(query, |batch| {
            entries += batch.len();
            true
        })
        .unwrap();
    assert_eq!(entries, 1);
}

#[test]
fn commands_are_carried_out_and_refusals_say_why() {
    let served = served();
    let perform = |command| served.client.perform(command);
    perform(Command::Drain {
        order: DrainOrder::Drain,
    })
    .unwrap();
    perform(Command::ResetPeer {
        peer: "tor-a".into(),
        kind: ResetKind::Soft,
    })
    .unwrap();
    assert_eq!(
        served.fake.edit(|s| s.done.clone()),
        ["drain Drain", "reset tor-a Soft"]
    );
    let error = served.client.peers(Some("tor-x".into())).unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no peer \"tor-x\"; the peers are: mesh/node-2, tor-a, tor-b, tor-d"
    );
    served
        .fake
        .edit(|s| s.broken = Some(ControlError::Unavailable {}));
    assert!(matches!(
        served.client.status(),
        Err(ClientError::Agent(ControlError::Unavailable {}))
    ));
}

#[test]
fn a_bad_request_is_answered_and_nothing_else_suffers() {
    let served = served();
    let error = raw(&served, "{\"version\":9,\"command\":\"flyToTheMoon\"}\n");
    assert_eq!(
        error,
        r#"{"error":{"code":"unsupportedVersion","asked":9,"supported":1}}"#
    );
    let error = raw(&served, "{\"version\":1,\"command\":\"flyToTheMoon\"}\n");
    assert!(
        error.contains("badRequest") && error.contains("flyToTheMoon"),
        "{error}"
    );
    for nonsense in ["GET / HTTP/1.1\r\n", "{}\n", "no newline", "", "\u{0}\n"] {
        let error = raw(&served, nonsense);
        assert!(error.contains("badRequest"), "{nonsense:?}: {error}");
    }
    assert!(served.client.status().is_ok());
}

#[test]
fn an_answer_cut_short_is_never_taken_for_whole() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let listener = UnixListener::bind(&path).unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut line = String::new();
        BufReader::new(stream.try_clone().unwrap())
            .read_line(&mut line)
            .unwrap();
        stream
            .write_all(b"{\"hello\":{\"version\":1,\"agent\":\"x\"}}\n{\"routes\":[]}\n")
            .unwrap();
    });
    let error = Client::new(&path).routes(best(), |_| true).unwrap_err();
    server.join().unwrap();
    assert!(matches!(error, ClientError::CutShort { .. }), "{error}");
}

#[test]
fn the_socket_is_for_owner_and_group_only() {
    let served = served();
    let mode = std::fs::metadata(&served.socket)
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o660);
    let names: Vec<_> = std::fs::read_dir(served.socket.parent().unwrap())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(names, ["routelet.sock"], "no temporary name is left");
}

#[tokio::test]
async fn a_stale_socket_is_taken_over_and_a_living_one_never() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("routelet.sock");
    drop(UnixListener::bind(&path).unwrap());
    let error = Client::new(&path).status().unwrap_err();
    assert!(matches!(error, ClientError::Stale { .. }), "{error}");

    let first = ControlSocket::bind(&path).unwrap();
    let error = ControlSocket::bind(&path).unwrap_err();
    let SocketError::InUse { pid, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(*pid, Some(std::process::id() as i32));
    assert!(path.exists());
    drop(first);
    assert!(!path.exists());
    let error = Client::new(&path).status().unwrap_err();
    assert!(matches!(error, ClientError::NotRunning { .. }), "{error}");

    std::fs::write(&path, "a file").unwrap();
    let error = ControlSocket::bind(&path).unwrap_err();
    assert!(matches!(error, SocketError::NotASocket { .. }), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "a file");

    let long = directory.path().join("x".repeat(108));
    let error = ControlSocket::bind(&long).unwrap_err();
    assert!(matches!(error, SocketError::TooLong { .. }), "{error}");
}

#[test]
fn the_json_shapes_are_pinned() {
    let fake = Fake::new();
    fake.edit(|state| {
        insta::assert_json_snapshot!("status", state.status);
        insta::assert_json_snapshot!("peers", state.peers);
        insta::assert_json_snapshot!("routes", state.routes);
        insta::assert_json_snapshot!("fib", state.fib);
        insta::assert_json_snapshot!("explain_prefix", state.prefix);
        insta::assert_json_snapshot!("explain_service", state.service);
    });
}

#[test]
fn the_requests_are_pinned() {
    let line = |command| {
        serde_json::to_string(&routelet_control::protocol::Request {
            version: routelet_control::protocol::VERSION,
            command,
        })
        .unwrap()
    };
    assert_eq!(line(Command::Status), r#"{"version":1,"command":"status"}"#);
    let query = RouteQuery {
        view: RouteView::Received,
        peer: Some("tor-a".into()),
        family: Some("ipv6".parse().unwrap()),
        prefix: Some(PrefixFilter {
            prefix: "2001:db8::/32".parse().unwrap(),
            matching: Match::Longer,
        }),
    };
    assert_eq!(
        line(Command::Routes { query }),
        r#"{"version":1,"command":"routes","query":{"view":"received","peer":"tor-a","family":"ipv6-unicast","prefix":{"prefix":"2001:db8::/32","matching":"longer"}}}"#
    );
}
