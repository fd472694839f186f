//! Dialling a peer.

use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::os::fd::AsFd;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpSocket, TcpStream};

use super::{KeyError, PeerSettings, options};

/// Connects to the peer. Cancelled by dropping it.
pub(super) async fn dial(settings: PeerSettings) -> io::Result<TcpStream> {
    let remote = settings.remote_socket();
    let socket = Socket::new(
        Domain::for_address(remote),
        Type::STREAM.nonblocking(),
        Some(Protocol::TCP),
    )?;
    options::prepare(&socket, &settings)?;
    options::limit_handshake(&socket, true)?;
    if let Some(password) = &settings.password {
        let net = options::host(remote.ip());
        // Not without it: an unsigned connection would be anybody's.
        options::set_md5(socket.as_fd(), net, Some(password))
            .map_err(|error| io::Error::other(KeyError::new(net, 0, error)))?;
    }
    if let Some(device) = &settings.session.transport.device {
        socket.bind_device(Some(device.as_bytes()))?;
    }
    if let Some(local) = settings.session.transport.local {
        socket.bind(&source(local, &settings).into())?;
    }
    let stream = TcpSocket::from_std_stream(socket.into())
        .connect(remote)
        .await?;
    Ok(stream)
}

/// The address to dial from: any port of `local`, in the peer's scope if it is link-local.
fn source(local: IpAddr, settings: &PeerSettings) -> SocketAddr {
    match local {
        IpAddr::V6(address) if address.is_unicast_link_local() => {
            let scope = settings.scope.map_or(0, |scope| scope.0);
            SocketAddrV6::new(address, 0, 0, scope).into()
        }
        address => (address, 0).into(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::fsm::{Config, RemoteAsn};
    use crate::session::Scope;
    use crate::types::{Asn, BgpIdentifier};

    #[test]
    fn a_link_local_source_is_bound_in_the_peers_scope_and_no_other_source_is() {
        let config = Config::new(Asn(1), BgpIdentifier(1), RemoteAsn::Any, 1);
        let mut settings = PeerSettings::new("fe80::2".parse().unwrap(), config);
        settings.scope = Some(Scope(7));
        for (local, expected) in [
            ("fe80::1", "[fe80::1%7]:0"),
            ("2001:db8::1", "[2001:db8::1]:0"),
            ("192.0.2.1", "192.0.2.1:0"),
        ] {
            let source = source(local.parse().unwrap(), &settings);
            assert_eq!(source.to_string(), expected);
        }
    }
}
