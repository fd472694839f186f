//! The sessions of nodes, as their RouterStates tell them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use routelet_api::RouterState;
use routelet_api::router_state::{SessionCounts, SessionStatus};

use super::reported::Report;
use super::store::Reduced;

/// The sessions of a node, as its RouterState reports them.
#[derive(Debug)]
pub(super) struct Sessions {
    /// `metadata.uid`.
    pub(super) uid: Option<String>,
    /// `metadata.resourceVersion`.
    version: Option<String>,
    /// When this version was seen first, by this replica's clock.
    seen: Instant,
    /// Those that are listed each by itself, in the order of their names.
    sessions: Vec<Session>,
    /// All of them, by the object that asks for them.
    counts: Vec<SessionCounts>,
    /// What it says of objects that are valid.
    reports: Box<[Report]>,
}

/// How long an agent may write nothing until it is taken not to run: three times as long as one that runs.
const SILENT: Duration = Duration::from_secs(900);

/// What is said of a session instead.
const SILENT_TEXT: &str = "the agent of the node has not reported for 15 minutes";

impl Sessions {
    /// The sessions that are listed, as far as is known at a time: those of an agent that does not run are down.
    pub(super) fn at(&self, now: Instant) -> impl Iterator<Item = Cow<'_, Session>> {
        let is_silent = self.is_silent(now);
        self.sessions.iter().map(move |session| match is_silent {
            false => Cow::Borrowed(session),
            true => Cow::Owned(Session {
                established: false,
                text: SILENT_TEXT.to_owned(),
                ..session.clone()
            }),
        })
    }

    /// All sessions by object, counted, in the same way.
    pub(super) fn counts(&self, now: Instant) -> impl Iterator<Item = Cow<'_, SessionCounts>> {
        let is_silent = self.is_silent(now);
        self.counts.iter().map(move |counts| match is_silent {
            false => Cow::Borrowed(counts),
            true => Cow::Owned(SessionCounts {
                established: 0,
                down: vec![SILENT_TEXT.to_owned()],
                ..counts.clone()
            }),
        })
    }

    /// What the agent, if it runs, says of objects that are valid.
    pub(super) fn reports(&self, now: Instant) -> &[Report] {
        match self.is_silent(now) {
            true => &[],
            false => &self.reports,
        }
    }

    fn is_silent(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.seen) >= SILENT
    }

    #[cfg(test)]
    pub(super) fn set_seen(&mut self, at: Instant) {
        self.seen = at;
    }

    /// For how long its agent has written nothing.
    pub(super) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.seen)
    }
}

/// A session of a node.
#[derive(Clone, Debug)]
pub(super) struct Session {
    /// The peer's name on the node.
    pub(super) peer: String,
    /// The object that asks for it, such as `Peer tor-a`.
    pub(super) object: String,
    /// Whether it is Established.
    pub(super) established: bool,
    /// Why not, or whom with.
    pub(super) text: String,
}

impl Reduced for Sessions {
    type Object = RouterState;

    fn keep(object: RouterState, before: Option<Self>) -> Option<Self> {
        let status = object.status.unwrap_or_default();
        let version = object.metadata.resource_version;
        // Listed again, it is no newer.
        let known = before.filter(|before| before.version == version);
        let sessions: Vec<Session> = status.sessions.into_iter().map(Session::from).collect();
        let mut counts = status.session_counts;
        if counts.is_empty() {
            // An agent that does not count them lists them all.
            counts = counted(&sessions);
        }
        Some(Self {
            reports: Report::all(status.problems),
            uid: object.metadata.uid,
            version,
            seen: known.map_or_else(Instant::now, |known| known.seen),
            sessions,
            counts,
        })
    }
}

impl From<SessionStatus> for Session {
    fn from(session: SessionStatus) -> Self {
        let established = session.state == "Established";
        let whom = session.address.unwrap_or_else(|| session.peer.clone());
        Self {
            text: match session.trouble {
                _ if established => whom,
                Some(trouble) => format!("{whom} is {}: {trouble}", session.state),
                None => format!("{whom} is {}", session.state),
            },
            peer: session.peer,
            object: session.object,
            established,
        }
    }
}

fn counted(sessions: &[Session]) -> Vec<SessionCounts> {
    let mut of: BTreeMap<&str, SessionCounts> = BTreeMap::new();
    for session in sessions {
        let counts = of.entry(&session.object).or_default();
        counts.object.clone_from(&session.object);
        counts.sessions += 1;
        counts.established += i64::from(session.established);
        if !session.established {
            counts.down.push(session.text.clone());
        }
    }
    of.into_values().collect()
}
