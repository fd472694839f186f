//! The custom resource definitions of `deploy/crds` on an API server: it takes them (a server refuses rules that cost
//! too much), and they refuse and accept the objects of `objects/`.
//!
//! On the fake server, and on a real one where `scripts/kube-apiserver` finds its programs. The agent's own word on the
//! same objects is in `agent/core/tests/objects.rs`.
#![allow(missing_docs)]

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use interop_tests::apiserver::{
    ADMIN, Account, FakeApiServer, ScriptedApiServer, Server, Settings,
};
use kube::api::{Api, ApiResource, DynamicObject, PostParams};
use kube::{Client, Error};
use serde::Deserialize;
use serde_json::{Value, json};

/// How long a server may take to serve what was just defined.
const PATIENCE: Duration = Duration::from_secs(60);

/// An object that is no good, and who says so.
#[derive(Deserialize)]
struct Refused {
    kind: String,
    spec: Value,
    by: Judge,
    #[serde(default)]
    at: String,
    #[serde(default)]
    says: String,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Judge {
    Server,
    Agent,
}

#[derive(Deserialize)]
struct Accepted {
    kind: String,
    spec: Value,
}

fn in_workspace(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn rows<T: for<'de> Deserialize<'de>>(file: &str) -> Result<Vec<T>> {
    let path = in_workspace("interop-tests/tests/objects").join(file);
    Ok(serde_saphyr::from_str(&std::fs::read_to_string(path)?)?)
}

/// Runs a suite on the fake server and on the real one, if there is one.
fn on_servers<F: Future<Output = Result<()>>>(suite: impl Fn(Client) -> F) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let fake = Server::Fake(FakeApiServer::start(Settings {
        accounts: vec![Account::admin(ADMIN)],
        ..Settings::default()
    })?);
    runtime
        .block_on(async { suite(fake.client(ADMIN)?).await })
        .context("fake API server")?;
    if ScriptedApiServer::programs().is_none() {
        println!(
            "skip: the real API server: `scripts/kube-apiserver build` makes one, or KUBEBUILDER_ASSETS names its folder"
        );
        return Ok(());
    }
    let real = ScriptedApiServer::start()?;
    runtime
        .block_on(async { suite(real.client().await?).await })
        .context("real API server")
}

fn api(client: &Client, version: &str, kind: &str, plural: &str) -> Api<DynamicObject> {
    let (group, short) = version.split_once('/').unwrap_or(("", version));
    let resource = ApiResource {
        group: group.to_owned(),
        version: short.to_owned(),
        api_version: version.to_owned(),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    };
    Api::all_with(client.clone(), &resource)
}

fn ours(client: &Client, kind: &str) -> Api<DynamicObject> {
    let plural = match kind.to_lowercase() {
        kind if kind.ends_with('y') => format!("{}ies", kind.trim_end_matches('y')),
        kind => format!("{kind}s"),
    };
    api(client, "routelet.dev/v1alpha1", kind, &plural)
}

fn definitions(client: &Client) -> Api<DynamicObject> {
    let kind = "CustomResourceDefinition";
    api(
        client,
        "apiextensions.k8s.io/v1",
        kind,
        "customresourcedefinitions",
    )
}

fn object(kind: &str, name: &str, spec: &Value) -> Result<DynamicObject> {
    let object = json!({
        "apiVersion": "routelet.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec,
    });
    Ok(serde_json::from_value(object)?)
}

fn read(path: &Path) -> Result<Vec<Value>> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    serde_saphyr::from_multiple(&text).with_context(|| path.display().to_string())
}

/// Writes each definition, after `change`, and waits until a kind of it is served.
async fn define(client: &Client, change: impl Fn(&mut Value)) -> Result<()> {
    let api = definitions(client);
    for file in std::fs::read_dir(in_workspace("deploy/crds"))? {
        let path = file?.path();
        if path.ends_with("kustomization.yaml") {
            continue;
        }
        let mut definition = read(&path)?.pop().context("a definition")?;
        change(&mut definition);
        let kind = definition["spec"]["names"]["kind"]
            .as_str()
            .context("kind")?
            .to_owned();
        let mut definition: DynamicObject = serde_json::from_value(definition)?;
        let name = definition.metadata.name.clone().context("name")?;
        let params = PostParams::default();
        match api.get_opt(&name).await? {
            Some(old) => {
                definition.metadata.resource_version = old.metadata.resource_version;
                api.replace(&name, &params, &definition).await
            }
            None => api.create(&params, &definition).await,
        }
        .with_context(|| format!("{name} is refused"))?;
        let served = async {
            while ours(client, &kind)
                .list(&kube::api::ListParams::default())
                .await
                .is_err()
            {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, served)
            .await
            .with_context(|| format!("{kind} is not served"))?;
    }
    Ok(())
}

/// The message of a refusal as invalid; `None` where it was accepted.
fn refusal<T>(answer: Result<T, Error>) -> Result<Option<String>> {
    match answer {
        Ok(_) => Ok(None),
        Err(Error::Api(status)) if status.code == 422 => Ok(Some(status.message.clone())),
        Err(error) => Err(error.into()),
    }
}

#[test]
fn invalid_objects_are_rejected_with_field_and_reason() -> Result<()> {
    let rows: Vec<Refused> = rows("refused.yaml")?;
    let seen = rows.iter().filter(|row| row.by == Judge::Server).count();
    ensure!(seen >= 150, "{seen} rows of what a server refuses");
    on_servers(async |client| {
        define(&client, |_| {}).await?;
        let mut wrong = Vec::new();
        for (at, row) in rows.iter().enumerate() {
            let object = object(&row.kind, &format!("row-{at}"), &row.spec)?;
            let made = ours(&client, &row.kind)
                .create(&PostParams::default(), &object)
                .await;
            let line = format!("{} {}", row.kind, row.spec);
            match (refusal(made)?, &row.by) {
                (None, Judge::Agent) => {}
                (None, Judge::Server) => wrong.push(format!("{line}: accepted")),
                (Some(message), Judge::Agent) => wrong.push(format!("{line}: refused: {message}")),
                (Some(message), Judge::Server) => {
                    if !message.contains(&format!("{}: ", row.at)) || !message.contains(&row.says) {
                        wrong.push(format!(
                            "{line}: expected {}, {}: {message}",
                            row.at, row.says
                        ));
                    }
                }
            }
        }
        ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
        Ok(())
    })
}

/// Our objects among the YAML files below a folder, or in one file.
fn examples(path: &Path, out: &mut Vec<Accepted>) -> Result<()> {
    if path.is_dir() {
        for file in std::fs::read_dir(path)? {
            examples(&file?.path(), out)?;
        }
        return Ok(());
    }
    if path.extension().is_none_or(|ending| ending != "yaml") {
        return Ok(());
    }
    for document in read(path)? {
        if document["apiVersion"] == "routelet.dev/v1alpha1" {
            let kind = document["kind"].as_str().context("kind")?.to_owned();
            let spec = document["spec"].clone();
            out.push(Accepted { kind, spec });
        }
    }
    Ok(())
}

fn without_null(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(without_null);
        }
        Value::Array(items) => items.iter_mut().for_each(without_null),
        _ => {}
    }
}

#[test]
fn valid_objects_are_accepted_and_stored_unchanged() -> Result<()> {
    let mut rows: Vec<Accepted> = rows("accepted.yaml")?;
    let own = rows.len();
    for folder in ["examples", "deploy"] {
        examples(&in_workspace(folder), &mut rows)?;
    }
    ensure!(
        own >= 40 && rows.len() >= own + 5,
        "{own} and {} objects",
        rows.len()
    );
    on_servers(async |client| {
        define(&client, |_| {}).await?;
        for (at, row) in rows.iter().enumerate() {
            let object = object(&row.kind, &format!("row-{at}"), &row.spec)?;
            let line = format!("{} {}", row.kind, row.spec);
            let made = ours(&client, &row.kind)
                .create(&PostParams::default(), &object)
                .await;
            let made = made.with_context(|| line.clone())?;
            // A default that is stored could never change again.
            let mut spec = row.spec.clone();
            without_null(&mut spec);
            ensure!(
                made.data["spec"] == spec,
                "{line}: stored as {}",
                made.data["spec"]
            );
        }
        Ok(())
    })
}

/// Removes from a schema what the types before it did not have: rules and bounds.
fn lax(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.remove("x-kubernetes-validations");
            fields.remove("minItems");
            fields.values_mut().for_each(lax);
        }
        Value::Array(items) => items.iter_mut().for_each(lax),
        _ => {}
    }
}

/// Objects outlive definitions: one that was stored before a rule came breaks it from then on.
#[test]
fn a_stored_object_that_breaks_a_newer_rule_can_still_be_changed_elsewhere() -> Result<()> {
    on_servers(async |client| {
        define(&client, lax).await?;
        let api = ours(&client, "Peer");
        let params = PostParams::default();
        let spec = json!({"address": "192.0.2.300", "asn": 64500, "families": [], "timers": {"hold": "1s"}});
        api.create(&params, &object("Peer", "old", &spec)?).await?;
        define(&client, |_| {}).await?;
        let in_force = async {
            loop {
                let new = object("Peer", "new", &spec)?;
                let made = api
                    .create(
                        &PostParams {
                            dry_run: true,
                            ..params.clone()
                        },
                        &new,
                    )
                    .await;
                if refusal(made)?.is_some() {
                    return anyhow::Ok(());
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, in_force)
            .await
            .context("the new rules are not in force")??;

        let mut found = api.get("old").await?;
        found.data["status"] = json!({"sessions": 1, "established": 0, "conditions": []});
        found = api
            .replace_status("old", &params, &found)
            .await
            .context("its status")?;
        found.data["spec"]["timers"] = json!({"hold": "90s"});
        found = api
            .replace("old", &params, &found)
            .await
            .context("another field")?;
        for (field, value) in [
            ("address", json!("192.0.2.301")),
            ("timers", json!({"hold": "2s"})),
        ] {
            let mut worse = found.clone();
            worse.data["spec"][field] = value;
            let answer = refusal(api.replace("old", &params, &worse).await)?;
            ensure!(
                answer.is_some_and(|message| message.contains(field)),
                "{field} became worse"
            );
        }
        Ok(())
    })
}
