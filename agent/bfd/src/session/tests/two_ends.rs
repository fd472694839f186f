//! Two sessions that speak to each other over a channel that loses, delays and reorders, under virtual time.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// What the channel does with packets.
#[derive(Clone, Copy, Debug)]
struct Channel {
    /// Of 100 packets.
    loss: u32,
    /// In microseconds: the delay of each packet is drawn anew, so that packets overtake each other.
    delay: (u32, u32),
}

const GOOD: Channel = Channel {
    loss: 0,
    delay: (300, 300),
};
const CUT: Channel = Channel { loss: 100, ..GOOD };

/// Two ends, and the packets between them.
struct World {
    now: Instant,
    start: Instant,
    random: Random,
    ends: [Session; 2],
    channel: [Channel; 2],
    /// By arrival: to which end, and what.
    flying: BTreeMap<(Instant, u32), (usize, Datagram)>,
    next: u32,
    /// When each end last changed between Up and not Up.
    changes: [Vec<(Instant, bool)>; 2],
}

impl World {
    fn new(seed: u64, parameters: [Parameters; 2]) -> Self {
        let (now, mut random) = (Instant::now(), Random::from_number(seed));
        let mut make = |number, parameters| {
            let discriminator = Discriminator::new(number).unwrap();
            Session::new(now, discriminator, parameters, &mut random)
        };
        let [left, right] = parameters;
        let ends = [make(1, left), make(2, right)];
        Self {
            now,
            start: now,
            random,
            ends,
            channel: [GOOD; 2],
            flying: BTreeMap::new(),
            next: 0,
            changes: [vec![], vec![]],
        }
    }

    fn handle(&mut self, end: usize, input: Input<'_>) {
        let mut out = Outputs::new();
        self.ends[end].handle(self.now, input, &mut self.random, &mut out);
        for output in out {
            match output {
                Output::Send(datagram) => self.fly(end, datagram),
                Output::Up => self.change(end, true),
                Output::Down(_) => self.change(end, false),
                Output::SendEcho(_) | Output::Changed | Output::Discarded(_) => {}
            }
        }
    }

    fn change(&mut self, end: usize, is_up: bool) {
        let last = self.changes[end].last().is_some_and(|(_, up)| *up);
        assert_ne!(last, is_up, "Up and Down alternate, beginning with Up");
        self.changes[end].push((self.now, is_up));
    }

    fn fly(&mut self, from: usize, datagram: Datagram) {
        let packet = decode(datagram.octets()).unwrap().packet;
        assert!(datagram.octets()[1] & 0x30 != 0x30, "P and F");
        if packet.state != State::Up {
            assert!(packet.desired_min_tx >= Interval::SLOW);
        }
        let channel = self.channel[from];
        if self.random.between(1, 100) <= channel.loss {
            return;
        }
        let delay = self.random.between(channel.delay.0, channel.delay.1);
        self.next += 1;
        let at = self.now + Duration::from_micros(delay.into());
        self.flying.insert((at, self.next), (1 - from, datagram));
    }

    fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            let due = |session: &Session| session.deadline();
            let timer = (0..2)
                .filter_map(|end| due(&self.ends[end]).map(|at| (at, end)))
                .min();
            let arrival = self.flying.keys().next().copied();
            // What has arrived is taken before what is due, as the driver does.
            match (arrival, timer) {
                (Some(key), timer) if key.0 <= end && timer.is_none_or(|(at, _)| key.0 <= at) => {
                    self.now = self.now.max(key.0);
                    let (to, datagram) = self.flying.remove(&key).unwrap();
                    let decoded = decode(datagram.octets()).unwrap();
                    self.handle(to, Input::Received(&decoded));
                }
                (_, Some((at, which))) if at <= end => {
                    self.now = self.now.max(at);
                    self.handle(which, Input::DeadlineReached);
                }
                _ => break,
            }
        }
        self.now = end;
    }

    fn states(&self) -> [State; 2] {
        [self.ends[0].state(), self.ends[1].state()]
    }

    fn detection_time(&self, end: usize) -> Duration {
        self.ends[end].status().detection_time.unwrap()
    }
}

fn any_parameters() -> impl Strategy<Value = Parameters> {
    (5..400u32, 5..400u32, 3..6u8).prop_map(|(tx, rx, mult)| Parameters {
        desired_min_tx: Interval::from_millis(tx),
        required_min_rx: Interval::from_millis(rx),
        ..Parameters::new(Interval::SLOW, NonZeroU8::new(mult).unwrap())
    })
}

fn any_channel() -> impl Strategy<Value = Channel> {
    (0..100u32, 0..50_000u32).prop_map(|(loss, spread)| Channel {
        loss,
        delay: (10, 10 + spread),
    })
}

/// Both ends agree: each listens for as long as the other sends.
fn assert_converged(world: &World) {
    for end in 0..2 {
        let (ours, theirs) = (&world.ends[end], &world.ends[1 - end]);
        let (p, q) = (ours.parameters(), theirs.parameters());
        let interval = p.desired_min_tx.max(q.required_min_rx).duration();
        assert_eq!(ours.status().transmit_interval, Some(interval));
        let detection = interval * u32::from(p.detect_mult.get());
        assert_eq!(theirs.status().detection_time, Some(detection));
        assert_eq!(ours.status().remote_detection_time, detection);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever the channel did, both are Up soon once it is good, stay Up, and agree on the intervals.
    #[test]
    fn a_good_channel_brings_both_up_and_to_the_same_intervals(
        seed in any::<u64>(),
        parameters in [any_parameters(), any_parameters()],
        bad in [any_channel(), any_channel()],
        changed in [any_parameters(), any_parameters()],
    ) {
        let mut world = World::new(seed, parameters);
        world.channel = bad;
        world.run(SECOND * 20);
        for (end, parameters) in changed.into_iter().enumerate() {
            world.handle(end, Input::Configure(parameters));
        }
        world.channel = [GOOD; 2];
        // A detection time of either end, two packets of a slow start, two Poll Sequences.
        world.run(SECOND * 15);
        prop_assert_eq!(world.states(), [State::Up; 2]);
        assert_converged(&world);
        let before = world.changes.clone();
        world.run(SECOND * 20);
        prop_assert_eq!(world.changes, before, "nothing falls on a good channel");
    }

    /// Parameters change while packets fly: nobody goes down, and both ends come to agree.
    #[test]
    fn changed_parameters_take_nobody_down(
        seed in any::<u64>(),
        changes in proptest::collection::vec((0..2usize, any_parameters(), 0..3000u64), 1..8),
    ) {
        let mut world = World::new(seed, [every(50), every(50)]);
        world.run(SECOND * 5);
        prop_assert_eq!(world.states(), [State::Up; 2]);
        for (end, parameters, pause) in changes {
            world.handle(end, Input::Configure(parameters));
            world.run(Duration::from_millis(pause));
        }
        world.run(SECOND * 10);
        prop_assert_eq!(world.changes[0].len() + world.changes[1].len(), 2);
        assert_converged(&world);
    }

    /// A cut is seen by the end that does not hear within its detection time, and by the other end, which is told or does
    /// not hear either, within its own behind that.
    #[test]
    fn neither_end_stays_up_alone(
        seed in any::<u64>(),
        parameters in [any_parameters(), any_parameters()],
        is_one_way in any::<bool>(),
    ) {
        let mut world = World::new(seed, parameters);
        world.run(SECOND * 10);
        prop_assert_eq!(world.states(), [State::Up; 2]);
        let times = [world.detection_time(0), world.detection_time(1)];
        let cut = world.now;
        // From end 0 to end 1.
        world.channel[0] = CUT;
        if !is_one_way {
            world.channel[1] = CUT;
        }
        world.run(times[0] + times[1] + MS);
        prop_assert!(!world.states().contains(&State::Up), "{:?}", world.states());
        let down = |end: usize| world.changes[end].last().unwrap().0 - cut;
        prop_assert!(down(1) <= times[1] + MS, "{:?} of {:?}", down(1), times);
        prop_assert!(down(0) <= times[0] + times[1] + MS);
        let shortest = times[1].mul_f64(0.6);
        prop_assert!(down(1) >= shortest, "not before it could know: {:?} of {:?}", down(1), times);
    }

    /// An end that is restarted is heard again, also when the other one has not missed it.
    #[test]
    fn a_restarted_end_comes_back(seed in any::<u64>(), parameters in [any_parameters(), any_parameters()]) {
        let [left, right] = parameters;
        let mut world = World::new(seed, [left, right.clone()]);
        world.run(SECOND * 10);
        let discriminator = Discriminator::new(3).unwrap();
        world.ends[1] = Session::new(world.now, discriminator, right, &mut world.random);
        world.changes[1].clear();
        world.run(SECOND * 10);
        prop_assert_eq!(world.states(), [State::Up; 2]);
        let changes: Vec<bool> = world.changes[0].iter().map(|(_, up)| *up).collect();
        prop_assert_eq!(changes, [true, false, true], "the first end saw the restart");
        assert_converged(&world);
    }
}

#[test]
fn one_seed_repeats_a_run_exactly() {
    let run = || {
        let mut world = World::new(5, [every(50), every(70)]);
        world.channel = [Channel {
            loss: 30,
            delay: (10, 90_000),
        }; 2];
        world.run(SECOND * 60);
        let times = |end: usize| -> Vec<Duration> {
            world.changes[end]
                .iter()
                .map(|(at, _)| *at - world.start)
                .collect()
        };
        (times(0), times(1), world.next)
    };
    let first = run();
    assert!(first.0.len() > 1, "a bad channel makes it flap");
    assert_eq!(first, run());
}

#[test]
fn two_passive_ends_stay_silent() {
    let passive = Parameters {
        role: Role::Passive,
        ..every(50)
    };
    let mut world = World::new(1, [passive.clone(), passive.clone()]);
    world.run(SECOND * 10);
    assert_eq!((world.states(), world.next), ([State::Down; 2], 0));
    let mut world = World::new(1, [passive, every(50)]);
    world.run(SECOND * 10);
    assert_eq!(world.states(), [State::Up; 2]);
}
