//! `--http`: where health and metrics are served.

use std::net::SocketAddr;
use std::str::FromStr;

/// An address or `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HttpArg(pub(super) Option<SocketAddr>);

#[derive(Debug, thiserror::Error)]
#[error(
    "expected an address and a port such as 127.0.0.1:7179, [::]:7179 or :7179 (all addresses), or \"off\""
)]
pub(super) struct NotAnAddress;

impl FromStr for HttpArg {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        if text == "off" {
            return Ok(Self(None));
        }
        let all = text.strip_prefix(':').map(|port| format!("[::]:{port}"));
        all.as_deref()
            .unwrap_or(text)
            .parse()
            .map(|address| Self(Some(address)))
            .map_err(|_| NotAnAddress)
    }
}
