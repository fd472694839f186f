//! Framing: a stream of octets into messages (RFC 4271 sections 4.1 and 6.1, RFC 8654).
//!
//! The reader fills a [`BytesMut`] from its socket and calls [`Framer::next`] until it says `None`. Bodies are slices of
//! that buffer: nothing is copied, and the buffer's memory is free again when the last body of it is dropped.

use bytes::{Bytes, BytesMut};

use super::message::MessageKind;
use super::{WireError, WireFault};

/// Octets of a message header: marker, length and type.
pub const HEADER: usize = 19;

/// The longest message without the capability of RFC 8654, header included.
pub const MAX_MESSAGE: usize = 4096;

/// The longest message with the capability of RFC 8654, header included.
pub const MAX_EXTENDED_MESSAGE: usize = 65535;

/// One message as it came: its kind, and its octets without the header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The type octet.
    pub kind: MessageKind,
    /// What follows the header. At least as long as the kind requires, at most as long as was negotiated.
    pub body: Bytes,
}

/// Splits a stream into messages.
#[derive(Clone, Debug, Default)]
pub struct Framer {
    extended: bool,
}

impl Framer {
    /// A framer for a new connection: messages up to 4,096 octets.
    pub const fn new() -> Self {
        Self { extended: false }
    }

    /// From now on the peer may send messages of up to 65,535 octets, but for OPEN and KEEPALIVE (RFC 8654 section 4).
    pub const fn allow_extended(&mut self) {
        self.extended = true;
    }

    /// Takes the next whole message off the front of `buffer`; `None` if more octets are needed first.
    ///
    /// Space for the rest of a partial message is reserved in `buffer`, so that a reader needs no size of its own.
    ///
    /// # Errors
    ///
    /// A header that RFC 4271 section 6.1 refuses, with the NOTIFICATION to send. The stream cannot be used after it.
    pub fn next(&self, buffer: &mut BytesMut) -> Result<Option<Frame>, WireError> {
        let Some(header) = buffer.first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let (kind, length) = self.check(header)?;
        if buffer.len() < length {
            buffer.reserve(length - buffer.len());
            return Ok(None);
        }
        let mut message = buffer.split_to(length);
        let body = message.split_off(HEADER).freeze();
        Ok(Some(Frame { kind, body }))
    }

    fn check(&self, header: &[u8; HEADER]) -> Result<(MessageKind, usize), WireFault> {
        let [marker @ .., high, low, octet] = header;
        if *marker != [0xff; 16] {
            return Err(WireFault::Marker);
        }
        let length = u16::from_be_bytes([*high, *low]);
        let bad_length = |kind, min, max| WireFault::MessageLength {
            kind,
            length,
            min,
            max,
        };
        let longest = if self.extended {
            MAX_EXTENDED_MESSAGE
        } else {
            MAX_MESSAGE
        };
        if usize::from(length) < HEADER || usize::from(length) > longest {
            return Err(bad_length(None, HEADER, longest));
        }
        let kind = MessageKind::from_octet(*octet).ok_or(WireFault::MessageType(*octet))?;
        let max = match kind {
            MessageKind::Keepalive => HEADER,
            // RFC 8654 section 4: OPEN stays as short as before.
            MessageKind::Open => MAX_MESSAGE,
            MessageKind::Update | MessageKind::Notification | MessageKind::RouteRefresh => longest,
        };
        if usize::from(length) < kind.min_length() || usize::from(length) > max {
            return Err(bad_length(Some(kind), kind.min_length(), max));
        }
        Ok((kind, usize::from(length)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::wire::message::keepalive;
    use crate::wire::{Notification, NotificationCode};

    fn header(length: u16, kind: u8) -> BytesMut {
        let mut octets = BytesMut::from(&[0xff; 16][..]);
        octets.extend_from_slice(&length.to_be_bytes());
        octets.extend_from_slice(&[kind]);
        octets
    }

    fn refused(framer: &Framer, mut octets: BytesMut) -> Notification {
        framer.next(&mut octets).unwrap_err().notification
    }

    #[test]
    fn messages_come_out_whole_however_the_stream_is_cut() {
        let mut stream = header(23, 2).to_vec();
        stream.extend_from_slice(&[0; 4]);
        stream.extend_from_slice(&keepalive());
        for cut in 1..stream.len() {
            let framer = Framer::new();
            let mut buffer = BytesMut::new();
            let mut kinds = Vec::new();
            for part in stream.chunks(cut) {
                buffer.extend_from_slice(part);
                while let Some(frame) = framer.next(&mut buffer).unwrap() {
                    kinds.push((frame.kind, frame.body.len()));
                }
            }
            assert_eq!(
                kinds,
                [(MessageKind::Update, 4), (MessageKind::Keepalive, 0)],
                "cut at {cut}"
            );
            assert!(buffer.is_empty());
        }
    }

    #[test]
    fn rfc_4271_6_1_a_marker_that_is_not_all_ones_is_not_synchronized() {
        for at in 0..16 {
            let mut octets = header(19, 4);
            octets[at] = 0xfe;
            assert_eq!(
                refused(&Framer::new(), octets),
                Notification::new(NotificationCode::CONNECTION_NOT_SYNCHRONIZED)
            );
        }
    }

    #[test]
    fn rfc_4271_6_1_a_length_out_of_range_is_answered_with_that_length() {
        for (length, kind) in [
            (0, 4),
            (18, 4),
            (20, 4),
            (28, 1),
            (22, 2),
            (20, 3),
            (22, 5),
            (4097, 1),
            (4097, 2),
            (4097, 3),
            (4097, 5),
            (65535, 2),
        ] {
            assert_eq!(
                refused(&Framer::new(), header(length, kind)),
                Notification::with_data(
                    NotificationCode::BAD_MESSAGE_LENGTH,
                    length.to_be_bytes().to_vec()
                ),
                "length {length} of type {kind}"
            );
        }
    }

    #[test]
    fn rfc_4271_6_1_an_unassigned_type_is_answered_with_that_type() {
        for kind in [0, 6, 255] {
            assert_eq!(
                refused(&Framer::new(), header(19, kind)),
                Notification::with_data(NotificationCode::BAD_MESSAGE_TYPE, vec![kind])
            );
        }
    }

    #[test]
    fn rfc_8654_4_long_messages_pass_once_allowed_but_for_open_and_keepalive() {
        let mut framer = Framer::new();
        framer.allow_extended();
        for kind in [2, 3, 5] {
            let mut octets = header(65535, kind);
            assert_eq!(framer.next(&mut octets.clone()), Ok(None));
            octets.resize(65535, 0);
            assert_eq!(framer.next(&mut octets).unwrap().unwrap().body.len(), 65516);
        }
        for (length, kind) in [(4097, 1), (20, 4)] {
            assert_eq!(
                refused(&framer, header(length, kind)).code,
                NotificationCode::BAD_MESSAGE_LENGTH
            );
        }
    }

    #[test]
    fn room_is_made_for_the_rest_of_a_message_and_no_more() {
        let mut buffer = header(4096, 2);
        assert_eq!(Framer::new().next(&mut buffer), Ok(None));
        assert!((4096..4096 + HEADER).contains(&buffer.capacity()));
    }

    #[test]
    fn a_length_is_refused_in_words_with_what_its_kind_may_have() {
        for (length, kind, words) in [
            (18, 2, "length 18 of a message; expected 19 to 4096"),
            (4097, 2, "length 4097 of a message; expected 19 to 4096"),
            // No message of any type has such a length: the type does not matter.
            (18, 99, "length 18 of a message; expected 19 to 4096"),
            (4097, 0, "length 4097 of a message; expected 19 to 4096"),
            (28, 1, "length 28 of OPEN; expected 29 to 4096"),
            (22, 2, "length 22 of UPDATE; expected 23 to 4096"),
            (20, 3, "length 20 of NOTIFICATION; expected 21 to 4096"),
            (20, 4, "length 20 of KEEPALIVE; expected 19 to 19"),
            (22, 5, "length 22 of ROUTE-REFRESH; expected 23 to 4096"),
        ] {
            let refused = Framer::new().next(&mut header(length, kind)).unwrap_err();
            assert_eq!(refused.to_string(), format!("message header: {words}"));
        }
        let mut framer = Framer::new();
        framer.allow_extended();
        for (length, kind, words) in [
            (18, 2, "length 18 of a message; expected 19 to 65535"),
            (22, 2, "length 22 of UPDATE; expected 23 to 65535"),
            (4097, 1, "length 4097 of OPEN; expected 29 to 4096"),
        ] {
            let refused = framer.next(&mut header(length, kind)).unwrap_err();
            assert_eq!(refused.to_string(), format!("message header: {words}"));
        }
    }

    #[test]
    fn the_shortest_and_the_longest_message_of_each_kind_pass() {
        for (kind, shortest, longest) in [
            (1, 29, 4096),
            (2, 23, 4096),
            (3, 21, 4096),
            (4, 19, 19),
            (5, 23, 4096),
        ] {
            for length in [shortest, longest] {
                let mut octets = header(length, kind);
                octets.resize(length.into(), 7);
                let frame = Framer::new().next(&mut octets).unwrap().unwrap();
                assert_eq!(frame.kind.octet(), kind);
                assert_eq!(frame.body, vec![7; usize::from(length) - HEADER]);
            }
        }
    }
}
