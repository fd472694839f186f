//! A BGP speaker made of bytes, for input that no daemon would send: it opens a TCP session from inside a namespace,
//! can complete a handshake with chosen capabilities, sends whatever it is given, and reads whole messages.
//!
//! It knows only the header of a message (RFC 4271 4.1) and shares no code with the subject. How messages are made of
//! octets, right and wrong ones, is in [`encode`].

pub mod encode;

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use socket2::{Domain, Protocol, Socket, Type};

use crate::netns::Namespace;
pub use encode::{message, open};

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

/// See [`OPEN`].
pub const ROUTE_REFRESH: u8 = 5;

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
    /// The other side closed the connection, or reset it.
    Closed,
    /// Nothing whole.
    Nothing,
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// By a NOTIFICATION: error code, subcode, data.
    Notification(u8, u8, Vec<u8>),
    /// Without one: closed or reset.
    Closed,
    /// Not at all.
    Open,
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
        Self::dial(namespace, None, address)
    }

    /// As [`RawPeer::connect`], from one of several addresses of the namespace.
    ///
    /// # Errors
    /// As [`RawPeer::connect`]; or the namespace has no such address.
    pub fn connect_from(namespace: &Namespace, source: &str, address: &str) -> Result<Self> {
        let source: IpAddr = source.parse().context("an address to connect from")?;
        Self::dial(namespace, Some(source), address)
    }

    fn dial(namespace: &Namespace, source: Option<IpAddr>, address: &str) -> Result<Self> {
        let ip: IpAddr = address.parse().context("an address to connect to")?;
        let target = SocketAddr::from((ip, PORT));
        let connect = || -> std::io::Result<TcpStream> {
            let socket = Socket::new(
                Domain::for_address(target),
                Type::STREAM,
                Some(Protocol::TCP),
            )?;
            if let Some(source) = source {
                socket.bind(&SocketAddr::from((source, 0)).into())?;
            }
            socket.connect_timeout(&target.into(), PATIENCE)?;
            Ok(socket.into())
        };
        let stream = namespace
            .enter(connect)?
            .with_context(|| format!("{target} from {}", namespace.label()))?;
        stream.set_nodelay(true)?;
        // So that a subject that reads nothing fails the test instead of holding it.
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream })
    }

    /// Exchanges OPENs and KEEPALIVEs and returns the other side's OPEN. `capabilities` are encoded ones, each with
    /// code and length.
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

    /// How the other side ends the connection; messages other than NOTIFICATIONs are passed over.
    ///
    /// # Errors
    /// Something comes that is no message, or a NOTIFICATION without code and subcode.
    pub fn ending(&mut self, deadline: Duration) -> Result<Ending> {
        let until = Instant::now() + deadline;
        let mut last = None;
        loop {
            match self.receive(until.saturating_duration_since(Instant::now()))? {
                Received::Message(message) if message.kind == NOTIFICATION => {
                    let (code, data) = message
                        .body
                        .split_at_checked(2)
                        .context("a NOTIFICATION without code and subcode")?;
                    last = Some(Ending::Notification(code[0], code[1], data.to_vec()));
                }
                Received::Message(_) => {}
                Received::Closed => return Ok(last.unwrap_or(Ending::Closed)),
                // What was said counts, also where the other side leaves it to us to close.
                Received::Nothing => return Ok(last.unwrap_or(Ending::Open)),
            }
        }
    }

    /// The next message, which must be of this kind.
    ///
    /// # Errors
    /// Another message comes, none comes within 10 s, or the connection ends.
    pub fn expect(&mut self, kind: u8) -> Result<Message> {
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
