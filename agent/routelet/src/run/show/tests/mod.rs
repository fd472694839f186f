//! Answers made of real values: what the fake agent of the commands' tests gives, and every reason where it arises.
#![allow(clippy::unwrap_used)]

mod answers;
mod bfd;
mod events;
mod exports;
mod forwarding;
mod kernel;
mod originated;
mod paths;
mod reasons;
pub(crate) mod scene;
mod session;
mod warnings;
pub(crate) mod world;
