#![allow(clippy::unwrap_used)]
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::*;
use crate::{CPU, OWN_CPU, TIME, WORKS};

fn machine() -> Machine {
    Machine {
        cores: 2,
        processor: "a processor".to_owned(),
        kernel: "6.1".to_owned(),
        memory_mb: 4096,
        versions: [(Kind::Routelet, "routelet 0.1.0".to_owned())].into(),
    }
}

fn report() -> Report {
    let inputs = Inputs::load(Path::new("/nowhere"), 0.001, Duration::from_secs(60)).unwrap();
    let mut report = Report::new(machine(), &inputs);
    for (kind, times) in [
        (Kind::Routelet, [1.0, 9.0, 2.0]),
        (Kind::Bird2, [4.0, 4.0, 4.0]),
        (Kind::Bird3, [5.0, 1.0, 1.0]),
    ] {
        for time in times {
            let metrics = vec![TIME.is(time), CPU.is(time / 2.0), OWN_CPU.is(0.1)];
            let measured = Measured {
                heading: "A",
                metrics,
            };
            report.add(&WORKS[0], kind, Outcome::Done(vec![measured]));
        }
    }
    report
}

fn json(report: &mut Report) -> Value {
    serde_json::from_str(&report.json().unwrap()).unwrap()
}

#[test]
fn a_report_goes_on_where_it_was_written_but_not_on_another_machine() {
    let text = report().json().unwrap();
    let mut read = Report::from_json(&text).unwrap();
    assert_eq!(read.json().unwrap(), text);
    let mut read = read.continued_by(report()).unwrap();
    assert_eq!(read.text(), report().text());
    read.forget(&WORKS[0], Kind::Bird2);
    assert!(!read.text().contains("\n  bird2"), "{}", read.text());
    let mut other = report();
    other.machine.cores = 64;
    assert!(read.continued_by(other).is_err());
}

#[test]
fn json_has_medians_ratios_method_machine_and_versions() {
    let json = json(&mut report());
    assert_eq!(json["schema"], 1);
    assert_eq!(json["machine"]["cores"], 2);
    assert_eq!(json["machine"]["versions"]["routelet"], "routelet 0.1.0");
    assert!(json["method"].as_str().unwrap().contains("median"));
    let routelet = &json["works"][0]["speakers"]["routelet"];
    assert_eq!(json["works"][0]["name"], "A");
    let time = &routelet["quantities"][0];
    assert_eq!(
        (&time["name"], &time["unit"]),
        (&"time".into(), &"s".into())
    );
    assert_eq!(time["values"], Value::from(vec![1.0, 9.0, 2.0]));
    assert_eq!(time["median"], 2.0);
    assert_eq!(time["ratioToBird2"], 0.5);
    assert_eq!(time["ratioToBestOther"], 2.0);
    let own = &routelet["quantities"][2];
    assert_eq!(own["ratioToBird2"], Value::Null, "about the instrument");
}

#[test]
fn one_slow_run_is_shown_as_the_limit_and_has_no_median() {
    let mut report = report();
    report.add(
        &WORKS[0],
        Kind::Bird3,
        Outcome::Slow(Duration::from_secs(60)),
    );
    assert!(report.text().contains("> 60"), "{}", report.text());
    assert!(report.problems().is_empty(), "slow is no problem");
    let json = json(&mut report);
    let bird3 = &json["works"][0]["speakers"]["bird3"];
    assert_eq!(bird3["exceededSeconds"], 60.0);
    assert_eq!(bird3["quantities"][0]["median"], Value::Null);
}

#[test]
fn a_wrong_table_is_a_problem_in_every_form() {
    let mut report = report();
    let why = "1 prefixes are missing".to_owned();
    report.add(&WORKS[0], Kind::Routelet, Outcome::Wrong(why));
    assert_eq!(report.problems().len(), 1);
    for text in [report.text(), report.markdown(), report.json().unwrap()] {
        assert!(text.contains("prefixes are missing"), "{text}");
        assert!(text.contains("wrong"), "{text}");
    }
}

#[test]
fn tables_have_a_column_for_each_ratio() {
    let text = report().text();
    let row = text
        .lines()
        .find(|line| line.trim().starts_with("routelet "));
    let cells: Vec<&str> = row.unwrap().split_whitespace().collect();
    assert_eq!(
        cells,
        [
            "routelet", "2.00", "0.50", "2.00", "1.00", "0.50", "2.00", "0.10"
        ]
    );
    assert!(report().markdown().contains("| routelet | 2.00 | 0.50 |"));
}

#[test]
fn who_is_alone_is_compared_with_nobody() {
    let mut report = report();
    report.forget(&WORKS[0], Kind::Bird2);
    assert!(report.markdown().contains("/best"), "two are left");
    report.forget(&WORKS[0], Kind::Bird3);
    let page = report.markdown();
    assert!(
        page.contains("|  | time s | cpu s | instrument cpu s |"),
        "{page}"
    );
    assert!(page.contains("| routelet | 2.00 | 1.00 | 0.10 |"), "{page}");
}

#[test]
fn where_others_are_better_is_listed_with_whose_median_is_best() {
    let listed = |report: &Report| -> Vec<String> {
        let page = report.markdown();
        let (_, rest) = page.split_once("**Where others are better**").unwrap();
        let (list, _) = rest.split_once("\n**").unwrap();
        list.lines().skip(4).map(str::to_owned).collect()
    };
    let mut report = report();
    // Bird3's median of 1 s is better than Routelet's of 2 s, and bird2's of 4 s is not.
    assert_eq!(
        listed(&report),
        [
            "| A | time s | 2.00 | 1.00 | bird3 | 2.00 |",
            "| A | cpu s | 1.00 | 0.50 | bird3 | 2.00 |",
        ]
    );
    let text = report.text();
    let (_, list) = text.split_once("Where others are better:\n").unwrap();
    assert_eq!(list.lines().count(), 3, "{text}");
    report.forget(&WORKS[0], Kind::Bird3);
    assert!(listed(&report).is_empty(), "bird2 is slower");
    report.forget(&WORKS[0], Kind::Bird2);
    assert!(
        !report.markdown().contains("others"),
        "nobody else was measured"
    );
}

#[test]
fn the_page_of_benchmarks_has_the_tables_of_its_file() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/concepts");
    let text = std::fs::read_to_string(docs.join("benchmarks.json")).unwrap();
    let report = Report::from_json(&text).unwrap();
    let page = std::fs::read_to_string(docs.join("benchmarks.md")).unwrap();
    let is_there = page.contains(report.markdown().trim_end());
    assert!(
        is_there,
        "`bench --show --json FILE --markdown PAGE` makes it"
    );
}
