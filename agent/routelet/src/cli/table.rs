//! Tables for people: no lines, columns aligned, wrapped inside their columns on a terminal that is too narrow, and
//! never wrapped where there is no terminal.

use std::io;

use comfy_table::presets::NOTHING;
use comfy_table::{Cell, CellAlignment, ColumnConstraint, ContentArrangement, Table, Width};
use routelet_base::printable;

use super::screen::Screen;

/// Rows that are looked at together to find the widths of columns. The first page of a large table appears at once.
const PAGE: usize = 500;

/// Columns between two columns.
const GAP: u16 = 2;

/// One column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    title: &'static str,
    numeric: bool,
    /// Whether it gives way where the terminal is too narrow. Prefixes and names never do.
    shrinks: bool,
}

/// A column of names or addresses: never wrapped.
pub(super) const fn text(title: &'static str) -> Column {
    Column {
        title,
        numeric: false,
        shrinks: false,
    }
}

/// A column of numbers.
pub(super) const fn number(title: &'static str) -> Column {
    Column {
        title,
        numeric: true,
        shrinks: false,
    }
}

/// A column of sentences or lists: wrapped where there is no room.
pub(super) const fn prose(title: &'static str) -> Column {
    Column {
        title,
        numeric: false,
        shrinks: true,
    }
}

/// A table that is written page by page.
pub(super) struct Pages<'a> {
    columns: &'a [Column],
    rows: Vec<Vec<String>>,
    /// Widths of what was written so far: later pages are never narrower.
    widths: Vec<u16>,
    written: bool,
}

impl<'a> Pages<'a> {
    /// An empty table.
    pub(super) fn new(columns: &'a [Column]) -> Self {
        Self {
            columns,
            rows: Vec::new(),
            widths: vec![0; columns.len()],
            written: false,
        }
    }

    /// Adds a row, and writes a page if there is one.
    pub(super) fn row(&mut self, screen: &mut Screen, row: Vec<String>) -> io::Result<()> {
        debug_assert_eq!(row.len(), self.columns.len());
        self.rows.push(row);
        if self.rows.len() >= PAGE {
            self.write(screen)?;
        }
        Ok(())
    }

    /// Writes what is left and says whether there was any row.
    pub(super) fn end(mut self, screen: &mut Screen) -> io::Result<bool> {
        if !self.rows.is_empty() {
            self.write(screen)?;
        }
        Ok(self.written)
    }

    fn write(&mut self, screen: &mut Screen) -> io::Result<()> {
        let mut table = Table::new();
        table.load_style(NOTHING);
        if !self.written {
            table.set_header(self.columns.iter().map(|c| cell(c, c.title)));
        }
        for row in self.rows.drain(..) {
            table.add_row(self.columns.iter().zip(row).map(|(c, text)| cell(c, &text)));
        }
        let natural = table.column_max_content_widths();
        for (width, natural) in self.widths.iter_mut().zip(natural) {
            *width = natural.max(*width);
        }
        match screen.width.filter(|&limit| self.natural_width() > limit) {
            // Room for everything, or no terminal: every column as wide as its widest cell.
            None => {
                table.set_content_arrangement(ContentArrangement::Disabled);
                self.constrain(&mut table, self.widths.clone());
            }
            Some(limit) => {
                table.set_content_arrangement(ContentArrangement::Dynamic);
                table.set_width(limit);
                let widths = self.squeeze(limit);
                self.constrain(&mut table, widths);
            }
        }
        for line in table.lines() {
            screen.line(line)?;
        }
        self.written = true;
        Ok(())
    }

    fn natural_width(&self) -> u16 {
        let gaps = GAP * (self.columns.len() as u16).saturating_sub(1);
        self.widths
            .iter()
            .fold(gaps, |sum, &width| sum.saturating_add(width))
    }

    /// Widths that fit: the widest shrinking column gives way first. If they cannot, the terminal wraps.
    fn squeeze(&self, limit: u16) -> Vec<u16> {
        /// Narrower columns of prose are unreadable.
        const LEAST: u16 = 12;
        let mut widths = self.widths.clone();
        let mut excess = self.natural_width().saturating_sub(limit);
        while excess > 0 {
            let widest = (0..widths.len())
                .filter(|&i| self.columns[i].shrinks && widths[i] > LEAST)
                .max_by_key(|&i| widths[i]);
            let Some(widest) = widest else { break };
            widths[widest] -= 1;
            excess -= 1;
        }
        widths
    }

    fn constrain(&self, table: &mut Table, widths: Vec<u16>) {
        let last = widths.len().saturating_sub(1);
        for (index, width) in widths.into_iter().enumerate() {
            if let Some(column) = table.column_mut(index) {
                let gap = if index == last { 0 } else { GAP };
                column.set_padding((0, gap));
                column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(width + gap)));
            }
        }
    }
}

fn cell(column: &Column, text: &str) -> Cell {
    // Here already: a line break would make two lines of the cell, and an escape counts towards its width.
    let cell = Cell::new(printable::line(text));
    if column.numeric {
        cell.set_alignment(CellAlignment::Right)
    } else {
        cell
    }
}
