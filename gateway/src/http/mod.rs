//! From a TCP connection to an S3 operation and back.
//!
//! ```text
//! listener ── tls ── hyper ── front ┬─ health            unsigned, before everything else
//!                                   ├─ checks            the head alone: refuse what is malformed
//!                                   ├─ body              idle limit; framing and XML verified
//!                                   ├─ s3s               signature, access, operation
//!                                   └─ response          ids, error XML, the access log's line
//! ```
//!
//! What s3s decides well is left to it. What it leaves open (a sub-resource that falls through to
//! another operation, errors without a resource, bodies nobody verified) is closed here, so that
//! the operations in `s3` never see such a request.

pub mod admin;
pub mod checks;
pub mod front;
pub mod health;
pub mod host;
pub mod listener;
pub mod operation;
pub mod s3s;
pub mod target;
pub mod tls;

mod answer_body;
mod body;
mod document;
mod frames;
mod large_frames;
mod record;
mod refusal;
mod response;
mod stream;
mod traced;
mod unused;
mod xml;

pub use record::RequestRecord;
pub use refusal::Refusal;
