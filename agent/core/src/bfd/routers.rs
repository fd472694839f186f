//! Which router each BFD session watches: the table with which the BFD thread itself cuts a router out of the nexthop
//! groups, before anybody else hears of the failure.
//!
//! Shared by the BFD thread ([`Routers::follow`]) and the owner of [`Bfd`](super::Bfd) ([`Routers::set`]) under one
//! lock, held for a look-up and the call of `cut`, which must not block. So nothing that the thread says of a user that
//! is gone can undo what was said at its end.

use std::collections::HashMap;
use std::net::IpAddr;

use routelet_bfd::{UserId, UserState};

use super::Failure;

/// What a user's session watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Router {
    /// The gateway and interface that fail with the session; `None`: none does, as the peer is behind a router.
    pub address: Option<(IpAddr, u32)>,
    /// Whether the peer's BGP session is Established, on which the meaning of a failure depends: see [`Failure`].
    pub is_established: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Routers {
    users: HashMap<UserId, Entry>,
}

#[derive(Debug)]
struct Entry {
    router: Router,
    state: Option<UserState>,
    failure: Option<Failure>,
    /// The loss of Up, by number, after which a BGP session was established all the same: the path works, and BFD was
    /// removed at the other end.
    refuted: Option<u32>,
}

impl Entry {
    /// What is cut because of this user.
    fn cut(&self) -> Option<(IpAddr, u32)> {
        let loss = self.state.as_ref().map(|state| state.transitions);
        let is_cut = self.failure == Some(Failure::Path) && self.refuted != loss;
        self.router.address.filter(|_| is_cut)
    }
}

impl Routers {
    /// Has a user watch this, or forgets it. `cut`: a router is to be cut (`true`) or to be used again.
    pub fn set(
        &mut self,
        user: UserId,
        router: Option<Router>,
        cut: impl FnMut((IpAddr, u32), bool),
    ) {
        let before = self.users.get(&user).and_then(Entry::cut);
        match router {
            Some(router) => {
                let entry = self.users.entry(user).or_insert(Entry {
                    router,
                    state: None,
                    failure: None,
                    refuted: None,
                });
                if router.is_established && !entry.router.is_established {
                    entry.refuted = entry.state.as_ref().map(|state| state.transitions);
                }
                entry.router = router;
            }
            None => {
                self.users.remove(&user);
            }
        }
        self.compare(user, before, cut);
    }

    /// Follows a state that the BFD thread reports. One of a user that is not there is ignored.
    pub fn follow(&mut self, state: &UserState, cut: impl FnMut((IpAddr, u32), bool)) {
        let Some(entry) = self.users.get_mut(&state.user) else {
            return;
        };
        let before = entry.cut();
        let is_established = entry.router.is_established;
        entry.failure = Failure::follow(entry.failure, entry.state.as_ref(), state, is_established);
        entry.state = Some(*state);
        self.compare(state.user, before, cut);
    }

    /// Says what has changed with a user. A router that another user has cut stays so.
    fn compare(
        &self,
        user: UserId,
        before: Option<(IpAddr, u32)>,
        mut cut: impl FnMut((IpAddr, u32), bool),
    ) {
        let now = self.users.get(&user).and_then(Entry::cut);
        if before == now {
            return;
        }
        if let Some(before) = before
            && !self.users.values().any(|entry| entry.cut() == Some(before))
        {
            cut(before, false);
        }
        if let Some(now) = now {
            cut(now, true);
        }
    }
}
