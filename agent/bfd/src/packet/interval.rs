//! Intervals as packets carry them.

use std::fmt;
use std::time::Duration;

/// An interval in microseconds, as packets carry it (RFC 5880 4.1): at most 4,294.967295 s.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interval(u32);

impl Interval {
    /// What a session that is not Up must not fall below when it sends (RFC 5880 6.8.3).
    pub const SLOW: Self = Self(1_000_000);
    /// The first value of bfd.RemoteMinRxInterval (RFC 5880 6.8.1).
    pub const LEAST: Self = Self(1);

    /// From a number of microseconds.
    pub const fn from_micros(micros: u32) -> Self {
        Self(micros)
    }

    /// From a number of milliseconds; what does not fit becomes the longest interval.
    pub const fn from_millis(millis: u32) -> Self {
        Self(millis.saturating_mul(1000))
    }

    /// `None` for 0, which the fields that may be 0 give a meaning of its own.
    pub(super) fn present(micros: u32) -> Option<Self> {
        (micros != 0).then_some(Self(micros))
    }

    /// The number of microseconds.
    pub const fn micros(self) -> u32 {
        self.0
    }

    /// As a duration.
    pub fn duration(self) -> Duration {
        Duration::from_micros(self.0.into())
    }
}

impl TryFrom<Duration> for Interval {
    type Error = std::num::TryFromIntError;

    /// Fractions of a microsecond are left out. Fails for more than 4,294 s.
    fn try_from(duration: Duration) -> Result<Self, Self::Error> {
        u32::try_from(duration.as_micros()).map(Self)
    }
}

impl fmt::Debug for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.duration(), f)
    }
}
