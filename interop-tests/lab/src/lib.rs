//! A lab of network namespaces on one machine, and the BGP speakers that tests put into it.
//!
//! A test is a closure that gets a [`Lab`]; in it, it makes [`Namespace`]s, joins them by [`Lab::link`] or a
//! [`Switch`], and starts [`Subject`]s: daemons of any [`Kind`], configured from one common description ([`Speaker`])
//! and asked by their own tools ([`Session`], [`Route`]). The subject is a parameter: what holds for BIRD or FRR as the
//! subject must hold for Routelet.
//!
//! ```no_run
//! use interop_lab::*;
//!
//! run(&[Need::Speaker(Kind::Bird2), Need::Speaker(Kind::Frr8)], |lab| {
//!     let (left, right) = (lab.namespace("left")?, lab.namespace("right")?);
//!     lab.link((&left, "eth0"), (&right, "eth0"))?;
//!     left.address("eth0", "10.0.0.1/24")?;
//!     right.address("eth0", "10.0.0.2/24")?;
//!     let a = Speaker::new(64501, "10.0.0.1").neighbour(Neighbour::new("10.0.0.2", 64502));
//!     let b = Speaker::new(64502, "10.0.0.2").neighbour(Neighbour::new("10.0.0.1", 64501));
//!     let a = Subject::start(lab, Kind::Bird2, &left, a)?;
//!     let _b = Subject::start(lab, Kind::Frr8, &right, b)?;
//!     a.wait_established("10.0.0.2")
//! });
//! ```
//!
//! What always holds: everything a lab makes carries its owner's process id in its name and goes away with the owner,
//! also when the test panics or is killed; nothing outside the lab's own namespaces and directory is touched; two labs
//! run side by side. A test that needs a tool which is missing says `skip: ...`, or fails where `CI` or
//! `ROUTELET_REQUIRE_LAB` is set.

mod answers;
mod eventually;
mod lab;
mod link;
mod matrix;
mod need;
mod netns;
mod process;

pub mod exec;
pub mod feed;
pub mod probe;
pub mod raw;
pub mod speaker;
pub mod subject;

pub use answers::{Community, LargeCommunity, Origin, Route, Session, State};
pub use eventually::{always, eventually};
pub use exec::Output;
pub use lab::{Lab, run};
pub use link::Switch;
pub use need::{Need, missing};
pub use netns::Namespace;
pub use process::{Process, Signal};
pub use speaker::{
    AddPath, Bfd, BfdSession, Export, Family, Listen, Mode, Neighbour, Origination, Speaker,
};
pub use subject::routelet::binary as routelet_binary;
pub use subject::{Kind, Subject};
