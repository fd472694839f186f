//! What a schema cannot say about our kinds: ranges, fields that contradict each other, references.
//!
//! One place for the manifests, for `routelet check` and for objects of the API server. An error makes an object
//! unusable: its last good version stays in force. References to objects that do not exist are errors of the state, not
//! of the object: it is used, and what misses is made up for safely (see the intent).

use std::fmt;

mod address_pool;
mod advertisement;
mod findings;
mod peer;
mod policy;
mod references;
mod router;
mod selections;
#[cfg(test)]
mod tests;

pub use references::references;
pub use selections::selections;

/// The spec of a kind of ours.
pub trait Validate {
    /// All that is wrong with it, beyond what its type says.
    fn validate(&self) -> Vec<Finding>;
}

/// One thing that is wrong with an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The field, such as `spec.asn`.
    pub path: String,
    /// What was found, what was expected, and what to do.
    pub reason: String,
}

impl fmt::Display for Finding {
    /// `spec.asn: ...`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => f.write_str(&self.reason),
            path => write!(f, "{path}: {}", self.reason),
        }
    }
}
