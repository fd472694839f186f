//! Capabilities (RFC 5492), each in its own file: its value, how it is read and how it is written. Unknown ones are kept.
//!
//! [`TABLE`] has one row per capability; the generic code here walks it. A new capability is a file, a row, a variant.

mod add_path;
mod bfd_strict_mode;
mod enhanced_route_refresh;
mod extended_message;
mod extended_next_hop;
mod four_octet_as;
mod fqdn;
mod graceful_restart;
mod long_lived_graceful_restart;
mod multiprotocol;
mod role;
mod route_refresh;

use bytes::Bytes;

pub use add_path::AddPathMode;
pub use graceful_restart::GracefulRestart;
pub use long_lived_graceful_restart::LongLivedFamily;
pub use role::Role;

use super::WireFault;
use super::length::put_short;
use crate::types::{Afi, Asn, Family, PeerText};

/// One capability of an OPEN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Capability {
    /// Multiprotocol extensions for a family (RFC 4760).
    Multiprotocol(Family),
    /// Route refresh (RFC 2918).
    RouteRefresh,
    /// Enhanced route refresh (RFC 7313).
    EnhancedRouteRefresh,
    /// Four-octet AS numbers, with the sender's own (RFC 6793).
    FourOctetAs(Asn),
    /// Graceful restart (RFC 4724, RFC 8538).
    GracefulRestart(GracefulRestart),
    /// Long-lived graceful restart (RFC 9494).
    LongLivedGracefulRestart(Vec<LongLivedFamily>),
    /// Additional paths (RFC 7911).
    AddPath(Vec<(Family, AddPathMode)>),
    /// IPv4 (or other) NLRI over a next hop of another AFI (RFC 8950).
    ExtendedNextHop(Vec<(Family, Afi)>),
    /// Messages up to 65,535 octets (RFC 8654).
    ExtendedMessage,
    /// The sender's role (RFC 9234).
    Role(Role),
    /// No session before BFD is up (draft-ietf-idr-bgp-bfd-strict-mode).
    BfdStrictMode,
    /// Host and domain name (draft-walton-bgp-hostname-capability).
    Fqdn {
        /// Host name.
        host: PeerText,
        /// Domain name, possibly empty.
        domain: PeerText,
    },
    /// Any other: its code and value.
    Unknown {
        /// Capability code.
        code: u8,
        /// Its value, uninterpreted; at most 255 octets.
        value: Bytes,
    },
}

/// One row of the table of capabilities.
struct Row {
    /// Its code.
    code: u8,
    /// Its name.
    name: &'static str,
    /// What its value looks like, for messages.
    expected: &'static str,
    /// What several of the same code mean.
    repeats: Repeats,
    /// What a value that cannot be read means.
    malformed: Malformed,
    /// Reads the value; `None` if it cannot be.
    decode: fn(&[u8]) -> Option<Capability>,
}

/// What several capabilities of one code in one OPEN mean (RFC 5492 section 4). Equal ones are always one.
enum Repeats {
    /// Each says something.
    Each,
    /// The last one counts, in the place of the first.
    Last,
}

/// What a value that cannot be read means.
enum Malformed {
    /// OPEN Message Error/Unspecific: the sessions would not agree on what follows.
    Reject,
    /// It is kept as unknown: it only informs people.
    Keep,
}

const TABLE: &[Row] = &[
    multiprotocol::ROW,
    route_refresh::ROW,
    extended_next_hop::ROW,
    extended_message::ROW,
    role::ROW,
    graceful_restart::ROW,
    four_octet_as::ROW,
    add_path::ROW,
    enhanced_route_refresh::ROW,
    long_lived_graceful_restart::ROW,
    fqdn::ROW,
    bfd_strict_mode::ROW,
];

fn row(code: u8) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.code == code)
}

impl Capability {
    /// The capability code.
    pub const fn code(&self) -> u8 {
        match self {
            Self::Multiprotocol(_) => multiprotocol::ROW.code,
            Self::RouteRefresh => route_refresh::ROW.code,
            Self::EnhancedRouteRefresh => enhanced_route_refresh::ROW.code,
            Self::FourOctetAs(_) => four_octet_as::ROW.code,
            Self::GracefulRestart(_) => graceful_restart::ROW.code,
            Self::LongLivedGracefulRestart(_) => long_lived_graceful_restart::ROW.code,
            Self::AddPath(_) => add_path::ROW.code,
            Self::ExtendedNextHop(_) => extended_next_hop::ROW.code,
            Self::ExtendedMessage => extended_message::ROW.code,
            Self::Role(_) => role::ROW.code,
            Self::BfdStrictMode => bfd_strict_mode::ROW.code,
            Self::Fqdn { .. } => fqdn::ROW.code,
            Self::Unknown { code, .. } => *code,
        }
    }

    /// Its name, if its code is known.
    pub fn name(&self) -> Option<&'static str> {
        row(self.code()).map(|row| row.name)
    }

    fn encode_value(&self, out: &mut Vec<u8>) {
        match self {
            Self::RouteRefresh
            | Self::EnhancedRouteRefresh
            | Self::ExtendedMessage
            | Self::BfdStrictMode => {}
            Self::Multiprotocol(family) => multiprotocol::encode(*family, out),
            Self::FourOctetAs(asn) => four_octet_as::encode(*asn, out),
            Self::GracefulRestart(value) => graceful_restart::encode(value, out),
            Self::LongLivedGracefulRestart(families) => {
                long_lived_graceful_restart::encode(families, out);
            }
            Self::AddPath(families) => add_path::encode(families, out),
            Self::ExtendedNextHop(families) => extended_next_hop::encode(families, out),
            Self::Role(role) => role::encode(*role, out),
            Self::Fqdn { host, domain } => fqdn::encode(host, domain, out),
            Self::Unknown { value, .. } => out.extend_from_slice(value),
        }
    }
}

/// Reads one capability.
pub(super) fn decode(code: u8, value: &[u8]) -> Result<Capability, WireFault> {
    let unknown = || Capability::Unknown {
        code,
        value: Bytes::copy_from_slice(value),
    };
    let Some(row) = row(code) else {
        return Ok(unknown());
    };
    match ((row.decode)(value), &row.malformed) {
        (Some(capability), _) => Ok(capability),
        (None, Malformed::Keep) => Ok(unknown()),
        (None, Malformed::Reject) => Err(WireFault::Capability {
            code,
            name: row.name,
            length: value.len(),
            expected: row.expected,
        }),
    }
}

/// Adds a capability to those of an OPEN, as RFC 5492 section 4 and its own RFC treat repeated ones.
pub(super) fn add(all: &mut Vec<Capability>, new: Capability) {
    if all.contains(&new) {
        return;
    }
    let repeats = row(new.code()).map_or(&Repeats::Each, |row| &row.repeats);
    match (repeats, all.iter_mut().find(|c| c.code() == new.code())) {
        (Repeats::Each, _) | (_, None) => all.push(new),
        (Repeats::Last, Some(old)) => *old = new,
    }
}

/// Writes code, length and value. A value over 255 octets is cut to the entries that fit.
pub(super) fn encode(capability: &Capability, out: &mut Vec<u8>) {
    let mut value = Vec::new();
    capability.encode_value(&mut value);
    out.push(capability.code());
    put_short(out, &value);
}

#[cfg(test)]
mod tests;
