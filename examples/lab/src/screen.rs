//! What the demonstration prints.

use std::io::{IsTerminal, stdout};

/// A step begins.
pub(crate) fn step(number: usize, text: &str) {
    if stdout().is_terminal() {
        println!("\n\x1b[1m{number}. {text}\x1b[0m");
    } else {
        println!("\n{number}. {text}");
    }
}

/// One line of a step.
pub(crate) fn line(text: &str) {
    println!("   {text}");
}

/// The output of a command, as one would see it.
pub(crate) fn shown(command: &str, output: &str) {
    println!("\n   $ {command}");
    for text in output.trim_end().lines() {
        println!("   {text}");
    }
}

/// Something that had to hold, and does.
pub(crate) fn holds(text: &str) {
    println!("   ok: {text}");
}

/// The end of everything that went wrong.
pub(crate) fn failed(error: &anyhow::Error) {
    eprintln!("\nFAILED: {error:#}");
}
