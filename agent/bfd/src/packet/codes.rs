//! The codes of RFC 5880 section 4.1.

use std::fmt;

/// The state of one end (RFC 5880 6.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum State {
    /// Held down by its operator.
    AdminDown,
    /// The other end is not heard, or says Down.
    #[default]
    Down,
    /// The other end is heard, and does not hear this one yet.
    Init,
    /// Either end hears the other.
    Up,
}

impl State {
    /// The two bits of a packet; higher ones are ignored.
    pub(super) fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::AdminDown,
            1 => Self::Down,
            2 => Self::Init,
            _ => Self::Up,
        }
    }

    pub(super) fn to_bits(self) -> u8 {
        match self {
            Self::AdminDown => 0,
            Self::Down => 1,
            Self::Init => 2,
            Self::Up => 3,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::AdminDown => "AdminDown",
            Self::Down => "Down",
            Self::Init => "Init",
            Self::Up => "Up",
        })
    }
}

/// Why a session last changed its state (RFC 5880 4.1), in five bits. Codes that are not known are kept.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Diagnostic(pub u8);

impl Diagnostic {
    /// No Diagnostic.
    pub const NONE: Self = Self(0);
    /// Control Detection Time Expired.
    pub const DETECTION_TIME_EXPIRED: Self = Self(1);
    /// Echo Function Failed.
    pub const ECHO_FAILED: Self = Self(2);
    /// Neighbor Signaled Session Down.
    pub const NEIGHBOR_SIGNALED_DOWN: Self = Self(3);
    /// Forwarding Plane Reset.
    pub const FORWARDING_PLANE_RESET: Self = Self(4);
    /// Path Down.
    pub const PATH_DOWN: Self = Self(5);
    /// Concatenated Path Down.
    pub const CONCATENATED_PATH_DOWN: Self = Self(6);
    /// Administratively Down.
    pub const ADMIN_DOWN: Self = Self(7);
    /// Reverse Concatenated Path Down.
    pub const REVERSE_CONCATENATED_PATH_DOWN: Self = Self(8);
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self.0 {
            0 => "no diagnostic",
            1 => "control detection time expired",
            2 => "echo function failed",
            3 => "neighbor signaled session down",
            4 => "forwarding plane reset",
            5 => "path down",
            6 => "concatenated path down",
            7 => "administratively down",
            8 => "reverse concatenated path down",
            code => return write!(f, "diagnostic {code}"),
        })
    }
}

impl fmt::Debug for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({self})", self.0)
    }
}
