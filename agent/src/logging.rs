//! Logging: to standard error, as text for people or as JSON lines for collectors.
//!
//! Spans say who (`peer`, `conn`), events say what, values are fields. Packets are TRACE, transitions INFO, and WARN means
//! that somebody should look.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// The environment variable that sets the filter where `--log` does not.
pub const VARIABLE: &str = "ROUTELET_LOG";

/// The filter unless told otherwise. Kubernetes' client tells of every request that fails and every watch that a server ends; what
/// matters of that is said by whoever asked.
pub const DEFAULT: &str = "info,kube_client=off,kube_runtime=off";

/// How lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
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
pub struct FilterError {
    filter: String,
    source: tracing_subscriber::filter::ParseError,
}

/// Reads a filter: a level, or directives such as `info,bgp::fsm=debug`.
///
/// # Errors
/// [`FilterError`]
pub fn filter(text: &str) -> Result<EnvFilter, FilterError> {
    EnvFilter::builder()
        .parse(text)
        .map_err(|source| FilterError {
            filter: text.to_owned(),
            source,
        })
}

/// Starts logging, once per process; a later call changes nothing.
pub fn start(filter: EnvFilter, format: Format) {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    // An error means that a subscriber is there already, as in tests: it is kept.
    let _ = match format {
        Format::Text => builder.try_init(),
        Format::Json => builder.json().flatten_event(true).try_init(),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

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
