//! What this node originates, as paths of the table.

use bgp::types::{NextHop, Nlri, PathId, RoutePrefix};
use bgp::wire::AttributeSetRef;

use super::path::{Imported, Path};
use super::{AdjRibInId, Table};
use crate::attrs::AttrInterner;
use crate::originate::Originated;

impl<P: RoutePrefix> Table<P> {
    /// Replaces everything that this node originates.
    pub(crate) fn set_originated(
        &mut self,
        wanted: impl Iterator<Item = (P, Originated)>,
        attrs: &mut AttrInterner,
    ) {
        let wanted: hashbrown::HashMap<P, Originated, foldhash::fast::RandomState> =
            wanted.collect();
        let gone = self.originated.keys().copied();
        let gone: Vec<P> = gone.filter(|p| !wanted.contains_key(p)).collect();
        let changes = wanted.into_iter().map(|(prefix, new)| (prefix, Some(new)));
        let gone = gone.into_iter().map(|prefix| (prefix, None));
        self.change_originated(changes.chain(gone), attrs);
    }

    /// Changes what this node originates, prefix by prefix; `None`: no more.
    pub(crate) fn change_originated(
        &mut self,
        changes: impl Iterator<Item = (P, Option<Originated>)>,
        attrs: &mut AttrInterner,
    ) {
        let mut gone: Vec<Nlri<P>> = Vec::new();
        // Whether there was another one before.
        let mut come: Vec<(P, bool)> = Vec::new();
        for (prefix, new) in changes {
            match new {
                Some(new) if self.originated.get(&prefix) == Some(&new) => {}
                Some(new) => {
                    let before = self.originated.insert(prefix, new);
                    come.push((prefix, before.is_some()));
                }
                None => {
                    if self.originated.remove(&prefix).is_some() {
                        gone.push(Nlri::new(prefix));
                    }
                }
            }
        }
        gone.sort_unstable();
        let places = self.look_up(&gone, attrs);
        self.withdraw_from(AdjRibInId::LOCAL, &[], places.part(0..gone.len()), attrs);
        let next_hop = NextHop::Ipv4(std::net::Ipv4Addr::UNSPECIFIED);
        let attr = attrs.intern(AttributeSetRef::default(), &next_hop);
        let imported = Imported {
            attr,
            altered: false,
            rejection: None,
            weight: 1,
        };
        come.sort_unstable();
        let nlri: Vec<Nlri<P>> = come.iter().map(|(prefix, _)| Nlri::new(*prefix)).collect();
        let places = self.look_up(&nlri, attrs);
        for ((Nlri { prefix, .. }, place), (_, known)) in places.part(0..nlri.len()).zip(come) {
            let slot = self.index.slot_or_insert(prefix, place, &mut self.entries);
            if !known {
                let selection = self.selection_at(slot, attrs);
                let path = Path::new(AdjRibInId::LOCAL, PathId::NONE, &imported);
                self.add(slot, path, attr, attrs);
                self.settle(slot, selection, attrs);
            }
            self.changed_for_export(slot);
            self.changed_for_fib(slot);
        }
        attrs.release(attr);
    }
}
