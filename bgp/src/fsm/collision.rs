//! Collision detection (RFC 4271 section 6.8, RFC 6286 section 2.3): which of two connections stays.
//!
//! The RFC's rule alone can close both: one end sees its first connection Established and refuses the second, while the
//! other still has the first in OpenConfirm and, by identifiers, closes it for the second. Here the end with the larger
//! identifier decides alone, at the first OPEN that it gets on either connection: it closes the peer's connection if it
//! has sent an OPEN on its own, and gives up its own if it has not. So it sends no KEEPALIVE on a connection that is
//! going to lose, and the other end never has a loser Established. The smaller end follows the RFC to the letter. Both
//! agree with any other speaker that follows section 6.8.

use std::time::{Duration, Instant};

use super::connection::{Connection, Direction, Phase};
use super::{Config, Negotiated};

/// How long an own connection without the peer's OPEN is preferred to one on which the peer does talk. A peer answers
/// a connection at once; one that has not for so long has lost it (it rebooted, or a firewall forgot).
const PATIENCE: Duration = Duration::from_secs(5);

/// What to do about two connections, at the OPEN of one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Both go on for now.
    Both,
    /// Close the one whose OPEN was just received.
    CloseThis,
    /// Close the other one.
    CloseOther,
    /// The other one is Established and the peer has restarted since: it ends, retaining routes (RFC 4724 section 5).
    PeerRestarted,
}

/// `this` has just got an OPEN that leads to `negotiated`.
pub(super) fn judge(
    now: Instant,
    config: &Config,
    this: &Connection,
    negotiated: &Negotiated,
    other: &Connection,
) -> Verdict {
    let dominant = (config.local_id, config.local_asn) > (negotiated.peer_id, negotiated.peer_asn);
    let this_wins = (this.direction == Direction::Outgoing) == dominant;
    match &other.phase {
        Phase::Established {
            negotiated: old,
            since,
            ..
        } => {
            let graceful = old
                .graceful_restart
                .as_ref()
                .is_some_and(|peer| !peer.families.is_empty());
            // DEVIATION(RFC 4724 section 5): at the OPEN, not when TCP is established, which any host can do; and only
            // if TCP was established some time after the session, since the other connection of a collision may arrive
            // late too.
            if graceful && this.direction == Direction::Incoming && this.since >= *since + PATIENCE
            {
                Verdict::PeerRestarted
            } else {
                Verdict::CloseThis
            }
        }
        // Two that the peer dialled: it has given up the older.
        Phase::OpenSent { .. } | Phase::OpenConfirm { .. } if other.direction == this.direction => {
            Verdict::CloseOther
        }
        Phase::OpenSent { .. } | Phase::OpenConfirm { .. } if this_wins => Verdict::CloseOther,
        Phase::OpenConfirm { .. } => Verdict::CloseThis,
        Phase::OpenSent { .. } if !dominant => Verdict::Both,
        Phase::OpenSent { .. } if now < other.since + PATIENCE => Verdict::CloseThis,
        Phase::OpenSent { .. } => Verdict::CloseOther,
    }
}
