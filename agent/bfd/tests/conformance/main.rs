//! What RFC 5880 and its companions demand, and which test holds it: `rfc5880.txt` beside this file.

use std::collections::BTreeSet;
use std::path::Path;

const ROWS: &str = include_str!("rfc5880.txt");

/// The names of all functions below a folder that stand behind `#[test]`.
fn tests(folder: &Path, names: &mut BTreeSet<String>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            tests(&path, names)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path)?;
            let marked = text.split("#[test]").skip(1);
            names.extend(marked.filter_map(|rest| {
                let (_, rest) = rest.split_once("fn ")?;
                rest.split_once('(').map(|(name, _)| name.to_owned())
            }));
        }
    }
    Ok(())
}

#[test]
fn each_clause_is_held_by_a_test_that_exists_or_says_why_not() -> std::io::Result<()> {
    let mut names = BTreeSet::new();
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests(&crate_folder.join("src"), &mut names)?;
    tests(&crate_folder.join("tests"), &mut names)?;
    let mut count = 0;
    for row in ROWS
        .lines()
        .filter(|row| !row.is_empty() && !row.starts_with('#'))
    {
        let cells: Vec<&str> = row.split(" | ").collect();
        let [section, clause, held_by] = cells[..] else {
            panic!("not three cells: {row}")
        };
        assert!(
            section.starts_with(|c: char| c.is_ascii_digit()) && !clause.is_empty(),
            "{row}"
        );
        if let Some(reason) = held_by.strip_prefix("not applicable: ") {
            assert!(!reason.is_empty(), "{row}");
        } else {
            for name in held_by.split(", ") {
                assert!(names.contains(name), "no test {name}: {row}");
            }
        }
        count += 1;
    }
    assert!(count > 60, "only {count} rows were read");
    Ok(())
}
