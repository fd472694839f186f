//! Loss under a continuous ping: how many requests stayed without an answer, and for how long at a stretch.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::eventually::eventually;
use crate::netns::Namespace;
use crate::process::{Process, Signal};

/// Between two requests: short enough to measure outages in tens of milliseconds.
const INTERVAL: Duration = Duration::from_millis(20);

/// A ping that goes on until it is stopped.
#[derive(Debug)]
pub struct Ping {
    process: Process,
    target: IpAddr,
}

/// What a ping has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Requests sent.
    pub sent: u32,
    /// Requests answered.
    pub answered: u32,
    /// The longest time without an answer, counted in requests.
    pub longest_gap: Duration,
}

impl Ping {
    /// Starts to ping an address, from one of the namespace's own if `source` names it, and waits for the first answer.
    ///
    /// # Errors
    /// No answer within 10 s.
    pub fn start(namespace: &Namespace, target: &str, source: Option<&str>) -> Result<Self> {
        let address: IpAddr = target.parse().context("an address to ping")?;
        let interval = INTERVAL.as_secs_f64().to_string();
        let mut argv = vec!["stdbuf", "-oL", "ping", "-n", "-i", &interval, "-W", "1"];
        if let Some(source) = source {
            argv.extend(["-I", source]);
        }
        argv.push(target);
        let name = format!("ping-{}", target.replace(':', "-"));
        let ping = Self {
            process: namespace.spawn(&name, &argv)?,
            target: address,
        };
        eventually(
            Duration::from_secs(10),
            &format!("ping of {target}"),
            || {
                let text = ping.process.log_text();
                ensure!(text.contains("time="), "no answer yet: {text}");
                Ok(())
            },
        )?;
        Ok(ping)
    }

    /// Stops it and counts. Requests on their way at the end are not counted as lost.
    ///
    /// # Errors
    /// `ping` does not end, or prints no summary.
    pub fn stop(self) -> Result<Loss> {
        self.process.signal(Signal::SIGINT)?;
        self.process.wait(Duration::from_secs(10))?;
        parse(&self.process.log_text()).with_context(|| format!("ping of {}", self.target))
    }
}

fn parse(text: &str) -> Result<Loss> {
    let answered: BTreeSet<u32> = text
        .lines()
        .filter(|line| line.contains("time="))
        .filter_map(|line| {
            let (_, rest) = line.split_once("icmp_seq=")?;
            rest.split_whitespace().next()?.parse().ok()
        })
        .collect();
    let sent: u32 = text
        .lines()
        .find(|line| line.contains("packets transmitted"))
        .and_then(|line| line.split_whitespace().next()?.parse().ok())
        .context("no summary")?;
    let last = answered.last().copied().unwrap_or(0);
    // The one request that may be under way when ping is stopped.
    let counted = if sent == last + 1 { last } else { sent };
    let mut longest = counted.saturating_sub(last);
    let mut before = 0;
    for number in &answered {
        longest = longest.max(number - before - 1);
        before = *number;
    }
    Ok(Loss {
        sent: counted,
        answered: u32::try_from(answered.len())?,
        longest_gap: INTERVAL * longest,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_longest_gap_is_found_also_at_the_end() {
        let line = |n: u32| format!("64 bytes from 10.0.0.2: icmp_seq={n} ttl=64 time=0.1 ms\n");
        let text: String = [1, 2, 6, 7].map(line).concat();
        let one_under_way = format!("{text}\n8 packets transmitted, 4 received, 50% packet loss");
        let expected = Loss {
            sent: 7,
            answered: 4,
            longest_gap: INTERVAL * 3,
        };
        assert_eq!(parse(&one_under_way).unwrap(), expected);
        let dead = format!("{text}\n20 packets transmitted, 4 received, 80% packet loss");
        assert_eq!(parse(&dead).unwrap().longest_gap, INTERVAL * 13);
    }
}
