//! What the compatibility tests stand on: requests written by hand ([`raw`]), real server processes
//! ([`cluster`]) and real client programs ([`clients`]).
//!
//! Everything here talks to Sixfold over the wire only; nothing links the server's code, but for what
//! is on the wire between gateways and nodes. Panics are
//! how a test fails, so `expect` and `unwrap` are at home here.
#![allow(clippy::return_self_not_must_use)] // `expect_status` is often the last word.
#![allow(clippy::unwrap_used, clippy::expect_used)]
// Tests wait for processes on threads of their own.
#![allow(clippy::disallowed_methods)]

pub mod census;
pub mod clients;
pub mod cluster;
pub mod forms;
pub mod history;
pub mod http2;
pub mod load;
pub mod objects;
pub mod proxy;
pub mod raw;
pub mod scrape;
