//! A Kubernetes API server for tests: a fake one that behaves like the real one wherever our clients could tell, and a
//! real one where its programs are installed.
//!
//! The fake is a store with one revision for all ([`store`](self)), the rules by which objects change, and an HTTP edge.
//! What is in it is what the agent and the controller use: lists in pages, watches with bookmarks and streaming lists,
//! optimistic locking, four kinds of patch with field ownership, custom resources with pruning, defaults, validation and
//! CEL rules, status as a subresource, Services with cluster IPs, owner references, roles and tokens, and `null` where Go
//! writes it. What a test can do
//! only to the fake is to break it: see [`FakeApiServer::stop`], [`FakeApiServer::compact`] and their neighbours.
//!
//! What it does not do: conversion between versions, webhooks, quotas, protobuf, OpenAPI (so that `kubectl apply` needs
//! `--validate=false`), TLS.

mod apply;
mod checks;
mod controllers;
mod core;
mod decode;
mod defaults;
mod definitions;
mod delete;
mod discovery;
mod events;
mod failure;
mod fake;
mod faults;
mod fields;
mod go;
mod list;
mod objects;
mod patch;
mod rbac;
mod real;
mod request;
mod resources;
mod schema;
mod scripted;
mod selector;
mod serve;
mod server;
mod services;
mod shape;
mod store;
mod table;
mod tls;
mod watch;
mod write;

pub use self::core::Settings;
pub use failure::Failure;
pub use fake::FakeApiServer;
pub use faults::Fault;
pub use rbac::Account;
pub use real::{ASSETS, RealApiServer};
pub use request::Verb;
pub use scripted::ScriptedApiServer;
pub use server::{ADMIN, Server};
