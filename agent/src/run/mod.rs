//! The running agent: what puts the parts together.

mod options;

pub use options::Options;

/// Runs the agent until SIGTERM or SIGINT.
///
/// # Errors
/// What keeps it from starting, in words for the operator.
pub async fn run(options: Options) -> anyhow::Result<()> {
    anyhow::bail!(
        "this build cannot run an agent yet: node {} with manifests in {}",
        options.node,
        options.manifests.display()
    )
}
