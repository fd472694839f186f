//! Text on its way to a terminal or into a log, where control characters would be obeyed and a line break would begin a
//! line of its own. Names of objects, annotations, interfaces and the kernel's messages all may hold them.
//!
//! Text leaves the process for people in few places, and each uses this: the commands' `Screen`, the writer of the log,
//! conditions, RouterStates and Events (which `kubectl` prints), and the pages of the HTTP server. What a peer sent is
//! escaped earlier, by [`bgp::types::PeerText`].

use std::borrow::Cow;
use std::fmt::Write;

use bgp::types::{Printable, is_unprintable};

/// A line: everything unprintable is escaped as Rust does, line breaks too.
pub fn line(text: &str) -> Cow<'_, str> {
    match text.contains(is_unprintable) {
        false => Cow::Borrowed(text),
        true => Cow::Owned(Printable(text).to_string()),
    }
}

/// The same, and not longer than so many octets: what is cut off is replaced by three dots.
pub fn short_line(text: &str, most: usize) -> String {
    let mut text = line(text).into_owned();
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most.saturating_sub(3)));
        text.push_str("...");
    }
    text
}

/// Whether a document of several lines holds something unprintable beside its line breaks.
pub fn is_plain(text: &str) -> bool {
    !text.contains(|c| c != '\n' && is_unprintable(c))
}

/// Several lines: as [`line()`], but line breaks stay.
pub fn lines(text: &str) -> Cow<'_, str> {
    if is_plain(text) {
        return Cow::Borrowed(text);
    }
    let lines: Vec<_> = text.split('\n').map(line).collect();
    Cow::Owned(lines.join("\n"))
}

/// JSON: everything unprintable but line breaks is escaped as JSON does. Such characters stand in strings only, so the
/// data stay the same.
pub fn json(text: &str) -> Cow<'_, str> {
    if is_plain(text) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if character == '\n' || !is_unprintable(character) {
            out.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            // Writing into a String cannot fail.
            let _ = write!(out, "\\u{unit:04x}");
        }
    }
    Cow::Owned(out)
}

/// A line in colour: as [`line()`], but sequences that choose a colour (`ESC [ 1 ; 31 m`) stay.
pub fn coloured_line(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unprintable) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(at) = rest.find('\x1b') {
        let (before, from) = rest.split_at(at);
        let length = colour(from).unwrap_or(0);
        let _ = write!(out, "{}", Printable(before));
        out.push_str(&from[..length]);
        if length == 0 {
            let _ = write!(out, "{}", Printable("\x1b"));
        }
        rest = &from[length.max(1)..];
    }
    let _ = write!(out, "{}", Printable(rest));
    Cow::Owned(out)
}

/// Octets of the sequence that chooses a colour at the front.
fn colour(text: &str) -> Option<usize> {
    let parameters = text.strip_prefix("\x1b[")?;
    let end = parameters.find(|c: char| !c.is_ascii_digit() && c != ';')?;
    parameters[end..].starts_with('m').then_some(2 + end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_one_line_and_keeps_no_control_character() {
        assert_eq!(line("node-1 ä 日本"), "node-1 ä 日本");
        assert_eq!(
            line("a\nb\x1b[2J\u{9b}m\u{202e}c"),
            r"a\nb\u{1b}[2J\u{9b}m\u{202e}c"
        );
    }

    #[test]
    fn a_short_line_is_cut_at_a_character() {
        assert_eq!(short_line("a\nb", 4), r"a\nb");
        assert_eq!(short_line("ääää", 7), "ää...");
        assert_eq!(short_line("a\x1b", 5), r"a\...");
    }

    #[test]
    fn json_is_escaped_and_stays_the_same_data() -> Result<(), serde_json::Error> {
        let value =
            serde_json::json!({"a\x7f": ["\x1b\u{85}\u{2028}\u{202e}", "\u{e0041}\n", "ä"]});
        for text in [
            serde_json::to_string(&value)?,
            serde_json::to_string_pretty(&value)?,
        ] {
            let safe = json(&text);
            assert!(is_plain(&safe), "{safe:?}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&safe)?, value);
        }
        Ok(())
    }

    #[test]
    fn colours_stay_and_nothing_else_does() {
        for (text, expected) in [
            ("\x1b[2m12:00\x1b[0m x", "\x1b[2m12:00\x1b[0m x"),
            ("\x1b[1;31mred\x1b[0m\n", "\x1b[1;31mred\x1b[0m\\n"),
            ("\x1b[2J", r"\u{1b}[2J"),
            ("\x1b]0;x\x07", r"\u{1b}]0;x\u{7}"),
            ("a\x1b", r"a\u{1b}"),
            ("\x1b[1", r"\u{1b}[1"),
            ("\x1b\x1b[0m\r", "\\u{1b}\x1b[0m\\r"),
        ] {
            assert_eq!(coloured_line(text), expected);
        }
    }
}
