//! Faults that a test asks for.

use std::collections::BTreeMap;
use std::time::Duration;

use super::failure::Failure;

/// What the next requests of a resource are answered with instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// 429 with `Retry-After` in seconds.
    TooManyRequests(u32),
    /// 500.
    InternalError,
    /// 503.
    Unavailable,
    /// 403 of a server that has just started and knows no roles yet.
    NoRolesYet,
}

impl Fault {
    fn failure(self) -> Failure {
        match self {
            Self::TooManyRequests(seconds) => Failure {
                retry_after: Some(seconds),
                ..Failure::new(
                    429,
                    "TooManyRequests",
                    "Too many requests, please try again later.",
                )
            },
            Self::InternalError => Failure::new(
                500,
                "InternalError",
                "Internal error occurred: etcdserver: leader changed",
            ),
            Self::Unavailable => Failure::new(
                503,
                "ServiceUnavailable",
                "the server is currently unable to handle the request",
            ),
            Self::NoRolesYet => Failure::new(
                403,
                "Forbidden",
                "secrets \"other\" is forbidden: User \"system:serviceaccount:routelet-system:routelet-agent\" cannot list resource \
                 \"secrets\" in API group \"\" in the namespace \"routelet-system\": RBAC: role.rbac.authorization.k8s.io \
                 \"routelet-agent\" not found",
            ),
        }
    }
}

/// The faults that are pending.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// By plural name of the resource.
    next: BTreeMap<String, (u32, Fault)>,
    /// How long every answer waits.
    pub(crate) delay: Duration,
}

impl Faults {
    pub(crate) fn answer_next(&mut self, plural: &str, times: u32, fault: Fault) {
        self.next.insert(plural.to_owned(), (times, fault));
    }

    /// The fault of this request, which it uses up.
    pub(crate) fn take(&mut self, plural: &str) -> Option<Failure> {
        let (left, fault) = self.next.get_mut(plural)?;
        let fault = *fault;
        *left = left.saturating_sub(1);
        if *left == 0 {
            self.next.remove(plural);
        }
        Some(fault.failure())
    }
}
