//! A proxy by which clients get to a server: HTTP (CONNECT, RFC 9110 section 9.3.6) and SOCKS5 (RFC 1928) at one port.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::netns::Namespace;

/// The proxy. Its threads end with their connections.
#[derive(Debug)]
pub struct Proxy {
    connections: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// Starts a proxy at an address of a namespace; it gets to servers from there.
    ///
    /// # Errors
    /// The address cannot be bound there.
    pub fn start(namespace: &Namespace, at: SocketAddr) -> Result<Self> {
        let listener = namespace
            .enter(|| TcpListener::bind(at))?
            .with_context(|| format!("address {at}"))?;
        let connections = Arc::<Mutex<Vec<String>>>::default();
        let (seen, namespace) = (connections.clone(), namespace.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (seen, namespace) = (seen.clone(), namespace.clone());
                // A client that asks for something else is closed.
                std::thread::spawn(move || serve(client, &namespace, &seen));
            }
        });
        Ok(Self { connections })
    }

    /// The connections so far, such as `CONNECT 10.0.0.100:6443` or `SOCKS5 10.0.0.100:6443`.
    pub fn connections(&self) -> Vec<String> {
        let seen = self.connections.lock();
        seen.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn serve(mut client: TcpStream, namespace: &Namespace, seen: &Mutex<Vec<String>>) -> Result<()> {
    let mut first = [0];
    client.peek(&mut first)?;
    let (kind, to, done): (&str, SocketAddr, &[u8]) = match first {
        [5] => (
            "SOCKS5",
            socks5(&mut client)?,
            &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0],
        ),
        _ => ("CONNECT", connect(&mut client)?, b"HTTP/1.1 200 OK\r\n\r\n"),
    };
    let server = namespace.enter(|| TcpStream::connect(to))??;
    let mut all = seen.lock().unwrap_or_else(PoisonError::into_inner);
    all.push(format!("{kind} {to}"));
    drop(all);
    client.write_all(done)?;
    let (back, forth) = (server.try_clone()?, client.try_clone()?);
    std::thread::spawn(move || copy(back, forth));
    copy(client, server);
    Ok(())
}

/// Copies until one end closes; then the other is closed, too.
fn copy(mut from: TcpStream, mut to: TcpStream) {
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Both);
}

/// The destination of a request with the method CONNECT.
fn connect(client: &mut TcpStream) -> Result<SocketAddr> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut octet = [0];
        client.read_exact(&mut octet)?;
        head.extend(octet);
    }
    let head = String::from_utf8(head)?;
    let to = head
        .strip_prefix("CONNECT ")
        .and_then(|rest| rest.split(' ').next());
    Ok(to.ok_or_else(|| anyhow!("not CONNECT: {head}"))?.parse()?)
}

/// The destination of a SOCKS5 request, without authentication.
fn socks5(client: &mut TcpStream) -> Result<SocketAddr> {
    let mut greeting = [0; 2];
    client.read_exact(&mut greeting)?;
    client.read_exact(&mut vec![0; greeting[1].into()])?;
    client.write_all(&[5, 0])?;
    let mut request = [0; 4];
    client.read_exact(&mut request)?;
    ensure!(request[..3] == [5, 1, 0], "not a connection: {request:?}");
    let address = match request[3] {
        1 => {
            let mut octets = [0; 4];
            client.read_exact(&mut octets)?;
            std::net::IpAddr::from(octets)
        }
        other => bail!("address type {other} is not IPv4"),
    };
    let mut port = [0; 2];
    client.read_exact(&mut port)?;
    Ok(SocketAddr::new(address, u16::from_be_bytes(port)))
}
