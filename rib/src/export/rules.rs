//! Which routes are advertised to a peer, with which attributes: the built-in rules, around the peer's export policies.
//!
//! A pure function of the group's key and the route. The order is: whether the route may be advertised at all; removal
//! of attributes that such a peer may not be sent; export policies; our AS, next hop and the attributes of reflection.
//! Split horizon is not decided here but per member of a group: see [`super::exclusion`].

use std::num::NonZeroU64;

use bgp::types::{Community, Family, NextHop, Nlri};
use bgp::wire::attribute::{AttributeTooLong, Edit, Origin};
use bgp::wire::capability::Role;
use bgp::wire::{AttributeSet, AttributeSetRef, EncodeError, PathAttributes, UpdateEncoder};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::Suppressed;
use super::key::GroupKey;
use super::next_hop::Outgoing;
use super::passing::Edits;
use crate::attrs::RouteAttributesRef;
use crate::originate::{Offer, Originated};
use crate::peer::PeerKind;
use crate::policy::{Verdict, unite};
use crate::universal::OctetKey;

use super::SourcePeer;

/// What is advertised for a prefix, and its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Exported {
    pub(super) set: AttributeSet,
    pub(super) next_hop: NextHop,
    /// Whether the next hop is passed on rather than ours: it may be the address of a peer.
    pub(super) third_party: bool,
    pub(super) digest: Digest,
}

/// Represents attributes and next hop in Adj-RIB-Out: eight bytes instead of a reference-counted set. A peer cannot
/// search for two sets with one digest: see [`universal`](crate::universal).
pub(super) type Digest = NonZeroU64;

/// The seed of digests: one for all groups, so that a peer can move from one to another.
pub(super) type DigestSeed = OctetKey;

/// A route to be advertised, before the export policies.
struct Leaving<'a> {
    prefix: IpNet,
    set: AttributeSetRef<'a>,
    /// What is to become of the set before the policies.
    edits: Edits<'a>,
    outgoing: Outgoing,
    /// The next hop that policies match.
    seen: &'a NextHop,
    /// How often our AS is prepended in addition to the one time that is always done.
    prepend: u8,
}

impl GroupKey {
    /// What is advertised to the group for a learned route; the source itself is excluded elsewhere.
    pub(super) fn learned(
        &self,
        prefix: IpNet,
        route: RouteAttributesRef<'_>,
        source: SourcePeer,
        seed: &DigestSeed,
    ) -> Result<Exported, Suppressed> {
        let family = family_of(prefix);
        self.gate_learned(family, route.set, source.kind)?;
        let outgoing = self.next_hop_of_learned(family, &route.next_hop, source.kind)?;
        let reflected = source.kind != PeerKind::External && !self.is_external();
        let edits = self.before_policies(&route.set, reflected.then_some(source.identifier));
        let leaving = Leaving {
            prefix,
            set: route.set,
            edits,
            outgoing,
            seen: &route.next_hop,
            prepend: 0,
        };
        self.finish(leaving, seed)
    }

    /// What is advertised to the group for a route that this node originates.
    pub(super) fn originated(
        &self,
        originated: &Originated,
        seed: &DigestSeed,
    ) -> Result<Exported, Suppressed> {
        let prefix = originated.prefix;
        let family = family_of(prefix);
        if self.codec.family(family).is_none() {
            return Err(Suppressed::FamilyNotNegotiated);
        }
        let offers = originated.offers.iter();
        let offers = offers.filter(|o| self.advertisements.contains(&o.advertisement));
        let news = offers
            .clone()
            .filter(|o| !(o.of_services && self.knows_services));
        let (attributes, prepend) = merge(news).ok_or_else(|| match offers.clone().next() {
            Some(_) => Suppressed::KnownToNode,
            None => Suppressed::NotOffered,
        })?;
        let outgoing = self.next_hop_self(family)?;
        let next_hop = outgoing.next_hop;
        let set = AttributeSet::from_attributes(&attributes).map_err(|e| self.too_large(e))?;
        let leaving = Leaving {
            prefix,
            set: set.as_set_ref(),
            edits: Edits::new(),
            outgoing,
            seen: &next_hop,
            prepend,
        };
        self.finish(leaving, seed)
    }

    /// The rules for which peers may be sent a learned route at all.
    fn gate_learned(
        &self,
        family: Family,
        set: AttributeSetRef<'_>,
        source: PeerKind,
    ) -> Result<(), Suppressed> {
        if self.codec.family(family).is_none() {
            return Err(Suppressed::FamilyNotNegotiated);
        }
        match (source, self.kind) {
            // RFC 4456 section 6: from a client to all, from a non-client to the clients.
            (PeerKind::ReflectorClient, PeerKind::Internal | PeerKind::ReflectorClient)
            | (PeerKind::Internal, PeerKind::ReflectorClient) => {}
            // RFC 4271 9.2: routes of internal peers are not passed on to internal peers.
            (PeerKind::Internal, PeerKind::Internal) => return Err(Suppressed::NotReflected),
            (PeerKind::External, _) | (_, PeerKind::External) => {
                if !self.transit {
                    return Err(Suppressed::NoTransit);
                }
            }
        }
        // Most routes carry none of the communities that forbid something.
        if set.has_reserved_community() {
            self.gate_communities(family, set)?;
        }
        // RFC 9234 section 5, egress 2.
        let upwards = matches!(
            self.peer_role,
            Some(Role::Provider | Role::Peer | Role::RouteServer)
        );
        if upwards && set.only_to_customer().is_some() {
            return Err(Suppressed::OnlyToCustomer);
        }
        Ok(())
    }

    /// The rules of the well-known communities that restrict a learned route.
    fn gate_communities(&self, family: Family, set: AttributeSetRef<'_>) -> Result<(), Suppressed> {
        let external = self.is_external();
        // RFC 1997. An originated route is not concerned: it carries these communities for its receivers.
        for (community, only_external, reason) in [
            (Community::NO_ADVERTISE, false, Suppressed::NoAdvertise),
            (Community::NO_EXPORT, true, Suppressed::NoExport),
            (
                Community::NO_EXPORT_SUBCONFED,
                true,
                Suppressed::NoExportSubconfed,
            ),
        ] {
            if (external || !only_external) && set.has_community(community) {
                return Err(reason);
            }
        }
        // RFC 9494 section 4.3.
        if set.has_community(Community::LLGR_STALE) && !self.long_lived.contains(&family) {
            return Err(Suppressed::LongLivedStale);
        }
        Ok(())
    }

    /// Runs the export policies and puts in what depends on the peer.
    fn finish(&self, leaving: Leaving<'_>, seed: &DigestSeed) -> Result<Exported, Suppressed> {
        let Leaving {
            prefix,
            mut set,
            mut edits,
            outgoing,
            seen,
            prepend,
        } = leaving;
        let (before, changed);
        if !self.export.is_empty() {
            if !edits.is_empty() {
                before = set.edit(&edits).map_err(|e| self.too_large(e))?;
                set = before.as_set_ref();
                edits = Edits::new();
            }
            match self
                .export
                .evaluate(prefix, &set.parse(), seen, self.local_asn)
            {
                Verdict::Rejected(rule) => return Err(Suppressed::Policy(rule)),
                Verdict::Accepted(accepted) => {
                    if let Some(attributes) = accepted.changed {
                        changed = AttributeSet::from_attributes(&attributes)
                            .map_err(|e| self.too_large(e))?;
                        set = changed.as_set_ref();
                    }
                }
            }
        }
        self.after_policies(set, prepend, &mut edits);
        edits.sort_unstable_by_key(Edit::code);
        let set = set.edit(&edits).map_err(|e| self.too_large(e))?;
        let Outgoing {
            next_hop,
            third_party,
        } = outgoing;
        self.check_size(family_of(prefix), &set, next_hop)?;
        let hash = seed.hash(set.as_bytes(), &next_hop);
        Ok(Exported {
            digest: Digest::new(hash).unwrap_or(Digest::MIN),
            set,
            next_hop,
            third_party,
        })
    }

    /// RFC 4271 9.2, RFC 8654 section 4: what fits into no message is not advertised.
    fn check_size(
        &self,
        family: Family,
        set: &AttributeSet,
        next_hop: NextHop,
    ) -> Result<(), Suppressed> {
        /// More than header, MP_REACH_NLRI with the longest next hop, NEXT_HOP and one prefix take.
        const AROUND: usize = 128;
        // AS4_PATH repeats at most what is there already.
        if set.as_bytes().len() * 2 + AROUND <= self.codec.max_message() {
            return Ok(());
        }
        let mut encoder = UpdateEncoder::new(self.codec);
        let fits = if family == Family::IPV4_UNICAST {
            let nlri = Nlri::new(Ipv4Net::default());
            encoder.reach(set, next_hop, [nlri], |_| {})
        } else {
            let nlri = Nlri::new(Ipv6Net::default());
            encoder.reach(set, next_hop, [nlri], |_| {})
        };
        fits.map_err(|error| match error {
            EncodeError::TooLarge { max, .. } => Suppressed::TooLarge(max),
            EncodeError::Attribute(too_long) => self.too_large(too_long),
            EncodeError::NextHop { .. } => Suppressed::NextHopOfOtherFamily,
            EncodeError::Family { .. } => Suppressed::FamilyNotNegotiated,
        })
    }

    /// An attribute that no message can hold fits into none to this peer.
    const fn too_large(&self, _: AttributeTooLong) -> Suppressed {
        Suppressed::TooLarge(self.codec.max_message())
    }
}

/// The merged offers that apply to a peer: see [`Originated`]. `None` if there is none.
fn merge<'a>(offers: impl Iterator<Item = &'a Offer>) -> Option<(PathAttributes, u8)> {
    let mut attributes = PathAttributes {
        origin: Some(Origin::Igp),
        ..PathAttributes::default()
    };
    let mut most = None;
    for offer in offers {
        let prepend = most.get_or_insert(0);
        *prepend = offer.prepend.max(*prepend);
        unite(&mut attributes.communities, &offer.communities);
        unite(&mut attributes.large_communities, &offer.large_communities);
        unite(
            &mut attributes.extended_communities,
            &offer.extended_communities,
        );
        attributes.local_pref = attributes.local_pref.max(offer.local_preference);
        attributes.med = match (attributes.med, offer.med) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }
    Some((attributes, most?))
}

/// The family of a prefix.
pub(super) const fn family_of(prefix: IpNet) -> Family {
    match prefix {
        IpNet::V4(_) => Family::IPV4_UNICAST,
        IpNet::V6(_) => Family::IPV6_UNICAST,
    }
}
