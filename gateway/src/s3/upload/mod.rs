//! Multipart uploads: parts in any order, then one completion that moves no bytes.

pub(crate) mod abort;
pub(crate) mod complete;
pub(crate) mod create;
pub(crate) mod part;
pub(crate) mod part_copy;
pub(crate) mod part_list;
