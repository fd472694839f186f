//! How many files the process may have open: as many as the system lets it.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tracing::{info, warn};

/// Below this many, a large mesh may run out: a session takes two descriptors.
const ENOUGH: u64 = 8192;

/// Raises the soft limit to the hard one. The soft limit that processes start with, often 1,024, is for programs that
/// use `select`; with it, an agent with 500 sessions could accept none further.
pub(super) fn raise_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        if soft < hard {
            setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
        }
        Ok(hard)
    });
    match raised {
        Ok(limit) if limit < ENOUGH => info!(
            limit,
            "the limit on open files is low; sessions take two each (raise LimitNOFILE= or the container's ulimit)"
        ),
        Ok(_) => {}
        Err(error) => warn!(%error, "cannot raise the limit on open files"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        let lower = soft.min(512);
        setrlimit(Resource::RLIMIT_NOFILE, lower, hard).unwrap();
        raise_limit();
        let (raised, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        assert_eq!(raised, hard);
    }
}
