//! What time of day it is, by this machine's clock, which may be wrong. It is for show and for
//! comparing it with the database's: what is old enough to be ended or deleted is never said by it.
//! A simulation gives every process a clock of its own in its place.

use time::OffsetDateTime;

/// Now.
pub(crate) fn now() -> OffsetDateTime {
    #[cfg(all(test, feature = "simulation"))]
    if let Some(now) = crate::simulation::time_of_day() {
        return now;
    }
    OffsetDateTime::now_utc()
}
