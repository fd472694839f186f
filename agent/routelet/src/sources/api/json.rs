//! An object of an API server as it came: held once, and read as its type out of memory.
//!
//! Go writes a list or map that is nil as `null` unless its field says `omitempty`, and what it writes depends on the
//! version of the server. So `null` counts as absent here, before any type sees it, for every field of every kind: a
//! field gets its default, whatever that is. The server decodes in the same way. `metadata.managedFields`, which is
//! often the larger half of an object and of no use to us, is skipped unread.

use std::borrow::Cow;
use std::fmt;

use serde::de::value::{BorrowedStrDeserializer, StrDeserializer};
use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, IgnoredAny, IntoDeserializer, MapAccess,
    SeqAccess, Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;

use routelet_core::cluster::reading::{Branch, Step, Unfit};

/// A JSON value. Texts are borrowed from the answer wherever they can be.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json<'a> {
    Null,
    /// It was cut out, and counts as absent.
    Cut,
    Bool(bool),
    Integer(i64),
    /// Above [`i64::MAX`].
    Large(u64),
    Float(f64),
    Text(Cow<'a, str>),
    List(Vec<Self>),
    /// In the order of the object. A field that is `null` is not in it.
    Map(Vec<(Cow<'a, str>, Self)>),
}

impl Json<'_> {
    /// The value of a field, of a map that has it.
    pub(super) fn field(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Map(fields) => fields.iter().find(|(key, _)| key == name).map(|(_, v)| v),
            _ => None,
        }
    }

    /// Reads a typed value.
    pub(super) fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Unfit> {
        T::deserialize(self)
    }
}

impl<'de> Deserialize<'de> for Json<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Place::Object)
    }
}

/// Where in an object a value stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Object,
    Metadata,
    Elsewhere,
}

impl Place {
    fn under(self, key: &str) -> Self {
        match (self, key) {
            (Self::Object, "metadata") => Self::Metadata,
            _ => Self::Elsewhere,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Place {
    type Value = Json<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Place {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_none<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json<'de>, E> {
        Ok(Json::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json<'de>, E> {
        Ok(i64::try_from(value).map_or(Json::Large(value), Json::Integer))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json<'de>, E> {
        Ok(Json::Float(value))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_string<E>(self, value: String) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Owned(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Json<'de>, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = access.next_element_seed(Self::Elsewhere)? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Json<'de>, A::Error> {
        let mut map = Vec::new();
        while let Some(Key(key)) = access.next_key()? {
            if self == Self::Metadata && key == "managedFields" {
                access.next_value::<IgnoredAny>()?;
                continue;
            }
            match access.next_value_seed(self.under(&key))? {
                Json::Null => {}
                value => map.push((key, value)),
            }
        }
        Ok(Json::Map(map))
    }
}

/// The name of a field: `Cow` itself never borrows.
struct Key<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl<'de> Visitor<'de> for Text {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a field")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }

            fn visit_string<E>(self, text: String) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(text)))
            }
        }

        deserializer.deserialize_str(Text)
    }
}

impl Branch for Json<'_> {
    fn child(&mut self, key: &str) -> Option<&mut Self> {
        match self {
            Self::Map(fields) => {
                let mut fields = fields.iter_mut();
                fields.find(|(k, _)| k == key).map(|(_, value)| value)
            }
            _ => None,
        }
    }

    fn item(&mut self, index: usize) -> Option<&mut Self> {
        match self {
            Self::List(list) => list.get_mut(index),
            _ => None,
        }
    }

    fn cut(&mut self) {
        *self = Self::Cut;
    }
}

impl<'de> Deserializer<'de> for &'de Json<'_> {
    type Error = Unfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        match self {
            Json::Null | Json::Cut => visitor.visit_unit(),
            Json::Bool(value) => visitor.visit_bool(*value),
            Json::Integer(value) => visitor.visit_i64(*value),
            Json::Large(value) => visitor.visit_u64(*value),
            Json::Float(value) => visitor.visit_f64(*value),
            Json::Text(text) => visitor.visit_borrowed_str(text),
            Json::List(list) => visitor.visit_seq(Items(list.iter().enumerate())),
            Json::Map(map) => visitor.visit_map(Fields {
                map: map.iter(),
                value: None,
            }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        match self {
            Json::Null | Json::Cut => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Unfit> {
        visitor.visit_newtype_struct(self)
    }

    /// A list is none, although it could be read by the order of the fields.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unfit> {
        match self {
            Json::Map(_) => self.deserialize_any(visitor),
            other => Err(de::Error::invalid_type(other.unexpected(), &"a map")),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unfit> {
        match self {
            Json::Text(text) => {
                let name: StrDeserializer<'_, Unfit> = text.as_ref().into_deserializer();
                visitor.visit_enum(name)
            }
            other => Err(de::Error::invalid_type(other.unexpected(), &"a string")),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier
    }
}

impl Json<'_> {
    fn unexpected(&self) -> Unexpected<'_> {
        match self {
            Json::Null | Json::Cut => Unexpected::Unit,
            Json::Bool(value) => Unexpected::Bool(*value),
            Json::Integer(value) => Unexpected::Signed(*value),
            Json::Large(value) => Unexpected::Unsigned(*value),
            Json::Float(value) => Unexpected::Float(*value),
            Json::Text(text) => Unexpected::Str(text),
            Json::List(_) => Unexpected::Seq,
            Json::Map(_) => Unexpected::Map,
        }
    }
}

struct Items<'de, 'a>(std::iter::Enumerate<std::slice::Iter<'de, Json<'a>>>);

impl<'de> SeqAccess<'de> for Items<'de, '_> {
    type Error = Unfit;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Unfit> {
        let Some((index, item)) = self.0.find(|(_, item)| **item != Json::Cut) else {
            return Ok(None);
        };
        let read = seed.deserialize(item);
        read.map(Some).map_err(|e| e.under(Step::Index(index)))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }
}

struct Fields<'de, 'a> {
    map: std::slice::Iter<'de, (Cow<'a, str>, Json<'a>)>,
    value: Option<&'de (Cow<'a, str>, Json<'a>)>,
}

impl<'de> MapAccess<'de> for Fields<'de, '_> {
    type Error = Unfit;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Unfit> {
        self.value = self.map.find(|(_, value)| *value != Json::Cut);
        let Some((key, _)) = self.value else {
            return Ok(None);
        };
        seed.deserialize(BorrowedStrDeserializer::new(key))
            .map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Unfit> {
        let Some((key, value)) = self.value.take() else {
            return Err(Unfit::said("a value was asked for before its key"));
        };
        let read = seed.deserialize(value);
        read.map_err(|e| e.under(Step::Key(key.clone().into_owned())))
    }
}
