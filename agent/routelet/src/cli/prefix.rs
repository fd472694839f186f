//! Prefixes as people type them.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

/// A prefix from the command line. An address is its host prefix; host bits are cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PrefixArg(pub(super) IpNet);

/// Text that is no prefix.
#[derive(Debug, thiserror::Error)]
#[error("expected a prefix such as 192.0.2.0/24 or 2001:db8::/32, or an address")]
pub(super) struct NotAPrefix;

impl FromStr for PrefixArg {
    type Err = NotAPrefix;

    fn from_str(text: &str) -> Result<Self, NotAPrefix> {
        let net = if text.contains('/') {
            text.parse::<IpNet>().map_err(|_| NotAPrefix)?
        } else {
            text.parse::<IpAddr>().map_err(|_| NotAPrefix)?.into()
        };
        Ok(Self(net.trunc()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn addresses_and_sloppy_prefixes_are_understood() {
        let read = |text: &str| text.parse::<PrefixArg>().unwrap().0.to_string();
        assert_eq!(read("192.0.2.7"), "192.0.2.7/32");
        assert_eq!(read("192.0.2.7/24"), "192.0.2.0/24");
        assert_eq!(read("2001:db8::1/32"), "2001:db8::/32");
        assert_eq!(read("::"), "::/128");
        for wrong in ["", "web", "192.0.2", "192.0.2.0/33", "/24"] {
            assert!(wrong.parse::<PrefixArg>().is_err(), "{wrong}");
        }
    }
}
