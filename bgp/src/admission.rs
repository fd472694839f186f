//! Which connections a listener accepts: the requirements of a peer or a listen range.

use ipnet::IpNet;

use crate::settings::{Password, Transport};

/// Addresses from which connections of peers that are not configured one by one are welcome, or not. Of ranges that
/// overlap, the one with the longest prefix counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenRange {
    /// The addresses.
    pub net: IpNet,
    /// Which connections it accepts.
    pub admit: Admit,
    /// What else it asks of a connection.
    pub transport: Transport,
}

/// Which connections a listen range accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admit {
    /// Any connection from its addresses.
    Anybody,
    /// Connections with this TCP MD5 signature.
    Signed(Password),
    /// None: its password is not available. A wider range does not accept what this one refuses.
    Nobody,
}
