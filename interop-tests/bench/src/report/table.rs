//! Tables of a report.

use std::fmt::Write as _;

use super::{Report, Row, Section};
use crate::{Comparison, Metric, Quantity};
use interop_lab::subject::Kind;

/// A table: heads, and rows of as many cells.
struct Cells {
    heads: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// Over the list of what others do better.
const BEHIND: &str = "Where others are better";

/// A value with its unit.
pub(super) fn value(metric: &Metric) -> String {
    format!("{} {}", number(metric.value), metric.quantity.unit)
        .trim()
        .to_owned()
}

/// With three digits that count, without pretending to more.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        small if small >= 0.1 || small == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

/// Whether a quantity has columns of ratios: where one speaker alone can do a work, they would be empty.
fn compares(section: &Section, quantity: &Quantity) -> bool {
    quantity.comparison != Comparison::Context && section.speakers.len() > 1
}

fn cells(section: &Section) -> Cells {
    let quantities = section.quantities();
    let mut heads = vec![String::new()];
    for quantity in &quantities {
        heads.push(quantity.head());
        if compares(section, quantity) {
            heads.extend(["/bird2".to_owned(), "/best".to_owned()]);
        }
    }
    let rows = section
        .speakers
        .iter()
        .map(|(&kind, row)| cells_of(section, &quantities, kind, row))
        .collect();
    Cells { heads, rows }
}

fn cells_of(section: &Section, quantities: &[Quantity], kind: Kind, row: &Row) -> Vec<String> {
    let mut cells = vec![kind.to_string()];
    for (place, quantity) in quantities.iter().enumerate() {
        let shown = match (row.median(quantity), row.exceeded_seconds) {
            (Some(median), _) => number(median),
            (None, Some(limit)) if place == 0 => format!("> {limit:.0}"),
            (None, _) if place == 0 => row.undone.first().cloned().unwrap_or_default(),
            (None, _) => String::new(),
        };
        cells.push(shown);
        if compares(section, quantity) {
            let ratios = section.ratios(kind, quantity);
            cells.extend(ratios.map(|ratio| ratio.map_or_else(String::new, |r| format!("{r:.2}"))));
        }
    }
    if quantities.is_empty() {
        // Nobody has done it: then there is no column to say so in.
        cells.push(match row.exceeded_seconds {
            Some(limit) => format!("> {limit:.0} s"),
            None => row.undone.first().cloned().unwrap_or_default(),
        });
    }
    cells
}

/// Where Routelet's median is not the best one, with whose is. `None` where nobody else was measured.
fn behind(report: &Report) -> Option<Cells> {
    const SUBJECT: Kind = Kind::Routelet;
    let mut compared = false;
    let mut rows = Vec::new();
    for section in &report.works {
        for quantity in section.quantities() {
            let own = section.speakers.get(&SUBJECT);
            let own = own.and_then(|row| row.median(&quantity));
            let (Some(own), Some(best)) = (own, section.best_other(SUBJECT, &quantity)) else {
                continue;
            };
            compared = true;
            // As the tables show it: with two digits behind the point.
            let [_, Some(ratio)] = section.ratios(SUBJECT, &quantity) else {
                continue;
            };
            let is_behind = match quantity.comparison {
                Comparison::LessIsBetter => ratio >= 1.005,
                Comparison::MoreIsBetter => ratio < 0.995,
                Comparison::Context => false,
            };
            if is_behind {
                let holds = |row: &Row| row.median(&quantity) == Some(best);
                let who = section.speakers.iter();
                let who = who.filter(|(kind, row)| **kind != SUBJECT && holds(row));
                let who: Vec<String> = who.map(|(kind, _)| kind.to_string()).collect();
                rows.push(vec![
                    section.name.clone(),
                    quantity.head(),
                    number(own),
                    number(best),
                    who.join(", "),
                    format!("{ratio:.2}"),
                ]);
            }
        }
    }
    let heads = ["work", "what", "routelet", "best", "whose", "/best"];
    compared.then_some(Cells {
        heads: heads.map(str::to_owned).to_vec(),
        rows,
    })
}

fn preface(report: &Report) -> String {
    let machine = &report.machine;
    let mut text = format!(
        "{} cores of {}, {} MB, Linux {}; {} tables{}; medians of at least {} runs\n",
        machine.cores,
        machine.processor,
        machine.memory_mb,
        machine.kernel,
        if report.real { "real" } else { "made-up" },
        if report.scale < 1.0 {
            format!(", {} of each work", report.scale)
        } else {
            String::new()
        },
        report.least_runs(),
    );
    for (kind, version) in &machine.versions {
        let _ = writeln!(text, "{kind}: {version}");
    }
    text
}

/// A table in columns of equal width.
fn aligned(Cells { heads, rows }: &Cells) -> String {
    let mut text = String::new();
    let columns = heads.len().max(2);
    let at = |line: &[String], column: usize| line.get(column).cloned().unwrap_or_default();
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            let all = rows.iter().chain([heads]);
            let widths = all.map(|line| at(line, column).len());
            widths.max().unwrap_or(0)
        })
        .collect();
    for line in [heads].into_iter().chain(rows) {
        let mut shown = format!("  {:<1$}", at(line, 0), widths[0]);
        for (column, width) in widths.iter().enumerate().skip(1) {
            let _ = write!(shown, "  {:>1$}", at(line, column), width);
        }
        let _ = writeln!(text, "{}", shown.trim_end());
    }
    text
}

/// Plain text.
pub(super) fn text(report: &Report) -> String {
    let mut text = preface(report);
    for section in &report.works {
        let _ = writeln!(text, "\n{}: {}", section.name, section.what);
        text.push_str(&aligned(&cells(section)));
    }
    if let Some(behind) = behind(report) {
        let _ = writeln!(text, "\n{BEHIND}:");
        text.push_str(&aligned(&behind));
    }
    for problem in &report.problems {
        let _ = writeln!(text, "\nPROBLEM {problem}");
    }
    text
}

/// A table of Markdown.
fn piped(Cells { heads, rows }: &Cells) -> String {
    let mut text = format!("| {} |\n", heads.join(" | "));
    let _ = writeln!(text, "|---|{}", "--:|".repeat(heads.len().max(2) - 1));
    for row in rows {
        let _ = writeln!(text, "| {} |", row.join(" | "));
    }
    text
}

/// A paragraph in lines as long as those of the documentation.
fn wrapped(paragraph: &str) -> String {
    const COLUMNS: usize = 120;
    let (mut text, mut column) = (String::new(), 0);
    for word in paragraph.split(' ') {
        let length = word.chars().count();
        if column > 0 {
            let fits = column + 1 + length <= COLUMNS;
            text.push(if fits { ' ' } else { '\n' });
            column = if fits { column + 1 } else { 0 };
        }
        text.push_str(word);
        column += length;
    }
    text
}

/// Markdown.
pub(super) fn markdown(report: &Report) -> String {
    let mut text = String::new();
    for line in preface(report).lines() {
        let _ = writeln!(text, "- {line}");
    }
    if let Some(behind) = behind(report) {
        let _ = writeln!(text, "\n**{BEHIND}**\n");
        text.push_str(&piped(&behind));
    }
    for section in &report.works {
        let heading = wrapped(&format!("**{}**: {}", section.name, section.what));
        let _ = writeln!(text, "\n{heading}\n");
        text.push_str(&piped(&cells(section)));
    }
    for problem in &report.problems {
        let _ = writeln!(text, "\nPROBLEM {problem}");
    }
    text
}
