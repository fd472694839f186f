//! The manifests in `deploy` fit each other and the binary: options and variables exist, probes ask where something
//! answers, selectors select, and kustomize makes one whole of them. No cluster is needed.

#![allow(clippy::unwrap_used, missing_docs)]

mod kustomize;
mod roles;
mod workloads;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// What the HTTP port of agent and controller serves.
const PATHS: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy")
}

/// Every document of every YAML file below `deploy`, with its path there.
fn documents() -> Vec<(String, Value)> {
    let mut folders = vec![deploy()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "yaml") {
                let name = path.strip_prefix(deploy()).unwrap();
                let name = name.to_string_lossy().into_owned();
                let text = std::fs::read_to_string(&path).unwrap();
                let all: Vec<Value> = parse(&name, &text);
                found.extend(all.into_iter().map(|one| (name.clone(), one)));
            }
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

fn parse(name: &str, text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn of_kind<'a>(documents: &'a [(String, Value)], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    let objects = documents.iter().map(|(_, object)| object);
    objects.filter(move |object| object["kind"] == kind)
}

/// DaemonSets and Deployments.
fn workloads(documents: &[(String, Value)]) -> Vec<&Value> {
    let found: Vec<&Value> = of_kind(documents, "DaemonSet")
        .chain(of_kind(documents, "Deployment"))
        .collect();
    assert_eq!(found.len(), 2, "agent and controller");
    found
}

fn containers(workload: &Value) -> &Vec<Value> {
    let pod = &workload["spec"]["template"]["spec"];
    pod["containers"].as_array().unwrap()
}

fn texts(list: &Value) -> Vec<&str> {
    let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().map(|text| text.as_str().unwrap()).collect()
}

/// What the binary answers to a command line with `--help` at its end: its help, unless something before is wrong.
fn help(arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(env!("CARGO_BIN_EXE_routelet"))
        .args(arguments)
        .arg("--help")
        .env_clear()
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(text(&output.stderr))
    }
}

/// The text of a path in an object, such as `metadata.name`.
fn text_at<'a>(object: &'a Value, path: &str) -> &'a str {
    let found = path.split('.').fold(object, |value, key| &value[key]);
    found
        .as_str()
        .unwrap_or_else(|| panic!("no {path} in {object}"))
}
