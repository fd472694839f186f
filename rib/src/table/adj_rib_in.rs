//! A generation of an Adj-RIB-In: who the paths are from, how they are treated, and what is to be done with all of them.
//!
//! Every session has a source of its own, and so has every refresh within one (RFC 7313). The one before stays as a *stale*
//! generation until the peer has repeated its paths, which moves them to the newest, or until they are to go. A source that
//! is to go is *gone*: its paths are out of the decision at once and a walk removes them. So a restart or refresh costs no
//! walk, and how many of them a walk falls behind plays no part.
//!
//! A peer has at most three generations that are not gone: two that a session left which was lost within a refresh, and
//! that of its session. See `generations`.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bgp::types::{Asn, BgpIdentifier};
use bgp::wire::capability::Role;

use super::filter::ImportFilter;
use crate::attrs::Resolution;
use crate::peer::{PeerConfig, PeerId, PeerKind, SessionInfo};
use crate::policy::Chain;

/// Who the paths are from, and how import treats them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ImportContext {
    pub(crate) peer: PeerId,
    pub(crate) kind: PeerKind,
    pub(crate) asn: Asn,
    pub(crate) local_asn: Asn,
    pub(crate) id: BgpIdentifier,
    pub(crate) address: IpAddr,
    /// Scope of link-local next hops.
    pub(crate) interface: Option<u32>,
    /// The peer is on the link, so that an external one's next hops must be too (RFC 4271 5.1.3), but for `multihop`.
    pub(crate) single_hop: bool,
    /// The peer's next hops may be anywhere.
    pub(crate) multihop: bool,
    pub(crate) role: Option<Role>,
    pub(crate) chain: Arc<Chain>,
    pub(crate) allow_own_as: u8,
    pub(crate) enforce_first_as: bool,
    pub(crate) filter: ImportFilter,
    pub(crate) max_prefixes: Option<u32>,
    pub(crate) max_received: Option<u32>,
    pub(crate) prefix_warning: Option<u32>,
    /// Long-lived stale paths are kept no longer.
    pub(crate) long_lived_max: Duration,
    pub(crate) max_paths: u32,
    pub(crate) max_next_hops: u32,
}

impl ImportContext {
    pub(crate) fn new(
        peer: PeerId,
        config: &PeerConfig,
        chain: Arc<Chain>,
        session: &SessionInfo,
    ) -> Self {
        let negotiated = &session.negotiated;
        Self {
            peer,
            kind: config.kind,
            asn: negotiated.peer_asn,
            local_asn: negotiated.local_asn,
            id: negotiated.peer_id,
            address: session.remote_address,
            interface: session.interface,
            single_hop: session.single_hop,
            multihop: config.multihop,
            role: negotiated.peer_role,
            chain,
            allow_own_as: config.allow_own_as,
            enforce_first_as: config.enforce_first_as,
            filter: ImportFilter::new(&config.attribute_filter, config.kind),
            max_prefixes: config.max_prefixes,
            max_received: config.max_received,
            prefix_warning: config.prefix_warning,
            long_lived_max: config.long_lived_max,
            max_paths: config.max_paths,
            max_next_hops: config.max_next_hops,
        }
    }

    /// The same session under another configuration.
    pub(crate) fn with_config(&self, config: &PeerConfig, chain: Arc<Chain>) -> Self {
        Self {
            kind: config.kind,
            multihop: config.multihop,
            chain,
            allow_own_as: config.allow_own_as,
            enforce_first_as: config.enforce_first_as,
            filter: ImportFilter::new(&config.attribute_filter, config.kind),
            max_prefixes: config.max_prefixes,
            max_received: config.max_received,
            prefix_warning: config.prefix_warning,
            long_lived_max: config.long_lived_max,
            max_paths: config.max_paths,
            max_next_hops: config.max_next_hops,
            ..self.clone()
        }
    }

    /// Whether `other` treats every path the same that is in the table.
    pub(crate) fn differs_in_limits_only(&self, other: &Self) -> bool {
        let limit = Self {
            max_prefixes: other.max_prefixes,
            max_received: other.max_received,
            prefix_warning: other.prefix_warning,
            long_lived_max: other.long_lived_max,
            max_paths: other.max_paths,
            ..self.clone()
        };
        limit == *other
    }

    /// Next hops must be on the link.
    pub(crate) fn next_hop_on_link(&self) -> bool {
        self.is_external() && self.single_hop && !self.multihop
    }

    /// Whether paths whose next hop leads there can be used.
    pub(crate) fn reaches(&self, resolution: Option<&Resolution>) -> bool {
        resolution.is_some_and(|resolution| resolution.connected || !self.next_hop_on_link())
    }

    pub(crate) fn is_external(&self) -> bool {
        self.kind == PeerKind::External
    }
}

/// Why the paths of a generation are kept though the peer has not repeated them, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stale {
    /// They are those of the session, or are being removed.
    No,
    /// The session is down; at the deadline the restart time is over (RFC 4724).
    Restarting(Instant),
    /// The session is down and the restart time over: kept as the last resort until the deadline (RFC 9494).
    LongLived(Instant),
    /// They are of an earlier session, and the next is up; End-of-RIB or the deadline ends it.
    AwaitingEnd(Instant),
    /// They are of this session, between Begin and End of a refresh (RFC 7313), or until the deadline.
    Refreshing(Instant),
}

impl Stale {
    pub(crate) fn deadline(self) -> Option<Instant> {
        match self {
            Self::No => None,
            Self::Restarting(at)
            | Self::LongLived(at)
            | Self::AwaitingEnd(at)
            | Self::Refreshing(at) => Some(at),
        }
    }
}

/// What a walk does with the paths of a source. Every action looks at the source's newest state, so that doing it twice
/// changes nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Actions {
    /// Remove the paths: the source is gone.
    pub(crate) remove: bool,
    /// Run import again.
    pub(crate) import: bool,
    /// Tell export of prefixes with a path of this source: what the peer is to us, or its identifier, changed.
    pub(crate) tell: bool,
    /// Hand prefixes with a path of this source to the FIB again: link-local next hops are on another interface.
    pub(crate) forward: bool,
}

impl Actions {
    pub(crate) fn is_none(self) -> bool {
        self == Self::default()
    }
}

/// A walk over all slots, from some cursor once around.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Round {
    pub(crate) start: u32,
    pub(crate) wrapped: bool,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct AdjRibIn {
    pub(crate) context: Arc<ImportContext>,
    pub(crate) stale: Stale,
    /// How long the peer wants stale paths to be kept once the restart time is over, if at all.
    pub(crate) long_lived_time: Option<Duration>,
    /// The paths are the last resort and carry LLGR_STALE.
    pub(crate) long_lived: bool,
    /// The paths are being removed, and not used any more.
    pub(crate) gone: bool,
    pub(crate) actions: Actions,
    pub(crate) round: Option<Round>,
    pub(crate) received: u32,
    pub(crate) accepted: u32,
    pub(crate) selected: u32,
    /// What the owner knows of the number of prefixes.
    pub(crate) limit_reported: LimitReported,
    /// Paths that were not taken in because their prefix had as many of the peer as it may.
    pub(crate) paths_refused: u64,
    /// Paths that were rejected because the peer brought as many next hops as it may.
    pub(crate) next_hops_refused: u64,
}

/// A number of prefixes that the owner wants to know of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LimitReport {
    /// More than the share at which it wants to know.
    Near { accepted: u32, limit: Option<u32> },
    /// More than the limit of those accepted, or of those received.
    Exceeded { limit: u32, of: LimitOf },
    /// For the first time a path was refused because of its prefix, which has as many, or its next hop.
    Refused { limit: u32, of: RefusedFor },
}

/// What a limit on a peer's prefixes counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitOf {
    /// Those that import accepted.
    Accepted,
    /// All that it sent, rejected ones included.
    Received,
}

/// Which limit kept a path out without the session ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusedFor {
    /// The peer has as many paths of this prefix as it may (RFC 7911).
    Paths(ipnet::IpNet),
    /// It brings as many distinct next hops as it may.
    NextHops,
}

/// What was reported last of a peer's number of prefixes. It only rises within a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LimitReported {
    /// Nothing.
    #[default]
    Nothing,
    /// It is more than the share at which the owner wants to know.
    Near,
    /// It is more than the limit.
    Exceeded,
}

impl AdjRibIn {
    pub(crate) fn new(context: ImportContext) -> Self {
        Self {
            context: Arc::new(context),
            stale: Stale::No,
            long_lived_time: None,
            long_lived: false,
            gone: false,
            actions: Actions::default(),
            round: None,
            received: 0,
            accepted: 0,
            selected: 0,
            limit_reported: LimitReported::Nothing,
            paths_refused: 0,
            next_hops_refused: 0,
        }
    }

    /// How long stale paths are kept once the restart time is over, if at all.
    pub(crate) fn long_lived_time(&self) -> Option<Duration> {
        Some(self.long_lived_time?.min(self.context.long_lived_max))
    }

    /// The paths are kept though the peer has not repeated them.
    pub(crate) fn is_stale(&self) -> bool {
        self.stale != Stale::No
    }

    /// How many paths are stale: all of a generation or none.
    pub(crate) fn stale_paths(&self) -> u32 {
        if self.is_stale() { self.received } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facade::model::{PLAIN, filter, peer_config, policies, session};

    fn chain(number: u8) -> Arc<Chain> {
        Arc::new(Chain::new(&policies(number)))
    }

    #[test]
    fn another_configuration_treats_a_session_as_if_it_had_come_up_with_it() {
        let (before, session) = (peer_config(1), session(1, PLAIN));
        let context = ImportContext::new(PeerId(1), &before, chain(0), &session);
        let changed = |change: fn(&mut PeerConfig)| {
            let mut config = peer_config(1);
            change(&mut config);
            config
        };
        for (config, limit_only) in [
            (changed(|_| {}), true),
            (changed(|c| c.kind = PeerKind::ReflectorClient), false),
            (changed(|c| c.multihop = true), false),
            (changed(|c| c.allow_own_as = 3), false),
            (changed(|c| c.enforce_first_as = !c.enforce_first_as), false),
            (changed(|c| c.attribute_filter = filter(2)), false),
            (changed(|c| c.max_prefixes = Some(7)), true),
            (changed(|c| c.prefix_warning = Some(5)), true),
            (changed(|c| c.long_lived_max = Duration::ZERO), true),
            (changed(|c| c.max_received = Some(7)), true),
            (changed(|c| c.max_paths = 7), true),
            (changed(|c| c.max_next_hops = 7), false),
        ] {
            for policy in [0, 1] {
                let new = context.with_config(&config, chain(policy));
                let anew = ImportContext::new(PeerId(1), &config, chain(policy), &session);
                assert_eq!(new, anew);
                let limit_only = limit_only && policy == 0;
                assert_eq!(
                    context.differs_in_limits_only(&new),
                    limit_only,
                    "{config:?}"
                );
            }
        }
    }

    #[test]
    fn any_action_is_something_to_do() {
        let none = Actions::default();
        assert!(none.is_none());
        for some in [
            Actions {
                remove: true,
                ..none
            },
            Actions {
                import: true,
                ..none
            },
            Actions { tell: true, ..none },
            Actions {
                forward: true,
                ..none
            },
        ] {
            assert!(!some.is_none(), "{some:?}");
        }
    }
}
