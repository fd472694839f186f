//! The running agent: what puts the parts together.

mod options;

pub use options::Options;
