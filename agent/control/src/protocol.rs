//! Requests and replies as they stand on the Unix socket: one request per connection.
//!
//! The client sends one line of JSON: `{"version":1,"command":"routes","query":{"view":"best"}}`. The agent answers
//! with lines, each an object with one key: at first `hello`, then the answer (`status`, `peers`, any number of
//! `routes` or `fib`, `explainPrefix`, `explainService`), and at last `end`, or `error` at any point; then it closes.
//! An answer without `end` or `error` was cut short.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::model::{
    DrainOrder, ExplainPrefix, ExplainService, FibEntry, FibQuery, Peer, ResetKind, Route,
    RouteQuery, Status,
};

/// The default path of the socket.
pub const DEFAULT_SOCKET: &str = "/run/routelet/routelet.sock";

/// The version of the protocol and of the model. Raised when something is renamed or removed, not when it is added.
pub const VERSION: u32 = 1;

/// The longest request line, in bytes; far beyond any real one.
pub const MAX_REQUEST: u64 = 64 * 1024;

/// The one line that a client sends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// The client's [`VERSION`].
    pub version: u32,
    /// What it asks.
    #[serde(flatten)]
    pub command: Command,
}

/// What a client asks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "command")]
pub enum Command {
    /// [`Status`].
    Status,
    /// All peers, or the one of this name.
    Peers {
        /// Its name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
    },
    /// Routes, in pieces.
    Routes {
        /// Which.
        query: RouteQuery,
    },
    /// Entries of the forwarding table, in pieces.
    Fib {
        /// Which.
        #[serde(default)]
        query: FibQuery,
    },
    /// Why a prefix is treated as it is.
    ExplainPrefix {
        /// The prefix.
        prefix: IpNet,
    },
    /// Why a Service is treated as it is.
    ExplainService {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// Has the node's traffic led away, or brought back.
    Drain {
        /// How far.
        order: DrainOrder,
    },
    /// Resets a peer.
    ResetPeer {
        /// Its name.
        peer: String,
        /// How.
        kind: ResetKind,
    },
}

/// One line of an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reply {
    /// The first line.
    Hello {
        /// The agent's [`VERSION`].
        version: u32,
        /// The version of its binary.
        agent: String,
    },
    /// The agent as a whole.
    Status(Box<Status>),
    /// Peers.
    Peers(Vec<Peer>),
    /// Some of the routes.
    Routes(Vec<Route>),
    /// Some of the forwarding table.
    Fib(Vec<FibEntry>),
    /// A prefix, explained.
    ExplainPrefix(Box<ExplainPrefix>),
    /// A Service, explained.
    ExplainService(Box<ExplainService>),
    /// The last line: everything was said, or done.
    End {},
    /// The last line: it could not be.
    Error(ControlError),
}

/// Why a request was not answered. The client shows the text; programs look at `code`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "camelCase", tag = "code")]
pub enum ControlError {
    /// The client speaks another version of the protocol: use the binary that the agent runs from.
    #[error(
        "the agent speaks version {supported} of the control protocol, this command version {asked}: use the binary of the agent's version"
    )]
    UnsupportedVersion {
        /// The client's version.
        asked: u32,
        /// The agent's.
        supported: u32,
    },
    /// The request is no request: the client is at fault.
    #[error("the agent does not understand the request: {reason}")]
    BadRequest {
        /// What was found and expected.
        reason: String,
    },
    /// There is no peer of this name.
    #[error("there is no peer \"{name}\"{}", list(.known, "peers"))]
    UnknownPeer {
        /// What was asked for.
        name: String,
        /// The peers that exist.
        known: Vec<String>,
    },
    /// There is no Service of this name.
    #[error("there is no Service \"{namespace}/{name}\"{}", list(.known, "Services"))]
    UnknownService {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// Services of similar names, as `namespace/name`.
        known: Vec<String>,
    },
    /// The request cannot be carried out in the present state.
    #[error("{reason}")]
    Refused {
        /// Why, and what to do.
        reason: String,
    },
    /// The agent is stopping, or a part of it has stopped: ask again.
    #[error("the agent is starting or stopping: try again in a moment")]
    Unavailable {},
}

/// How many names an error lists at most: more do not fit a terminal.
const LISTED: usize = 12;

fn list(known: &[String], what: &str) -> String {
    match known {
        [] => format!(": there are no {what}"),
        names if names.len() <= LISTED => format!("; the {what} are: {}", names.join(", ")),
        names => format!(
            "; some of the {} {what} are: {}, ...",
            names.len(),
            names[..LISTED].join(", ")
        ),
    }
}
