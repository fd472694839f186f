//! A full table through decoder, RIB and one update group, stage by stage on one core: where time and memory go.
//!
//! `cargo run --release -p rib --example full_table [PREFIX FILE] [FEEDS]` reads a gzipped list of prefixes, one a line,
//! from `../shared/data` unless told. Each of FEEDS peers (1 unless told) sends all of it, with attributes of its own for
//! every 5.5 routes on average; one more peer is told the best ones. No sockets: what is printed is the speaker's own work.
#![allow(clippy::unwrap_used)]

#[path = "../benches/common/mod.rs"]
mod common;

use std::io::{BufRead, BufReader};
use std::time::Instant;

use bgp::fsm::Down;
use bgp::types::RoutePrefix;
use common::{Messages, Sink, Speaker, decode_part, stream};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use rib::PeerId;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
    let mut speaker = Speaker::new(feeds + 1);
    speaker.rib.set_fib(true);
    let streams = (2..feeds + 2).map(|feed| stream(&prefixes, feed, 5.5, 0));
    let streams: Vec<Messages> = streams.collect();
    let base = resident();
    let (mut decoding, mut taking_in, mut telling) = (0.0, 0.0, 0.0);
    for (feed, stream) in (2..).zip(&streams) {
        speaker.sink = Sink::default();
        for part in &stream.0 {
            let start = Instant::now();
            let updates = decode_part(part);
            decoding += start.elapsed().as_secs_f64();
            let start = Instant::now();
            speaker.rib.updates(PeerId(feed), &updates);
            drop(updates);
            taking_in += start.elapsed().as_secs_f64();
            let start = Instant::now();
            speaker.tell();
            speaker.rib.take_fib_changes(usize::MAX, |_, _| {});
            telling += start.elapsed().as_secs_f64();
        }
    }
    println!(
        "{feeds} feeds of {} prefixes: decoded in {decoding:.3} s, taken in in {taking_in:.3} s, told in {telling:.3} s \
         ({} messages, {} octets in the end); {} MB more than before, {} MB at the peak",
        prefixes.len(),
        speaker.sink.messages,
        speaker.sink.octets,
        (resident() - base) / 1024,
        status("VmHWM:") / 1024,
    );
    let start = Instant::now();
    for feed in 2..feeds + 2 {
        let (peer, now) = (PeerId(feed), speaker.now);
        speaker.rib.session_down(peer, &Down::TransportFailed, now);
    }
    speaker.tell();
    println!(
        "withdrawn in {:.3} s; {} KB more than at first",
        start.elapsed().as_secs_f64(),
        resident() as i64 - base as i64
    );
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
