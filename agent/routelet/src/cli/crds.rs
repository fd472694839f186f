//! `routelet crds`: the custom resource definitions of this version.

use routelet_api::definitions::{definitions, yaml};

use super::screen::{Format, Screen};

/// Print the custom resource definitions of this version
///
/// To install them: routelet crds | kubectl apply --server-side -f -
#[derive(Debug, clap::Args)]
pub(super) struct Crds {}

impl Crds {
    pub(super) fn run(&self, screen: &mut Screen) -> anyhow::Result<()> {
        if screen.format == Format::Json {
            screen.data(&definitions())?;
            return Ok(());
        }
        for definition in definitions() {
            screen.line("---")?;
            screen.bytes(yaml(&definition)?.trim_end().as_bytes())?;
            screen.bytes(b"\n")?;
        }
        Ok(())
    }
}
