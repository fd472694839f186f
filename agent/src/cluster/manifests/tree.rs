//! A YAML document as a tree whose every node knows its line, and typed values out of it.
//!
//! Types are read from the tree instead of the text, so that an error names file, line and path (`spec.rules[2].action`),
//! and so that later checks can point at the line of a field. In strict reading, a field that a struct does not have is
//! an error that lists the ones it has; `null` counts as absent, as it does for the API server.

use std::fmt;

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{
    self, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Unexpected,
    Visitor,
};
use serde::{Deserialize, forward_to_deserialize_any};
use serde_saphyr::Spanned;

/// A node of a document.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tree {
    /// Its line, from 1, in the text that was parsed.
    pub(crate) line: u32,
    /// Its value.
    pub(crate) value: Value,
}

/// The value of a node.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Integer(i64),
    /// Above [`i64::MAX`].
    Large(u64),
    Float(f64),
    Text(String),
    List(Vec<Tree>),
    /// Key, line of the key, value; in the order of the document.
    Map(Vec<(String, u32, Tree)>),
}

impl Tree {
    /// Reads one document. An empty one is [`Value::Null`].
    ///
    /// # Errors
    /// The parser's, if the text is no YAML.
    pub(crate) fn parse(text: &str) -> Result<Self, serde_saphyr::Error> {
        // The parser's limits, ten times wider where a List of a large cluster's Services would reach them.
        let options = serde_saphyr::options! {
            budget: serde_saphyr::budget! { max_events: 10_000_000, max_nodes: 10_000_000 },
        };
        serde_saphyr::from_str_with_options::<Spanned<Value>>(text, options).map(Into::into)
    }

    /// Moves all lines down, for a document that does not begin at the file's first line.
    pub(crate) fn shift(&mut self, lines: u32) {
        self.line += lines;
        match &mut self.value {
            Value::List(list) => list.iter_mut().for_each(|tree| tree.shift(lines)),
            Value::Map(map) => {
                for (_, line, tree) in map {
                    *line += lines;
                    tree.shift(lines);
                }
            }
            _ => {}
        }
    }

    /// The value under a key of a map.
    pub(crate) fn field(&self, key: &str) -> Option<&Self> {
        match &self.value {
            Value::Map(map) => map.iter().find(|(k, ..)| k == key).map(|(.., tree)| tree),
            _ => None,
        }
    }

    /// Takes the items of a list under a key of a map out of the tree.
    pub(crate) fn take_list(&mut self, key: &str) -> Option<Vec<Self>> {
        let Value::Map(map) = &mut self.value else {
            return None;
        };
        let (.., tree) = map.iter_mut().find(|(k, ..)| k == key)?;
        match &mut tree.value {
            Value::List(list) => Some(std::mem::take(list)),
            _ => None,
        }
    }

    /// The text of a node.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The line of a path such as `spec.rules[2].action`; as far as it goes, that of its last part that is there.
    pub(crate) fn line_of(&self, path: &str) -> u32 {
        let mut tree = self;
        let mut line = self.line;
        for part in path.split('.') {
            let (key, indexes) = part.split_once('[').unwrap_or((part, ""));
            let Value::Map(map) = &tree.value else {
                return line;
            };
            let Some((_, key_line, value)) = map.iter().find(|(k, ..)| k == key) else {
                return line;
            };
            (tree, line) = (value, *key_line);
            for index in indexes.split(['[', ']']).filter(|s| !s.is_empty()) {
                let (Value::List(list), Ok(index)) = (&tree.value, index.parse::<usize>()) else {
                    return line;
                };
                let Some(item) = list.get(index) else {
                    return line;
                };
                (tree, line) = (item, item.line);
            }
        }
        line
    }

    /// Reads a typed value. `strict`: unknown fields are errors.
    pub(crate) fn read<'de, T: Deserialize<'de>>(&'de self, strict: bool) -> Result<T, ReadError> {
        T::deserialize(At { tree: self, strict }).map_err(|e| ReadError {
            line: e.line.unwrap_or(self.line),
            ..e.into()
        })
    }
}

impl From<Spanned<Value>> for Tree {
    fn from(spanned: Spanned<Value>) -> Self {
        Self {
            line: u32::try_from(spanned.referenced.line()).unwrap_or(u32::MAX),
            value: spanned.value,
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or(Value::Large(value), Value::Integer))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = access.next_element::<Spanned<Value>>()? {
            list.push(item.into());
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Vec::new();
        while let Some(key) = access.next_key::<Spanned<String>>()? {
            let line = u32::try_from(key.referenced.line()).unwrap_or(u32::MAX);
            let value: Spanned<Value> = access.next_value()?;
            map.push((key.value, line, value.into()));
        }
        Ok(Value::Map(map))
    }
}

/// A tree that is not what a type wants: where, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReadError {
    /// The line.
    pub(crate) line: u32,
    /// The path, such as `spec.rules[2].action`; empty for the document itself.
    pub(crate) path: String,
    /// Why.
    pub(crate) reason: String,
}

/// The same on its way up: the path is put before it level by level.
#[derive(Debug)]
pub(crate) struct Rising {
    line: Option<u32>,
    path: String,
    reason: String,
}

impl Rising {
    fn under(mut self, segment: &str, line: u32) -> Self {
        self.line.get_or_insert(line);
        self.path = match self.path.as_str() {
            "" => segment.to_owned(),
            rest if rest.starts_with('[') => format!("{segment}{rest}"),
            rest => format!("{segment}.{rest}"),
        };
        self
    }
}

impl From<Rising> for ReadError {
    fn from(rising: Rising) -> Self {
        Self {
            line: rising.line.unwrap_or(0),
            path: rising.path,
            reason: rising.reason,
        }
    }
}

impl fmt::Display for Rising {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Rising {}

impl de::Error for Rising {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self {
            line: None,
            path: String::new(),
            reason: message.to_string(),
        }
    }
}

/// A node as a deserializer.
#[derive(Clone, Copy)]
struct At<'de> {
    tree: &'de Tree,
    strict: bool,
}

impl<'de> At<'de> {
    fn unexpected(&self) -> Unexpected<'de> {
        match &self.tree.value {
            Value::Null => Unexpected::Unit,
            Value::Bool(value) => Unexpected::Bool(*value),
            Value::Integer(value) => Unexpected::Signed(*value),
            Value::Large(value) => Unexpected::Unsigned(*value),
            Value::Float(value) => Unexpected::Float(*value),
            Value::Text(text) => Unexpected::Str(text),
            Value::List(_) => Unexpected::Seq,
            Value::Map(_) => Unexpected::Map,
        }
    }

    fn text<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Rising> {
        match &self.tree.value {
            Value::Text(text) => visitor.visit_borrowed_str(text),
            Value::Bool(_) | Value::Integer(_) | Value::Large(_) | Value::Float(_) => {
                Err(de::Error::custom(format_args!(
                    "found {} where text is expected: put it in quotes",
                    self.unexpected()
                )))
            }
            Value::Null | Value::List(_) | Value::Map(_) => {
                Err(de::Error::invalid_type(self.unexpected(), &"text"))
            }
        }
    }
}

impl<'de> Deserializer<'de> for At<'de> {
    type Error = Rising;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Rising> {
        match &self.tree.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Integer(value) => visitor.visit_i64(*value),
            Value::Large(value) => visitor.visit_u64(*value),
            Value::Float(value) => visitor.visit_f64(*value),
            Value::Text(text) => visitor.visit_borrowed_str(text),
            Value::List(list) => visitor.visit_seq(Items {
                list: list.iter().enumerate(),
                strict: self.strict,
            }),
            Value::Map(map) => visitor.visit_map(Fields {
                map: map.iter(),
                value: None,
                strict: self.strict,
            }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Rising> {
        match self.tree.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Rising> {
        let Value::Map(map) = &self.tree.value else {
            return Err(de::Error::invalid_type(
                self.unexpected(),
                &"a map of fields",
            ));
        };
        let unknown = |(key, ..): &&(String, u32, Tree)| !fields.contains(&key.as_str());
        if self.strict
            && let Some((key, line, _)) = map.iter().find(unknown)
        {
            return Err(Rising {
                line: Some(*line),
                path: key.clone(),
                reason: unknown_field(key, fields),
            });
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Rising> {
        match &self.tree.value {
            Value::Text(text) => visitor.visit_enum(text.as_str().into_deserializer()),
            _ => Err(de::Error::invalid_type(self.unexpected(), &"text")),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Rising> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Rising> {
        self.text(visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Rising> {
        self.text(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct seq tuple tuple_struct
        map identifier ignored_any
    }
}

/// The error of a typo: the nearest name first, then all.
fn unknown_field(key: &str, fields: &[&str]) -> String {
    let near = fields
        .iter()
        .map(|field| (distance(&key.to_lowercase(), &field.to_lowercase()), field))
        .filter(|(distance, _)| *distance <= 2)
        .min();
    let hint = near.map_or_else(String::new, |(_, field)| {
        format!(" (did you mean {field}?)")
    });
    let mut names = fields.to_vec();
    names.sort_unstable();
    if names.is_empty() {
        return "unknown field: there are none here".to_owned();
    }
    format!("unknown field{hint}: expected one of {}", names.join(", "))
}

/// Levenshtein's.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.chars().enumerate() {
            let cost = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

struct Items<'de> {
    list: std::iter::Enumerate<std::slice::Iter<'de, Tree>>,
    strict: bool,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Rising;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Rising> {
        let Some((index, tree)) = self.list.next() else {
            return Ok(None);
        };
        let at = At {
            tree,
            strict: self.strict,
        };
        seed.deserialize(at)
            .map(Some)
            .map_err(|e| e.under(&format!("[{index}]"), tree.line))
    }
}

struct Fields<'de> {
    map: std::slice::Iter<'de, (String, u32, Tree)>,
    value: Option<&'de (String, u32, Tree)>,
    strict: bool,
}

impl<'de> MapAccess<'de> for Fields<'de> {
    type Error = Rising;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Rising> {
        let entry = self.map.find(|(.., tree)| tree.value != Value::Null);
        self.value = entry;
        let Some((key, line, _)) = entry else {
            return Ok(None);
        };
        seed.deserialize(BorrowedStrDeserializer::new(key))
            .map(Some)
            .map_err(|e: Rising| e.under(key, *line))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Rising> {
        let Some((key, line, tree)) = self.value.take() else {
            return Err(de::Error::custom("a value was asked for before its key"));
        };
        let at = At {
            tree,
            strict: self.strict,
        };
        seed.deserialize(at).map_err(|e| e.under(key, *line))
    }
}
