//! Which connections a listener accepts: the requirements of a peer or a listen range.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::settings::{Password, Ttl};

/// Addresses from which connections of peers that are not configured one by one are welcome, or not. Of ranges that
/// overlap, the one with the longest prefix counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenRange {
    /// The addresses.
    pub net: IpNet,
    /// Which connections it accepts.
    pub admit: Admit,
    /// What else it asks of a connection.
    pub checks: Checks,
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

/// What a peer or a listen range asks of connections, beside their password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checks {
    /// With [`Ttl::Security`], how far away the sender may be.
    pub ttl: Ttl,
    /// What was dialled; `None`: any address of ours.
    pub local: Option<IpAddr>,
    /// The interface by which it came in, by name, or the VRF or bridge above that; `None`: any.
    pub device: Option<String>,
}

impl Default for Checks {
    fn default() -> Self {
        Self {
            ttl: Ttl::System,
            local: None,
            device: None,
        }
    }
}
