//! MP_REACH_NLRI and MP_UNREACH_NLRI around routes (RFC 4760 sections 3 and 4).

use bytes::{BufMut, BytesMut};

use crate::types::{Family, NextHop};
use crate::wire::attribute::{AttributeCode, EXTENDED_LENGTH, OPTIONAL};
use crate::wire::length::{AttributeLength, TooLong};

/// What stands before the routes in MP_REACH_NLRI: family, next hop and the reserved octet. At most 37 octets.
pub(super) struct MpPrefix {
    octets: [u8; 37],
    length: usize,
}

impl MpPrefix {
    pub(super) fn new(family: Family, next_hop: NextHop) -> Self {
        let mut octets = [0; 37];
        let length = {
            let mut out = &mut octets[..];
            out.put_u16(family.afi.0);
            out.put_u8(family.safi.0);
            match next_hop {
                NextHop::Ipv4(address) => {
                    out.put_u8(4);
                    out.put_slice(&address.octets());
                }
                NextHop::Ipv6(address) => {
                    out.put_u8(16);
                    out.put_slice(&address.octets());
                }
                NextHop::Ipv6WithLinkLocal { global, link_local } => {
                    out.put_u8(32);
                    out.put_slice(&global.octets());
                    out.put_slice(&link_local.octets());
                }
            }
            out.put_u8(0);
            37 - out.len()
        };
        Self { octets, length }
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.octets[..self.length]
    }
}

/// Writes an MP attribute with a length of two octets around what `value` writes.
pub(super) fn put_mp(
    block: &mut BytesMut,
    code: AttributeCode,
    value: impl FnOnce(&mut BytesMut),
) -> Result<(), TooLong> {
    block.put_slice(&[OPTIONAL | EXTENDED_LENGTH, code.0, 0, 0]);
    let start = block.len();
    value(block);
    let length = AttributeLength::try_from(block.len() - start)?;
    block[start - 2..start].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

pub(super) fn put_family(block: &mut BytesMut, family: Family) {
    block.put_u16(family.afi.0);
    block.put_u8(family.safi.0);
}
