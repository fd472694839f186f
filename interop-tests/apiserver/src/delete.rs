//! Deletion: at once, or marked and waiting for finalizers.

use serde_json::{Value, json};

use super::core::{Answer, Core, present};
use super::failure::Failure;
use super::request::{Call, Verb};
use super::store::Key;
use super::write::now;

impl Core {
    pub(crate) fn delete(&mut self, call: &Call) -> Result<Answer, Failure> {
        let options = if call.body.is_empty() {
            Value::Null
        } else {
            call.value()?
        };
        let key = Self::key(call);
        let old = self
            .store
            .get(&key)
            .ok_or_else(|| call.not_found())?
            .clone();
        for (name, field) in [("uid", "UID"), ("resourceVersion", "ResourceVersion")] {
            let Some(wanted) = options["preconditions"][name].as_str() else {
                continue;
            };
            let found = old["metadata"][name].as_str().unwrap_or_default();
            if found != wanted {
                let why = format!(
                    "Precondition failed: {field} in precondition: {wanted}, {field} in object meta: {found}"
                );
                return Err(call.conflict(&why));
            }
        }
        let dry = call.dry_run() || options["dryRun"].is_array();
        let protected = |object: &Value, at: &str| {
            object[at]["finalizers"]
                .as_array()
                .is_some_and(|f| !f.is_empty())
        };
        if protected(&old, "metadata") || protected(&old, "spec") {
            let marked = !old["metadata"]["deletionTimestamp"].is_null();
            let mut object = Value::clone(&old);
            if !marked {
                object["metadata"]["deletionTimestamp"] = now().into();
                object["metadata"]["deletionGracePeriodSeconds"] = 0.into();
                if let Some(generation) = old["metadata"]["generation"].as_u64() {
                    object["metadata"]["generation"] = (generation + 1).into();
                }
                if call.resource.kind == "Namespace" {
                    object["metadata"]
                        .as_object_mut()
                        .map(|m| m.remove("deletionGracePeriodSeconds"));
                    object["status"]["phase"] = "Terminating".into();
                }
            }
            let written = if marked || dry {
                object.into()
            } else {
                self.put(key, object)
            };
            return Ok(Answer::ok(present(&call.resource, &written)));
        }
        if !dry {
            self.remove(&key);
        }
        let mut details =
            json!({"name": call.name, "kind": call.resource.plural, "uid": old["metadata"]["uid"]});
        if !call.resource.group.is_empty() {
            details["group"] = call.resource.group.as_str().into();
        }
        Ok(Answer::ok(json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Success",
            "details": details,
        })))
    }

    pub(crate) fn delete_collection(&mut self, call: &Call) -> Result<Answer, Failure> {
        let listed = self.list(call)?;
        let selector = Self::selector(call)?;
        let room = call.resource.room();
        let objects = self.store.list(&room, call.namespace.as_deref());
        let keys: Vec<Key> = objects
            .filter(|(_, object)| selector.matches(object))
            .map(|(key, _)| key.clone())
            .collect();
        for key in keys {
            let one = Call {
                verb: Verb::Delete,
                namespace: call.resource.namespaced.then_some(key.namespace),
                name: key.name,
                ..call.clone()
            };
            self.delete(&one)?;
        }
        Ok(Answer::ok(listed))
    }
}
