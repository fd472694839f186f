//! A full table through decoder, RIB and one update group, stage by stage on one core: where time and memory go.
//!
//! `cargo run --release -p rib --example full_table [PREFIX FILE] [FEEDS]` reads a gzipped list of prefixes, one a line,
//! from `../shared/data` unless told. Each of FEEDS peers (1 unless told) sends all of it, with attributes of its own for
//! every 5.5 routes on average; one more peer is told the best ones. No sockets: what is printed is the speaker's own work.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Instant;

use bgp::fsm::{Config, Down, Negotiated, RemoteAsn, negotiate};
use bgp::types::{Asn, BgpIdentifier, Community, Family, NextHop, Nlri, RoutePrefix};
use bgp::wire::attribute::{AsPath, Origin};
use bgp::wire::{
    AttributeSet, Capability, Framer, MessageKind, Open, PathAttributes, PeerKind as WireKind,
    UpdateBatch, UpdateCodec, UpdateEncoder, decode_update,
};
use bytes::{Bytes, BytesMut};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use rib::attrs::{NextHopResolver, Resolution};
use rib::export::{Full, Transport};
use rib::{PeerConfig, PeerId, PeerKind, Rib, RibConfig, SessionInfo};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const OWN: Asn = Asn(64512);
const MONITOR: PeerId = PeerId(1);
const STEPS: usize = 10_000;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let default = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../shared/data/ris-20260511-as3333-v4.txt.gz"
    );
    let path = arguments.next().unwrap_or_else(|| default.to_owned());
    let feeds: u32 = arguments.next().map_or(1, |count| count.parse().unwrap());
    let Ok(file) = std::fs::File::open(&path) else {
        println!("no table at {path}");
        return;
    };
    let lines = BufReader::new(flate2::read::GzDecoder::new(file)).lines();
    let table: Vec<IpNet> = lines.map(|line| line.unwrap().parse().unwrap()).collect();
    if table[0].addr().is_ipv4() {
        run::<Ipv4Net>(&table, feeds);
    } else {
        run::<Ipv6Net>(&table, feeds);
    }
}

fn run<P: RoutePrefix>(table: &[IpNet], feeds: u32) {
    let prefixes: Vec<P> = table.iter().filter_map(|net| P::from_net(*net)).collect();
    let mut rib = Rib::new(RibConfig::new(OWN, BgpIdentifier(1)));
    let now = Instant::now();
    rib.next_hops_changed(Arc::new(Connected));
    let mut sink = Sink::default();
    for number in 1..=feeds + 1 {
        let config = PeerConfig {
            transit: true,
            ..PeerConfig::new(PeerKind::External)
        };
        rib.set_peer(PeerId(number), config);
        rib.session_up(PeerId(number), session(number), now);
    }
    rib.open_gate(now);
    while rib.poll(now, STEPS, &mut sink) {}
    let streams: Vec<Messages> = (2..feeds + 2).map(|feed| stream(&prefixes, feed)).collect();
    let base = resident();
    let (mut decoding, mut taking_in, mut telling) = (0.0, 0.0, 0.0);
    for (feed, stream) in (2..).zip(&streams) {
        sink = Sink::default();
        let codec = UpdateCodec::plain(WireKind::External);
        let framer = Framer::new();
        for part in &stream.0 {
            let start = Instant::now();
            let mut buffer = BytesMut::from(&part[..]);
            let mut updates = UpdateBatch::default();
            for chunk in std::iter::from_fn(|| framer.next(&mut buffer).unwrap()) {
                assert_eq!(chunk.kind, MessageKind::Update);
                updates.push(&decode_update(&chunk.body, &codec));
            }
            decoding += start.elapsed().as_secs_f64();
            let start = Instant::now();
            rib.updates(PeerId(feed), &updates);
            drop(updates);
            taking_in += start.elapsed().as_secs_f64();
            let start = Instant::now();
            while rib.poll(now, STEPS, &mut sink) {}
            rib.take_fib_changes(usize::MAX, |_, _| {});
            telling += start.elapsed().as_secs_f64();
        }
    }
    println!(
        "{feeds} feeds of {} prefixes: decoded in {decoding:.3} s, taken in in {taking_in:.3} s, told in {telling:.3} s \
         ({} messages, {} octets in the end); {} MB more than before, {} MB at the peak",
        prefixes.len(),
        sink.messages,
        sink.octets,
        (resident() - base) / 1024,
        status("VmHWM:") / 1024,
    );
    let start = Instant::now();
    for feed in 2..feeds + 2 {
        rib.session_down(PeerId(feed), &Down::TransportFailed, now);
    }
    while rib.poll(now, STEPS, &mut sink) {}
    println!(
        "withdrawn in {:.3} s; {} KB more than at first",
        start.elapsed().as_secs_f64(),
        resident() as i64 - base as i64
    );
}

/// What the feed sends, cut at messages into parts of at most 32 KiB, as a session's reader does.
fn stream<P: RoutePrefix>(prefixes: &[P], feed: u32) -> Messages {
    let mut random = Random(u64::from(feed));
    let codec = UpdateCodec::plain(WireKind::External);
    let mut encoder = UpdateEncoder::new(codec);
    let mut messages = Messages::default();
    let mut rest = prefixes;
    let mut number = 0;
    while !rest.is_empty() {
        let drawn = (-5.5 * (1.0 - random.unit()).ln()).round() as usize;
        let (block, after) = rest.split_at(drawn.clamp(1, rest.len()));
        rest = after;
        number += 1;
        let attributes = attributes(&mut random, number, feed);
        let set = AttributeSet::from_attributes(&attributes).unwrap();
        let next_hop = match P::FAMILY {
            Family::IPV4_UNICAST => NextHop::Ipv4(address(feed)),
            _ => NextHop::Ipv6(Ipv6Addr::from(0xfd00_u128 << 112 | u128::from(feed))),
        };
        let nlri = block.iter().map(|prefix| Nlri::new(*prefix));
        encoder
            .reach(&set, next_hop, nlri, |message| messages.push(message))
            .unwrap();
    }
    messages
}

#[derive(Default)]
struct Messages(Vec<Vec<u8>>);

impl Messages {
    fn push(&mut self, message: Bytes) {
        match self.0.last_mut() {
            Some(last) if last.len() + message.len() <= 32 * 1024 => {
                last.extend_from_slice(&message);
            }
            _ => self.0.push(message.to_vec()),
        }
    }
}

fn attributes(random: &mut Random, number: u32, feed: u32) -> PathAttributes {
    let mut path = vec![Asn(65_000 + feed)];
    for _ in 0..1 + random.below(5) {
        path.push(Asn(match random.below(4) {
            0 => 131_072 + random.below(70_000),
            _ => 1 + random.below(64_000),
        }));
    }
    let communities = (0..random.below(4))
        .map(|_| Community((1 + random.below(60_000)) << 16 | random.below(65_536)))
        .collect();
    PathAttributes {
        origin: Some(Origin::Igp),
        as_path: AsPath::sequence(path),
        med: (random.below(3) == 0).then_some(number),
        communities,
        ..PathAttributes::default()
    }
}

fn address(peer: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x0a00_0000 + peer)
}

fn negotiated(peer: u32) -> Negotiated {
    let config = Config::new(OWN, BgpIdentifier(1), RemoteAsn::Any, 1);
    let open = Open {
        asn: Asn(65_000 + peer),
        hold_time: 90,
        identifier: BgpIdentifier(0x0a00_0000 + peer),
        capabilities: Family::ALL.map(Capability::Multiprotocol).to_vec(),
    };
    negotiate(&config, &open).unwrap()
}

fn session(peer: u32) -> SessionInfo {
    SessionInfo {
        negotiated: Arc::new(negotiated(peer)),
        remote_address: IpAddr::V4(address(peer)),
        local_ipv4: Some(address(0)),
        local_ipv6: Some(Ipv6Addr::from(0xfd00_u128 << 112)),
        local_link_local: None,
        interface: Some(1),
        subnets: Vec::new(),
        single_hop: true,
    }
}

/// Every next hop is on the link.
struct Connected;

impl NextHopResolver for Connected {
    fn resolve(&self, next_hop: &NextHop, _: Option<u32>) -> Option<Resolution> {
        Some(Resolution {
            gateway: next_hop.address(),
            ifindex: 1,
            metric: 0,
            connected: true,
        })
    }
}

#[derive(Default)]
struct Sink {
    messages: usize,
    octets: usize,
}

impl Transport for Sink {
    fn send(&mut self, peer: PeerId, messages: &Bytes) -> Result<(), Full> {
        if peer == MONITOR {
            self.octets += messages.len();
            let mut rest = &messages[..];
            while !rest.is_empty() {
                self.messages += 1;
                rest = &rest[usize::from(u16::from_be_bytes([rest[16], rest[17]]))..];
            }
        }
        Ok(())
    }
}

fn status(key: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let number = line.unwrap().split_whitespace().next();
    number.unwrap().parse().unwrap()
}

/// Kilobytes.
fn resident() -> usize {
    status("VmRSS:")
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u32) -> u32 {
        (self.next() % u64::from(limit)) as u32
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}
