//! Opening a session from a player's side.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use socket2::{Domain, Protocol, Socket, Type};

use super::encode::end_of_ribs;
use crate::eventually;
use crate::raw::encode::parameter;
use crate::raw::{KEEPALIVE, NOTIFICATION, OPEN, message, open};
use crate::speaker::Family;

/// How long a session may take to come up. The subject may still be starting, and some wait before their first try.
const PATIENCE: Duration = Duration::from_secs(45);
/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(10);
/// So much that a feed never waits for the other end between two turns of its loop. The kernel takes 4 MB at most.
const SEND_BUFFER: usize = 4 << 20;
/// So much that a speaker is never kept waiting by a receiver that looks every half millisecond.
const RECEIVE_BUFFER: usize = 1 << 20;

/// Who dials whom, and what it says of itself.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Its own address.
    pub source: IpAddr,
    /// The subject's.
    pub subject: IpAddr,
    /// Its AS.
    pub asn: u32,
    /// Its BGP identifier.
    pub id: Ipv4Addr,
    /// The hold time that it offers.
    pub hold_time: Duration,
    /// The families of the session.
    pub families: Vec<Family>,
}

/// Exchanges OPENs and KEEPALIVEs, and sends End-of-RIB unless `feeds`. Tried again for as long as the subject does not
/// let us in: it may listen before it knows its peers. To be called inside the caller's namespace.
pub(super) fn dial(caller: &Caller, feeds: bool) -> Result<TcpStream> {
    let what = format!("session of {} with {}", caller.source, caller.subject);
    eventually(PATIENCE, &what, || try_dial(caller, feeds))
}

fn try_dial(caller: &Caller, feeds: bool) -> Result<TcpStream> {
    let target = SocketAddr::from((caller.subject, 179));
    let socket = Socket::new(
        Domain::for_address(target),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.bind(&SocketAddr::from((caller.source, 0)).into())?;
    socket
        .connect_timeout(&target.into(), ANSWER)
        .context("connecting")?;
    socket.set_tcp_nodelay(true)?;
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(ANSWER))?;
    let capabilities: Vec<u8> = caller
        .families
        .iter()
        .flat_map(|&family| match family {
            Family::Ipv4 => parameter(1, &[0, 1, 0, 1]),
            Family::Ipv6 => parameter(1, &[0, 2, 0, 1]),
        })
        .collect();
    let hold_time = u16::try_from(caller.hold_time.as_secs()).context("a hold time")?;
    let hello = open(caller.asn, caller.id, hold_time, &capabilities)?;
    stream.write_all(&message(OPEN, &hello))?;
    expect(&mut stream, OPEN)?;
    stream.write_all(&message(KEEPALIVE, &[]))?;
    expect(&mut stream, KEEPALIVE)?;
    if !feeds {
        stream.write_all(&end_of_ribs(&caller.families))?;
    }
    stream.set_nonblocking(true)?;
    Ok(stream)
}

/// Reads one message and nothing beyond it.
fn expect(stream: &mut TcpStream, kind: u8) -> Result<()> {
    let mut header = [0; 19];
    stream.read_exact(&mut header).context("a header")?;
    let length = usize::from(u16::from_be_bytes([header[16], header[17]]));
    let mut body = vec![0; length.checked_sub(19).context("a header's length")?];
    stream.read_exact(&mut body).context("a message's body")?;
    if header[18] == NOTIFICATION {
        bail!("a NOTIFICATION: {body:?}");
    }
    ensure!(
        header[18] == kind,
        "message type {kind} expected, not {}",
        header[18]
    );
    Ok(())
}
