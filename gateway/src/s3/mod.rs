//! What S3 says: operations, and the pure rules they follow. Nothing else knows S3's words.
//!
//! [`service`] is the table of operations; each has one file, in the folder of its noun. The
//! other modules here are the rules that several share, most of them pure.

pub mod service;

mod bucket;
mod list;
mod object;
mod upload;

pub(crate) use list::order::EntryOrder;

mod context;
mod error;
mod incoming;
mod outgoing;

mod checksum;
mod copy_source;
mod encode;
mod etag;
mod headers;
mod ids;
mod precondition;
mod probe;
mod range;
mod storage_class;
mod tags;
mod time;

#[cfg(test)]
mod tests;
