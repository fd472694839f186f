//! Which session a received packet belongs to (RFC 5880 6.3 and 6.8.6, RFC 5881 3 to 5, RFC 5883 4 and 5).

use std::net::IpAddr;
use std::num::{NonZeroU8, NonZeroU32};
use std::time::Instant;

use super::{Actions, Entry, Hops, SessionKey, Sessions};
use crate::packet::{ControlPacket, Decoded, Discard, State, decode};
use crate::session::{EchoPacket, Input};

/// How a datagram arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Our address that it was sent to.
    pub local: IpAddr,
    /// Where it is from.
    pub remote: IpAddr,
    /// The index of the interface that it came through.
    pub interface: Option<NonZeroU32>,
    /// Its TTL or hop limit when it arrived; 0 if that is not known, which is too low.
    pub ttl: u8,
    /// By which port it came.
    pub hops: Hops,
}

impl Sessions {
    /// Takes in the payload of a datagram that arrived at a port of control packets.
    pub fn receive(&mut self, now: Instant, arrival: &Arrival, payload: &[u8], out: &mut Actions) {
        match self.select(arrival, payload) {
            Ok((slot, decoded)) => self.handle(now, slot, Input::Received(&decoded), out),
            Err(reason) => self.discards.count(reason),
        }
    }

    /// Takes in the payload of a datagram that arrived at the port of Echo packets, one of ours or one that says so.
    pub fn receive_echo(&mut self, now: Instant, payload: &[u8], out: &mut Actions) {
        let slot = |packet: EchoPacket| {
            let slot = self.by_discriminator.get(&packet.discriminator).copied();
            slot.map(|slot| (slot, packet)).ok_or(Discard::Echo)
        };
        match EchoPacket::decode(payload).and_then(slot) {
            Ok((slot, packet)) => self.handle(now, slot, Input::EchoReturned(packet), out),
            Err(reason) => self.discards.count(reason),
        }
    }

    /// The checks of RFC 5880 6.8.6 that choose the session, and those of the layer below that depend on it.
    fn select<'a>(
        &self,
        arrival: &Arrival,
        payload: &'a [u8],
    ) -> Result<(usize, Decoded<'a>), Discard> {
        let decoded = decode(payload)?;
        let packet = &decoded.packet;
        let slot = match packet.your_discriminator {
            Some(yours) => self
                .by_discriminator
                .get(&yours.number())
                .ok_or(Discard::UnknownDiscriminator)?,
            None => match packet.state {
                State::Init | State::Up => return Err(Discard::YourDiscriminatorZero),
                State::AdminDown | State::Down => {
                    self.by_arrival(arrival).ok_or(Discard::UnknownAddresses)?
                }
            },
        };
        let entry = self.entry(*slot).ok_or(Discard::UnknownDiscriminator)?;
        check_path(entry, arrival)?;
        if packet.your_discriminator.is_none() && has_begun_with_another(entry, packet) {
            return Err(Discard::OtherDiscriminator);
        }
        Ok((*slot, decoded))
    }

    /// The session of these addresses over this interface, or else over any.
    fn by_arrival(&self, arrival: &Arrival) -> Option<&usize> {
        let key = |interface| SessionKey {
            local: arrival.local,
            remote: arrival.remote,
            interface,
            hops: arrival.hops,
        };
        let exact = self.by_key.get(&key(arrival.interface));
        exact.or_else(|| self.by_key.get(&key(None)))
    }
}

/// Whether a packet may have come this way.
fn check_path(entry: &Entry, arrival: &Arrival) -> Result<(), Discard> {
    if entry.key.hops != arrival.hops {
        return Err(Discard::WrongPort);
    }
    // DEVIATION(RFC 5880 6.3): Your Discriminator alone selects the session there; see the reason.
    let is_other_interface =
        entry.key.interface.is_some() && entry.key.interface != arrival.interface;
    if is_other_interface || (entry.key.local, entry.key.remote) != (arrival.local, arrival.remote)
    {
        return Err(Discard::OtherPath);
    }
    let least = match entry.key.hops {
        // RFC 5881 5. With authentication the RFC leaves the check to us: it keeps floods from afar off the hash.
        Hops::Single => u8::MAX,
        Hops::Multi => entry.least_ttl.map_or(u8::MAX, NonZeroU8::get),
    };
    if arrival.ttl < least {
        return Err(Discard::TtlTooLow);
    }
    Ok(())
}

/// Whether a packet without Your Discriminator is of another remote system than the one that the session is Init or Up with.
/// DEVIATION(RFC 5880 6.3): see [`Discard::OtherDiscriminator`].
fn has_begun_with_another(entry: &Entry, packet: &ControlPacket) -> bool {
    match entry.session.state() {
        State::Init | State::Up => {
            entry.session.remote_discriminator() != Some(packet.my_discriminator)
        }
        State::AdminDown | State::Down => false,
    }
}
