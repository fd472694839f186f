//! Placeholder.
pub mod fib;
