//! How fast the wire format is: `cargo bench -p bgp --no-default-features --bench wire`.
//!
//! The real UPDATEs are those of `../shared/data`, where it is there; the others are made here.

#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../tests/common/mod.rs"]
mod common;

use bgp::types::{Asn, Community, NextHop, Nlri, NlriList};
use bgp::wire::attribute::{AsPath, Origin};
use bgp::wire::{
    AttributeSet, Framer, PathAttributes, PeerKind, UpdateCodec, UpdateEncoder, decode_update,
};
use bytes::{Bytes, BytesMut};
use divan::counter::{BytesCount, ItemsCount};
use divan::{AllocProfiler, Bencher, black_box};
use ipnet::Ipv4Net;

#[global_allocator]
static ALLOC: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

const CODEC: UpdateCodec = UpdateCodec::plain(PeerKind::Internal);
const OLD: UpdateCodec = UpdateCodec {
    four_octet_as: false,
    ..CODEC
};

/// As many sets as routes need at 5.5 of them each, each with a path of four and two communities.
fn sets(count: u32) -> Vec<AttributeSet> {
    (0..count)
        .map(|n| {
            let attributes = PathAttributes {
                origin: Some(Origin::Igp),
                as_path: AsPath::sequence([3356, 1299, 70_000 + n, n % 65_000 + 1].map(Asn)),
                med: Some(n % 7),
                communities: vec![Community(3356 << 16 | n), Community(3356 << 16 | 2001)],
                ..PathAttributes::default()
            };
            AttributeSet::from_attributes(&attributes).unwrap()
        })
        .collect()
}

fn prefixes(first: u32, count: u32) -> impl Iterator<Item = Nlri<Ipv4Net>> {
    (first..first + count)
        .map(|n| Nlri::new(Ipv4Net::new((0x0100_0000 + (n << 8)).into(), 24).unwrap()))
}

fn next_hop() -> NextHop {
    NextHop::Ipv4([192, 0, 2, 1].into())
}

/// 10,000 messages of about 5.5 routes: a table as it comes from a router.
fn messages(codec: UpdateCodec) -> Vec<Bytes> {
    let mut encoder = UpdateEncoder::new(codec);
    let mut messages = Vec::new();
    for (n, set) in sets(10_000).iter().enumerate() {
        let routes = prefixes(n as u32 * 6, 5 + n as u32 % 2);
        encoder
            .reach(set, next_hop(), routes, |message| messages.push(message))
            .unwrap();
    }
    messages
}

fn decode_all(bodies: &[Bytes], codec: &UpdateCodec) -> usize {
    let routes = bodies.iter().map(|body| {
        let update = black_box(decode_update(body, codec));
        update
            .reach
            .iter()
            .map(|reach| reach.nlri.len())
            .sum::<usize>()
    });
    routes.sum()
}

#[divan::bench(args = ["four-octet", "two-octet"])]
fn decode_table(bencher: Bencher<'_, '_>, speaker: &str) {
    let codec = if speaker == "two-octet" { OLD } else { CODEC };
    let bodies: Vec<Bytes> = messages(codec).iter().map(|m| m.slice(19..)).collect();
    bencher
        .counter(ItemsCount::new(decode_all(&bodies, &codec)))
        .bench(|| decode_all(&bodies, &codec));
}

#[divan::bench]
fn decode_real(bencher: Bencher<'_, '_>) {
    let Some(bodies) = common::real_updates() else {
        return;
    };
    bencher
        .counter(ItemsCount::new(decode_all(&bodies, &CODEC)))
        .bench(|| decode_all(&bodies, &CODEC));
}

#[divan::bench]
fn decode_withdrawals(bencher: Bencher<'_, '_>) {
    let mut bodies = Vec::new();
    UpdateEncoder::new(CODEC)
        .unreach(prefixes(0, 100_000), |message| {
            bodies.push(message.slice(19..));
        })
        .unwrap();
    bencher.counter(ItemsCount::new(100_000usize)).bench(|| {
        let lists = bodies
            .iter()
            .map(|body| decode_update(body, &CODEC).unreach);
        lists
            .flatten()
            .map(|nlri| NlriList::len(&nlri))
            .sum::<usize>()
    });
}

#[divan::bench(args = ["four-octet", "two-octet"])]
fn encode_table(bencher: Bencher<'_, '_>, speaker: &str) {
    let codec = if speaker == "two-octet" { OLD } else { CODEC };
    let sets = sets(10_000);
    bencher.counter(ItemsCount::new(55_000usize)).bench(|| {
        let mut encoder = UpdateEncoder::new(codec);
        let mut octets = 0;
        for (n, set) in sets.iter().enumerate() {
            let routes = prefixes(n as u32 * 6, 5 + n as u32 % 2);
            let out = |message: Bytes| octets += message.len();
            encoder.reach(set, next_hop(), routes, out).unwrap();
        }
        octets
    });
}

#[divan::bench]
fn encode_one_large_set(bencher: Bencher<'_, '_>) {
    let set = sets(1).remove(0);
    bencher.counter(ItemsCount::new(100_000usize)).bench(|| {
        let mut octets = 0;
        let out = |message: Bytes| octets += message.len();
        UpdateEncoder::new(CODEC)
            .reach(&set, next_hop(), prefixes(0, 100_000), out)
            .unwrap();
        octets
    });
}

#[divan::bench]
fn frame(bencher: Bencher<'_, '_>) {
    let stream: Vec<u8> = messages(CODEC).concat();
    let framer = Framer::new();
    bencher
        .counter(BytesCount::new(stream.len()))
        .with_inputs(|| BytesMut::from(&stream[..]))
        .bench_local_values(|mut buffer| {
            let mut count = 0;
            while let Ok(Some(frame)) = framer.next(&mut buffer) {
                count += black_box(frame).body.len();
            }
            count
        });
}

#[divan::bench]
fn questions_of_the_decision_process(bencher: Bencher<'_, '_>) {
    let sets = sets(10_000);
    bencher.counter(ItemsCount::new(sets.len())).bench(|| {
        let asked = sets.iter().map(|set| {
            let path = set.as_path();
            path.length()
                + set.med().unwrap_or(0)
                + set.local_pref().unwrap_or(100)
                + path.first_as().map_or(0, |asn| asn.0)
        });
        asked.fold(0u32, u32::wrapping_add)
    });
}
