//! What a source of cluster state hands out: the state at one moment, and what is wrong with the source.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use super::state::{ClusterState, ObjectRef};
use super::unreadable::Meanwhile;

/// The cluster state at one moment, and what is wrong with its source.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The state.
    pub state: Arc<ClusterState>,
    /// What is wrong: by file and line, or by object.
    pub problems: Arc<Vec<Problem>>,
    /// How far the source itself has come.
    pub source: Arc<SourceState>,
}

/// How far a source has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceState {
    /// Whether the state was whole at some moment: each kind has been read to its end. Never falls back, for what was
    /// known stays known while the source is away.
    pub synced: bool,
    /// What is missing before it is, or what keeps it from being up to date: one sentence each.
    pub waiting_for: Vec<String>,
    /// Each kind that is watched, and whether its watch fails at the moment: then what is known of it may be old.
    pub watches: Vec<(&'static str, bool)>,
}

/// Something that is wrong with an object, or with where it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The file, relative to the directory; `None` for objects of an API server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// The line, from 1; `None` if it is about the whole file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The object, if its kind and name could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<ObjectRef>,
    /// The field, such as `spec.asn`; empty if it is about the whole object.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// What was found, what was expected.
    pub reason: String,
    /// What is the case meanwhile; `None`: what cannot be used is not used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meanwhile: Option<Meanwhile>,
}

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    /// Something is not used, or not as it is written.
    Error,
    /// It is used, but probably not as meant.
    Warning,
}

impl fmt::Display for Problem {
    /// `peers.yaml:7: Peer tor-a: spec.asn: ...`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}", file.display())?;
            if let Some(line) = self.line {
                write!(f, ":{line}")?;
            }
            f.write_str(": ")?;
        }
        if let Some(object) = &self.object {
            write!(f, "{object}: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message())
    }
}

impl Problem {
    /// The reason, and what is the case meanwhile.
    pub fn message(&self) -> String {
        match self.meanwhile {
            Some(meanwhile) => format!("{}; {meanwhile}", self.reason),
            None => self.reason.clone(),
        }
    }
}
