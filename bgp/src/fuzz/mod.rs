//! Fuzz targets as plain functions: any octets in, a panic if something that must always hold does not.
//!
//! Compiled for tests and with the feature `fuzz`, which adds this module and nothing else. `bgp/fuzz` wraps each
//! function for libFuzzer (`make fuzz`); its committed corpus is replayed by `cargo test`, on the stable compiler.

mod machine;
mod messages;
#[cfg(test)]
mod tests;
mod update;

use std::path::Path;

pub use machine::machine;
pub use messages::messages;
pub use update::update;

/// Reads choices from the front of an input; zeros once it is used up.
#[derive(Clone, Copy, Debug)]
pub struct Octets<'a>(pub &'a [u8]);

impl<'a> Octets<'a> {
    /// Whether nothing is left.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next octet.
    pub fn octet(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    /// Two octets as a number.
    pub fn number(&mut self) -> u16 {
        u16::from_be_bytes([self.octet(), self.octet()])
    }

    /// A number below `end`, which is at least 1.
    pub fn below(&mut self, end: usize) -> usize {
        usize::from(self.octet()) % end
    }

    /// Yes or no.
    pub fn flag(&mut self) -> bool {
        self.octet() & 1 == 1
    }

    /// One of a list that is not empty.
    pub fn one_of<'b, T>(&mut self, list: &'b [T]) -> &'b T {
        &list[self.below(list.len())]
    }

    /// What is left.
    pub const fn rest(self) -> &'a [u8] {
        self.0
    }
}

/// Gives every file of a target's corpus in `bgp/fuzz/corpus` to the target. Returns how many there were.
///
/// # Panics
///
/// If the corpus cannot be read, or the target panics: the file's name is printed before that.
pub fn replay(target: &str, run: fn(&[u8])) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let files = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("the corpus {} is missing: {error}", folder.display()));
    let mut count = 0;
    for file in files {
        let path = file.expect("a folder of this repository").path();
        let octets = std::fs::read(&path).expect("a file of this repository");
        // Shown only if what follows fails.
        println!("{}", path.display());
        run(&octets);
        count += 1;
    }
    count
}
