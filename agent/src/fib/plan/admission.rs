//! Which wanted routes may enter the kernel: guard rails and the limit, and what happens when they change.

use ipnet::IpNet;

use super::super::guard::{GuardRails, Replaced};
use super::table::{AnyKey, Entry, V4, V6, flag, key};
use super::{Family, Plan};

impl Plan {
    /// Replaces the guard rails and applies them to everything that is wanted and that they are about.
    pub fn set_guard_rails(&mut self, guard: GuardRails) {
        match self.guard.replace(guard) {
            Replaced::Nothing => {}
            Replaced::Networks { services, foreign } if services.iter().all(is_host) => {
                for net in services.into_iter().chain(foreign) {
                    match key(net) {
                        AnyKey::V4(k) => self.readmit(k),
                        AnyKey::V6(k) => self.readmit(k),
                    }
                }
            }
            Replaced::Networks { .. } | Replaced::Everything => self.rescan = true,
        }
    }

    /// Applies the guard rails to a prefix once more.
    fn readmit<K: Family>(&mut self, k: K) {
        if let Some(before) = K::table_ref(self).get(k).copied() {
            let mut after = before;
            self.admit(&mut after);
            if after.flags != before.flags || !self.is_right(&after) {
                self.change(before, after);
            }
        }
    }

    /// The guard rails in force.
    pub fn guard_rails(&self) -> &GuardRails {
        self.guard.source()
    }

    /// Looks at every prefix again.
    pub(super) fn rescan_all(&mut self) {
        self.rescan_family::<V4>();
        self.rescan_family::<V6>();
    }

    fn rescan_family<K: Family>(&mut self) {
        let keys: Vec<K> = K::table_ref(self).iter().map(|e| e.key).collect();
        for k in keys {
            self.readmit(k);
        }
    }

    /// Applies the guard rails to an entry.
    pub(super) fn admit<K: Family>(&mut self, e: &mut Entry<K>) {
        let learned = e.desired.as_set().is_some();
        let refused = learned && self.guard.check(e.key.prefix()).is_some();
        e.put(flag::REFUSED, refused);
        let counts = learned && !refused;
        let max = self.guard.source().max_routes;
        let room = max.is_none_or(|max| self.counted < max);
        if counts && e.has(flag::COUNTED) && max.is_some_and(|max| self.counted > max) {
            // The limit was lowered: whoever is looked at first goes, until it holds.
            self.counted -= 1;
            e.put(flag::COUNTED, false);
        }
        match (counts, e.has(flag::COUNTED)) {
            (true, false) if room => {
                self.counted += 1;
                e.put(flag::COUNTED, true);
            }
            (false, true) => {
                self.counted -= 1;
                e.put(flag::COUNTED, false);
                // Somebody else may come in.
                self.rescan |= self.limited > 0;
            }
            _ => {}
        }
        let limited = counts && !e.has(flag::COUNTED);
        match (limited, e.has(flag::LIMITED)) {
            (true, false) => self.limited += 1,
            (false, true) => self.limited -= 1,
            _ => {}
        }
        e.put(flag::LIMITED, limited);
    }
}

fn is_host(net: &IpNet) -> bool {
    net.prefix_len() == net.max_prefix_len()
}
