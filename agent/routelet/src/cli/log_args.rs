//! What is logged, and how: the options that `run` and `controller` share.

use crate::logging;

/// What is logged.
#[derive(Debug, clap::Args)]
pub(super) struct LogArgs {
    /// What is logged: a level, or directives such as info,bgp::fsm=debug
    #[arg(long, value_name = "FILTER", env = logging::VARIABLE, default_value = logging::DEFAULT)]
    log: String,

    /// The format of log lines
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    log_format: logging::Format,
}

impl LogArgs {
    /// Starts to log.
    ///
    /// # Errors
    /// The filter is none.
    pub(super) fn start(&self) -> Result<(), logging::FilterError> {
        logging::start(logging::filter(&self.log)?, self.log_format);
        Ok(())
    }
}
