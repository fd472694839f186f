//! What goes into the machine.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use bgp::fsm::Stop;
use ipnet::IpNet;
use rib::PeerId;
use routelet_fib::KernelView;

use super::{HeldRanges, PasswordFiles, SessionFacts};
use crate::intent::PeerIntent;

/// What has happened.
#[derive(Debug)]
pub enum Input {
    /// The intent wants these peers, ascending by name.
    Wanted(Arc<Vec<PeerIntent>>),
    /// The kernel has these interfaces. Counts from the next input on.
    View(Arc<KernelView>),
    /// The password files have this. Counts from the next input on.
    PasswordFiles(PasswordFiles),
    /// The listener has these ranges. They are those of what is wanted next, and judged with that.
    Listening(HeldRanges),
    /// It has those of [`Action::SetRanges`](super::Action::SetRanges).
    RangesSet(HeldRanges),
    /// The listening sockets are replaced. Every peer holds on to those that it was made with, and ends.
    SocketsReplaced,
    /// How a session is now.
    Session(PeerId, SessionFacts),
    /// The task of a session has ended, and nobody had stopped it.
    Failed(PeerId),
    /// A session could not be started or changed, and has no task.
    NotStarted(PeerId, String),
    /// Somebody connects out of a listen range. Answered by [`Action::Accept`](super::Action::Accept) or
    /// [`Action::Refuse`](super::Action::Refuse); by neither, the connection is closed without a word.
    Candidate {
        /// The range.
        range: IpNet,
        /// Who connects.
        remote: SocketAddr,
    },
    /// Whether routes are kept of each peer that [`Action::AskKeptRoutes`](super::Action::AskKeptRoutes) asked about.
    KeptRoutes(BTreeMap<PeerId, bool>),
    /// Time has passed, or an interface has changed.
    Look,
    /// The node goes away: all sessions end so.
    End(Stop),
}
