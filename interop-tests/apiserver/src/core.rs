//! The server without its sockets: a call in, an answer out, and all state behind it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use serde_json::{Value, json};

use super::failure::Failure;
use super::faults::Faults;
use super::rbac::Account;
use super::request::{Call, Target, Verb};
use super::resources::{self, DEFINITIONS, Resource};
use super::store::{Key, Store};

/// What a fake server is made with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Who may ask; empty: anybody may do everything.
    pub accounts: Vec<Account>,
    /// Where cluster IPs come from: one prefix per family, the first one the default.
    pub service_cidrs: Vec<IpNet>,
    /// Whether it speaks TLS, and HTTP/2, as the real one; else plain HTTP/1.1.
    pub tls: bool,
    /// How often watches that allow it get a bookmark. The real one takes about a minute.
    pub bookmark_interval: Duration,
    /// After which time definitions are established, and what nobody owns any more is collected.
    pub controller_delay: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        let v4 = IpNet::new_assert([10, 96, 0, 0].into(), 16);
        Self {
            accounts: Vec::new(),
            service_cidrs: vec![v4],
            tls: true,
            bookmark_interval: Duration::from_secs(60),
            controller_delay: Duration::from_millis(20),
        }
    }
}

/// What a call is answered with.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) body: Value,
    pub(crate) warnings: Vec<String>,
}

impl Answer {
    pub(crate) fn ok(body: Value) -> Self {
        Self {
            code: 200,
            body,
            warnings: Vec::new(),
        }
    }
}

/// All of the server's state.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) store: Store,
    builtin: Vec<Arc<Resource>>,
    custom: Vec<Arc<Resource>>,
    pub(crate) settings: Settings,
    pub(crate) faults: Faults,
    pub(crate) counts: BTreeMap<(Verb, String), u64>,
}

impl Core {
    pub(crate) fn new(settings: Settings) -> Self {
        let mut core = Self {
            store: Store::new(),
            builtin: resources::builtin(),
            custom: Vec::new(),
            settings,
            faults: Faults::default(),
            counts: BTreeMap::new(),
        };
        core.furnish();
        core
    }

    /// What every cluster has from its first moment.
    fn furnish(&mut self) {
        for name in ["default", "kube-node-lease", "kube-public", "kube-system"] {
            let namespace =
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
            self.furnish_one("namespaces", None, &namespace);
        }
        let service = json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {
                "name": "kubernetes",
                "namespace": "default",
                "labels": {"component": "apiserver", "provider": "kubernetes"},
            },
            "spec": {"ports": [{"name": "https", "port": 443, "targetPort": 6443}]},
        });
        self.furnish_one("services", Some("default"), &service);
    }

    fn furnish_one(&mut self, plural: &str, namespace: Option<&str>, object: &Value) {
        let Some(resource) = self.resource("", "v1", plural) else {
            return;
        };
        let call = Call {
            verb: Verb::Create,
            resource,
            namespace: namespace.map(str::to_owned),
            name: String::new(),
            subresource: String::new(),
            query: Default::default(),
            content_type: "application/json".to_owned(),
            body: object.to_string().into_bytes(),
            agent: "kube-apiserver".to_owned(),
        };
        let made = self.call(&call);
        debug_assert!(made.is_ok(), "{made:?}");
    }

    /// All resources that are served now.
    pub(crate) fn resources(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.builtin.iter().chain(&self.custom)
    }

    /// A served resource.
    pub(crate) fn resource(
        &self,
        group: &str,
        version: &str,
        plural: &str,
    ) -> Option<Arc<Resource>> {
        let mut served = self.resources();
        served
            .find(|r| r.group == group && r.version == version && r.plural == plural)
            .cloned()
    }

    /// The resource of a target, with what is common to all requests checked.
    pub(crate) fn resolve(&self, target: &Target) -> Result<Arc<Resource>, Failure> {
        let found = self
            .resource(&target.group, &target.version, &target.plural)
            .ok_or_else(Failure::no_such_path)?;
        let known = match target.subresource.as_str() {
            "" => true,
            "status" => found.status,
            "finalize" => found.kind == "Namespace",
            _ => false,
        };
        let scoped = match (&target.namespace, found.namespaced) {
            (Some(_), scoped) => scoped,
            (None, true) => target.name.is_empty(),
            (None, false) => true,
        };
        if known && scoped {
            Ok(found)
        } else {
            Err(Failure::no_such_path())
        }
    }

    /// Answers a call that is no watch.
    pub(crate) fn call(&mut self, call: &Call) -> Result<Answer, Failure> {
        match call.verb {
            Verb::Get => self.read(call).map(Answer::ok),
            Verb::List => self.list(call).map(Answer::ok),
            Verb::Create => self.create(call),
            Verb::Update => self.update(call),
            Verb::Patch => self.patch(call),
            Verb::Delete => self.delete(call),
            Verb::DeleteCollection => self.delete_collection(call),
            Verb::Watch => Err(Failure::method_not_allowed()),
        }
    }

    pub(crate) fn key(call: &Call) -> Key {
        Key {
            room: call.resource.room(),
            namespace: call.namespace.clone().unwrap_or_default(),
            name: call.name.clone(),
        }
    }

    fn read(&self, call: &Call) -> Result<Value, Failure> {
        let found = self
            .store
            .get(&Self::key(call))
            .ok_or_else(|| call.not_found())?;
        Ok(present(&call.resource, found))
    }

    /// Writes an object; definitions change what is served.
    pub(crate) fn put(&mut self, key: Key, object: Value) -> Arc<Value> {
        let definition = key.room == DEFINITIONS;
        let written = self.store.put(key, object);
        if definition {
            self.serve_definitions();
        }
        written
    }

    /// Removes an object, and with a definition its objects.
    pub(crate) fn remove(&mut self, key: &Key) -> Option<Arc<Value>> {
        let removed = self.store.remove(key)?;
        if key.room == DEFINITIONS {
            let orphans: Vec<Key> = self
                .store
                .list(&key.name, None)
                .map(|(key, _)| key.clone())
                .collect();
            for orphan in orphans {
                self.store.remove(&orphan);
            }
            self.serve_definitions();
        }
        Some(removed)
    }

    fn serve_definitions(&mut self) {
        let established = |object: &&Arc<Value>| {
            let conditions = object["status"]["conditions"].as_array();
            conditions
                .into_iter()
                .flatten()
                .any(|c| c["type"] == "Established" && c["status"] == "True")
        };
        let definitions = self.store.list(DEFINITIONS, None).map(|(_, object)| object);
        self.custom = definitions
            .filter(established)
            .flat_map(|d| resources::of_definition(d))
            .collect();
    }
}

/// An object as a resource's version shows it. All versions of a custom resource are the same but for their name, as
/// without conversion; the two event APIs name their fields differently.
pub(crate) fn present(resource: &Resource, object: &Value) -> Value {
    let mut shown = object.clone();
    if resource.kind == "Event" {
        super::events::present(&resource.group, &mut shown);
    }
    shown["apiVersion"] = resource.api_version().into();
    shown["kind"] = resource.kind.as_str().into();
    shown
}
