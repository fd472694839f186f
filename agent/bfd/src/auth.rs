//! Keyed SHA1 and meticulous keyed SHA1 (RFC 5880 6.7.4), with several keys for rotation.
//!
//! A received packet may use any of the keys, sent ones use one of them. So keys are rotated without a loss: the new key is
//! added at both ends, then either end sends with it, then the old one is removed. Passwords and MD5 are not implemented:
//! the former authenticate nothing, and the RFC itself prefers SHA1 to the latter (6.7.3).

use std::fmt;

use sha1::{Digest, Sha1};

use crate::packet::{
    AuthType, ControlPacket, Datagram, Decoded, Discard, HEADER, Section, Sha1Section,
};

/// Octets of a key in a packet, and of the hash that replaces it (RFC 5880 4.4).
const LENGTH: usize = 20;
/// Where the hash stands in a packet: behind type, length, key, a reserved octet and the sequence number.
const HASH_AT: usize = HEADER + 8;

/// One key, and the number by which packets name it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key {
    id: u8,
    /// Padded with zeros (RFC 5880 6.7.4).
    secret: [u8; LENGTH],
}

impl Key {
    /// A key of 1 to 20 octets, of any value (RFC 5880 6.7.4).
    ///
    /// # Errors
    /// [`KeyError::Length`].
    pub fn new(id: u8, secret: &[u8]) -> Result<Self, KeyError> {
        if secret.is_empty() || secret.len() > LENGTH {
            return Err(KeyError::Length);
        }
        let mut padded = [0; LENGTH];
        padded[..secret.len()].copy_from_slice(secret);
        Ok(Self { id, secret: padded })
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Why keys cannot be used: the operator's to mend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// RFC 5880 6.7.4.
    #[error("a key has 1 to 20 octets")]
    Length,
    /// Packets name a key by its number.
    #[error("two keys have the same number")]
    Duplicate,
    /// The key to send with is not among the keys.
    #[error("the key to send with is not among the keys")]
    NoSendingKey,
}

/// Whether a sequence number may be used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Keyed SHA1: a sequence number is used until the packet's contents change.
    Keyed,
    /// Meticulous keyed SHA1: every packet has the next one.
    Meticulous,
}

impl Kind {
    fn auth_type(self) -> AuthType {
        match self {
            Self::Keyed => AuthType::KEYED_SHA1,
            Self::Meticulous => AuthType::METICULOUS_SHA1,
        }
    }
}

/// How a session authenticates packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authentication {
    kind: Kind,
    keys: Vec<Key>,
    sending: Key,
}

impl Authentication {
    /// Accepts packets with any of `keys`, and sends with that of the number `sending`.
    ///
    /// # Errors
    /// [`KeyError::Duplicate`] and [`KeyError::NoSendingKey`].
    pub fn new(kind: Kind, keys: Vec<Key>, sending: u8) -> Result<Self, KeyError> {
        for (place, key) in keys.iter().enumerate() {
            if keys[..place].iter().any(|other| other.id == key.id) {
                return Err(KeyError::Duplicate);
            }
        }
        let key = *keys
            .iter()
            .find(|key| key.id == sending)
            .ok_or(KeyError::NoSendingKey)?;
        Ok(Self {
            kind,
            keys,
            sending: key,
        })
    }

    /// Which of the two kinds.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// A packet with this sequence number, authenticated.
    pub fn sign(&self, packet: &ControlPacket, sequence: u32) -> Datagram {
        let section = Sha1Section {
            kind: self.kind.auth_type(),
            key: self.sending.id,
            sequence,
        };
        Datagram::hashed(packet, &section, &self.sending.secret, |octets| {
            Sha1::digest(octets).into()
        })
    }

    /// The sequence number of an authentic packet. `last` is that of the last one, if it is known.
    ///
    /// Cheap checks come first: a forged packet costs a hash at most. Nothing is remembered of a packet that is not authentic.
    ///
    /// # Errors
    /// The first check of RFC 5880 6.7.4 that fails.
    pub fn verify(&self, received: &Decoded<'_>, last: Option<u32>) -> Result<u32, Discard> {
        let section = match received.section()? {
            Some(Section::Sha1(section)) if section.kind == self.kind.auth_type() => section,
            Some(
                Section::Sha1(_)
                | Section::Password { .. }
                | Section::Md5 { .. }
                | Section::Unknown(_),
            ) => {
                return Err(Discard::AuthType);
            }
            None => return Err(Discard::NotAuthenticated),
        };
        let key = self
            .keys
            .iter()
            .find(|key| key.id == section.key)
            .ok_or(Discard::UnknownKey)?;
        if let Some(last) = last {
            // The sender's Detect Mult: its session is down, and its number forgotten, before more than that many are lost.
            let most = 3 * u32::from(received.packet.detect_mult.get());
            let ahead = section.sequence.wrapping_sub(last);
            let least = match self.kind {
                Kind::Keyed => 0,
                Kind::Meticulous => 1,
            };
            if !(least..=most).contains(&ahead) {
                return Err(Discard::SequenceNumber);
            }
        }
        let octets = received.octets;
        let (before, rest) = octets
            .split_at_checked(HASH_AT)
            .ok_or(Discard::SectionMalformed)?;
        let (hash, after) = rest
            .split_at_checked(LENGTH)
            .ok_or(Discard::SectionMalformed)?;
        let expected = Sha1::new()
            .chain_update(before)
            .chain_update(key.secret)
            .chain_update(after)
            .finalize();
        // All octets are compared, so that the time says nothing about how many are right.
        let difference = expected
            .iter()
            .zip(hash)
            .fold(0, |all, (a, b)| all | (a ^ b));
        if difference != 0 {
            return Err(Discard::Hash);
        }
        // DEVIATION(RFC 5880 6.7.4): the RFC sets bfd.AuthSeqKnown before it compares the hash. Then one forged packet would
        // make the sequence numbers of the real peer wrong.
        Ok(section.sequence)
    }
}

#[cfg(test)]
mod tests;
