//! What the database's errors mean to a caller. The only place that knows SQLSTATEs.

use super::super::MetaError;
use std::borrow::Cow;

/// Raised by the functions of the migrations.
const LEASE_ENDED: &str = "SX001";
const BUCKET_CHANGED: &str = "SX002";
const NO_SUCH_BUCKET: &str = "SX003";
const BUCKET_NOT_EMPTY: &str = "SX004";

const LOCK_NOT_AVAILABLE: &str = "55P03";
const DEADLOCK_DETECTED: &str = "40P01";

/// Classes and codes that pass by themselves: connection, resources, operator intervention (which
/// holds the statement timeout), serialization and deadlock, a read-only standby after a switch.
const PASSING: [&str; 8] = [CONNECTION, "53", "57", "58", "40", "25006", "55P03", "28000"];

/// The class of connection errors.
const CONNECTION: &str = "08";

/// Codes with which a connection ends: what was under way may have been done.
const ENDING: [&str; 4] = ["57P01", "57P02", "57P03", "57P05"];

/// Maps an error of a statement.
pub(super) fn from_sqlx(error: sqlx::Error) -> MetaError {
    let text = error.to_string();
    match &error {
        sqlx::Error::Database(database) => {
            from_code(database.code().as_deref().unwrap_or_default(), text)
        }
        sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::Decode(_)
        | sqlx::Error::Encode(_)
        | sqlx::Error::ColumnNotFound(_)
        | sqlx::Error::TypeNotFound { .. }
        | sqlx::Error::RowNotFound => MetaError::Broken(text),
        _ => MetaError::Unavailable(text),
    }
}

fn from_code(code: &str, text: String) -> MetaError {
    match code {
        LEASE_ENDED => MetaError::LeaseEnded,
        BUCKET_CHANGED => MetaError::BucketChanged,
        NO_SUCH_BUCKET => MetaError::NoSuchBucket,
        BUCKET_NOT_EMPTY => MetaError::BucketNotEmpty,
        _ if PASSING.iter().any(|passing| code.starts_with(passing)) => {
            MetaError::Unavailable(text)
        }
        _ => MetaError::Broken(text),
    }
}

/// Whether a commit that failed so may have been done all the same.
pub(super) fn is_ambiguous(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(database) => ends(database.code().as_deref().unwrap_or_default()),
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => true,
        _ => false,
    }
}

/// Whether a connection ends with this code. The whole class of connection errors counts: a pooler
/// between us and the database answers 08P01 when it loses the database.
fn ends(code: &str) -> bool {
    ENDING.contains(&code) || code.starts_with(CONNECTION)
}

/// Whether the wait for a lock was given up; the statement did nothing.
pub(super) fn is_lock_timeout(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(database)
        if database.code() == Some(Cow::Borrowed(LOCK_NOT_AVAILABLE)))
}

/// Whether the transaction was given up because it and another waited for each other.
pub(super) fn is_deadlock(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(database)
        if database.code() == Some(Cow::Borrowed(DEADLOCK_DETECTED)))
}

#[cfg(test)]
mod tests {
    use super::ends;

    #[test]
    fn a_lost_connection_leaves_a_commit_open_and_a_refusal_does_not() {
        for code in ["08P01", "08006", "08003", "57P01", "57P02", "57P05"] {
            assert!(ends(code), "{code}");
        }
        for code in ["", "57014", "40001", "40P01", "55P03", "23505", "SX001"] {
            assert!(!ends(code), "{code}");
        }
    }
}
