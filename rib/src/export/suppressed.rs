//! Why a route is not advertised to a peer: the texts of `explain` and `routes advertised`.

use std::fmt;

use crate::policy::RuleRef;

/// Why a route is not advertised to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Suppressed {
    /// Nothing is advertised before the start gate opens.
    GateClosed,
    /// There is no usable route to the prefix.
    NoRoute,
    /// The session did not negotiate the family.
    FamilyNotNegotiated,
    /// No Advertisement that offers the prefix selects the peer.
    NotOffered,
    /// A Service, and the peer is a node of the cluster, which knows it.
    KnownToNode,
    /// The route was learned, and this node gives no transit to the peer.
    NoTransit,
    /// Learned from an internal peer, for an internal peer, and neither is a client (RFC 4456 section 6).
    NotReflected,
    /// The route came from this very peer.
    SourcePeer,
    /// The peer itself is the next hop (RFC 4271 section 5.1.3).
    PeerIsNextHop,
    /// NO_ADVERTISE (RFC 1997).
    NoAdvertise,
    /// NO_EXPORT, and the peer is external (RFC 1997).
    NoExport,
    /// NO_EXPORT_SUBCONFED, and the peer is external (RFC 1997).
    NoExportSubconfed,
    /// Only to Customer is set, and the peer is no customer (RFC 9234 section 5).
    OnlyToCustomer,
    /// Long-lived stale, and the peer does not know what that is (RFC 9494 section 4.3).
    LongLivedStale,
    /// We have no address of the family that the peer could use as next hop.
    NoNextHop,
    /// The next hop that must be passed on is of the other family, and the peer did not negotiate that (RFC 8950).
    NextHopOfOtherFamily,
    /// A rule of the peer's export policies rejected it.
    Policy(RuleRef),
    /// Its attributes and one prefix do not fit into a message of so many octets, the longest that this peer takes (RFC 4271
    /// section 9.2, RFC 8654 section 4). It is withdrawn if an earlier version of it was advertised.
    TooLarge(usize),
}

impl fmt::Display for Suppressed {
    /// A clause to follow "not advertised: ". [`Suppressed::Policy`] has the rule's number; the caller, which knows the
    /// peer's policies, prints its name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::GateClosed => "the start gate is closed until all caches are synced",
            Self::NoRoute => "there is no usable route to the prefix",
            Self::FamilyNotNegotiated => "the session did not negotiate the address family",
            Self::NotOffered => "no Advertisement that offers the prefix selects the peer",
            Self::KnownToNode => {
                "an address of a Service, which nodes of the mesh know from the cluster's state"
            }
            Self::NoTransit => "learned routes are not passed on to this peer (transit is off)",
            Self::NotReflected => {
                "learned from an internal peer, and neither it nor this peer is a reflector client"
            }
            Self::SourcePeer => "the best route came from this peer",
            Self::PeerIsNextHop => "the peer itself is the route's next hop",
            Self::NoAdvertise => "the route carries the community no-advertise",
            Self::NoExport => "the route carries the community no-export, and the peer is external",
            Self::NoExportSubconfed => {
                "the route carries the community no-export-subconfed, and the peer is external"
            }
            Self::OnlyToCustomer => {
                "the route carries Only to Customer, and the peer is no customer"
            }
            Self::LongLivedStale => {
                "the route is stale, and the peer did not negotiate long-lived graceful restart"
            }
            Self::NoNextHop => "this node has no address of the family to be the next hop",
            Self::NextHopOfOtherFamily => {
                "the next hop is of the other address family, and the session did not negotiate \
                 extended next hop encoding"
            }
            Self::TooLarge(max) => {
                return write!(
                    f,
                    "its attributes do not fit into a message of {max} octets, the longest that the peer takes"
                );
            }
            Self::Policy(rule) => return write!(f, "rejected by export policy {rule}"),
        })
    }
}
