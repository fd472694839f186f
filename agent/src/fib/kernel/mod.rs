//! The kernel as the FIB sees it: what can be asked of it, and what it tells.

pub mod event;
