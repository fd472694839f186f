//! Whom a listener lets in: what a peer or a listen range asks of connections.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::settings::{Password, Ttl};

/// Addresses from which connections of peers that are not configured one by one are welcome, or not. Of ranges that
/// overlap, the one with the longest prefix counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenRange {
    /// The addresses.
    pub net: IpNet,
    /// Whom it lets in.
    pub admit: Admit,
    /// What else it asks of a connection.
    pub checks: Checks,
}

/// Whom a listen range lets in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admit {
    /// Anybody who comes from there.
    Anybody,
    /// Connections with this TCP MD5 signature.
    Signed(Password),
    /// Nobody: its password cannot be had. A wider range does not open what this one closes.
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
