//! Types out of their text, whatever stands in its place.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use schemars::Schema;
use serde::de;

use super::text::ParseTextError;

/// Reads a type from its text. A number in its place is looked at as text, too: what it lacks is said in the type's words.
pub(super) struct OfText<T> {
    /// Its schema has a description.
    schema: fn() -> Schema,
    of: PhantomData<T>,
}

impl<T> OfText<T> {
    pub(super) fn new(schema: fn() -> Schema) -> Self {
        Self {
            schema,
            of: PhantomData,
        }
    }
}

impl<T: FromStr<Err = ParseTextError>> OfText<T> {
    fn number<E: de::Error>(&self, text: &str, found: de::Unexpected<'_>) -> E {
        match text.parse::<T>() {
            Ok(_) => E::invalid_type(found, &"a string"),
            Err(error) => E::custom(error),
        }
    }
}

impl<T: FromStr<Err = ParseTextError>> de::Visitor<'_> for OfText<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let schema = (self.schema)();
        let text = schema.get("description").and_then(|text| text.as_str());
        let text = text.unwrap_or("A text").trim_end_matches('.');
        let mut letters = text.chars();
        let first = letters.next().map(|letter| letter.to_ascii_lowercase());
        write!(f, "{}{}", first.unwrap_or_default(), letters.as_str())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        Err(self.number(&number.to_string(), de::Unexpected::Unsigned(number)))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        Err(self.number(&number.to_string(), de::Unexpected::Signed(number)))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<T, E> {
        Err(self.number(&number.to_string(), de::Unexpected::Float(number)))
    }
}
