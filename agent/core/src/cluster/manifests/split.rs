//! The documents of a file, one after the other: what is in memory of a file at once is one of them.
//!
//! A line that begins with `---` always ends a document in YAML, so that one with broken syntax does not take the others
//! with it.

use std::io::{self, BufRead};

/// A document as text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Document {
    /// Lines of the file before it.
    pub(super) line: u32,
    /// Its text, with the marker that it begins with.
    pub(super) text: String,
}

/// Reads documents.
pub(super) struct Documents<R> {
    reader: R,
    /// What has been read of the document that comes next.
    pending: Vec<u8>,
    /// Lines before it, and in it.
    before: u32,
    lines: u32,
    done: bool,
}

impl<R: BufRead> Documents<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            reader,
            pending: Vec::new(),
            before: 0,
            lines: 0,
            done: false,
        }
    }

    /// The next document; `None` after the last. There is at least one, if empty.
    ///
    /// # Errors
    /// The reader's, and text that is not UTF-8.
    pub(super) fn next(&mut self) -> io::Result<Option<Document>> {
        while !self.done {
            let start = self.pending.len();
            if self.reader.read_until(b'\n', &mut self.pending)? == 0 {
                self.done = true;
                return self.document(start).map(Some);
            }
            self.lines += 1;
            if start > 0 && is_marker(&self.pending[start..]) {
                return self.document(start).map(Some);
            }
        }
        Ok(None)
    }

    /// Takes what is before `end`; the line after it is the first of the next document.
    fn document(&mut self, end: usize) -> io::Result<Document> {
        let next = self.pending.split_off(end);
        let bytes = std::mem::replace(&mut self.pending, next);
        let text = String::from_utf8(bytes).map_err(|error| {
            let reason = match error.as_bytes() {
                [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "it is UTF-16 text: save it as UTF-8",
                _ => "it is not UTF-8 text",
            };
            io::Error::new(io::ErrorKind::InvalidData, reason)
        })?;
        let line = self.before;
        let begun = u32::from(!self.pending.is_empty());
        self.before += self.lines - begun;
        self.lines = begun;
        Ok(Document {
            line,
            text: match text.strip_prefix('\u{feff}') {
                Some(rest) if line == 0 => rest.to_owned(),
                _ => text,
            },
        })
    }
}

/// `kubectl` looks at no more; what stands behind it makes the document unreadable there as here.
fn is_marker(line: &[u8]) -> bool {
    line.starts_with(b"---")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn documents(text: &[u8]) -> io::Result<Vec<(u32, String)>> {
        let mut documents = Documents::new(text);
        let mut all = Vec::new();
        while let Some(Document { line, text }) = documents.next()? {
            all.push((line, text));
        }
        Ok(all)
    }

    #[test]
    fn documents_are_those_between_markers_with_the_lines_before_them() {
        let table: [(&str, &[(u32, &str)]); 6] = [
            ("", &[(0, "")]),
            ("a\nb", &[(0, "a\nb")]),
            ("\u{feff}a\n", &[(0, "a\n")]),
            ("---\na\n---\n", &[(0, "---\na\n"), (2, "---\n")]),
            (
                "a\n--- # b\nc\n\n---\nd",
                &[(0, "a\n"), (1, "--- # b\nc\n\n"), (4, "---\nd")],
            ),
            (
                "a\n----\n ---\n---b\n",
                &[(0, "a\n"), (1, "----\n ---\n"), (3, "---b\n")],
            ),
        ];
        for (text, expected) in table {
            let found = documents(text.as_bytes()).unwrap();
            let found: Vec<(u32, &str)> = found.iter().map(|(l, t)| (*l, t.as_str())).collect();
            assert_eq!(found, expected, "{text:?}");
        }
    }

    #[test]
    fn what_is_not_utf8_is_an_error() {
        let error = documents(b"a\n---\n\xff\n").unwrap_err();
        assert_eq!(error.to_string(), "it is not UTF-8 text");
        let error = documents(b"\xff\xfea\0").unwrap_err();
        assert_eq!(error.to_string(), "it is UTF-16 text: save it as UTF-8");
    }
}
