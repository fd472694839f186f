//! One session as a pure machine (RFC 5880 6.8): no sockets, no clock, and nothing that can fail.
//!
//! A [`Session`] takes an [`Input`] and the time, and puts out what to do, in order ([`Output`]). Timers are data: the
//! earliest is [`Session::deadline`], and one that was stopped is not there. Each input is handled in two parts: what it
//! means for the variables of section 6.8.1, and then `settle`, which brings intervals, Poll Sequence, Echo function and the
//! next packet to what the variables want.
//!
//! What always holds: `Up` and `Down` alternate, beginning with `Up`; a discarded packet changes nothing (one that arrives in
//! AdminDown no state); a packet never has both P and F; unless Up, nothing below one second is advertised as what we send.
//!
//! Demand mode is honoured when the remote system asks for it, and never asked for. C is always 0: a forwarding failure and
//! a failure of the process that runs this cannot be told apart (RFC 5882 4.3).

mod echo;
mod io;
mod parameters;
mod receive;
mod remote;
#[cfg(test)]
mod tests;
mod timing;
mod transmit;

use std::time::Instant;

pub use io::{DownReason, EchoPacket, Input, LocalFailure, Output, Outputs, Status};
pub use parameters::{Parameters, Role};

use crate::packet::{Diagnostic, Discard, Discriminator, HEADER, Sequence, State};
use crate::random::Random;
use echo::Echo;
use remote::Remote;
use timing::{Schedule, Timing};
use transmit::Finals;

/// One session.
#[derive(Clone, Debug)]
pub struct Session {
    parameters: Parameters,
    /// bfd.LocalDiscr.
    discriminator: Discriminator,
    /// bfd.SessionState.
    state: State,
    /// bfd.LocalDiag.
    diagnostic: Diagnostic,
    remote: Remote,
    /// C of the remote system in its last packet that found or left this session Up.
    was_control_plane_independent: bool,
    timing: Timing,
    /// When the last packet came that was not discarded.
    heard: Option<Instant>,
    /// bfd.XmitAuthSeq.
    sent_number: u32,
    /// bfd.RcvAuthSeq; `None` is bfd.AuthSeqKnown 0.
    received_number: Option<u32>,
    /// When `received_number` is forgotten.
    number_expires: Option<Instant>,
    schedule: Schedule,
    /// The mandatory section of the last packet, without P and F.
    sent: Option<[u8; HEADER]>,
    echo: Echo,
    finals: Finals,
    /// The status that was last reported.
    reported: Status,
}

impl Session {
    /// A session that is Down, and of which nothing was sent. The discriminator is unique among the sessions of this system.
    /// The first packet of the active role is due at once: call [`Session::handle`] with [`Input::DeadlineReached`].
    pub fn new(
        now: Instant,
        discriminator: Discriminator,
        parameters: Parameters,
        random: &mut Random,
    ) -> Self {
        let timing = Timing::new(&parameters);
        let echo = Echo::new(random);
        let mut session = Self {
            discriminator,
            state: State::Down,
            diagnostic: Diagnostic::NONE,
            remote: Remote::UNKNOWN,
            was_control_plane_independent: false,
            timing,
            heard: None,
            // RFC 5880 6.8.1: a random value.
            sent_number: random.number(),
            received_number: None,
            number_expires: None,
            schedule: Schedule::default(),
            sent: None,
            echo,
            finals: Finals::default(),
            reported: Status {
                state: State::Down,
                diagnostic: Diagnostic::NONE,
                remote_state: State::Down,
                remote_diagnostic: Diagnostic::NONE,
                is_remote_control_plane_independent: false,
                transmit_interval: None,
                detection_time: None,
                remote_detection_time: std::time::Duration::ZERO,
                echo_interval: None,
            },
            parameters,
        };
        session.follow(now, random);
        session.reported = session.status();
        session
    }

    /// Handles one input. `now` never goes back.
    pub fn handle(
        &mut self,
        now: Instant,
        input: Input<'_>,
        random: &mut Random,
        out: &mut Outputs,
    ) {
        let mut has_to_answer = false;
        match input {
            Input::Received(packet) => match self.receive(now, packet, out) {
                Ok(answer) => has_to_answer = answer,
                Err(reason) => {
                    out.push(Output::Discarded(reason));
                    // RFC 5880 6.8.6: an AdminDown session discards a packet after it took over what the packet says, and
                    // 6.8.7 has a Poll answered without respect to the state.
                    has_to_answer =
                        reason == Discard::AdminDown && packet.packet.sequence == Sequence::Poll;
                }
            },
            Input::EchoReturned(packet) => {
                if let Err(reason) = self.echo.returned(now, &packet) {
                    out.push(Output::Discarded(reason));
                }
            }
            Input::DeadlineReached => self.expire(now, out),
            Input::Transmit => self.schedule.hasten(now),
            Input::Repeat => self.repeat(out),
            Input::Configure(parameters) => self.configure(parameters),
            Input::Disable => {
                if self.state != State::AdminDown {
                    self.enter(State::AdminDown, Some(DownReason::AdminDown), out);
                }
            }
            Input::Enable => {
                if self.state == State::AdminDown {
                    self.enter(State::Down, None, out);
                }
            }
            Input::LocalFailure(failure) => {
                if self.state != State::AdminDown {
                    self.enter(State::Down, Some(DownReason::Local(failure)), out);
                }
            }
        }
        self.settle(now, has_to_answer, random, out);
    }

    /// When the session wants to be called next if nothing happens before.
    pub fn deadline(&self) -> Option<Instant> {
        self.next_send().into_iter().chain(self.expires()).min()
    }

    /// When the next packet is due at the latest; it may be sent [`Session::may_send_from`].
    pub fn next_send(&self) -> Option<Instant> {
        self.schedule.next.into_iter().chain(self.echo.next()).min()
    }

    /// From when on the next packet may be sent: somewhat early, so that packets of several sessions go out together.
    pub fn may_send_from(&self) -> Option<Instant> {
        let control = self.schedule.earliest();
        control.into_iter().chain(self.echo.next()).min()
    }

    /// When something is over unless a packet arrives before.
    pub fn expires(&self) -> Option<Instant> {
        [
            self.detection_expires(),
            self.number_expires,
            self.echo.expires(self.parameters.detect_mult),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Our discriminator.
    pub fn discriminator(&self) -> Discriminator {
        self.discriminator
    }

    /// The remote system's discriminator (bfd.RemoteDiscr), while it is heard.
    pub fn remote_discriminator(&self) -> Option<Discriminator> {
        self.remote.discriminator
    }

    /// What it is configured with.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Its state.
    pub fn state(&self) -> State {
        self.state
    }

    /// C of the remote system while the session was last Up. Other than [`Status::is_remote_control_plane_independent`] it
    /// outlives the detection time, since it says what the loss of Up means (RFC 5882 4.3).
    pub fn was_control_plane_independent(&self) -> bool {
        self.was_control_plane_independent
    }

    /// What it shows of itself.
    pub fn status(&self) -> Status {
        let ours = self.timing.desired_min_tx;
        let theirs = self.remote.required_min_rx.unwrap_or(ours);
        let mult = u32::from(self.parameters.detect_mult.get());
        Status {
            state: self.state,
            diagnostic: self.diagnostic,
            remote_state: self.remote.state,
            remote_diagnostic: self.remote.diagnostic,
            is_remote_control_plane_independent: self.remote.is_control_plane_independent,
            transmit_interval: self.transmit_interval(),
            detection_time: self.heard.map(|_| self.timing.detection_time(&self.remote)),
            remote_detection_time: ours.max(theirs).duration() * mult,
            echo_interval: self.echo.interval(),
        }
    }

    /// Other parameters. Nothing of it takes the session down (RFC 5880 6.8.3 and 6.8.12).
    fn configure(&mut self, parameters: Parameters) {
        let kind = |parameters: &Parameters| {
            parameters
                .authentication
                .as_ref()
                .map(|authentication| authentication.kind())
        };
        if kind(&parameters) != kind(&self.parameters) {
            // The numbers of one kind say nothing about those of the other.
            self.received_number = None;
            self.number_expires = None;
        }
        self.parameters = parameters;
    }

    /// What is due at `now`, but for packets.
    fn expire(&mut self, now: Instant, out: &mut Outputs) {
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if is_due(self.echo.expires(self.parameters.detect_mult)) {
            // RFC 5880 6.8.5.
            self.enter(State::Down, Some(DownReason::EchoFailed), out);
        }
        if is_due(self.detection_expires()) {
            self.heard = None;
            // RFC 5880 6.8.1 and 6.8.18.
            self.remote = Remote::UNKNOWN;
            self.timing.forget_poll();
            if matches!(self.state, State::Init | State::Up) {
                // RFC 5880 6.8.4.
                self.enter(State::Down, Some(DownReason::DetectionTimeExpired), out);
            }
        }
        if is_due(self.number_expires) {
            // RFC 5880 6.8.1: so that a remote system that was restarted is heard again.
            self.received_number = None;
            self.number_expires = None;
        }
    }

    /// Every change of the state passes here. `reason` is why the session is not Up, if that is known.
    fn enter(&mut self, state: State, reason: Option<DownReason>, out: &mut Outputs) {
        let was_up = self.state == State::Up;
        self.state = state;
        match reason {
            Some(reason) => self.diagnostic = reason.diagnostic(),
            None if state == State::Up => self.diagnostic = Diagnostic::NONE,
            None => {}
        }
        match (was_up, state == State::Up, reason) {
            (false, true, _) => out.push(Output::Up),
            (true, false, Some(reason)) => out.push(Output::Down(reason)),
            (true, false, None) | (false, false, _) | (true, true, _) => {}
        }
    }

    /// When a session that hears nothing more goes down (RFC 5880 6.8.4).
    fn detection_expires(&self) -> Option<Instant> {
        self.heard
            .map(|heard| heard + self.timing.detection_time(&self.remote))
    }
}
