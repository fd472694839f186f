//! How many instructions a route costs, stage by stage: `cargo bench -p rib --bench instructions`, or `make instructions`.
//!
//! Times depend on the machine and its mood, counts hardly. Each stage runs alone under callgrind (Debian: valgrind), which
//! counts only within [`measured`]. The counts are compared with those in `instructions.txt` beside this file, and more than
//! a tenth above is a failure. After a change that is worth its instructions, or made some needless, put the new ones there:
//! `cargo bench -p rib --bench instructions -- --update`.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::{Command, ExitCode};

use bgp::fsm::Down;
use common::{Messages, Speaker, decode, prefixes, stream};
use rib::PeerId;

/// A prefix costs about the same in a larger table, but for the time that memory takes.
const ROUTES: u32 = 20_000;
/// Routes that share an attribute set in real tables.
const MEAN: f64 = 5.5;
/// Counts vary by themselves by less than a hundredth (hashes are seeded at random); compilers and libraries by more.
const TOLERANCE: f64 = 1.10;
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.txt");

/// A name, and what prepares and returns the work.
type Stage = (&'static str, fn() -> Box<dyn FnOnce()>);

const STAGES: &[Stage] = &[
    ("decode", || {
        let messages = messages(2, MEAN, 0);
        Box::new(move || drop(decode(&messages)))
    }),
    ("take-in-first-path", || {
        let (mut speaker, updates) = (Speaker::new(2), decode(&messages(2, MEAN, 0)));
        Box::new(move || {
            speaker.take_in(2, &updates);
            std::mem::forget(speaker);
        })
    }),
    ("take-in-repetition", || {
        let (mut speaker, updates) = (Speaker::new(2), decode(&messages(2, MEAN, 0)));
        speaker.take_in(2, &updates);
        Box::new(move || {
            speaker.take_in(2, &updates);
            std::mem::forget(speaker);
        })
    }),
    ("take-in-change", || {
        let mut speaker = Speaker::new(2);
        speaker.take_in(2, &decode(&messages(2, 0.1, 0)));
        speaker.tell();
        let updates = decode(&messages(2, 0.1, 1));
        Box::new(move || {
            speaker.take_in(2, &updates);
            std::mem::forget(speaker);
        })
    }),
    ("decide-among-10", || {
        let mut speaker = Speaker::new(11);
        for feed in 2..11 {
            speaker.take_in(feed, &decode(&messages(feed, MEAN, 0)));
        }
        let updates = decode(&messages(11, MEAN, 0));
        Box::new(move || {
            speaker.take_in(11, &updates);
            std::mem::forget(speaker);
        })
    }),
    ("tell-group", || flush(2, MEAN)),
    ("tell-group-of-100", || flush(100, MEAN)),
    ("tell-one-per-message", || flush(2, 0.1)),
    ("withdraw", || {
        let mut speaker = Speaker::new(2);
        speaker.take_in(2, &decode(&messages(2, MEAN, 0)));
        speaker.tell();
        Box::new(move || {
            let now = speaker.now;
            speaker
                .rib
                .session_down(PeerId(2), &Down::TransportFailed, now);
            speaker.tell();
            std::mem::forget(speaker);
        })
    }),
];

fn messages(feed: u32, mean: f64, version: u64) -> Messages {
    stream(&prefixes(ROUTES), feed, mean, version)
}

/// A group of all peers is told what one of them sent.
fn flush(peers: u32, mean: f64) -> Box<dyn FnOnce()> {
    let mut speaker = Speaker::new(peers);
    speaker.take_in(2, &decode(&messages(2, mean, 0)));
    Box::new(move || {
        speaker.tell();
        std::mem::forget(speaker);
    })
}

/// What callgrind counts, by this name.
#[inline(never)]
fn measured(work: Box<dyn FnOnce()>) {
    work();
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, name] = &arguments[..]
        && flag == "--stage"
    {
        let (_, prepare) = STAGES.iter().find(|(stage, _)| stage == name).unwrap();
        measured(prepare());
        return ExitCode::SUCCESS;
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("skip: needs valgrind");
        return ExitCode::SUCCESS;
    }
    let before = std::fs::read_to_string(FILE).unwrap_or_default();
    let before: BTreeMap<&str, f64> = before
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(name, count)| (name, count.trim().parse().unwrap()))
        .collect();
    println!(
        "instructions per route{:>12}{:>12}{:>8}",
        "now", "before", "ratio"
    );
    let (mut after, mut failed) = (String::new(), false);
    for (name, _) in STAGES {
        let now = count(name);
        let _ = writeln!(after, "{name} {now:.0}");
        let ratio = before.get(name).map(|before| now / before);
        failed |= ratio.is_none_or(|ratio| ratio > TOLERANCE);
        let (old, ratio) = ratio.map_or((String::new(), String::new()), |ratio| {
            (format!("{:.0}", before[name]), format!("{ratio:.2}"))
        });
        println!("  {name:<20}{now:>12.0}{old:>12}{ratio:>8}");
    }
    if arguments.iter().any(|argument| argument == "--update") {
        std::fs::write(FILE, after).unwrap();
    } else if failed {
        println!(
            "more than {TOLERANCE} of what is in {FILE}, or not there: see the head of instructions.rs"
        );
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Instructions of a stage for each route.
fn count(stage: &str) -> f64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .args([
            "--collect-atstart=no",
            "--toggle-collect=*instructions::measured*",
        ])
        .arg(std::env::current_exe().unwrap())
        .args(["--stage", stage])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    let collected = text.lines().find_map(|line| line.split_once("Collected :"));
    let Some((_, number)) = collected.filter(|_| output.status.success()) else {
        panic!("callgrind on {stage}: {text}");
    };
    let number: f64 = number.trim().parse().unwrap();
    assert!(number > 0.0, "callgrind saw nothing of {stage}: {text}");
    number / f64::from(ROUTES)
}
