//! A speaker without sockets: feeds that send made-up attributes, a RIB, and one more peer that is told the best routes.

#![allow(dead_code, unreachable_pub)]

pub mod policies;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Instant;

use bgp::fsm::{Config, Negotiated, RemoteAsn, negotiate};
use bgp::types::{Asn, BgpIdentifier, Community, Family, NextHop, Nlri, RoutePrefix};
use bgp::wire::attribute::{AsPath, Origin};
use bgp::wire::{
    AttributeSet, Capability, Framer, MessageKind, Open, PathAttributes, PeerKind as WireKind,
    UpdateBatch, UpdateCodec, UpdateEncoder, decode_update,
};
use bytes::{Bytes, BytesMut};
use ipnet::Ipv4Net;
use rib::attrs::{NextHopResolver, Resolution};
use rib::export::{Full, Transport};
use rib::{PeerConfig, PeerId, PeerKind, Rib, RibConfig, SessionInfo};

const OWN: Asn = Asn(64512);
/// Told the best routes, as all peers are, and counted.
pub const MONITOR: PeerId = PeerId(1);
const STEPS: usize = 10_000;

/// A RIB with its peers up and nothing in it. Peers from 2 on are feeds.
pub struct Speaker {
    pub rib: Rib,
    pub sink: Sink,
    pub now: Instant,
}

impl Speaker {
    /// With so many peers, the monitor among them.
    pub fn new(peers: u32) -> Self {
        let now = Instant::now();
        let mut rib = Rib::new(RibConfig::new(OWN, BgpIdentifier(1)));
        rib.set_fib(false);
        rib.next_hops_changed(Arc::new(Connected));
        for number in 1..=peers {
            rib.set_peer(PeerId(number), config());
            rib.session_up(PeerId(number), session(number), now);
        }
        rib.open_gate(now);
        let mut speaker = Self {
            rib,
            sink: Sink::default(),
            now,
        };
        speaker.tell();
        speaker
    }

    /// What a feed sent arrives.
    pub fn take_in(&mut self, feed: u32, updates: &[UpdateBatch]) {
        for batch in updates {
            self.rib.updates(PeerId(feed), batch);
        }
    }

    /// Does all that there is to do: decisions that wait, and what peers are told.
    pub fn tell(&mut self) {
        while self.rib.poll(self.now, STEPS, &mut self.sink) {}
    }
}

/// How every peer is configured.
pub fn config() -> PeerConfig {
    PeerConfig {
        transit: true,
        ..PeerConfig::new(PeerKind::External)
    }
}

/// So many /24 prefixes.
pub fn prefixes(count: u32) -> Vec<Ipv4Net> {
    let prefix = |n: u32| Ipv4Net::new(Ipv4Addr::from(0x0100_0000 + (n << 8)), 24);
    (0..count).filter_map(|n| prefix(n).ok()).collect()
}

/// Messages as the reader of a session hands them on.
pub fn decode(messages: &Messages) -> Vec<UpdateBatch> {
    let parts = messages.0.iter();
    parts.map(|part| decode_part(part)).collect()
}

/// One part of a stream.
pub fn decode_part(part: &[u8]) -> UpdateBatch {
    let codec = UpdateCodec::plain(WireKind::External);
    let framer = Framer::new();
    let mut buffer = BytesMut::from(part);
    let mut updates = UpdateBatch::default();
    for message in std::iter::from_fn(|| framer.next(&mut buffer).unwrap()) {
        assert_eq!(message.kind, MessageKind::Update);
        updates.push(&decode_update(&message.body, &codec));
    }
    updates
}

/// What a feed sends, cut at messages into parts of at most 32 KiB, as a session's reader does. `mean`: how many routes
/// share a set. `version`: which attributes they have.
pub fn stream<P: RoutePrefix>(prefixes: &[P], feed: u32, mean: f64, version: u64) -> Messages {
    let mut random = Random(u64::from(feed) << 32 | version);
    let codec = UpdateCodec::plain(WireKind::External);
    let mut encoder = UpdateEncoder::new(codec);
    let mut messages = Messages::default();
    let mut rest = prefixes;
    let mut number = 0;
    while !rest.is_empty() {
        let drawn = (-mean * (1.0 - random.unit()).ln()).round() as usize;
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

/// Whole messages in parts of at most 32 KiB.
#[derive(Default)]
pub struct Messages(pub Vec<Vec<u8>>);

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

/// Attributes as tables have them.
pub fn attributes(random: &mut Random, number: u32, feed: u32) -> PathAttributes {
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
        capabilities: Family::ALL
            .map(Capability::Multiprotocol)
            .into_iter()
            .chain([Capability::FourOctetAs(Asn(65_000 + peer))])
            .collect(),
    };
    negotiate(&config, &open).unwrap()
}

pub fn session(peer: u32) -> SessionInfo {
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
pub struct Connected;

impl NextHopResolver for Connected {
    fn resolve(&self, next_hop: &NextHop, _: Option<u32>) -> Option<Resolution> {
        Some(Resolution {
            gateway: next_hop.address(),
            ifindex: 1,
            metric: 0,
            connected: true,
            onlink: false,
        })
    }
}

/// Counts what the monitor is told.
#[derive(Default)]
pub struct Sink {
    pub messages: usize,
    pub octets: usize,
    /// A peer whose queue is full.
    pub full: Option<PeerId>,
}

impl Transport for Sink {
    fn send(&mut self, peer: PeerId, messages: &Bytes) -> Result<(), Full> {
        if self.full == Some(peer) {
            return Err(Full);
        }
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

/// SplitMix64.
pub struct Random(pub u64);

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
