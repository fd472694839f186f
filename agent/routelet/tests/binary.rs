//! The binary as scripts see it: exit codes, and which stream says what.

#![allow(clippy::unwrap_used, missing_docs)]

use std::process::{Command, Output, Stdio};

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_routelet"));
    command.args(arguments).env_clear().stdin(Stdio::null());
    command
}

fn routelet(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
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

#[test]
fn manifests_are_checked_from_a_file_and_from_standard_input() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("peer.txt");
    for (asn, code, out, error) in [
        ("64500", 0, "No problems: 1 Peer.\n", ""),
        (
            "many",
            1,
            "peer.txt:4: Peer tor: spec.asn: ",
            "routelet: 1 error in the manifests\n",
        ),
    ] {
        let peer = format!(
            "apiVersion: routelet.dev/v1alpha1\nkind: Peer\nmetadata: {{name: tor}}\nspec: {{address: 192.0.2.1, asn: {asn}}}\n"
        );
        std::fs::write(&file, peer).unwrap();
        let path = file.to_str().unwrap();
        let from_file = routelet(&["check", "--problems", path]);
        let from_stdin = command(&["check", "--problems", "-"])
            .stdin(std::fs::File::open(&file).unwrap())
            .output()
            .unwrap();
        for (output, name) in [(from_file, path), (from_stdin, "standard input")] {
            assert_eq!(output.status.code(), Some(code), "{name}");
            let found = text(&output.stdout).replace(name, "peer.txt");
            let found = found.strip_prefix("error: ").unwrap_or(&found);
            assert!(found.starts_with(out), "{found}");
            assert_eq!(text(&output.stderr), error);
        }
    }
}
