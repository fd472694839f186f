//! Adj-RIB-In and Loc-RIB of one family.

mod view;

pub use view::{Cursor, LocPath, LocRib, PathSource, Walk};
