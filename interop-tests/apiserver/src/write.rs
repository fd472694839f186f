//! What changes objects: create, update and patch, which end in one place, [`Core::replace`].

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::core::{Answer, Core, present};
use super::failure::{Cause, Failure};
use super::fields::{self, Owner};
use super::request::Call;
use super::resources::Nature;
use super::store::Key;
use super::{apply, checks, decode, events, patch, schema, services};

/// What `metadata` only the server may set.
const SYSTEM: &[&str] = &[
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
];
/// The letters that generated names end in.
const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// The time as metadata tells it.
pub(crate) fn now() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

impl Core {
    pub(crate) fn create(&mut self, call: &Call) -> Result<Answer, Failure> {
        let object = call.value()?;
        self.create_object(call, object, None)
    }

    /// Creates an object; `owners` are given by apply.
    fn create_object(
        &mut self,
        call: &Call,
        mut object: Value,
        owners: Option<Vec<Owner>>,
    ) -> Result<Answer, Failure> {
        let resource = call.resource.clone();
        if resource.namespaced && call.namespace.is_none() || !call.subresource.is_empty() {
            return Err(Failure::method_not_allowed());
        }
        decode::identify(call, &mut object)?;
        let warnings = decode::decode(call, &mut object)?;
        events::store(&resource, &mut object);
        let stem = object["metadata"]["generateName"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let mut call = call.clone();
        call.name = match object["metadata"]["name"].as_str() {
            Some(name) if !name.is_empty() => name.to_owned(),
            _ if stem.is_empty() => {
                let cause = Cause::required("metadata.name", "name or generateName is required");
                return Err(Failure::invalid(
                    &resource.group,
                    &resource.kind,
                    "",
                    &[cause],
                ));
            }
            _ => format!("{stem}{}", ending()),
        };
        let key = Self::key(&call);
        self.admit(&call, &key)?;
        if object["metadata"]
            .get("resourceVersion")
            .is_some_and(|v| v != "")
        {
            return Err(Failure::bad_request(
                "resourceVersion should not be set on objects to be created",
            ));
        }
        let metadata = &mut object["metadata"];
        metadata["name"] = call.name.as_str().into();
        if let Some(fields) = metadata.as_object_mut() {
            SYSTEM
                .iter()
                .chain(&["managedFields", "resourceVersion"])
                .for_each(|name| {
                    fields.remove(*name);
                });
        }
        metadata["uid"] = uid().into();
        metadata["creationTimestamp"] = now().into();
        if resource.generation {
            metadata["generation"] = 1.into();
        }
        // Nodes register with their status.
        if resource.status
            && resource.kind != "Node"
            && let Some(fields) = object.as_object_mut()
        {
            fields.remove("status");
        }
        decode::default(&call, &mut object);
        self.allocate(&resource.kind, None, &mut object)?;
        self.check(&call, &object, None)?;
        match owners {
            Some(owners) => fields::set_owners(&mut object, &owners),
            None => fields::track(&resource, None, &mut object, writer(&call, "Update")),
        }
        let body = if call.dry_run() {
            present(&resource, &object)
        } else {
            present(&resource, &self.put(key, object))
        };
        Ok(Answer {
            code: 201,
            body,
            warnings,
        })
    }

    /// Whether an object may come into being here.
    fn admit(&self, call: &Call, key: &Key) -> Result<(), Failure> {
        let (group, plural) = (&call.resource.group, &call.resource.plural);
        if self.store.get(key).is_some() {
            return Err(Failure::already_exists(group, plural, &call.name));
        }
        let Some(namespace) = call.namespace.as_deref() else {
            return Ok(());
        };
        let home = Key {
            room: "namespaces".to_owned(),
            namespace: String::new(),
            name: namespace.to_owned(),
        };
        match self.store.get(&home) {
            None => Err(Failure::not_found("", "namespaces", namespace)),
            Some(found) if !found["metadata"]["deletionTimestamp"].is_null() => {
                let why = format!(
                    "unable to create new content in namespace {namespace} because it is being terminated"
                );
                Err(Failure::forbidden(group, plural, &call.name, &why))
            }
            Some(_) => Ok(()),
        }
    }

    pub(crate) fn update(&mut self, call: &Call) -> Result<Answer, Failure> {
        let mut object = call.value()?;
        decode::identify(call, &mut object)?;
        let key = Self::key(call);
        let old = self
            .store
            .get(&key)
            .ok_or_else(|| call.not_found())?
            .clone();
        let versioned = object["metadata"]["resourceVersion"]
            .as_str()
            .is_some_and(|v| !v.is_empty());
        if !versioned && (call.resource.is_custom() || call.resource.kind == "Lease") {
            let cause = Cause::invalid(
                "metadata.resourceVersion",
                &json!(0),
                "must be specified for an update",
            );
            let resource = &call.resource;
            return Err(Failure::invalid(
                &resource.group,
                &resource.kind,
                &call.name,
                &[cause],
            ));
        }
        self.replace(call, &old, object, None)
    }

    pub(crate) fn patch(&mut self, call: &Call) -> Result<Answer, Failure> {
        let kind = call
            .content_type
            .split(';')
            .next()
            .unwrap_or_default()
            .trim();
        if kind == "application/apply-patch+yaml" {
            return self.apply(call);
        }
        let strategic = kind == "application/strategic-merge-patch+json";
        let known = strategic
            || matches!(
                kind,
                "application/merge-patch+json" | "application/json-patch+json"
            );
        if !known || strategic && call.resource.is_custom() {
            let accepted = if call.resource.is_custom() {
                "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
            } else {
                "application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml"
            };
            return Err(Failure::unsupported_media_type(
                if known { "" } else { kind },
                accepted,
            ));
        }
        let change = call.value()?;
        let key = Self::key(call);
        let old = self
            .store
            .get(&key)
            .ok_or_else(|| call.not_found())?
            .clone();
        let mut object = present(&call.resource, &old);
        match kind {
            "application/merge-patch+json" => patch::merge(&mut object, &change),
            "application/json-patch+json" => patch::json(&mut object, &change)?,
            _ => patch::strategic(&mut object, &change, &mut Vec::new())?,
        }
        decode::identify(call, &mut object)?;
        self.replace(call, &old, object, None)
    }

    fn apply(&mut self, call: &Call) -> Result<Answer, Failure> {
        let yaml = Call {
            content_type: "application/yaml".to_owned(),
            ..call.clone()
        };
        let mut config = yaml.value()?;
        if !call.query.has("fieldManager") {
            let cause = Cause::required("fieldManager", "is required for apply patch");
            return Err(Failure::invalid(
                "meta.k8s.io",
                "PatchOptions",
                "",
                &[cause],
            ));
        }
        if config["metadata"]
            .get("managedFields")
            .is_some_and(|m| !m.is_null())
        {
            return Err(Failure::bad_request("metadata.managedFields must be nil"));
        }
        if config["apiVersion"].as_str().is_none_or(str::is_empty)
            || config["kind"].as_str().is_none_or(str::is_empty)
        {
            return Err(Failure::bad_request("invalid object type: /, Kind="));
        }
        decode::identify(call, &mut config)?;
        let warnings = decode::decode(call, &mut config)?;
        // What this endpoint does not write is not owned either.
        if let Some(fields) = config.as_object_mut() {
            match call.subresource.as_str() {
                "status" => fields.retain(|name, _| {
                    matches!(name.as_str(), "apiVersion" | "kind" | "metadata" | "status")
                }),
                _ if call.resource.status => {
                    fields.remove("status");
                }
                _ => {}
            }
            if call.subresource == "status" {
                let bare = json!({"name": fields["metadata"]["name"]});
                let version = fields["metadata"]["resourceVersion"].clone();
                fields["metadata"] = bare;
                if version.is_string() {
                    fields["metadata"]["resourceVersion"] = version;
                }
            }
        }
        let applier = writer(call, "Apply");
        let Some(old) = self.store.get(&Self::key(call)).cloned() else {
            if !call.subresource.is_empty() {
                return Err(call.not_found());
            }
            let owner = Owner {
                fields: fields::collect(&call.resource, &config),
                ..applier
            };
            let mut made = self.create_object(call, config, Some(vec![owner]))?;
            made.warnings = warnings;
            return Ok(made);
        };
        let version = config["metadata"]["resourceVersion"].clone();
        let shown = present(&call.resource, &old);
        let force = call.query.is("force");
        let (mut merged, owners) = apply::apply(&call.resource, &shown, &config, applier, force)?;
        if version.is_string() {
            merged["metadata"]["resourceVersion"] = version;
        }
        let mut answer = self.replace(call, &old, merged, Some(owners))?;
        answer.warnings = warnings;
        Ok(answer)
    }

    /// Puts an object in the place of another: the end of every update and patch.
    fn replace(
        &mut self,
        call: &Call,
        old: &Value,
        mut new: Value,
        owners: Option<Vec<Owner>>,
    ) -> Result<Answer, Failure> {
        let resource = call.resource.clone();
        let warnings = decode::decode(call, &mut new)?;
        events::store(&resource, &mut new);
        let stale = |field: &str| {
            new["metadata"][field]
                .as_str()
                .is_some_and(|v| !v.is_empty() && old["metadata"][field] != v)
        };
        if stale("uid") {
            let why = format!(
                "Precondition failed: UID in precondition: {}, UID in object meta: {}",
                new["metadata"]["uid"].as_str().unwrap_or_default(),
                old["metadata"]["uid"].as_str().unwrap_or_default(),
            );
            return Err(call.conflict(&why));
        }
        if stale("resourceVersion") {
            let why = "the object has been modified; please apply your changes to the latest version and try again";
            return Err(call.conflict(why));
        }
        split(call, old, &mut new);
        for name in SYSTEM.iter().chain(&["resourceVersion", "generateName"]) {
            restore(&mut new["metadata"], &old["metadata"], name);
        }
        decode::default(call, &mut new);
        if resource.kind == "Service" && call.subresource.is_empty() {
            services::clear_status(&mut new);
        }
        self.allocate(&resource.kind, Some(old), &mut new)?;
        self.check(call, &new, Some(old))?;
        if resource.generation && counted(old) != counted(&new) {
            let generation = old["metadata"]["generation"].as_u64().unwrap_or_default();
            new["metadata"]["generation"] = (generation + 1).into();
        }
        match owners {
            Some(owners) => fields::set_owners(&mut new, &owners),
            None => fields::track(&resource, Some(old), &mut new, writer(call, "Update")),
        }
        if timeless(old) == timeless(&new) {
            return Ok(Answer {
                warnings,
                ..Answer::ok(present(&resource, old))
            });
        }
        if call.dry_run() {
            return Ok(Answer {
                warnings,
                ..Answer::ok(present(&resource, &new))
            });
        }
        let key = Self::key(call);
        let free = new["metadata"]["finalizers"]
            .as_array()
            .is_none_or(Vec::is_empty)
            && new["spec"]["finalizers"]
                .as_array()
                .is_none_or(Vec::is_empty);
        let written = if free && !new["metadata"]["deletionTimestamp"].is_null() {
            self.remove(&key).unwrap_or_else(|| new.clone().into());
            new["metadata"]["resourceVersion"] = self.store.revision().to_string().into();
            new.into()
        } else {
            self.put(key, new)
        };
        Ok(Answer {
            warnings,
            ..Answer::ok(present(&resource, &written))
        })
    }

    /// Refuses what is not valid.
    fn check(&self, call: &Call, object: &Value, old: Option<&Value>) -> Result<(), Failure> {
        let resource = &call.resource;
        let mut causes = checks::metadata(resource, object, old);
        match &resource.nature {
            Nature::Custom { schema, .. } => causes.extend(schema::validate(schema, object, old)),
            Nature::Builtin(_) => causes.extend(checks::builtin(resource, object, old)),
        }
        if causes.is_empty() {
            return Ok(());
        }
        Err(Failure::invalid(
            &resource.group,
            &resource.kind,
            &call.name,
            &causes,
        ))
    }
}

/// Undoes what the endpoint does not write: the main one the status, that of the status all else.
fn split(call: &Call, old: &Value, new: &mut Value) {
    match call.subresource.as_str() {
        "status" => {
            let status = new.get("status").cloned();
            let metadata = new["metadata"].take();
            new.clone_from(old);
            // The types of the core let their metadata be written here, too.
            if !call.resource.is_custom() {
                new["metadata"] = metadata;
            }
            match (status, new.as_object_mut()) {
                (Some(status), Some(fields)) => fields.insert("status".to_owned(), status),
                (None, Some(fields)) => fields.remove("status"),
                (_, None) => None,
            };
        }
        "finalize" => {
            let finalizers = new["spec"].get("finalizers").cloned();
            new.clone_from(old);
            if let Some(finalizers) = finalizers {
                new["spec"]["finalizers"] = finalizers;
            }
        }
        _ if call.resource.status => restore(new, old, "status"),
        _ => {}
    }
}

fn restore(new: &mut Value, old: &Value, name: &str) {
    let Some(fields) = new.as_object_mut() else {
        return;
    };
    match old.get(name) {
        Some(value) => fields.insert(name.to_owned(), value.clone()),
        None => fields.remove(name),
    };
}

/// What counts for the generation.
fn counted(object: &Value) -> Value {
    let mut counted = object.clone();
    if let Some(fields) = counted.as_object_mut() {
        for name in ["metadata", "status", "apiVersion", "kind"] {
            fields.remove(name);
        }
    }
    counted
}

/// An object without the times of its managers, by which alone no two states differ.
fn timeless(object: &Value) -> Value {
    let mut bare = object.clone();
    let entries = bare["metadata"]
        .get_mut("managedFields")
        .and_then(Value::as_array_mut);
    for entry in entries.into_iter().flatten() {
        entry["time"] = Value::Null;
    }
    bare
}

fn writer(call: &Call, operation: &'static str) -> Owner {
    Owner {
        manager: call.manager(),
        operation,
        api_version: call.resource.api_version(),
        subresource: call.subresource.clone(),
        time: now(),
        fields: Default::default(),
    }
}

/// A random UUID, of the kernel.
fn uid() -> String {
    let read = std::fs::read_to_string("/proc/sys/kernel/random/uuid");
    read.map(|text| text.trim().to_owned()).unwrap_or_default()
}

/// The random end of a generated name.
fn ending() -> String {
    let letters = uid()
        .bytes()
        .filter(u8::is_ascii_hexdigit)
        .collect::<Vec<_>>();
    let pairs = letters.chunks(2).take(5);
    pairs
        .map(|pair| {
            char::from(
                LETTERS[pair.iter().map(|b| usize::from(*b)).sum::<usize>() * 7 % LETTERS.len()],
            )
        })
        .collect()
}
