//! Values out of documents, and what is said where they do not fit: the same words whatever the source.
//!
//! A document (a tree of YAML, or an object of an API server) is read as a type. What fits nowhere is cut out of it, and it is
//! read again, until everything that is wrong with it is known ([`all()`]). No name of a Rust type gets into a text: what was
//! found is named as YAML has it, and what belongs there in words.
//!
//! | module | |
//! |---|---|
//! | `all` | reading to the end, past what is wrong |
//! | `hints` | what may have been meant |

mod all;
mod hints;
#[cfg(test)]
mod tests;

use std::fmt;

use serde::de::{self, Unexpected};

pub use all::{Branch, Cuts, Reading, all};

/// A scalar of YAML or JSON.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Scalar {
    Null,
    Bool(bool),
    Integer(i64),
    /// Above [`i64::MAX`].
    Large(u64),
    Float(f64),
    Text(String),
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => value.fmt(f),
            Self::Integer(value) => value.fmt(f),
            Self::Large(value) => value.fmt(f),
            Self::Float(value) => value.fmt(f),
            Self::Text(value) => f.write_str(value),
        }
    }
}

/// A step from a value to one in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The field of a map.
    Key(String),
    /// The item of a list.
    Index(usize),
}

/// The way from a document to a value in it.
pub type Steps = Vec<Step>;

/// A way as people read it, such as `spec.rules[2].action`.
pub fn path(steps: &[Step]) -> String {
    let mut text = String::new();
    for step in steps {
        match step {
            Step::Key(key) if text.is_empty() => text.push_str(key),
            Step::Key(key) => text = format!("{text}.{key}"),
            Step::Index(index) => text = format!("{text}[{index}]"),
        }
    }
    text
}

/// A value that is not what its type wants: where, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Unfit {
    /// The line, of a document that has lines.
    line: Option<u32>,
    /// The way to it, from the inside out.
    steps: Steps,
    why: Why,
}

#[derive(Clone, Debug, PartialEq)]
enum Why {
    /// In the words of the type.
    Said(String),
    /// One thing where another belongs.
    Mismatch { found: Found, expected: String },
    /// A field that must be there.
    Missing,
    /// A field that is not known, and those that are.
    Unknown(&'static [&'static str]),
}

/// What was found.
#[derive(Clone, Debug, PartialEq)]
enum Found {
    /// A scalar, and how it is written if that is not how it is read.
    Scalar(Scalar, Option<String>),
    List,
    Map,
}

impl Unfit {
    /// Not in any words of a type.
    pub fn said(reason: impl Into<String>) -> Self {
        Why::Said(reason.into()).into()
    }

    /// A field that a map has, and its type does not.
    pub fn unknown(key: &str, fields: &'static [&'static str]) -> Self {
        Self::from(Why::Unknown(fields)).under(Step::Key(key.to_owned()))
    }

    /// The same of the value that this one is in.
    pub fn under(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// With the line, unless a better one is known.
    pub fn at(mut self, line: u32) -> Self {
        self.line.get_or_insert(line);
        self
    }

    /// With the text of the scalar that was found, if the value itself is what does not fit.
    pub fn written(mut self, text: &str) -> Self {
        if self.steps.is_empty()
            && let Why::Mismatch { found, .. } = &mut self.why
            && let Found::Scalar(value, written) = found
            && value.to_string() != text
        {
            *written = Some(text.to_owned());
        }
        self
    }

    /// Where it is: the line, if there is one, and the way.
    pub fn place(&self) -> (Option<u32>, Steps) {
        let steps = self.steps.iter().rev().cloned().collect();
        (self.line, steps)
    }

    fn is_missing(&self) -> bool {
        self.why == Why::Missing
    }

    /// Why, in an object of this kind.
    pub fn reason(&self, kind: &str) -> String {
        match &self.why {
            Why::Said(reason) => reason.clone(),
            Why::Mismatch { found, expected } => mismatch(found, expected),
            Why::Missing => "missing".to_owned(),
            Why::Unknown(fields) => hints::unknown_field(kind, &self.place().1, fields),
        }
    }
}

impl From<Why> for Unfit {
    fn from(why: Why) -> Self {
        Self {
            line: None,
            steps: Vec::new(),
            why,
        }
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match path(&self.place().1).as_str() {
            "" => f.write_str(&self.reason("")),
            path => write!(f, "{path}: {}", self.reason("")),
        }
    }
}

impl std::error::Error for Unfit {}

impl de::Error for Unfit {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::said(message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let (found, expected) = (found.into(), in_words(&expected.to_string()));
        Why::Mismatch { found, expected }.into()
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let expected = in_words(&expected.to_string());
        match Found::from(found) {
            Found::Scalar(value, _) if !matches!(value, Scalar::Text(_)) => {
                Self::said(format!("{value} is out of range: expected {expected}"))
            }
            found => Why::Mismatch { found, expected }.into(),
        }
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::said(hints::unknown_value(variant, expected))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::unknown(field, expected)
    }

    fn missing_field(field: &'static str) -> Self {
        Self::from(Why::Missing).under(Step::Key(field.to_owned()))
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::said("is there twice: remove one of them").under(Step::Key(field.to_owned()))
    }
}

impl From<Unexpected<'_>> for Found {
    fn from(found: Unexpected<'_>) -> Self {
        let scalar = match found {
            Unexpected::Bool(value) => Scalar::Bool(value),
            Unexpected::Unsigned(value) => {
                i64::try_from(value).map_or(Scalar::Large(value), Scalar::Integer)
            }
            Unexpected::Signed(value) => Scalar::Integer(value),
            Unexpected::Float(value) => Scalar::Float(value),
            Unexpected::Char(value) => Scalar::Text(value.to_string()),
            Unexpected::Str(text) => Scalar::Text(text.to_owned()),
            Unexpected::Bytes(_) | Unexpected::Other(_) => Scalar::Text(found.to_string()),
            Unexpected::Unit | Unexpected::Option => Scalar::Null,
            Unexpected::Seq => return Self::List,
            Unexpected::NewtypeStruct
            | Unexpected::Map
            | Unexpected::Enum
            | Unexpected::UnitVariant
            | Unexpected::NewtypeVariant
            | Unexpected::TupleVariant
            | Unexpected::StructVariant => return Self::Map,
        };
        Self::Scalar(scalar, None)
    }
}

/// What belongs somewhere, for text of any form.
const TEXT: &str = "text";

/// What a type expects, without the names of Rust.
fn in_words(expected: &str) -> String {
    let words = match expected {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "u128" | "usize" => "a whole number, 0 or more",
        "i8" => "a whole number from -128 to 127",
        "i16" => "a whole number from -32768 to 32767",
        "i32" => "a whole number from -2147483648 to 2147483647",
        "i64" | "i128" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a string" | "string" | "a borrowed string" | "a character" | "str" => TEXT,
        "a sequence" => "a list",
        "a map" => "a map of fields",
        _ if expected.starts_with("struct ") || expected.starts_with("enum ") => "a map of fields",
        // What is generated for Kubernetes' own types names nothing but the type.
        _ if expected.starts_with(|c: char| c.is_ascii_uppercase()) && !expected.contains(' ') => {
            "a map of fields"
        }
        other => other,
    };
    words.to_owned()
}

/// What was found where what belongs: and what to do about it, where that is plain.
fn mismatch(found: &Found, expected: &str) -> String {
    let (value, written) = match found {
        Found::List => return format!("found a list, expected {expected}"),
        Found::Map => return format!("found a map of fields, expected {expected}"),
        Found::Scalar(value, written) => (value, written.as_deref()),
    };
    let as_read = match value {
        Scalar::Null => "nothing".to_owned(),
        Scalar::Bool(value) => format!("the boolean {value}"),
        Scalar::Integer(_) | Scalar::Large(_) | Scalar::Float(_) => format!("the number {value}"),
        Scalar::Text(text) => format!("the text \"{text}\""),
    };
    let found = match written {
        Some(written) => {
            format!("{written}, which YAML as Kubernetes reads it takes for {as_read}")
        }
        None => as_read,
    };
    let is_text = matches!(value, Scalar::Text(_));
    if expected == TEXT && !is_text && *value != Scalar::Null {
        let text = written.map_or_else(|| value.to_string(), str::to_owned);
        return format!("found {found}, expected text: put it in quotes, \"{text}\"");
    }
    let without_quotes = match value {
        Scalar::Text(text) if expected == "true or false" => text == "true" || text == "false",
        Scalar::Text(text) if expected.starts_with("a whole number") => text.parse::<u64>().is_ok(),
        _ => false,
    };
    match without_quotes {
        true => format!("found {found}, expected {expected}: leave out the quotes"),
        false => format!("found {found}, expected {expected}"),
    }
}
