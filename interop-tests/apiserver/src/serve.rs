//! The edge: HTTP in, HTTP out.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, USER_AGENT, WARNING};
use axum::http::{HeaderName, Method, StatusCode};
use axum::response::Response;
use futures::stream::poll_fn;
use serde_json::Value;
use tokio::sync::watch;

use super::core::{Answer, Core};
use super::failure::Failure;
use super::rbac::Subject;
use super::request::{Call, Query, Target, Verb};
use super::table::table;
use super::watch as watches;

/// The largest body, as the real server's for etcd's sake.
const LARGEST: usize = 3 * 1024 * 1024;

/// What every request needs.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) core: Arc<Mutex<Core>>,
    /// Changes when all watches are to break.
    pub(crate) cut: watch::Receiver<u64>,
}

impl Shared {
    fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The routes: one, because paths depend on what is stored.
pub(crate) fn router(shared: Shared) -> Router {
    Router::new().fallback(handle).with_state(shared)
}

async fn handle(State(shared): State<Shared>, request: Request) -> Response {
    let delay = shared.core().faults.delay;
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    match answer(&shared, request).await {
        Ok(response) => response,
        Err(failure) => refusal(&failure),
    }
}

async fn answer(shared: &Shared, request: Request) -> Result<Response, Failure> {
    let (parts, body) = request.into_parts();
    let header = |name: HeaderName| {
        let value = parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let path = parts.uri.path();
    let authorization = header(AUTHORIZATION);
    let authorization = Some(authorization.as_str()).filter(|text| !text.is_empty());
    let subject = shared.core().authenticate(authorization)?;
    if matches!(path, "/healthz" | "/livez" | "/readyz") {
        return Ok(Response::new(Body::from("ok")));
    }
    if let Some(found) = shared.core().discover(path) {
        if subject.is_anonymous() && path != "/version" {
            let why = format!("User \"system:anonymous\" cannot get path \"{path}\"");
            return Err(Failure::new(403, "Forbidden", format!("forbidden: {why}")));
        }
        return Ok(json(200, &found));
    }
    let target = Target::parse(path).ok_or_else(Failure::no_such_path)?;
    let resource = shared.core().resolve(&target)?;
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    let verb = verb(&parts.method, &target, &query)?;
    let body = to_bytes(body, LARGEST).await.map_err(|_| {
        Failure::new(
            413,
            "RequestEntityTooLarge",
            "Request entity too large: limit is 3145728",
        )
    })?;
    let call = Call {
        verb,
        resource,
        namespace: target.namespace,
        name: target.name,
        subresource: target.subresource,
        query,
        content_type: header(CONTENT_TYPE),
        body: body.to_vec(),
        agent: header(USER_AGENT),
    };
    let mut core = shared.core();
    *core
        .counts
        .entry((verb, call.resource.plural.clone()))
        .or_default() += 1;
    if let Some(failure) = core.faults.take(&call.resource.plural) {
        return Err(failure);
    }
    authorize(&core, &subject, &call)?;
    if verb == Verb::Watch {
        let watcher = core.watch(&call)?;
        drop(core);
        let mut lines = watches::run(&shared.core, watcher, shared.cut.clone())?;
        let body = Body::from_stream(poll_fn(move |context| lines.poll_recv(context)));
        return build(200, body, &[]);
    }
    let answered = core.call(&call)?;
    drop(core);
    let accept = header(ACCEPT);
    if accept.contains("as=Table") && matches!(verb, Verb::Get | Verb::List) {
        return Ok(json(200, &table(&call.resource, &answered.body)));
    }
    respond(&answered)
}

fn authorize(core: &Core, subject: &Subject, call: &Call) -> Result<(), Failure> {
    core.authorize(subject, call.verb.as_str(), call)?;
    // Applying what is not there creates it, which has to be allowed, too.
    let applied =
        call.verb == Verb::Patch && call.content_type.starts_with("application/apply-patch");
    if applied && core.store.get(&Core::key(call)).is_none() {
        core.authorize(subject, Verb::Create.as_str(), call)?;
    }
    Ok(())
}

fn verb(method: &Method, target: &Target, query: &Query) -> Result<Verb, Failure> {
    let named = !target.name.is_empty();
    match (method.as_str(), named) {
        ("GET", false) if query.is("watch") => Ok(Verb::Watch),
        ("GET", false) => Ok(Verb::List),
        ("GET", true) => Ok(Verb::Get),
        ("POST", false) => Ok(Verb::Create),
        ("PUT", true) => Ok(Verb::Update),
        ("PATCH", true) => Ok(Verb::Patch),
        ("DELETE", true) if target.subresource.is_empty() => Ok(Verb::Delete),
        ("DELETE", false) => Ok(Verb::DeleteCollection),
        _ => Err(Failure::method_not_allowed()),
    }
}

fn respond(answer: &Answer) -> Result<Response, Failure> {
    let warnings: Vec<(HeaderName, String)> = answer
        .warnings
        .iter()
        .map(|warning| {
            (
                WARNING,
                format!("299 - \"{}\"", warning.replace('"', "\\\"")),
            )
        })
        .collect();
    build(answer.code, answer.body.to_string().into(), &warnings)
}

fn build(code: u16, body: Body, headers: &[(HeaderName, String)]) -> Result<Response, Failure> {
    let mut response = Response::builder()
        .status(code)
        .header(CONTENT_TYPE, "application/json");
    for (name, value) in headers {
        response = response.header(name, value);
    }
    response
        .body(body)
        .map_err(|error| Failure::new(500, "InternalError", error.to_string()))
}

fn json(code: u16, value: &Value) -> Response {
    build(code, value.to_string().into(), &[]).unwrap_or_else(|failure| refusal(&failure))
}

fn refusal(failure: &Failure) -> Response {
    let mut response = Response::new(Body::from(failure.status().to_string()));
    *response.status_mut() =
        StatusCode::from_u16(failure.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        axum::http::HeaderValue::from_static("application/json"),
    );
    if let Some(seconds) = failure.retry_after {
        headers.insert(RETRY_AFTER, seconds.into());
    }
    response
}
