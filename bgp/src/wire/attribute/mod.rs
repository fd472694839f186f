//! Path attributes, each in its own file with its RFC 7606 outcomes. Unknown ones are kept byte for byte.
//!
//! There are two forms. [`AttributeSet`] is the canonical encoding as bytes: what the fast path makes, what sets are
//! interned by. [`PathAttributes`] is the structured value: what policies and people look at. The files of attributes
//! each hold a row of [`table`]: how a received value is checked, and how the canonical value and the field of
//! [`PathAttributes`] turn into each other. Two are passed on as if they were unknown, but are checked: see
//! [`table::Opaque`]. What an operator does not want, and what the RFCs keep within an AS, is in [`filter`].

mod aggregator;
mod as4_aggregator;
mod as4_path;
mod as_path;
mod as_path_ref;
mod as_path_value;
mod atomic_aggregate;
mod cluster_list;
mod code;
mod communities;
mod edit;
mod extended_communities;
mod filter;
mod ipv6_extended_communities;
mod large_communities;
mod local_pref;
mod med;
mod mp_reach;
mod mp_unreach;
mod next_hop;
mod only_to_customer;
mod origin;
mod originator_id;
mod prefix_sid;
mod set;
mod table;
mod tunnel_encapsulation;
mod unknown;
mod value;

pub use aggregator::Aggregator;
pub use as_path_ref::{AsPathRef, SegmentRef};
pub use as_path_value::{AsPath, AsPathSegment, AsPathSegmentKind, ParseAsPathError};
pub use code::{AttributeCode, EXTENDED_LENGTH, OPTIONAL, PARTIAL, TRANSITIVE};
pub use edit::Edit;
pub use filter::{AttributeCodes, AttributeFilter, FilteredCodes};
pub use origin::Origin;
pub use set::{AttributeRef, AttributeSet, AttributeSetRef, AttributeTooLong, Attributes};
pub use unknown::UnknownAttribute;
pub use value::{PartialCodes, PathAttributes};

pub(super) use aggregator::{narrow as narrow_aggregator, widen as widen_aggregator};
pub(super) use as_path::widen as widen_path;
pub(super) use as4_path::merge as merge_paths;
pub(super) use code::OPTIONAL_TRANSITIVE;
pub(super) use mp_reach::{check_length as check_next_hop_length, next_hop as mp_next_hop};
pub(super) use next_hop::is_host;
pub(super) use set::{append, make_set};
pub(super) use table::{Canonical, Class, Row, Scope, TABLE, index, opaque, row, rows};
