//! Lists, a page at a time, and what they have in common.

pub(crate) mod buckets;
pub(crate) mod objects;
pub(crate) mod objects_v2;
pub(crate) mod order;
pub(crate) mod page;
pub(crate) mod parts;
pub(crate) mod uploads;
pub(crate) mod versions;
