//! What agents report of objects that are valid by themselves: one that a node does not use because another takes its
//! place, or of which it cannot do everything. Pure.
//!
//! Nothing is decided here. Which of two objects a node uses depends on what only the node knows, such as its default
//! gateway, and is decided by its intent; the conditions of the objects repeat what the RouterStates say of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Instant;

use routelet_api::router_state::ProblemStatus;
use routelet_api::status::ACCEPTED;
use routelet_base::printable;
use routelet_control::model::ProblemReason;

use super::cache::ControllerCache;
use crate::report::conditions::Finding;

/// How many different texts a condition repeats.
const TEXTS: usize = 3;

/// How many nodes are named with each.
const NODES: usize = 5;

/// `reason` of an object that is used, and of which a node reports something.
const REPORTED: &str = "ReportedByNodes";

/// `reason` of an object that is used instead of others.
const USED_INSTEAD: &str = "HasDuplicates";

/// What a node reports of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Report {
    /// The object, such as `Peer tor-a`.
    object: Box<str>,
    reason: &'static str,
    message: Box<str>,
    /// The node does not use it.
    unused: bool,
    used_instead: Option<Box<str>>,
}

/// How much of a RouterState is taken: what an agent writes. A node that somebody else has taken over may write more.
const MOST: usize = 20;
const LONGEST: usize = 256;

impl Report {
    /// What a RouterState says of objects.
    pub(super) fn all(problems: Vec<ProblemStatus>) -> Box<[Self]> {
        let all = problems.into_iter().filter_map(Self::new);
        all.take(MOST).collect()
    }

    /// `None`: it is a fault of the object itself, which is known here.
    fn new(problem: ProblemStatus) -> Option<Self> {
        let reason = problem.reason?;
        let text = |text: &str| printable::short_line(text, LONGEST).into();
        // Conditions have reasons that are known: those of other versions of the agent are one.
        let known = [
            ProblemReason::Duplicate,
            ProblemReason::Overridden,
            ProblemReason::ValueMissing,
            ProblemReason::ValueUnusable,
            ProblemReason::Unusable,
        ];
        let known = known.into_iter().find(|known| known.as_str() == reason);
        Some(Self {
            object: text(&problem.object),
            reason: known.map_or(REPORTED, ProblemReason::as_str),
            message: text(&problem.message),
            unused: problem.unused,
            used_instead: problem.used_instead.as_deref().map(text),
        })
    }
}

/// What all nodes report, by object.
#[derive(Debug, Default)]
pub(super) struct Reported<'a>(HashMap<&'a str, ObjectReports<'a>>);

#[derive(Debug, Default)]
struct ObjectReports<'a> {
    /// By text, those of nodes that do not use it first.
    texts: BTreeMap<(bool, &'a str), EqualReports<'a>>,
    /// The nodes where it is used instead of another, by that.
    instead_of: BTreeMap<&'a str, BTreeSet<&'a str>>,
}

/// What several nodes report alike.
#[derive(Debug)]
struct EqualReports<'a> {
    reason: &'static str,
    nodes: BTreeSet<&'a str>,
}

impl<'a> Reported<'a> {
    /// What nodes report whose agents run.
    pub(super) fn new(cache: &'a ControllerCache, now: Instant) -> Self {
        let mut all: HashMap<&str, ObjectReports<'_>> = HashMap::new();
        for ((_, node), state) in cache.states.iter() {
            for report in state.reports(now) {
                let of = all.entry(&report.object).or_default();
                let same = of.texts.entry((!report.unused, &report.message));
                let same = same.or_insert_with(|| EqualReports {
                    reason: report.reason,
                    nodes: BTreeSet::new(),
                });
                same.nodes.insert(node);
                if let Some(used) = report.used_instead.as_deref().filter(|_| report.unused) {
                    let of = all.entry(used).or_default();
                    let nodes = of.instead_of.entry(&report.object).or_default();
                    nodes.insert(node);
                }
            }
        }
        Self(all)
    }

    /// What is reported of an object; `used_on`: on how many nodes it has sessions.
    pub(super) fn of(&self, object: &str, used_on: usize) -> Option<Finding> {
        let of = self.0.get(object)?;
        let texts = of.texts.iter();
        let mut parts: Vec<String> = texts
            .take(TEXTS)
            .map(|((used, text), same)| match used {
                false => format!("not used on {}: {text}", in_words(&same.nodes)),
                true => format!("on {}: {text}", in_words(&same.nodes)),
            })
            .collect();
        let more = of.texts.len().saturating_sub(TEXTS);
        if more > 0 {
            parts.push(format!("{more} more: see the RouterStates of the nodes"));
        }
        let first = of.texts.first_key_value();
        if let Some(((false, _), same)) = first {
            if used_on > 0 {
                parts.push(format!("it has sessions on {}", count(used_on)));
            }
            return Some(Finding::bad(ACCEPTED, same.reason, parts.join("; ")));
        }
        let others = of.instead_of.iter().take(TEXTS);
        let others =
            others.map(|(other, nodes)| format!("used instead of {other} on {}", in_words(nodes)));
        parts.extend(others);
        let reason = match first {
            Some((_, same)) => same.reason,
            None => USED_INSTEAD,
        };
        Some(Finding::good(ACCEPTED, reason, parts.join("; ")))
    }
}

fn count(nodes: usize) -> String {
    match nodes {
        1 => "1 node".to_owned(),
        nodes => format!("{nodes} nodes"),
    }
}

/// `node n1`, or `7 nodes (n1, n2, n3, n4, n5...)`.
fn in_words(nodes: &BTreeSet<&str>) -> String {
    let named: Vec<&str> = nodes.iter().take(NODES).copied().collect();
    let named = named.join(", ");
    match nodes.len() {
        1 => format!("node {named}"),
        all if all <= NODES => format!("{all} nodes ({named})"),
        all => format!("{all} nodes ({named}...)"),
    }
}
