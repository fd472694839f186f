//! The binary as scripts see it: exit codes, and which stream says what.

#![allow(clippy::unwrap_used, missing_docs)]

use std::process::{Command, Output, Stdio};

fn routelet(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_routelet"))
        .args(arguments)
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn without_an_agent_a_command_fails_and_says_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("routelet.sock");
    let socket = socket.to_str().unwrap();
    for command in [
        &["status"][..],
        &["peers"],
        &["routes", "best"],
        &["fib"],
        &["explain", "::/0"],
        &["drain"],
    ] {
        let output = routelet(&[command, &["--control", socket]].concat());
        assert_eq!(output.status.code(), Some(1), "{command:?}");
        assert!(output.stdout.is_empty(), "{command:?}");
        let error = text(&output.stderr);
        assert!(
            error.starts_with("routelet: no agent is running here"),
            "{error}"
        );
        assert!(
            error.contains(socket) && error.contains("routelet run --manifests"),
            "{error}"
        );
    }
}

#[test]
fn a_wrong_command_line_has_its_own_exit_code() {
    for wrong in [
        &["fly"][..],
        &["routes"],
        &["routes", "best", "--family", "ipx"],
        &["run", "--manifests", "x", "--kubeconfig", "y"],
        &["run", "--manifests", "x", "--http", "nowhere"],
        &["explain", "not-a-prefix"],
    ] {
        let output = routelet(wrong);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
        assert!(output.stdout.is_empty(), "{wrong:?}");
        assert!(!output.stderr.is_empty(), "{wrong:?}");
    }
}

#[test]
fn a_log_filter_that_is_none_is_refused_before_anything_starts() {
    let output = routelet(&["run", "--manifests", "x", "--log", "bgp=loud"]);
    assert_eq!(output.status.code(), Some(1));
    let error = text(&output.stderr);
    assert!(
        error.contains("\"bgp=loud\" is not a log filter"),
        "{error}"
    );
}

#[test]
fn version_and_help_are_answers_not_errors() {
    let output = routelet(&["--version"]);
    assert_eq!(output.status.code(), Some(0));
    let expected = format!("routelet {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(text(&output.stdout), expected);
    let output = routelet(&["help", "routes"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).contains("--longest-match"));
}
