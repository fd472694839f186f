//! YAML as `kubectl` reads it: events of a parser as a tree, scalars as go-yaml v2 has them ([`mod@scalar`]).
//!
//! Where `kubectl` decides for one of two meanings without a word, the place is refused with the reason: a key that stands there
//! twice, a merged map that replaces a field before it, a second document that nothing divides from the first. Aliases and merge
//! keys (`<<`) are followed, as far as what they repeat is bounded.

mod scalar;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use granit_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};

use super::tree::{Tree, Value};
use crate::cluster::reading::Scalar;

/// Nodes of one document: a List of a large cluster's Services has fewer.
const NODES: usize = 10_000_000;

/// Nodes that aliases repeat.
const REPEATED: usize = 100_000;

/// A text that is no YAML.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct SyntaxError {
    /// The line, from 1.
    pub line: u32,
    /// What was found there.
    pub reason: String,
}

/// Reads one document, before which the file has so many lines. An empty one is [`Value::Null`].
pub(super) fn parse(text: &str, before: u32) -> Result<Tree, SyntaxError> {
    if let Some(rest) = text.strip_prefix("---") {
        let rest = rest.lines().next().unwrap_or_default().trim();
        if !(rest.is_empty() || rest.starts_with('#')) {
            let reason = format!("found \"{rest}\" after ---: begin the document on the next line");
            return Err(wrong(before + 1, reason));
        }
    }
    let options = granit_parser::options! { emit_comments: false };
    Builder {
        text,
        before,
        parser: Parser::new_from_str_with_options(text, options),
        anchors: HashMap::new(),
        nodes: 0,
        repeated: 0,
    }
    .document()
}

struct Builder<'t> {
    text: &'t str,
    before: u32,
    parser: Parser<'t, StrInput<'t>>,
    /// What has an anchor, and how many nodes it has.
    anchors: HashMap<usize, (Tree, usize)>,
    nodes: usize,
    repeated: usize,
}

fn wrong(line: u32, reason: impl Into<String>) -> SyntaxError {
    SyntaxError {
        line,
        reason: reason.into(),
    }
}

impl<'t> Builder<'t> {
    /// A line of the document as one of the file.
    fn line(&self, at: &Marker) -> u32 {
        let line = u32::try_from(at.line()).unwrap_or(u32::MAX);
        line.saturating_add(self.before)
    }

    fn document(mut self) -> Result<Tree, SyntaxError> {
        let mut document = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::StreamStart | Event::DocumentEnd => {}
                Event::DocumentStart(..) if document.is_some() => {
                    let reason = "a second document begins: put --- on a line of its own before it";
                    return Err(wrong(self.line(&span.start), reason));
                }
                Event::DocumentStart(..) => {}
                event => document = Some(self.node(event, &span)?),
            }
        }
        Ok(document.unwrap_or(Tree {
            line: self.before + 1,
            value: Value::Null,
        }))
    }

    fn next(&mut self) -> Result<(Event<'t>, Span), SyntaxError> {
        match self.parser.next_event() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => Err(self.unreadable(&error)),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn unreadable(&self, error: &ScanError) -> SyntaxError {
        let line = self.line(error.marker());
        let text = self
            .text
            .lines()
            .nth(error.marker().line().saturating_sub(1));
        let indent = text.unwrap_or_default();
        let indent = &indent[..indent.len() - indent.trim_start().len()];
        match indent.contains('\t') {
            true => wrong(
                line,
                "the line is indented by a tab: YAML takes only spaces",
            ),
            false => wrong(line, error.info()),
        }
    }

    fn node(&mut self, event: Event<'t>, span: &Span) -> Result<Tree, SyntaxError> {
        let line = self.line(&span.start);
        let before = self.nodes;
        self.count(line, 1)?;
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                (scalar(&text, style, tag.as_deref(), line)?, anchor)
            }
            Event::SequenceStart(_, anchor, _) => (self.list()?, anchor),
            Event::MappingStart(_, anchor, _) => (self.map()?, anchor),
            Event::Alias(id) => return self.alias(id, line),
            _ => return Err(wrong(line, "no value")),
        };
        let tree = Tree { line, value };
        if anchor != 0 {
            self.anchors
                .insert(anchor, (tree.clone(), self.nodes - before));
        }
        Ok(tree)
    }

    fn alias(&mut self, id: usize, line: u32) -> Result<Tree, SyntaxError> {
        let Some((tree, nodes)) = self.anchors.get(&id).cloned() else {
            return Err(wrong(line, "an alias is inside its own anchor"));
        };
        self.repeated += nodes;
        self.count(line, nodes)?;
        match self.repeated > REPEATED {
            true => Err(wrong(line, "aliases expand to too much")),
            false => Ok(tree),
        }
    }

    fn count(&mut self, line: u32, nodes: usize) -> Result<(), SyntaxError> {
        self.nodes += nodes;
        match self.nodes > NODES {
            true => Err(wrong(line, "the document is too large: split it")),
            false => Ok(()),
        }
    }

    fn list(&mut self) -> Result<Value, SyntaxError> {
        let mut list = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Value::List(list)),
                (event, span) => list.push(self.node(event, &span)?),
            }
        }
    }

    fn map(&mut self) -> Result<Value, SyntaxError> {
        let mut map = Map::default();
        loop {
            let (event, span) = self.next()?;
            if let Event::MappingEnd = event {
                return Ok(Value::Map(map.fields));
            }
            let merges =
                matches!(&event, Event::Scalar(text, ScalarStyle::Plain, _, None) if text == "<<");
            let key = self.node(event, &span)?;
            let (event, span) = self.next()?;
            let value = self.node(event, &span)?;
            if merges {
                map.merge(value)?;
            } else {
                map.put(field_name(&key)?, key.line, value);
            }
        }
    }
}

/// The fields of a map, and how many of them were merged into it; these come first.
#[derive(Default)]
struct Map {
    fields: Vec<(String, u32, Tree)>,
    merged: HashMap<String, usize>,
    places: HashMap<String, usize>,
}

impl Map {
    fn put(&mut self, key: String, line: u32, value: Tree) {
        if let Some(at) = self.merged.remove(&key) {
            // A map says otherwise than what it repeats.
            self.fields[at] = (key.clone(), line, value);
            self.places.insert(key, at);
            return;
        }
        match self.places.get(&key) {
            Some(at) => {
                let (_, first, tree) = &mut self.fields[*at];
                tree.value = Value::Bad(format!(
                    "is there twice, in lines {first} and {line}: remove one of them"
                ));
            }
            None => {
                self.places.insert(key.clone(), self.fields.len());
                self.fields.push((key, line, value));
            }
        }
    }

    fn merge(&mut self, value: Tree) -> Result<(), SyntaxError> {
        let line = value.line;
        let maps = match value.value {
            Value::List(list) => list,
            _ => vec![value],
        };
        for tree in maps {
            let Value::Map(fields) = tree.value else {
                return Err(wrong(line, "<< takes a map, or a list of maps"));
            };
            for (key, line, value) in fields {
                if let Some(at) = self.places.get(&key) {
                    let (_, _, tree) = &mut self.fields[*at];
                    tree.value = Value::Bad(
                        "is overridden by <<: put << before it, or remove it".to_owned(),
                    );
                } else if !self.merged.contains_key(&key) {
                    self.merged.insert(key.clone(), self.fields.len());
                    self.fields.push((key, line, value));
                }
            }
        }
        Ok(())
    }
}

/// A key as JSON has it: numbers and booleans become text.
fn field_name(key: &Tree) -> Result<String, SyntaxError> {
    match &key.value {
        Value::Text(text) => Ok(text.clone()),
        Value::Plain(Scalar::Float(_), written) => Ok(written.to_string()),
        Value::Plain(scalar, _) => Ok(scalar.to_string()),
        Value::Null => Err(wrong(key.line, "a key is empty or null: put it in quotes")),
        Value::Bad(reason) => Err(wrong(
            key.line,
            format!("a key is {reason}: put it in quotes"),
        )),
        Value::Cut | Value::List(_) | Value::Map(_) => Err(wrong(
            key.line,
            "a key is a list or a map: expected the name of a field",
        )),
    }
}

fn scalar(
    text: &str,
    style: ScalarStyle,
    tag: Option<&Tag>,
    line: u32,
) -> Result<Value, SyntaxError> {
    let tag = tag.map(|tag| (tag.handle(), tag.suffix()));
    let is_plain = style == ScalarStyle::Plain;
    let resolved = match tag {
        None if !is_plain => return Ok(Value::Text(text.to_owned())),
        None | Some(("", "!") | ("!", "")) => scalar::plain(text),
        Some(("tag:yaml.org,2002:", "str")) => return Ok(Value::Text(text.to_owned())),
        Some(("tag:yaml.org,2002:", name @ ("bool" | "int" | "float" | "null"))) => {
            let resolved = scalar::plain(text);
            let fits = matches!(
                (&resolved, name),
                (Ok(Scalar::Bool(_)), "bool")
                    | (Ok(Scalar::Null), "null")
                    | (Ok(Scalar::Integer(_) | Scalar::Large(_)), "int" | "float")
                    | (Ok(Scalar::Float(_)), "float")
            );
            if !fits {
                return Err(wrong(
                    line,
                    format!("\"{text}\" does not match its tag !!{name}"),
                ));
            }
            resolved
        }
        Some((_, name)) => {
            return Err(wrong(line, format!("the tag {name} is unknown: remove it")));
        }
    };
    Ok(match resolved {
        Ok(Scalar::Null) => Value::Null,
        Ok(Scalar::Text(text)) => Value::Text(text),
        Ok(scalar) => Value::Plain(scalar, text.into()),
        Err(what) => Value::Bad(format!("{text} is {what}")),
    })
}
