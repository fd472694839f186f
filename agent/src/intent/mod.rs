//! Intent: from the state of the cluster to what one node does, and why.
//!
//! A pure function, [`intend`], recomputed from the whole state after each change; whoever acts on it compares two
//! intents and does the difference. Equal states give equal intents, whatever the order of events or documents.
//!
//! | room | decides |
//! |---|---|
//! | [`router`] | which Router is the node's, and its settings |
//! | [`peers`] | the node's peers: explicit ones, other nodes by selector, the mesh |
//! | [`services`] | which Service addresses this node advertises: the truth table |
//! | [`advertise`] | what is originated, with attributes and aggregates, and to which peers |
//! | [`policies`] | RoutePolicy objects as the RIB runs them |
//!
//! What always holds: every originated prefix names the objects that justify it, every address of a Service that is not
//! advertised names the rule that suppressed it, and an object that cannot be used is left out alone, with a warning.

mod facts;
mod types;

pub use facts::{Gateway, Interface, LocalFacts};
pub use types::{
    AddressDecision, BfdIntent, Decision, EndpointCounts, FibIntent, Intent, Justification,
    ListenIntent, OriginatedRoute, PasswordSource, PeerIntent, PeerTarget, RouterSettings, Rule,
    ServiceDecision, Source, Suppressed, Warning, WarningKind,
};
