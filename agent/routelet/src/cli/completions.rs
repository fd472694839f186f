//! `routelet completions`: what a shell needs to complete the command line.

use clap::CommandFactory;
use clap_complete::Shell;

use super::screen::Screen;

/// Print a shell's completion script
///
/// For bash: routelet completions bash > /etc/bash_completion.d/routelet
#[derive(Debug, clap::Args)]
pub(super) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(&self, screen: &mut Screen) -> anyhow::Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(
            self.shell,
            &mut super::Cli::command(),
            "routelet",
            &mut script,
        );
        screen.bytes(&script)?;
        Ok(())
    }
}
