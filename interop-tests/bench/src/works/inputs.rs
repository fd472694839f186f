//! What works work on: tables and a day of churn, real or made up, as much of them as the scale says.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Result, ensure};
use interop_lab::feed::Table;
use interop_lab::speaker::Family;

use super::churn;

/// Prefixes of made-up tables: as many as the real ones have.
const FULL: [(Family, usize); 2] = [(Family::Ipv4, 1_042_325), (Family::Ipv6, 246_175)];

/// What works work on.
#[derive(Debug)]
pub struct Inputs {
    /// Tables of IPv4 and IPv6.
    tables: [Table; 2],
    /// Where the real ones are looked for.
    folder: PathBuf,
    /// The day of churn, once a work has asked for it.
    churn: OnceLock<Vec<churn::Event>>,
    /// Whether they were found there.
    pub real: bool,
    /// How much of each work is done: 1 is all of it.
    pub scale: f64,
    /// How long a run may take.
    pub limit: Duration,
    /// Receives the progress of a long work.
    pub tell: fn(&str),
    /// Makes every expectation wrong in one place, to show that the check can fail.
    pub altered: bool,
}

impl Inputs {
    /// Real tables from `folder`, else made-up ones.
    ///
    /// # Errors
    /// A file is there and cannot be read.
    pub fn load(folder: &Path, scale: f64, limit: Duration) -> Result<Self> {
        ensure!(
            scale > 0.0 && scale <= 1.0,
            "a scale is above 0 and at most 1"
        );
        let mut real = true;
        let mut table = |(family, full): (Family, usize)| -> Result<Table> {
            let number = match family {
                Family::Ipv4 => 4,
                Family::Ipv6 => 6,
            };
            let path = folder.join(format!("ris-20260511-as3333-v{number}.txt.gz"));
            let table = Table::load(&path, family, 1)?.unwrap_or_else(|| {
                real = false;
                Table::made_up(family, full)
            });
            Ok(table.first(part(scale, table.prefixes().len())))
        };
        Ok(Self {
            tables: [table(FULL[0])?, table(FULL[1])?],
            folder: folder.to_owned(),
            churn: OnceLock::new(),
            real,
            scale,
            limit,
            tell: |_| {},
            altered: false,
        })
    }

    /// Where the real tables are in the project's usual place.
    pub fn usual_folder() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data")
    }

    pub(super) fn table(&self, family: Family) -> &Table {
        match family {
            Family::Ipv4 => &self.tables[0],
            Family::Ipv6 => &self.tables[1],
        }
    }

    /// The events of a day, as many as the scale has it.
    pub(super) fn churn(&self) -> Result<&[churn::Event]> {
        if self.churn.get().is_none() {
            let loaded = churn::load(&self.folder.join("ris-20260511-as3333-v4-churn.txt.gz"))?;
            let made_up = || churn::made_up(self.table(Family::Ipv4));
            let mut events = loaded.unwrap_or_else(made_up);
            events.truncate(part(self.scale, events.len()));
            let _ = self.churn.set(events);
        }
        Ok(self.churn.get().map_or(&[], Vec::as_slice))
    }

    /// `count` prefixes of the IPv4 table from `start` on, as the scale has it.
    pub(super) fn slice(&self, start: usize, count: usize) -> Result<Table> {
        let all = self.table(Family::Ipv4);
        let (start, count) = (part(self.scale, start), part(self.scale, count));
        let table = all.part(start, count);
        ensure!(
            table.prefixes().len() == count,
            "the table in {} has {} prefixes: too few",
            self.folder.display(),
            all.prefixes().len()
        );
        Ok(table)
    }

    /// `count` as the scale has it, at least one.
    pub(super) fn scaled(&self, count: usize) -> usize {
        part(self.scale, count).max(1)
    }
}

fn part(scale: f64, count: usize) -> usize {
    (count as f64 * scale) as usize
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn without_real_tables_made_up_ones_of_the_same_size_are_used() {
        let inputs = Inputs::load(Path::new("/nowhere"), 0.01, Duration::ZERO).unwrap();
        assert!(!inputs.real);
        assert_eq!(inputs.table(Family::Ipv4).prefixes().len(), 10_423);
        assert_eq!(
            inputs.slice(900_000, 100_000).unwrap().prefixes().len(),
            1000
        );
        assert!(inputs.slice(1_000_000, 100_000).is_err());
    }
}
