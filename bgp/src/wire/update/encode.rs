//! UPDATEs to bytes, for whole update groups: the attributes of a set are encoded once, and as many prefixes as fit follow
//! in each message.

use std::net::Ipv4Addr;

use bytes::{BufMut, Bytes, BytesMut};
use ipnet::{Ipv4Net, Ipv6Net};

use super::nlri;
use crate::types::{Family, NextHop, Nlri, NlriList, RoutePrefix};
use crate::wire::attribute::{
    AttributeCode, AttributeRef, AttributeSet, AttributeSetRef, AttributeTooLong, EXTENDED_LENGTH,
    OPTIONAL, OPTIONAL_TRANSITIVE, PARTIAL, Scope, TRANSITIVE, append, narrow_aggregator, row,
};
use crate::wire::length::{AttributeLength, FieldLength, TooLong};
use crate::wire::message::{encode_message, put_header, set_length};
use crate::wire::{HEADER, MessageKind, PeerKind, UpdateCodec};

/// Octets of an UPDATE around attributes and routes: header, and the lengths of the two.
const FRAME: usize = HEADER + 4;
/// Messages are cut from blocks of this size; a block is free again when its last message is dropped.
const BLOCK: usize = 128 * 1024;
/// Octets of an MP attribute around its routes: flags, code and length.
const MP_FRAME: usize = 4;

/// Routes that cannot be advertised to these peers. Nothing was written; what was advertised before must be withdrawn.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The attributes leave no room for a prefix (RFC 4271 section 9.2, RFC 8654 section 4).
    #[error("attributes and one prefix take {octets} octets; a message to this peer holds {max}")]
    TooLarge {
        /// What a message with the longest prefix would take.
        octets: usize,
        /// What it may.
        max: usize,
    },
    /// The next hop cannot stand with routes of the family: of the other AFI, without RFC 8950 being negotiated.
    #[error("{family} routes cannot have the next hop {next_hop} towards this peer")]
    NextHop {
        /// The family of the routes.
        family: Family,
        /// The next hop.
        next_hop: NextHop,
    },
    /// An attribute that is longer towards these peers than any can be.
    #[error(transparent)]
    Attribute(#[from] AttributeTooLong),
    /// The family was not negotiated.
    #[error("{family} was not negotiated with this peer")]
    Family {
        /// The family of the routes.
        family: Family,
    },
}

/// Makes the UPDATEs of one update group: of peers whose [`UpdateCodec`] is equal.
#[derive(Debug)]
pub struct UpdateEncoder {
    codec: UpdateCodec,
    /// Where messages are written and cut from.
    block: BytesMut,
    /// The encoded attributes of the current set.
    attributes: Vec<u8>,
    /// One value on its way into `attributes`.
    scratch: Vec<u8>,
}

/// How the routes of a message are wrapped.
enum Form {
    /// NLRI field and NEXT_HOP.
    Classic,
    /// MP_REACH_NLRI.
    Multiprotocol,
}

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
    /// An encoder for peers with this codec.
    pub fn new(codec: UpdateCodec) -> Self {
        Self {
            codec,
            block: BytesMut::new(),
            attributes: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// The codec it was made for.
    pub const fn codec(&self) -> &UpdateCodec {
        &self.codec
    }

    /// Announces prefixes with these attributes and next hop, in as few messages as hold them; `out` takes each.
    ///
    /// IPv4 with an IPv4 next hop is written in the classic form, anything else as MP_REACH_NLRI, which stands first in
    /// the message (RFC 7606 section 5.1). Attributes that only internal peers may see are left out for external ones,
    /// unknown ones get the partial bit, and for speakers of two-octet AS numbers AS4_PATH and AS4_AGGREGATOR are made
    /// where they are needed (RFC 6793 section 4.2.2). No other attribute is changed: that is the export policy's work.
    ///
    /// # Errors
    ///
    /// See [`EncodeError`]; it depends on attributes, next hop and family alone, never on the prefixes.
    pub fn reach<P: RoutePrefix>(
        &mut self,
        attributes: &AttributeSet,
        next_hop: NextHop,
        nlri: impl IntoIterator<Item = Nlri<P>>,
        out: impl FnMut(Bytes),
    ) -> Result<(), EncodeError> {
        self.put_reach(attributes.as_set_ref(), next_hop, nlri)?;
        self.take_each(out);
        Ok(())
    }

    /// As [`UpdateEncoder::reach`], but the messages stay here, behind those that are here already, until
    /// [`UpdateEncoder::take`].
    ///
    /// # Errors
    ///
    /// As [`UpdateEncoder::reach`]. What was here before still is.
    pub fn put_reach<P: RoutePrefix>(
        &mut self,
        attributes: AttributeSetRef<'_>,
        next_hop: NextHop,
        nlri: impl IntoIterator<Item = Nlri<P>>,
    ) -> Result<(), EncodeError> {
        let family = P::FAMILY;
        let Some(agreed) = self.codec.family(family).copied() else {
            return Err(EncodeError::Family { family });
        };
        let form = match (family, next_hop) {
            (Family::IPV4_UNICAST, NextHop::Ipv4(_)) => Form::Classic,
            (Family::IPV4_UNICAST, _) if agreed.extended_next_hop => Form::Multiprotocol,
            (Family::IPV6_UNICAST, NextHop::Ipv6(_) | NextHop::Ipv6WithLinkLocal { .. }) => {
                Form::Multiprotocol
            }
            _ => return Err(EncodeError::NextHop { family, next_hop }),
        };
        let (prefix, classic) = match (form, next_hop) {
            (Form::Classic, NextHop::Ipv4(address)) => (None, Some(address)),
            _ => (Some(MpPrefix::new(family, next_hop)), None),
        };
        self.encode_attributes(attributes, classic)?;
        let taken = FRAME
            + self.attributes.len()
            + prefix
                .as_ref()
                .map_or(0, |prefix| MP_FRAME + prefix.as_slice().len());
        let max = self.codec.max_message();
        let octets = taken + nlri::longest::<P>(agreed.add_path_send);
        if octets > max {
            return Err(EncodeError::TooLarge { octets, max });
        }
        let mut nlri = nlri.into_iter().peekable();
        while nlri.peek().is_some() {
            let message = self.begin();
            let attributes_start = self.block.len();
            let block = &mut self.block;
            let mut fill = |block: &mut BytesMut| {
                let mut room = max - taken;
                while let Some(one) =
                    nlri.next_if(|one| nlri::size(one, agreed.add_path_send) <= room)
                {
                    room -= nlri::size(&one, agreed.add_path_send);
                    nlri::put(&one, agreed.add_path_send, block);
                }
            };
            let measured = match &prefix {
                Some(prefix) => {
                    let measured = put_mp(block, AttributeCode::MP_REACH_NLRI, |block| {
                        block.put_slice(prefix.as_slice());
                        fill(block);
                    });
                    block.put_slice(&self.attributes);
                    let length = block.len() - attributes_start;
                    measured.and(set_field(block, attributes_start - 2, length))
                }
                None => {
                    block.put_slice(&self.attributes);
                    let length = self.attributes.len();
                    let measured = set_field(block, attributes_start - 2, length);
                    fill(block);
                    measured
                }
            };
            self.finish(message, measured)?;
        }
        Ok(())
    }

    /// Withdraws prefixes, in as few messages as hold them; `out` takes each. IPv4 stands in the Withdrawn Routes field.
    ///
    /// # Errors
    ///
    /// [`EncodeError::Family`] only.
    pub fn unreach<P: RoutePrefix>(
        &mut self,
        nlri: impl IntoIterator<Item = Nlri<P>>,
        out: impl FnMut(Bytes),
    ) -> Result<(), EncodeError> {
        self.put_unreach(nlri)?;
        self.take_each(out);
        Ok(())
    }

    /// As [`UpdateEncoder::unreach`], but the messages stay here until [`UpdateEncoder::take`].
    ///
    /// # Errors
    ///
    /// [`EncodeError::Family`] only.
    pub fn put_unreach<P: RoutePrefix>(
        &mut self,
        nlri: impl IntoIterator<Item = Nlri<P>>,
    ) -> Result<(), EncodeError> {
        let family = P::FAMILY;
        let Some(agreed) = self.codec.family(family).copied() else {
            return Err(EncodeError::Family { family });
        };
        let classic = family == Family::IPV4_UNICAST;
        let taken = if classic { FRAME } else { FRAME + MP_FRAME + 3 };
        let max = self.codec.max_message();
        let mut nlri = nlri.into_iter().peekable();
        while nlri.peek().is_some() {
            let message = self.begin();
            let start = self.block.len();
            let block = &mut self.block;
            let mut fill = |block: &mut BytesMut| {
                let mut room = max - taken;
                while let Some(one) =
                    nlri.next_if(|one| nlri::size(one, agreed.add_path_send) <= room)
                {
                    room -= nlri::size(&one, agreed.add_path_send);
                    nlri::put(&one, agreed.add_path_send, block);
                }
            };
            let measured = if classic {
                // The attributes' length comes after the routes here.
                block.truncate(start - 2);
                fill(block);
                let length = block.len() - (start - 2);
                block.put_u16(0);
                set_field(block, start - 4, length)
            } else {
                let measured = put_mp(block, AttributeCode::MP_UNREACH_NLRI, |block| {
                    put_family(block, family);
                    fill(block);
                });
                let length = block.len() - start;
                measured.and(set_field(block, start - 2, length))
            };
            self.finish(message, measured)?;
        }
        Ok(())
    }

    /// Announces a list of prefixes; see [`UpdateEncoder::reach`].
    ///
    /// # Errors
    ///
    /// See [`UpdateEncoder::reach`].
    pub fn reach_list(
        &mut self,
        attributes: &AttributeSet,
        next_hop: NextHop,
        nlri: &NlriList,
        out: impl FnMut(Bytes),
    ) -> Result<(), EncodeError> {
        match nlri {
            NlriList::Ipv4(list) => {
                self.reach::<Ipv4Net>(attributes, next_hop, list.iter().copied(), out)
            }
            NlriList::Ipv6(list) => {
                self.reach::<Ipv6Net>(attributes, next_hop, list.iter().copied(), out)
            }
        }
    }

    /// Withdraws a list of prefixes; see [`UpdateEncoder::unreach`].
    ///
    /// # Errors
    ///
    /// See [`UpdateEncoder::unreach`].
    pub fn unreach_list(
        &mut self,
        nlri: &NlriList,
        out: impl FnMut(Bytes),
    ) -> Result<(), EncodeError> {
        match nlri {
            NlriList::Ipv4(list) => self.unreach::<Ipv4Net>(list.iter().copied(), out),
            NlriList::Ipv6(list) => self.unreach::<Ipv6Net>(list.iter().copied(), out),
        }
    }

    /// The End-of-RIB of a family (RFC 4724 section 2).
    pub fn end_of_rib(&self, family: Family) -> Bytes {
        encode_message(MessageKind::Update, |out| {
            out.put_u16(0);
            if family == Family::IPV4_UNICAST {
                out.put_u16(0);
            } else {
                out.put_u16(6);
                out.put_slice(&[OPTIONAL, AttributeCode::MP_UNREACH_NLRI.0, 3]);
                put_family(out, family);
            }
        })
    }

    /// All messages that were put, as one piece. Empty if there are none.
    pub fn take(&mut self) -> Bytes {
        self.block.split().freeze()
    }

    /// Octets that [`UpdateEncoder::take`] would give.
    pub fn waiting(&self) -> usize {
        self.block.len()
    }

    /// As [`UpdateEncoder::take`], message by message.
    fn take_each(&mut self, mut out: impl FnMut(Bytes)) {
        while let Some(header) = self.block.first_chunk::<HEADER>() {
            let length = u16::from_be_bytes([header[16], header[17]]);
            out(self.block.split_to(usize::from(length)).freeze());
        }
    }

    /// Starts a message: header, and two lengths of zero. Returns where it starts.
    fn begin(&mut self) -> usize {
        let max = self.codec.max_message();
        if self.block.capacity() - self.block.len() < max {
            // What waits moves along only where whoever puts takes seldom.
            self.block.reserve(BLOCK);
        }
        let start = self.block.len();
        put_header(&mut self.block, MessageKind::Update);
        self.block.put_u32(0);
        start
    }

    /// Ends the message that starts there; `measured`: whether its inner lengths fit. They do, if there was room for what
    /// was put: otherwise nothing of it is left.
    fn finish(&mut self, start: usize, measured: Result<(), TooLong>) -> Result<(), EncodeError> {
        let measured = measured.and_then(|()| set_length(&mut self.block, start));
        measured.map_err(|TooLong(octets)| {
            self.block.truncate(start);
            let max = self.codec.max_message();
            EncodeError::TooLarge { octets, max }
        })
    }

    /// Encodes a set as these peers are to see it; `next_hop` is for the classic form. What needs no change is copied in
    /// pieces as large as can be: most sets in two, around NEXT_HOP.
    fn encode_attributes(
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

    /// What becomes of an attribute on the way to these peers.
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

/// What stands before the routes in MP_REACH_NLRI: family, next hop and the reserved octet. At most 37 octets.
struct MpPrefix {
    octets: [u8; 37],
    length: usize,
}

impl MpPrefix {
    fn new(family: Family, next_hop: NextHop) -> Self {
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

    fn as_slice(&self) -> &[u8] {
        &self.octets[..self.length]
    }
}

/// Writes an MP attribute with a length of two octets around what `value` writes.
fn put_mp(
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

fn put_family(block: &mut BytesMut, family: Family) {
    block.put_u16(family.afi.0);
    block.put_u8(family.safi.0);
}

/// Sets a length field of the message.
fn set_field(block: &mut BytesMut, at: usize, octets: usize) -> Result<(), TooLong> {
    let length = FieldLength::try_from(octets)?;
    block[at..at + 2].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

#[cfg(test)]
mod tests;
