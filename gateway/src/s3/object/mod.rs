//! Operations on one object, and what several of them share.

pub(crate) mod attributes;
pub(crate) mod commit;
pub(crate) mod copy;
pub(crate) mod delete;
pub(crate) mod delete_many;
pub(crate) mod find;
pub(crate) mod get;
pub(crate) mod head;
pub(crate) mod part_range;
pub(crate) mod probes;
pub(crate) mod put;
pub(crate) mod tags;
