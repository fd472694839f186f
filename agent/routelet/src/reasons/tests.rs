//! Claims about what is said of real errors.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use axum::Router;
use axum::http::{Request, Response, StatusCode, Uri};
use k8s_openapi::api::core::v1::Node;
use kube::client::Body;
use kube::{Api, Client, Config};
use serde_json::{Value, json};

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

/// What is said of a server's answer, as a client gets it.
async fn answered(code: u16, body: String) -> String {
    let answer = move |_: Request<Body>| {
        let body = body.clone();
        async move {
            let response = Response::builder().status(StatusCode::from_u16(code).unwrap());
            Ok::<_, std::convert::Infallible>(response.body(Body::from(body.into_bytes())).unwrap())
        }
    };
    let client = Client::new(tower::service_fn(answer), "routelet-system");
    let error = Api::<Node>::all(client)
        .list(&Default::default())
        .await
        .unwrap_err();
    of_request(&error)
}

fn status(code: u16, reason: &str, message: &str, details: &Value) -> String {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "reason": reason,
        "details": details, "code": code,
    })
    .to_string()
}

fn forbidden(user: &str, right: &str) -> String {
    status(
        403,
        "Forbidden",
        &format!("x is forbidden: User \"{user}\" cannot {right}"),
        &json!({}),
    )
}

#[tokio::test]
async fn an_answer_of_the_server_says_what_to_do() {
    let agent = "system:serviceaccount:routelet-system:routelet-agent";
    let etcd = "etcdserver: request timed out";
    for (code, body, expected) in [
        (
            401,
            status(401, "Unauthorized", "Unauthorized", &json!({})),
            "the API server does not accept the credentials (401 Unauthorized): the token or certificate has expired, or is of \
             another cluster",
        ),
        (
            403,
            forbidden(
                agent,
                "list resource \"routers\" in API group \"routelet.dev\" at the cluster scope",
            ),
            "not allowed to list routers.routelet.dev (403 Forbidden): ClusterRole routelet-agent grants it: apply \
             deploy/agent/rbac.yaml of this version",
        ),
        (
            403,
            status(
                403,
                "Forbidden",
                &format!(
                    "secrets \"tor\" is forbidden: User \"{agent}\" cannot watch resource \"secrets\" in API group \"\" in the \
                     namespace \"routelet-system\""
                ),
                &json!({}),
            ),
            "not allowed to watch secrets tor in namespace routelet-system (403 Forbidden): add its name to resourceNames of Role \
             routelet-agent (deploy/agent/rbac.yaml), or name a Secret that is in there",
        ),
        (
            403,
            forbidden(
                "jane",
                "patch resource \"services/status\" in API group \"\" in the namespace \"shop\"",
            ),
            "not allowed to patch services/status in namespace shop (403 Forbidden): grant it to user jane; the roles in deploy/ \
             have all that is needed",
        ),
        (
            403,
            forbidden(
                "system:serviceaccount:kube-system:other",
                "list resource \"nodes\" in API group \"\" at the cluster scope",
            ),
            "not allowed to list nodes (403 Forbidden): grant it to ServiceAccount other of namespace kube-system; the roles in \
             deploy/ have all that is needed",
        ),
        (
            404,
            "404 page not found\n".to_owned(),
            "the API server does not know the kind (404 Not Found): the definitions of routelet.dev are not installed, or older \
             than this version. Install them: routelet crds | kubectl apply --server-side -f -",
        ),
        (
            404,
            status(
                404,
                "NotFound",
                "nodes \"n1\" not found",
                &json!({"name": "n1", "kind": "nodes"}),
            ),
            "it does not exist (404 Not Found): nodes \"n1\" not found",
        ),
        (
            409,
            status(
                409,
                "Conflict",
                "the object has been modified",
                &json!({"name": "n1"}),
            ),
            "the object has changed meanwhile (409 Conflict): the object has been modified",
        ),
        (
            410,
            status(
                410,
                "Expired",
                "too old resource version: 1 (2)",
                &json!({}),
            ),
            "the requested version is too old (410 Gone): listing again",
        ),
        (
            422,
            status(
                422,
                "Invalid",
                "Peer \"x\" is invalid: spec.asn: Required value",
                &json!({"name": "x"}),
            ),
            "the API server rejects the object (422 Invalid): Peer \"x\" is invalid: spec.asn: Required value",
        ),
        (
            429,
            status(
                429,
                "TooManyRequests",
                "too many requests",
                &json!({"retryAfterSeconds": 1}),
            ),
            "the API server is overloaded and asks to retry later (429 Too Many Requests)",
        ),
        (
            500,
            status(500, "InternalError", etcd, &json!({})),
            "the API server failed (500 Internal Server Error): etcdserver: request timed out",
        ),
        (
            503,
            "upstream connect error\r\nor disconnect".to_owned(),
            "the API server, or what it depends on, does not answer (503): upstream connect error\\r\\nor disconnect",
        ),
        (
            200,
            "<html>a proxy</html>".to_owned(),
            "the answer is not one of the Kubernetes API: does the address lead to an API server of a supported version?",
        ),
    ] {
        let said = answered(code, body).await;
        assert_eq!(said, expected);
        good(&said);
    }
    let page = answered(502, "x".repeat(10_000)).await;
    assert!(page.len() < 300, "{page}");
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

/// The way in for texts such as `Permission denied (os error 13)`: an error type that holds the system's error as it is.
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
