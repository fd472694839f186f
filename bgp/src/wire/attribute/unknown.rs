//! Optional attributes that this speaker does not interpret (RFC 4271 section 5): transitive ones are kept byte for byte
//! and passed on with the partial bit set, others are ignored on receipt.

use bytes::Bytes;
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

/// An optional attribute that this speaker does not interpret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownAttribute {
    /// Attribute flags as received; the partial bit is set when it is passed on.
    pub flags: u8,
    /// Type code.
    pub code: u8,
    /// Value, byte for byte.
    pub value: Bytes,
}

impl Serialize for UnknownAttribute {
    /// Flags and code as numbers, the value in hexadecimal.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let hexadecimal: String = self
            .value
            .iter()
            .map(|octet| format!("{octet:02x}"))
            .collect();
        let mut out = serializer.serialize_struct("UnknownAttribute", 3)?;
        out.serialize_field("code", &self.code)?;
        out.serialize_field("flags", &self.flags)?;
        out.serialize_field("value", &hexadecimal)?;
        out.end()
    }
}
