//! Which path attributes are discarded from a peer's UPDATEs, and which ones' routes are treated as withdrawn.
//!
//! [`AttributeFilter`] is configured for a peer; [`FilteredCodes`] is the result for a kind of peer, with the defaults
//! of the RFCs. An attribute in it is never parsed: its contents can do no harm here or at other routers. Two places
//! apply it: the decoder of UPDATEs, and the import of routes that are held already.

use std::fmt;

use super::{AttributeCode, AttributeSet};
use crate::wire::PeerKind;

/// A set of attribute type codes.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct AttributeCodes([u64; 4]);

impl AttributeCodes {
    /// No code.
    pub const EMPTY: Self = Self([0; 4]);

    /// The set of these codes.
    pub const fn of(codes: &[AttributeCode]) -> Self {
        let mut set = Self::EMPTY;
        let mut at = 0;
        while at < codes.len() {
            set.0[(codes[at].0 >> 6) as usize] |= 1 << (codes[at].0 & 63);
            at += 1;
        }
        set
    }

    /// Whether the code is in the set.
    #[inline]
    pub const fn contains(&self, code: AttributeCode) -> bool {
        self.0[(code.0 >> 6) as usize] & 1 << (code.0 & 63) != 0
    }

    /// Whether there is no code.
    pub const fn is_empty(&self) -> bool {
        matches!(self.0, [0, 0, 0, 0])
    }

    /// The codes of both sets.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        let ([a, b, c, d], [e, f, g, h]) = (self.0, other.0);
        Self([a | e, b | f, c | g, d | h])
    }

    /// The codes that are not in the other set.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        let ([a, b, c, d], [e, f, g, h]) = (self.0, other.0);
        Self([a & !e, b & !f, c & !g, d & !h])
    }

    /// The codes that are in both sets.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        self.without(self.without(other))
    }

    /// The codes, ascending.
    pub fn iter(&self) -> impl Iterator<Item = AttributeCode> + '_ {
        (0..=u8::MAX)
            .map(AttributeCode)
            .filter(|code| self.contains(*code))
    }
}

impl FromIterator<AttributeCode> for AttributeCodes {
    fn from_iter<I: IntoIterator<Item = AttributeCode>>(codes: I) -> Self {
        let add = |set: Self, code| set.union(Self::of(&[code]));
        codes.into_iter().fold(Self::EMPTY, add)
    }
}

impl fmt::Debug for AttributeCodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.iter().map(|code| code.0))
            .finish()
    }
}

/// Attributes that mean nothing for the families that are routed here, IPv4 and IPv6 unicast, or that nobody here computes
/// with; they are discarded whoever sends them. PMSI_TUNNEL is for multicast and EVPN routes (RFC 6514 section 5), the
/// BGP-LS attribute for Link-State NLRI (RFC 9552 section 5.3). AIGP has to be ignored where it is not enabled (RFC 7311
/// section 3.3), with the Transitive bit too (section 3.2). DEVIATION(RFC 7311 3.3): it is enabled for nobody, internal peers
/// neither, as nobody here adds the cost of a next hop to it.
const NEVER_CARRIED: AttributeCodes = AttributeCodes::of(&[
    AttributeCode::PMSI_TUNNEL,
    AttributeCode::AIGP,
    AttributeCode::BGP_LS,
]);

/// Attributes that stay within one administration: discarded on eBGP sessions in both directions unless the operator
/// accepts them there. Tunnel encapsulation: RFC 9012 section 11. Prefix-SID: RFC 8669 sections 4 and 5.
const WITHIN_ONE_DOMAIN: AttributeCodes = AttributeCodes::of(&[
    AttributeCode::TUNNEL_ENCAPSULATION,
    AttributeCode::PREFIX_SID,
]);

/// Attributes without which there is no route, or no way to say which one: no filter applies to them.
const MANDATORY: AttributeCodes = AttributeCodes::of(&[
    AttributeCode::ORIGIN,
    AttributeCode::AS_PATH,
    AttributeCode::NEXT_HOP,
    AttributeCode::MP_REACH_NLRI,
    AttributeCode::MP_UNREACH_NLRI,
]);

/// What an operator says of the attributes in a peer's UPDATEs. Nothing is done to [`AttributeFilter::MANDATORY`] ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct AttributeFilter {
    /// They are taken out, and the routes used without them.
    pub discard: AttributeCodes,
    /// Routes with one of them are treated as withdrawn.
    pub treat_as_withdraw: AttributeCodes,
    /// They are accepted from an external peer and sent to it: it is of the same administration.
    pub accept: AttributeCodes,
}

impl AttributeFilter {
    /// Nothing but what is the default.
    pub const DEFAULT: Self = Self {
        discard: AttributeCodes::EMPTY,
        treat_as_withdraw: AttributeCodes::EMPTY,
        accept: AttributeCodes::EMPTY,
    };

    /// The attributes that no filter applies to: ORIGIN, AS_PATH, NEXT_HOP, MP_REACH_NLRI and MP_UNREACH_NLRI.
    pub const MANDATORY: AttributeCodes = MANDATORY;

    /// The attributes that an operator can accept from external peers; others are accepted anyway, or never.
    pub const ACCEPTABLE: AttributeCodes = WITHIN_ONE_DOMAIN;

    /// What is done to the attributes that a peer of this kind sends.
    pub const fn received_from(&self, peer: PeerKind) -> FilteredCodes {
        let by_default = NEVER_CARRIED.union(self.withheld_from(peer));
        let treat_as_withdraw = self.treat_as_withdraw.without(MANDATORY);
        let discard = by_default.union(self.discard.without(MANDATORY));
        FilteredCodes {
            any: discard.union(treat_as_withdraw),
            treat_as_withdraw,
        }
    }

    /// What a peer of this kind is not sent.
    pub const fn withheld_from(&self, peer: PeerKind) -> AttributeCodes {
        match peer {
            PeerKind::External => WITHIN_ONE_DOMAIN.without(self.accept),
            PeerKind::Internal => AttributeCodes::EMPTY,
        }
    }
}

/// What is done to the attributes of a session's UPDATEs: see [`AttributeFilter::received_from`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FilteredCodes {
    any: AttributeCodes,
    treat_as_withdraw: AttributeCodes,
}

impl FilteredCodes {
    /// Whether anything is done about the attribute.
    #[inline]
    pub const fn contains(&self, code: AttributeCode) -> bool {
        self.any.contains(code)
    }

    /// Whether routes with the attribute are treated as withdrawn; else it is discarded.
    pub const fn treats_as_withdraw(&self, code: AttributeCode) -> bool {
        self.treat_as_withdraw.contains(code)
    }

    /// All codes about which something is done.
    pub const fn codes(&self) -> AttributeCodes {
        self.any
    }
}

impl<B: AsRef<[u8]>> AttributeSet<B> {
    /// The set without these attributes, whether or not it has them.
    #[must_use]
    pub fn without(&self, codes: AttributeCodes) -> AttributeSet {
        let octets = self.as_bytes();
        let mut kept = Vec::with_capacity(octets.len());
        let mut attributes = self.iter();
        let mut start = 0;
        while let Some(attribute) = attributes.next() {
            let end = octets.len() - attributes.rest().len();
            if !codes.contains(attribute.code) {
                kept.extend_from_slice(&octets[start..end]);
            }
            start = end;
        }
        AttributeSet::owned(kept)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::types::Community;
    use crate::wire::PathAttributes;
    use crate::wire::attribute::UnknownAttribute;

    fn codes(list: &[u8]) -> AttributeCodes {
        list.iter().copied().map(AttributeCode).collect()
    }

    fn listed(set: AttributeCodes) -> Vec<u8> {
        set.iter().map(|code| code.0).collect()
    }

    #[test]
    fn a_set_holds_every_code_by_itself() {
        for code in (0..=u8::MAX).map(AttributeCode) {
            let one = AttributeCodes::of(&[code]);
            assert_eq!(listed(one), [code.0]);
            assert!(!one.is_empty() && !AttributeCodes::EMPTY.contains(code));
            // With itself, with all codes, and with all others.
            let all: AttributeCodes = (0..=u8::MAX).map(AttributeCode).collect();
            let others = all.without(one);
            assert_eq!(listed(others).len(), 255);
            assert!(!others.contains(code));
            assert_eq!(
                (one.union(one), all.union(one), others.union(one)),
                (one, all, all)
            );
            assert_eq!(
                (one.without(one), one.without(others)),
                (AttributeCodes::EMPTY, one)
            );
            assert_eq!((one.intersection(one), all.intersection(one)), (one, one));
            assert_eq!(one.intersection(others), AttributeCodes::EMPTY);
        }
        assert_eq!(listed(AttributeCodes::of(&[])), [0; 0]);
        let several = [200, 3, 64, 3].map(AttributeCode);
        assert_eq!(listed(AttributeCodes::of(&several)), [3, 64, 200]);
        assert_eq!(format!("{:?}", codes(&[64, 3])), "{3, 64}");
        assert_eq!(
            listed(codes(&[3, 255, 64]).union(codes(&[3, 128]))),
            [3, 64, 128, 255]
        );
        assert_eq!(listed(codes(&[3, 64, 130]).without(codes(&[64]))), [3, 130]);
        assert_eq!(
            listed(codes(&[3, 64]).intersection(codes(&[64, 200]))),
            [64]
        );
    }

    #[test]
    fn a_set_without_some_attributes_is_that_of_the_value_without_them() {
        let mut value = PathAttributes {
            med: Some(5),
            communities: vec![Community(1); 70],
            unknown: vec![UnknownAttribute {
                flags: 0xe0,
                code: 99,
                value: vec![7; 300].into(),
            }],
            ..PathAttributes::default()
        };
        let set = AttributeSet::from_attributes(&value).unwrap();
        assert_eq!(set.without(AttributeCodes::EMPTY), set);
        assert_eq!(set.without(codes(&[5, 255])), set);
        value.communities.clear();
        let without = AttributeSet::from_attributes(&value).unwrap();
        assert_eq!(set.without(codes(&[8])), without);
        assert!(set.without(codes(&[2, 4, 8, 99])).is_empty());
    }

    #[test]
    fn more_is_discarded_from_external_peers_than_from_internal_ones_unless_accepted() {
        let default = AttributeFilter::DEFAULT;
        let received = |filter: AttributeFilter, peer| listed(filter.received_from(peer).codes());
        assert_eq!(received(default, PeerKind::External), [22, 23, 26, 29, 40]);
        assert_eq!(received(default, PeerKind::Internal), [22, 26, 29]);
        assert_eq!(listed(default.withheld_from(PeerKind::External)), [23, 40]);
        assert!(default.withheld_from(PeerKind::Internal).is_empty());
        let accepting = AttributeFilter {
            accept: codes(&[40, 26]),
            ..default
        };
        // What is never carried cannot be accepted.
        assert_eq!(received(accepting, PeerKind::External), [22, 23, 26, 29]);
        assert_eq!(listed(accepting.withheld_from(PeerKind::External)), [23]);
    }

    #[test]
    fn what_the_operator_lists_adds_to_the_default_and_withdrawing_is_stronger() {
        let filter = AttributeFilter {
            discard: codes(&[28, 1, 2, 3]),
            treat_as_withdraw: codes(&[29, 99, 14, 15]),
            ..AttributeFilter::DEFAULT
        };
        let filtered = filter.received_from(PeerKind::Internal);
        assert_eq!(listed(filtered.codes()), [22, 26, 28, 29, 99]);
        for (code, withdrawn) in [(28, false), (29, true), (99, true), (22, false)] {
            assert_eq!(filtered.treats_as_withdraw(AttributeCode(code)), withdrawn);
        }
    }
}
