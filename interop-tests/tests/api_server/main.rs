//! What Routelet relies on in an API server: the fake one has it, and the real one, where KUBEBUILDER_ASSETS names the
//! folder of `kube-apiserver` and `etcd`.
#![allow(missing_docs)]

mod accounts;
mod changes;
mod ours;
mod services;

use std::future::Future;

use anyhow::{Context, Result, bail};
use interop_tests::apiserver::{ADMIN, Account, Server};
use kube::api::{Api, ApiResource, DynamicObject, PostParams};
use kube::{Client, Error};
use serde_json::{Value, json};

const NAMESPACE: &str = "routelet-system";
/// The oldest minor version of Kubernetes that Routelet is for: the first whose servers judge by the rules of
/// definitions.
const OLDEST: u32 = 25;

/// Runs a suite on a server with our definitions, roles and accounts.
fn with_server<F: Future<Output = Result<()>>>(suite: impl FnOnce(Clients) -> F) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let accounts = ["agent", "controller"]
        .map(|part| Account::service_account(part, NAMESPACE, &format!("routelet-{part}")));
    let server = Server::start(accounts.into())?;
    server.install(NAMESPACE)?;
    runtime.block_on(async {
        let clients = Clients {
            admin: server.client(ADMIN)?,
            agent: server.client("agent")?,
            controller: server.client("controller")?,
        };
        suite(clients).await
    })
}

struct Clients {
    admin: Client,
    agent: Client,
    controller: Client,
}

fn resource(api_version: &str, kind: &str, plural: &str) -> ApiResource {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    }
}

/// Objects of a kind of ours.
fn ours(client: &Client, kind: &str, plural: &str) -> Api<DynamicObject> {
    Api::all_with(
        client.clone(),
        &resource("routelet.dev/v1alpha1", kind, plural),
    )
}

fn peers(client: &Client) -> Api<DynamicObject> {
    ours(client, "Peer", "peers")
}

fn services(client: &Client) -> Api<DynamicObject> {
    Api::namespaced_with(
        client.clone(),
        NAMESPACE,
        &resource("v1", "Service", "services"),
    )
}

async fn create(client: &Client, namespace: Option<&str>, object: Value) -> Result<DynamicObject> {
    let kind = object["kind"].as_str().unwrap_or_default().to_owned();
    let version = object["apiVersion"].as_str().unwrap_or_default().to_owned();
    let plural = match kind.to_lowercase() {
        kind if kind.ends_with('y') => format!("{}ies", kind.trim_end_matches('y')),
        kind => format!("{kind}s"),
    };
    let kind = resource(&version, &kind, &plural);
    let api: Api<DynamicObject> = match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &kind),
        None => Api::all_with(client.clone(), &kind),
    };
    let text = object.to_string();
    let object = serde_json::from_value(object)?;
    api.create(&PostParams::default(), &object)
        .await
        .with_context(|| text)
}

fn peer(name: &str, spec: Value) -> DynamicObject {
    let object = json!({
        "apiVersion": "routelet.dev/v1alpha1", "kind": "Peer", "metadata": {"name": name}, "spec": spec,
    });
    serde_json::from_value(object).unwrap_or_else(|error| panic!("{error}"))
}

fn good() -> Value {
    json!({"address": "192.0.2.1", "asn": 64500})
}

/// Whether a server has a version that Routelet asks for. Says what is left out, if not.
async fn is_recent(client: &Client, what: &str) -> Result<bool> {
    let version = client.apiserver_version().await?.git_version;
    let minor = version.split('.').nth(1).context("v1.x.y")?.parse::<u32>();
    let minor = minor.with_context(|| version.clone())?;
    if minor < OLDEST {
        println!("skip: {what}: the API server is of {version}, and Routelet asks for 1.{OLDEST}");
    }
    Ok(minor >= OLDEST)
}

/// The code of a refusal, and its message.
fn refused<T>(answer: Result<T, Error>) -> Result<(u16, String)> {
    match answer {
        Ok(_) => bail!("it was not refused"),
        Err(Error::Api(status)) => Ok((status.code, status.message.clone())),
        Err(error) => Err(error.into()),
    }
}

fn web() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": NAMESPACE},
        "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]},
    })
}
