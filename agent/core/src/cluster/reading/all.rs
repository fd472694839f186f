//! Reading a document to its end, past what is wrong with it.
//!
//! What does not fit is reported, cut out, and everything is read once more. Without a required field there is no value to
//! hold it, so that the map around it is cut out, too; this is not reported if something in that map is. What remains is
//! validated: what is said there of a place where something was cut out is only a consequence.

use super::{Step, Steps, Unfit, path};
use crate::cluster::validate::Finding;

/// After so many, nobody reads on.
const MOST: usize = 50;

/// A document, or a value in one, that things can be cut out of.
pub trait Branch {
    /// The value of a field.
    fn child(&mut self, key: &str) -> Option<&mut Self>;

    /// The item of a list.
    fn item(&mut self, index: usize) -> Option<&mut Self>;

    /// From now on it is not there; items after it keep their places.
    fn cut(&mut self);
}

/// What is wrong at a place of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The line, if the document has lines.
    pub line: Option<u32>,
    /// The field.
    pub path: String,
    /// Why.
    pub reason: String,
}

/// A document as a type.
#[derive(Debug)]
pub struct Reading<T> {
    /// What remains when everything that does not fit is cut out; `None`: nothing.
    pub value: Option<T>,
    /// What does not fit.
    pub faults: Vec<Fault>,
    /// Where that was.
    pub cuts: Cuts,
}

/// The places where something was cut out.
#[derive(Clone, Debug, Default)]
pub struct Cuts(Vec<Steps>);

/// Reads a document of this kind.
pub fn all<B: Branch, T>(
    document: &mut B,
    kind: &str,
    read: impl Fn(&B) -> Result<T, Unfit>,
) -> Reading<T> {
    let mut faults = Vec::new();
    let mut cuts = Cuts::default();
    let value = loop {
        let unfit = match read(document) {
            Ok(value) => break Some(value),
            Err(unfit) => unfit,
        };
        let (line, mut place) = unfit.place();
        if !(unfit.is_missing() && cuts.has_in_map_of(&place)) {
            faults.push(Fault {
                line,
                path: path(&place),
                reason: unfit.reason(kind),
            });
        }
        if unfit.is_missing() {
            place.pop();
        }
        let Some(branch) = branch(document, &place) else {
            break None;
        };
        if place.is_empty() || faults.len() >= MOST {
            break None;
        }
        branch.cut();
        cuts.0.push(place);
    };
    Reading {
        value,
        faults,
        cuts,
    }
}

fn branch<'a, B: Branch>(document: &'a mut B, place: &[Step]) -> Option<&'a mut B> {
    place.iter().try_fold(document, |branch, step| match step {
        Step::Key(key) => branch.child(key),
        Step::Index(index) => branch.item(*index),
    })
}

impl Cuts {
    /// Whether something was cut out of the map that a field is of.
    fn has_in_map_of(&self, field: &[Step]) -> bool {
        let map = field.len().saturating_sub(1);
        let mut all = self.0.iter();
        all.any(|cut| cut.len() == field.len() && cut[..map] == field[..map])
    }

    /// What was found in that which remained, as it stands in the whole document; without consequences.
    pub fn findings(&self, found: Vec<Finding>) -> Vec<Finding> {
        if self.0.is_empty() {
            return found;
        }
        let found = found.into_iter().map(|finding| Finding {
            path: self.in_the_document(&finding.path),
            ..finding
        });
        found.filter(|one| !self.explain(one)).collect()
    }

    /// Whether a finding is about something that was cut out, or that it was in.
    fn explain(&self, finding: &Finding) -> bool {
        let parent = |path: &str| path.rfind('.').map_or(0, |at| at);
        self.0.iter().any(|cut| {
            let cut = path(cut);
            let siblings = cut[..parent(&cut)] == finding.path[..parent(&finding.path)];
            is_within(&cut, &finding.path)
                || is_within(&finding.path, &cut)
                || siblings && finding.reason.starts_with("missing")
        })
    }

    /// The path with the indexes that items had before others were cut out of their list.
    fn in_the_document(&self, found: &str) -> String {
        let mut text = String::new();
        let mut rest = found;
        while let Some(at) = rest.find('[') {
            text.push_str(&rest[..at]);
            let end = rest.find(']').unwrap_or(rest.len());
            let Ok(mut index) = rest[at + 1..end].parse::<usize>() else {
                break;
            };
            let mut cut: Vec<usize> = self.of_list(&text).collect();
            cut.sort_unstable();
            for cut in cut {
                index += usize::from(cut <= index);
            }
            text.push_str(&format!("[{index}]"));
            rest = rest.get(end + 1..).unwrap_or_default();
        }
        text + rest
    }

    /// The items that were cut out of a list.
    fn of_list(&self, list: &str) -> impl Iterator<Item = usize> {
        self.0.iter().filter_map(move |cut| match cut.split_last() {
            Some((Step::Index(index), of)) if path(of) == list => Some(*index),
            _ => None,
        })
    }
}

/// Whether the path is this one, or one within it.
fn is_within(path: &str, outer: &str) -> bool {
    path.strip_prefix(outer)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}
