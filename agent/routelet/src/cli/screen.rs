//! Where answers go: standard output, as text for people or as data for programs.

use std::io::{self, BufWriter, IsTerminal, Write};

use serde::Serialize;

use routelet_base::printable;

/// How answers are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// Tables and text for people
    #[default]
    Table,
    /// JSON for programs; field names are stable
    Json,
    /// The same as YAML
    Yaml,
}

/// A place for answers. Notes (nothing found, what was done) go to standard error, so that data stays data.
pub(super) struct Screen {
    /// How.
    pub(super) format: Format,
    /// Columns of the terminal; `None`: no terminal, so nothing is wrapped or cut.
    pub(super) width: Option<u16>,
    out: Box<dyn Write + Send>,
    notes: Box<dyn Write + Send>,
}

impl Screen {
    /// Standard output and standard error.
    pub(super) fn standard(format: Format) -> Self {
        let stdout = io::stdout();
        let width = if stdout.is_terminal() {
            terminal_size::terminal_size().map(|(width, _)| width.0)
        } else {
            None
        };
        Self {
            format,
            width,
            out: Box::new(BufWriter::new(stdout)),
            notes: Box::new(io::stderr()),
        }
    }

    /// Any place, for tests.
    #[cfg(test)]
    pub(super) fn to(
        format: Format,
        width: Option<u16>,
        out: Box<dyn Write + Send>,
        notes: Box<dyn Write + Send>,
    ) -> Self {
        Self {
            format,
            width,
            out,
            notes,
        }
    }

    /// Writes a line of text. Whatever is in it, it stays one line and cannot steer a terminal.
    pub(super) fn line(&mut self, text: impl AsRef<str>) -> io::Result<()> {
        writeln!(self.out, "{}", printable::line(text.as_ref().trim_end()))
    }

    fn yaml(&mut self, value: &impl Serialize) -> anyhow::Result<()> {
        let text = serde_saphyr::to_string(value)?;
        if printable::is_plain(&text) {
            writeln!(self.out, "{}", text.trim_end())?;
            return Ok(());
        }
        // Escapes depend on how YAML quotes a text. JSON is YAML, and has one way.
        self.json(value)
    }

    fn json(&mut self, value: &impl Serialize) -> anyhow::Result<()> {
        // Through a buffer, so that an error of writing stays an `io::Error`.
        let text = serde_json::to_string_pretty(value)?;
        writeln!(self.out, "{}", printable::json(&text))?;
        Ok(())
    }

    /// Writes text as it is: only what this program is the author of.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)
    }

    /// Prints a note that is not part of the answer.
    pub(super) fn note(&mut self, text: impl AsRef<str>) -> io::Result<()> {
        self.flush()?;
        writeln!(self.notes, "{}", printable::line(text.as_ref()))
    }

    /// Writes a value as data if that is asked for, and says whether it did.
    pub(super) fn data(&mut self, value: &impl Serialize) -> anyhow::Result<bool> {
        match self.format {
            Format::Table => return Ok(false),
            Format::Json => self.json(value)?,
            Format::Yaml => self.yaml(value)?,
        }
        Ok(true)
    }

    /// Begins a list that is written piece by piece, if data is asked for.
    pub(super) fn list(&mut self) -> DataList<'_> {
        DataList {
            screen: self,
            written: 0,
        }
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// A list of data, of which nobody holds the whole: a JSON array or a YAML sequence.
pub(super) struct DataList<'a> {
    screen: &'a mut Screen,
    written: usize,
}

impl DataList<'_> {
    /// Writes some more elements.
    pub(super) fn add<T: Serialize>(&mut self, values: &[T]) -> anyhow::Result<()> {
        if values.is_empty() {
            return Ok(());
        }
        match self.screen.format {
            Format::Table => {}
            Format::Json => {
                for value in values {
                    let before = if self.written == 0 { "[\n  " } else { ",\n  " };
                    self.screen.bytes(before.as_bytes())?;
                    let text = serde_json::to_string(value)?;
                    self.screen.bytes(printable::json(&text).as_bytes())?;
                    self.written += 1;
                }
            }
            Format::Yaml => {
                let text = serde_saphyr::to_string(&values)?;
                if printable::is_plain(&text) {
                    let text = text.trim_end();
                    writeln!(self.screen.out, "{text}")?;
                } else {
                    // As in `Screen::yaml`, one element of the sequence a line.
                    for value in values {
                        let text = serde_json::to_string(value)?;
                        writeln!(self.screen.out, "- {}", printable::json(&text))?;
                    }
                }
                self.written += values.len();
            }
        }
        Ok(())
    }

    /// Ends the list.
    pub(super) fn end(self) -> io::Result<()> {
        match (self.screen.format, self.written) {
            (Format::Table, _) => Ok(()),
            (Format::Json, 0) | (Format::Yaml, 0) => self.screen.line("[]"),
            (Format::Json, _) => self.screen.bytes(b"\n]\n"),
            (Format::Yaml, _) => Ok(()),
        }
    }
}
