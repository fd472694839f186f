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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::types::Family;
    use crate::wire::{PeerKind, WireFault};

    #[test]
    fn rfc_4271_6_1_a_body_too_short_for_its_kind_is_a_bad_length_and_says_which() {
        type Decode = fn(&Bytes) -> Option<WireError>;
        let kinds: [(MessageKind, usize, Decode); 4] = [
            (MessageKind::Open, 29, |body| Open::decode(body).err()),
            (MessageKind::Notification, 21, |body| {
                Notification::decode(body).err()
            }),
            (MessageKind::RouteRefresh, 23, |body| {
                RouteRefresh::decode(body).err()
            }),
            (MessageKind::RouteRefresh, 23, |body| {
                RouteRefresh::decode_plain(body).err()
            }),
        ];
        for (kind, min, decode) in kinds {
            assert_eq!(kind.min_length(), min);
            for length in HEADER..min {
                let refused = decode(&vec![0; length - HEADER].into()).unwrap();
                let name = kind.name();
                assert_eq!(
                    refused.to_string(),
                    format!("message header: length {length} of {name}; expected {min} to 4096")
                );
                let length = u16::try_from(length).unwrap().to_be_bytes();
                let told =
                    Notification::with_data(NotificationCode::BAD_MESSAGE_LENGTH, length.to_vec());
                assert_eq!(refused.notification, told);
            }
            let enough = decode(&vec![0; min - HEADER].into()).map(|error| error.reason);
            let short = matches!(enough, Some(WireFault::MessageLength { .. }));
            assert!(!short, "{enough:?}");
        }
    }

    #[test]
    fn rfc_2918_3_without_enhanced_refresh_every_message_is_a_request() {
        for (octets, family) in [
            (&[0, 1, 0, 1][..], Family::IPV4_UNICAST),
            (&[0, 2, 1, 1], Family::IPV6_UNICAST),
            (&[1, 2, 9, 3, 4, 5], Family::new(0x0102, 3)),
        ] {
            let read = RouteRefresh::decode_plain(&Bytes::from_static(octets));
            assert_eq!(read, Ok(RouteRefresh::request(family)));
        }
    }

    #[test]
    fn each_kind_of_message_has_the_type_and_name_of_its_rfc_and_is_read_as_itself() {
        let open = Open {
            asn: crate::types::Asn(1),
            hold_time: 90,
            identifier: crate::types::BgpIdentifier(1),
            capabilities: vec![],
        };
        let refresh = RouteRefresh::request(Family::IPV6_UNICAST);
        let notification = Notification::new(NotificationCode::BFD_DOWN);
        let update = Update {
            end_of_rib: Some(Family::IPV4_UNICAST),
            ..Update::default()
        };
        for (octet, name, octets, message) in [
            (1, "OPEN", open.encode(), Message::Open(open)),
            (
                2,
                "UPDATE",
                encode_message(MessageKind::Update, |out| out.put_u32(0)),
                Message::Update(update),
            ),
            (
                3,
                "NOTIFICATION",
                notification.encode(),
                Message::Notification(notification),
            ),
            (4, "KEEPALIVE", keepalive(), Message::Keepalive),
            (
                5,
                "ROUTE-REFRESH",
                refresh.encode(),
                Message::RouteRefresh(refresh),
            ),
        ] {
            let kind = message.kind();
            assert_eq!((kind.octet(), kind.name()), (octet, name));
            assert_eq!(MessageKind::from_octet(octet), Some(kind));
            assert_eq!(octets[..16], [0xff; 16]);
            assert_eq!(
                usize::from(u16::from_be_bytes([octets[16], octets[17]])),
                octets.len()
            );
            assert_eq!(octets[18], octet);
            let frame = Frame {
                kind,
                body: octets.slice(HEADER..),
            };
            let codec = UpdateCodec::plain(PeerKind::External);
            assert_eq!(Message::decode(&frame, &codec), Ok(message));
            // As it is quoted to a peer.
            assert_eq!(quote_message(kind, &frame.body), octets);
        }
        for octet in [0, 6, 255] {
            assert_eq!(MessageKind::from_octet(octet), None);
        }
    }
}
