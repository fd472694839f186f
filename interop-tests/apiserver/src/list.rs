//! Lists: selected, in pages that belong to one revision.

use std::sync::Arc;

use serde_json::{Value, json};

use super::core::{Core, present};
use super::failure::Failure;
use super::request::Call;
use super::selector::Selector;
use super::store::Key;

impl Core {
    pub(crate) fn selector(call: &Call) -> Result<Selector, Failure> {
        let query = &call.query;
        Selector::parse(
            &call.resource.room(),
            query.text("labelSelector"),
            query.text("fieldSelector"),
        )
    }

    /// What a list holds.
    pub(crate) fn list(&self, call: &Call) -> Result<Value, Failure> {
        let query = &call.query;
        let selector = Self::selector(call)?;
        let limit = query.number("limit")?.filter(|limit| *limit > 0);
        let (revision, after) = match query.text("continue") {
            "" => (self.list_revision(call)?, None),
            token => {
                if query.has("resourceVersion") {
                    return Err(Failure::bad_request(
                        "specifying resource version is not allowed when using continue",
                    ));
                }
                let (revision, after) = continuation(token)?;
                (self.known(revision, true)?, Some(after))
            }
        };
        let room = call.resource.room();
        let objects = self
            .store
            .list_at(&room, call.namespace.as_deref(), revision);
        let is_later = |key: &Key| {
            after
                .as_ref()
                .is_none_or(|after| (&key.namespace, &key.name) > (&after.0, &after.1))
        };
        let mut left = objects
            .into_iter()
            .filter(|(key, object)| is_later(key) && selector.matches(object))
            .peekable();
        let mut items: Vec<Value> = Vec::new();
        let mut last: Option<Key> = None;
        while limit.is_none_or(|limit| (items.len() as u64) < limit)
            && let Some((key, object)) = left.next()
        {
            items.push(item(call, &object));
            last = Some(key);
        }
        let mut metadata = json!({ "resourceVersion": revision.to_string() });
        let remaining = left.count();
        if let (1.., Some(last)) = (remaining, last) {
            metadata["continue"] = format!("{revision}:{}/{}", last.namespace, last.name).into();
            // With a selector the real server does not know how many are left.
            if !query.has("labelSelector") && !query.has("fieldSelector") {
                metadata["remainingItemCount"] = remaining.into();
            }
        }
        Ok(json!({
            "kind": format!("{}List", call.resource.kind),
            "apiVersion": call.resource.api_version(),
            "metadata": metadata,
            "items": items,
        }))
    }

    /// The revision that a list is of.
    fn list_revision(&self, call: &Call) -> Result<u64, Failure> {
        let query = &call.query;
        let asked = query.number("resourceVersion")?;
        match (query.text("resourceVersionMatch"), asked) {
            ("", None | Some(0)) => Ok(self.store.revision()),
            // A page of a certain revision is taken for Exact.
            ("", Some(revision)) if query.has("limit") => self.known(revision, false),
            ("NotOlderThan" | "", Some(revision)) => {
                self.reached(revision)?;
                Ok(self.store.revision())
            }
            ("Exact", Some(0)) => Err(Failure::bad_request(
                "resourceVersionMatch: Forbidden: resourceVersionMatch \"Exact\" is forbidden for resourceVersion \"0\"",
            )),
            ("Exact", Some(revision)) => self.known(revision, false),
            (_, None) => Err(Failure::bad_request(
                "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided",
            )),
            (other, _) => Err(Failure::bad_request(format!(
                "resourceVersionMatch: Unsupported value: \"{other}\": supported values: \"Exact\", \"NotOlderThan\""
            ))),
        }
    }

    /// A revision, unless it is compacted or still to come.
    pub(crate) fn known(&self, revision: u64, token: bool) -> Result<u64, Failure> {
        if revision < self.store.compacted() {
            return Err(Failure::expired(if token {
                "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.".to_owned()
            } else {
                format!(
                    "too old resource version: {revision} ({})",
                    self.store.compacted()
                )
            }));
        }
        self.reached(revision)?;
        Ok(revision)
    }

    /// Refuses a revision that is still to come, as the real server does after having waited for it.
    pub(crate) fn reached(&self, revision: u64) -> Result<(), Failure> {
        let current = self.store.revision();
        if revision <= current {
            return Ok(());
        }
        let message = format!("Too large resource version: {revision}, current: {current}");
        let mut failure = Failure::new(504, "Timeout", format!("Timeout: {message}"));
        failure.details = Some(json!({
            "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
            "retryAfterSeconds": 1,
        }));
        Err(failure)
    }
}

/// An item of a list of a built-in type carries neither `kind` nor `apiVersion`.
fn item(call: &Call, object: &Arc<Value>) -> Value {
    let mut shown = present(&call.resource, object);
    if !call.resource.is_custom()
        && let Some(fields) = shown.as_object_mut()
    {
        fields.remove("kind");
        fields.remove("apiVersion");
    }
    shown
}

fn continuation(token: &str) -> Result<(u64, (String, String)), Failure> {
    let read = || {
        let (revision, place) = token.split_once(':')?;
        let (namespace, name) = place.split_once('/')?;
        Some((
            revision.parse().ok()?,
            (namespace.to_owned(), name.to_owned()),
        ))
    };
    read().ok_or_else(|| Failure::bad_request("continue key is not valid: encoding/json"))
}
