//! Questions without a pause: clients that ask the agent for all it knows, again and again, keep neither sessions nor
//! routes waiting.

mod support;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use interop_tests::probe::kernel;
use interop_tests::{
    Kind, Namespace, Need, Neighbour, Origination, Speaker, Subject, eventually, run,
};
use serde_json::json;
use support::SOON;
use support::node::{Node, node_object, object};

/// What clients ask, each again and again.
const QUESTIONS: [&str; 6] = [
    r#"{"version":1,"command":"status"}"#,
    r#"{"version":1,"command":"peers"}"#,
    r#"{"version":1,"command":"routes","query":{"view":"best"}}"#,
    r#"{"version":1,"command":"routes","query":{"view":"received"}}"#,
    r#"{"version":1,"command":"fib"}"#,
    r#"{"version":1,"command":"status"}"#,
];

/// Longer than the hold time, of 9 s.
const LASTS: Duration = Duration::from_secs(15);

/// Prefixes of the router at first: answers are of some size.
const PREFIXES: u8 = 200;

/// Asks one question; whether the answer came to its end.
fn ask(socket: &str, question: &str) -> std::io::Result<bool> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    writeln!(stream, "{question}")?;
    let mut last = String::new();
    for line in BufReader::new(stream).lines() {
        last = line?;
    }
    Ok(last.contains("\"end\""))
}

/// The router, with so many prefixes.
fn speaker(prefixes: u8) -> Speaker {
    let neighbour = Neighbour::new("10.0.0.1", 64512).passive();
    let speaker = Speaker::new(64502, "10.0.0.2").neighbour(neighbour);
    (0..prefixes).fold(speaker, |speaker, n| {
        speaker.originate(Origination::new(&format!("198.51.{n}.0/24")))
    })
}

fn wait_route(node: &Namespace, n: u8, present: bool) -> Result<()> {
    let prefix = format!("198.51.{n}.0/24");
    eventually(SOON, &format!("{prefix} in the kernel: {present}"), || {
        let found = kernel::routes_to(node, &prefix)?;
        ensure!(found.is_empty() != present, "{found:?}");
        Ok(())
    })
}

#[test]
fn a_flood_of_queries_delays_neither_sessions_nor_routes() {
    let needs = [Need::Speaker(Kind::Routelet), Need::Speaker(Kind::Bird2)];
    run(&needs, |lab| {
        let (at, other) = lab.pair(("node-1", &["10.0.0.1/24"]), ("router", &["10.0.0.2/24"]))?;
        let mut router = Subject::start(lab, Kind::Bird2, &other, speaker(PREFIXES))?;
        let peer = json!({
            "address": "10.0.0.2", "asn": 64502,
            "timers": {"connectRetry": "1s", "hold": "9s", "keepalive": "3s"},
        });
        let config = json!([
            node_object("node-1", &["10.0.0.1"], &["10.244.1.0/24"]),
            object("Peer", "router", &peer),
        ]);
        let node = Node::start(&at, &[("config", config)], &["--http", "off"])?;
        router.wait_established("10.0.0.1")?;
        wait_route(&at, PREFIXES - 1, true)?;
        let (over, answers, failed) =
            (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            let socket = node.socket();
            for question in QUESTIONS.iter().cycle().take(3 * QUESTIONS.len()) {
                let (over, answers, failed) = (&over, &answers, &failed);
                scope.spawn(move || {
                    while !over.load(Ordering::Relaxed) {
                        let count = match ask(socket, question) {
                            Ok(true) => answers,
                            Ok(false) | Err(_) => failed,
                        };
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            let mut asked = || -> Result<()> {
                eventually(SOON, "they ask", || {
                    ensure!(answers.load(Ordering::Relaxed) >= 100);
                    Ok(())
                })?;
                let begun = Instant::now();
                let mut changes = 0;
                // Routes come and go all the while, at the node and at the router.
                while begun.elapsed() < LASTS {
                    let more = PREFIXES + 1;
                    router.reconfigure(speaker(more))?;
                    wait_route(&at, more - 1, true)?;
                    router.reconfigure(speaker(PREFIXES))?;
                    wait_route(&at, more - 1, false)?;
                    changes += 1;
                }
                ensure!(changes >= 2, "{changes} changes in {LASTS:?}");
                let peer = node.ask(&["peers", "router"])?;
                ensure!(peer["state"] == json!("Established"), "{peer}");
                ensure!(peer["establishedCount"] == json!(1), "{peer}");
                Ok(())
            };
            let result = asked();
            over.store(true, Ordering::Relaxed);
            result
        })?;
        let (answers, failed) = (answers.into_inner(), failed.into_inner());
        ensure!(answers >= 300, "{answers} answers, {failed} without");
        router.wait_established("10.0.0.1")
    });
}
