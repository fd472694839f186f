//! RouterStates whose node is gone. Those that belong to their Node go with it by themselves; what is left was made
//! before there was one. One whose agent runs stays: the agent would write it again.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::cache::ControllerCache;

/// How long a RouterState stays without its Node, and without a report of its agent: an agent may be there before its
/// Node, and one that runs writes every five minutes.
const STAYS: Duration = Duration::from_secs(360);

/// RouterStates without a Node, and since when.
#[derive(Debug, Default)]
pub(super) struct Orphans(HashMap<String, Instant>);

impl Orphans {
    /// The RouterStates that have to go, with their uid.
    pub(super) fn due(
        &mut self,
        cache: &ControllerCache,
        now: Instant,
    ) -> Vec<(String, Option<String>)> {
        let before = std::mem::take(&mut self.0);
        let mut due = Vec::new();
        for ((_, name), state) in cache.states.iter() {
            if cache.nodes.named(name).is_some() {
                continue;
            }
            let since = before.get(name).copied().unwrap_or(now);
            if now >= since + STAYS && state.age(now.into_std()) >= STAYS {
                due.push((name.clone(), state.uid.clone()));
            }
            self.0.insert(name.clone(), since);
        }
        due
    }
}
