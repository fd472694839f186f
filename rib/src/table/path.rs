//! A path in 12 bytes, and a prefix's entry: 20 bytes for IPv4, 32 for IPv6.

use bgp::types::{PathId, RoutePrefix};

use super::path_status::{Rejection, Rule};
use crate::attrs::AttrId;
use crate::slab::Slab;

/// Number of the Adj-RIB-In that a path lies in, among those of its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct AdjRibInId(pub(crate) u16);

impl AdjRibInId {
    /// The routes that this node originates.
    pub(crate) const LOCAL: Self = Self(0);
    /// Not a path: the entry has several, and `path_id` is the number of their list.
    const LIST: Self = Self(u16::MAX);
    /// Not a path: the entry has none.
    const EMPTY: Self = Self(u16::MAX - 1);
    /// The highest number that names a source.
    pub(crate) const MAX: u16 = u16::MAX - 2;
}

/// A received path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    /// After import policy; before it if the path is rejected. The path is counted as a user.
    pub(crate) attr: AttrId,
    pub(crate) path_id: PathId,
    pub(crate) source: AdjRibInId,
    flags: u8,
    /// Kernel weight less one.
    weight: u8,
}

/// Low bits of `flags`: the rejection's code, 0 if accepted.
const REJECTION: u8 = 0x0f;
/// The import policy or RFC 9494 changed the attributes; the original set is in the table's `originals`.
const ALTERED: u8 = 0x10;
/// The path is selected, and counted as such at its source.
const SELECTED: u8 = 0x20;

impl Path {
    pub(crate) fn new(source: AdjRibInId, path_id: PathId, imported: &Imported) -> Self {
        let rejection = imported.rejection.map_or(0, |rejection| rejection as u8);
        let altered = if imported.altered { ALTERED } else { 0 };
        Self {
            attr: imported.attr,
            path_id,
            source,
            flags: rejection | altered,
            weight: (imported.weight.clamp(1, 256) - 1) as u8,
        }
    }

    pub(crate) fn rejection(&self) -> Option<Rejection> {
        Rejection::from_code(self.flags & REJECTION)
    }

    pub(crate) fn is_altered(&self) -> bool {
        self.flags & ALTERED != 0
    }

    pub(crate) fn is_selected(&self) -> bool {
        self.flags & SELECTED != 0
    }

    pub(crate) fn set_selected(&mut self, selected: bool) {
        self.flags = self.flags & !SELECTED | if selected { SELECTED } else { 0 };
    }

    pub(crate) fn weight(&self) -> u16 {
        u16::from(self.weight) + 1
    }
}

/// What import made of an announced attribute set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Imported {
    /// What the path will carry.
    pub(crate) attr: AttrId,
    /// Whether that is another set than the announced one.
    pub(crate) altered: bool,
    pub(crate) rejection: Option<Rejection>,
    /// 1 to 256.
    pub(crate) weight: u16,
}

/// The prefix is in the queue of changes for the FIB.
pub(crate) const FIB_QUEUED: u8 = 1;
/// Export was told of the prefix and has not retired it: the entry must stay.
pub(crate) const EXPORT_HOLDS: u8 = 2;

/// What a table knows of a prefix.
pub(crate) struct Entry<P> {
    pub(crate) prefix: P,
    /// The step at which the best path's last candidate fell.
    pub(crate) rule: Rule,
    /// How many paths are selected. They come first in the list, the best one foremost.
    pub(crate) selected: u8,
    pub(crate) marks: u8,
    /// The only path; or the number of a list, or nothing.
    only: Path,
}

/// Paths of prefixes that have more than one.
pub(crate) type Lists = Slab<Vec<Path>>;

const NO_PATH: Path = Path {
    attr: AttrId(0),
    path_id: PathId::NONE,
    source: AdjRibInId::EMPTY,
    flags: 0,
    weight: 0,
};

impl<P: RoutePrefix> Entry<P> {
    pub(crate) fn new(prefix: P) -> Self {
        Self {
            prefix,
            rule: Rule::OnlyPath,
            selected: 0,
            marks: 0,
            only: NO_PATH,
        }
    }

    pub(crate) fn paths<'a>(&'a self, lists: &'a Lists) -> &'a [Path] {
        match self.only.source {
            AdjRibInId::EMPTY => &[],
            AdjRibInId::LIST => lists.get(self.only.path_id.0).map_or(&[], Vec::as_slice),
            _ => std::slice::from_ref(&self.only),
        }
    }

    pub(crate) fn paths_mut<'a>(&'a mut self, lists: &'a mut Lists) -> &'a mut [Path] {
        match self.only.source {
            AdjRibInId::EMPTY => &mut [],
            AdjRibInId::LIST => match lists.get_mut(self.only.path_id.0) {
                Some(list) => list,
                None => &mut [],
            },
            _ => std::slice::from_mut(&mut self.only),
        }
    }

    pub(crate) fn has_no_path(&self) -> bool {
        self.only.source == AdjRibInId::EMPTY
    }

    /// Gives an entry without paths its first one.
    pub(crate) fn set_first(&mut self, mut path: Path, selected: bool, lists: &mut Lists) {
        path.set_selected(selected);
        self.rule = Rule::OnlyPath;
        self.selected = u8::from(selected);
        self.push(path, lists);
    }

    /// Adds a path behind all others.
    pub(crate) fn push(&mut self, path: Path, lists: &mut Lists) {
        match self.only.source {
            AdjRibInId::EMPTY => self.only = path,
            AdjRibInId::LIST => {
                if let Some(list) = lists.get_mut(self.only.path_id.0) {
                    if list.len() == list.capacity() {
                        // A quarter at a time: doubling would leave half of a large table's lists empty.
                        list.reserve_exact((list.len() / 4).max(2));
                    }
                    list.push(path);
                }
            }
            _ => {
                let list = lists.insert(vec![self.only, path]);
                self.only = Path {
                    source: AdjRibInId::LIST,
                    path_id: PathId(list),
                    ..NO_PATH
                };
            }
        }
    }

    /// Removes the path at this place and returns it. The order of the others stays.
    pub(crate) fn remove(&mut self, place: usize, lists: &mut Lists) -> Option<Path> {
        match self.only.source {
            AdjRibInId::EMPTY => None,
            AdjRibInId::LIST => {
                let number = self.only.path_id.0;
                let list = lists.get_mut(number)?;
                if place >= list.len() {
                    return None;
                }
                let removed = list.remove(place);
                if let [last] = list[..] {
                    self.only = last;
                    lists.remove(number);
                }
                Some(removed)
            }
            _ => (place == 0).then(|| std::mem::replace(&mut self.only, NO_PATH)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ipnet::{Ipv4Net, Ipv6Net};

    #[test]
    fn a_path_is_12_bytes_and_an_entry_20_or_32() {
        assert_eq!(size_of::<Path>(), 12);
        assert_eq!(size_of::<Option<Entry<Ipv4Net>>>(), 20);
        assert_eq!(size_of::<Option<Entry<Ipv6Net>>>(), 32);
    }

    #[test]
    fn an_entry_grows_from_none_to_many_and_back_without_leaving_a_list() {
        let mut lists = Lists::default();
        let mut entry = Entry::new(Ipv4Net::default());
        let path = |n: u16| {
            let imported = Imported {
                attr: AttrId(u32::from(n)),
                altered: n.is_multiple_of(2),
                rejection: n.is_multiple_of(3).then_some(Rejection::Policy),
                weight: 256,
            };
            Path::new(AdjRibInId(n), PathId(u32::from(n)), &imported)
        };
        for n in 1..20 {
            entry.push(path(n), &mut lists);
            assert_eq!(entry.paths(&lists).len(), usize::from(n));
        }
        assert_eq!(entry.paths(&lists)[5], path(6));
        assert_eq!((path(6).weight(), path(6).is_altered()), (256, true));
        for n in 1..20 {
            assert_eq!(entry.remove(0, &mut lists), Some(path(n)));
        }
        assert_eq!(entry.remove(0, &mut lists), None);
        assert_eq!((entry.paths(&lists).len(), lists.len()), (0, 0));
    }

    #[test]
    fn a_list_has_room_for_no_more_than_a_quarter_of_its_paths_beyond_them() {
        let mut lists = Lists::default();
        let mut entry = Entry::new(Ipv4Net::default());
        for count in 1..400usize {
            let path = Path {
                source: AdjRibInId(1),
                path_id: PathId(count as u32),
                ..NO_PATH
            };
            entry.push(path, &mut lists);
            let capacity: usize = lists.iter().map(|(_, list)| list.capacity()).sum();
            let most = count + (count / 4).max(2);
            assert!(capacity <= most, "room for {capacity}, {count} paths");
        }
    }

    #[test]
    fn a_path_keeps_its_rejection_and_selection_apart() {
        let rejections = (0..=9).map(Rejection::from_code);
        for (rejection, altered) in rejections.flat_map(|r| [(r, false), (r, true)]) {
            let imported = Imported {
                attr: AttrId(7),
                altered,
                rejection,
                weight: 1,
            };
            let mut path = Path::new(AdjRibInId(1), PathId(2), &imported);
            assert!(!path.is_selected());
            for selected in [true, true, false] {
                path.set_selected(selected);
                let flags = (path.rejection(), path.is_altered(), path.is_selected());
                assert_eq!(flags, (rejection, altered, selected));
            }
        }
        // A weight of the kernel is 1 to 256.
        for (given, kept) in [(0, 1), (1, 1), (2, 2), (255, 255), (256, 256), (257, 256)] {
            let imported = Imported {
                attr: AttrId(7),
                altered: false,
                rejection: None,
                weight: given,
            };
            let path = Path::new(AdjRibInId(1), PathId(2), &imported);
            assert_eq!(path.weight(), kept);
        }
    }

    #[test]
    fn an_entry_says_whether_it_has_a_path_and_lends_as_many_as_it_has() {
        let mut lists = Lists::default();
        let mut entry = Entry::new(Ipv4Net::default());
        let path = Path {
            source: AdjRibInId(1),
            ..NO_PATH
        };
        for count in (0..4).chain((0..4).rev()) {
            while entry.paths(&lists).len() > count {
                entry.remove(0, &mut lists).unwrap();
            }
            while entry.paths(&lists).len() < count {
                entry.push(path, &mut lists);
            }
            assert_eq!(entry.has_no_path(), count == 0);
            assert_eq!(entry.paths_mut(&mut lists).len(), count);
            assert_eq!(entry.remove(count, &mut lists), None, "there is none");
        }
    }

    #[test]
    fn a_list_moves_seldom_as_it_grows() {
        let mut lists = Lists::default();
        let mut entry = Entry::new(Ipv4Net::default());
        let (mut moves, mut capacity) = (0, 0);
        for count in 0..1000 {
            let path = Path {
                source: AdjRibInId(1),
                path_id: PathId(count),
                ..NO_PATH
            };
            entry.push(path, &mut lists);
            let now = lists.iter().map(|(_, list)| list.capacity()).sum();
            moves += u32::from(now != capacity);
            capacity = now;
        }
        // A quarter more each time: from 8 to 1,000 it takes 22, and some before.
        assert!(moves <= 30, "moved {moves} times");
    }
}
