//! NOTIFICATION (RFC 4271 section 4.5) with the shutdown communication of RFC 9003.

use bytes::Bytes;

/// A NOTIFICATION message: why its sender closes the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Error code and subcode.
    pub code: NotificationCode,
    /// The data field, uninterpreted. For Cease/Administrative Shutdown and Reset it may carry a text (RFC 9003).
    pub data: Bytes,
}

/// Error code and subcode of a NOTIFICATION. Unknown values are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NotificationCode {
    /// Error code.
    pub code: u8,
    /// Error subcode; 0 where the code has none.
    pub subcode: u8,
}
