//! Tests of one session, and of two that speak to each other.

#![allow(clippy::unwrap_used)]

mod authentication;
mod demand_and_echo;
mod intervals;
mod reception;
mod transmission;
mod two_ends;

use std::num::NonZeroU8;
use std::time::{Duration, Instant};

use super::*;
use crate::packet::{ControlPacket, Datagram, Interval, Sequence, decode};

pub(super) const MS: Duration = Duration::from_millis(1);
pub(super) const SECOND: Duration = Duration::from_secs(1);

/// 3 x `millis` in both directions.
pub(super) fn every(millis: u32) -> Parameters {
    Parameters::new(Interval::from_millis(millis), NonZeroU8::new(3).unwrap())
}

/// A session under test, its time, and what it put out since the last look.
pub(super) struct Rig {
    pub(super) session: Session,
    pub(super) now: Instant,
    random: Random,
    pub(super) out: Outputs,
}

impl Rig {
    pub(super) fn new(parameters: Parameters) -> Self {
        let (now, mut random) = (Instant::now(), Random::from_number(1));
        let discriminator = Discriminator::new(77).unwrap();
        Self {
            session: Session::new(now, discriminator, parameters, &mut random),
            now,
            random,
            out: Outputs::new(),
        }
    }

    /// A session that is Up, with the remote system's intervals as in [`remote`] and no Poll Sequence.
    pub(super) fn up(parameters: Parameters) -> Self {
        let mut rig = Self::new(parameters);
        rig.input(Input::DeadlineReached);
        rig.receive(remote(State::Down));
        rig.receive(remote(State::Init));
        rig.receive(remote(State::Up).with(Sequence::Final));
        rig.receive(remote(State::Up));
        assert_eq!(rig.session.state(), State::Up);
        assert_eq!(rig.session.timing.poll, timing::Poll::Idle);
        rig.out.clear();
        rig
    }

    pub(super) fn input(&mut self, input: Input<'_>) {
        self.session
            .handle(self.now, input, &mut self.random, &mut self.out);
    }

    pub(super) fn receive(&mut self, packet: ControlPacket) {
        self.receive_datagram(&Datagram::plain(&packet));
    }

    pub(super) fn receive_datagram(&mut self, datagram: &Datagram) {
        let decoded = decode(datagram.octets()).unwrap();
        self.input(Input::Received(&decoded));
    }

    /// Lets time pass; everything that is due on the way is handled when it is due.
    pub(super) fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(at) = self.session.deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.input(Input::DeadlineReached);
        }
        self.now = end;
    }

    /// What was put out since the last look.
    pub(super) fn take(&mut self) -> Outputs {
        std::mem::take(&mut self.out)
    }

    /// The packets among it.
    pub(super) fn sent(&mut self) -> Vec<ControlPacket> {
        packets(&self.take())
    }

    /// The one packet among it.
    pub(super) fn sent_one(&mut self) -> ControlPacket {
        let sent = self.sent();
        assert_eq!(sent.len(), 1, "{sent:?}");
        sent[0]
    }

    /// The events among it: all but packets.
    pub(super) fn events(&mut self) -> Outputs {
        let is_event =
            |output: &Output| matches!(output, Output::Up | Output::Down(_) | Output::Discarded(_));
        self.take().into_iter().filter(is_event).collect()
    }

    pub(super) fn configure(&mut self, parameters: Parameters) {
        self.input(Input::Configure(parameters));
    }
}

/// A packet of the remote system: discriminator 99, 3 x 20 ms, and it knows us.
pub(super) fn remote(state: State) -> ControlPacket {
    ControlPacket {
        diagnostic: Diagnostic::NONE,
        state,
        sequence: Sequence::None,
        is_control_plane_independent: false,
        is_demand: false,
        detect_mult: NonZeroU8::new(3).unwrap(),
        my_discriminator: Discriminator::new(99).unwrap(),
        your_discriminator: Discriminator::new(77),
        desired_min_tx: Interval::from_millis(20),
        required_min_rx: Some(Interval::from_millis(20)),
        required_min_echo_rx: None,
    }
}

impl ControlPacket {
    pub(super) fn with(self, sequence: Sequence) -> Self {
        Self { sequence, ..self }
    }
}

pub(super) fn packets(outputs: &[Output]) -> Vec<ControlPacket> {
    outputs
        .iter()
        .filter_map(|output| match output {
            Output::Send(datagram) => Some(decode(datagram.octets()).unwrap().packet),
            _ => None,
        })
        .collect()
}
