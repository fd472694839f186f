//! Typed values out of a [`Tree`]: `null` counts as absent, as it does for the API server, and in strict reading, a field that a
//! struct does not have is an error.

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{
    self, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Unexpected,
    Visitor,
};
use serde::{Deserialize, forward_to_deserialize_any};

use super::tree::{Tree, Value};
use crate::cluster::reading::{Scalar, Step, Unfit};

impl Tree {
    /// Reads a typed value. `strict`: unknown fields are errors.
    pub(crate) fn read<'de, T: Deserialize<'de>>(&'de self, strict: bool) -> Result<T, Unfit> {
        T::deserialize(At { tree: self, strict }).map_err(|unfit| unfit.at(self.line))
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
            Value::Null | Value::Cut | Value::Bad(_) => Unexpected::Unit,
            Value::Text(text) => Unexpected::Str(text),
            Value::Plain(scalar, written) => match scalar {
                Scalar::Null => Unexpected::Unit,
                Scalar::Bool(value) => Unexpected::Bool(*value),
                Scalar::Integer(value) => Unexpected::Signed(*value),
                Scalar::Large(value) => Unexpected::Unsigned(*value),
                Scalar::Float(value) => Unexpected::Float(*value),
                Scalar::Text(_) => Unexpected::Str(written),
            },
            Value::List(_) => Unexpected::Seq,
            Value::Map(_) => Unexpected::Map,
        }
    }

    fn instead_of(&self, expected: &str) -> Unfit {
        match &self.tree.value {
            Value::Bad(reason) => Unfit::said(reason.as_str()),
            _ => self.seen(de::Error::invalid_type(self.unexpected(), &expected)),
        }
    }

    /// With the line, and with the text as it is written.
    fn seen(&self, unfit: Unfit) -> Unfit {
        match &self.tree.value {
            Value::Plain(_, written) => unfit.written(written),
            _ => unfit,
        }
    }

    fn text<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        match &self.tree.value {
            Value::Text(text) => visitor.visit_borrowed_str(text),
            _ => Err(self.instead_of("a string")),
        }
    }
}

impl<'de> Deserializer<'de> for At<'de> {
    type Error = Unfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        let read = match &self.tree.value {
            Value::Null | Value::Cut => visitor.visit_unit(),
            Value::Bad(reason) => return Err(Unfit::said(reason.as_str())),
            Value::Text(text) => visitor.visit_borrowed_str(text),
            Value::Plain(scalar, written) => match scalar {
                Scalar::Null => visitor.visit_unit(),
                Scalar::Bool(value) => visitor.visit_bool(*value),
                Scalar::Integer(value) => visitor.visit_i64(*value),
                Scalar::Large(value) => visitor.visit_u64(*value),
                Scalar::Float(value) => visitor.visit_f64(*value),
                Scalar::Text(_) => visitor.visit_borrowed_str(written),
            },
            Value::List(list) => visitor.visit_seq(Items {
                list: list.iter().enumerate(),
                strict: self.strict,
            }),
            Value::Map(map) => visitor.visit_map(Fields {
                map: map.iter(),
                value: None,
                strict: self.strict,
            }),
        };
        read.map_err(|unfit| self.seen(unfit))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        match self.tree.value {
            Value::Null | Value::Cut => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unfit> {
        let Value::Map(map) = &self.tree.value else {
            return Err(self.instead_of("a map"));
        };
        let unknown = |(key, _, tree): &&(String, u32, Tree)| {
            !fields.contains(&key.as_str()) && tree.value != Value::Cut
        };
        if self.strict
            && let Some((key, line, _)) = map.iter().find(unknown)
        {
            return Err(Unfit::unknown(key, fields).at(*line));
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unfit> {
        match &self.tree.value {
            Value::Text(text) => visitor.visit_enum(text.as_str().into_deserializer()),
            _ => Err(self.instead_of("a string")),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Unfit> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        visitor.visit_unit()
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        self.text(visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        self.text(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct seq tuple tuple_struct
        map identifier
    }
}

struct Items<'de> {
    list: std::iter::Enumerate<std::slice::Iter<'de, Tree>>,
    strict: bool,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Unfit;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Unfit> {
        let Some((index, tree)) = self.list.find(|(_, tree)| tree.value != Value::Cut) else {
            return Ok(None);
        };
        let at = At {
            tree,
            strict: self.strict,
        };
        seed.deserialize(at)
            .map(Some)
            .map_err(|e| e.under(Step::Index(index)).at(tree.line))
    }
}

struct Fields<'de> {
    map: std::slice::Iter<'de, (String, u32, Tree)>,
    value: Option<&'de (String, u32, Tree)>,
    strict: bool,
}

impl<'de> MapAccess<'de> for Fields<'de> {
    type Error = Unfit;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Unfit> {
        let is_there = |tree: &Tree| !matches!(tree.value, Value::Null | Value::Cut);
        let entry = self.map.find(|(.., tree)| is_there(tree));
        self.value = entry;
        let Some((key, line, _)) = entry else {
            return Ok(None);
        };
        seed.deserialize(BorrowedStrDeserializer::new(key))
            .map(Some)
            .map_err(|e: Unfit| e.at(*line))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Unfit> {
        let Some((key, line, tree)) = self.value.take() else {
            return Err(Unfit::said("a value was asked for before its key"));
        };
        let at = At {
            tree,
            strict: self.strict,
        };
        seed.deserialize(at)
            .map_err(|e| e.under(Step::Key(key.clone())).at(*line))
    }
}
