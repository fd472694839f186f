//! `routelet fib`: what the kernel was asked to hold, and what it holds.

use routelet_control::Client;
use routelet_control::model::{FamilyName, FibEntry, FibQuery, FibState};

use super::routes::FilterArgs;
use super::screen::{Format, Screen};
use super::table::{Pages, prose, text};
use super::words::{commas, time};

/// Show the kernel's forwarding table: wanted, installed and rejected routes
#[derive(Debug, clap::Args)]
pub(super) struct Fib {
    /// Only this address family: ipv4 or ipv6
    #[arg(long, value_name = "FAMILY")]
    family: Option<FamilyName>,

    /// Only prefixes in this state (may be given several times)
    #[arg(long, value_name = "STATE", value_parser = state)]
    state: Vec<FibState>,

    /// Only prefixes with a problem: degraded, pending, failed, refused or foreign
    #[arg(long, conflicts_with = "state")]
    problems: bool,

    #[command(flatten)]
    filter: FilterArgs,
}

fn state(text: &str) -> Result<FibState, String> {
    FibState::ALL
        .into_iter()
        .find(|state| state.as_str() == text)
        .ok_or_else(|| format!("expected one of: {}", commas(FibState::ALL)))
}

impl Fib {
    pub(super) fn run(&self, client: &Client, screen: &mut Screen) -> anyhow::Result<()> {
        let states = if self.problems {
            FibState::ALL
                .into_iter()
                .filter(|state| !matches!(state, FibState::Installed | FibState::Stale))
                .collect()
        } else {
            self.state.clone()
        };
        let query = FibQuery {
            family: self.family,
            prefix: self.filter.filter(),
            states,
        };
        if screen.format != Format::Table {
            let mut list = screen.list();
            let mut written = Ok(());
            client.fib(query, |batch| {
                written = list.add(&batch);
                written.is_ok()
            })?;
            written?;
            return Ok(list.end()?);
        }
        let narrowed = query != FibQuery::default();
        let columns = [
            text("PREFIX"),
            text("STATE"),
            prose("NEXTHOPS"),
            prose("REASON"),
        ];
        let mut pages = Pages::new(&columns);
        let mut written = Ok(());
        client.fib(query, |batch| {
            written = batch
                .iter()
                .try_for_each(|entry| pages.row(screen, row(entry)));
            written.is_ok()
        })?;
        written?;
        if !pages.end(screen)? {
            screen.note(match (self.problems, narrowed) {
                (true, _) => "No problems.",
                (false, true) => "No entries that match.",
                (false, false) => "No entries: no learned routes for the kernel.",
            })?;
        }
        Ok(())
    }
}

fn row(entry: &FibEntry) -> Vec<String> {
    vec![
        entry.prefix.to_string(),
        entry.state.to_string(),
        nexthops(entry),
        why(entry).unwrap_or_default(),
    ]
}

/// Where packets go.
pub(super) fn nexthops(entry: &FibEntry) -> String {
    if let Some(refuses) = &entry.refuses {
        return format!("unreachable (table {})", refuses.table);
    }
    commas(&entry.nexthops)
}

/// What is wrong, and for how long; else what is refused.
pub(super) fn why(entry: &FibEntry) -> Option<String> {
    let Some(reason) = &entry.reason else {
        return Some(format!("refuses {}", entry.refuses.as_ref()?.what));
    };
    Some(match entry.failing_seconds {
        Some(seconds) => format!("{reason} (for {}; retried)", time(seconds)),
        None => reason.to_string(),
    })
}
