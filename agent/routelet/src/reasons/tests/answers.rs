//! What is said of an answer of the API server.

use axum::http::{Request, Response, StatusCode};
use kube::client::Body;
use serde_json::{Value, json};

use super::*;

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

/// What is said of each answer of a server: its code, its body, what is expected.
async fn are_said(answers: impl IntoIterator<Item = (u16, String, &str)>) {
    for (code, body, expected) in answers {
        let said = answered(code, body).await;
        assert_eq!(said, expected);
        good(&said);
    }
}

#[tokio::test]
async fn a_missing_permission_says_who_grants_it() {
    let agent = "system:serviceaccount:routelet-system:routelet-agent";
    are_said([
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
    ])
    .await;
}

#[tokio::test]
async fn an_answer_about_an_object_says_what_is_wrong_with_it() {
    are_said([
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
    ])
    .await;
}

#[tokio::test]
async fn an_answer_of_a_server_that_cannot_says_why() {
    let etcd = "etcdserver: request timed out";
    are_said([
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
    ])
    .await;
    let page = answered(502, "x".repeat(10_000)).await;
    assert!(page.len() < 300, "{page}");
}
