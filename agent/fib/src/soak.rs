//! How many cases a property runs with.

use proptest::test_runner::Config;

/// So many, or as many as `PROPTEST_CASES` says: `make soak` sets it.
pub(crate) fn cases(cases: u32) -> Config {
    let config = Config::default();
    if std::env::var_os("PROPTEST_CASES").is_some() {
        return config;
    }
    Config { cases, ..config }
}
