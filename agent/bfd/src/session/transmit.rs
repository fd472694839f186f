//! Transmission of control packets (RFC 5880 6.8.7), and what each input ends with.

use std::time::{Duration, Instant};

use super::timing::Poll;
use super::{Output, Outputs, Role, Session};
use crate::auth::Kind;
use crate::packet::{ControlPacket, Datagram, HEADER, Sequence, State};
use crate::random::Random;

/// Finals that are sent in one interval: a Poll Sequence needs one, and a sequence may follow on another.
const FINALS: u8 = 4;

/// The limit of Finals, so that a flood of Polls does not keep both ends busy.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Finals {
    /// When the present interval began.
    since: Option<Instant>,
    /// Finals since.
    count: u8,
}

impl Finals {
    /// Whether another may be sent; counts it. The limit holds for each `interval`, which is the Desired Min TX Interval that
    /// we advertise, as RFC 5880 6.8.7 demands.
    fn allow(&mut self, now: Instant, interval: Duration) -> bool {
        if self.since.is_none_or(|since| since + interval <= now) {
            *self = Self {
                since: Some(now),
                count: 0,
            };
        }
        self.count = self.count.saturating_add(1);
        self.count <= FINALS
    }
}

impl Session {
    /// Brings everything to what the variables want, sends what is due, and reports a change of the status.
    pub(super) fn settle(
        &mut self,
        now: Instant,
        has_to_answer: bool,
        random: &mut Random,
        out: &mut Outputs,
    ) {
        self.follow(now, random);
        if has_to_answer
            && self
                .finals
                .allow(now, self.timing.desired_min_tx.duration())
        {
            // RFC 5880 6.8.7: at once, whatever the timer and the state; it does not count as a periodic packet.
            self.send(Sequence::Final, out);
        }
        let is_due = self.schedule.next.is_some_and(|next| next <= now);
        if is_due || self.has_news() {
            let sequence = match self.timing.poll {
                Poll::Active => Sequence::Poll,
                Poll::Idle | Poll::Settling => Sequence::None,
            };
            self.send(sequence, out);
            self.schedule.sent(now, self.parameters.detect_mult, random);
        }
        let mult = self.parameters.detect_mult;
        if let Some(packet) = self.echo.due(now, self.discriminator, mult, random) {
            out.push(Output::SendEcho(packet));
        }
        let status = self.status();
        if status != self.reported {
            if (status.state == State::Up) == (self.reported.state == State::Up) {
                out.push(Output::Changed);
            }
            self.reported = status;
        }
    }

    /// Sends the latest packet once more, if there was one.
    pub(super) fn repeat(&mut self, out: &mut Outputs) {
        if self.sent.is_some() {
            self.send(Sequence::None, out);
        }
    }

    /// Intervals, Poll Sequence, Echo function and the time of the next packet, from the variables.
    pub(super) fn follow(&mut self, now: Instant, random: &mut Random) {
        let mult = self.parameters.detect_mult;
        let (wanted, allowed) = match self.state {
            State::Up => (self.parameters.echo_tx, self.remote.required_min_echo_rx),
            State::AdminDown | State::Down | State::Init => (None, None),
        };
        self.echo.follow(now, wanted, allowed, mult, random);
        let is_echo_active = self.echo.interval().is_some();
        self.timing
            .follow(self.state, &self.parameters, is_echo_active);
        if self.timing.is_demand_active(self.state, &self.remote) && self.has_news() {
            // RFC 5880 6.6: periodic packets would not make sure that it arrives.
            self.timing.begin_poll();
        }
        let interval = self.transmit_interval();
        self.schedule.follow(now, interval, mult, random);
    }

    pub(super) fn transmit_interval(&self) -> Option<Duration> {
        let may_begin = self.parameters.role == Role::Active;
        self.timing
            .transmit_interval(self.state, may_begin, &self.remote)
    }

    /// Whether the remote system should know something before the next packet is due (RFC 5880 6.8.7).
    fn has_news(&self) -> bool {
        let may_send = self.parameters.role == Role::Active || self.remote.discriminator.is_some();
        may_send
            && self
                .sent
                .is_some_and(|sent| sent != self.packet(Sequence::None).encode())
    }

    fn packet(&self, sequence: Sequence) -> ControlPacket {
        ControlPacket {
            diagnostic: self.diagnostic,
            state: self.state,
            sequence,
            is_control_plane_independent: false,
            is_demand: false,
            detect_mult: self.parameters.detect_mult,
            my_discriminator: self.discriminator,
            your_discriminator: self.remote.discriminator,
            desired_min_tx: self.timing.desired_min_tx,
            required_min_rx: Some(self.timing.required_min_rx),
            required_min_echo_rx: self.parameters.echo_rx,
        }
    }

    fn send(&mut self, sequence: Sequence, out: &mut Outputs) {
        let packet = self.packet(sequence);
        let contents: [u8; HEADER] = self.packet(Sequence::None).encode();
        let is_new = self.sent != Some(contents);
        self.sent = Some(contents);
        let datagram = match &self.parameters.authentication {
            None => Datagram::plain(&packet),
            Some(authentication) => {
                // RFC 5880 6.7.4: for each packet, or at least for each that differs.
                if is_new || authentication.kind() == Kind::Meticulous {
                    self.sent_number = self.sent_number.wrapping_add(1);
                }
                authentication.sign(&packet, self.sent_number)
            }
        };
        out.push(Output::Send(datagram));
    }
}
