//! The contract: what commands and programs are answered, pinned as snapshots. Answers are made of real values, by the
//! functions that make them in production.

pub(crate) mod fake;
mod readiness;
pub(crate) mod served;
