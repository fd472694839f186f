//! Every command as a person sees it: a command line, a real socket, the fake agent, and what is written.

#![allow(clippy::unwrap_used)]

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use clap::{CommandFactory, Parser};
use routelet_control::model::{Drain, DrainStage, Reason, ReasonCode, RouteView};

use super::Cli;
use super::screen::{Format, Screen};
use crate::contract::served::{Served, served};

/// What was written, kept for looking at.
#[derive(Clone, Default)]
struct CapturedOutput(Arc<Mutex<Vec<u8>>>);

impl Write for CapturedOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl CapturedOutput {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

pub(super) struct Seen {
    pub(super) out: String,
    pub(super) notes: String,
    pub(super) result: anyhow::Result<()>,
}

/// Runs a command line against the agent. `width`: of the terminal, if there is one.
pub(super) fn at(served: &Served, width: Option<u16>, line: &str) -> Seen {
    let socket = served.socket.to_str().unwrap();
    let words = line.split(' ').chain(["--control", socket]);
    let cli = Cli::try_parse_from(["routelet"].into_iter().chain(words)).unwrap();
    let (out, notes) = (CapturedOutput::default(), CapturedOutput::default());
    let mut screen = Screen::to(
        cli.output,
        width,
        Box::new(out.clone()),
        Box::new(notes.clone()),
    );
    let result = cli.run(&mut screen);
    screen.flush().unwrap();
    Seen {
        out: out.text(),
        notes: notes.text(),
        result,
    }
}

/// What a command line writes where there is no terminal. It must succeed.
fn piped(line: &str) -> String {
    let seen = at(&served(), None, line);
    seen.result.unwrap();
    seen.out + &seen.notes
}

#[test]
fn status_is_one_page() {
    insta::assert_snapshot!(piped("status"));
}

#[test]
fn status_says_what_it_waits_for() {
    let served = served();
    served.fake.edit(|s| {
        let status = &mut s.status;
        status.gates[0].open = false;
        status.gates[0].message =
            "/etc/routelet/manifests cannot be read: No such file or directory".into();
        status.convergence.converged = false;
        let nodes = 1..1000;
        let waiting = nodes.map(|node| format!("mesh/node-{node} ipv6-unicast"));
        status.convergence.waiting_for = waiting.collect();
        status.drain = Some(Drain {
            stage: DrainStage::Drained,
            reason: Reason::new(ReasonCode::DrainCommand, "requested by routelet drain"),
        });
        status.router_id = None;
        status.listening.clear();
        status.problems.clear();
        status.fib.unavailable = Some("the process lacks CAP_NET_ADMIN".into());
    });
    insta::assert_snapshot!(at(&served, None, "status").out);
}

#[test]
fn status_says_that_no_learned_routes_are_installed() {
    let served = served();
    for (left, shown) in [
        (0, "no learned routes are installed (fib.enabled: false)"),
        (
            2,
            "no learned routes are installed (fib.enabled: false), 2 routes to be removed",
        ),
    ] {
        served.fake.edit(|s| {
            let fib = &mut s.status.fib;
            *fib = Default::default();
            fib.disabled = true;
            fib.installed_ipv6 = left;
            fib.refusing_ipv4 = 1;
        });
        let page = at(&served, None, "status").out;
        let row = format!("Kernel         {shown}; 1 destination for refused traffic\n");
        assert!(page.contains(&row), "{page}");
    }
}

#[test]
fn what_is_not_known_yet_is_not_zero() {
    let served = served();
    served.fake.edit(|s| {
        s.status.asn = None;
        s.status.fib = Default::default();
    });
    let page = at(&served, None, "status").out;
    assert!(page.contains("node-1, AS unknown, "), "{page}");
    assert!(page.contains("Kernel         table unknown"), "{page}");
    let data = at(&served, None, "status --output json").out;
    for field in ["\"asn\"", "\"table\"", "\"metric\"", "\"protocol\""] {
        assert!(!data.contains(field), "{field}: {data}");
    }
}

#[test]
fn peers_are_a_table_and_one_peer_is_a_page() {
    insta::assert_snapshot!("peers", piped("peers"));
    insta::assert_snapshot!("peer_established", piped("peers tor-a"));
    insta::assert_snapshot!("peer_blocked", piped("peers tor-d"));
    insta::assert_snapshot!("peer_refused", piped("peers tor-b"));
}

#[test]
fn routes_of_all_three_views_are_tables() {
    insta::assert_snapshot!("routes_received", piped("routes received"));
    insta::assert_snapshot!("routes_best", piped("routes best"));
    insta::assert_snapshot!("routes_advertised", piped("routes advertised --peer tor-a"));
}

#[test]
fn route_filters_filter() {
    let prefixes = |line: &str| -> Vec<String> {
        piped(line)
            .lines()
            .skip(1)
            .map(|l| l.split(' ').next().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        prefixes("routes best --prefix 10.244.1.7 --longest-match"),
        ["10.244.1.0/24"]
    );
    assert_eq!(
        prefixes("routes best --prefix 198.51.100.0/23 --longer"),
        ["198.51.100.0/24", "198.51.100.0/24", "198.51.101.0/24"]
    );
    assert_eq!(
        prefixes("routes received --family ipv6"),
        ["2001:db8:a::/48"]
    );
    assert_eq!(
        piped("routes best --prefix 198.51.100.7"),
        "No best routes that match.\n"
    );
}

#[test]
fn the_forwarding_table_shows_what_the_kernel_refused() {
    insta::assert_snapshot!("fib", piped("fib"));
    insta::assert_snapshot!("fib_problems", piped("fib --problems"));
    assert_eq!(piped("fib --state pending"), "No entries that match.\n");
}

#[test]
fn explanations_are_trees() {
    insta::assert_snapshot!("explain_prefix", piped("explain 0.0.0.0/0"));
    assert_eq!(
        piped("explain 0.0.0.0/0"),
        piped("explain prefix 0.0.0.0/0")
    );
    insta::assert_snapshot!("explain_service", piped("explain service shop/web"));
    insta::assert_snapshot!("explain_unknown", piped("explain 192.0.2.99"));
}

#[test]
fn on_a_terminal_no_line_is_wider_than_it_and_nothing_is_lost() {
    let served = served();
    for (line, width) in [
        ("peers", 110),
        ("routes received", 140),
        ("routes best", 140),
        ("fib", 110),
    ] {
        let wide = at(&served, None, line).out;
        let narrow = at(&served, Some(width), line).out;
        for row in narrow.lines() {
            assert!(row.chars().count() <= usize::from(width), "{line}: {row}");
        }
        let words = |text: &str| {
            let mut words: Vec<_> = text.split_whitespace().map(str::to_owned).collect();
            words.sort();
            words
        };
        assert_eq!(words(&wide), words(&narrow), "{line}");
    }
    insta::assert_snapshot!("peers_narrow", at(&served, Some(110), "peers").out);
}

#[test]
fn piped_tables_have_one_line_per_row() {
    assert_eq!(piped("peers").lines().count(), 5);
    assert_eq!(piped("fib").lines().count(), 8);
}

#[test]
fn data_is_the_model_in_json_and_yaml() {
    let served = served();
    for line in [
        "status",
        "peers",
        "peers tor-a",
        "routes received",
        "routes advertised",
        "fib",
        "explain 0.0.0.0/0",
        "explain service shop/web",
    ] {
        let json = at(&served, Some(40), &format!("{line} -o json")).out;
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        let yaml = at(&served, Some(40), &format!("{line} -o yaml")).out;
        let yaml: serde_json::Value = serde_saphyr::from_str(&yaml).unwrap();
        assert_eq!(json, yaml, "{line}");
    }
    let peer: routelet_control::model::Peer =
        serde_json::from_str(&at(&served, None, "peers tor-a -o json").out).unwrap();
    assert_eq!(peer, crate::contract::fake::peers()[1]);
    served.fake.edit(|s| s.routes.clear());
    for format in ["json", "yaml"] {
        let empty = at(&served, None, &format!("routes best -o {format}")).out;
        assert_eq!(empty, "[]\n", "an empty list is a list");
    }
}

#[test]
fn a_large_table_is_aligned_over_all_its_pages() {
    let served = served();
    let template = served.fake.edit(|s| s.routes[0].1.clone());
    served.fake.edit(|s| {
        s.routes = (0..1200u32)
            .map(|i| {
                let mut route = template.clone();
                route.prefix = format!("10.{}.{}.0/24", i / 256, i % 256).parse().unwrap();
                (RouteView::Best, route)
            })
            .collect();
    });
    let out = at(&served, None, "routes best").out;
    assert_eq!(out.lines().count(), 1201);
    assert_eq!(out.matches("PREFIX").count(), 1, "one header");
    let columns: std::collections::BTreeSet<_> = out
        .lines()
        .skip(501)
        .map(|l| l.find("tor-a").unwrap())
        .collect();
    assert_eq!(columns.len(), 1, "{columns:?}");
}

#[test]
fn actions_do_what_they_say() {
    let served = served();
    let say = |line: &str| at(&served, None, line).notes;
    assert!(say("drain").contains("drain --undo"));
    assert!(say("drain --undo").contains("over"));
    assert!(say("peer reset tor-a --soft").contains("exchanged again"));
    assert!(say("peer reset tor-a").contains("Administrative Reset"));
    assert_eq!(
        served.fake.edit(|s| s.done.clone()),
        [
            "drain Drain",
            "drain Undo",
            "reset tor-a Soft",
            "reset tor-a Hard"
        ]
    );
}

#[test]
fn errors_say_what_was_found_and_what_to_do() {
    let served = served();
    let error = |line: &str| at(&served, None, line).result.unwrap_err().to_string();
    let mut errors = vec![
        error("peers tor-x"),
        error("routes best --peer tor-x"),
        error("peer reset tor-x"),
        error("explain service shop/wbe"),
    ];
    served.fake.edit(|s| s.peers.clear());
    errors.push(error("peers tor-x"));
    let client = routelet_control::Client::new("/nonexistent/routelet.sock");
    errors.push(client.status().unwrap_err().to_string());
    insta::assert_snapshot!(errors.join("\n\n"));
}

#[test]
fn wrong_command_lines_are_explained() {
    let error = |line: &str| {
        let words = ["routelet"].into_iter().chain(line.split(' '));
        Cli::try_parse_from(words).unwrap_err().to_string()
    };
    assert!(error("explain web").contains("192.0.2.0/24"));
    assert!(error("explain service web").contains("default/web"));
    assert!(error("fib --state gone").contains("installed, degraded"));
    assert!(error("routes best --family arp").contains("ipv4 or ipv6"));
    assert!(error("routes best --longer").contains("--prefix"));
    assert!(error("run --manifests m --kubeconfig k").contains("cannot be used with"));
}

#[test]
fn the_command_line_is_consistent_and_every_shell_can_complete_it() {
    Cli::command().debug_assert();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(
            piped(&format!("completions {shell}")).contains("advertised"),
            "{shell}"
        );
    }
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    struct Gone;
    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let served = served();
    for format in [Format::Table, Format::Json, Format::Yaml] {
        let mut screen = Screen::to(format, None, Box::new(Gone), Box::new(io::sink()));
        for line in ["status", "peers", "routes best", "fib", "explain 0.0.0.0/0"] {
            let socket = served.socket.to_str().unwrap();
            let words = ["routelet", "--control", socket]
                .into_iter()
                .chain(line.split(' '));
            let error = Cli::try_parse_from(words)
                .unwrap()
                .run(&mut screen)
                .unwrap_err();
            assert!(
                super::is_broken_pipe(&error),
                "{line} {format:?}: {error:?}"
            );
        }
    }
}
