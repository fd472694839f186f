//! AGGREGATOR (RFC 4271 section 5.1.7, RFC 6793). Wrong length or AS 0: attribute discard (RFC 7606 section 7.7, RFC 7607).

use std::fmt;
use std::net::Ipv4Addr;

use serde::Serialize;

use super::AttributeCode;
use super::table::{Canonical, Class, Row, Scope};
use crate::types::Asn;
use crate::wire::{Outcome, UpdateFault};

/// AGGREGATOR: who formed the aggregate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Aggregator {
    /// Its AS.
    pub asn: Asn,
    /// Its identifier.
    pub address: Ipv4Addr,
}

impl Aggregator {
    /// Reads a value with a four-octet AS number.
    pub(super) fn read(value: &[u8]) -> Option<Self> {
        let (asn, address) = value.split_first_chunk::<4>()?;
        Some(Self {
            asn: Asn(u32::from_be_bytes(*asn)),
            address: Ipv4Addr::from(<[u8; 4]>::try_from(address).ok()?),
        })
    }
}

impl fmt::Display for Aggregator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AS {} at {}", self.asn, self.address)
    }
}

pub(super) const ROW: Row = Row {
    code: AttributeCode::AGGREGATOR,
    name: "AGGREGATOR",
    class: Class::OptionalTransitive,
    scope: Scope::Anyone,
    malformed: Outcome::AttributeDiscard,
    canonical: Canonical::Widened,
    check: |value, codec| {
        let (octets, expected) = match codec.four_octet_as {
            true => (8, "8 octets: AS number and address"),
            false => (6, "6 octets: two-octet AS number and address"),
        };
        if value.len() != octets {
            return Err(UpdateFault::Length {
                code: AttributeCode::AGGREGATOR,
                length: value.len(),
                expected,
            });
        }
        check_as(AttributeCode::AGGREGATOR, &value[..octets - 4])
    },
    read: |value, attributes| attributes.aggregator = Aggregator::read(value),
    write: |attributes, out| match attributes.aggregator {
        Some(aggregator) => {
            out.extend_from_slice(&aggregator.asn.0.to_be_bytes());
            out.extend_from_slice(&aggregator.address.octets());
            true
        }
        None => false,
    },
};

/// AS 0 makes AGGREGATOR and AS4_AGGREGATOR malformed (RFC 7607 section 2).
pub(super) fn check_as(code: AttributeCode, asn: &[u8]) -> Result<(), UpdateFault> {
    if asn.iter().all(|octet| *octet == 0) {
        return Err(UpdateFault::ZeroAs { code });
    }
    Ok(())
}

/// The canonical value of one with a two-octet AS number, which has been checked.
pub(in crate::wire) fn widen(value: &[u8]) -> [u8; 8] {
    let mut wide = [0; 8];
    wide[8 - value.len().min(8)..].copy_from_slice(&value[..value.len().min(8)]);
    wide
}

/// The value for a speaker of two-octet AS numbers, and whether it needs AS4_AGGREGATOR beside it (RFC 6793 4.2.2).
pub(in crate::wire) fn narrow(value: &[u8]) -> Option<([u8; 6], bool)> {
    let Aggregator { asn, address } = Aggregator::read(value)?;
    let [a, b, c, d] = address.octets();
    let [high, low] = asn.to_two_octets().to_be_bytes();
    Some(([high, low, a, b, c, d], asn.0 > 0xffff))
}
