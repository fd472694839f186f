//! What changes objects: create, update and patch, which end in one place, [`Core::replace`].

mod create;
mod patches;

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use crate::core::{Answer, Core, present};
use crate::failure::{Cause, Failure};
use crate::fields::{self, Owner};
use crate::request::Call;
use crate::resources::Nature;
use crate::{checks, decode, events, schema, services};

/// What `metadata` only the server may set.
const SYSTEM: &[&str] = &[
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
];
/// The time as metadata tells it.
pub(crate) fn now() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

impl Core {
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
