//! UPDATEs to bytes, for whole update groups: the attributes of a set are encoded once, and as many prefixes as fit follow
//! in each message.

mod attributes;
mod multiprotocol;

use bytes::{BufMut, Bytes, BytesMut};
use ipnet::{Ipv4Net, Ipv6Net};

use self::multiprotocol::{MpPrefix, put_family, put_mp};
use super::nlri;
use crate::types::{Family, NextHop, Nlri, NlriList, RoutePrefix};
use crate::wire::attribute::{
    AttributeCode, AttributeSet, AttributeSetRef, AttributeTooLong, OPTIONAL,
};
use crate::wire::length::{FieldLength, TooLong};
use crate::wire::message::{encode_message, put_header, set_length};
use crate::wire::{HEADER, MessageKind, UpdateCodec};

/// Octets of an UPDATE around attributes and routes: header, and the lengths of the two.
const FRAME: usize = HEADER + 4;
/// Messages are cut from blocks of this size; a block is free again when its last message is dropped.
const BLOCK: usize = 128 * 1024;
/// Octets of an MP attribute around its routes: flags, code and length.
const MP_FRAME: usize = 4;

/// Routes that cannot be advertised to these peers. Nothing was written; what was advertised before must be withdrawn.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The attributes leave no space for a prefix (RFC 4271 section 9.2, RFC 8654 section 4).
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
    /// One encoded attribute value, before it is added to `attributes`.
    scratch: Vec<u8>,
}

/// How the routes of a message are wrapped.
enum Form {
    /// NLRI field and NEXT_HOP.
    Classic,
    /// MP_REACH_NLRI.
    Multiprotocol,
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
}

/// Sets a length field of the message.
fn set_field(block: &mut BytesMut, at: usize, octets: usize) -> Result<(), TooLong> {
    let length = FieldLength::try_from(octets)?;
    block[at..at + 2].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

#[cfg(test)]
mod tests;
