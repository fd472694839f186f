//! A peer and its session.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use bgp::fsm::{Config, Negotiated, RemoteAsn, State};
use bgp::session::{Counters, PeerHandle, PeerStatus};
use bgp::types::{Asn, Family, NextHop};
use bgp::wire::{MessageKind, Notification};
use rib::export::Suppressed;
use rib::{PeerCounts, PeerId, Rib};
use routelet_api::IpFamily;
use routelet_control::model::{
    Direction, IdleHold, MessageCounts, Peer, PeerFamily, PeerKind, PeerRole, SessionState,
};
use routelet_core::bfd::Shown;
use routelet_core::intent::{Intent, PeerIntent, PeerTarget, RequestedBy};
use routelet_core::own_next_hops::OwnNextHops;
use routelet_core::peering::Run;

use super::capabilities::{capabilities, families, graceful_restart};
use super::down_reasons::{down, downs, notification, plain};
use super::seconds;
use crate::run::peers::PeerView;

/// What the RIB counts of a peer, for each family of [`Family::ALL`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RibCounts {
    /// Routes.
    pub(crate) counts: PeerCounts,
    /// End-of-RIB received and sent.
    pub(crate) end_of_rib: (bool, bool),
    /// Our own next hop; `None`: the session is not up.
    pub(crate) own_next_hop: Option<Result<NextHop, Suppressed>>,
}

impl RibCounts {
    /// Looks them up.
    pub(crate) fn of(rib: &Rib, peer: PeerId) -> [Self; 2] {
        Family::ALL.map(|family| Self {
            counts: rib.counts(peer, family),
            end_of_rib: rib.end_of_rib(peer, family),
            own_next_hop: rib.own_next_hop(peer, family),
        })
    }
}

/// A peer at one moment.
pub(crate) struct PeerSnapshot {
    /// What the intent says of it.
    pub(crate) intent: Arc<PeerIntent>,
    /// Whether it counts for its range.
    pub(crate) takes_place: bool,
    /// Its task, or why there is none.
    pub(crate) run: Run<Box<Running>>,
    /// Its BFD session; `None`: it has no BFD.
    pub(crate) bfd: Option<Shown>,
}

/// The state of a peer, as its task reports it.
pub(crate) struct Running {
    /// State, times and errors; the session is in `session`.
    pub(crate) status: PeerStatus,
    /// The session, while Established.
    pub(crate) session: Option<Session>,
    /// Messages sent.
    pub(crate) sent: MessageCounts,
    /// Messages received.
    pub(crate) received: MessageCounts,
    /// UPDATEs with faults that did not end the session.
    pub(crate) updates_malformed: u64,
    /// Attributes in UPDATEs that the filter was applied to.
    pub(crate) attributes_filtered: u64,
}

/// An Established session.
pub(crate) struct Session {
    /// What the two OPENs agreed on.
    pub(crate) negotiated: Arc<Negotiated>,
    /// Our end.
    pub(crate) local: SocketAddr,
    /// The peer's end.
    pub(crate) remote: SocketAddr,
    /// Octets that wait to be written.
    pub(crate) output_queue: u64,
}

impl PeerSnapshot {
    /// The snapshot of a peer.
    pub(crate) fn of(view: &PeerView) -> Self {
        Self {
            intent: view.intent.clone(),
            takes_place: view.takes_place(),
            run: view.run.map(|handle| Box::new(Running::of(handle))),
            bfd: view.bfd,
        }
    }

    /// Whether its session is Established.
    pub(crate) fn is_established(&self) -> bool {
        let running = self.running();
        running.is_some_and(|running| running.status.state == State::Established)
    }

    fn blocked(&self) -> Option<String> {
        self.run.blocked().map(str::to_owned)
    }

    fn running(&self) -> Option<&Running> {
        self.run.running().map(Box::as_ref)
    }
}

impl Running {
    fn of(handle: &PeerHandle) -> Self {
        let counters: Counters = handle.counters();
        let mut status = handle.status();
        let session = status.session.take();
        Self {
            status,
            session: session.map(|session| Session {
                output_queue: session.output_queue() as u64,
                negotiated: session.negotiated,
                local: session.local,
                remote: session.remote,
            }),
            sent: messages(|kind| counters.sent(kind)),
            received: messages(|kind| counters.received(kind)),
            updates_malformed: counters.updates_malformed,
            attributes_filtered: counters.attributes_filtered,
        }
    }
}

/// The model of a peer. `own`: our own next hops on its session, or why there is none.
pub(crate) fn peer(
    shown: &PeerSnapshot,
    intent: &Intent,
    rib: [RibCounts; 2],
    own: Option<&OwnNextHops>,
    now: Instant,
) -> Peer {
    let running = shown.running();
    let status = running.map(|running| &running.status);
    let wanted = &shown.intent;
    let (protocol, config) = (&wanted.session.protocol, &wanted.config);
    let session = running.and_then(|running| running.session.as_ref());
    let negotiated = session.map(|session| session.negotiated.as_ref());
    let (address, interface) = place(&wanted.target);
    let last = |entry: Option<&(Instant, Notification)>, direction| {
        entry.map(|(at, message)| notification(seconds(*at, now), message, direction))
    };
    let last_down = status.and_then(|status| status.last_down.as_ref());
    let last_connect_error = status.and_then(|status| status.last_connect_error.as_ref());
    let next_attempt = status.and_then(|status| status.next_attempt);
    let advertisements = config.advertisements.iter();
    Peer {
        name: wanted.name.clone(),
        object: wanted.object.to_string(),
        kind: kind(shown),
        role: role(config.kind),
        address,
        interface,
        asn: asn(protocol, negotiated),
        local_asn: protocol.local_asn,
        state: status.map_or(SessionState::Idle, |s| state(s.state)),
        state_seconds: status.map_or(0, |s| seconds(s.since, now)),
        blocked: shown.blocked(),
        idle_hold: status.and_then(|status| idle_hold(status, now)),
        passive: protocol.passive,
        next_attempt_seconds: next_attempt.map(|at| seconds(now, at)),
        router_id: negotiated.map(|negotiated| negotiated.peer_id),
        host: negotiated.and_then(|negotiated| negotiated.peer_host.clone()),
        local_address: session.map(|session| session.local),
        remote_address: session.map(|session| session.remote),
        hold_time_seconds: negotiated.map(|n| n.hold_time.map_or(0, |time| time.as_secs())),
        keepalive_seconds: negotiated.map(|n| n.keepalive.map_or(0, |time| time.as_secs())),
        configured_hold_time_seconds: protocol.hold_time.map_or(0, |time| time.as_secs()),
        peer_hold_time_seconds: negotiated.map(|n| n.peer_open.hold_time.into()),
        capabilities: negotiated.map_or_else(Vec::new, |n| capabilities(protocol, n)),
        families: peer_families(wanted, negotiated, rib, own),
        next_hops: rib[0].counts.next_hops,
        max_next_hops: config.max_next_hops,
        memory_bytes: rib[0].counts.memory,
        messages_sent: running.map_or_else(Default::default, |running| running.sent),
        messages_received: running.map_or_else(Default::default, |running| running.received),
        updates_malformed: running.map_or(0, |running| running.updates_malformed),
        attributes_filtered: running.map_or(0, |running| running.attributes_filtered),
        output_queue_bytes: session.map_or(0, |session| session.output_queue),
        established_count: status.map_or(0, |s| s.sessions),
        downs: status.map_or_else(Vec::new, downs),
        last_down: last_down.map(|(at, reason)| down(seconds(*at, now), reason)),
        last_error_sent: last(status.and_then(|s| s.last_sent.as_ref()), Direction::Sent),
        last_error_received: last(
            status.and_then(|s| s.last_received.as_ref()),
            Direction::Received,
        ),
        last_connect_error: last_connect_error
            .map(|(at, error)| plain(seconds(*at, now), None, error.to_string())),
        graceful_restart: negotiated
            .and_then(|negotiated| graceful_restart(negotiated, config.long_lived_max.as_secs())),
        bfd: shown.bfd.as_ref().map(|bfd| super::bfd::session(bfd, now)),
        import: policies(&config.import),
        export: policies(&config.export),
        advertisements: advertisements
            .filter_map(|id| intent.advertisements.get(id).cloned())
            .collect(),
    }
}

/// Where a peer is: its address, its interface.
fn place(target: &PeerTarget) -> (Option<IpAddr>, Option<String>) {
    match target {
        PeerTarget::Address { address, interface } => (Some(*address), interface.clone()),
        PeerTarget::Interface { name } => (None, Some(name.clone())),
        PeerTarget::Range { .. } => (None, None),
    }
}

const fn role(kind: rib::PeerKind) -> PeerRole {
    match kind {
        rib::PeerKind::External => PeerRole::External,
        rib::PeerKind::Internal => PeerRole::Internal,
        rib::PeerKind::ReflectorClient => PeerRole::ReflectorClient,
    }
}

/// The AS of a peer: of its session, else the configured one.
fn asn(protocol: &Config, negotiated: Option<&Negotiated>) -> Option<Asn> {
    match (negotiated, protocol.remote_asn) {
        (Some(negotiated), _) => Some(negotiated.peer_asn),
        (None, RemoteAsn::Number(asn)) => Some(asn),
        (None, RemoteAsn::Internal) => Some(protocol.local_asn),
        (None, _) => None,
    }
}

/// How long and why a peer is held Idle.
fn idle_hold(status: &PeerStatus, now: Instant) -> Option<IdleHold> {
    status.idle_hold.as_ref().map(|hold| IdleHold {
        seconds: hold.until.map(|until| seconds(now, until)),
        reason: hold.reason.to_string(),
    })
}

/// The configured families of a peer, with what the RIB counts of each.
fn peer_families(
    wanted: &PeerIntent,
    negotiated: Option<&Negotiated>,
    rib: [RibCounts; 2],
    own: Option<&OwnNextHops>,
) -> Vec<PeerFamily> {
    let all = Family::ALL.into_iter().zip(rib).zip(IpFamily::ALL);
    all.filter(|((family, _), _)| wanted.session.protocol.families.contains(family))
        .map(|((family, rib), of)| PeerFamily {
            family: family.into(),
            negotiated: negotiated.is_some_and(|n| n.families.contains(&family)),
            announced: negotiated
                .is_some_and(|n| families(&n.peer_open.capabilities).contains(&family)),
            own_next_hop: rib.own_next_hop.and_then(Result::ok),
            no_next_hop: no_next_hop(rib.own_next_hop, own, of),
            received: rib.counts.received.into(),
            accepted: rib.counts.accepted.into(),
            best: rib.counts.selected.into(),
            advertised: rib.counts.advertised.into(),
            too_large: rib.counts.too_large.into(),
            stale: rib.counts.stale.into(),
            max_prefixes: wanted.config.max_prefixes,
            max_received_prefixes: wanted.config.max_received,
            max_paths_per_prefix: wanted.config.max_paths,
            paths_refused: rib.counts.paths_refused,
            next_hops_refused: rib.counts.next_hops_refused,
            prefix_warning: wanted.config.prefix_warning,
            end_of_rib_received: rib.end_of_rib.0,
            end_of_rib_sent: rib.end_of_rib.1,
        })
        .collect()
}

/// Why nothing of a negotiated family is advertised for want of a next hop.
fn no_next_hop(
    own: Option<Result<NextHop, Suppressed>>,
    found: Option<&OwnNextHops>,
    family: IpFamily,
) -> Option<String> {
    let reason = own?.err()?;
    let why = found.and_then(|found| found.missing(family));
    Some(why.map_or_else(|| reason.to_string(), ToString::to_string))
}

fn kind(shown: &PeerSnapshot) -> PeerKind {
    match (&shown.intent.requested_by, &shown.intent.target) {
        (RequestedBy::Range(_), _) => PeerKind::Dynamic,
        (RequestedBy::Mesh, _) => PeerKind::Mesh,
        (RequestedBy::Nodes, _) => PeerKind::Node,
        (RequestedBy::Peer, PeerTarget::Interface { .. }) => PeerKind::Unnumbered,
        (RequestedBy::Peer, PeerTarget::Address { .. } | PeerTarget::Range { .. }) => {
            PeerKind::Configured
        }
    }
}

fn policies(policies: &[Arc<rib::policy::Policy>]) -> Vec<String> {
    policies.iter().map(|policy| policy.name.clone()).collect()
}

/// The model's word for a state.
pub(crate) const fn state(state: State) -> SessionState {
    match state {
        State::Idle => SessionState::Idle,
        State::Connect => SessionState::Connect,
        State::Active => SessionState::Active,
        State::OpenSent => SessionState::OpenSent,
        State::OpenConfirm => SessionState::OpenConfirm,
        State::Established => SessionState::Established,
    }
}

fn messages(count: impl Fn(MessageKind) -> u64) -> MessageCounts {
    MessageCounts {
        open: count(MessageKind::Open),
        update: count(MessageKind::Update),
        notification: count(MessageKind::Notification),
        keepalive: count(MessageKind::Keepalive),
        route_refresh: count(MessageKind::RouteRefresh),
    }
}
