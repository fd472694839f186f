//! BFD control packets (RFC 5880 section 4): octets to values and back.
//!
//! [`decode`] makes the checks of section 6.8.6 that need no session, in the RFC's order; those that need one are made by
//! [`Sessions`](crate::sessions::Sessions) and [`Session`](crate::session::Session). Each check has its own [`Discard`]. The
//! Authentication Section stays octets until the session is known, since only then is its turn.

mod codes;
mod discard;
mod interval;
mod section;
#[cfg(test)]
mod tests;

use std::num::{NonZeroU8, NonZeroU32};

pub use codes::{Diagnostic, State};
pub use discard::{Discard, Discards};
pub use interval::Interval;
pub use section::{AuthType, Section, Sha1Section};

/// The version of the protocol (RFC 5880 4.1).
const VERSION: u8 = 1;
/// Octets of the mandatory section (RFC 5880 4.1).
pub const HEADER: usize = 24;
/// The least length of a packet with an Authentication Section: its type and length (RFC 5880 6.8.6).
const HEADER_AND_SECTION: usize = 26;
/// Octets of the longest packet that is sent: the mandatory section and that of SHA1 (RFC 5880 4.4).
pub const LONGEST_SENT: usize = HEADER + section::SHA1_LENGTH;

const POLL: u8 = 0x20;
const FINAL: u8 = 0x10;
const CONTROL_PLANE_INDEPENDENT: u8 = 0x08;
const AUTHENTICATION_PRESENT: u8 = 0x04;
const DEMAND: u8 = 0x02;
const MULTIPOINT: u8 = 0x01;

/// What a session is known by at one of its ends: unique there, and never 0 (RFC 5880 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Discriminator(NonZeroU32);

impl Discriminator {
    /// `None` for 0, which means that it is not known.
    pub fn new(number: u32) -> Option<Self> {
        NonZeroU32::new(number).map(Self)
    }

    /// The number in packets.
    pub fn number(self) -> u32 {
        self.0.get()
    }
}

/// What a packet does in a Poll Sequence (RFC 5880 6.5): a packet sent never has both bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sequence {
    /// Neither bit.
    None,
    /// P: the sender wants a Final.
    Poll,
    /// F: the answer to a Poll.
    Final,
}

/// The mandatory section of a control packet (RFC 5880 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControlPacket {
    /// Why the sender's session last changed its state.
    pub diagnostic: Diagnostic,
    /// The sender's state.
    pub state: State,
    /// P and F. Of a received packet with both, which the RFC forbids to send, P is read.
    pub sequence: Sequence,
    /// C: the sender's BFD does not share fate with its control plane.
    pub is_control_plane_independent: bool,
    /// D: the sender wants no periodic packets while both ends are Up.
    pub is_demand: bool,
    /// How many packets of the sender may be lost in a row.
    pub detect_mult: NonZeroU8,
    /// The sender's discriminator.
    pub my_discriminator: Discriminator,
    /// The receiver's discriminator, if the sender knows it.
    pub your_discriminator: Option<Discriminator>,
    /// The sender does not send more often than this.
    pub desired_min_tx: Interval,
    /// The sender does not want packets more often than this; `None` (0 on the wire): no periodic packets at all.
    pub required_min_rx: Option<Interval>,
    /// The sender does not want Echo packets more often than this; `None` (0 on the wire): none.
    pub required_min_echo_rx: Option<Interval>,
}

/// A packet that passed the checks which need no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoded<'a> {
    /// The mandatory section.
    pub packet: ControlPacket,
    /// The whole packet, as long as its Length field says: what a digest covers.
    pub octets: &'a [u8],
    /// Whether the A bit is set; then `octets` are longer than the mandatory section.
    pub is_authenticated: bool,
}

/// Reads the payload of a UDP datagram: the checks of RFC 5880 6.8.6 up to My Discriminator.
///
/// # Errors
/// The first check that fails. Octets behind the packet's Length are ignored.
pub fn decode(payload: &[u8]) -> Result<Decoded<'_>, Discard> {
    let [first, flags, mult, length, ..] = *payload else {
        return Err(Discard::Short);
    };
    if first >> 5 != VERSION {
        return Err(Discard::Version);
    }
    let length = usize::from(length);
    let is_authenticated = flags & AUTHENTICATION_PRESENT != 0;
    let least = if is_authenticated {
        HEADER_AND_SECTION
    } else {
        HEADER
    };
    if length < least {
        return Err(Discard::Short);
    }
    let octets = payload.get(..length).ok_or(Discard::Truncated)?;
    let detect_mult = NonZeroU8::new(mult).ok_or(Discard::DetectMultZero)?;
    if flags & MULTIPOINT != 0 {
        return Err(Discard::Multipoint);
    }
    let my_discriminator =
        Discriminator::new(word(octets, 4)).ok_or(Discard::MyDiscriminatorZero)?;
    let packet = ControlPacket {
        diagnostic: Diagnostic(first & 0x1f),
        state: State::from_bits(flags >> 6),
        sequence: match (flags & POLL != 0, flags & FINAL != 0) {
            (true, _) => Sequence::Poll,
            (false, true) => Sequence::Final,
            (false, false) => Sequence::None,
        },
        is_control_plane_independent: flags & CONTROL_PLANE_INDEPENDENT != 0,
        is_demand: flags & DEMAND != 0,
        detect_mult,
        my_discriminator,
        your_discriminator: Discriminator::new(word(octets, 8)),
        desired_min_tx: Interval::from_micros(word(octets, 12)),
        required_min_rx: Interval::present(word(octets, 16)),
        required_min_echo_rx: Interval::present(word(octets, 20)),
    };
    Ok(Decoded {
        packet,
        octets,
        is_authenticated,
    })
}

impl Decoded<'_> {
    /// The Authentication Section, if the A bit is set.
    ///
    /// # Errors
    /// [`Discard::SectionMalformed`]: its length is not that of its type, or passes the end of the packet.
    pub fn section(&self) -> Result<Option<Section<'_>>, Discard> {
        if !self.is_authenticated {
            return Ok(None);
        }
        let octets = self.octets.get(HEADER..).ok_or(Discard::SectionMalformed)?;
        section::parse(octets).map(Some)
    }
}

impl ControlPacket {
    /// The mandatory section in octets, of a packet that ends there.
    pub fn encode(&self) -> [u8; HEADER] {
        let mut flags = self.state.to_bits() << 6;
        flags |= match self.sequence {
            Sequence::None => 0,
            Sequence::Poll => POLL,
            Sequence::Final => FINAL,
        };
        if self.is_control_plane_independent {
            flags |= CONTROL_PLANE_INDEPENDENT;
        }
        if self.is_demand {
            flags |= DEMAND;
        }
        let mut octets = [0; HEADER];
        octets[0] = VERSION << 5 | self.diagnostic.0 & 0x1f;
        octets[1] = flags;
        octets[2] = self.detect_mult.get();
        octets[3] = HEADER as u8;
        let yours = self.your_discriminator.map_or(0, Discriminator::number);
        let words = [
            self.my_discriminator.number(),
            yours,
            self.desired_min_tx.micros(),
            self.required_min_rx.map_or(0, Interval::micros),
            self.required_min_echo_rx.map_or(0, Interval::micros),
        ];
        for (place, word) in octets[4..].chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_be_bytes());
        }
        octets
    }
}

/// A packet ready to be sent, without an allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram {
    octets: [u8; LONGEST_SENT],
    length: usize,
}

impl Datagram {
    /// A packet without authentication.
    pub fn plain(packet: &ControlPacket) -> Self {
        let mut octets = [0; LONGEST_SENT];
        octets[..HEADER].copy_from_slice(&packet.encode());
        Self {
            octets,
            length: HEADER,
        }
    }

    /// A packet with a SHA1 Authentication Section whose hash is made by `hash` of all octets, in which the hash field is
    /// what `key` holds (RFC 5880 6.7.4).
    pub(crate) fn hashed(
        packet: &ControlPacket,
        section: &Sha1Section,
        key: &[u8; section::HASH],
        hash: impl FnOnce(&[u8]) -> [u8; section::HASH],
    ) -> Self {
        let mut datagram = Self::plain(packet);
        datagram.octets[1] |= AUTHENTICATION_PRESENT;
        datagram.octets[3] = LONGEST_SENT as u8;
        section.write(&mut datagram.octets[HEADER..], key);
        let hash = hash(&datagram.octets);
        datagram.octets[LONGEST_SENT - section::HASH..].copy_from_slice(&hash);
        datagram.length = LONGEST_SENT;
        datagram
    }

    /// The payload of the UDP datagram.
    pub fn octets(&self) -> &[u8] {
        &self.octets[..self.length]
    }
}

/// The big-endian word at `at`; 0 behind the end, which the checks of the length exclude.
fn word(octets: &[u8], at: usize) -> u32 {
    octets
        .get(at..at + 4)
        .and_then(|octets| octets.try_into().ok())
        .map_or(0, u32::from_be_bytes)
}
