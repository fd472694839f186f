//! Claims about what is said of real errors.
#![allow(clippy::unwrap_used)]

mod answers;

use std::time::Duration;

use axum::Router;
use axum::http::Uri;
use k8s_openapi::api::core::v1::Node;
use kube::{Api, Client, Config};

use super::*;

/// What no text for people may have in it.
const RAW: [&str; 14] = [
    "{",
    "}",
    "Status",
    "Some(",
    "None",
    "os error",
    "Error(",
    "Kind",
    "ApiError",
    "HyperError",
    "ServiceError",
    "hyper",
    "ConnectError",
    "\n",
];

fn good(text: &str) {
    for raw in RAW {
        assert!(!text.contains(raw), "{raw:?} in {text}");
    }
    assert!((20..400).contains(&text.len()), "{text}");
}

/// What is said of a server at this address.
async fn at(address: &str) -> String {
    let mut config = Config::new(address.parse::<Uri>().unwrap());
    config.connect_timeout = Some(Duration::from_millis(300));
    config.read_timeout = Some(Duration::from_millis(300));
    config.default_retry = false;
    let client = Client::try_from(config).unwrap();
    let error = Api::<Node>::all(client)
        .list(&Default::default())
        .await
        .unwrap_err();
    let said = of_request(&error);
    good(&said);
    said
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_said_to_be_so() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = listener.local_addr().unwrap();
    let closed = {
        let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        gone.local_addr().unwrap()
    };
    assert_eq!(
        at(&format!("http://{closed}")).await,
        "the API server refuses connections (Connection refused): is it running, and are address and port right?"
    );
    assert_eq!(
        at(&format!("http://{silent}")).await,
        "the API server does not answer in time"
    );
    assert_eq!(
        at("http://no.such.host.invalid").await,
        "the name of the API server cannot be resolved: is it right, and does the node's DNS answer?"
    );
    // A server that speaks HTTP where TLS is expected, and one that ends every connection.
    let plain = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = plain.local_addr().unwrap();
    let server = tokio::spawn(async move { axum::serve(plain, Router::new()).await });
    assert_eq!(
        at(&format!("https://{address}")).await,
        "the API server does not speak TLS there: is the port right?"
    );
    server.abort();
    let broken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = broken.local_addr().unwrap();
    let server = tokio::spawn(async move {
        while let Ok((stream, _)) = broken.accept().await {
            drop(stream);
        }
    });
    assert_eq!(
        at(&format!("http://{address}")).await,
        "the connection to the API server broke off"
    );
    server.abort();
}

#[test]
fn a_certificate_that_is_not_accepted_says_why() {
    for (cause, expected) in [
        (
            "invalid peer certificate: UnknownIssuer",
            "an authority that is not known here",
        ),
        (
            "invalid peer certificate: certificate expired: verification time 3 (UNIX)",
            "it has expired",
        ),
        (
            "invalid peer certificate: certificate not valid for name \"x\"",
            "for other names",
        ),
        (
            "received fatal alert: CertificateRequired",
            "the client's certificate",
        ),
        (
            "invalid peer certificate: BadEncoding",
            "it cannot be verified",
        ),
    ] {
        let error = kube::Error::Service(Box::new(io::Error::other(cause)));
        let said = of_request(&error);
        assert!(said.contains(expected), "{said}");
        good(&said);
    }
}

#[test]
fn what_many_watches_suffer_from_is_said_once_with_their_names() {
    let refused = Some("the API server refuses connections");
    let kinds = [
        ("Node", refused, true),
        ("Peer", refused, true),
        ("Router", Some("not allowed"), true),
        ("Service", refused, true),
        ("Secret", refused, false),
        ("Namespace", None, false),
        ("EndpointSlice", None, true),
    ];
    assert_eq!(
        of_watches(kinds.into_iter()),
        [
            "Node, Peer and Service objects cannot be watched: the API server refuses connections",
            "Router objects cannot be watched: not allowed",
            "Secret objects cannot be listed: the API server refuses connections",
            "Namespace objects are not listed yet",
        ]
    );
}

#[test]
fn a_cause_is_said_once() {
    let cause = io::Error::from_raw_os_error(libc::EACCES);
    let twice =
        anyhow::Error::new(OsError::from(cause)).context("cannot read x: Permission denied");
    assert_eq!(chain(&*twice), "cannot read x: Permission denied");
    let more = anyhow::anyhow!("connection refused").context("cannot ask the agent");
    assert_eq!(chain(&*more), "cannot ask the agent: connection refused");
}

/// The source of texts such as `Permission denied (os error 13)`: an error type that holds the system's error as it is.
#[test]
fn no_error_type_holds_an_error_of_the_system_as_it_is() {
    let workspace = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap();
    let mut folders = vec![workspace.join("bgp/src"), workspace.join("rib/src")];
    for part in std::fs::read_dir(workspace.join("agent")).unwrap() {
        folders.push(part.unwrap().path().join("src"));
    }
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            for (number, line) in text.lines().enumerate() {
                let line = line.trim();
                let field = [
                    "source: io::Error,",
                    "source: std::io::Error,",
                    "source: Arc<io::Error>,",
                    "#[from] io::Error,",
                ];
                let place = format!("{}:{}: OsError", path.display(), number + 1);
                assert!(!field.contains(&line), "{place}");
                seen += 1;
            }
        }
    }
    assert!(seen > 10_000, "{seen}");
}

#[test]
fn a_refusal_is_what_lasts_and_anything_else_comes_later() {
    use kube::core::Status;
    use kube::runtime::watcher::Error;
    let status = |code| Status {
        code,
        ..Status::default()
    };
    for (codes, expected) in [
        (&[400, 403, 404, 405, 422][..], true),
        (
            &[401, 408, 409, 410, 425, 429, 500, 502, 503, 504, 0],
            false,
        ),
    ] {
        for code in codes {
            let answers = [
                Error::WatchError(Box::new(status(*code))),
                Error::WatchStartFailed(kube::Error::Api(Box::new(status(*code)))),
                Error::InitialListFailed(kube::Error::Api(Box::new(status(*code)))),
                Error::WatchFailed(kube::Error::Api(Box::new(status(*code)))),
            ];
            for answer in answers {
                assert_eq!(is_refusal(&answer), expected, "{answer:?}");
            }
        }
    }
    let broken = kube::Error::ReadEvents(io::ErrorKind::TimedOut.into());
    assert!(!is_refusal(&Error::WatchFailed(broken)));
    assert!(!is_refusal(&Error::NoResourceVersion));
}
