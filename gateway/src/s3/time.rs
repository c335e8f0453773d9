//! Times as clients see them: by the second, the same in every answer.

use super::precondition::by_second;
use s3s::dto::Timestamp;
use time::{OffsetDateTime, UtcOffset};

/// A time for an answer.
pub(crate) fn shown(time: OffsetDateTime) -> Timestamp {
    by_second(time.to_offset(UtcOffset::UTC)).into()
}
