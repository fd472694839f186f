//! A listing of nexthop objects is taken in, some at a time: there can be tens of thousands, and of routes that went with them millions.
//!
//! In this order: objects that are known, and those that are not; groups that are gone; groups that are there; routes over groups that are
//! gone, part by part; these groups. Until that is over nothing else may come from the kernel nor be asked for, but wishes may change:
//! they find some groups as they were, and some as they are. Routes that are right on the former only are looked at again at its end.

use super::key::{V4, V6};
use super::nexthops::{Members, Role, normalize};
use super::table::{Entry, SHARDS, flag};
use super::work::Work;
use super::{Family, Plan};
use crate::hash::{HashMap, HashSet};
use crate::kernel::event::{Nexthop, NexthopKind};
use crate::kernel::op::Object;
use crate::kernel::op::Slot;
use crate::types::{NEXTHOP_ID_FIRST, NEXTHOP_ID_LAST, ROUTE_PROTOCOL};

/// All nexthop objects of the kernel, whoever made them.
#[derive(Debug, Default)]
pub struct ListedNexthops {
    /// Of ours, those in our range, by id.
    objects: HashMap<u32, Object>,
    groups: HashMap<u32, Vec<(u32, u16)>>,
    /// The ids of groups.
    group_ids: Vec<u32>,
    /// Ids in our range that others have.
    taken: HashSet<u32>,
    /// Of ours, what we never make.
    garbage: Vec<u32>,
    /// Ids of objects in the order in which they are chosen for what they can be: those in use come last, and are taken first.
    choice: Vec<u32>,
    /// Members of groups of several.
    shared: HashSet<u32>,
}

impl FromIterator<Nexthop> for ListedNexthops {
    fn from_iter<I: IntoIterator<Item = Nexthop>>(listing: I) -> Self {
        let mut listed = Self::default();
        for nexthop in listing {
            listed.add(nexthop);
        }
        listed.group_ids = listed.groups.keys().copied().collect();
        let mut alone = HashSet::default();
        for group in listed.groups.values() {
            let of = if group.len() > 1 {
                &mut listed.shared
            } else {
                &mut alone
            };
            of.extend(group.iter().map(|m| m.0));
        }
        let shared = &listed.shared;
        listed.choice = listed.objects.keys().copied().collect();
        let rank = |id: &u32| (!shared.contains(id), !alone.contains(id), *id);
        listed
            .choice
            .sort_unstable_by_key(|id| std::cmp::Reverse(rank(id)));
        listed
    }
}

impl ListedNexthops {
    fn add(&mut self, nexthop: Nexthop) {
        let in_range = (NEXTHOP_ID_FIRST..=NEXTHOP_ID_LAST).contains(&nexthop.id);
        match nexthop.kind {
            _ if nexthop.protocol != ROUTE_PROTOCOL => {
                if in_range {
                    self.taken.insert(nexthop.id);
                }
            }
            NexthopKind::Single { family, hop } if in_range => {
                let object = Object {
                    ipv6: i32::from(family) == libc::AF_INET6,
                    gateway: hop.gateway,
                    ifindex: hop.ifindex,
                    onlink: hop.onlink,
                };
                self.objects.insert(nexthop.id, object);
            }
            NexthopKind::Group(members) if in_range => {
                self.groups.insert(nexthop.id, members);
            }
            _ => self.garbage.push(nexthop.id),
        }
    }
}

/// A listing that is being taken in, and what is left of it.
#[derive(Debug, Default)]
pub(super) struct Listing {
    listed: ListedNexthops,
    /// Objects that were known before: those below have not been compared.
    known_objects: usize,
    /// Groups that were.
    known_groups: Vec<u32>,
    /// Which object each id is, and for which groups.
    ids: HashMap<u32, (u32, Role)>,
    /// Groups that are gone, and the part of the tables that is looked at next for routes over them.
    lost: HashSet<u32>,
    part: usize,
    /// Of those, groups that are still known.
    left: Vec<u32>,
}

impl Plan {
    /// Compares with a listing of all nexthop objects of the kernel, whoever made them.
    pub fn resync_nexthops(&mut self, listing: impl IntoIterator<Item = Nexthop>) {
        let mut is_over = self.take_nexthops(listing.into_iter().collect());
        while !is_over {
            is_over = self.take_more_nexthops();
        }
    }

    /// Begins to compare with such a listing. Returns whether that is all: otherwise [`Self::take_more_nexthops`] goes on with it, and
    /// until it is over nothing else may come from the kernel nor be asked for, but wishes may change.
    pub fn take_nexthops(&mut self, listed: ListedNexthops) -> bool {
        self.listing_begins();
        self.take_nexthops_within(listed)
    }

    /// The same in the middle of a listing of everything, which began with another one of nexthop objects.
    pub fn take_nexthops_within(&mut self, mut listed: ListedNexthops) -> bool {
        self.counters.resyncs += 1;
        if self.is_aside() {
            self.doubt_is_over();
            return true;
        }
        let nexthops = &mut self.nexthops;
        nexthops.groups_are_listed();
        nexthops.taken = std::mem::take(&mut listed.taken);
        nexthops.garbage = std::mem::take(&mut listed.garbage);
        self.listing = Listing {
            known_objects: nexthops.objects.len(),
            known_groups: nexthops.groups.keys().copied().collect(),
            listed,
            ..Listing::default()
        };
        false
    }

    /// Goes on with a listing. Returns whether it is over.
    pub fn take_more_nexthops(&mut self) -> bool {
        let mut listing = std::mem::take(&mut self.listing);
        let mut work = Work::step();
        self.compare_objects(&mut listing, &mut work);
        self.take_objects(&mut listing, &mut work);
        self.compare_groups(&mut listing, &mut work);
        self.take_groups(&mut listing, &mut work);
        if work.is_over() {
            self.listing = listing;
            return false;
        }
        if !listing.lost.is_empty() && listing.part < Self::PARTS {
            self.lose_some(&mut listing);
            self.listing = listing;
            return false;
        }
        while !work.is_over()
            && let Some(id) = listing.left.pop()
        {
            work.done(self.nexthops.cost_of(id));
            self.nexthops.remove_group(id);
        }
        if work.is_over() {
            self.listing = listing;
            return false;
        }
        self.nexthops.dirty = true;
        self.nexthops.untidy = true;
        self.merges_begin_again();
        self.doubt_is_over();
        true
    }

    /// Counts the objects of ours in whose place there is another now. Those that are missing went with their interface, or were
    /// deleted; a group that has lost members may have lost them so, too.
    fn is_replaced(&mut self) {
        self.counters.replaced_nexthops += 1;
        self.counters.repairs += 1;
    }

    /// Which of the objects that were known are there.
    fn compare_objects(&mut self, listing: &mut Listing, work: &mut Work) {
        while !work.is_over()
            && let Some(i) = listing.known_objects.checked_sub(1)
        {
            work.done(1);
            listing.known_objects = i;
            for role in Role::ALL {
                let state = &self.nexthops.objects[i];
                let Some(id) = state.id(role) else { continue };
                let there = listing.listed.objects.get(&id);
                if there == Some(&state.object) {
                    listing.ids.insert(id, (i as u32, role));
                    continue;
                }
                let is_other = there.is_some()
                    || listing.listed.groups.contains_key(&id)
                    || self.nexthops.taken.contains(&id);
                self.nexthops.set_id(i as u32, role, None);
                if is_other {
                    self.is_replaced();
                }
            }
        }
    }

    /// Objects that were not known.
    fn take_objects(&mut self, listing: &mut Listing, work: &mut Work) {
        while !work.is_over()
            && let Some(id) = listing.listed.choice.pop()
        {
            work.done(1);
            let Some(&object) = listing.listed.objects.get(&id) else {
                continue;
            };
            if listing.ids.contains_key(&id) {
                continue;
            }
            let i = self.nexthops.object(object);
            let state = &mut self.nexthops.objects[i as usize];
            let roles: &[Role] = match listing.listed.shared.contains(&id) {
                true => &[Role::Shared],
                false => &[Role::Alone, Role::Shared],
            };
            let free = roles.iter().find(|role| state.id(**role).is_none());
            if let Some(&role) = free {
                state.failure = None;
                self.nexthops.set_id(i, role, Some(id));
                listing.ids.insert(id, (i, role));
            } else {
                // There can be so many of one kind only if somebody meddled.
                self.nexthops.garbage.push(id);
            }
        }
    }

    /// Which of the groups that were known are there.
    fn compare_groups(&mut self, listing: &mut Listing, work: &mut Work) {
        while !work.is_over()
            && let Some(id) = listing.known_groups.pop()
        {
            work.done(1);
            let listed = &listing.listed;
            if listed.objects.contains_key(&id) || self.nexthops.taken.contains(&id) {
                self.is_replaced();
            }
            if !listed.groups.contains_key(&id) {
                work.done(self.nexthops.cost_of(id));
                self.nexthops.unbind(id);
                listing.lost.insert(id);
                listing.left.push(id);
            }
        }
    }

    /// Groups as listed.
    fn take_groups(&mut self, listing: &mut Listing, work: &mut Work) {
        while !work.is_over()
            && let Some(id) = listing.listed.group_ids.pop()
        {
            let Some(members) = listing.listed.groups.get(&id) else {
                continue;
            };
            work.done(1 + members.len() / 2);
            let mut was_shared = false;
            let mut content: Members = members
                .iter()
                .filter_map(|&(member, weight)| {
                    let &(object, role) = listing.ids.get(&member)?;
                    was_shared = role == Role::Shared;
                    // An object for groups without other members is not to be deleted from this one.
                    let fits = was_shared || members.len() == 1;
                    fits.then_some((object, weight.min(255) as u8))
                })
                .collect();
            if content.len() != members.len() {
                // It leads over something that is not ours: nothing is content with that.
                content.clear();
            }
            content.sort_unstable();
            normalize(&mut content);
            let before = self.nexthops.groups.get(&id);
            let is_same = before.is_some_and(|group| group.content == content);
            self.rescan |= !is_same && (before.is_some() || !content.is_empty());
            if !is_same {
                work.done(self.nexthops.cost_of(id) + content.len());
            }
            let was_shared = was_shared && content.len() == 1;
            self.nexthops.set_content(id, content, was_shared);
        }
    }

    /// Routes over groups that are gone are gone: those in one of [`Plan::PARTS`].
    fn lose_some(&mut self, listing: &mut Listing) {
        let part = listing.part;
        listing.part = part + 1;
        match part.checked_sub(SHARDS) {
            None => self.lose::<V4>(part, &listing.lost),
            Some(part) => self.lose::<V6>(part, &listing.lost),
        }
        self.lose_leftovers(part, &listing.lost);
    }

    fn lose<K: Family>(&mut self, shard: usize, lost: &HashSet<u32>) {
        let over = |e: &&Entry<K>| e.installed.as_group().is_some_and(|id| lost.contains(&id));
        let entries = K::table_ref(self).shard(shard).filter(over);
        let entries: Vec<Entry<K>> = entries.copied().collect();
        self.counters.repairs += entries.len() as u64;
        for before in entries {
            let mut after = before;
            after.installed = Slot::NONE;
            after.put(flag::STALE, false);
            self.change(before, after);
        }
    }
}
