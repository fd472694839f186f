//! The subject's own metrics, of which a work reads how long steps and holds took.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::{Metric, Quantity, Rig};

const LONGEST: Quantity = Quantity::less("longest step", "ms");

const HELD: Quantity = Quantity::less("longest hold", "ms");

/// Steps and holds that took more than 2 ms, since the start.
const LONG: Quantity = Quantity::less("over 2 ms", "");

/// Where the subject serves its metrics.
const METRICS: &str = "127.0.0.1:7179";

/// How long a page may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A page of metrics.
pub(super) struct Page(String);

impl Page {
    pub(super) fn of(rig: &Rig) -> Result<Self> {
        let connected = rig.node.enter(|| TcpStream::connect(METRICS))?;
        let mut stream = connected.context("the metrics of the subject")?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(
            stream,
            "GET /metrics HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n"
        )?;
        let mut page = String::new();
        stream.read_to_string(&mut page)?;
        ensure!(page.starts_with("HTTP/1.1 200"), "{page}");
        Ok(Self(page))
    }

    /// The values of all series of this name that have these words in their labels.
    pub(super) fn values<'a>(
        &'a self,
        name: &'a str,
        labels: &'a str,
    ) -> impl Iterator<Item = f64> + 'a {
        let series = self.0.lines().filter_map(|line| line.rsplit_once(' '));
        let named = series.filter(move |(series, _)| {
            let (of, with) = series.split_once('{').unwrap_or((series, ""));
            of == name && with.contains(labels)
        });
        named.filter_map(|(_, value)| value.parse().ok())
    }

    fn longest(&self, name: &str) -> f64 {
        self.values(name, "").fold(0.0, f64::max) * 1000.0
    }

    fn long(&self, name: &str) -> f64 {
        let all: f64 = self.values(&format!("{name}_count"), "").sum();
        let short: f64 = self.values(&format!("{name}_bucket"), "le=\"0.002\"").sum();
        all - short
    }

    pub(super) fn metrics(&self) -> [Metric; 3] {
        let (steps, holds) = ("routelet_rib_step_seconds", "routelet_fib_lock_seconds");
        [
            LONGEST.is(self.longest("routelet_rib_longest_step_seconds")),
            HELD.is(self.longest("routelet_fib_longest_lock_seconds")),
            LONG.is(self.long(steps) + self.long(holds)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_says_which_steps_were_longest_and_how_many_took_long() {
        let page = Page(
            "routelet_rib_step_seconds_count{step=\"poll\"} 10\n\
             routelet_rib_step_seconds_bucket{le=\"0.002\",step=\"poll\"} 7\n\
             routelet_rib_step_seconds_bucket{le=\"+Inf\",step=\"poll\"} 10\n\
             routelet_rib_longest_step_seconds{step=\"poll\"} 0.004\n\
             routelet_rib_longest_step_seconds{step=\"fib\"} 0.001\n\
             routelet_fib_longest_lock_seconds{holder=\"rib\"} 0.002\n"
                .to_owned(),
        );
        let values = page.metrics().map(|metric| metric.value);
        assert_eq!(values, [4.0, 2.0, 3.0]);
    }
}
