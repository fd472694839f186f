//! Alerts and dashboard ask for metrics and labels that there are, and say what they mean.

#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Labels that the Prometheus operator gives to what it scrapes from pods.
const OF_PODS: [&str; 6] = [
    "container",
    "endpoint",
    "instance",
    "job",
    "namespace",
    "pod",
];

/// What a word of PromQL may be besides a function, a metric and a label.
const OPERATORS: [&str; 5] = ["and", "or", "unless", "bool", "offset"];

/// Words of PromQL with a list of labels behind them.
const LISTS: [&str; 6] = [
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
];

fn in_workspace(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path)
}

fn yaml(path: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(in_workspace(path)).unwrap();
    serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn dashboard() -> Value {
    let path = in_workspace("deploy/monitoring/dashboard.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Every metric of agent and controller as queries name it, with its labels.
fn metrics() -> BTreeMap<String, BTreeSet<&'static str>> {
    let agent = routelet::metrics::METRICS
        .iter()
        .map(|metric| (metric.sample_name(), metric.labels));
    let controller = routelet::controller::METRICS
        .iter()
        .map(|metric| (metric.sample_name(), metric.labels));
    let mut all = BTreeMap::<_, BTreeSet<_>>::new();
    for (name, labels) in agent.chain(controller) {
        all.entry(name).or_default().extend(labels);
    }
    all
}

/// The labels that every series gets by being scraped.
fn of_scraping() -> BTreeSet<String> {
    let mut labels: BTreeSet<String> = OF_PODS.map(str::to_owned).into();
    for monitor in yaml("deploy/monitoring/podmonitor.yaml") {
        for endpoint in monitor["spec"]["podMetricsEndpoints"].as_array().unwrap() {
            let rules = endpoint["relabelings"].as_array();
            for rule in rules.into_iter().flatten() {
                labels.extend(rule["targetLabel"].as_str().map(str::to_owned));
            }
        }
    }
    labels
}

/// What a query names.
#[derive(Debug, Default, PartialEq)]
struct Query {
    /// Metrics with the labels that they are selected by.
    metrics: Vec<(String, Vec<String>)>,
    /// Labels of `by` and its like.
    lists: Vec<String>,
}

impl Query {
    /// Finds the names in PromQL, without understanding the rest.
    fn parse(text: &str) -> Self {
        let mut query = Self::default();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            rest = if first == '"' {
                after(&rest[1..], '"')
            } else if first == '[' {
                after(rest, ']')
            } else if first.is_ascii_digit() {
                split_word(rest).1
            } else if first.is_ascii_alphabetic() || first == '_' {
                let (word, rest) = split_word(rest);
                query.word(word, rest.trim_start())
            } else {
                &rest[first.len_utf8()..]
            };
        }
        query
    }

    /// Takes a word and what belongs to it, and returns what follows.
    fn word<'a>(&mut self, word: &str, rest: &'a str) -> &'a str {
        let next = split_word(rest).0;
        if LISTS.contains(&word) {
            let Some(list) = rest.strip_prefix('(') else {
                return rest;
            };
            let (list, rest) = list.split_once(')').unwrap();
            let names = list.split(',').map(|name| name.trim().to_owned());
            self.lists.extend(names.filter(|name| !name.is_empty()));
            rest
        } else if OPERATORS.contains(&word)
            || rest.starts_with('(')
            || matches!(next, "by" | "without")
        {
            rest
        } else {
            let (matchers, rest) = match rest.strip_prefix('{') {
                Some(inside) => inside.split_once('}').unwrap(),
                None => ("", rest),
            };
            let labels = matchers.split(',').map(|one| split_word(one.trim()).0);
            let labels = labels.filter(|label| !label.is_empty());
            self.metrics
                .push((word.to_owned(), labels.map(str::to_owned).collect()));
            rest
        }
    }
}

fn after(text: &str, end: char) -> &str {
    text.split_once(end).map_or("", |(_, rest)| rest)
}

fn split_word(text: &str) -> (&str, &str) {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '.');
    text.split_at(text.find(|c| !is_part(c)).unwrap_or(text.len()))
}

/// The names between `{{` and `}}`, without `$labels.`; `$value` and functions are none.
fn placeholders(text: &str) -> BTreeSet<String> {
    text.split("{{")
        .skip(1)
        .map(|one| one.split_once("}}").unwrap().0.trim())
        .filter(|name| !name.starts_with("$value"))
        .map(|name| name.trim_start_matches("$labels.").to_owned())
        .collect()
}

/// Checks the names in a query and those of the labels that its results are shown with.
fn check(expr: &str, shown: &BTreeSet<String>) {
    let query = Query::parse(expr);
    let (known, scraped) = (metrics(), of_scraping());
    assert!(!query.metrics.is_empty(), "{expr}: no metric");
    let mut labels = scraped.clone();
    for (name, selected) in &query.metrics {
        let own = known.get(name);
        let own = own.unwrap_or_else(|| panic!("{expr}: there is no metric {name}"));
        for label in selected {
            let there_is = own.contains(label.as_str()) || scraped.contains(label);
            assert!(there_is, "{expr}: {name} has no label {label}");
        }
        labels.extend(own.iter().map(|&label| label.to_owned()));
    }
    for label in &query.lists {
        assert!(
            labels.contains(label),
            "{expr}: nothing has a label {label}"
        );
    }
    if !query.lists.is_empty() {
        labels.retain(|label| query.lists.contains(label));
    }
    for label in shown {
        assert!(labels.contains(label), "{expr}: no label {label} to show");
    }
}

#[test]
fn alerts_ask_for_what_there_is_and_say_what_it_means() {
    let mut names = BTreeSet::new();
    for object in yaml("deploy/monitoring/alerts.yaml") {
        assert_eq!(object["kind"], "PrometheusRule");
        for group in object["spec"]["groups"].as_array().unwrap() {
            for rule in group["rules"].as_array().unwrap() {
                let name = rule["alert"].as_str().unwrap();
                assert!(names.insert(name.to_owned()), "{name} twice");
                let text = |key: &str| {
                    let text = rule["annotations"][key].as_str().unwrap_or_default();
                    assert!(!text.trim().is_empty(), "{name} has no {key}");
                    placeholders(text)
                };
                let shown = &text("summary") | &text("description");
                check(rule["expr"].as_str().unwrap(), &shown);
                let severity = rule["labels"]["severity"].as_str();
                assert!(matches!(severity, Some("critical" | "warning")), "{name}");
            }
        }
    }
    assert!(names.len() >= 8, "{names:?}");
}

#[test]
fn every_panel_asks_for_what_there_is() {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    for panel in panels {
        let title = panel["title"].as_str().unwrap();
        assert!(
            ids.insert(panel["id"].as_u64().unwrap()),
            "{title}: its id is taken"
        );
        for target in panel["targets"].as_array().unwrap() {
            let legend = target["legendFormat"].as_str().unwrap_or_default();
            check(target["expr"].as_str().unwrap(), &placeholders(legend));
        }
    }
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        let query = variable["query"].as_str().unwrap();
        if let Some(asked) = query.strip_prefix("label_values(") {
            let (expr, label) = asked.strip_suffix(')').unwrap().rsplit_once(',').unwrap();
            check(expr, &BTreeSet::from([label.trim().to_owned()]));
        }
    }
}

#[test]
fn the_metrics_that_the_documentation_names_are_there() {
    let known = metrics();
    let pages = ["guides", "reference", "concepts"].map(|kind| format!("docs/{kind}"));
    let pages = pages.iter().flat_map(|folder| {
        let entries = std::fs::read_dir(in_workspace(folder)).unwrap();
        entries.map(|entry| entry.unwrap().path())
    });
    let pages = pages.filter(|page| page.extension().is_some_and(|extension| extension == "md"));
    for page in pages.chain([in_workspace("README.md")]) {
        let text = std::fs::read_to_string(&page).unwrap();
        let page = page.display();
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        for word in words.filter(|word| word.starts_with("routelet_")) {
            assert!(
                known.contains_key(word),
                "{page}: there is no metric {word}"
            );
        }
    }
}

#[test]
fn the_names_in_a_query_are_found() {
    let query = Query::parse(
        r#"sum by (node, x) (rate(a_total{node=~"$node",y!="by (z)"}[5m])) > 0.9 * b_1 and on (c) d == 10"#,
    );
    let metric = |name: &str, labels: &[&str]| {
        let labels = labels.iter().map(|&label| label.to_owned()).collect();
        (name.to_owned(), labels)
    };
    let expected = Query {
        metrics: vec![
            metric("a_total", &["node", "y"]),
            metric("b_1", &[]),
            metric("d", &[]),
        ],
        lists: ["node", "x", "c"].map(str::to_owned).into(),
    };
    assert_eq!(query, expected);
}

#[test]
#[should_panic(expected = "there is no metric routelet_peer_down")]
fn a_metric_that_there_is_not_is_noticed() {
    check("sum(routelet_peer_down) > 0", &BTreeSet::new());
}

#[test]
#[should_panic(expected = "no label peer to show")]
fn a_label_that_was_summed_away_is_noticed() {
    let shown = placeholders("{{ $labels.node }} {{ $labels.peer }} {{ $value }}");
    check("sum by (node) (routelet_peer_up) == 0", &shown);
}
