//! `routelet status`: the agent on one page.

use routelet_control::Client;
use routelet_control::model::{
    DrainStage, FibSummary, GateName, Problem, Severity, Status as Model,
};
use routelet_control::readiness::shorten;

use super::screen::Screen;
use super::words::{commas, count, group, time};

/// Show the agent on one page: sessions, routes, kernel, and problems
#[derive(Debug, clap::Args)]
pub(super) struct Status {}

/// Where values begin.
const INDENT: usize = 15;

impl Status {
    pub(super) fn run(&self, client: &Client, screen: &mut Screen) -> anyhow::Result<()> {
        let status = client.status()?;
        if screen.data(&status)? {
            return Ok(());
        }
        for line in page(&status) {
            screen.line(line)?;
        }
        Ok(())
    }
}

fn page(status: &Model) -> Vec<String> {
    let mut page = Page(Vec::new());
    let asn = match status.asn {
        Some(asn) => format!("AS {asn}"),
        None => "AS unknown".to_owned(),
    };
    let id = match status.router_id {
        Some(id) => format!("router ID {id}"),
        None => "no router ID yet".to_owned(),
    };
    page.row("Node", format!("{}, {asn}, {id}", status.node));
    page.row(
        "Agent",
        format!(
            "routelet {}, process {}, up {}",
            status.version,
            status.pid,
            time(status.uptime_seconds)
        ),
    );
    let age = match status.intent_changed_seconds {
        Some(seconds) => format!(", last change {} ago", time(seconds)),
        None => String::new(),
    };
    page.row("Configuration", format!("{}{age}", status.source));
    page.row(
        "Listening",
        match status.listening.as_slice() {
            [] => "no, connects only".to_owned(),
            addresses => commas(addresses),
        },
    );
    readiness(status, &mut page);
    if let Some(drain) = &status.drain {
        page.row(
            "Drained",
            format!("{}: {}", drained(drain.stage), drain.reason.text),
        );
    }
    let peers = status.peers;
    let mut text = format!("{} of {} established", peers.established, peers.configured);
    if peers.blocked > 0 {
        text.push_str(&format!(", {} blocked", peers.blocked));
    }
    if peers.established < peers.configured {
        text.push_str("  (routelet peers)");
    }
    page.row("Peers", text);
    for (index, family) in status.families.iter().enumerate() {
        let mut text = format!(
            "{}: {}, {} of them our own; {} learned",
            family.family,
            count(family.prefixes, "destination"),
            group(family.originated),
            count(family.paths, "path"),
        );
        for (number, what) in [(family.rejected, "rejected"), (family.stale, "stale")] {
            if number > 0 {
                text.push_str(&format!(", {} {what}", group(number)));
            }
        }
        page.row(if index == 0 { "Routes" } else { "" }, text);
    }
    page.row("Kernel", kernel(&status.fib));
    problems(&status.problems, &mut page);
    page.0
}

/// How far traffic is led away, in words.
fn drained(stage: DrainStage) -> &'static str {
    match stage {
        DrainStage::Drained => "peers are asked to move traffic away",
        DrainStage::WithoutServices => "Services are withdrawn, pod CIDRs follow",
        DrainStage::WithoutPods => "everything is withdrawn",
        DrainStage::Gone => "the node has left; all sessions are closed",
    }
}

fn readiness(status: &Model, page: &mut Page) {
    for gate in status.gates.iter().filter(|gate| !gate.open) {
        page.row(
            "Waiting",
            format!(
                "for {}: {}; {} is advertised before",
                gate.name,
                gate.message,
                match gate.name {
                    GateName::KubeProxy => "no Service",
                    GateName::Source | GateName::AsNumber | GateName::KernelRoutes => "nothing",
                }
            ),
        );
    }
    let convergence = &status.convergence;
    if !convergence.converged {
        let mut text = String::from("the first exchange of routes is not complete");
        if !convergence.waiting_for.is_empty() {
            text.push_str(&format!(
                ": End-of-RIB awaited from {}",
                shorten(&convergence.waiting_for)
            ));
        }
        page.row("Converging", text);
    }
    let Some(readiness) = &status.readiness else {
        return;
    };
    if readiness.ready {
        page.row("Ready", "yes");
    }
    for (index, reason) in readiness.reasons.iter().enumerate() {
        if index == 0 {
            page.row("Ready", format!("no: {reason}"));
        } else {
            page.row("", format!("    {reason}"));
        }
    }
}

fn kernel(fib: &FibSummary) -> String {
    if let Some(why) = &fib.unavailable {
        return format!("no routes can be installed: {why}");
    }
    let routes = count(fib.installed_ipv4 + fib.installed_ipv6, "route");
    let mut text = match (fib.table, fib.disabled) {
        (Some(table), _) => format!(
            "{routes} in table {table}: {} IPv4, {} IPv6",
            group(fib.installed_ipv4),
            group(fib.installed_ipv6),
        ),
        (None, true) => {
            let mut text = "no learned routes are installed (fib.enabled: false)".to_owned();
            if fib.installed_ipv4 + fib.installed_ipv6 > 0 {
                text.push_str(&format!(", {routes} to be removed"));
            }
            text
        }
        (None, false) => return "table unknown".to_owned(),
    };
    let mut trouble = false;
    for (number, what, is_trouble) in [
        (fib.pending, "pending", false),
        (fib.failed, "failed", true),
        (fib.refused, "refused by guard rails", true),
        (fib.stale, "left by a predecessor", false),
    ] {
        if number > 0 {
            text.push_str(&format!(", {} {what}", group(number)));
            trouble |= is_trouble;
        }
    }
    let refusing = fib.refusing_ipv4 + fib.refusing_ipv6;
    if refusing > 0 {
        text.push_str(&format!(
            "; {} for refused traffic",
            count(refusing, "destination")
        ));
    }
    if fib.over_limit > 0 {
        text.push_str(&format!(" ({} over the limit)", group(fib.over_limit)));
    }
    if trouble {
        text.push_str("  (routelet fib --problems)");
    }
    text
}

fn problems(problems: &[Problem], page: &mut Page) {
    if problems.is_empty() {
        page.row("Problems", "none");
        return;
    }
    for (index, problem) in problems.iter().enumerate() {
        page.row(if index == 0 { "Problems" } else { "" }, sentence(problem));
    }
}

/// A problem in one line: how bad, where, what.
pub(super) fn sentence(problem: &Problem) -> String {
    let severity = match problem.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let mut place = String::new();
    if let Some(file) = &problem.file {
        place.push_str(file);
        if let Some(line) = problem.line {
            place.push_str(&format!(":{line}"));
        }
        place.push_str(": ");
    }
    for part in [&problem.object, &problem.field].into_iter().flatten() {
        place.push_str(part);
        place.push_str(": ");
    }
    format!("{severity}: {place}{}", problem.message)
}

/// Lines of a label and a value.
struct Page(Vec<String>);

impl Page {
    fn row(&mut self, label: &str, value: impl AsRef<str>) {
        self.0.push(format!("{label:INDENT$}{}", value.as_ref()));
    }
}
