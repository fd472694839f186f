//! How an agent starts, when it writes to the kernel, and how it ends. Pure: inputs and a `now` in, what is to be done out;
//! `agent/routelet/src/run` carries it out.
//!
//! | | |
//! |---|---|
//! | [`missing_asn`] | an agent does not begin before it knows the AS of its node |
//! | [`KubeProxyGate`] | Services are not advertised before kube-proxy is healthy, where there is one |
//! | [`EndOfRib`] | nor is End-of-RIB sent meanwhile, as long as peers may wait for it |
//! | [`Writing`] | one agent of a network namespace writes to the kernel, once it is known where |
//! | [`Ending`] | what is done at the end, in which order; [`limits`]: how long that may take |
//!
//! The steps in which a node leaves before are those of [`Presence`](crate::intent::Presence).

mod asn;
mod end_of_rib;
mod ending;
mod kube_proxy;
pub mod limits;
mod unread_router;
mod writing;

pub use asn::missing_asn;
pub use end_of_rib::EndOfRib;
pub use ending::{Ending, NodeSeen, Step as EndingStep};
pub use kube_proxy::{
    ABSENT as KUBE_PROXY_ABSENT, Answer as KubeProxyAnswer, KubeProxyGate,
    Verdict as KubeProxyVerdict,
};
pub use writing::{Begin, Claim, Facts as WritingFacts, Needs, Step as WritingStep, Writing};
