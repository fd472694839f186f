//! BFD in the languages of BIRD and FRR. The other kinds have none of their own.

use std::fmt::Write as _;
use std::net::IpAddr;

use anyhow::{Context, Result};
use serde_json::Value;

use super::Subject;
use crate::speaker::{Bfd, BfdSession};

impl Subject {
    /// The state of its BFD session with an address, in small letters: `up`.
    ///
    /// # Errors
    /// It does not answer, has no such session, or is neither BIRD nor FRR.
    pub fn bfd_state(&self, remote: &str) -> Result<String> {
        let address: IpAddr = remote.parse().context("a remote address")?;
        let sessions = self.daemon.bfd_sessions(&self.host)?;
        let found = sessions.iter().find(|session| session.remote == address);
        found
            .map(|session| session.state.clone())
            .with_context(|| format!("{self} has no BFD session with {remote}: {sessions:?}"))
    }
}

/// The protocol `bfd` of BIRD.
///
/// # Errors
/// None: writing to a text does not fail.
pub(super) fn bird(sessions: &[Bfd]) -> Result<String> {
    let mut text = String::from("protocol bfd {\n");
    if let Some(first) = sessions.first() {
        // BIRD has them by interface: those of the first session are all's.
        let interval = first.interval.as_millis();
        let mut options = format!(
            "min rx interval {interval} ms; min tx interval {interval} ms; multiplier {};",
            first.mult
        );
        if first.passive {
            options.push_str(" passive yes;");
        }
        if !first.keys.is_empty() {
            let kind = if first.meticulous { "meticulous " } else { "" };
            write!(options, " authentication {kind}keyed sha1;")?;
            for (id, key) in &first.keys {
                write!(options, " password \"{key}\" {{ id {id}; }};")?;
            }
        }
        writeln!(
            text,
            "  interface \"*\" {{ {options} }};\n  multihop {{ {options} }};"
        )?;
    }
    for session in sessions.iter().filter(|session| !session.disabled) {
        let (local, remote) = (session.local, session.remote);
        match &session.interface {
            Some(name) => writeln!(text, "  neighbor {remote} dev \"{name}\" local {local};")?,
            None => writeln!(text, "  neighbor {remote} local {local} multihop yes;")?,
        }
    }
    text.push_str("}\n");
    Ok(text)
}

/// The configuration of FRR's `bfdd`. It also undoes what an earlier one had, when it is read again.
///
/// # Errors
/// As [`bird`].
pub(super) fn frr(sessions: &[Bfd]) -> Result<String> {
    let mut text = String::from("log stdout\nbfd\n");
    for session in sessions {
        let (local, remote) = (session.local, session.remote);
        match &session.interface {
            Some(name) => writeln!(
                text,
                " peer {remote} local-address {local} interface {name}"
            )?,
            None => writeln!(text, " peer {remote} multihop local-address {local}")?,
        }
        let interval = session.interval.as_millis();
        writeln!(text, "  detect-multiplier {}", session.mult)?;
        writeln!(
            text,
            "  receive-interval {interval}\n  transmit-interval {interval}"
        )?;
        let no = |is_on: bool| if is_on { "" } else { "no " };
        writeln!(text, "  {}passive-mode", no(session.passive))?;
        writeln!(text, "  {}shutdown\n exit", no(session.disabled))?;
    }
    text.push_str("exit\n");
    Ok(text)
}

/// Reads `show bfd sessions` of `birdc`: one line for each, of which the columns in the middle differ between versions.
pub(super) fn parse_bird(text: &str) -> Vec<BfdSession> {
    let session = |line: &str| {
        let mut words = line.split_whitespace();
        let remote: IpAddr = words.next()?.parse().ok()?;
        let state = words.nth(1)?.to_lowercase();
        Some(BfdSession { remote, state })
    };
    text.lines().filter_map(session).collect()
}

/// Reads `show bfd peers json` of `vtysh`.
pub(super) fn parse_frr(text: &str) -> Result<Vec<BfdSession>> {
    let all: Value = serde_json::from_str(text).with_context(|| format!("JSON: {text}"))?;
    let session = |peer: &Value| {
        Ok(BfdSession {
            remote: peer["peer"].as_str().context("peer")?.parse()?,
            state: peer["status"].as_str().context("status")?.to_owned(),
        })
    };
    all.as_array()
        .context("a list of peers")?
        .iter()
        .map(session)
        .collect()
}
