//! Messages other than UPDATE on an Established session: their lengths and types (RFC 4271 section 6.1, RFC 8654), and
//! ROUTE-REFRESH (RFC 2918, RFC 5291, RFC 7313).

use interop_tests::raw::{KEEPALIVE, OPEN, ROUTE_REFRESH, message};

use crate::outcome::Answer::{Notification, Session};
use crate::outcome::{Answer, Message, quoted};

/// A message of so many octets in all, header included, whose body begins like this.
fn padded(kind: u8, body: &[u8], length: usize) -> Vec<u8> {
    let mut body = body.to_vec();
    body.resize(length - 19, 0);
    message(kind, &body)
}

/// A dynamic capability message (type 6) that adds a multiprotocol capability shorter than 4 octets.
pub fn dynamic_capability() -> Vec<u8> {
    message(6, &[0x80, 0, 0, 0, 1, 1, 2, 0, 1])
}

/// A beginning of route refresh that is too long.
fn long_begin(length: usize) -> Vec<u8> {
    padded(ROUTE_REFRESH, &[0, 1, 1, 1], length)
}

/// An end of route refresh that is too long.
fn long_end(length: usize) -> Vec<u8> {
    padded(ROUTE_REFRESH, &[0, 1, 2, 1], length)
}

/// A ROUTE-REFRESH as it is.
fn refresh(body: &[u8]) -> Vec<u8> {
    message(ROUTE_REFRESH, body)
}

/// What follows from a peer without enhanced route refresh: subtypes are an octet that RFC 2918 section 3 reserves, so
/// that none of their errors exists.
fn plain(answer: &Answer) -> Answer {
    match answer {
        Notification(7, ..) => Session,
        other => other.clone(),
    }
}

#[rustfmt::skip]
pub fn rows() -> Vec<Message> {
    [
        ("RFC 8654 4", "an OPEN of 4,097 octets", padded(OPEN, &[4], 4097), Notification(1, 2, vec![16, 1])),
        ("RFC 8654 4", "a KEEPALIVE of 4,097 octets", padded(KEEPALIVE, &[], 4097), Notification(1, 2, vec![16, 1])),
        ("RFC 4271 6.1", "a KEEPALIVE of 4,096 octets", padded(KEEPALIVE, &[], 4096), Notification(1, 2, vec![16, 0])),
        ("RFC 4271 6.1", "a dynamic capability (type 6) that is too short", dynamic_capability(), Notification(1, 3, vec![6])),
        ("RFC 4271 6.1", "an empty dynamic capability (type 6)", message(6, &[]), Notification(1, 3, vec![6])),
        ("RFC 4271 6.1", "a ROUTE-REFRESH of 22 octets", refresh(&[0, 1, 0]), Notification(1, 2, vec![0, 22])),
        ("RFC 2918 3", "a ROUTE-REFRESH of 24 octets", refresh(&[0, 1, 0, 1, 1]), Session),
        ("RFC 2918 3", "a ROUTE-REFRESH of 4,096 octets", padded(ROUTE_REFRESH, &[0, 1, 0, 1], 4096), Session),
        ("RFC 5291 5.2", "a filter that ends behind its type", refresh(&[0, 1, 0, 1, 1, 64]), Session),
        ("RFC 5291 5.2", "a filter that ends before its first octet", refresh(&[0, 1, 0, 1, 1, 64, 0, 1]), Session),
        ("RFC 5291 5.2", "a filter longer than the message", refresh(&[0, 1, 0, 1, 1, 64, 0, 200, 0, 0, 0, 0, 1, 0, 0]), Session),
        ("RFC 5291 5.2", "a good filter, then a length over the message", refresh(&[0, 1, 0, 1, 1, 64, 0, 8, 0, 0, 0, 0, 1, 0, 32, 0, 64, 255, 255]), Session),
        ("RFC 7313 3.2", "a beginning", refresh(&[0, 1, 1, 1]), Session),
        ("RFC 7313 3.2", "an end without a beginning, of a family that was not agreed", refresh(&[0, 25, 2, 70]), Session),
        ("RFC 7313 5", "subtype 255", refresh(&[0, 1, 255, 1]), Session),
        ("RFC 7313 5", "subtype 255 of 24 octets", refresh(&[0, 1, 255, 1, 9]), Session),
        ("RFC 7313 5", "subtype 255 of 4,096 octets", padded(ROUTE_REFRESH, &[0, 1, 255, 1], 4096), Session),
        ("RFC 7313 5", "a beginning of 24 octets", long_begin(24), Notification(7, 1, long_begin(24))),
        ("RFC 7313 5", "a beginning of 4,096 octets", long_begin(4096), Notification(7, 1, quoted(&long_begin(4096)))),
        ("RFC 7313 5", "an end of 24 octets", long_end(24), Notification(7, 1, long_end(24))),
        ("RFC 7313 5", "an end of 65,535 octets", long_end(65535), Notification(7, 1, quoted(&long_end(65535)))),
    ]
    .into_iter()
    .map(|(section, name, octets, answer)| Message { section, name, octets, plain: plain(&answer), answer })
    .collect()
}
