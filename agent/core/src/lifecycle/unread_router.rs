//! A Router that may be the node's, and cannot be read.

use crate::cluster::{Problem, Severity, Snapshot};

/// What is wrong with it, where no earlier version of it is in force.
pub(super) fn unread_router(loaded: &Snapshot) -> Option<&Problem> {
    let mut unusable = loaded.problems.iter().filter(|problem| {
        let of = problem.object.as_ref().map(|object| &*object.kind);
        problem.severity == Severity::Error
            && problem.meanwhile.is_none()
            && matches!(of, None | Some("Router"))
    });
    unusable.next()
}
