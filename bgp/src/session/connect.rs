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
    if let Some(device) = &settings.device {
        socket.bind_device(Some(device.as_bytes()))?;
    }
    if let Some(local) = settings.local {
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
