//! How long the longest step of the RIB is where there is much to do: `cargo bench -p rib --bench steps`, with a number for
//! other than a million routes (`-- 100000`). A step is one call, as the thread that owns the RIB makes them; between two it
//! looks at what else has arrived, and none should take more than 2 ms. Times are CPU time of the thread, so that other load
//! on the machine does not count.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use bgp::fsm::Down;
use bgp::types::{Family, NextHop, Nlri, PathId, RoutePrefix};
use bgp::wire::{
    AttributeSet, Reach, RouteRefresh, RouteRefreshSubtype, Update, UpdateBatch, UpdateCodec,
    UpdateEncoder,
};
use common::policies::{list, policy, with_export};
use common::{
    Connected, Messages, Random, Speaker, attributes, config, decode, prefixes, session, stream,
};
use ipnet::Ipv4Net;
use nix::time::ClockId;
use rib::{Originated, PeerConfig, PeerId};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const MEAN: f64 = 5.5;
/// What the owner of the RIB lets one poll do.
const STEPS: usize = 2_500;

/// Steps of one case.
#[derive(Default)]
struct Steps {
    count: usize,
    all: Duration,
    longest: Duration,
    /// Which one that was.
    which: (&'static str, usize),
}

impl Steps {
    fn step<T>(&mut self, what: &'static str, work: impl FnOnce() -> T) -> T {
        let started = cpu_time();
        let done = work();
        let took = cpu_time() - started;
        self.count += 1;
        self.all += took;
        if took > self.longest {
            (self.longest, self.which) = (took, (what, self.count));
        }
        done
    }

    fn poll(&mut self, speaker: &mut Speaker) {
        let Speaker { rib, sink, now } = speaker;
        while self.step("poll", || rib.poll(*now, STEPS, sink)) {}
        while self.step("fib", || rib.take_fib_changes(STEPS, |_, _| {})) == STEPS {}
    }
}

fn cpu_time() -> Duration {
    ClockId::CLOCK_THREAD_CPUTIME_ID.now().unwrap().into()
}

type Case = (&'static str, fn(u32, &mut Steps));

const CASES: &[Case] = &[
    ("a table of one peer", |routes, steps| {
        let mut speaker = Speaker::new(3);
        for batch in full(routes) {
            steps.step("updates", || speaker.rib.updates(PeerId(2), &batch));
            steps.poll(&mut speaker);
        }
    }),
    ("all withdrawn beside a blocked peer", |routes, steps| {
        let mut speaker = filled(3, routes);
        speaker.sink.full = Some(PeerId(3));
        for batch in withdrawals(routes) {
            steps.step("updates", || speaker.rib.updates(PeerId(2), &batch));
            steps.poll(&mut speaker);
        }
        // And told at last.
        speaker.sink.full = None;
        speaker.rib.writable(PeerId(3));
        steps.poll(&mut speaker);
        let (left, _) = speaker.rib.sizes(Family::IPV4_UNICAST);
        assert_eq!(left, 0);
    }),
    (
        "1,000 changes beside 1,000 peers, one blocked",
        |routes, steps| {
            let mut speaker = filled(1_002, routes / 100);
            speaker.sink.full = Some(PeerId(3));
            for batch in decode(&stream(&prefixes(1_000), 2, 0.1, 7)) {
                steps.step("updates", || speaker.rib.updates(PeerId(2), &batch));
                steps.poll(&mut speaker);
            }
        },
    ),
    ("peer down beside 1,000 idle peers", |routes, steps| {
        let mut speaker = filled(1_002, routes);
        let (now, down) = (speaker.now, Down::TransportFailed);
        steps.step("command", || {
            speaker.rib.session_down(PeerId(2), &down, now);
        });
        steps.poll(&mut speaker);
    }),
    (
        "export policy of 100 peers, one after the other",
        |routes, steps| {
            let mut speaker = filled(102, routes);
            for number in 3..103 {
                let config = with_export(policy(1));
                steps.step("command", || speaker.rib.set_peer(PeerId(number), config));
            }
            steps.poll(&mut speaker);
        },
    ),
    (
        "export policy of 100 peers, and polls between",
        |routes, steps| {
            let mut speaker = filled(102, routes);
            for number in 3..103 {
                let config = with_export(policy(1));
                steps.step("command", || speaker.rib.set_peer(PeerId(number), config));
                let Speaker { rib, sink, now } = &mut speaker;
                steps.step("poll", || rib.poll(*now, STEPS, sink));
            }
            steps.poll(&mut speaker);
            // And back to the first policy, with which the monitor still is.
            for number in 3..103 {
                steps.step("command", || speaker.rib.set_peer(PeerId(number), config()));
                let Speaker { rib, sink, now } = &mut speaker;
                steps.step("poll", || rib.poll(*now, STEPS, sink));
            }
            steps.poll(&mut speaker);
        },
    ),
    ("session up beside a table", |routes, steps| {
        let mut speaker = filled(3, routes);
        let now = speaker.now;
        let down = Down::TransportFailed;
        steps.step("command", || {
            speaker.rib.session_down(PeerId(3), &down, now);
        });
        steps.step("command", || {
            speaker.rib.session_up(PeerId(3), session(3), now);
        });
        steps.poll(&mut speaker);
    }),
    ("route refresh", |routes, steps| {
        let mut speaker = filled(3, routes);
        let request = RouteRefresh {
            family: Family::IPV4_UNICAST,
            subtype: RouteRefreshSubtype::Request,
        };
        let now = speaker.now;
        steps.step("command", || {
            speaker.rib.route_refresh(PeerId(3), request, now);
        });
        steps.poll(&mut speaker);
    }),
    (
        "import through a list of 20,000 prefixes",
        |routes, steps| {
            let mut speaker = Speaker::new(2);
            let import = vec![list(20_000)];
            let listed = PeerConfig { import, ..config() };
            steps.step("command", || speaker.rib.set_peer(PeerId(2), listed));
            for batch in full(routes) {
                steps.step("updates", || speaker.rib.updates(PeerId(2), &batch));
                steps.poll(&mut speaker);
            }
        },
    ),
    ("one route of this node beside a table", |routes, steps| {
        let mut speaker = filled(3, routes);
        for number in 0..100_u8 {
            let prefix = ipnet::IpNet::V4(Ipv4Net::new_assert([10, number, 0, 0].into(), 16));
            let change = vec![(
                prefix,
                Some(Originated {
                    prefix,
                    offers: Vec::new(),
                }),
            )];
            steps.step("command", || speaker.rib.change_originated(change));
            steps.poll(&mut speaker);
        }
    }),
    ("20,000 next hops of a peer", |_, steps| {
        next_hops(20_000, steps);
    }),
    ("60,000 next hops of a peer", |_, steps| {
        next_hops(60_000, steps);
    }),
    ("120,000 next hops of a peer", |_, steps| {
        next_hops(120_000, steps);
    }),
    (
        "20,000 paths of a prefix, 256 of them taken in",
        |_, steps| {
            paths(20_000, rib::DEFAULT_MAX_PATHS, steps);
        },
    ),
    (
        "120,000 paths of a prefix, 256 of them taken in",
        |_, steps| {
            paths(120_000, rib::DEFAULT_MAX_PATHS, steps);
        },
    ),
    ("2,000 paths of a prefix, without a limit", |_, steps| {
        paths(2_000, u32::MAX, steps);
    }),
    ("the FIB is enabled", |routes, steps| {
        let mut speaker = filled(3, routes);
        steps.step("command", || speaker.rib.set_fib(true));
        steps.poll(&mut speaker);
        steps.step("command", || speaker.rib.set_fib(false));
        steps.poll(&mut speaker);
    }),
];

fn full(routes: u32) -> Vec<UpdateBatch> {
    decode(&stream(&prefixes(routes), 2, MEAN, 0))
}

fn filled(peers: u32, routes: u32) -> Speaker {
    let mut speaker = Speaker::new(peers);
    speaker.take_in(2, &full(routes));
    speaker.tell();
    // Convergence, and with it End-of-RIB, waits for peers that have sent nothing.
    speaker.now += Duration::from_secs(600);
    speaker.tell();
    speaker
}

/// A peer brings so many next hops, each with a route of its own; where they lead is asked again; then the session ends.
fn next_hops(count: u32, steps: &mut Steps) {
    let mut speaker = Speaker::new(3);
    let max_next_hops = u32::MAX;
    let limits = PeerConfig {
        max_next_hops,
        ..config()
    };
    speaker.rib.set_peer(PeerId(2), limits);
    speaker.rib.set_fib(true);
    let attributes = AttributeSet::from_attributes(&attributes(&mut Random(1), 1, 2)).unwrap();
    let mut encoder = UpdateEncoder::new(UpdateCodec::plain(bgp::wire::PeerKind::External));
    let mut messages = Messages::default();
    for (number, prefix) in (0..).zip(prefixes(count)) {
        let next_hop = NextHop::Ipv4((0x0a10_0000 + number).into());
        let nlri = std::iter::once(Nlri::new(prefix));
        encoder
            .reach(&attributes, next_hop, nlri, |message| {
                messages.0.push(message.to_vec());
            })
            .unwrap();
    }
    for batch in decode(&messages) {
        steps.step("updates", || speaker.rib.updates(PeerId(2), &batch));
        steps.poll(&mut speaker);
    }
    let (taken_in, _) = speaker.rib.sizes(Family::IPV4_UNICAST);
    assert_eq!(taken_in, count as usize);
    steps.step("another resolver", || {
        speaker.rib.next_hops_changed(Arc::new(Connected));
    });
    steps.poll(&mut speaker);
    let (now, down) = (speaker.now, Down::TransportFailed);
    steps.step("session down", || {
        speaker.rib.session_down(PeerId(2), &down, now);
    });
    steps.poll(&mut speaker);
}

/// A peer sends so many paths of one prefix (RFC 7911), a message each.
fn paths(count: u32, max_paths: u32, steps: &mut Steps) {
    let mut speaker = Speaker::new(3);
    let limits = PeerConfig {
        max_paths,
        ..config()
    };
    speaker.rib.set_peer(PeerId(2), limits);
    speaker.rib.set_fib(true);
    let prefix = prefixes(1)[0];
    let attributes = AttributeSet::from_attributes(&attributes(&mut Random(1), 1, 2)).unwrap();
    let path = |number| {
        let nlri = Nlri {
            prefix,
            path_id: PathId(number),
        };
        let reach = Reach {
            next_hop: NextHop::Ipv4([10, 0, 0, 2].into()),
            nlri: Ipv4Net::list(vec![nlri]),
        };
        Update {
            attributes: attributes.clone(),
            reach: [reach].into_iter().collect(),
            ..Update::default()
        }
    };
    let numbers: Vec<u32> = (0..count).collect();
    for some in numbers.chunks(1024) {
        let mut batch = UpdateBatch::default();
        some.iter().for_each(|number| batch.push(&path(*number)));
        steps.step("updates", || speaker.rib.updates(PeerId(2), &batch));
        steps.poll(&mut speaker);
    }
}

fn withdrawals(routes: u32) -> Vec<UpdateBatch> {
    let mut encoder = UpdateEncoder::new(UpdateCodec::plain(bgp::wire::PeerKind::External));
    let mut parts = Messages::default();
    let prefixes = prefixes(routes);
    // As they come while a peer walks its table: some prefixes a message.
    for some in prefixes.chunks(100) {
        let nlri = some.iter().map(|prefix| Nlri::new(*prefix));
        encoder
            .unreach(nlri, |message| parts.0.push(message.to_vec()))
            .unwrap();
    }
    decode(&parts)
}

fn main() {
    let mut routes = 1_000_000;
    let mut wanted = None;
    for word in std::env::args().skip(1).filter(|word| word != "--bench") {
        match word.parse() {
            Ok(number) => routes = number,
            Err(_) => wanted = Some(word),
        }
    }
    println!("{routes} routes: longest step, all steps, how many");
    for (name, run) in CASES {
        if wanted
            .as_ref()
            .is_some_and(|wanted| !name.contains(wanted.as_str()))
        {
            continue;
        }
        let mut steps = Steps::default();
        run(routes, &mut steps);
        let Steps {
            count,
            all,
            longest,
            which,
        } = steps;
        println!("{name:55} {longest:>12.3?} {all:>12.3?} {count:>9} {which:?}");
    }
}
