//! The objects, one number that counts their changes, and the log of the changes.
//!
//! Every change takes the next revision, which is the object's `resourceVersion` from then on. Watchers hold a place
//! in the log; a state of the past, which the pages of a list are cut from, is the present with the log undone. What is
//! older than `compacted` cannot be asked for any more.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::watch;

/// How many changes are kept: more than any test makes between two looks, and little memory.
const LOG: usize = 20_000;

/// Where an object lies. The order is that of lists: namespace, then name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    /// The resource's, e.g. `services` or `peers.routelet.dev`.
    pub(crate) room: String,
    /// Empty for objects of the cluster.
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// One change of one object; `after` is absent when it was deleted.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) revision: u64,
    pub(crate) key: Key,
    pub(crate) before: Option<Arc<Value>>,
    /// The object as it is now; of a deleted one the last state, with the revision of the deletion.
    pub(crate) object: Arc<Value>,
    pub(crate) deleted: bool,
}

/// The store.
#[derive(Debug)]
pub(crate) struct Store {
    objects: BTreeMap<Key, Arc<Value>>,
    log: VecDeque<Change>,
    /// The place in the log of its first change.
    first: u64,
    revision: u64,
    compacted: u64,
    /// The place after the last change: watchers wake by it.
    end: watch::Sender<u64>,
    /// How many Services have a cluster IP, or a node port.
    addresses: HashMap<IpAddr, u32>,
    ports: HashMap<u64, u32>,
}

impl Store {
    pub(crate) fn new() -> Self {
        Self {
            objects: BTreeMap::new(),
            log: VecDeque::new(),
            first: 0,
            revision: 1,
            compacted: 0,
            end: watch::Sender::new(0),
            addresses: HashMap::new(),
            ports: HashMap::new(),
        }
    }

    /// The revision of the last change.
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    /// Older revisions than this cannot be asked for.
    pub(crate) fn compacted(&self) -> u64 {
        self.compacted
    }

    /// Makes every revision before the present one unknown.
    pub(crate) fn compact(&mut self) {
        // A change of nothing, so that the present is not the revision that clients saw last.
        self.revision += 1;
        self.compacted = self.revision;
    }

    pub(crate) fn get(&self, key: &Key) -> Option<&Arc<Value>> {
        self.objects.get(key)
    }

    /// The objects of a room, of one namespace or of all.
    pub(crate) fn list<'a>(
        &'a self,
        room: &'a str,
        namespace: Option<&'a str>,
    ) -> impl Iterator<Item = (&'a Key, &'a Arc<Value>)> {
        let start = Key {
            room: room.to_owned(),
            namespace: namespace.unwrap_or_default().to_owned(),
            name: String::new(),
        };
        self.objects
            .range(start..)
            .take_while(move |(key, _)| key.room == room)
            .filter(move |(key, _)| namespace.is_none_or(|wanted| key.namespace == wanted))
    }

    /// All objects.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&Key, &Arc<Value>)> {
        self.objects.iter()
    }

    /// The objects of a room as they were at a revision that is still known.
    pub(crate) fn list_at(
        &self,
        room: &str,
        namespace: Option<&str>,
        revision: u64,
    ) -> Vec<(Key, Arc<Value>)> {
        let mut then: BTreeMap<Key, Arc<Value>> = self
            .list(room, namespace)
            .map(|(key, object)| (key.clone(), object.clone()))
            .collect();
        let undone = self
            .log
            .iter()
            .rev()
            .take_while(|change| change.revision > revision);
        for change in undone.filter(|change| {
            change.key.room == room && namespace.is_none_or(|wanted| change.key.namespace == wanted)
        }) {
            match &change.before {
                Some(before) => then.insert(change.key.clone(), before.clone()),
                None => then.remove(&change.key),
            };
        }
        then.into_iter().collect()
    }

    /// Writes an object, new or changed, and returns it with its revision.
    pub(crate) fn put(&mut self, key: Key, mut object: Value) -> Arc<Value> {
        self.revision += 1;
        object["metadata"]["resourceVersion"] = self.revision.to_string().into();
        let object = Arc::new(object);
        let before = self.objects.insert(key.clone(), object.clone());
        self.record(Change {
            revision: self.revision,
            key,
            before,
            object: object.clone(),
            deleted: false,
        });
        object
    }

    /// Removes an object and returns its last state.
    pub(crate) fn remove(&mut self, key: &Key) -> Option<Arc<Value>> {
        let before = self.objects.remove(key)?;
        self.revision += 1;
        let mut last = Value::clone(&before);
        last["metadata"]["resourceVersion"] = self.revision.to_string().into();
        let object = Arc::new(last);
        self.record(Change {
            revision: self.revision,
            key: key.clone(),
            before: Some(before),
            object: object.clone(),
            deleted: true,
        });
        Some(object)
    }

    /// Tells watchers the last change of a room once more.
    pub(crate) fn repeat_last(&mut self, room: &str) -> bool {
        let last = self.log.iter().rev().find(|change| change.key.room == room);
        let Some(last) = last.cloned() else {
            return false;
        };
        self.record(last);
        true
    }

    fn record(&mut self, change: Change) {
        if change.key.room == "services" {
            if let Some(before) = &change.before {
                count(
                    before,
                    &mut self.addresses,
                    &mut self.ports,
                    u32::wrapping_sub,
                );
            }
            if !change.deleted {
                let object = &change.object;
                count(
                    object,
                    &mut self.addresses,
                    &mut self.ports,
                    u32::wrapping_add,
                );
            }
        }
        self.log.push_back(change);
        while self.log.len() > LOG {
            if let Some(dropped) = self.log.pop_front() {
                self.first += 1;
                self.compacted = self.compacted.max(dropped.revision);
            }
        }
        self.end.send_replace(self.first + self.log.len() as u64);
    }

    /// Whether a Service has a cluster IP.
    pub(crate) fn uses_address(&self, address: IpAddr) -> bool {
        self.addresses.get(&address).is_some_and(|count| *count > 0)
    }

    /// Whether a Service has a node port.
    pub(crate) fn uses_port(&self, port: u64) -> bool {
        self.ports.get(&port).is_some_and(|count| *count > 0)
    }

    /// The place after the last change.
    pub(crate) fn end(&self) -> u64 {
        self.first + self.log.len() as u64
    }

    /// The place of the first change after a revision.
    pub(crate) fn place_after(&self, revision: u64) -> u64 {
        // From the end, because a repeated change is out of order.
        let later = self.log.iter().rev().take_while(|c| c.revision > revision);
        self.end() - later.count() as u64
    }

    /// The changes from a place on, or `None` if some of them are gone.
    pub(crate) fn since(&self, place: u64) -> Option<impl Iterator<Item = &Change>> {
        let skipped = place.checked_sub(self.first)?;
        Some(self.log.iter().skip(usize::try_from(skipped).ok()?))
    }

    /// Wakes at every change.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.end.subscribe()
    }
}

/// Counts the cluster IPs and node ports of a Service in or out.
fn count(
    service: &Value,
    addresses: &mut HashMap<IpAddr, u32>,
    ports: &mut HashMap<u64, u32>,
    by: fn(u32, u32) -> u32,
) {
    let ips = service["spec"]["clusterIPs"]
        .as_array()
        .into_iter()
        .flatten();
    for ip in ips.filter_map(|ip| ip.as_str()?.parse().ok()) {
        let known = addresses.entry(ip).or_default();
        *known = by(*known, 1);
    }
    let all = service["spec"]["ports"].as_array().into_iter().flatten();
    for port in all.filter_map(|port| port["nodePort"].as_u64()) {
        let known = ports.entry(port).or_default();
        *known = by(*known, 1);
    }
}
