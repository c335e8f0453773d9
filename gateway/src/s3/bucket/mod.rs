//! Operations on a bucket itself.

pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod head;
pub(crate) mod location;
pub(crate) mod probes;
pub(crate) mod tags;
pub(crate) mod versioning;
