//! What comes into being: create, and apply of what is not there.

use serde_json::Value;

use super::{SYSTEM, now, writer};
use crate::core::{Answer, Core, present};
use crate::failure::{Cause, Failure};
use crate::fields::{self, Owner};
use crate::request::Call;
use crate::resources::Resource;
use crate::store::Key;
use crate::{decode, events};

/// The letters that generated names end in.
const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

impl Core {
    pub(crate) fn create(&mut self, call: &Call) -> Result<Answer, Failure> {
        let object = call.value()?;
        self.create_object(call, object, None)
    }

    /// Creates an object; `owners` are given by apply.
    pub(super) fn create_object(
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
        let mut call = call.clone();
        call.name = name(&resource, &object)?;
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
        set_metadata(&resource, &call.name, &mut object["metadata"]);
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
}

/// The name that an object gets: its own, or one that begins as it asks.
fn name(resource: &Resource, object: &Value) -> Result<String, Failure> {
    let metadata = &object["metadata"];
    let stem = metadata["generateName"].as_str().unwrap_or_default();
    match metadata["name"].as_str() {
        Some(name) if !name.is_empty() => Ok(name.to_owned()),
        _ if stem.is_empty() => {
            let cause = Cause::required("metadata.name", "name or generateName is required");
            let (group, kind) = (&resource.group, &resource.kind);
            Err(Failure::invalid(group, kind, "", &[cause]))
        }
        _ => Ok(format!("{stem}{}", ending())),
    }
}

/// What only the server says of an object.
fn set_metadata(resource: &Resource, name: &str, metadata: &mut Value) {
    metadata["name"] = name.into();
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
