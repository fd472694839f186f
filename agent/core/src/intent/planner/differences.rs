//! What Services justify, summed up over all of them, or as far as some of them differ.

use std::collections::BTreeMap;
use std::sync::Arc;

use ipnet::IpNet;

use super::RouteChange;
use crate::cluster::Map;
use crate::intent::advertise::{Ground, Told};
use crate::intent::announceable::Announceable;
use crate::intent::{Intent, Justification, OriginatedRoute, Suppressed};

/// What all objects justify.
#[derive(Default)]
pub(super) struct Sum {
    routes: BTreeMap<Announceable, Vec<Justification>>,
    suppressed: BTreeMap<Suppressed, u32>,
}

impl Sum {
    pub(super) fn add(&mut self, told: Told) {
        for (prefix, why) in told.routes {
            let all = self.routes.entry(prefix);
            all.or_insert_with(|| Vec::with_capacity(1)).push(why);
        }
        for one in told.suppressed {
            *self.suppressed.entry(one).or_default() += 1;
        }
    }

    /// The routes that are originated, and what is suppressed, by how many.
    pub(super) fn of(
        self,
        ground: &Ground<'_>,
    ) -> (Map<IpNet, Arc<OriginatedRoute>>, Map<Suppressed, u32>) {
        let originated = self.routes.into_iter().filter_map(|(prefix, mut all)| {
            all.sort_unstable();
            let route = ground.route(prefix, all.into())?;
            Some((prefix.prefix(), Arc::new(route)))
        });
        (originated.collect(), self.suppressed.into_iter().collect())
    }
}

/// What some Services stopped and began to justify.
#[derive(Default)]
pub(super) struct Differences {
    routes: BTreeMap<Announceable, [Vec<Justification>; 2]>,
    suppressed: BTreeMap<Suppressed, i64>,
}

impl Differences {
    pub(super) fn take(&mut self, gone: Told, come: Told) {
        for (prefix, why) in gone.routes.difference(&come.routes) {
            let [old, _] = self.routes.entry(*prefix).or_default();
            old.push(why.clone());
        }
        for (prefix, why) in come.routes.difference(&gone.routes) {
            let [_, new] = self.routes.entry(*prefix).or_default();
            new.push(why.clone());
        }
        for one in gone.suppressed {
            *self.suppressed.entry(one).or_default() -= 1;
        }
        for one in come.suppressed {
            *self.suppressed.entry(one).or_default() += 1;
        }
    }

    /// Brings an intent up to date. Returns the routes that are other ones.
    pub(super) fn apply(self, intent: &mut Intent, ground: &Ground<'_>) -> Vec<RouteChange> {
        for (one, by) in self.suppressed {
            let before = intent.suppressed.get(&one).copied().unwrap_or_default();
            match u32::try_from(i64::from(before) + by) {
                Ok(now) if now > 0 => intent.suppressed.insert(one, now),
                _ => intent.suppressed.remove(&one),
            };
        }
        let mut changes = Vec::new();
        for (announceable, [gone, come]) in self.routes {
            let prefix = announceable.prefix();
            let before = intent.originated.get(&prefix).cloned();
            let known = before.as_ref().map_or(&[][..], |b| &b.justifications);
            let mut all: Vec<Justification> = known
                .iter()
                .filter(|why| !gone.contains(why))
                .cloned()
                .collect();
            all.extend(come);
            all.sort_unstable();
            all.dedup();
            let after: Option<OriginatedRoute> = ground.route(announceable, all.into());
            let old = before.as_ref().map(|b| (&b.route, b.refusal));
            if old != after.as_ref().map(|a| (&a.route, a.refusal)) {
                changes.push(RouteChange {
                    prefix,
                    route: after.as_ref().map(|after| after.route.clone()),
                    refusal: after.as_ref().and_then(|after| after.refusal),
                });
            }
            match after {
                Some(after) => intent.originated.insert(prefix, Arc::new(after)),
                None => intent.originated.remove(&prefix),
            };
        }
        changes
    }
}
