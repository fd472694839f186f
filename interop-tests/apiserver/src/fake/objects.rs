//! Objects that tests put, read and delete, past HTTP and as clients would.

use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use serde_json::Value;

use super::FakeApiServer;
use crate::core::Core;
use crate::failure::Failure;
use crate::request::{Call, Query, Verb};
use crate::resources::Resource;

impl FakeApiServer {
    /// Installs the definitions of `deploy/crds`, established at once.
    ///
    /// # Errors
    /// A definition that the server refuses, or a folder that cannot be read.
    pub fn install_definitions(&self) -> Result<()> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/crds");
        for file in std::fs::read_dir(folder).context(folder)? {
            let path = file?.path();
            if path.file_name() != Some("kustomization.yaml".as_ref()) {
                self.put_yaml(&std::fs::read_to_string(&path)?)?;
            }
        }
        self.settle();
        Ok(())
    }

    /// Makes all objects of a YAML text, of one document or many: those that are there are replaced.
    ///
    /// # Errors
    /// The text is not YAML, or the server refuses an object.
    pub fn put_yaml(&self, text: &str) -> Result<Vec<Value>> {
        let documents: Vec<Value> =
            serde_saphyr::from_multiple(text).map_err(|error| anyhow!("{error}"))?;
        documents
            .iter()
            .filter(|value| !value.is_null())
            .map(|value| Ok(self.put(value)?))
            .collect()
    }

    /// Makes an object, or replaces its spec and status by the given ones. A status that says nothing is not written.
    ///
    /// # Errors
    /// The server refuses the object.
    pub fn put(&self, object: &Value) -> Result<Value, Failure> {
        // In one go: nobody else's write comes in between.
        let mut core = self.core();
        let (kind, namespace, name) = named(object);
        let mut object = object.clone();
        let made = match read(&mut core, &kind, &namespace, &name) {
            None => write(&mut core, Verb::Create, &object, "")?,
            Some(old) => {
                object["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"].clone();
                write(&mut core, Verb::Update, &object, "")?
            }
        };
        if says_status(&object, &made).is_none() {
            return Ok(made);
        }
        object["metadata"]["resourceVersion"] = made["metadata"]["resourceVersion"].clone();
        write(&mut core, Verb::Update, &object, "status")
    }

    /// Creates an object.
    ///
    /// # Errors
    /// The server refuses the object.
    pub fn create(&self, object: &Value) -> Result<Value, Failure> {
        write(&mut self.core(), Verb::Create, object, "")
    }

    /// Deletes an object, as a client would: finalizers hold it.
    ///
    /// # Errors
    /// There is no such object.
    pub fn delete(&self, kind: &str, namespace: &str, name: &str) -> Result<(), Failure> {
        let mut core = self.core();
        let resource = of_kind(&core, kind, None)?;
        let call = call(Verb::Delete, resource, namespace, name, "", Vec::new());
        core.call(&call).map(|_| ())
    }

    /// An object as a client would read it; `namespace` is empty for those of the cluster.
    pub fn get(&self, kind: &str, namespace: &str, name: &str) -> Option<Value> {
        read(&mut self.core(), kind, namespace, name)
    }

    /// All objects of a kind, by namespace and name.
    pub fn list(&self, kind: &str) -> Vec<Value> {
        let mut core = self.core();
        let Ok(resource) = of_kind(&core, kind, None) else {
            return Vec::new();
        };
        let call = call(Verb::List, resource, "", "", "", Vec::new());
        let listed =
            core.call(&call)
                .ok()
                .and_then(|mut answer| match answer.body["items"].take() {
                    Value::Array(items) => Some(items),
                    _ => None,
                });
        listed.unwrap_or_default()
    }
}

/// The status that is to be written beside the rest of an object: it says something, and something else than is there. One that
/// says nothing would take away what somebody else, such as the controller, has written since.
pub(crate) fn says_status<'a>(object: &'a Value, made: &Value) -> Option<&'a Value> {
    let status = object.get("status")?;
    let is_empty = status.is_null() || status.as_object().is_some_and(serde_json::Map::is_empty);
    (!is_empty && made.get("status") != Some(status)).then_some(status)
}

fn read(core: &mut Core, kind: &str, namespace: &str, name: &str) -> Option<Value> {
    let resource = of_kind(core, kind, None).ok()?;
    let call = call(Verb::Get, resource, namespace, name, "", Vec::new());
    core.call(&call).ok().map(|answer| answer.body)
}

fn write(core: &mut Core, verb: Verb, object: &Value, subresource: &str) -> Result<Value, Failure> {
    let (kind, mut namespace, name) = named(object);
    let resource = of_kind(core, &kind, object["apiVersion"].as_str())?;
    if resource.namespaced && namespace.is_empty() {
        "default".clone_into(&mut namespace);
    }
    let name = if verb == Verb::Create { "" } else { &name };
    let body = object.to_string().into_bytes();
    let call = call(verb, resource, &namespace, name, subresource, body);
    core.call(&call).map(|answer| answer.body)
}

fn named(object: &Value) -> (String, String, String) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let metadata = &object["metadata"];
    (
        text(&object["kind"]),
        text(&metadata["namespace"]),
        text(&metadata["name"]),
    )
}

fn of_kind(core: &Core, kind: &str, api_version: Option<&str>) -> Result<Arc<Resource>, Failure> {
    let mut served = core.resources();
    served
        .find(|r| r.kind == kind && api_version.is_none_or(|wanted| r.api_version() == wanted))
        .cloned()
        .ok_or_else(Failure::no_such_path)
}

fn call(
    verb: Verb,
    resource: Arc<Resource>,
    namespace: &str,
    name: &str,
    subresource: &str,
    body: Vec<u8>,
) -> Call {
    Call {
        verb,
        resource,
        namespace: (!namespace.is_empty()).then(|| namespace.to_owned()),
        name: name.to_owned(),
        subresource: subresource.to_owned(),
        query: Query::default(),
        content_type: "application/json".to_owned(),
        body,
        agent: "test".to_owned(),
    }
}
