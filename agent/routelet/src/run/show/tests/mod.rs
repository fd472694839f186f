//! Answers made of real values: what the fake agent of the commands' tests gives, and every reason where it arises.
#![allow(clippy::unwrap_used)]

mod answers;
mod exports;
mod forwarding;
mod kernel;
mod originated;
mod paths;
mod reasons;
pub(crate) mod scene;
mod warnings;
pub(crate) mod world;
