//! A BGP speaker made of bytes, for input that no daemon would send: it opens a TCP session from inside a namespace,
//! can complete a handshake with chosen capabilities, sends whatever it is given, and reads whole messages.
//!
//! It knows only the header of a message (RFC 4271 4.1) and shares no code with the subject.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::netns::Namespace;

/// How long a connection, or a message of the handshake, may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The port of BGP.
const PORT: u16 = 179;

/// Type codes of messages.
pub const OPEN: u8 = 1;
/// See [`OPEN`].
pub const UPDATE: u8 = 2;
/// See [`OPEN`].
pub const NOTIFICATION: u8 = 3;
/// See [`OPEN`].
pub const KEEPALIVE: u8 = 4;

/// The capabilities of both unicast families (RFC 4760 section 8), for [`RawPeer::handshake`].
pub const BOTH_FAMILIES: [u8; 12] = [1, 4, 0, 1, 0, 1, 1, 4, 0, 2, 0, 1];

/// A message as it came: its type, and what follows the header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The type code.
    pub kind: u8,
    /// The octets after the header.
    pub body: Vec<u8>,
}

/// What came within a deadline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// A message.
    Message(Message),
    /// The other side closed the connection.
    Closed,
    /// Nothing whole.
    Nothing,
}

/// The connection.
#[derive(Debug)]
pub struct RawPeer {
    stream: TcpStream,
}

impl RawPeer {
    /// Connects from a namespace to port 179 of an address.
    ///
    /// # Errors
    /// No connection within 10 s.
    pub fn connect(namespace: &Namespace, address: &str) -> Result<Self> {
        let ip: IpAddr = address.parse().context("an address to connect to")?;
        let target = SocketAddr::from((ip, PORT));
        let stream = namespace
            .enter(|| TcpStream::connect_timeout(&target, PATIENCE))?
            .with_context(|| format!("{target} from {}", namespace.label()))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream })
    }

    /// Exchanges OPENs and KEEPALIVEs and returns the other side's OPEN. `capabilities` are encoded ones, each with code
    /// and length.
    ///
    /// # Errors
    /// The other side answers with anything else.
    pub fn handshake(
        &mut self,
        asn: u32,
        router_id: Ipv4Addr,
        hold_time: u16,
        capabilities: &[u8],
    ) -> Result<Message> {
        self.send(&message(
            OPEN,
            &open(asn, router_id, hold_time, capabilities)?,
        ))?;
        let theirs = self.expect(OPEN)?;
        self.send(&message(KEEPALIVE, &[]))?;
        self.expect(KEEPALIVE)?;
        Ok(theirs)
    }

    /// Sends octets as they are.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn send(&mut self, octets: &[u8]) -> Result<()> {
        self.stream.write_all(octets).context("sending octets")
    }

    /// The next message.
    ///
    /// # Errors
    /// The header's length is below 19, or the connection fails otherwise than by being closed or reset.
    pub fn receive(&mut self, deadline: Duration) -> Result<Received> {
        let until = Instant::now() + deadline;
        let Some(header) = self.read(19, until)? else {
            return Ok(self.why_nothing(until));
        };
        let length = usize::from(u16::from_be_bytes([header[16], header[17]]));
        ensure!(length >= 19, "a header with length {length}");
        match self.read(length - 19, until)? {
            Some(body) => Ok(Received::Message(Message {
                kind: header[18],
                body,
            })),
            None => Ok(self.why_nothing(until)),
        }
    }

    /// The next NOTIFICATION, as error code, subcode and data; messages before it are passed over.
    ///
    /// # Errors
    /// The connection is closed without one, or none comes within `deadline`.
    pub fn notification(&mut self, deadline: Duration) -> Result<(u8, u8, Vec<u8>)> {
        let until = Instant::now() + deadline;
        loop {
            match self.receive(until.saturating_duration_since(Instant::now()))? {
                Received::Message(message) if message.kind == NOTIFICATION => {
                    match message.body.split_at_checked(2) {
                        Some(([code, subcode], data)) => return Ok((*code, *subcode, data.into())),
                        _ => bail!("a NOTIFICATION without code and subcode"),
                    }
                }
                Received::Message(_) => {}
                other => bail!("no NOTIFICATION within {deadline:?}: {other:?}"),
            }
        }
    }

    fn expect(&mut self, kind: u8) -> Result<Message> {
        match self.receive(PATIENCE)? {
            Received::Message(message) if message.kind == kind => Ok(message),
            other => bail!("message type {kind} expected, got {other:?}"),
        }
    }

    fn why_nothing(&self, until: Instant) -> Received {
        if Instant::now() >= until {
            Received::Nothing
        } else {
            Received::Closed
        }
    }

    /// `count` octets; `None` if the connection closes or the time is over before they are there.
    fn read(&mut self, count: usize, until: Instant) -> Result<Option<Vec<u8>>> {
        let mut octets = vec![0; count];
        let mut filled = 0;
        while filled < count {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.stream.set_read_timeout(Some(left))?;
            match self.stream.read(&mut octets[filled..]) {
                Ok(0) => return Ok(None),
                Ok(more) => filled += more,
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => {}
                    ErrorKind::ConnectionReset => return Ok(None),
                    _ => return Err(error).context("receiving octets"),
                },
            }
        }
        Ok(Some(octets))
    }
}

/// A message with a right header.
pub fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    // Longer than the field can say is cut off there: such messages are made by hand.
    let length = u16::try_from(19 + body.len()).unwrap_or(u16::MAX);
    let mut octets = vec![0xff; 16];
    octets.extend(length.to_be_bytes());
    octets.push(kind);
    octets.extend(body);
    octets
}

/// The body of an OPEN with one parameter of capabilities, the four-octet AS number among them (RFC 6793).
///
/// # Errors
/// The capabilities have more than 247 octets.
pub fn open(asn: u32, router_id: Ipv4Addr, hold_time: u16, capabilities: &[u8]) -> Result<Vec<u8>> {
    let mut all = vec![65, 4];
    all.extend(asn.to_be_bytes());
    all.extend(capabilities);
    let length = u8::try_from(all.len()).ok().filter(|length| *length <= 253);
    let length = length.context("too many capabilities for one parameter")?;
    let two_octets = u16::try_from(asn).unwrap_or(23456);
    let mut body = vec![4];
    body.extend(two_octets.to_be_bytes());
    body.extend(hold_time.to_be_bytes());
    body.extend(router_id.octets());
    body.extend([length + 2, 2, length]);
    body.extend(all);
    Ok(body)
}
