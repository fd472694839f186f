//! The words of the protocol: small `Copy` newtypes with `Display` and `FromStr` in the field's notation.

mod asn;
mod community;
mod family;
mod identifier;
mod next_hop;
mod nlri;

pub use asn::{Asn, ParseAsnError};
pub use community::{
    Community, ExtendedCommunity, Ipv6ExtendedCommunity, LargeCommunity, ParseCommunityError,
};
pub use family::{Afi, Family, Safi};
pub use identifier::BgpIdentifier;
pub use next_hop::NextHop;
pub use nlri::{Nlri, NlriList, PathId, RoutePrefix};
