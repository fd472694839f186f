//! Text that a peer chooses (host name, shutdown communication), where it is shown: commands and the log.

use anyhow::{Context, Result, ensure};
use interop_tests::raw::encode::parameter;
use interop_tests::raw::{NOTIFICATION, message};
use interop_tests::{Kind, Lab};

use crate::outcome::Session;
use crate::sessions::{neighbour, session};
use crate::support::bad_input::{Rig, gone};

/// What a terminal obeys: colours, clearing, a title, a bell, C1, overrides of direction, separators of lines, and a
/// line that looks like one of the log.
const HOSTILE: [&str; 4] = [
    "\x1b[31m\x1b[2J\x1b]0;x\x07",
    "a\r\n2026-01-01T00:00:00Z ERROR forged",
    "\u{9b}31m\u{85}\x7f\x08",
    "\u{202e}\u{2066}\u{2028}\u{2029}\u{200b}",
];

pub fn scenario(lab: &Lab) -> Result<()> {
    let both: Vec<_> = (1..=HOSTILE.len())
        .map(|n| neighbour(n, n % 2 == 0, Session::Usual))
        .collect();
    let rig = Rig::start_with(lab, Kind::Routelet, both, "")?;
    for (n, text) in (1..).zip(HOSTILE) {
        let text = text.as_bytes();
        let length = u8::try_from(text.len())?;
        let name = [&[length], text, &[length], text].concat();
        let mut peer = session(&rig, n, Session::Usual, &parameter(73, &name))?;
        let shown = rig.peer(n)?;
        let host = shown["host"].as_str().context("no host name")?;
        harmless(host, "the host name")?;
        commands(&rig, n)?;
        peer.send(&message(NOTIFICATION, &[&[6, 2, length], text].concat()))?;
        gone(&rig, n)?;
        let shown = rig.peer(n)?;
        let told = shown["lastErrorReceived"]["communication"].as_str();
        let told = told.context("no communication")?;
        ensure!(told == host, "{told:?} differs from {host:?}");
        commands(&rig, n)?;
    }
    the_log(&rig)?;
    rig.unharmed()
}

fn harmless(text: &str, what: &str) -> Result<()> {
    let bad = text.chars().find(|c| {
        *c != '\n'
            && (c.is_control()
                || matches!(*c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'))
    });
    ensure!(bad.is_none(), "{what} holds {bad:?}: {text:?}");
    Ok(())
}

/// What every command says in every format.
fn commands(rig: &Rig, n: usize) -> Result<()> {
    let name = format!("n{n}");
    for format in ["table", "json", "yaml"] {
        for question in [&["peers"][..], &["peers", &name], &["status"]] {
            let text = rig.subject.say(&[&["-o", format], question].concat())?;
            harmless(&text, &format!("{question:?} as {format}"))?;
            let forged = text.lines().any(|line| line.starts_with("2026-01-01"));
            ensure!(!forged, "a line is the peer's: {text}");
        }
    }
    Ok(())
}

/// The agent's log: every line is the agent's own.
fn the_log(rig: &Rig) -> Result<()> {
    let log = rig.subject.log()?;
    harmless(&log, "the log")?;
    ensure!(
        log.contains("forged"),
        "the log does not hold the text at all"
    );
    let forged = log.lines().find(|line| line.starts_with("2026-01-01"));
    ensure!(
        forged.is_none(),
        "a line of the log is the peer's: {forged:?}"
    );
    Ok(())
}
