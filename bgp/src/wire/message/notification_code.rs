//! Error codes and subcodes of NOTIFICATION messages, with their names in the IANA registry.

use std::fmt;

/// Error code and subcode of a NOTIFICATION. Unknown values are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NotificationCode {
    /// Error code.
    pub code: u8,
    /// Error subcode; 0 where the code has none.
    pub subcode: u8,
}

/// Declares the registry once: a constant and a name for every code.
macro_rules! codes {
    ($($(#[$doc:meta])* $constant:ident = $code:literal / $subcode:literal, $name:literal;)+) => {
        impl NotificationCode {
            $($(#[$doc])* pub const $constant: Self = Self::new($code, $subcode);)+

            /// Every code and subcode that has a name.
            pub const KNOWN: &'static [(Self, &'static str)] = &[$((Self::$constant, $name)),+];
        }
    };
}

codes! {
    /// The marker is not all ones (RFC 4271 section 6.1).
    CONNECTION_NOT_SYNCHRONIZED = 1 / 1, "Connection Not Synchronized";
    /// A length that no message, or no message of its type, can have.
    BAD_MESSAGE_LENGTH = 1 / 2, "Bad Message Length";
    /// A message type that is not assigned.
    BAD_MESSAGE_TYPE = 1 / 3, "Bad Message Type";
    /// An OPEN that is wrong in a way without a subcode of its own.
    OPEN_UNSPECIFIC = 2 / 0, "Unspecific";
    /// A version other than 4.
    UNSUPPORTED_VERSION = 2 / 1, "Unsupported Version Number";
    /// An AS that is not the configured one.
    BAD_PEER_AS = 2 / 2, "Bad Peer AS";
    /// An identifier of zero, or our own on an internal session (RFC 6286).
    BAD_BGP_IDENTIFIER = 2 / 3, "Bad BGP Identifier";
    /// An optional parameter that is not assigned.
    UNSUPPORTED_OPTIONAL_PARAMETER = 2 / 4, "Unsupported Optional Parameter";
    /// A hold time of 1 or 2 seconds, or one that is not wanted.
    UNACCEPTABLE_HOLD_TIME = 2 / 6, "Unacceptable Hold Time";
    /// The peer lacks a capability that is required (RFC 5492).
    UNSUPPORTED_CAPABILITY = 2 / 7, "Unsupported Capability";
    /// The two roles do not belong together (RFC 9234).
    ROLE_MISMATCH = 2 / 11, "Role Mismatch";
    /// Lengths inside the UPDATE contradict each other.
    MALFORMED_ATTRIBUTE_LIST = 3 / 1, "Malformed Attribute List";
    /// A well-known attribute that is not assigned.
    UNRECOGNIZED_WELL_KNOWN = 3 / 2, "Unrecognized Well-known Attribute";
    /// A mandatory attribute is not there.
    MISSING_WELL_KNOWN = 3 / 3, "Missing Well-known Attribute";
    /// Attribute flags that contradict the attribute's type.
    ATTRIBUTE_FLAGS = 3 / 4, "Attribute Flags Error";
    /// A length that the attribute cannot have.
    ATTRIBUTE_LENGTH = 3 / 5, "Attribute Length Error";
    /// An ORIGIN over 2.
    INVALID_ORIGIN = 3 / 6, "Invalid ORIGIN Attribute";
    /// A next hop that is no host's address.
    INVALID_NEXT_HOP = 3 / 8, "Invalid NEXT_HOP Attribute";
    /// The value of an optional attribute is wrong.
    OPTIONAL_ATTRIBUTE = 3 / 9, "Optional Attribute Error";
    /// A prefix that cannot be.
    INVALID_NETWORK_FIELD = 3 / 10, "Invalid Network Field";
    /// An AS_PATH that cannot be read.
    MALFORMED_AS_PATH = 3 / 11, "Malformed AS_PATH";
    /// Nothing arrived for the hold time.
    HOLD_TIMER_EXPIRED = 4 / 0, "Hold Timer Expired";
    /// A message that has no place in the state (RFC 6608): OpenSent.
    FSM_OPEN_SENT = 5 / 1, "Receive Unexpected Message in OpenSent State";
    /// A message that has no place in the state (RFC 6608): OpenConfirm.
    FSM_OPEN_CONFIRM = 5 / 2, "Receive Unexpected Message in OpenConfirm State";
    /// A message that has no place in the state (RFC 6608): Established.
    FSM_ESTABLISHED = 5 / 3, "Receive Unexpected Message in Established State";
    /// More prefixes than the limit (RFC 4486).
    MAXIMUM_PREFIXES = 6 / 1, "Maximum Number of Prefixes Reached";
    /// The operator stopped the session (RFC 4486, RFC 9003).
    ADMINISTRATIVE_SHUTDOWN = 6 / 2, "Administrative Shutdown";
    /// The operator removed the peer.
    PEER_DECONFIGURED = 6 / 3, "Peer De-configured";
    /// The operator restarted the session (RFC 9003).
    ADMINISTRATIVE_RESET = 6 / 4, "Administrative Reset";
    /// The peer is not wanted.
    CONNECTION_REJECTED = 6 / 5, "Connection Rejected";
    /// The configuration changed in a way that needs a new session.
    OTHER_CONFIGURATION_CHANGE = 6 / 6, "Other Configuration Change";
    /// The connection lost the collision detection (RFC 4271 section 6.8).
    CONNECTION_COLLISION = 6 / 7, "Connection Collision Resolution";
    /// Memory or another resource ran out.
    OUT_OF_RESOURCES = 6 / 8, "Out of Resources";
    /// Another NOTIFICATION wrapped so that graceful restart does not apply (RFC 8538).
    HARD_RESET = 6 / 9, "Hard Reset";
    /// BFD says that the path is down (RFC 9384).
    BFD_DOWN = 6 / 10, "BFD Down";
    /// A ROUTE-REFRESH of impossible length (RFC 7313 section 5).
    REFRESH_INVALID_LENGTH = 7 / 1, "Invalid Message Length";
    /// Nothing could be sent for the send hold time (RFC 9687).
    SEND_HOLD_TIMER_EXPIRED = 8 / 0, "Send Hold Timer Expired";
}

impl NotificationCode {
    /// The code and subcode with these numbers.
    pub const fn new(code: u8, subcode: u8) -> Self {
        Self { code, subcode }
    }

    /// The name of the error code alone, if it is assigned.
    pub const fn class(self) -> Option<&'static str> {
        Some(match self.code {
            1 => "Message Header Error",
            2 => "OPEN Message Error",
            3 => "UPDATE Message Error",
            4 => "Hold Timer Expired",
            5 => "Finite State Machine Error",
            6 => "Cease",
            7 => "ROUTE-REFRESH Message Error",
            8 => "Send Hold Timer Expired",
            _ => return None,
        })
    }
}

impl fmt::Display for NotificationCode {
    /// `Cease/Administrative Shutdown`; the number where a code or subcode has no name: `Cease/99`, `12/3`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(class) = self.class() else {
            return write!(f, "{}/{}", self.code, self.subcode);
        };
        f.write_str(class)?;
        match Self::KNOWN.iter().find(|(known, _)| known == self) {
            Some((_, name)) if *name == class => Ok(()),
            Some((_, name)) => write!(f, "/{name}"),
            None if self.subcode == 0 => Ok(()),
            None => write!(f, "/{}", self.subcode),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_shown_by_the_names_of_its_class_and_subcode_as_far_as_they_are_assigned() {
        let classes = [
            None,
            Some("Message Header Error"),
            Some("OPEN Message Error"),
            Some("UPDATE Message Error"),
            Some("Hold Timer Expired"),
            Some("Finite State Machine Error"),
            Some("Cease"),
            Some("ROUTE-REFRESH Message Error"),
            Some("Send Hold Timer Expired"),
            None,
        ];
        for (code, class) in (0..).zip(classes) {
            let shown = |subcode| NotificationCode::new(code, subcode).to_string();
            assert_eq!(NotificationCode::new(code, 0).class(), class);
            match class {
                None => assert_eq!(shown(3), format!("{code}/3")),
                Some(class) => {
                    assert_eq!(shown(99), format!("{class}/99"));
                    let unspecific = if code == 2 { "/Unspecific" } else { "" };
                    assert_eq!(shown(0), format!("{class}{unspecific}"));
                }
            }
        }
        for (known, name) in NotificationCode::KNOWN {
            let class = known.class().unwrap_or_default();
            let full = format!("{class}/{name}");
            // Codes without subcodes have one name.
            let expected = if class == *name { class } else { &full };
            assert_eq!(known.to_string(), expected);
        }
    }
}
