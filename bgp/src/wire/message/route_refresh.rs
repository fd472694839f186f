//! ROUTE-REFRESH (RFC 2918), with the demarcation of enhanced route refresh (RFC 7313).

use crate::types::Family;

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
