//! Length fields. Each is a type that cannot be too long for its field: what would be is refused, or cut together with
//! its length, where it is measured. So no octets can stand behind what a length field says.

use bytes::BufMut;

use super::MAX_MESSAGE;

/// More octets than a length field of two octets can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} octets; a length field of two octets ends at 65535")]
pub(super) struct TooLong(pub(super) usize);

/// The length of an attribute's value (RFC 4271 section 4.3): at most 65,535 octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct AttributeLength(u16);

/// The length of a message with its header (RFC 4271 section 4.1, RFC 8654 section 4): at most 65,535 octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct MessageLength(u16);

/// The length of a field inside a message: Withdrawn Routes Length and Total Path Attribute Length (RFC 4271 section 4.3),
/// those of optional parameters (RFC 9072 section 2). At most 65,535 octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FieldLength(u16);

macro_rules! two_octets {
    ($($name:ident),*) => {$(
        impl TryFrom<usize> for $name {
            type Error = TooLong;

            #[inline]
            fn try_from(octets: usize) -> Result<Self, TooLong> {
                u16::try_from(octets).map(Self).map_err(|_| TooLong(octets))
            }
        }

        impl $name {
            /// As it stands in the message.
            #[inline]
            pub(super) const fn to_be_bytes(self) -> [u8; 2] {
                self.0.to_be_bytes()
            }
        }
    )*};
}

two_octets!(AttributeLength, MessageLength, FieldLength);

impl AttributeLength {
    /// As a count.
    pub(super) const fn octets(self) -> usize {
        self.0 as usize
    }

    /// In one octet, if it fits there.
    #[inline]
    pub(super) fn short(self) -> Option<u8> {
        u8::try_from(self.0).ok()
    }
}

impl MessageLength {
    /// As a count.
    pub(super) const fn octets(self) -> usize {
        self.0 as usize
    }

    /// Of a message that every peer takes: 4,096 octets at most. The message is to be cut to [`MessageLength::octets`].
    pub(super) fn cut(octets: usize) -> Self {
        const { assert!(MAX_MESSAGE == 4096) };
        Self(u16::try_from(octets).map_or(4096, |octets| octets.min(4096)))
    }
}

/// Writes a text behind its length in one octet, cut at the last character of the first `max` octets.
pub(super) fn put_text(out: &mut Vec<u8>, text: &str, max: u8) {
    let text = &text[..text.floor_char_boundary(usize::from(max))];
    put_short(out, text.as_bytes());
}

/// Writes octets behind their number in one octet. Those past 255 are left out.
pub(super) fn put_short(out: &mut Vec<u8>, octets: &[u8]) {
    let length = u8::try_from(octets.len()).unwrap_or(u8::MAX);
    out.put_u8(length);
    out.extend_from_slice(&octets[..usize::from(length)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_that_its_field_cannot_say_cannot_be_made() {
        for octets in [0, 1, 255, 256, 65_534, 65_535] {
            let length = AttributeLength::try_from(octets).map(AttributeLength::octets);
            assert_eq!(length, Ok(octets));
        }
        for octets in [65_536, 129_794, usize::MAX] {
            assert_eq!(AttributeLength::try_from(octets), Err(TooLong(octets)));
            assert_eq!(MessageLength::try_from(octets), Err(TooLong(octets)));
            assert_eq!(FieldLength::try_from(octets), Err(TooLong(octets)));
            assert_eq!(MessageLength::cut(octets).octets(), 4096);
        }
        assert_eq!(MessageLength::cut(4095).octets(), 4095);
        assert_eq!(MessageLength::cut(4097).octets(), 4096);
    }

    #[test]
    fn what_is_cut_has_the_length_that_it_says() {
        for length in [0, 1, 254, 255, 256, 70_000] {
            let mut out = Vec::new();
            put_short(&mut out, &vec![7; length]);
            assert_eq!(usize::from(out[0]), out.len() - 1);
            assert_eq!(out.len() - 1, length.min(255));
            let mut out = Vec::new();
            put_text(&mut out, &"ä".repeat(length), 63);
            assert_eq!(usize::from(out[0]), out.len() - 1);
            assert_eq!(out.len() - 1, (length * 2).min(62));
        }
    }
}
