//! How a peer is configured, as far as the protocol is concerned. Sockets are configured elsewhere
//! (`settings::PeerSettings`).

use std::fmt;
use std::time::Duration;

use super::{BfdConfig, PrefixLimit};
use crate::types::{Afi, Asn, BgpIdentifier, Family};
use crate::wire::capability::{AddPathMode, LongLivedFamily, Role};

/// What the peer's AS number must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RemoteAsn {
    /// This number.
    Number(Asn),
    /// Our own AS.
    Internal,
    /// Any AS but our own.
    External,
    /// Any AS.
    Any,
}

impl RemoteAsn {
    /// Whether a peer that says it is in `remote` is acceptable to a speaker in `local`.
    ///
    /// AS 0 never is (RFC 7607), nor is AS_TRANS, which no speaker may have (RFC 6793 section 9).
    pub fn accepts(self, local: Asn, remote: Asn) -> bool {
        if remote.is_zero() || remote == Asn::TRANS {
            return false;
        }
        match self {
            Self::Number(asn) => remote == asn,
            Self::Internal => remote == local,
            Self::External => remote != local,
            Self::Any => true,
        }
    }
}

impl fmt::Display for RemoteAsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(asn) => asn.fmt(f),
            Self::Internal => f.write_str("internal"),
            Self::External => f.write_str("external"),
            Self::Any => f.write_str("any"),
        }
    }
}

/// Our side of graceful restart (RFC 4724, RFC 8538).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GracefulRestartConfig {
    /// How long the peer should keep our routes after the session fell; whole seconds up to 4095.
    pub restart_time: Duration,
    /// Whether NOTIFICATIONs and hold timer expiry end no retention either (the N bit of RFC 8538).
    pub notification: bool,
    /// The families, and whether our forwarding state of each outlives this process (the F bit).
    pub families: Vec<(Family, bool)>,
}

/// A peer as the state machine knows it.
///
/// [`Config::new`] has the defaults of every field but the four that have none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Our AS as sent to this peer.
    pub local_asn: Asn,
    /// Our identifier.
    pub local_id: BgpIdentifier,
    /// What the peer's AS must be.
    pub remote_asn: RemoteAsn,
    /// Never connect; only accept. Also for a peer whose address is known only once it has connected.
    pub passive: bool,
    /// The hold time to propose, 3 s to 65,535 s; `None` proposes 0: no keepalives and no hold timer.
    pub hold_time: Option<Duration>,
    /// How often to send KEEPALIVE, at most a third of the negotiated hold time; `None` is that third.
    pub keepalive: Option<Duration>,
    /// The longest wait between two attempts to connect, unless the peer is held Idle. The first attempt is made at once.
    pub connect_retry: Duration,
    /// How long one attempt to connect may take.
    pub connect_timeout: Duration,
    /// The longest time that the peer is held Idle after errors and sessions that end early: it is not dialled, and its
    /// connections are refused. Reached by doubling. Also how long a session must last until what went wrong before is
    /// forgotten. Zero: never held; dialled again within `connect_retry`.
    pub idle_hold_max: Duration,
    /// What exceeding the prefix limit leads to, which the owner finds out; `None`: as any error.
    pub prefix_limit: Option<PrefixLimit>,
    /// How long an Established session may fail to send (RFC 9687); `None`: 8 minutes, or twice the hold time.
    pub send_hold_time: Option<Duration>,
    /// The families to offer. Never empty.
    pub families: Vec<Family>,
    /// What to do with additional paths, by family (RFC 7911).
    pub add_path: Vec<(Family, AddPathMode)>,
    /// Families whose routes may have next hops of another AFI (RFC 8950).
    pub extended_next_hop: Vec<(Family, Afi)>,
    /// Whether to offer messages up to 65,535 octets (RFC 8654).
    pub extended_message: bool,
    /// Graceful restart; `None`: not offered.
    pub graceful_restart: Option<GracefulRestartConfig>,
    /// Long-lived graceful restart (RFC 9494), offered only beside graceful restart.
    pub long_lived: Vec<LongLivedFamily>,
    /// Our role towards the peer (RFC 9234). For external peers only: an internal peer is not sent it, and it has no
    /// effect there.
    pub role: Option<Role>,
    /// Refuse an external peer that sends no role.
    pub role_strict: bool,
    /// Reject paths of an external peer that do not begin with its AS, unless our role is that of a route server's
    /// client.
    pub enforce_first_as: bool,
    /// How a failure of BFD is treated; `None`: [`Input::Bfd`](super::Input::Bfd) is ignored.
    pub bfd: Option<BfdConfig>,
    /// Host and domain name to send.
    pub host: Option<(String, String)>,
    /// Seed of the jitter of timers. Give every peer another one, so that peers don't beat in step.
    pub jitter_seed: u64,
}

impl Config {
    /// A peer with the defaults: active, hold time 90 s, both unicast families, no graceful restart.
    pub fn new(local_asn: Asn, local_id: BgpIdentifier, remote_asn: RemoteAsn, seed: u64) -> Self {
        Self {
            local_asn,
            local_id,
            remote_asn,
            passive: false,
            hold_time: Some(Duration::from_secs(90)),
            keepalive: None,
            connect_retry: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(10),
            idle_hold_max: Duration::from_secs(60),
            prefix_limit: None,
            send_hold_time: None,
            families: Family::ALL.to_vec(),
            add_path: Vec::new(),
            extended_next_hop: Vec::new(),
            extended_message: true,
            graceful_restart: None,
            long_lived: Vec::new(),
            role: None,
            role_strict: false,
            enforce_first_as: true,
            bfd: None,
            host: None,
            jitter_seed: seed,
        }
    }

    /// How long a session must be Established until what went wrong before it is forgotten.
    pub(super) fn lasting(&self) -> Duration {
        self.idle_hold_max.max(self.connect_retry)
    }

    /// Whether the peer is in our AS, as far as that is known before its OPEN.
    fn is_internal(&self) -> bool {
        match self.remote_asn {
            RemoteAsn::Internal => true,
            RemoteAsn::Number(asn) => asn == self.local_asn,
            RemoteAsn::External | RemoteAsn::Any => false,
        }
    }

    /// The role for our OPEN: not sent to an internal peer (RFC 9234 section 4.1 is about eBGP).
    pub(super) fn role_to_announce(&self) -> Option<Role> {
        self.role.filter(|_| !self.is_internal())
    }

    /// Whether going over to `new` needs a new session: what two OPENs agreed on would be different.
    ///
    /// Timers, passive mode, BFD and the host name take effect with the next session and need none.
    pub fn needs_reset(&self, new: &Self) -> bool {
        let capabilities = |config: &Self| {
            (
                config.families.clone(),
                config.add_path.clone(),
                config.extended_next_hop.clone(),
                config.extended_message,
                config.graceful_restart.clone(),
                config.long_lived.clone(),
                // An internal peer's session does not depend on them.
                config.role_to_announce(),
                config.role_strict && !config.is_internal(),
                config.enforce_first_as,
            )
        };
        (self.local_asn, self.local_id, self.remote_asn)
            != (new.local_asn, new.local_id, new.remote_asn)
            || capabilities(self) != capabilities(new)
    }
}
