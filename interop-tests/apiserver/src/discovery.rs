//! What the server says of itself: versions, groups and resources.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::core::Core;
use super::resources::Resource;

/// The version that the fake claims to be.
const VERSION: (&str, &str) = ("1", "33");

impl Core {
    /// The answer to a path of discovery, if it is one.
    pub(crate) fn discover(&self, path: &str) -> Option<Value> {
        let words: Vec<&str> = path.split('/').filter(|word| !word.is_empty()).collect();
        match &words[..] {
            ["version"] => Some(json!({
                "major": VERSION.0,
                "minor": VERSION.1,
                "gitVersion": format!("v{}.{}.0", VERSION.0, VERSION.1),
                "gitCommit": "0000000000000000000000000000000000000000",
                "gitTreeState": "clean",
                "buildDate": "2025-01-01T00:00:00Z",
                "goVersion": "go1.24",
                "compiler": "gc",
                "platform": "linux/amd64",
            })),
            ["api"] => Some(json!({
                "kind": "APIVersions",
                "versions": ["v1"],
                "serverAddressByClientCIDRs": [],
            })),
            ["apis"] => {
                let groups: Vec<Value> = self.groups().values().cloned().collect();
                Some(json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}))
            }
            ["apis", group] => {
                let mut found = self.groups().remove(*group)?;
                found["kind"] = "APIGroup".into();
                found["apiVersion"] = "v1".into();
                Some(found)
            }
            ["api", version] => self.resource_list("", version),
            ["apis", group, version] => self.resource_list(group, version),
            _ => None,
        }
    }

    fn groups(&self) -> BTreeMap<String, Value> {
        let mut groups: BTreeMap<String, Value> = BTreeMap::new();
        for resource in self
            .resources()
            .filter(|resource| !resource.group.is_empty())
        {
            let version =
                json!({"groupVersion": resource.api_version(), "version": resource.version});
            let group = groups.entry(resource.group.clone()).or_insert_with(
                || json!({"name": resource.group, "versions": [], "preferredVersion": version}),
            );
            if let Some(versions) = group["versions"].as_array_mut()
                && !versions.contains(&version)
            {
                versions.push(version);
            }
        }
        groups
    }

    fn resource_list(&self, group: &str, version: &str) -> Option<Value> {
        let served = self
            .resources()
            .filter(|r| r.group == group && r.version == version);
        let resources: Vec<Value> = served.flat_map(|resource| described(resource)).collect();
        if resources.is_empty() {
            return None;
        }
        let name = if group.is_empty() {
            version.to_owned()
        } else {
            format!("{group}/{version}")
        };
        Some(
            json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": name, "resources": resources}),
        )
    }
}

fn described(resource: &Resource) -> Vec<Value> {
    let verbs = [
        "create",
        "delete",
        "deletecollection",
        "get",
        "list",
        "patch",
        "update",
        "watch",
    ];
    let mut whole = json!({
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": verbs,
    });
    if !resource.short_names.is_empty() {
        whole["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        whole["categories"] = json!(resource.categories);
    }
    let mut all = vec![whole];
    if resource.status {
        all.push(json!({
            "name": format!("{}/status", resource.plural),
            "singularName": "",
            "namespaced": resource.namespaced,
            "kind": resource.kind,
            "verbs": ["get", "patch", "update"],
        }));
    }
    all
}
