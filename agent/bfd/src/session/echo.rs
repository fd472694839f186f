//! The Echo function (RFC 5880 6.4, 6.8.5, 6.8.8 and 6.8.9; RFC 5881 4).

use std::num::NonZeroU8;
use std::time::{Duration, Instant};

use super::io::EchoPacket;
use super::timing::Schedule;
use crate::packet::{Discard, Discriminator, Interval};
use crate::random::Random;

/// Echo packets that were sent, and whether they come back.
#[derive(Clone, Debug)]
pub(super) struct Echo {
    token: u64,
    /// The number of the last one sent.
    sent: u32,
    /// The number of the last one that came back.
    returned: u32,
    schedule: Schedule,
    interval: Option<Duration>,
    /// When the last one came back, or the first was to be sent.
    alive: Option<Instant>,
}

impl Echo {
    pub(super) fn new(random: &mut Random) -> Self {
        Self {
            token: u64::from(random.number()) << 32 | u64::from(random.number()),
            sent: 0,
            returned: 0,
            schedule: Schedule::default(),
            interval: None,
            alive: None,
        }
    }

    /// Takes over what holds now. `wanted` is what we want and `allowed` what the remote system returns; both are `None`
    /// unless the session is Up (RFC 5880 6.8.9).
    pub(super) fn follow(
        &mut self,
        now: Instant,
        wanted: Option<Interval>,
        allowed: Option<Interval>,
        detect_mult: NonZeroU8,
        random: &mut Random,
    ) {
        let interval = match (wanted, allowed) {
            (Some(wanted), Some(allowed)) => Some(wanted.max(allowed).duration()),
            (None, _) | (_, None) => None,
        };
        if interval.is_some() && self.interval.is_none() {
            self.alive = Some(now);
            self.returned = self.sent;
        }
        self.interval = interval;
        self.schedule.follow(now, interval, detect_mult, random);
    }

    pub(super) fn interval(&self) -> Option<Duration> {
        self.interval
    }

    /// The next packet to send, if one is due.
    pub(super) fn due(
        &mut self,
        now: Instant,
        discriminator: Discriminator,
        detect_mult: NonZeroU8,
        random: &mut Random,
    ) -> Option<EchoPacket> {
        self.schedule.next.filter(|next| *next <= now)?;
        self.sent = self.sent.wrapping_add(1);
        self.schedule.sent(now, detect_mult, random);
        Some(EchoPacket {
            discriminator: discriminator.number(),
            number: self.sent,
            token: self.token,
        })
    }

    /// A packet of this session came back. Each counts once, and only if it was sent after the last that came back.
    pub(super) fn returned(&mut self, now: Instant, packet: &EchoPacket) -> Result<(), Discard> {
        let outstanding = self.sent.wrapping_sub(self.returned);
        let place = packet.number.wrapping_sub(self.returned);
        if packet.token != self.token
            || self.interval.is_none()
            || !(1..=outstanding).contains(&place)
        {
            return Err(Discard::Echo);
        }
        self.returned = packet.number;
        self.alive = Some(now);
        Ok(())
    }

    /// When the function counts as failed: as many as Detect Mult were lost (RFC 5880 6.8.5).
    pub(super) fn expires(&self, detect_mult: NonZeroU8) -> Option<Instant> {
        let interval = self.interval?;
        self.alive
            .map(|alive| alive + interval * u32::from(detect_mult.get()))
    }

    /// When the next one is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.schedule.next
    }
}
