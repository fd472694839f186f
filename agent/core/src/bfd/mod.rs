//! BFD with the peers of the node, as a pure machine: which sessions there are, and what their states mean for BGP, for
//! stale routes and for the kernel's nexthop groups.
//!
//! Facts go in as an [`Input`]: what is wanted of a peer, how its BGP session is, the kernel's view, states from the
//! BFD thread. [`Action`]s come out, to be carried out in order. Inputs are levels: only the latest of each counts, and
//! the same again changes nothing. There is no time in it.
//!
//! - One BFD user per peer: its number is the peer's, its generation is raised with each new [`SessionKey`]. States of
//!   an earlier generation are ignored.
//! - A peer that is directly connected has a single-hop session (RFC 5881), others a multihop one (RFC 5883): [`path`].
//! - While the BGP session is Established the key stays: an interface that fails must not replace the session that
//!   finds that out. The same holds for a path that is lost: the last known one stays.
//! - A peer of a listen range has a session from its first BGP session on, until `peering` forgets it: as soon as it
//!   has neither a session nor routes that graceful restart keeps.
//! - What a failure means, of the path or of a peer that restarts (RFC 5882 4.3), is decided once, when Up is lost:
//!   [`failure`].
//! - [`routers`]: the table with which the BFD thread itself cuts a router out of the nexthop groups, before anything
//!   here hears of the failure.

pub mod failure;
pub mod path;
pub mod routers;
#[cfg(test)]
mod tests;
mod wanted;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use rib::PeerId;
use routelet_bfd::{Request, SessionKey, UserId, UserLevel, UserState};
use routelet_fib::KernelView;

pub use failure::Failure;
pub use path::Path;
pub use routers::{Router, Routers};
pub use wanted::Wanted;

use self::wanted::Place;

/// What has happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// What is wanted of a peer; `None`: it has no BFD, or cannot be started.
    Peer(PeerId, Option<Wanted>),
    /// The peer is no more. Its number is not used again.
    Removed(PeerId),
    /// How the peer's BGP session is.
    Session(PeerId, BgpSession),
    /// The kernel has these interfaces, addresses and routes.
    View(Arc<KernelView>),
    /// States of users, as the BFD thread reports them.
    States(&'a [UserState]),
}

/// How a peer's BGP session is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BgpSession {
    /// There is no connection that is agreed.
    #[default]
    Down,
    /// The OPENs are agreed and strict mode waits for BFD.
    AwaitsBfd(Ends),
    /// It is Established.
    Established(Ends),
}

/// What the connection of a BGP session says of the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// Our address.
    pub local: IpAddr,
    /// The interface, where the session is bound to one or has link-local addresses.
    pub interface: Option<u32>,
}

impl BgpSession {
    fn ends(self) -> Option<Ends> {
        match self {
            Self::Down => None,
            Self::AwaitsBfd(ends) | Self::Established(ends) => Some(ends),
        }
    }

    fn is_established(self) -> bool {
        matches!(self, Self::Established(_))
    }
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// [`Routers::set`]: the router that the user's session watches, and whether the peer's BGP session is Established.
    /// `None`: the user is gone. Comes before its [`Action::Set`].
    Route(UserId, Option<Router>),
    /// The BFD thread's `set`.
    Set(UserId, Option<(SessionKey, Request)>),
    /// The peer's BGP session is to know this. A session that is started later gets [`Bfd::level`].
    Bgp(PeerId, Level),
    /// Routes of the peer that graceful restart keeps are to be removed: forwarding through it has failed (RFC 5882
    /// 4.3).
    EndRetention(PeerId),
}

/// What BGP needs to know of a peer's BFD session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Level {
    /// There is none, or it has not been Up: a peer without BFD looks like this.
    #[default]
    Unknown,
    /// The path works.
    Up,
    /// The path works no more.
    Down {
        /// The peer may only be restarting: its routes are kept if it restarts gracefully.
        retain: bool,
    },
    /// An operator has switched BFD off: no failure (RFC 5882 3.2).
    AdminDown,
}

/// A peer's BFD session, for a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// What the session is of; `None`: it is not known which address or interface leads to the peer, or a peer of a
    /// listen range has not been Established.
    pub key: Option<SessionKey>,
    /// What the thread says of it; `None`: nothing so far.
    pub state: Option<UserState>,
    /// What the latest loss of Up means; `None`: Up was not lost, or is back.
    pub failure: Option<Failure>,
}

/// The machine. See the module.
#[derive(Debug, Default)]
pub struct Bfd {
    view: Arc<KernelView>,
    peers: BTreeMap<PeerId, Peer>,
    /// The last generation that was given to a user, of whichever number.
    last: u32,
}

/// A peer, with BFD or without.
#[derive(Debug, Default)]
struct Peer {
    wanted: Option<Wanted>,
    session: BgpSession,
    /// The OPENs of a session have been agreed since it is wanted: in strict mode it waits for BFD then.
    was_agreed: bool,
    /// Of the current path.
    generation: u32,
    path: Option<Path>,
    /// With which the path was found.
    place: Option<Place>,
    ends: Option<Ends>,
    /// What the BFD thread and its table have for the current generation.
    requested: Option<Request>,
    router: Option<Router>,
    state: Option<UserState>,
    failure: Option<Failure>,
    /// The loss of Up, by number, for which retention was ended.
    ended: Option<u32>,
    level: Level,
}

impl Bfd {
    /// Takes in what has happened. `out`: what is to be done, in this order.
    pub fn handle(&mut self, input: Input<'_>, out: &mut Vec<Action>) {
        let last = &mut self.last;
        match input {
            Input::Peer(id, wanted) => {
                let peer = self.peers.entry(id).or_default();
                peer.wanted = wanted;
                peer.follow(id, &self.view, last, out);
            }
            Input::Removed(id) => {
                if let Some(mut peer) = self.peers.remove(&id) {
                    peer.release(id, out);
                }
            }
            Input::Session(id, session) => {
                let peer = self.peers.entry(id).or_default();
                peer.session = session;
                peer.follow(id, &self.view, last, out);
            }
            Input::View(view) => {
                self.view = view;
                for (id, peer) in &mut self.peers {
                    peer.follow(*id, &self.view, last, out);
                }
            }
            Input::States(states) => {
                for state in states {
                    self.report(state, out);
                }
            }
        }
    }

    /// What the peer's BGP session is to know now.
    pub fn level(&self, id: PeerId) -> Level {
        self.peers
            .get(&id)
            .map_or(Level::Unknown, |peer| peer.level)
    }

    /// The peer's BFD session. `None`: it has no BFD.
    pub fn show(&self, id: PeerId) -> Option<Shown> {
        let peer = self.peers.get(&id)?;
        peer.wanted.as_ref()?;
        Some(Shown {
            key: peer.path.map(|path| path.key),
            state: peer.state,
            failure: peer.failure,
        })
    }

    fn report(&mut self, state: &UserState, out: &mut Vec<Action>) {
        let Ok(number) = u32::try_from(state.user.number) else {
            return;
        };
        let id = PeerId(number);
        // Of a user that was removed, or moved to another key, since.
        if let Some(peer) = self.peers.get_mut(&id)
            && peer.requested.is_some()
            && peer.user(id) == state.user
        {
            peer.failure = Failure::follow(
                peer.failure,
                peer.state.as_ref(),
                state,
                peer.session.is_established(),
            );
            peer.state = Some(*state);
            peer.say(id, out);
        }
    }
}

impl Peer {
    fn user(&self, id: PeerId) -> UserId {
        UserId {
            number: u64::from(id.0),
            generation: self.generation,
        }
    }

    /// Goes over to what is wanted now, on the path that is known now. `last`: the generation that was given last.
    fn follow(&mut self, id: PeerId, view: &KernelView, last: &mut u32, out: &mut Vec<Action>) {
        self.was_agreed &= self.wanted.is_some();
        self.was_agreed |= self.session.ends().is_some();
        let wanted = self.wanted.clone();
        match wanted.filter(|wanted| !wanted.is_dynamic || self.was_agreed) {
            Some(wanted) => {
                self.find(id, &wanted, view, last, out);
                self.request(id, &wanted, out);
            }
            None => self.release(id, out),
        }
        self.say(id, out);
    }

    /// Finds the path to the peer, if it may be another one than before.
    fn find(
        &mut self,
        id: PeerId,
        wanted: &Wanted,
        view: &KernelView,
        last: &mut u32,
        out: &mut Vec<Action>,
    ) {
        let (place, ends) = (Some(wanted.place()), self.session.ends());
        let known = self.path.filter(|_| self.place == place);
        let is_fixed = ends.is_some() && self.ends == ends;
        if known.is_some_and(|known| is_fixed && known.router.is_some()) {
            return;
        }
        let found = path::find(wanted, ends, view, known.as_ref());
        let is_other = match (found, known) {
            (Some(found), Some(known)) => found.key != known.key,
            (found, None) => found.is_some() || self.path.is_some(),
            (None, Some(_)) => return,
        };
        if is_other && is_fixed && known.is_some() {
            return;
        }
        if is_other {
            self.release(id, out);
            *last += 1;
            self.generation = *last;
        }
        (self.path, self.place, self.ends) = (found, place, ends);
    }

    /// Requests what is wanted on the path.
    fn request(&mut self, id: PeerId, wanted: &Wanted, out: &mut Vec<Action>) {
        let Some(path) = self.path else { return };
        let user = self.user(id);
        let router = Router {
            address: path.router,
            is_established: self.session.is_established(),
        };
        if self.router != Some(router) {
            self.router = Some(router);
            out.push(Action::Route(user, Some(router)));
        }
        let request = wanted.request(path.key.hops);
        if self.requested.as_ref() != Some(&request) {
            self.requested = Some(request.clone());
            out.push(Action::Set(user, Some((path.key, request))));
        }
    }

    /// Ends the use of a session.
    fn release(&mut self, id: PeerId, out: &mut Vec<Action>) {
        let user = self.user(id);
        if self.router.take().is_some() {
            out.push(Action::Route(user, None));
        }
        if self.requested.take().is_some() {
            out.push(Action::Set(user, None));
        }
        self.path = None;
        self.place = None;
        self.ends = None;
        self.state = None;
        self.failure = None;
        self.ended = None;
    }

    /// Says what BGP and the RIB do not know yet.
    fn say(&mut self, id: PeerId, out: &mut Vec<Action>) {
        let level = match self.state.as_ref().map(|state| state.state) {
            None | Some(UserLevel::NotYetUp | UserLevel::Refused(_)) => Level::Unknown,
            Some(UserLevel::Up) => Level::Up,
            Some(UserLevel::Down(_)) => Level::Down {
                retain: self.failure == Some(Failure::Restart),
            },
            Some(UserLevel::RemoteAdminDown | UserLevel::AdminDown) => Level::AdminDown,
        };
        if self.level != level {
            self.level = level;
            out.push(Action::Bgp(id, level));
        }
        let loss = self.state.as_ref().map(|state| state.transitions);
        let has_failed = self.failure == Some(Failure::Path);
        if has_failed && !self.session.is_established() && self.ended != loss {
            self.ended = loss;
            out.push(Action::EndRetention(id));
        }
    }
}
