//! A stream of octets through the framer and the decoder of every kind of message.

#![no_main]

use bgp::wire::{Framer, Message, PeerKind, UpdateCodec};
use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut framer = Framer::new();
    framer.allow_extended();
    let mut buffer = BytesMut::from(data);
    while let Ok(Some(frame)) = framer.next(&mut buffer) {
        match Message::decode(&frame, &UpdateCodec::plain(PeerKind::External)) {
            Ok(Message::Open(open)) => drop(open.encode()),
            Ok(Message::Notification(notification)) => drop(notification.to_string()),
            Ok(Message::RouteRefresh(refresh)) => drop(refresh.encode()),
            Ok(Message::Update(_) | Message::Keepalive) => {}
            Err(error) => drop(error.to_string()),
        }
    }
});
