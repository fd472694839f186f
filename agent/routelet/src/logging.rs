//! Logging: to standard error, as text for people or as JSON lines for collectors.
//!
//! Spans say who (`peer`, `conn`), events say what, values are fields. Packets are TRACE, transitions INFO, and WARN
//! means that somebody should look.
//!
//! An event is one line, whoever chose the texts in it: [`Lines`] escapes line breaks and other control characters.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};

use tracing_subscriber::EnvFilter;

use routelet_base::printable;

/// The environment variable that sets the filter where `--log` does not.
pub(crate) const VARIABLE: &str = "ROUTELET_LOG";

/// The default filter. Kubernetes' client logs every request that fails and every watch that a server ends; what
/// matters of that is said by whoever asked.
pub(crate) const DEFAULT: &str = "info,kube_client=off,kube_runtime=off";

/// How lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// One line of text per event, in colour on a terminal.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Text that is no filter: the operator is at fault.
#[derive(Debug, thiserror::Error)]
#[error(
    "\"{filter}\" is not a log filter: {source}; write a level (error, warn, info, debug, trace) or directives such as info,bgp::fsm=debug"
)]
pub(crate) struct FilterError {
    filter: String,
    source: tracing_subscriber::filter::ParseError,
}

/// Reads a filter: a level, or directives such as `info,bgp::fsm=debug`.
///
/// # Errors
/// [`FilterError`]
pub(crate) fn filter(text: &str) -> Result<EnvFilter, FilterError> {
    EnvFilter::builder()
        .parse(text)
        .map_err(|source| FilterError {
            filter: text.to_owned(),
            source,
        })
}

/// Starts logging, once per process; a later call changes nothing.
pub(crate) fn start(filter: EnvFilter, format: Format) {
    let colour = io::stderr().is_terminal();
    let lines = move || Lines {
        to: io::stderr(),
        format,
        colour,
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(lines)
        .with_ansi(colour);
    // An error means that a subscriber is there already, as in tests: it is kept.
    let _ = match format {
        Format::Text => builder.try_init(),
        Format::Json => builder.json().flatten_event(true).try_init(),
    };
}

/// The writer of one event: makes one line of what it gets at once, without anything that a terminal obeys. The
/// subscriber formats an event into a buffer and writes that with one call.
struct Lines<W> {
    to: W,
    format: Format,
    /// The subscriber colours the text, with escape sequences of its own.
    colour: bool,
}

impl<W> Lines<W> {
    fn safe<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self.format {
            Format::Text if self.colour => printable::coloured_line(text),
            Format::Text => printable::line(text),
            // Line breaks are escaped already: JSON has none in its strings, and this one has none between them.
            Format::Json => printable::json(text),
        }
    }
}

impl<W: Write> Write for Lines<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        // The subscriber writes text only.
        let text = String::from_utf8_lossy(event);
        let line = text.strip_suffix('\n').unwrap_or(&text);
        let mut line = self.safe(line).into_owned();
        line.push('\n');
        self.to.write_all(line.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::{Arc, Mutex};

    use super::*;

    /// What is written, kept for looking at.
    #[derive(Clone, Default)]
    struct CapturedOutput(Arc<Mutex<Vec<u8>>>);

    impl Write for CapturedOutput {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What two events, in a span, look like whose texts try all there is.
    fn logged(format: Format, colour: bool) -> String {
        let paper = CapturedOutput::default();
        let to = paper.clone();
        let lines = move || Lines {
            to: to.clone(),
            format,
            colour,
        };
        let builder = tracing_subscriber::fmt()
            .with_writer(lines)
            .with_ansi(colour);
        let log = || {
            let hostile =
                "a\n2026-01-01 ERROR forged\r\x1b[2J\x07\x7f\u{9b}m\u{85}\u{2028}\u{202e}";
            let span = tracing::info_span!("peer", peer = %hostile);
            let _entered = span.enter();
            tracing::info!(shown = %hostile, debugged = ?hostile, plain = hostile, "{hostile}");
            tracing::warn!("the next event");
        };
        match format {
            Format::Text => tracing::subscriber::with_default(builder.finish(), log),
            Format::Json => {
                let builder = builder.json().flatten_event(true);
                tracing::subscriber::with_default(builder.finish(), log);
            }
        }
        let bytes = paper.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn an_event_is_one_line_whatever_its_texts_hold() {
        for (format, colour) in [
            (Format::Text, false),
            (Format::Text, true),
            (Format::Json, false),
        ] {
            let text = logged(format, colour);
            let lines: Vec<&str> = text.lines().collect();
            assert_eq!(lines.len(), 2, "{format:?}: {text:?}");
            assert!(lines[1].contains("the next event"), "{text:?}");
            let rest = without_colours(&text, colour);
            assert!(
                !rest.contains(|c| c != '\n' && bgp::types::is_unprintable(c)),
                "{format:?}, colour {colour}: {text:?}"
            );
        }
    }

    /// The text without the subscriber's own colours.
    fn without_colours(text: &str, colour: bool) -> String {
        let mut text = text.to_owned();
        if colour {
            assert!(text.contains("\x1b[0m"), "no colour: {text:?}");
            for number in 0..100 {
                text = text.replace(&format!("\x1b[{number}m"), "");
            }
        }
        text
    }

    #[test]
    fn filters_are_read_and_nonsense_is_named() {
        assert!(filter("info,bgp::fsm=debug").is_ok());
        assert!(filter(DEFAULT).is_ok());
        let error = filter("info,bgp=loud").err().map(|e| e.to_string());
        assert!(
            error
                .as_deref()
                .is_some_and(|e| e.contains("info,bgp=loud")),
            "{error:?}"
        );
    }
}
