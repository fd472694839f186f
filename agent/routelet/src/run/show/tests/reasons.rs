//! Every reason where it arises: in the answer about a route, a Service or an entry of the forwarding table that
//! production code makes of real values.

use std::collections::BTreeSet;
use std::fmt::{Display, Write as _};
use std::path::Path;

use routelet_control::model::{ProblemReason, Reason, ReasonCode};

/// Reasons as they were found in answers, each with the code that is expected there.
pub(super) type Found = Vec<(ReasonCode, Reason)>;

fn all() -> Found {
    let mut all = super::paths::found();
    all.extend(super::exports::found());
    all.extend(super::originated::found());
    all.extend(super::forwarding::found());
    all
}

#[test]
fn every_code_arises_in_an_answer_and_nowhere_else() {
    let all = all();
    for (expected, reason) in &all {
        assert_eq!(*expected, reason.code, "{reason:?}");
        assert!(
            !reason.text.is_empty() && !reason.text.ends_with('.'),
            "{reason:?}"
        );
    }
    let found: BTreeSet<ReasonCode> = all.iter().map(|(code, _)| *code).collect();
    let topics = ReasonCode::TOPICS.iter();
    let codes: BTreeSet<ReasonCode> = topics.flat_map(|(_, codes)| *codes).map(|c| c.0).collect();
    let missing: Vec<&ReasonCode> = codes.difference(&found).collect();
    assert!(missing.is_empty(), "no answer has these: {missing:?}");
}

#[test]
fn every_reason_of_a_problem_arises_in_a_status() {
    let found = super::warnings::found();
    let topics = ProblemReason::TOPICS.iter();
    let codes: BTreeSet<ProblemReason> =
        topics.flat_map(|(_, codes)| *codes).map(|c| c.0).collect();
    let missing: Vec<_> = codes
        .iter()
        .filter(|code| !found.contains_key(code))
        .collect();
    assert!(missing.is_empty(), "no status has these: {missing:?}");
    let lines = found.iter().flat_map(|(code, texts)| {
        let texts = texts.iter();
        texts.map(move |text| format!("{code}: {text}"))
    });
    let lines: BTreeSet<String> = lines.collect();
    let lines: Vec<String> = lines.into_iter().collect();
    insta::assert_snapshot!(lines.join("\n"));
}

/// The codes and their texts, as programs and people see them: a code that is renamed shows here.
#[test]
fn codes_and_texts_are_pinned() {
    let lines: BTreeSet<String> = all()
        .into_iter()
        .map(|(_, reason)| format!("{}: {}", reason.code, reason.text))
        .collect();
    let lines: Vec<String> = lines.into_iter().collect();
    insta::assert_snapshot!(lines.join("\n"));
}

/// The page of all codes. `UPDATE_DOCS=1` writes it.
#[test]
fn every_code_is_documented() {
    let mut page = String::from(
        "# Reason codes\n\n\
         Answers of `routelet explain`, `routes`, `fib`, `status` and `check` (`-o json`) say why something is as it is by a\n\
         `code` for programs and a `text` for people. Within one version of the protocol, codes are added, never renamed or\n\
         removed. This page is generated.\n",
    );
    for (topic, codes) in ReasonCode::TOPICS {
        section(&mut page, topic, codes);
    }
    let _ = write!(
        page,
        "\n# Reasons of problems\n\n\
         The problems of `routelet status`, of RouterStates and of `routelet check` that are no faults of the object itself have\n\
         a `reason`.\n"
    );
    for (topic, codes) in ProblemReason::TOPICS {
        section(&mut page, topic, codes);
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/reason-codes.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "docs/reference/reason-codes.md differs: UPDATE_DOCS=1 cargo test -p routelet --lib every_code_is_documented"
    );
}

fn section<T: Display>(page: &mut String, topic: &str, codes: &[(T, &str)]) {
    let _ = write!(page, "\n## {topic}\n\n| code | meaning |\n|---|---|\n");
    for (code, meaning) in codes {
        let _ = writeln!(page, "| `{code}` | {meaning} |");
    }
}

#[test]
fn serde_gives_the_code() {
    for (_, codes) in ReasonCode::TOPICS {
        for (code, _) in *codes {
            let json = serde_json::to_value(code).unwrap();
            assert_eq!(json, code.as_str());
            assert_eq!(serde_json::from_value::<ReasonCode>(json).unwrap(), *code);
        }
    }
}
