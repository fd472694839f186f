//! Where the plan writes: table and metric, the part of a route's identity that is the same for all of ours. Whether it writes at
//! all, and when it stops.
//!
//! A configuration that changes while the agent runs is treated as one that changed while it was away: everything is listed, and
//! what of ours is in another place than the present one is a leftover, which goes once the routes in the right place are there.
//! Until that listing is complete nothing is written.

use super::key::{V4, V6};
use super::resync::Resync;
use super::table::Want;
use super::{Family, Plan};
use crate::types::RouteSpace;

/// Whether the plan writes, and what.
#[derive(Debug)]
pub(super) struct Mode {
    /// Whether learned routes are installed.
    pub(super) installs: bool,
    /// Whether the kernel's routes of our protocol are another agent's.
    aside: bool,
    /// Counts the reasons to list everything before anything is written.
    reasons: u64,
    /// How many there were when the listing began that came last, or is under way.
    begun: u64,
    /// How many there were when the last complete listing began.
    listed: u64,
}

impl Default for Mode {
    fn default() -> Self {
        Self {
            installs: true,
            aside: false,
            reasons: 0,
            begun: 0,
            listed: 0,
        }
    }
}

impl Mode {
    /// Whether operations may be planned.
    pub(super) const fn may_write(&self) -> bool {
        !self.aside && !self.is_unlisted()
    }

    /// Whether everything has to be listed before anything is written.
    const fn is_unlisted(&self) -> bool {
        self.listed != self.reasons
    }
}

impl Plan {
    /// Table and metric of learned routes; those of the last configuration that installed some if none are installed now.
    pub fn space(&self) -> RouteSpace {
        self.space
    }

    /// Whether learned routes are installed.
    pub fn installs(&self) -> bool {
        self.mode.installs
    }

    /// Has learned routes with this table and metric from now on. Those of ours in another place are removed when the new ones are
    /// there. `None`: has none, and removes what there is of ours. What is refused has a table of its own and stays.
    ///
    /// After `None`, every wish has to be submitted again.
    pub fn set_space(&mut self, space: Option<RouteSpace>) {
        let did_install = std::mem::replace(&mut self.mode.installs, space.is_some());
        let Some(space) = space else {
            // The walk comes to every prefix.
            self.rescan = true;
            self.converged();
            return;
        };
        if !did_install && self.has_to_walk() {
            // What it has not come to yet may be no one's wish any more.
            self.want_nothing();
        }
        if space != self.space {
            self.space = space;
            self.refusing.set_learned_table(space.table);
            self.forget_failures();
            self.list_first();
        }
    }

    /// Leaves everything of our protocol in the kernel alone (`true`), since it is another agent's; or takes it for our own.
    /// Returns true if that changed.
    pub fn set_aside(&mut self, aside: bool) -> bool {
        let changed = std::mem::replace(&mut self.mode.aside, aside) != aside;
        if changed && !aside {
            self.rescan = true;
            self.list_first();
        }
        changed
    }

    /// Whether everything of our protocol is another agent's.
    pub const fn is_aside(&self) -> bool {
        self.mode.aside
    }

    /// Whether nothing is written before a listing of everything.
    pub fn waits_for_listing(&self) -> bool {
        self.mode.is_unlisted()
    }

    fn list_first(&mut self) {
        self.mode.reasons += 1;
        self.resync = Resync::Everything;
    }

    /// A listing begins, with the nexthop objects.
    pub(super) const fn listing_begins(&mut self) {
        self.mode.begun = self.mode.reasons;
    }

    /// A listing is complete. Whether it was waited for: what it does not mention was not removed by others.
    pub(super) const fn listing_ends(&mut self) -> bool {
        let waited = self.mode.is_unlisted();
        self.mode.listed = self.mode.begun;
        waited
    }

    /// Every peer has said End-of-RIB, or there is no more waiting: what a predecessor left becomes what is wanted now, or
    /// goes.
    pub fn converged(&mut self) {
        if !std::mem::replace(&mut self.converged, true) {
            self.nexthops.untidy = true;
            self.rescan = true;
        }
    }

    /// What is found in the kernel from now on may be wanted soon, as at a start: until [`Plan::converged`] it stays.
    pub fn converges_again(&mut self) {
        self.converged = false;
    }

    /// Nothing is wanted any more, and nothing of ours shall stay.
    ///
    /// What is submitted afterwards changes nothing.
    pub fn withdraw(&mut self) {
        self.set_space(None);
        self.set_refused(None, []);
    }

    fn want_nothing(&mut self) {
        self.withdraw_family::<V4>();
        self.withdraw_family::<V6>();
    }

    fn withdraw_family<K: Family>(&mut self) {
        let keys: Vec<K> = K::table_ref(self).iter().map(|e| e.key).collect();
        for k in keys {
            self.desire(k, Want::NONE);
        }
    }
}
