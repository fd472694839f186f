//! Links, anchors, source files and examples of the documentation are valid, and the glossary has the states of commands.

#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use routelet_control::model::{FibState, SessionState};

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All Markdown files that are read by people, relative to the workspace.
fn pages() -> Vec<PathBuf> {
    let mut pages = Vec::new();
    let mut folders: Vec<PathBuf> = [
        "",
        "docs",
        "docs/guides",
        "docs/reference",
        "docs/concepts",
        "docs/concepts/decisions",
        "deploy",
        "examples/routers",
    ]
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
    let states: BTreeSet<String> = prose(Path::new("docs/reference/glossary.md"))
        .iter()
        .skip_while(|line| *line != "## States")
        .filter_map(|line| line.strip_prefix("| ")?.split_once(" | "))
        .flat_map(|(words, _)| words.split(", "))
        .map(str::to_owned)
        .collect();
    let sessions = SessionState::ALL.map(|state| state.to_string());
    let routes = FibState::ALL.map(|state| state.to_string());
    for state in sessions.iter().chain(&routes) {
        assert!(
            states.contains(state),
            "docs/reference/glossary.md lacks {state}"
        );
    }
}

/// The YAML of a page that stands for itself: each block of whose documents every one names its kind.
fn examples(page: &Path) -> Vec<String> {
    let text = fs::read_to_string(workspace().join(page)).unwrap();
    let blocks = text.split("```yaml\n").skip(1);
    blocks
        .filter_map(|rest| rest.split_once("```"))
        .map(|(block, _)| block.to_owned())
        .filter(|block| {
            let mut documents = block.split("\n---\n");
            documents.all(|document| {
                let has = |key: &str| document.lines().any(|line| line.starts_with(key));
                has("apiVersion:") && has("kind:")
            })
        })
        .collect()
}

/// Each by itself, beside the policies of its page: what an example leaves to the reader is at most a warning.
#[test]
fn every_example_passes_the_check() {
    let mut checked = 0;
    let mut bad = String::new();
    for page in pages() {
        let all = examples(&page);
        for example in &all {
            checked += 1;
            let directory = tempfile::tempdir().unwrap();
            fs::write(directory.path().join("example.yaml"), example).unwrap();
            let policies = all
                .iter()
                .filter(|other| other.contains("kind: RoutePolicy") && *other != example);
            let policies: Vec<&str> = policies.map(String::as_str).collect();
            fs::write(
                directory.path().join("policies.yaml"),
                policies.join("---\n"),
            )
            .unwrap();
            let output = Command::new(env!("CARGO_BIN_EXE_routelet"))
                .arg("check")
                .arg(directory.path())
                .output()
                .unwrap();
            if !output.status.success() {
                let said = String::from_utf8_lossy(&output.stdout);
                let errors = String::from_utf8_lossy(&output.stderr);
                bad += &format!("{}:\n{example}\n{said}{errors}\n", page.display());
            }
        }
    }
    assert!(bad.is_empty(), "{bad}");
    assert!(checked > 10, "only {checked} examples were found");
}

/// Every page of the book is in its table of contents, once.
#[test]
fn the_table_of_contents_has_every_page() {
    let summary = fs::read_to_string(workspace().join("docs/SUMMARY.md")).unwrap();
    let listed: Vec<&str> = summary.lines().flat_map(targets).collect();
    let once: BTreeSet<PathBuf> = listed
        .iter()
        .map(|target| Path::new("docs").join(target))
        .collect();
    assert_eq!(once.len(), listed.len(), "a page is listed twice");
    let mut all: BTreeSet<PathBuf> = pages().into_iter().collect();
    all.retain(|page| page.starts_with("docs") && !page.ends_with("SUMMARY.md"));
    assert_eq!(once, all);
}

/// Every way to name a file or folder of the sources: from any folder on, `src` and the extension left out or not.
fn source_paths() -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    let mut folders: Vec<PathBuf> = [
        ".ci",
        "agent",
        "bgp",
        "deploy",
        "docs",
        "examples",
        "interop-tests",
        "rib",
        "scripts",
    ]
    .map(PathBuf::from)
    .into();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(workspace().join(&folder)).unwrap() {
            let path = folder.join(entry.unwrap().file_name());
            let text = path.to_str().unwrap();
            for text in [text.to_owned(), text.replacen("/src", "", 1)] {
                let starts = text.match_indices('/').map(|(at, _)| at + 1);
                for start in [0].into_iter().chain(starts) {
                    let name = &text[start..];
                    paths.insert(name.trim_end_matches(".rs").to_owned());
                }
            }
            if workspace().join(&path).is_dir() && !path.ends_with("target") {
                folders.push(path);
            }
        }
    }
    paths
}

/// The files and folders of the sources that a line names.
fn named_paths(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2).filter(|name| {
        let path = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-./".contains(c);
        let first = name.split('/').next().unwrap_or_default();
        let is_file = name.ends_with(".rs");
        let in_folder = name.trim_end_matches('/').contains('/') && !first.contains('.');
        name.chars().all(path) && (is_file || in_folder) && !first.is_empty()
    })
}

/// What the map of the sources, the tables of tests and "Where to add what" name is there.
#[test]
fn source_files_that_pages_name_are_there() {
    let paths = source_paths();
    let mut missing = Vec::new();
    let mut seen = 0;
    let is_map =
        |page: &PathBuf| page.starts_with("docs/concepts") || page.ends_with("CONTRIBUTING.md");
    for page in pages().into_iter().filter(is_map) {
        for line in prose(&page) {
            for name in named_paths(&line) {
                seen += 1;
                if !paths.contains(name.trim_end_matches('/').trim_end_matches(".rs")) {
                    missing.push(format!("{}: {name}", page.display()));
                }
            }
        }
    }
    assert!(missing.is_empty(), "no such file:\n{}", missing.join("\n"));
    assert!(seen > 200, "only {seen} files are named");
}

/// Every row of "Where to add what" says in which file.
#[test]
fn the_table_of_additions_names_a_file_in_every_row() {
    let page = prose(Path::new("docs/concepts/architecture.md"));
    let rows: Vec<&String> = page
        .iter()
        .skip_while(|line| *line != "## Where to add what")
        .skip(1)
        .take_while(|line| !line.starts_with("## "))
        .filter(|line| line.starts_with("| ") && !line.starts_with("| to add"))
        .collect();
    assert!(rows.len() >= 20, "{} rows", rows.len());
    for row in rows {
        assert!(named_paths(row).next().is_some(), "no file in: {row}");
    }
}

/// Tables and headings cannot be wrapped; all other prose is read in terminals, too.
#[test]
fn lines_of_prose_are_short() {
    let mut long = Vec::new();
    for page in pages() {
        for line in prose(&page) {
            let wraps = !line.trim_start().starts_with(['|', '#']);
            if wraps && line.chars().count() > 120 {
                long.push(format!("{}: {line}", page.display()));
            }
        }
    }
    assert!(
        long.is_empty(),
        "longer than 120 columns:\n{}",
        long.join("\n")
    );
}
