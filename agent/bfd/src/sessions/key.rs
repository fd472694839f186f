//! What a session is of, and what its users want of it.

use std::net::IpAddr;
use std::num::{NonZeroU8, NonZeroU32};

use crate::packet::Interval;
use crate::session::{Parameters, Role};

/// How far away the remote system may be, and with it the port (RFC 5881 4, RFC 5883 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hops {
    /// On the same link: packets arrive with the TTL with which they were sent, 255 (RFC 5881 5).
    Single,
    /// Behind routers.
    Multi,
}

/// What there is one session of: a pair of addresses and an interface (RFC 5881 3, RFC 5883 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey {
    /// Our address: packets are sent from it and arrive at it.
    pub local: IpAddr,
    /// The address of the remote system.
    pub remote: IpAddr,
    /// The index of the interface that packets go through. A single-hop session always has one (RFC 5881 3).
    pub interface: Option<NonZeroU32>,
    /// How far away.
    pub hops: Hops,
}

/// Who uses a session, such as a BGP peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId {
    /// The caller's number. A number has one request at a time, whatever its generation.
    pub number: u64,
    /// The caller raises it whenever it wants another key, so that states of the session before are recognised as stale.
    pub generation: u32,
}

/// What a user wants of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Intervals, role, Echo and authentication.
    pub parameters: Parameters,
    /// The least TTL that packets of a multihop session may arrive with: 255 less the routers between. A multihop request
    /// must have one; a single-hop session accepts 255 only, whatever this is.
    pub least_ttl: Option<NonZeroU8>,
    /// Whether the operator holds the session down (RFC 5880 6.8.16). It is held down if all of its users want that.
    pub is_held_down: bool,
}

impl Request {
    /// A single-hop session that is not held down.
    pub fn new(parameters: Parameters) -> Self {
        Self {
            parameters,
            least_ttl: None,
            is_held_down: false,
        }
    }

    /// A multihop session that is not held down.
    pub fn multihop(parameters: Parameters, least_ttl: NonZeroU8) -> Self {
        Self {
            least_ttl: Some(least_ttl),
            ..Self::new(parameters)
        }
    }
}

/// Why a request cannot be fulfilled: the operator's to mend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Both addresses of a session are of the same family.
    #[error("the addresses are not of one family")]
    Families,
    /// An address is unspecified, multicast or broadcast.
    #[error("an address is not a unicast address")]
    NotUnicast,
    /// Both addresses are the same: there is no path between them.
    #[error("the local and the remote address are the same")]
    SameAddress,
    /// A single hop is one of an interface (RFC 5881 3), and a link-local address means nothing without it.
    #[error("a single-hop session or a link-local address needs an interface")]
    NoInterface,
    /// Without a least TTL anybody on the Internet can send packets of a multihop session.
    #[error("a multihop session needs a least TTL")]
    NoLeastTtl,
    /// Echo packets are for single hops (RFC 5883 2).
    #[error("the Echo function is for a single hop")]
    MultihopEcho,
    /// Another user of the session authenticates it in another way, or not at all. Retried when that one changes.
    #[error("another user of the session has another type of authentication")]
    Authentication,
}

/// What is asked of one session by all of its users together: the most that any of them asks. The last request is the
/// latest, and its keys count.
///
/// Intervals are the shortest ones. The multiplier is such that a failure is found within the shortest detection time that is
/// asked for, and not before: of 3 x 100 ms and 10 x 20 ms, 10 x 20 ms. The session begins actively if one user wants that,
/// and returns or sends Echo packets if one user wants that.
///
/// # Errors
/// [`RequestError::Authentication`].
pub(super) fn combine<'a>(
    mut requests: impl Iterator<Item = &'a Request> + Clone,
) -> Result<Option<Request>, RequestError> {
    let Some(latest) = requests.clone().last() else {
        return Ok(None);
    };
    let kind = |request: &Request| {
        let authentication = request.parameters.authentication.as_ref();
        authentication.map(|authentication| authentication.kind())
    };
    if requests.clone().any(|other| kind(other) != kind(latest)) {
        return Err(RequestError::Authentication);
    }
    let parameters = requests.clone().map(|request| &request.parameters);
    let least = |of: fn(&Parameters) -> Option<Interval>| parameters.clone().filter_map(of).min();
    let desired_min_tx = least(|p| Some(p.desired_min_tx));
    let required_min_rx = least(|p| Some(p.required_min_rx));
    let detection =
        |p: &Parameters| u64::from(p.desired_min_tx.micros()) * u64::from(p.detect_mult.get());
    let shortest = parameters.clone().map(detection).min().unwrap_or(0);
    let interval = desired_min_tx.map_or(1, Interval::micros).max(1);
    let mult = u8::try_from(shortest / u64::from(interval)).unwrap_or(u8::MAX);
    let is_active = parameters.clone().any(|p| p.role == Role::Active);
    Ok(Some(Request {
        parameters: Parameters {
            desired_min_tx: desired_min_tx.unwrap_or(latest.parameters.desired_min_tx),
            required_min_rx: required_min_rx.unwrap_or(latest.parameters.required_min_rx),
            detect_mult: NonZeroU8::new(mult).unwrap_or(NonZeroU8::MIN),
            role: if is_active {
                Role::Active
            } else {
                Role::Passive
            },
            echo_tx: least(|p| p.echo_tx),
            echo_rx: least(|p| p.echo_rx),
            authentication: latest.parameters.authentication.clone(),
        },
        least_ttl: requests.clone().filter_map(|r| r.least_ttl).max(),
        is_held_down: requests.all(|request| request.is_held_down),
    }))
}

/// What can be said of a request without looking at others.
pub(super) fn check(key: &SessionKey, request: &Request) -> Result<(), RequestError> {
    let is_link_local = |address: &IpAddr| match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    if key.local.is_ipv4() != key.remote.is_ipv4() {
        return Err(RequestError::Families);
    }
    if !is_unicast(&key.local) || !is_unicast(&key.remote) {
        return Err(RequestError::NotUnicast);
    }
    if key.local == key.remote {
        return Err(RequestError::SameAddress);
    }
    let is_scoped =
        key.hops == Hops::Single || is_link_local(&key.local) || is_link_local(&key.remote);
    if key.interface.is_none() && is_scoped {
        return Err(RequestError::NoInterface);
    }
    if key.hops == Hops::Multi && request.least_ttl.is_none() {
        return Err(RequestError::NoLeastTtl);
    }
    let has_echo = request.parameters.echo_tx.is_some() || request.parameters.echo_rx.is_some();
    if key.hops == Hops::Multi && has_echo {
        return Err(RequestError::MultihopEcho);
    }
    Ok(())
}

fn is_unicast(address: &IpAddr) -> bool {
    let is_broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    !address.is_unspecified() && !address.is_multicast() && !is_broadcast
}
