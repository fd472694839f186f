//! The five messages (RFC 4271 section 4, RFC 2918).

mod notification;
mod notification_code;
mod open;
mod route_refresh;
mod update;

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};

pub use notification::Notification;
pub use notification_code::NotificationCode;
pub use open::Open;
pub use route_refresh::{RouteRefresh, RouteRefreshSubtype};
pub use update::{Reach, ReachList, UnreachList, Update};

use super::length::{MessageLength, TooLong};
use super::{Frame, HEADER, UpdateCodec, WireError, decode_update};

/// The type octet of a message header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageKind {
    /// OPEN.
    Open,
    /// UPDATE.
    Update,
    /// NOTIFICATION.
    Notification,
    /// KEEPALIVE.
    Keepalive,
    /// ROUTE-REFRESH (RFC 2918).
    RouteRefresh,
}

impl MessageKind {
    /// The kind with this type octet, if it is assigned.
    pub const fn from_octet(octet: u8) -> Option<Self> {
        Some(match octet {
            1 => Self::Open,
            2 => Self::Update,
            3 => Self::Notification,
            4 => Self::Keepalive,
            5 => Self::RouteRefresh,
            _ => return None,
        })
    }

    /// Its type octet.
    pub const fn octet(self) -> u8 {
        match self {
            Self::Open => 1,
            Self::Update => 2,
            Self::Notification => 3,
            Self::Keepalive => 4,
            Self::RouteRefresh => 5,
        }
    }

    /// Its name as the RFCs write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "OPEN",
            Self::Update => "UPDATE",
            Self::Notification => "NOTIFICATION",
            Self::Keepalive => "KEEPALIVE",
            Self::RouteRefresh => "ROUTE-REFRESH",
        }
    }

    /// The shortest message of this kind, header included (RFC 4271 section 6.1).
    pub const fn min_length(self) -> usize {
        match self {
            Self::Open => 29,
            Self::Update | Self::RouteRefresh => 23,
            Self::Notification => 21,
            Self::Keepalive => HEADER,
        }
    }
}

/// A whole message.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// OPEN.
    Open(Open),
    /// UPDATE.
    Update(Update),
    /// NOTIFICATION.
    Notification(Notification),
    /// KEEPALIVE.
    Keepalive,
    /// ROUTE-REFRESH.
    RouteRefresh(RouteRefresh),
}

impl Message {
    /// Reads the body of a frame.
    ///
    /// # Errors
    ///
    /// What is wrong with an OPEN, NOTIFICATION or ROUTE-REFRESH, with the NOTIFICATION to send. An UPDATE carries its
    /// faults inside.
    pub fn decode(frame: &Frame, codec: &UpdateCodec) -> Result<Self, WireError> {
        Ok(match frame.kind {
            MessageKind::Open => Self::Open(Open::decode(&frame.body)?),
            MessageKind::Update => Self::Update(decode_update(&frame.body, codec)),
            MessageKind::Notification => Self::Notification(Notification::decode(&frame.body)?),
            MessageKind::Keepalive => Self::Keepalive,
            MessageKind::RouteRefresh => Self::RouteRefresh(RouteRefresh::decode(&frame.body)?),
        })
    }

    /// Which kind of message it is.
    pub const fn kind(&self) -> MessageKind {
        match self {
            Self::Open(_) => MessageKind::Open,
            Self::Update(_) => MessageKind::Update,
            Self::Notification(_) => MessageKind::Notification,
            Self::Keepalive => MessageKind::Keepalive,
            Self::RouteRefresh(_) => MessageKind::RouteRefresh,
        }
    }
}

/// A KEEPALIVE, whole.
pub fn keepalive() -> Bytes {
    const KEEPALIVE: [u8; HEADER] = {
        assert!(HEADER == 19, "the length that is written here");
        let mut octets = [0xff; HEADER];
        octets[16] = 0;
        octets[17] = 19;
        octets[18] = MessageKind::Keepalive.octet();
        octets
    };
    Bytes::from_static(&KEEPALIVE)
}

/// Header and body of a message that every peer takes. It is cut to 4,096 octets: what is written is far shorter, or may
/// be cut, as the data of a NOTIFICATION.
pub(super) fn encode_message(kind: MessageKind, body: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut out = BytesMut::with_capacity(256);
    put_header(&mut out, kind);
    body(&mut out);
    let length = MessageLength::cut(out.len());
    out.truncate(length.octets());
    out[LENGTH].copy_from_slice(&length.to_be_bytes());
    out.freeze()
}

/// A message as it came, to be quoted in a NOTIFICATION. At most 65,535 octets, as the frame that `body` is of.
pub(super) fn quote_message(kind: MessageKind, body: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(HEADER + body.len());
    put_header(&mut out, kind);
    let length = u16::try_from(HEADER + body.len()).unwrap_or(u16::MAX);
    out[LENGTH].copy_from_slice(&length.to_be_bytes());
    out.put_slice(body);
    out.freeze()
}

/// Writes a header whose length is still to be set.
pub(super) fn put_header(out: &mut BytesMut, kind: MessageKind) {
    out.put_bytes(0xff, 16);
    out.put_u16(0);
    out.put_u8(kind.octet());
}

/// Where the length stands in a message.
const LENGTH: Range<usize> = 16..18;

/// Sets the length of the message that starts at `start` and ends where `out` ends.
///
/// # Errors
///
/// The message is longer than any can be.
pub(super) fn set_length(out: &mut BytesMut, start: usize) -> Result<(), TooLong> {
    let length = MessageLength::try_from(out.len() - start)?;
    out[start..][LENGTH].copy_from_slice(&length.to_be_bytes());
    Ok(())
}
