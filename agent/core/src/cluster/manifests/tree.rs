//! A YAML document as a tree whose every node knows its line.
//!
//! Types are read from the tree instead of the text, so that an error names file, line and path (`spec.rules[2].action`),
//! and so that later checks can point at the line of a field.

use super::yaml::{self, SyntaxError};
use crate::cluster::reading::{Branch, Scalar};

/// A node of a document.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tree {
    /// Its line, from 1, in the file.
    pub line: u32,
    /// Its value.
    pub value: Value,
}

/// The value of a node.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    /// A text in quotes, or one that is nothing else without.
    Text(String),
    /// A boolean or a number, and how it is written.
    Plain(Scalar, Box<str>),
    /// What nobody can use, and why.
    Bad(String),
    /// It was cut out, and counts as absent.
    Cut,
    List(Vec<Tree>),
    /// Key, line of the key, value; in the order of the document.
    Map(Vec<(String, u32, Tree)>),
}

impl Tree {
    /// Reads one document, before which the file has so many lines. An empty one is [`Value::Null`].
    ///
    /// # Errors
    /// If the text is no YAML.
    pub(crate) fn parse(text: &str, before: u32) -> Result<Self, SyntaxError> {
        yaml::parse(text, before)
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
        match &mut self.child(key)?.value {
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

    /// The text of a node as it is written, also if it is read as a number or a boolean.
    pub(crate) fn written(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            Value::Plain(_, written) => Some(written),
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
}

impl Branch for Tree {
    fn child(&mut self, key: &str) -> Option<&mut Self> {
        match &mut self.value {
            Value::Map(map) => {
                let mut fields = map.iter_mut();
                fields.find(|(k, ..)| k == key).map(|(.., tree)| tree)
            }
            _ => None,
        }
    }

    fn item(&mut self, index: usize) -> Option<&mut Self> {
        match &mut self.value {
            Value::List(list) => list.get_mut(index),
            _ => None,
        }
    }

    fn cut(&mut self) {
        self.value = Value::Cut;
    }
}
