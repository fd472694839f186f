//! A stream of octets through the framer and the decoder of every kind of message.

use bytes::BytesMut;

use super::Octets;
use super::update::codec;
use crate::wire::{Frame, Framer, MAX_MESSAGE, Message, Notification, Open, RouteRefresh};

/// The stream, cut anywhere, gives the same messages; what was decoded is written and read as the same; and no text made
/// of a peer's octets has a control character.
pub fn messages(data: &[u8]) {
    let mut octets = Octets(data);
    let (choice, piece) = (octets.octet(), usize::from(octets.octet()));
    let mut framer = Framer::new();
    if choice & 0x80 != 0 {
        framer.allow_extended();
    }
    let stream = octets.rest();
    let (frames, error) = cut(&framer, stream, stream.len());
    let (again, same_error) = cut(&framer, stream, piece);
    assert_eq!(frames, again, "read {piece} octets at a time");
    assert_eq!(error, same_error, "read {piece} octets at a time");
    let codec = codec(choice & 0x7f);
    for frame in &frames {
        match Message::decode(frame, &codec) {
            Ok(Message::Open(open)) => check_open(&open),
            Ok(Message::Notification(notification)) => check_notification(&notification),
            Ok(Message::RouteRefresh(refresh)) => {
                let again = RouteRefresh::decode(&body(&refresh.encode()));
                assert_eq!(again, Ok(refresh));
            }
            Ok(Message::Update(update)) => {
                update
                    .faults
                    .iter()
                    .for_each(|fault| printable(&fault.to_string()));
            }
            Ok(Message::Keepalive) => {}
            Err(error) => {
                printable(&error.to_string());
                check_notification(&error.notification);
            }
        }
    }
}

/// The frames of a stream that arrives in pieces of so many octets, and the text of the error that ended it.
fn cut(framer: &Framer, stream: &[u8], piece: usize) -> (Vec<Frame>, Option<String>) {
    let mut buffer = BytesMut::new();
    let mut frames = Vec::new();
    for piece in stream.chunks(piece.max(1)) {
        buffer.extend_from_slice(piece);
        loop {
            match framer.next(&mut buffer) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => {
                    printable(&error.to_string());
                    return (frames, Some(error.to_string()));
                }
            }
        }
    }
    (frames, None)
}

/// The body of a message that was written here.
fn body(message: &[u8]) -> bytes::Bytes {
    let (mut frames, error) = cut(&Framer::new(), message, message.len());
    assert_eq!((frames.len(), error), (1, None), "{message:?}");
    frames.remove(0).body
}

fn check_open(open: &Open) {
    let again = Open::decode(&body(&open.encode()));
    assert_eq!(again.as_ref(), Ok(open));
}

fn check_notification(notification: &Notification) {
    printable(&notification.to_string());
    let written = notification.encode();
    if written.len() <= MAX_MESSAGE {
        assert_eq!(
            Notification::decode(&body(&written)).as_ref(),
            Ok(notification)
        );
    }
}

fn printable(text: &str) {
    assert!(
        !text.chars().any(char::is_control),
        "a control character: {text:?}"
    );
}
