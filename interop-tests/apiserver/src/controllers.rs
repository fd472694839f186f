//! What the controllers of a cluster do that our clients depend on, a moment after the change: definitions are
//! established, objects without an owner are collected, terminating namespaces are emptied.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::core::Core;
use super::definitions;
use super::resources::DEFINITIONS;
use super::store::Key;
use super::write::now;

impl Core {
    /// One round of all controllers.
    pub(crate) fn control(&mut self) {
        self.establish();
        self.collect();
        self.terminate();
    }

    fn establish(&mut self) {
        let waiting: Vec<(Key, Value)> = self
            .store
            .list(DEFINITIONS, None)
            .filter(|(_, definition)| {
                definition["status"]["conditions"]
                    .as_array()
                    .is_none_or(Vec::is_empty)
            })
            .map(|(key, definition)| (key.clone(), definitions::established(definition)))
            .collect();
        for (key, definition) in waiting {
            self.put(key, definition);
        }
    }

    /// Deletes what has owners and none of them is there.
    fn collect(&mut self) {
        let living: BTreeSet<String> = self
            .store
            .all()
            .filter_map(|(_, object)| object["metadata"]["uid"].as_str().map(str::to_owned))
            .collect();
        let orphans: Vec<Key> = self
            .store
            .all()
            .filter(|(_, object)| {
                let owners = object["metadata"]["ownerReferences"].as_array();
                owners.is_some_and(|owners| {
                    let lives = |owner: &Value| {
                        owner["uid"]
                            .as_str()
                            .is_some_and(|uid| living.contains(uid))
                    };
                    !owners.is_empty() && !owners.iter().any(lives)
                })
            })
            .map(|(key, _)| key.clone())
            .collect();
        orphans.iter().for_each(|key| self.end(key));
    }

    fn terminate(&mut self) {
        let ending: Vec<Key> = self
            .store
            .list("namespaces", None)
            .filter(|(_, namespace)| !namespace["metadata"]["deletionTimestamp"].is_null())
            .map(|(key, _)| key.clone())
            .collect();
        for namespace in ending {
            let content = |key: &&Key| key.namespace == namespace.name;
            let keys: Vec<Key> = self
                .store
                .all()
                .map(|(key, _)| key)
                .filter(content)
                .cloned()
                .collect();
            keys.iter().for_each(|key| self.end(key));
            if self
                .store
                .all()
                .any(|(key, _)| key.namespace == namespace.name)
            {
                continue;
            }
            let held = self.store.get(&namespace).is_some_and(|object| {
                object["metadata"]["finalizers"]
                    .as_array()
                    .is_some_and(|list| !list.is_empty())
            });
            if held {
                let object = self
                    .store
                    .get(&namespace)
                    .map(|object| Value::clone(object));
                if let Some(mut object) = object.filter(|o| o["spec"]["finalizers"] != json!([])) {
                    object["spec"]["finalizers"] = json!([]);
                    self.put(namespace, object);
                }
            } else {
                self.remove(&namespace);
            }
        }
    }

    /// Deletes an object, or marks it if finalizers hold it.
    fn end(&mut self, key: &Key) {
        let Some(object) = self.store.get(key) else {
            return;
        };
        if object["metadata"]["finalizers"]
            .as_array()
            .is_none_or(Vec::is_empty)
        {
            self.remove(key);
        } else if object["metadata"]["deletionTimestamp"].is_null() {
            let mut object = Value::clone(object);
            object["metadata"]["deletionTimestamp"] = now().into();
            object["metadata"]["deletionGracePeriodSeconds"] = 0.into();
            self.put(key.clone(), object);
        }
    }
}
