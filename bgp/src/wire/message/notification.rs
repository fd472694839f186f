//! NOTIFICATION (RFC 4271 section 4.5), with the shutdown communication of RFC 9003 and the hard reset of RFC 8538.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};

use super::notification_code::NotificationCode;
use super::{MessageKind, encode_message};
use crate::types::{Family, PeerText};
use crate::wire::capability::{self, Capability};
use crate::wire::length::put_text;
use crate::wire::{WireError, WireFault};

/// The longest shutdown communication, in octets (RFC 9003 section 2).
const MAX_COMMUNICATION: u8 = 255;

/// A NOTIFICATION message: why its sender closes the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Error code and subcode.
    pub code: NotificationCode,
    /// The data field, uninterpreted. For Cease/Administrative Shutdown and Reset it may carry a text (RFC 9003).
    pub data: Bytes,
}

impl Notification {
    /// A NOTIFICATION without data.
    pub const fn new(code: NotificationCode) -> Self {
        Self {
            code,
            data: Bytes::new(),
        }
    }

    /// A NOTIFICATION with data: what the code's section of the RFC says.
    pub fn with_data(code: NotificationCode, data: impl Into<Bytes>) -> Self {
        Self {
            code,
            data: data.into(),
        }
    }

    /// Cease/Administrative Shutdown with a text for the peer's operator (RFC 9003); empty is none.
    ///
    /// A text over 255 octets is cut at the last character that fits.
    pub fn administrative_shutdown(text: &str) -> Self {
        Self::with_communication(NotificationCode::ADMINISTRATIVE_SHUTDOWN, text)
    }

    /// Cease/Administrative Reset with a text for the peer's operator (RFC 9003); empty is none.
    ///
    /// A text over 255 octets is cut at the last character that fits.
    pub fn administrative_reset(text: &str) -> Self {
        Self::with_communication(NotificationCode::ADMINISTRATIVE_RESET, text)
    }

    fn with_communication(code: NotificationCode, text: &str) -> Self {
        if text.is_empty() {
            return Self::new(code);
        }
        let mut data = Vec::with_capacity(1 + text.len().min(255));
        put_text(&mut data, text, MAX_COMMUNICATION);
        Self::with_data(code, data)
    }

    /// Cease/Maximum Number of Prefixes Reached, with the family and its limit (RFC 4486 section 4).
    pub fn maximum_prefixes(family: Family, limit: u32) -> Self {
        let mut data = Vec::with_capacity(7);
        data.put_u16(family.afi.0);
        data.put_u8(family.safi.0);
        data.put_u32(limit);
        Self::with_data(NotificationCode::MAXIMUM_PREFIXES, data)
    }

    /// OPEN Message Error/Unsupported Capability, with the capabilities that were missing (RFC 5492 section 5).
    pub fn unsupported_capability(missing: &[Capability]) -> Self {
        let mut data = Vec::new();
        for capability in missing {
            capability::encode(capability, &mut data);
        }
        Self::with_data(NotificationCode::UNSUPPORTED_CAPABILITY, data)
    }

    /// Cease/Hard Reset around this NOTIFICATION: the peer drops our routes in spite of graceful restart (RFC 8538).
    #[must_use]
    pub fn into_hard_reset(self) -> Self {
        let mut data = Vec::with_capacity(2 + self.data.len());
        data.extend_from_slice(&[self.code.code, self.code.subcode]);
        data.extend_from_slice(&self.data);
        Self::with_data(NotificationCode::HARD_RESET, data)
    }

    /// Whether this is a hard reset (RFC 8538 section 3.1): no routes are retained after it.
    pub fn is_hard_reset(&self) -> bool {
        self.code == NotificationCode::HARD_RESET
    }

    /// The NOTIFICATION inside a hard reset; `None` if this is none or has nothing inside.
    pub fn hard_reset_reason(&self) -> Option<Self> {
        match (self.is_hard_reset(), &self.data[..]) {
            (true, &[code, subcode, ..]) => Some(Self::with_data(
                NotificationCode::new(code, subcode),
                self.data.slice(2..),
            )),
            _ => None,
        }
    }

    /// The text of the peer's operator (RFC 9003), if there is one, safe to print. What is no UTF-8 is replaced by U+FFFD.
    pub fn communication(&self) -> Option<PeerText> {
        if self.code != NotificationCode::ADMINISTRATIVE_SHUTDOWN
            && self.code != NotificationCode::ADMINISTRATIVE_RESET
        {
            return None;
        }
        let (&length, rest) = self.data.split_first()?;
        // RFC 9003 section 2: a length over the octets at hand is malformed; what is there still helps the operator.
        let text = &rest[..rest.len().min(usize::from(length))];
        (!text.is_empty()).then(|| PeerText::from_octets(text))
    }

    /// Reads the body of a NOTIFICATION.
    ///
    /// # Errors
    ///
    /// A body under two octets. It is only for the log: a NOTIFICATION is never answered (RFC 4271 section 6.4).
    pub fn decode(body: &Bytes) -> Result<Self, WireError> {
        match body[..] {
            [code, subcode, ..] => Ok(Self::with_data(
                NotificationCode::new(code, subcode),
                body.slice(2..),
            )),
            _ => Err(WireError::from(WireFault::too_short(
                MessageKind::Notification,
                body.len(),
            ))),
        }
    }

    /// The whole message. Data past 4,075 octets is cut: the message must fit any peer.
    pub fn encode(&self) -> Bytes {
        encode_message(MessageKind::Notification, |out: &mut BytesMut| {
            out.put_slice(&[self.code.code, self.code.subcode]);
            out.put_slice(&self.data);
        })
    }
}

impl From<NotificationCode> for Notification {
    fn from(code: NotificationCode) -> Self {
        Self::new(code)
    }
}

impl fmt::Display for Notification {
    /// `Cease/Administrative Shutdown: "back at 10"`, `Cease/Hard Reset (Cease/Peer De-configured)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some(text) = self.communication() {
            // In quotation marks: the text is the peer's.
            write!(f, ": {text:?}")?;
        }
        if let Some(inner) = self.hard_reset_reason() {
            // One level: a hard reset in a hard reset means nothing, and depth must not be the peer's to choose.
            write!(f, " ({}", inner.code)?;
            if let Some(text) = inner.communication() {
                write!(f, ": {text:?}")?;
            }
            f.write_str(")")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notification_says_in_words_what_it_means() {
        let shutdown = Notification::administrative_shutdown("back at \"10\"");
        assert_eq!(
            shutdown.to_string(),
            r#"Cease/Administrative Shutdown: "back at \"10\"""#
        );
        assert_eq!(
            shutdown.into_hard_reset().to_string(),
            r#"Cease/Hard Reset (Cease/Administrative Shutdown: "back at \"10\"")"#
        );
        for (code, subcode, words) in [
            (4, 0, "Hold Timer Expired"),
            (2, 0, "OPEN Message Error/Unspecific"),
            (3, 11, "UPDATE Message Error/Malformed AS_PATH"),
            (6, 0, "Cease"),
            (6, 99, "Cease/99"),
            (77, 3, "77/3"),
        ] {
            assert_eq!(
                Notification::new(NotificationCode::new(code, subcode)).to_string(),
                words
            );
        }
    }

    #[test]
    fn rfc_9003_section_2_a_communication_is_cut_at_a_character_and_read_back() {
        let long = "ä".repeat(200);
        let sent = Notification::administrative_reset(&long);
        assert_eq!(sent.data.len(), 1 + 254);
        assert_eq!(
            sent.communication(),
            Some(PeerText::from(&*"ä".repeat(127)))
        );
        assert_eq!(Notification::administrative_reset("").data.len(), 0);
    }

    #[test]
    fn rfc_9003_section_2_a_wrong_length_or_encoding_is_shown_as_well_as_it_can_be() {
        let of = |data: &'static [u8]| {
            Notification::with_data(NotificationCode::ADMINISTRATIVE_SHUTDOWN, data).communication()
        };
        assert_eq!(of(b""), None);
        assert_eq!(of(b"\0"), None);
        assert_eq!(of(b"\x09bye"), Some(PeerText::from("bye")));
        assert_eq!(of(b"\x02bye"), Some(PeerText::from("by")));
        assert_eq!(of(b"\x02b\xff"), Some(PeerText::from("b\u{fffd}")));
        // Other codes carry no text.
        assert_eq!(
            Notification::with_data(NotificationCode::BFD_DOWN, &b"\x03bye"[..]).communication(),
            None
        );
    }

    #[test]
    fn a_communication_cannot_steer_a_terminal_or_begin_a_line() {
        let hostile = "\"\nforged\x1b[2J\u{85}\u{202e}";
        let shutdown = Notification::administrative_shutdown(hostile);
        let shown = r#"Cease/Administrative Shutdown: "\"\nforged\u{1b}[2J\u{85}\u{202e}""#;
        assert_eq!(shutdown.to_string(), shown);
        let text = shutdown.into_hard_reset().to_string();
        assert!(!text.contains(crate::types::is_unprintable), "{text:?}");
    }

    #[test]
    fn rfc_8538_section_3_a_hard_reset_carries_the_reason_inside() {
        let inner = Notification::maximum_prefixes(Family::IPV6_UNICAST, 10);
        let hard = inner.clone().into_hard_reset();
        assert_eq!(&hard.data[..], [6, 1, 0, 2, 1, 0, 0, 0, 10]);
        assert_eq!(hard.hard_reset_reason(), Some(inner.clone()));
        assert_eq!(inner.hard_reset_reason(), None);
        assert_eq!(
            Notification::new(NotificationCode::HARD_RESET).hard_reset_reason(),
            None
        );
    }

    #[test]
    fn a_notification_never_grows_past_what_every_peer_takes() {
        let big = Notification::with_data(NotificationCode::OPTIONAL_ATTRIBUTE, vec![1; 9000]);
        assert_eq!(big.encode().len(), 4096);
    }
}
