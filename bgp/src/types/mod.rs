//! The words of the protocol: small `Copy` newtypes with `Display` and `FromStr` in the field's notation.

mod asn;
mod community;
mod extended_community;
mod family;
mod identifier;
mod next_hop;
mod nlri;
mod peer_text;
pub(crate) mod text;

pub use asn::{Asn, ParseAsnError};
pub use community::{Community, LargeCommunity, ParseCommunityError};
pub use extended_community::{ExtendedCommunity, Ipv6ExtendedCommunity};
pub use family::{Afi, Family, ParseFamilyError, Safi};
pub use identifier::BgpIdentifier;
pub use next_hop::{NextHop, ParseNextHopError};
pub use nlri::{Nlri, NlriList, PathId, RoutePrefix};
pub use peer_text::{PeerText, Printable, is_unprintable};
