//! What is done about an object that cannot be read, or is not valid: one rule for each kind, the same for all sources.
//!
//! | kind | while it cannot be used |
//! |---|---|
//! | those of `routelet.dev` | its last good version stays in force: a typo must not cost a session or an address |
//! | Node | its last good version stays in force: what is used of it (addresses, pod CIDRs) does not change while a node lives, and without it every other node would end its session |
//! | Secret | its last good version stays in force: a session goes on with the password that both sides have; without a good version there is no session |
//! | Service | it is not advertised |
//! | EndpointSlice | its endpoints do not count |
//! | Namespace | its labels are unknown: no `namespaceSelector` matches it |
//!
//! Whoever writes objects of Kubernetes' own kinds writes the truth about what is served now, and the last good version of
//! such an object may be long over: it must not justify an announcement. The controller, which announces nothing, keeps the last
//! good version of every kind, so that no address is given away that somebody has.
//!
//! A manifest file whose content is not text may hold any of its objects: each counts as one that cannot be read. A file that
//! cannot be opened or read says nothing at all, like an API server that is unreachable: everything of it stays in force.

use std::fmt;

use serde::Serialize;

/// What counts meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instead {
    /// The last good version, if one is known.
    LastGood,
    /// Nothing that it ever said.
    Nothing(Meanwhile),
}

/// What is the case while something cannot be used, as people read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Meanwhile {
    /// The last good version is used.
    LastGood,
    /// Of a file: the last good versions are used, except of Services, EndpointSlices and Namespaces.
    LastGoodOfSome,
    /// A Service is not advertised.
    NotAdvertised,
    /// The endpoints of an EndpointSlice do not count.
    NoEndpoints,
    /// No `namespaceSelector` matches a Namespace.
    NotSelected,
    /// An entry of a list is left out; the rest of the object is used.
    LeftOut,
}

impl Instead {
    /// The rule of a kind.
    pub fn of(kind: &str) -> Self {
        match kind {
            _ if routelet_api::KINDS.contains(&kind) => Self::LastGood,
            "Node" | "Secret" => Self::LastGood,
            "EndpointSlice" => Self::Nothing(Meanwhile::NoEndpoints),
            "Namespace" => Self::Nothing(Meanwhile::NotSelected),
            // A kind that is not thought of here must not justify anything.
            _ => Self::Nothing(Meanwhile::NotAdvertised),
        }
    }
}

impl fmt::Display for Meanwhile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LastGood => "the last good version stays in force",
            Self::LastGoodOfSome => {
                "the last good version stays in force, except of Services, EndpointSlices and Namespaces"
            }
            Self::NotAdvertised => "until it can be read, it is not advertised",
            Self::NoEndpoints => "until it can be read, its endpoints do not count",
            Self::NotSelected => "until it can be read, no namespaceSelector matches it",
            Self::LeftOut => "this entry is left out",
        })
    }
}
