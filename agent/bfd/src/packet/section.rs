//! The Authentication Section (RFC 5880 4.2 to 4.4).

use super::{Discard, word};

/// Octets of a SHA1 hash.
pub(crate) const HASH: usize = 20;
/// Octets of the section for SHA1 (RFC 5880 4.4).
pub(super) const SHA1_LENGTH: usize = 28;
/// And of that for MD5 (RFC 5880 4.3).
const MD5_LENGTH: usize = 24;
/// Shortest and longest section with a password (RFC 5880 4.2).
const PASSWORD_LENGTH: std::ops::RangeInclusive<usize> = 4..=19;

/// The type of authentication (RFC 5880 4.1). Numbers that are not known are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuthType(pub u8);

impl AuthType {
    /// Simple Password.
    pub const PASSWORD: Self = Self(1);
    /// Keyed MD5.
    pub const KEYED_MD5: Self = Self(2);
    /// Meticulous Keyed MD5.
    pub const METICULOUS_MD5: Self = Self(3);
    /// Keyed SHA1.
    pub const KEYED_SHA1: Self = Self(4);
    /// Meticulous Keyed SHA1.
    pub const METICULOUS_SHA1: Self = Self(5);
}

/// What a section holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section<'a> {
    /// A password in the clear. Never accepted.
    Password {
        /// Which password.
        key: u8,
        /// 1 to 16 octets.
        password: &'a [u8],
    },
    /// MD5, of either kind. Never accepted: MD5 is broken.
    Md5 {
        /// Keyed or meticulous.
        kind: AuthType,
        /// Which key.
        key: u8,
        /// The sequence number.
        sequence: u32,
    },
    /// SHA1, of either kind.
    Sha1(Sha1Section),
    /// A type that RFC 5880 does not have.
    Unknown(AuthType),
}

/// The section of SHA1 without its hash (RFC 5880 4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sha1Section {
    /// Keyed or meticulous.
    pub kind: AuthType,
    /// Which key.
    pub key: u8,
    /// The sequence number.
    pub sequence: u32,
}

impl Section<'_> {
    /// The type of authentication.
    pub fn kind(&self) -> AuthType {
        match self {
            Self::Password { .. } => AuthType::PASSWORD,
            Self::Md5 { kind, .. } | Self::Unknown(kind) => *kind,
            Self::Sha1(section) => section.kind,
        }
    }
}

impl Sha1Section {
    /// Writes 28 octets, with `key` in the place of the hash (RFC 5880 6.7.4).
    pub(super) fn write(&self, octets: &mut [u8], key: &[u8; HASH]) {
        // The fourth octet is reserved, and 0.
        octets[..4].copy_from_slice(&[self.kind.0, SHA1_LENGTH as u8, self.key, 0]);
        octets[4..8].copy_from_slice(&self.sequence.to_be_bytes());
        octets[8..SHA1_LENGTH].copy_from_slice(key);
    }
}

/// Reads what follows the mandatory section. Octets behind the section are ignored.
pub(super) fn parse(octets: &[u8]) -> Result<Section<'_>, Discard> {
    let [kind, length, ..] = *octets else {
        return Err(Discard::SectionMalformed);
    };
    let (kind, length) = (AuthType(kind), usize::from(length));
    let section = octets.get(..length).ok_or(Discard::SectionMalformed)?;
    match (kind, section) {
        (AuthType::PASSWORD, [_, _, key, password @ ..]) if PASSWORD_LENGTH.contains(&length) => {
            Ok(Section::Password {
                key: *key,
                password,
            })
        }
        (AuthType::KEYED_MD5 | AuthType::METICULOUS_MD5, [_, _, key, ..])
            if length == MD5_LENGTH =>
        {
            Ok(Section::Md5 {
                kind,
                key: *key,
                sequence: word(section, 4),
            })
        }
        (AuthType::KEYED_SHA1 | AuthType::METICULOUS_SHA1, [_, _, key, ..])
            if length == SHA1_LENGTH =>
        {
            Ok(Section::Sha1(Sha1Section {
                kind,
                key: *key,
                sequence: word(section, 4),
            }))
        }
        (
            AuthType::PASSWORD
            | AuthType::KEYED_MD5
            | AuthType::METICULOUS_MD5
            | AuthType::KEYED_SHA1
            | AuthType::METICULOUS_SHA1,
            _,
        ) => Err(Discard::SectionMalformed),
        _ => Ok(Section::Unknown(kind)),
    }
}
