//! Encodes the attributes of a set for the peers of one update group.

use std::net::Ipv4Addr;

use super::UpdateEncoder;
use crate::wire::PeerKind;
use crate::wire::attribute::{
    AttributeCode, AttributeRef, AttributeSetRef, AttributeTooLong, OPTIONAL_TRANSITIVE, PARTIAL,
    Scope, TRANSITIVE, append, narrow_aggregator, row,
};

/// What becomes of an attribute of a set.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Treatment {
    Copy,
    LeaveOut,
    /// With the partial bit.
    Partial,
    /// For speakers of two-octet AS numbers.
    NarrowPath,
    /// Likewise.
    NarrowAggregator,
}

impl UpdateEncoder {
    /// Encodes a set as these peers are to see it; `next_hop` is for the classic form. What needs no change is copied
    /// in pieces as large as can be: most sets in two, around NEXT_HOP.
    pub(super) fn encode_attributes(
        &mut self,
        set: AttributeSetRef<'_>,
        next_hop: Option<Ipv4Addr>,
    ) -> Result<(), AttributeTooLong> {
        self.attributes.clear();
        let mut next_hop = next_hop;
        // AS4_PATH and AS4_AGGREGATOR, made on the way and written at their place.
        let mut as4 = Vec::new();
        let octets = set.as_bytes();
        let (mut copied, mut attributes) = (0, set.iter());
        loop {
            let start = octets.len() - attributes.rest().len();
            let Some(AttributeRef { flags, code, value }) = attributes.next() else {
                break;
            };
            let next_hop_is_due = next_hop.is_some() && code > AttributeCode::NEXT_HOP;
            let as4_is_due = !as4.is_empty() && code > AttributeCode::AS4_AGGREGATOR;
            let treatment = self.treatment(flags, code);
            if !next_hop_is_due && !as4_is_due && treatment == Treatment::Copy {
                continue;
            }
            self.attributes.extend_from_slice(&octets[copied..start]);
            copied = start;
            if next_hop_is_due {
                self.put_next_hop(next_hop.take())?;
            }
            if as4_is_due {
                self.attributes.append(&mut as4);
            }
            match treatment {
                Treatment::Copy => continue,
                Treatment::LeaveOut => {}
                Treatment::Partial => self.put(flags | PARTIAL, code, value)?,
                Treatment::NarrowPath => self.put_narrow_path(set, flags, &mut as4)?,
                Treatment::NarrowAggregator => {
                    self.put_narrow_aggregator(flags, value, &mut as4)?;
                }
            }
            copied = octets.len() - attributes.rest().len();
        }
        self.attributes.extend_from_slice(&octets[copied..]);
        self.put_next_hop(next_hop)?;
        self.attributes.append(&mut as4);
        Ok(())
    }

    /// How an attribute is sent to these peers.
    fn treatment(&self, flags: u8, code: AttributeCode) -> Treatment {
        match row(code).map(|row| row.scope) {
            Some(Scope::InternalPeers) if self.codec.peer == PeerKind::External => {
                Treatment::LeaveOut
            }
            Some(_) if self.codec.four_octet_as => Treatment::Copy,
            Some(_) if code == AttributeCode::AS_PATH => Treatment::NarrowPath,
            Some(_) if code == AttributeCode::AGGREGATOR => Treatment::NarrowAggregator,
            Some(_) => Treatment::Copy,
            // RFC 4271 section 5: passed on without being understood.
            None if flags & TRANSITIVE == 0 => Treatment::LeaveOut,
            None if flags & PARTIAL == 0 => Treatment::Partial,
            None => Treatment::Copy,
        }
    }

    fn put(
        &mut self,
        flags: u8,
        code: AttributeCode,
        value: &[u8],
    ) -> Result<(), AttributeTooLong> {
        append(&mut self.attributes, flags, code, value)
    }

    fn put_next_hop(&mut self, next_hop: Option<Ipv4Addr>) -> Result<(), AttributeTooLong> {
        match next_hop {
            Some(address) => self.put(TRANSITIVE, AttributeCode::NEXT_HOP, &address.octets()),
            None => Ok(()),
        }
    }

    /// AS_PATH for a speaker of two-octet AS numbers, with AS4_PATH only if a number does not fit.
    fn put_narrow_path(
        &mut self,
        set: AttributeSetRef<'_>,
        flags: u8,
        as4: &mut Vec<u8>,
    ) -> Result<(), AttributeTooLong> {
        let path = set.as_path();
        let scratch = &mut self.scratch;
        scratch.clear();
        let wide = path.write_narrow(scratch);
        append(&mut self.attributes, flags, AttributeCode::AS_PATH, scratch)?;
        if wide {
            scratch.clear();
            path.write_as4(scratch);
            if !scratch.is_empty() {
                append(as4, OPTIONAL_TRANSITIVE, AttributeCode::AS4_PATH, scratch)?;
            }
        }
        Ok(())
    }

    /// AGGREGATOR for a speaker of two-octet AS numbers, with AS4_AGGREGATOR only if its number does not fit.
    fn put_narrow_aggregator(
        &mut self,
        flags: u8,
        value: &[u8],
        as4: &mut Vec<u8>,
    ) -> Result<(), AttributeTooLong> {
        let Some((narrow, wide)) = narrow_aggregator(value) else {
            return Ok(());
        };
        self.put(flags, AttributeCode::AGGREGATOR, &narrow)?;
        if wide {
            append(as4, flags, AttributeCode::AS4_AGGREGATOR, value)?;
        }
        Ok(())
    }
}
