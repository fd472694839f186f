//! The users of a group: routes, counted by what they want.

use super::super::table::Want;
use crate::hash::HashMap;

/// From so many different wishes on, the users of a group are found by a hash.
const MANY_USERS: usize = 8;

/// What the routes of a group want now, and how many want it.
#[derive(Debug, Default)]
pub(in super::super) struct Users {
    few: Vec<(Want, u32)>,
    many: HashMap<Want, u32>,
}

/// What a change made of a group's users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UsersAre {
    /// The same wishes.
    Same,
    /// A wish more.
    More,
    /// A wish less.
    Less,
}

impl Users {
    pub(in super::super) fn is_empty(&self) -> bool {
        self.few.is_empty() && self.many.is_empty()
    }

    /// How many different wishes.
    pub(super) fn len(&self) -> usize {
        self.few.len() + self.many.len()
    }

    /// How many routes.
    pub(super) fn routes(&self) -> u64 {
        let counts = self
            .few
            .iter()
            .map(|user| &user.1)
            .chain(self.many.values());
        counts.map(|count| u64::from(*count)).sum()
    }

    pub(super) fn wants(&self) -> impl Iterator<Item = Want> {
        let few = self.few.iter().map(|(want, _)| *want);
        few.chain(self.many.keys().copied())
    }

    pub(super) fn change(&mut self, want: Want, by: i32) -> UsersAre {
        if self.many.is_empty() {
            let found = self.few.iter().position(|user| user.0 == want);
            match found {
                Some(i) => {
                    let count = &mut self.few[i].1;
                    *count = count.saturating_add_signed(by);
                    if *count > 0 {
                        return UsersAre::Same;
                    }
                    self.few.swap_remove(i);
                    return UsersAre::Less;
                }
                None if by <= 0 => return UsersAre::Same,
                None if self.few.len() < MANY_USERS => {
                    self.few.push((want, by.unsigned_abs()));
                    return UsersAre::More;
                }
                None => self.many.extend(self.few.drain(..)),
            }
        }
        match self.many.get_mut(&want) {
            Some(count) => {
                *count = count.saturating_add_signed(by);
                if *count > 0 {
                    return UsersAre::Same;
                }
                self.many.remove(&want);
                UsersAre::Less
            }
            None if by > 0 => {
                self.many.insert(want, by.unsigned_abs());
                UsersAre::More
            }
            None => UsersAre::Same,
        }
    }
}
