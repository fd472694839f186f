//! Text from a peer, made safe to print.
//!
//! Control characters affect a terminal, and a line break forges a log line. So text from peers (host names, shutdown
//! communications) is a [`PeerText`], which is escaped when it is built: there is no way to print it otherwise. Text
//! from other places (object names, interface names, the kernel's messages) is escaped where it is printed, by
//! [`Printable`].

use std::convert::Infallible;
use std::fmt::{self, Write};
use std::str::FromStr;

/// Whether a character does anything but show itself: control characters (C0, DEL, C1), line and paragraph separators,
/// and format characters, which reorder what stands beside them (U+202A to U+202E, U+2066 to U+2069) or cannot be seen.
pub const fn is_unprintable(character: char) -> bool {
    matches!(
        character,
        '\0'..='\x1f'
            | '\x7f'..='\u{9f}'
            | '\u{ad}'
            | '\u{600}'..='\u{605}'
            | '\u{61c}'
            | '\u{6dd}'
            | '\u{70f}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Writes a text with every unprintable character escaped as Rust does: `\n`, `\t`, `\u{1b}`. Nothing else is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Printable<'a>(pub &'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some((at, character)) = rest.char_indices().find(|(_, c)| is_unprintable(*c)) {
            f.write_str(&rest[..at])?;
            match character {
                '\t' | '\n' | '\r' => write!(f, "{}", character.escape_default())?,
                other => write!(f, "{}", other.escape_unicode())?,
            }
            rest = &rest[at + character.len_utf8()..];
        }
        f.write_str(rest)
    }
}

/// Text from a peer: UTF-8, at most [`PeerText::MAX_CHARACTERS`] characters as the peer sent them, every unprintable one
/// escaped as by [`Printable`]. `Display` gives it as it is, `Debug` in quotation marks.
///
/// What the peer really sent is not kept, so it cannot be printed by mistake. Reading the text again (from JSON, say)
/// escapes again, which changes nothing.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerText(Box<str>);

impl PeerText {
    /// Longer texts are cut. No field of BGP that holds text has more octets (RFC 9003 section 2: 255).
    pub const MAX_CHARACTERS: usize = 255;
    /// The most characters that one is escaped to, as in `\u{e0000}`.
    const LONGEST_ESCAPE: usize = 10;

    /// From octets as they came. What is no UTF-8 is replaced by U+FFFD.
    pub fn from_octets(octets: &[u8]) -> Self {
        Self::escaped(&String::from_utf8_lossy(octets), Self::MAX_CHARACTERS)
    }

    fn escaped(text: &str, limit: usize) -> Self {
        let end = text.char_indices().nth(limit);
        let kept = &text[..end.map_or(text.len(), |(at, _)| at)];
        Self(Printable(kept).to_string().into_boxed_str())
    }

    /// The escaped text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<&str> for PeerText {
    fn from(text: &str) -> Self {
        // Possibly escaped already: then it is longer.
        Self::escaped(text, Self::MAX_CHARACTERS * Self::LONGEST_ESCAPE)
    }
}

impl FromStr for PeerText {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self::from(text))
    }
}

impl fmt::Display for PeerText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for PeerText {
    /// In quotation marks, those in the text with a backslash before them. What is escaped already is not escaped again.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for (index, part) in self.0.split('"').enumerate() {
            if index > 0 {
                f.write_str("\\\"")?;
            }
            f.write_str(part)?;
        }
        f.write_char('"')
    }
}

super::text::serde_as_text!(PeerText);

#[cfg(test)]
mod tests {
    use super::*;

    /// What terminals obey, or show otherwise than it stands there.
    const DANGEROUS: &[(&str, &str)] = &[
        ("a\nb", r"a\nb"),
        ("a\r\nb", r"a\r\nb"),
        ("a\tb", r"a\tb"),
        ("a\0b", r"a\u{0}b"),
        ("\x1b[31mred", r"\u{1b}[31mred"),
        ("\x1b]0;title\x07", r"\u{1b}]0;title\u{7}"),
        ("a\x08b", r"a\u{8}b"),
        ("a\x7fb", r"a\u{7f}b"),
        ("\u{9b}31m", r"\u{9b}31m"),
        ("a\u{85}b", r"a\u{85}b"),
        ("\u{202a}a\u{202e}b", r"\u{202a}a\u{202e}b"),
        ("\u{2066}a\u{2069}", r"\u{2066}a\u{2069}"),
        ("a\u{2028}b\u{2029}", r"a\u{2028}b\u{2029}"),
        ("a\u{200b}b\u{feff}", r"a\u{200b}b\u{feff}"),
        ("\u{e0041}", r"\u{e0041}"),
    ];

    #[test]
    fn what_a_terminal_obeys_is_escaped() {
        for (sent, shown) in DANGEROUS {
            let text = PeerText::from_octets(sent.as_bytes());
            assert_eq!(text.to_string(), *shown);
            assert_eq!(format!("{text:?}"), format!("\"{shown}\""));
            assert_eq!(Printable(sent).to_string(), *shown);
            assert!(!text.as_str().chars().any(is_unprintable));
        }
    }

    #[test]
    fn ordinary_text_stays_as_it_is() {
        for text in [
            "",
            "tor-a",
            "zurück um 10",
            r"C:\bgp",
            "日本",
            "e\u{301}",
            "🚧",
        ] {
            assert_eq!(PeerText::from(text).as_str(), text);
        }
        let quoted = PeerText::from("say \"no\"");
        assert_eq!(format!("{quoted}|{quoted:?}"), r#"say "no"|"say \"no\"""#);
    }

    #[test]
    fn every_control_character_counts_as_unprintable() {
        for character in (0..=0x0010_ffff).filter_map(char::from_u32) {
            assert!(
                !character.is_control() || is_unprintable(character),
                "{character:?}"
            );
        }
        assert!(!is_unprintable(' ') && !is_unprintable('\u{fffd}') && !is_unprintable('\u{a0}'));
    }

    #[test]
    fn octets_that_are_no_utf8_are_replaced_and_long_texts_cut() {
        assert_eq!(PeerText::from_octets(b"a\xffb").as_str(), "a\u{fffd}b");
        let long = PeerText::from_octets(&[0x1b; 4000]);
        assert_eq!(long.as_str(), r"\u{1b}".repeat(PeerText::MAX_CHARACTERS));
    }

    #[test]
    fn reading_a_text_again_changes_nothing() {
        for (sent, _) in DANGEROUS {
            let once = PeerText::from(*sent);
            assert_eq!(PeerText::from(once.as_str()), once);
        }
        let longest = PeerText::from_octets("\u{e0000}".repeat(300).as_bytes());
        assert_eq!(PeerText::from(longest.as_str()), longest);
    }
}
