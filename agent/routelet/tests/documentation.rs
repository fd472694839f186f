//! What the pages of the documentation point at is there, and the words that commands show are explained.

#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use routelet::control::model::{FibState, SessionState};

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All Markdown files that are read by people, relative to the workspace.
fn pages() -> Vec<PathBuf> {
    let mut pages = Vec::new();
    let mut folders: Vec<PathBuf> = ["", "docs", "docs/decisions", "deploy", "examples/routers"]
        .map(PathBuf::from)
        .into();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(workspace().join(&folder)).unwrap() {
            let page = folder.join(entry.unwrap().file_name());
            if page.extension().is_some_and(|extension| extension == "md") {
                pages.push(page);
            }
        }
    }
    pages
}

/// The lines of a page outside of its code blocks.
fn prose(page: &Path) -> Vec<String> {
    let text = fs::read_to_string(workspace().join(page)).unwrap();
    let mut code = false;
    let mut prose = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            code = !code;
        } else if !code {
            prose.push(line.to_owned());
        }
    }
    prose
}

/// The anchors of a page's headings, as GitHub makes them.
fn anchors(page: &Path) -> BTreeSet<String> {
    let headings = prose(page).into_iter().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let heading = line.trim_start_matches('#').trim().to_lowercase();
            let kept = heading
                .chars()
                .filter(|c| c.is_alphanumeric() || "-_ ".contains(*c));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

/// What stands in the parentheses of the links of a line.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| target)
}

#[test]
fn links_between_pages_lead_to_files_and_headings_that_are_there() {
    let mut broken = Vec::new();
    let mut seen = 0;
    for page in pages() {
        for line in prose(&page) {
            for target in targets(&line).filter(|target| !target.contains("://")) {
                seen += 1;
                let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
                let to = match file {
                    "" => page.clone(),
                    file => page.parent().unwrap().join(file),
                };
                let is_page = to.extension().is_some_and(|extension| extension == "md");
                if !workspace().join(&to).exists()
                    || !anchor.is_empty() && is_page && !anchors(&to).contains(anchor)
                {
                    broken.push(format!("{}: {target}", page.display()));
                }
            }
        }
    }
    assert!(broken.is_empty(), "broken links:\n{}", broken.join("\n"));
    assert!(seen > 100, "only {seen} links were found");
}

#[test]
fn the_glossary_has_every_state_of_sessions_and_kernel_routes() {
    let states: BTreeSet<String> = prose(Path::new("docs/glossary.md"))
        .iter()
        .skip_while(|line| *line != "## States")
        .filter_map(|line| line.strip_prefix("| ")?.split_once(" | "))
        .flat_map(|(words, _)| words.split(", "))
        .map(str::to_owned)
        .collect();
    let sessions = SessionState::ALL.map(|state| state.to_string());
    let routes = FibState::ALL.map(|state| state.to_string());
    for state in sessions.iter().chain(&routes) {
        assert!(states.contains(state), "docs/glossary.md lacks {state}");
    }
}
