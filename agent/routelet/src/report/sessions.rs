//! The sessions of a node as its RouterState shows them: each of the first few by itself, all of them counted. Pure.
//!
//! What a RouterState says of sessions does not grow with the number of nodes: every node of a mesh has a session with
//! every other one, and if each listed them all, a node that goes would cost the API server the square of their number.
//! Those of the mesh are counted, and the first that are down are named.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use routelet_api::router_state::{
    RouterStateStatus, SessionCounts, SessionErrorStatus, SessionFamilyStatus, SessionStatus,
};
use routelet_control::model::{Peer, PeerKind, SessionError};

use super::router_state::{count, number_of, shown};

/// How many sessions are listed each by itself.
pub const LISTED: usize = 20;

/// Of how many objects the sessions are counted.
pub const COUNTED: usize = 100;

/// How many sessions that are down are named beside a count.
pub const NAMED: usize = 3;

/// How far two computations of one moment may lie apart: ages are whole seconds.
const SAME_MOMENT: SignedDuration = SignedDuration::from_secs(5);

/// Whether a peer is another node of the mesh.
pub(super) fn is_mesh(peer: &&Peer) -> bool {
    peer.kind == PeerKind::Mesh
}

/// The sessions that are listed: those outside the mesh, in the order of their names. Where they are too many, those
/// that are down come first.
pub(super) fn listed(
    peers: &[Peer],
    before: &RouterStateStatus,
    now: Timestamp,
) -> Vec<SessionStatus> {
    let mut chosen: Vec<&Peer> = peers.iter().filter(|peer| !is_mesh(peer)).collect();
    if chosen.len() > LISTED {
        chosen.sort_by_key(|peer| (peer.is_established(), &peer.name));
        chosen.truncate(LISTED);
        chosen.sort_by_key(|peer| &peer.name);
    }
    let known: BTreeMap<&str, &SessionStatus> = before
        .sessions
        .iter()
        .map(|known| (known.peer.as_str(), known))
        .collect();
    chosen
        .into_iter()
        .map(|peer| session(peer, known.get(&*shown(&peer.name)).copied(), now))
        .collect()
}

/// The sessions of each object outside the mesh, counted.
pub(super) fn counted(peers: &[Peer]) -> Vec<SessionCounts> {
    let mut of: BTreeMap<&str, Vec<&Peer>> = BTreeMap::new();
    for peer in peers.iter().filter(|peer| !is_mesh(peer)) {
        of.entry(&peer.object).or_default().push(peer);
    }
    of.values()
        .take(COUNTED)
        .map(|peers| counts(peers, whom))
        .collect()
}

/// The sessions of the mesh, counted; `None` where the node has none.
pub(super) fn mesh(peers: &[Peer]) -> Option<SessionCounts> {
    let peers: Vec<&Peer> = peers.iter().filter(is_mesh).collect();
    (!peers.is_empty()).then(|| counts(&peers, |peer| peer.name.clone()))
}

fn counts(peers: &[&Peer], name: impl Fn(&Peer) -> String) -> SessionCounts {
    let down = peers.iter().filter(|peer| !peer.is_established());
    let named = down.clone().take(NAMED).map(|peer| {
        let (name, state) = (name(peer), peer.steady_state());
        shown(&match peer.trouble() {
            Some(trouble) => format!("{name} is {state}: {trouble}"),
            None => format!("{name} is {state}"),
        })
    });
    SessionCounts {
        object: peers
            .first()
            .map(|peer| shown(&peer.object))
            .unwrap_or_default(),
        sessions: count(peers.len() as u64),
        established: count((peers.len() - down.clone().count()) as u64),
        down: named.collect(),
    }
}

fn whom(peer: &Peer) -> String {
    peer.address
        .map_or_else(|| peer.name.clone(), |address| address.to_string())
}

fn session(peer: &Peer, known: Option<&SessionStatus>, now: Timestamp) -> SessionStatus {
    let before = |seconds: u64| {
        let ago = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
        now.checked_sub(ago).unwrap_or(Timestamp::MIN)
    };
    let error = |error: &Option<SessionError>, known: Option<&SessionErrorStatus>| {
        error.as_ref().map(|error| {
            let text = shown(&match &error.communication {
                Some(more) => format!("{}: {more:?}", error.text),
                None => error.text.clone(),
            });
            let time = before(error.ago_seconds);
            let same = known.filter(|k| k.text == text && is_about(k.time.0, time));
            SessionErrorStatus {
                time: same.map_or(Time(time), |known| known.time.clone()),
                text,
            }
        })
    };
    let since = if peer.is_established() {
        let since = before(peer.state_seconds);
        let same = known.and_then(|k| k.since.as_ref());
        let same = same.filter(|known| is_about(known.0, since));
        same.cloned().unwrap_or(Time(since))
    } else {
        // The states of an attempt follow each other every second; what matters is since when there is no session.
        let down = known.filter(|known| known.state != "Established");
        let since = down.and_then(|known| known.since.clone());
        since.unwrap_or_else(|| {
            let fell = peer.last_down.as_ref().map(|down| before(down.ago_seconds));
            Time(fell.unwrap_or(now))
        })
    };
    SessionStatus {
        peer: shown(&peer.name),
        object: shown(&peer.object),
        address: peer.address.map(|address| address.to_string()),
        asn: peer.asn.map(number_of),
        state: peer.steady_state().to_string(),
        since: Some(since),
        trouble: peer.trouble().as_deref().map(shown),
        last_error_sent: error(
            &peer.last_error_sent,
            known.and_then(|k| k.last_error_sent.as_ref()),
        ),
        last_error_received: error(
            &peer.last_error_received,
            known.and_then(|k| k.last_error_received.as_ref()),
        ),
        established_count: count(peer.established_count),
        families: peer
            .families
            .iter()
            .map(|family| SessionFamilyStatus {
                family: family.family.to_string(),
                received: count(family.received),
                accepted: count(family.accepted),
                advertised: count(family.advertised),
            })
            .collect(),
    }
}

fn is_about(a: Timestamp, b: Timestamp) -> bool {
    a.duration_since(b).abs() <= SAME_MOMENT
}
