//! An Adj-RIB-In: who the paths are from, how they are treated, and what is to be done with all of them.
//!
//! A source outlives a session that is retained for a restart. A session that ends for good leaves its source *gone*: a
//! walk removes the paths, and meanwhile a new session of the same peer has a source of its own.
//!
//! Staleness costs no walk: the source has an epoch that a restart or refresh moves on, and a path is stale if it carries
//! an older one. Two bits are enough, because paths two epochs old are removed before a third can begin.

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
pub(crate) struct Origin {
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
    pub(crate) prefix_warning: Option<u32>,
}

impl Origin {
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
            prefix_warning: config.prefix_warning,
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
            prefix_warning: config.prefix_warning,
            ..self.clone()
        }
    }

    /// Whether `other` treats every path the same.
    pub(crate) fn differs_in_limit_only(&self, other: &Self) -> bool {
        let limit = Self {
            max_prefixes: other.max_prefixes,
            prefix_warning: other.prefix_warning,
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

/// Why paths of an older epoch are kept, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stale {
    /// There are none, or they are being removed.
    No,
    /// The session is down; at the deadline the restart time is over (RFC 4724).
    Restarting(Instant),
    /// The session is down and the restart time over: kept as the last resort until the deadline (RFC 9494).
    LongLived(Instant),
    /// The session is up; End-of-RIB or the deadline ends it. Also between Begin and End of a refresh (RFC 7313).
    AwaitingEnd(Instant),
}

impl Stale {
    pub(crate) fn deadline(self) -> Option<Instant> {
        match self {
            Self::No => None,
            Self::Restarting(at) | Self::LongLived(at) | Self::AwaitingEnd(at) => Some(at),
        }
    }
}

/// What a walk does with the paths of a source. Every action looks at the source's newest state, so that doing it twice
/// changes nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Actions {
    /// Remove paths so many epochs old or older.
    pub(crate) remove_from_age: Option<u8>,
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
pub(crate) struct Source {
    pub(crate) origin: Arc<Origin>,
    /// Modulo 4.
    pub(crate) epoch: u8,
    /// Age of the oldest paths that there can be.
    pub(crate) oldest: u8,
    pub(crate) stale: Stale,
    /// How long stale paths are kept once the restart time is over, if at all.
    pub(crate) long_lived_time: Option<Duration>,
    /// Stale paths are the last resort and carry LLGR_STALE.
    pub(crate) long_lived: bool,
    /// The session ended for good: the paths are being removed.
    pub(crate) gone: bool,
    pub(crate) actions: Actions,
    pub(crate) round: Option<Round>,
    pub(crate) received: u32,
    pub(crate) accepted: u32,
    pub(crate) selected: u32,
    /// Paths older than the epoch.
    pub(crate) stale_paths: u32,
    /// What the owner knows of the number of prefixes.
    pub(crate) limit_reported: LimitReported,
}

/// A number of prefixes that the owner wants to know of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LimitReport {
    /// More than the share at which it wants to know.
    Near { accepted: u32, limit: Option<u32> },
    /// More than the limit.
    Exceeded { limit: u32 },
}

impl LimitReport {
    /// How far this goes.
    pub(crate) fn rank(self) -> LimitReported {
        match self {
            Self::Near { .. } => LimitReported::Near,
            Self::Exceeded { .. } => LimitReported::Exceeded,
        }
    }
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

impl Source {
    pub(crate) fn new(origin: Origin) -> Self {
        Self {
            origin: Arc::new(origin),
            epoch: 0,
            oldest: 0,
            stale: Stale::No,
            long_lived_time: None,
            long_lived: false,
            gone: false,
            actions: Actions::default(),
            round: None,
            received: 0,
            accepted: 0,
            selected: 0,
            stale_paths: 0,
            limit_reported: LimitReported::Nothing,
        }
    }

    /// How many epochs ago a path was announced last.
    pub(crate) fn age(&self, epoch: u8) -> u8 {
        self.epoch.wrapping_sub(epoch) & 3
    }

    /// Moves the epoch on: everything received so far is stale. What was stale already is removed (RFC 4724 4.2).
    /// `false`: paths of too many epochs wait for removal; nothing was changed.
    pub(crate) fn begin_epoch(&mut self) -> bool {
        if self.oldest >= 3 {
            return false;
        }
        self.epoch = (self.epoch + 1) & 3;
        self.oldest += 1;
        self.stale_paths = self.received;
        // A removal of all stale paths that is under way goes on, one epoch further.
        self.actions.remove_from_age = (self.oldest > 1).then_some(2);
        true
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
        let origin = Origin::new(PeerId(1), &before, chain(0), &session);
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
        ] {
            for policy in [0, 1] {
                let new = origin.with_config(&config, chain(policy));
                let anew = Origin::new(PeerId(1), &config, chain(policy), &session);
                assert_eq!(new, anew);
                let limit_only = limit_only && policy == 0;
                assert_eq!(origin.differs_in_limit_only(&new), limit_only, "{config:?}");
            }
        }
    }

    #[test]
    fn any_action_is_something_to_do() {
        let none = Actions::default();
        assert!(none.is_none());
        for some in [
            Actions {
                remove_from_age: Some(0),
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

    #[test]
    fn rfc_4724_4_2_what_was_stale_before_an_epoch_begins_is_removed_and_three_are_the_most() {
        let session = session(1, PLAIN);
        let origin = Origin::new(PeerId(1), &peer_config(1), chain(0), &session);
        let mut source = Source::new(origin);
        for (begins, epoch, oldest, remove, stale) in [
            (true, 1, 1, None, 10),
            (true, 2, 2, Some(2), 20),
            (true, 3, 3, Some(2), 30),
            (false, 3, 3, Some(2), 30),
        ] {
            source.received += 10;
            assert_eq!(source.begin_epoch(), begins);
            assert_eq!((source.epoch, source.oldest), (epoch, oldest));
            assert_eq!(source.actions.remove_from_age, remove);
            assert_eq!(source.stale_paths, stale);
        }
        source.oldest = 0;
        assert!(source.begin_epoch());
        assert_eq!((source.epoch, source.oldest), (0, 1), "modulo 4");
        assert_eq!([0, 3, 2, 1].map(|epoch| source.age(epoch)), [0, 1, 2, 3]);
    }
}
