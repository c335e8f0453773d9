//! The two forms of a test: a short one that CI runs, and a long one for `make test-long`.

use std::time::Duration;

/// Whether the long form is asked for. Only that one asserts how long things take: in CI other
/// tests use the machine at the same time.
pub fn is_long() -> bool {
    std::env::var_os("SIXFOLD_TEST_LONG").is_some()
}

/// How long an answer may take: what is promised in the long form, long enough for a busy machine
/// in the short one.
pub fn within(promised: Duration) -> Duration {
    if is_long() { promised } else { promised * 6 }
}
