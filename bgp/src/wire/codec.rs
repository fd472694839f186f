//! What encoding and decoding of UPDATEs depends on: the outcome of the negotiation, as a small value.

use crate::types::{Asn, Family};
use crate::wire::attribute::{AttributeFilter, FilteredCodes};

/// The context of a session's UPDATEs. Equal values give equal bytes: it may be part of an update group's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UpdateCodec {
    /// Whether the peer is in another AS.
    pub peer: PeerKind,
    /// Both sides use four-octet AS numbers (RFC 6793).
    pub four_octet_as: bool,
    /// Messages up to 65,535 octets may be sent to the peer and are taken from it (RFC 8654).
    pub extended_message: bool,
    /// The AS that paths from an external peer must begin with (RFC 4271 section 6.3); `None` does not check, as towards
    /// a route server (RFC 7947 section 2.2.2.1).
    pub first_as: Option<Asn>,
    /// Attributes from the peer that are discarded, or whose routes are treated as withdrawn.
    pub filtered: FilteredCodes,
    /// IPv4 unicast.
    pub ipv4: FamilyCodec,
    /// IPv6 unicast.
    pub ipv6: FamilyCodec,
}

/// Whether a peer is in our AS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PeerKind {
    /// Another AS: eBGP.
    External,
    /// The same AS: iBGP.
    Internal,
}

/// What was agreed for one family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FamilyCodec {
    /// Both sides announced the family (for IPv4 unicast also: neither announced any).
    pub negotiated: bool,
    /// The peer sends path identifiers (RFC 7911).
    pub add_path_receive: bool,
    /// We send path identifiers.
    pub add_path_send: bool,
    /// Next hops of the other AFI may be used (RFC 8950). Only for IPv4.
    pub extended_next_hop: bool,
}

impl FamilyCodec {
    /// The family as plain RFC 4760 has it.
    pub const PLAIN: Self = Self {
        negotiated: true,
        add_path_receive: false,
        add_path_send: false,
        extended_next_hop: false,
    };
}

impl UpdateCodec {
    /// Four-octet AS numbers, both families, the default filter of attributes, nothing else: where tests and offline readers start from.
    pub const fn plain(peer: PeerKind) -> Self {
        Self {
            peer,
            four_octet_as: true,
            extended_message: false,
            first_as: None,
            filtered: AttributeFilter::DEFAULT.received_from(peer),
            ipv4: FamilyCodec::PLAIN,
            ipv6: FamilyCodec::PLAIN,
        }
    }

    /// What was agreed for the family; `None` if it was not negotiated or is none that this speaker routes.
    pub fn family(&self, family: Family) -> Option<&FamilyCodec> {
        match family {
            Family::IPV4_UNICAST => Some(&self.ipv4),
            Family::IPV6_UNICAST => Some(&self.ipv6),
            _ => None,
        }
        .filter(|codec| codec.negotiated)
    }

    /// The same, to be filled in; `None` for a family that this speaker does not route.
    pub fn family_mut(&mut self, family: Family) -> Option<&mut FamilyCodec> {
        match family {
            Family::IPV4_UNICAST => Some(&mut self.ipv4),
            Family::IPV6_UNICAST => Some(&mut self.ipv6),
            _ => None,
        }
    }

    /// Octets of the longest message that may be sent, header included.
    pub const fn max_message(&self) -> usize {
        if self.extended_message {
            super::MAX_EXTENDED_MESSAGE
        } else {
            super::MAX_MESSAGE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{MAX_EXTENDED_MESSAGE, MAX_MESSAGE};

    #[test]
    fn what_was_agreed_for_a_family_is_kept_apart_from_the_other() {
        const FAMILIES: [Family; 2] = [Family::IPV4_UNICAST, Family::IPV6_UNICAST];
        for changed in FAMILIES {
            let mut codec = UpdateCodec::plain(PeerKind::Internal);
            codec.family_mut(changed).expect("is routed").add_path_send = true;
            for family in FAMILIES {
                let send = codec.family(family).map(|agreed| agreed.add_path_send);
                assert_eq!(send, Some(family == changed), "{family} of {changed}");
            }
            // Until it is negotiated it can be filled in, and is not used.
            *codec.family_mut(changed).expect("is routed") = FamilyCodec::default();
            assert_eq!(codec.family(changed), None);
            assert!(codec.family_mut(changed).is_some());
        }
        let mut codec = UpdateCodec::plain(PeerKind::Internal);
        let other = Family::new(1, 128);
        assert_eq!(codec.family(other), None);
        assert_eq!(codec.family_mut(other), None);
    }

    #[test]
    fn rfc_8654_3_messages_are_longer_only_where_that_was_agreed() {
        for (extended_message, max) in [(false, MAX_MESSAGE), (true, MAX_EXTENDED_MESSAGE)] {
            let codec = UpdateCodec {
                extended_message,
                ..UpdateCodec::plain(PeerKind::External)
            };
            assert_eq!(codec.max_message(), max);
        }
        assert_eq!((MAX_MESSAGE, MAX_EXTENDED_MESSAGE), (4096, 65_535));
    }
}
