//! Whom a listener lets in: what a peer or a listen range asks of connections.

use ipnet::IpNet;

use crate::settings::{Password, Transport};

/// Addresses from which connections of peers that are not configured one by one are welcome, or not. Of ranges that
/// overlap, the one with the longest prefix counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenRange {
    /// The addresses.
    pub net: IpNet,
    /// Whom it lets in.
    pub admit: Admit,
    /// What else it asks of a connection.
    pub transport: Transport,
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
