//! The TCP connections, listeners and counters of a namespace, as `ss` and the kernel tell them: what no daemon can
//! hide.

use std::collections::BTreeSet;

use anyhow::{Context, Result};

use crate::netns::Namespace;

/// The TCP connections of a namespace that have one of `ports` at either end and are established, as
/// `local:port remote:port`. A session that was not reset is still the same connection.
///
/// # Errors
/// `ss` fails.
pub fn connections(namespace: &Namespace, ports: &[u16]) -> Result<BTreeSet<String>> {
    let text = namespace.run(&["ss", "-Htn", "state", "established"])?;
    let has_port = |end: &str| ports.iter().any(|port| end.ends_with(&format!(":{port}")));
    Ok(text
        .lines()
        .filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let (local, remote) = (*words.get(2)?, *words.get(3)?);
            (has_port(local) || has_port(remote)).then(|| format!("{local} {remote}"))
        })
        .collect())
}

/// The TCP ports of a namespace that somebody listens on.
///
/// # Errors
/// `ss` fails.
pub fn listening_ports(namespace: &Namespace) -> Result<BTreeSet<u16>> {
    let text = namespace.run(&["ss", "-Hltn"])?;
    Ok(text
        .lines()
        .filter_map(|line| {
            line.split_whitespace()
                .nth(3)?
                .rsplit(':')
                .next()?
                .parse()
                .ok()
        })
        .collect())
}

/// A counter of the namespace's TCP, as the kernel names it (`TCPMD5Failure`); 0 while it has not been counted.
///
/// # Errors
/// The kernel's table cannot be read.
pub fn tcp_counter(namespace: &Namespace, name: &str) -> Result<u64> {
    // Pairs of lines: the names, then the values.
    let text = namespace.run(&["cat", "/proc/net/netstat"])?;
    let lines: Vec<&str> = text.lines().collect();
    let found = lines.chunks_exact(2).find_map(|pair| {
        let index = pair[0].split_whitespace().position(|word| word == name)?;
        pair[1].split_whitespace().nth(index)
    });
    found.map_or(Ok(0), |value| value.parse().context("a counter"))
}
