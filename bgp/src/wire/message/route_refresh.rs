//! ROUTE-REFRESH (RFC 2918), with the demarcation of enhanced route refresh (RFC 7313).

use bytes::{BufMut, Bytes};

use super::{MessageKind, encode_message, quote_message};
use crate::types::Family;
use crate::wire::{WireError, WireFault};

/// A ROUTE-REFRESH message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RouteRefresh {
    /// The family to send again, or whose refresh begins or ends.
    pub family: Family,
    /// What it says about the family.
    pub subtype: RouteRefreshSubtype,
}

/// The subtype octet (RFC 7313 section 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RouteRefreshSubtype {
    /// Please send all routes of the family again.
    Request,
    /// Beginning of route refresh.
    Begin,
    /// End of route refresh.
    End,
    /// Any other value: such a message is ignored.
    Unknown(u8),
}

impl From<u8> for RouteRefreshSubtype {
    fn from(octet: u8) -> Self {
        match octet {
            0 => Self::Request,
            1 => Self::Begin,
            2 => Self::End,
            other => Self::Unknown(other),
        }
    }
}

impl From<RouteRefreshSubtype> for u8 {
    fn from(subtype: RouteRefreshSubtype) -> Self {
        match subtype {
            RouteRefreshSubtype::Request => 0,
            RouteRefreshSubtype::Begin => 1,
            RouteRefreshSubtype::End => 2,
            RouteRefreshSubtype::Unknown(other) => other,
        }
    }
}

impl RouteRefresh {
    /// A request to send all routes of the family again.
    pub const fn request(family: Family) -> Self {
        Self {
            family,
            subtype: RouteRefreshSubtype::Request,
        }
    }

    /// Reads the body of a ROUTE-REFRESH. What follows the four octets of a request (filters of RFC 5291, which this
    /// speaker does not announce) is ignored.
    ///
    /// # Errors
    ///
    /// ROUTE-REFRESH Message Error/Invalid Message Length with the whole message, if a begin or an end is not of
    /// four octets (RFC 7313 section 5); Bad Message Length if the body is under four.
    pub fn decode(body: &Bytes) -> Result<Self, WireError> {
        let [afi_high, afi_low, subtype, safi, ref rest @ ..] = body[..] else {
            return Err(WireFault::too_short(MessageKind::RouteRefresh, body.len()).into());
        };
        let subtype = RouteRefreshSubtype::from(subtype);
        let demarcation = matches!(
            subtype,
            RouteRefreshSubtype::Begin | RouteRefreshSubtype::End
        );
        if demarcation && !rest.is_empty() {
            return Err(WireFault::RouteRefreshLength {
                message: quote_message(MessageKind::RouteRefresh, body),
            }
            .into());
        }
        Ok(Self {
            family: Family::new(u16::from_be_bytes([afi_high, afi_low]), safi),
            subtype,
        })
    }

    /// Reads the body of a ROUTE-REFRESH from a peer without enhanced route refresh: in the place of the subtype it has the
    /// octet that RFC 2918 section 3 reserves, which is ignored. So every message is a request.
    ///
    /// # Errors
    ///
    /// Bad Message Length if the body is under four octets.
    pub fn decode_plain(body: &Bytes) -> Result<Self, WireError> {
        match body[..] {
            [high, low, _reserved, safi, ..] => Ok(Self::request(Family::new(
                u16::from_be_bytes([high, low]),
                safi,
            ))),
            _ => Err(WireFault::too_short(MessageKind::RouteRefresh, body.len()).into()),
        }
    }

    /// The whole message.
    pub fn encode(&self) -> Bytes {
        encode_message(MessageKind::RouteRefresh, |out| {
            out.put_u16(self.family.afi.0);
            out.put_u8(self.subtype.into());
            out.put_u8(self.family.safi.0);
        })
    }
}
