//! How fast the RIB is: `cargo bench -p rib --bench routes`. Per route; what is measured stands in the names.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use bgp::types::{Asn, BgpIdentifier, NextHop};
use bgp::wire::{AttributeSet, UpdateBatch};
use common::{Random, Speaker, attributes, decode, prefixes, stream};
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use rib::attrs::{AttrId, AttrInterner, Identity};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    divan::main();
}

const ROUTES: u32 = 100_000;
/// Routes that share an attribute set in real tables.
const MEAN: f64 = 5.5;

/// What a feed sends, decoded. Versions differ in their attributes.
fn updates(feed: u32, mean: f64, version: u64) -> Vec<UpdateBatch> {
    decode(&stream(&prefixes(ROUTES), feed, mean, version))
}

fn sets() -> Vec<AttributeSet> {
    let mut random = Random(1);
    let set = |number| AttributeSet::from_attributes(&attributes(&mut random, number, 2));
    (0..20_000).map(set).map(Result::unwrap).collect()
}

#[divan::bench(args = ["new", "known"])]
fn intern_20_000_sets(bencher: Bencher<'_, '_>, kind: &str) {
    let sets = sets();
    let next_hop = NextHop::Ipv4([192, 0, 2, 1].into());
    let intern = |interner: &mut AttrInterner| {
        let ids = sets
            .iter()
            .map(|set| interner.intern(set.as_set_ref(), &next_hop));
        black_box(ids.collect::<Vec<AttrId>>());
    };
    let interner = || {
        let mut interner = AttrInterner::new(Identity {
            asn: Asn(64512),
            router_id: BgpIdentifier(1),
            cluster_id: BgpIdentifier(1),
        });
        if kind == "known" {
            intern(&mut interner);
        }
        interner
    };
    bencher
        .counter(ItemsCount::new(sets.len()))
        .with_inputs(interner)
        .bench_local_refs(intern);
}

/// Prefixes that nobody sent before: entry and path are made.
#[divan::bench]
fn take_in_first_paths(bencher: Bencher<'_, '_>) {
    let updates = updates(2, MEAN, 0);
    bencher
        .counter(ItemsCount::new(ROUTES))
        .with_inputs(|| Speaker::new(2))
        .bench_local_refs(|speaker| speaker.take_in(2, &updates));
}

/// What is stored already, from the same peer.
#[divan::bench]
fn take_in_repetitions(bencher: Bencher<'_, '_>) {
    let updates = updates(2, MEAN, 0);
    let mut speaker = Speaker::new(2);
    speaker.take_in(2, &updates);
    speaker.tell();
    bencher
        .counter(ItemsCount::new(ROUTES))
        .bench_local(|| speaker.take_in(2, &updates));
}

/// Other attributes than those stored, each prefix in a message of its own: the decision is made again.
#[divan::bench]
fn take_in_changes(bencher: Bencher<'_, '_>) {
    let versions = [1, 2].map(|version| updates(2, 0.1, version));
    let mut speaker = Speaker::new(2);
    let mut turn = 0;
    bencher.counter(ItemsCount::new(ROUTES)).bench_local(|| {
        turn += 1;
        speaker.take_in(2, &versions[turn % 2]);
    });
}

/// One more path for each prefix, with so many there: the decision process over all of them.
#[divan::bench(args = [1, 9])]
fn decide_among(bencher: Bencher<'_, '_>, paths: u32) {
    let feeds: Vec<_> = (2..paths + 2).map(|feed| updates(feed, MEAN, 0)).collect();
    let last = updates(paths + 2, MEAN, 0);
    let speaker = || {
        let mut speaker = Speaker::new(paths + 2);
        for (feed, updates) in (2..).zip(&feeds) {
            speaker.take_in(feed, updates);
        }
        speaker.tell();
        speaker
    };
    bencher
        .counter(ItemsCount::new(ROUTES))
        .with_inputs(speaker)
        .bench_local_refs(|speaker| speaker.take_in(paths + 2, &last));
}

/// What changed is evaluated, compared, packed and encoded for a group of so many members.
#[divan::bench(args = [1, 10, 100])]
fn flush_to_group_of(bencher: Bencher<'_, '_>, members: u32) {
    let updates = updates(2, MEAN, 0);
    let speaker = || {
        let mut speaker = Speaker::new(members + 1);
        speaker.take_in(2, &updates);
        speaker
    };
    bencher
        .counter(ItemsCount::new(ROUTES))
        .with_inputs(speaker)
        .bench_local_refs(Speaker::tell);
}
