//! Watches: what is there, then what changes, as lines of JSON.
//!
//! A watcher holds a place in the store's log and wakes when the log grows; it never misses a change and needs no queue
//! of its own. A client that does not read stops its own watcher only: the channel to its connection holds 64 lines.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::core::{Core, present};
use super::failure::{Cause, Failure};
use super::request::Call;
use super::selector::Selector;
use super::store::Change;

/// The lines that may wait for a connection; when it is full the watcher waits.
const LINES: usize = 64;
/// How long a watch lasts that names no time, as at the real server at least.
const TIMEOUT: u64 = 1800;

/// Where a watch stands.
#[derive(Debug)]
pub(crate) struct Watcher {
    call: Call,
    selector: Selector,
    place: u64,
    /// The lines to begin with.
    first: Vec<Bytes>,
    /// Whether nothing follows them: the first line is an error.
    over: bool,
}

impl Core {
    /// Begins a watch.
    pub(crate) fn watch(&self, call: &Call) -> Result<Watcher, Failure> {
        let query = &call.query;
        let selector = Self::selector(call)?;
        let asked = query.number("resourceVersion")?;
        let streaming = query.has("sendInitialEvents");
        let matching = query.text("resourceVersionMatch");
        let refused = match (streaming, matching) {
            (true, "NotOlderThan") | (false, "") => None,
            (true, _) => Some(Cause::forbidden(
                "resourceVersionMatch",
                "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
            )),
            (false, _) => Some(Cause::forbidden(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            )),
        };
        if let Some(cause) = refused {
            return Err(Failure::invalid("meta.k8s.io", "ListOptions", "", &[cause]));
        }
        let mut watcher = Watcher {
            call: call.clone(),
            selector,
            place: self.store.end(),
            first: Vec::new(),
            over: false,
        };
        let initial = if streaming {
            query.is("sendInitialEvents")
        } else {
            matches!(asked, None | Some(0))
        };
        if initial {
            self.reached(asked.unwrap_or_default())?;
            let objects = self.store.list_at(
                &call.resource.room(),
                call.namespace.as_deref(),
                self.store.revision(),
            );
            let selected = objects
                .iter()
                .filter(|(_, object)| watcher.selector.matches(object));
            watcher.first = selected
                .map(|(_, object)| line("ADDED", present(&call.resource, object)))
                .collect();
            if streaming && query.is("allowWatchBookmarks") {
                watcher.first.push(self.bookmark(call, true));
            }
        } else if let Some(revision) = asked.filter(|revision| *revision > 0) {
            match self.known(revision, false) {
                Ok(_) => watcher.place = self.store.place_after(revision),
                // A revision that is to come is waited for.
                Err(failure) if failure.code == 504 => {}
                Err(failure) => {
                    watcher.first = vec![line("ERROR", failure.status())];
                    watcher.over = true;
                }
            }
        }
        Ok(watcher)
    }

    fn bookmark(&self, call: &Call, initial: bool) -> Bytes {
        let mut metadata = json!({
            "resourceVersion": self.store.revision().to_string(),
            "creationTimestamp": null,
        });
        if initial {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let (version, kind) = (call.resource.api_version(), &call.resource.kind);
        line(
            "BOOKMARK",
            json!({"apiVersion": version, "kind": kind, "metadata": metadata}),
        )
    }

    /// The lines of what changed since a watcher looked last, or that it is too late.
    fn changes(&self, watcher: &mut Watcher) -> (Vec<Bytes>, bool) {
        let Some(changes) = self.store.since(watcher.place) else {
            let failure =
                Failure::expired("The resourceVersion for the provided watch is too old.");
            return (vec![line("ERROR", failure.status())], true);
        };
        let lines = changes
            .filter_map(|change| event(watcher, change))
            .collect();
        watcher.place = self.store.end();
        (lines, false)
    }
}

fn event(watcher: &Watcher, change: &Change) -> Option<Bytes> {
    let resource = &watcher.call.resource;
    let here = change.key.room == resource.room()
        && watcher
            .call
            .namespace
            .as_ref()
            .is_none_or(|namespace| *namespace == change.key.namespace);
    if !here {
        return None;
    }
    let before = change
        .before
        .as_ref()
        .is_some_and(|object| watcher.selector.matches(object));
    let after = !change.deleted && watcher.selector.matches(&change.object);
    let kind = match (before, after) {
        (false, true) => "ADDED",
        (true, true) => "MODIFIED",
        (true, false) => "DELETED",
        (false, false) => return None,
    };
    let mut object = present(resource, &change.object);
    if let (false, false, Some(last)) = (after, change.deleted, &change.before) {
        // What leaves the set is shown as it was in it, at the revision at which it left.
        object = present(resource, last);
        object["metadata"]["resourceVersion"] = change.revision.to_string().into();
    }
    Some(line(kind, object))
}

fn line(kind: &str, object: Value) -> Bytes {
    let mut text = json!({"type": kind, "object": object}).to_string();
    text.push('\n');
    text.into()
}

/// Runs a watch on a task of its own; the lines come out of the channel. When `cut` changes, the connection breaks.
pub(crate) fn run(
    core: &Arc<Mutex<Core>>,
    watcher: Watcher,
    cut: watch::Receiver<u64>,
) -> Result<mpsc::Receiver<io::Result<Bytes>>, Failure> {
    let timeout = watcher
        .call
        .query
        .number("timeoutSeconds")?
        .filter(|t| *t > 0)
        .unwrap_or(TIMEOUT);
    let (out, lines) = mpsc::channel(LINES);
    let end = Instant::now() + Duration::from_secs(timeout);
    tokio::spawn(follow(core.clone(), watcher, cut, out, end));
    Ok(lines)
}

async fn follow(
    core: Arc<Mutex<Core>>,
    mut watcher: Watcher,
    mut cut: watch::Receiver<u64>,
    out: mpsc::Sender<io::Result<Bytes>>,
    end: Instant,
) {
    let lock = || core.lock().unwrap_or_else(PoisonError::into_inner);
    // What was cut before this watch began is none of its business.
    cut.mark_unchanged();
    let bookmarks = watcher.call.query.is("allowWatchBookmarks");
    let mut lines = std::mem::take(&mut watcher.first);
    let mut over = watcher.over;
    let (mut changed, interval) = {
        let core = lock();
        let changed = core.store.subscribe();
        // What has changed since the request was taken.
        if !over {
            let (more, is_over) = core.changes(&mut watcher);
            lines.extend(more);
            over = is_over;
        }
        (changed, core.settings.bookmark_interval)
    };
    let mut next = Instant::now() + interval;
    loop {
        for line in lines {
            if out.send(Ok(line)).await.is_err() {
                return;
            }
        }
        if over {
            return;
        }
        let wake = tokio::select! {
            done = changed.changed() => done.is_ok(),
            // Also when the server is gone.
            _ = cut.changed() => {
                let _ = out.send(Err(io::Error::from(io::ErrorKind::ConnectionReset))).await;
                return;
            }
            () = sleep_until(end.min(next)) => true,
            () = out.closed() => return,
        };
        let core = lock();
        (lines, over) = core.changes(&mut watcher);
        let ended = Instant::now() >= end;
        if bookmarks && !over && (ended || Instant::now() >= next) {
            lines.push(core.bookmark(&watcher.call, false));
        }
        if Instant::now() >= next {
            next = Instant::now() + interval;
        }
        over |= ended || !wake;
    }
}
