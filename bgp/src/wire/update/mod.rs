//! UPDATEs from bytes and to bytes.
//!
//! Decoding has three steps: [`decode`] splits the message and reads its routes, `attributes` walks the path attributes
//! by the table of [`super::attribute`], and `canonical` writes the ones that are left into an
//! [`AttributeSet`](super::AttributeSet). [`encode`] makes messages for a whole update group.

mod attributes;
mod batch;
mod canonical;
mod decode;
mod encode;
mod nlri;

pub use batch::{BatchPart, Routes, UpdateBatch};
pub use decode::decode_update;
pub use encode::{EncodeError, UpdateEncoder};
